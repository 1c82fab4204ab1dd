//! A TCP proxy that can be made as bad as a network: slow, unsteady, cut, silent in one direction or
//! both, half open, reset. Each link has a name and a weather of its own, which can change at any time.
//!
//! Bytes are never lost nor reordered within a connection, since TCP does not do that either: what a
//! silent link takes, it delivers when it is mended, however late, unless the connection ended
//! meanwhile.

use super::dice::Dice;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What a link does to what passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Weather {
    Clear,
    /// Each piece takes so long, and up to `jitter` longer.
    Slow {
        delay: Duration,
        jitter: Duration,
    },
    /// Nothing passes, in the directions named; nobody is told.
    Silent {
        up: bool,
        down: bool,
    },
    /// Connections are reset, and new ones are as soon as they are opened.
    Cut,
}

#[derive(Debug, Clone, Copy)]
struct State {
    weather: Weather,
    /// Connections of an earlier epoch are reset.
    epoch: u64,
    /// Connections of an earlier one stay open towards the client, and lead nowhere.
    abandoned: u64,
}

/// One way from a client to a server. Ends, with all its connections, when it is dropped.
pub(crate) struct Link {
    pub(crate) address: SocketAddr,
    state: watch::Sender<State>,
    accepting: JoinHandle<()>,
}

/// Texts that a link replaces in what the server says, each by one of the same length.
pub(crate) type Translation = Arc<Vec<(Vec<u8>, Vec<u8>)>>;

impl Link {
    /// Opens a link to `target`, listening on a free port.
    pub(crate) async fn open(
        name: &str,
        target: SocketAddr,
        dice: &Dice,
        translation: Translation,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let clear = State { weather: Weather::Clear, epoch: 0, abandoned: 0 };
        let (state, seen) = watch::channel(clear);
        let dice = dice.part(name);
        let accepting = tokio::spawn(accept(listener, target, seen, dice, translation));
        Ok(Self { address, state, accepting })
    }

    pub(crate) fn set(&self, weather: Weather) {
        self.state.send_modify(|state| state.weather = weather);
    }

    /// Resets the connections that are open; new ones are welcome.
    pub(crate) fn reset(&self) {
        self.state.send_modify(|state| state.epoch += 1);
    }

    /// Leaves the connections that are open without a server, and does not tell their clients.
    pub(crate) fn abandon(&self) {
        self.state.send_modify(|state| state.abandoned += 1);
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.accepting.abort(); // The connections end with the sender of their state.
    }
}

async fn accept(
    listener: TcpListener,
    target: SocketAddr,
    state: watch::Receiver<State>,
    mut dice: Dice,
    translation: Translation,
) {
    for number in 0_u64.. {
        let Ok((client, _)) = listener.accept().await else { return };
        dice = dice.part(&number.to_string());
        let (state, dice) = (state.clone(), dice.clone());
        tokio::spawn(serve(client, target, state, dice, Arc::clone(&translation)));
    }
}

async fn serve(
    mut client: TcpStream,
    target: SocketAddr,
    mut state: watch::Receiver<State>,
    dice: Dice,
    translation: Translation,
) {
    let began = *state.borrow_and_update();
    let over = move |now: &State| now.weather == Weather::Cut || now.epoch != began.epoch;
    let ended = async |state: &mut watch::Receiver<State>| {
        let changed = |now: &State| over(now) || now.abandoned != began.abandoned;
        state.wait_for(changed).await.map_or(true, |now| over(&now))
    };
    let mut reset_now = over(&began);
    if !reset_now && let Ok(mut server) = TcpStream::connect(target).await {
        let _ = (client.set_nodelay(true), server.set_nodelay(true));
        let (client_read, client_write) = client.split();
        let (server_read, server_write) = server.split();
        let none = Translation::default();
        let up = Pump { state: state.clone(), dice: dice.part("up"), down: false };
        let down = Pump { state: state.clone(), dice: dice.part("down"), down: true };
        tokio::select! {
            _ = async { tokio::join!(
                up.run(client_read, server_write, &none),
                down.run(server_read, client_write, &translation),
            ) } => return,
            over = ended(&mut state) => reset_now = over,
        }
    }
    if !reset_now && state.borrow().abandoned != began.abandoned {
        // The server was told by the close that this dropped; the client is told nothing.
        let _ = state.wait_for(over).await;
    }
    // Closed with a reset instead of a farewell.
    let _ = socket2::SockRef::from(&client).set_linger(Some(Duration::ZERO));
}

/// One direction of one connection.
struct Pump {
    state: watch::Receiver<State>,
    dice: Dice,
    down: bool,
}

impl Pump {
    async fn run(
        mut self,
        mut from: ReadHalf<'_>,
        mut to: WriteHalf<'_>,
        translation: &Translation,
    ) {
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let length = match from.read(&mut buffer).await {
                Ok(0) | Err(_) => break,
                Ok(length) => length,
            };
            let weather = self.state.borrow().weather;
            if let Weather::Slow { delay, jitter } = weather {
                tokio::time::sleep(self.dice.time(delay, delay + jitter)).await;
            }
            let down = self.down;
            let passes = |state: &State| match state.weather {
                Weather::Silent { up, down: silent } => !(if down { silent } else { up }),
                Weather::Clear | Weather::Slow { .. } | Weather::Cut => true,
            };
            if self.state.wait_for(passes).await.is_err() {
                break;
            }
            let piece = &mut buffer[..length];
            translate(piece, translation);
            if to.write_all(piece).await.is_err() {
                break;
            }
        }
        let _ = to.shutdown().await;
    }
}

fn translate(piece: &mut [u8], translation: &Translation) {
    for at in 0..piece.len() {
        let rest = &mut piece[at..];
        if let Some((found, instead)) = translation.iter().find(|(text, _)| rest.starts_with(text))
        {
            rest[..found.len()].copy_from_slice(instead);
        }
    }
}
