//! Attackers on a real server process: raw HTTP/2 that no client sends, connections that never speak, and
//! more of everything than is allowed.
//!
//! Each goes on for `OFFERGATE_ATTACK_SECONDS` (two, or a minute by `make attacks`), from an address of its
//! own, while somebody who behaves asks for decisions. What must hold every time: none of those calls
//! fails, the server grows by no more than 64 MiB, and what becomes of the attacker's connection is what
//! `deploy/limits.md` says.

mod descriptors;
mod floods;
mod slow;

pub(crate) use descriptors::take_descriptors_of;

use crate::api::frames::{END_STREAM, GOAWAY, HEADERS, RST_STREAM, SETTINGS, frame};
use crate::cli_serve::get;
use crate::server::{LIMIT, Server};
use offergate::client::{Client, Credentials};
use offergate::clock::{Clock, SystemClock};
use offergate::wire::proto;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinHandle;

/// How much a server may grow under attack, in KiB.
const MAY_GROW: u64 = 64 * 1024;

/// Where attackers come from: not where everybody else does.
const THEIRS: &str = "127.0.0.2:0";

fn now() -> Duration {
    SystemClock.boot()
}

/// How long an attack goes on.
fn long() -> Duration {
    let seconds = std::env::var("OFFERGATE_ATTACK_SECONDS").ok();
    Duration::from_secs(seconds.map_or(2, |text| text.parse().expect("a number of seconds")))
}

/// A server that is attacked, and somebody who behaves.
struct Besieged {
    server: Server,
    ended: Arc<AtomicBool>,
    behaving: JoinHandle<u64>,
    /// What it took before, in KiB.
    before: u64,
}

impl Besieged {
    /// Starts a server with rules, and somebody who asks on and on.
    async fn start(more: &[&str]) -> Self {
        let more: Vec<String> = more.iter().map(|&it| it.to_owned()).collect();
        let server = tokio::task::spawn_blocking(move || {
            let more: Vec<&str> = more.iter().map(String::as_str).collect();
            Server::with_barclays_and(&more)
        });
        Self::begin(server.await.unwrap(), Credentials::default()).await
    }

    async fn begin(server: Server, credentials: Credentials) -> Self {
        let ended = Arc::new(AtomicBool::new(false));
        let (address, end) = (server.address.clone(), Arc::clone(&ended));
        // What a few calls take is no growth.
        asks(&address, &credentials, 200).await;
        let before = memory(&server, "VmRSS:");
        // From now on the peak is counted anew.
        std::fs::write(format!("/proc/{}/clear_refs", server.id()), "5").unwrap();
        let behaving = tokio::spawn(async move {
            let mut asked = 0;
            while !end.load(Ordering::Relaxed) {
                // A connection of its own, since it must be let in as well.
                asks(&address, &credentials, 20).await;
                asked += 20;
            }
            asked
        });
        Self { server, ended, behaving, before }
    }

    fn address(&self) -> SocketAddr {
        let (_, address) = self.server.address.split_once("://").unwrap();
        address.parse().unwrap()
    }

    /// A metric's value, by its name and the one label that tells it apart.
    fn metric(&self, name: &str, label: &str) -> u64 {
        let page = get(&self.server.management, "/metrics");
        let is_it = |line: &&str| line.starts_with(&format!("{name}{{")) && line.contains(label);
        let line = page.lines().find(is_it).unwrap_or_else(|| panic!("no {name} in {page}"));
        line.rsplit(' ').next().unwrap().parse().unwrap()
    }

    /// Ends it, and says what must hold whatever the attack.
    async fn survives(self) {
        self.ended.store(true, Ordering::Relaxed);
        // It panics when one call of it fails.
        let asked = self.behaving.await.expect("whoever behaves is served");
        assert!(0 < asked, "nobody asked");
        let grown = memory(&self.server, "VmHWM:").saturating_sub(self.before);
        assert!(grown <= MAY_GROW, "it grew by {grown} KiB");
        eprintln!("{asked} calls of somebody who behaves; the server grew by {grown} KiB at most");
    }
}

/// Connects, and asks so often.
async fn asks(address: &str, credentials: &Credentials, often: usize) {
    let client = Client::connect_as(address, LIMIT, credentials.clone()).await.unwrap();
    for _ in 0..often {
        let customer = proto::Customer { id: "c-1".into(), ..<_>::default() };
        let asked = proto::CheckEligibilityRequest {
            customer: Some(customer),
            offer: "kis-12m".into(),
            action: proto::Action::Offer.into(),
            ..<_>::default()
        };
        client.check_eligibility(asked).await.unwrap();
    }
}

/// A line of the process's status, in KiB.
fn memory(server: &Server, name: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.id())).unwrap();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Connects from where attackers come from.
async fn connect(address: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(THEIRS.parse().unwrap())?;
    socket.connect(address).await
}

/// Connects, and opens HTTP/2.
async fn open(address: SocketAddr) -> std::io::Result<TcpStream> {
    let mut stream = connect(address).await?;
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await?;
    stream.write_all(&frame(SETTINGS, 0, 0, &[])).await?;
    Ok(stream)
}

/// Reads until this stream of a connection has been answered: with headers that end it, or by a reset.
async fn is_answered(reading: &mut TcpStream, stream: u32) {
    loop {
        let (kind, flags, on) = next_frame(reading).await.expect("the connection goes on");
        assert_ne!(kind, GOAWAY, "the connection goes on");
        if on == stream && (kind == RST_STREAM || (kind == HEADERS && flags & END_STREAM != 0)) {
            return;
        }
    }
}

/// The next frame's type, flags and stream; `None` when there are no more.
async fn next_frame(reading: &mut TcpStream) -> Option<(u8, u8, u32)> {
    let mut head = [0; 9];
    reading.read_exact(&mut head).await.ok()?;
    let size = u32::from_be_bytes([0, head[0], head[1], head[2]]);
    reading.read_exact(&mut vec![0; size as usize]).await.ok()?;
    Some((head[3], head[4], u32::from_be_bytes(head[5..].try_into().unwrap())))
}

/// Makes calls one after the other on one connection, each as `call` writes it, until time is up; each is
/// answered.
async fn in_turn(address: SocketAddr, call: impl Fn(u32) -> Vec<u8>) {
    let (until, mut stream) = (now() + long(), open(address).await.unwrap());
    let mut number = 1;
    while now() < until {
        stream.write_all(&call(number)).await.unwrap();
        let answered = tokio::time::timeout(LIMIT, is_answered(&mut stream, number));
        answered.await.expect("each call is answered");
        number += 2;
    }
}

/// How connections of an attacker ended by the server's will.
#[derive(Debug, Default)]
struct Ends {
    /// With a GOAWAY, by its code.
    told: Vec<u32>,
    /// Without a word.
    cut: usize,
}

/// Sends what `more` makes of 0, 1, 2, ... on and on, reading all that comes; over the next connection once
/// the server ends one. Stops when time is up.
async fn flood(address: SocketAddr, mut more: impl FnMut(u32) -> Vec<u8>) -> Ends {
    let (until, mut ends) = (now() + long(), Ends::default());
    while now() < until {
        let Ok(stream) = open(address).await else { continue };
        let (mut reading, mut writing) = stream.into_split();
        let read = tokio::spawn(async move {
            loop {
                let mut head = [0; 9];
                reading.read_exact(&mut head).await.ok()?;
                let size = u32::from_be_bytes([0, head[0], head[1], head[2]]);
                let mut payload = vec![0; size as usize];
                reading.read_exact(&mut payload).await.ok()?;
                if head[3] == GOAWAY {
                    return Some(u32::from_be_bytes(payload[4..8].try_into().unwrap()));
                }
            }
        });
        let (mut number, mut waiting, mut sent) = (0, Vec::new(), 0);
        while now() < until && !read.is_finished() {
            if sent == waiting.len() {
                (waiting, sent, number) = (more(number), 0, number + 1);
            }
            let write = writing.write(&waiting[sent..]);
            match tokio::time::timeout(Duration::from_millis(100), write).await {
                Ok(Ok(wrote)) => sent += wrote,
                Ok(Err(_)) => break,
                // It does not read on: that is a way to live through this, too.
                Err(_) => {}
            }
        }
        if now() < until {
            match read.await.unwrap() {
                Some(code) => ends.told.push(code),
                None => ends.cut += 1,
            }
        }
    }
    ends
}
