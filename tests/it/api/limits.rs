//! More at once than a server takes on: it refuses what is too much, serves the rest, and has room
//! again as soon as something ends.

use super::server::{LIMITS, Server, check, memory};
use offergate::client::ClientError;
use offergate::grpc::LimitSettings;
use offergate::wire::proto;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_stream::wrappers::ReceiverStream;

async fn server_within(limits: LimitSettings) -> Server {
    Server::within(Arc::new(memory()), limits).await
}

/// Tries until there is room, as there is soon after something ended.
async fn until_there_is_room<T>(mut attempt: impl AsyncFnMut() -> Option<T>) -> T {
    let attempts = async {
        loop {
            if let Some(done) = attempt().await {
                return done;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), attempts).await.expect("there is room again")
}

fn is_too_busy<T>(answer: Result<T, ClientError>) -> bool {
    answer.is_err_and(|error| error.reason.as_deref() == Some("TOO_BUSY"))
}

#[tokio::test]
async fn a_stream_counts_for_as_long_as_it_is_open_and_costs_no_page_its_check() {
    let server = server_within(LimitSettings { streams: 2, checks: 1, ..LIMITS }).await;
    let open = async || {
        let (send, nothing_yet) = tokio::sync::mpsc::channel(1);
        let answers = server.client.stream_eligibility(ReceiverStream::new(nothing_yet)).await;
        answers.map(|answers| (send, answers))
    };
    let (first, _second) = (open().await.unwrap(), open().await.unwrap());
    assert!(is_too_busy(open().await));
    assert!(server.check(check()).await.is_ok(), "checks have room of their own");
    drop(first);
    until_there_is_room(async || open().await.ok()).await;
}

#[tokio::test]
async fn a_watcher_counts_for_as_long_as_it_watches_and_never_with_the_checks() {
    let server = server_within(LimitSettings { streams: 2, checks: 1, ..LIMITS }).await;
    let watch =
        async || server.client.watch_revisions(proto::WatchRevisionsRequest::default()).await;
    let (first, _second) = (watch().await.unwrap(), watch().await.unwrap());
    assert!(is_too_busy(watch().await));
    assert!(server.check(check()).await.is_ok());
    assert!(server.client.get_revision(proto::GetRevisionRequest::default()).await.is_ok());
    drop(first);
    until_there_is_room(async || watch().await.ok()).await;
}

/// Whether the server answers the opening of HTTP/2, and does not hang up at once.
async fn is_welcome(stream: &mut TcpStream) -> bool {
    let opening = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00";
    let mut answer = [0; 9];
    stream.write_all(opening).await.is_ok() && stream.read_exact(&mut answer).await.is_ok()
}

#[tokio::test]
async fn a_connection_over_a_limit_is_closed_at_once_and_counted_and_those_that_are_there_go_on() {
    for (limits, label) in [
        (LimitSettings { connections_per_peer: 3, ..LIMITS }, "peer"),
        (LimitSettings { connections: 3, ..LIMITS }, "server"),
    ] {
        let server = server_within(limits).await;
        // The client has the first one.
        let mut held = Vec::new();
        for _ in 0..2 {
            let mut stream = TcpStream::connect(&server.address).await.unwrap();
            assert!(is_welcome(&mut stream).await, "{label}");
            held.push(stream);
        }
        for _ in 0..2 {
            let mut stream = TcpStream::connect(&server.address).await.unwrap();
            assert!(!is_welcome(&mut stream).await, "{label}");
        }
        let refused = server.metric("offergate_connections_refused_total", label);
        assert_eq!(refused, "2", "{label}");
        assert!(server.check(check()).await.is_ok(), "{label}");
        held.pop();
        until_there_is_room(async || {
            let mut stream = TcpStream::connect(&server.address).await.unwrap();
            is_welcome(&mut stream).await.then_some(())
        })
        .await;
    }
}
