//! The way from one replica to its store, which a test can cut, slow down, or make silent in one
//! direction or both.
//!
//! Within a connection nothing is lost nor reordered, as with TCP: what a silent link took, it delivers
//! once it speaks again, however late.

use crate::redis_server::free_port;
use std::net::Ipv4Addr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What becomes of what passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Weather {
    Clear,
    /// Each piece takes so long, either way.
    Slow(Duration),
    /// Nothing passes in the directions named, and nobody is told.
    Silent {
        up: bool,
        down: bool,
    },
}

impl Weather {
    pub(super) const BLACK: Self = Self::Silent { up: true, down: true };

    fn lets_pass(self, way: Way) -> bool {
        match (self, way) {
            (Self::Silent { up, .. }, Way::Up) => !up,
            (Self::Silent { down, .. }, Way::Down) => !down,
            _ => true,
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum Way {
    Up,
    Down,
}

#[derive(Debug, Clone, Copy)]
struct State {
    weather: Weather,
    /// Where new connections lead.
    target: u16,
    /// Connections of an earlier epoch are closed.
    epoch: u64,
}

/// A link that listens on a port of its own. It ends, with its connections, when it is dropped.
pub(super) struct Link {
    pub(super) port: u16,
    state: watch::Sender<State>,
}

impl Link {
    pub(super) async fn to(target: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (state, seen) = watch::channel(State { weather: Weather::Clear, target, epoch: 0 });
        tokio::spawn(accept(listener, seen));
        Self { port, state }
    }

    pub(super) fn set(&self, weather: Weather) {
        self.state.send_modify(|state| state.weather = weather);
    }

    /// Closes all connections; new ones are welcome.
    pub(super) fn reset(&self) {
        self.state.send_modify(|state| state.epoch += 1);
    }

    /// Leads to another server from now on, as an address does that moved.
    pub(super) fn lead_to(&self, target: u16) {
        self.state.send_modify(|state| state.target = target);
        self.reset();
    }

    /// Leads nowhere: whoever connects is refused.
    pub(super) fn cut(&self) {
        self.lead_to(free_port());
    }
}

async fn accept(listener: TcpListener, mut state: watch::Receiver<State>) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            // All that changes while nobody connects is noted by the connections themselves.
            gone = state.changed() => match gone {
                Ok(()) => continue,
                Err(_) => return,
            },
        };
        let Ok((client, _)) = accepted else { return };
        tokio::spawn(carry(client, state.clone()));
    }
}

async fn carry(client: TcpStream, state: watch::Receiver<State>) {
    let State { target, epoch, .. } = *state.borrow();
    let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, target)).await else { return };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let pumps = async {
        tokio::join!(
            pump(from_client, to_server, Way::Up, state.clone()),
            pump(from_server, to_client, Way::Down, state.clone()),
        )
    };
    let mut ended = state.clone(); // Seen, and changed since, or not: `wait_for` looks at both.
    tokio::select! {
        _ = pumps => {}
        // An error means that the link is gone.
        _ = ended.wait_for(|now| now.epoch != epoch) => {}
    }
}

async fn pump(
    mut from: impl AsyncReadExt + Unpin,
    mut to: impl AsyncWriteExt + Unpin,
    way: Way,
    mut state: watch::Receiver<State>,
) {
    let mut piece = [0; 16 * 1024];
    while let Ok(length @ 1..) = from.read(&mut piece).await {
        let Ok(now) = state.wait_for(|now| now.weather.lets_pass(way)).await.map(|now| *now) else {
            break;
        };
        if let Weather::Slow(delay) = now.weather {
            tokio::time::sleep(delay).await;
        }
        if to.write_all(&piece[..length]).await.is_err() {
            break;
        }
    }
    let _ = to.shutdown().await;
}
