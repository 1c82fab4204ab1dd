//! Listeners and their connections: one listener a core on the same port, a limit of connections in
//! all and for each peer, and an accept loop that does not spin when the process runs out of files.
//! Handshakes go on beside it (`handshake.rs`).
//!
//! Invariant: a connection that there is no room for is closed at once and counted. It never waits,
//! so that its client goes elsewhere, and a full server still shows that it is there.

use super::caller::Peer;
use super::door::Door;
use super::handshake::{Handshakes, Secured};
use super::tap::{OPENING_WITHIN, Tap, TooMany};
use crate::telemetry::{CutOff, Incidents, TurnedAway};
use futures_util::Stream;
use rustc_hash::FxHashMap;
use socket2::{Domain, Protocol, Socket, Type};
use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener as StdListener};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Sleep, sleep};
use tonic::transport::server::Connected;

/// How long to wait after an accept that failed for want of something.
const AFTER_A_FAILURE: Duration = Duration::from_millis(50);

/// Connections that the system holds until they are accepted.
const BACKLOG: i32 = 1024;

/// `count` listeners on one address, which the system spreads connections over. A port 0 becomes the
/// same free port for all.
///
/// # Errors
/// When the address cannot be had, because somebody else listens there for example.
pub fn listeners(address: SocketAddr, count: usize) -> io::Result<Vec<StdListener>> {
    // Sockets that share a port would join a stranger's as well, so one that does not share asks
    // first whether there is a stranger.
    let address = StdListener::bind(address)?.local_addr()?;
    (0..count.max(1)).map(|_| shared_listener(address)).collect()
}

fn shared_listener(address: SocketAddr) -> io::Result<StdListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// The connections of a listener that there is room for, and with TLS those that came through the
/// handshake, as they come, without an end.
pub(super) fn connections(
    listener: StdListener,
    room: Arc<Room>,
    door: &Door,
) -> io::Result<impl Stream<Item = io::Result<Connection>> + use<>> {
    listener.set_nonblocking(true)?;
    let listener = TcpListener::from_std(listener)?;
    let handshakes = door.tls.clone().map(|tls| Handshakes::new(tls, door.clone()));
    let state = (listener, room, handshakes);
    Ok(futures_util::stream::unfold(state, |(listener, room, mut handshakes)| async move {
        let connection = match &mut handshakes {
            None => accept(&listener, &room).await,
            Some(handshakes) => loop {
                tokio::select! {
                    accepted = accept(&listener, &room) => handshakes.begin(accepted),
                    Some(connection) = handshakes.next() => break connection,
                }
            },
        };
        Some((Ok(connection), (listener, room, handshakes)))
    }))
}

async fn accept(listener: &TcpListener, room: &Arc<Room>) -> Connection {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                let Some(place) = room.place_for(peer.ip()) else { continue };
                // Without it small answers wait for the peer's acknowledgement.
                if stream.set_nodelay(true).is_ok() {
                    let peer = Peer { address: Some(peer), service: None };
                    return Connection::new(stream, peer, place);
                }
            }
            Err(error) if is_the_peers(&error) => {}
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "Accept failed");
                tokio::time::sleep(AFTER_A_FAILURE).await;
            }
        }
    }
}

/// Room for connections, shared by all listeners of a server.
#[derive(Debug)]
pub(super) struct Room {
    most: AtomicUsize,
    most_of_a_peer: AtomicUsize,
    taken: Mutex<Taken>,
    incidents: Incidents,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    /// Never holds a zero, so that it is no larger than there are connections.
    by_peer: FxHashMap<IpAddr, usize>,
}

/// A connection's place, free again when it is dropped.
#[derive(Debug)]
struct Place {
    room: Arc<Room>,
    peer: IpAddr,
}

impl Room {
    pub(super) fn new(most: usize, most_of_a_peer: usize, incidents: Incidents) -> Arc<Self> {
        let (most, most_of_a_peer) = (most.into(), most_of_a_peer.into());
        Arc::new(Self { most, most_of_a_peer, taken: Mutex::default(), incidents })
    }

    /// From now on these hold, for connections that come.
    pub(super) fn set(&self, most: usize, most_of_a_peer: usize) {
        self.most.store(most, Ordering::Relaxed);
        self.most_of_a_peer.store(most_of_a_peer, Ordering::Relaxed);
    }

    /// A place for one more connection; counts the refusal if there is none.
    fn place_for(self: &Arc<Self>, peer: IpAddr) -> Option<Place> {
        let peer = holder(peer);
        let mut taken = self.taken();
        if self.most.load(Ordering::Relaxed) <= taken.all {
            self.incidents.turned_away(TurnedAway::Full);
            return None;
        }
        let of_peer = taken.by_peer.get(&peer).copied().unwrap_or_default();
        if self.most_of_a_peer.load(Ordering::Relaxed) <= of_peer {
            self.incidents.turned_away(TurnedAway::PeerFull);
            return None;
        }
        taken.all += 1;
        taken.by_peer.insert(peer, of_peer + 1);
        Some(Place { room: Arc::clone(self), peer })
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.room.taken();
        taken.all = taken.all.saturating_sub(1);
        if let Some(of_peer) = taken.by_peer.get_mut(&self.peer) {
            *of_peer -= 1;
            if *of_peer == 0 {
                taken.by_peer.remove(&self.peer);
            }
        }
    }
}

/// Whom an address belongs to: with IPv6 one host has a whole network of 64 bits to call from.
pub(super) fn holder(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => {
            Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into()
        }
    }
}

/// Whether a connection went away before it was accepted, which says nothing about us.
fn is_the_peers(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}

/// A connection, who is at its other end, and its place among those that are allowed.
pub(super) struct Connection {
    stream: Transport,
    peer: Peer,
    place: Place,
    tap: Tap,
    /// Until when its first frame must be there; `None` once it is.
    opening: Option<Pin<Box<Sleep>>>,
}

/// The bytes of a connection.
enum Transport {
    Plain(TcpStream),
    Secured(Box<Secured>),
}

impl Connection {
    fn new(stream: TcpStream, peer: Peer, place: Place) -> Self {
        let stream = Transport::Plain(stream);
        let opening = Some(Box::pin(sleep(OPENING_WITHIN)));
        Self { stream, peer, place, tap: Tap::new(), opening }
    }

    /// Whom it belongs to.
    pub(super) fn holder(&self) -> IpAddr {
        self.place.peer
    }

    /// Replaces its bytes by those under them, and says who was found at the other end. `None` if `secure`
    /// refuses the peer.
    pub(super) async fn secured<F>(self, secure: impl FnOnce(TcpStream) -> F) -> Option<Self>
    where
        F: Future<Output = Option<(Secured, Option<Arc<str>>)>>,
    {
        let Self { stream, peer, place, tap, opening: _ } = self;
        let Transport::Plain(stream) = stream else { return None };
        let (stream, service) = secure(stream).await?;
        let stream = Transport::Secured(Box::new(stream));
        let opening = Some(Box::pin(sleep(OPENING_WITHIN)));
        Some(Self { stream, peer: Peer { service, ..peer }, place, tap, opening })
    }

    /// Whether the first frame is overdue.
    fn is_silent(&mut self, cx: &mut Context<'_>) -> bool {
        self.opening.as_mut().is_some_and(|opening| opening.as_mut().poll(cx).is_ready())
    }

    /// Takes note of what went out.
    fn note(&mut self, wrote: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(bytes)) = &wrote {
            self.tap.sent(*bytes);
        }
        wrote
    }

    fn cut_off(&self, why: CutOff) -> io::Error {
        self.place.room.incidents.cut_off(why);
        match why {
            CutOff::Silent => io::ErrorKind::TimedOut.into(),
            CutOff::Frames => io::Error::new(io::ErrorKind::InvalidData, TooMany),
        }
    }
}

impl Connected for Connection {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer.clone()
    }
}

/// Hands a call on to whatever the bytes come from.
macro_rules! either {
    ($connection:ident, $stream:ident => $call:expr) => {
        match &mut $connection.stream {
            Transport::Plain(stream) => {
                let $stream = Pin::new(stream);
                $call
            }
            Transport::Secured(stream) => {
                let $stream = Pin::new(stream.as_mut());
                $call
            }
        }
    };
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        match either!(self, stream => stream.poll_read(cx, buffer)) {
            Poll::Ready(Ok(())) => {
                let came = buffer.filled().get(before..).unwrap_or_default();
                if let Err(TooMany) = self.tap.received(came) {
                    return Poll::Ready(Err(self.cut_off(CutOff::Frames)));
                }
                if self.opening.is_some() && self.tap.has_begun() {
                    self.opening = None;
                }
                Poll::Ready(Ok(()))
            }
            Poll::Pending if self.is_silent(cx) => Poll::Ready(Err(self.cut_off(CutOff::Silent))),
            other => other,
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let wrote = either!(self, stream => stream.poll_write(cx, bytes));
        self.note(wrote)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let wrote = either!(self, stream => stream.poll_write_vectored(cx, parts));
        self.note(wrote)
    }

    fn is_write_vectored(&self) -> bool {
        match &self.stream {
            Transport::Plain(stream) => stream.is_write_vectored(),
            Transport::Secured(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, stream => stream.poll_flush(cx))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, stream => stream.poll_shutdown(cx))
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn listeners_share_a_port_among_themselves_and_with_nobody_else() {
        let ours = listeners("127.0.0.1:0".parse().unwrap(), 3).unwrap();
        let address = ours.first().unwrap().local_addr().unwrap();
        assert!(ours.iter().all(|listener| listener.local_addr().unwrap() == address));
        let refused = listeners(address, 1).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::AddrInUse);
    }
}
