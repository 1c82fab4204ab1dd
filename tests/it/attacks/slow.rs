//! Those who take their time: connections that never speak, handshakes and bodies that never end; and too
//! many of them.

use super::{Besieged, connect, in_turn, long, now, open};
use crate::api::frames::{CHECK, DATA, END_HEADERS, END_STREAM, HEADERS, frame, headers};
use crate::identity::certificates::Authority;
use crate::server::LIMIT;
use offergate::wire::proto;
use prost::Message;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A check that the server answers.
pub(super) fn message(stream: u32) -> Vec<u8> {
    let customer = Some(proto::Customer { id: "c-1".into(), ..<_>::default() });
    let action = proto::Action::Offer.into();
    let offer = "kis-12m".to_owned();
    let check = proto::CheckEligibilityRequest { customer, offer, action, ..<_>::default() };
    let check = check.encode_to_vec();
    let length = u32::try_from(check.len()).unwrap().to_be_bytes();
    frame(DATA, END_STREAM, stream, &[&[0], &length[..], &check].concat())
}

/// Waits for the server to hang up.
async fn is_hung_up(stream: &mut TcpStream) {
    let mut bytes = [0; 1024];
    let end = async { while stream.read(&mut bytes).await.is_ok_and(|read| 0 < read) {} };
    tokio::time::timeout(LIMIT, end).await.expect("the server hangs up");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_do_not_begin_to_speak_are_cut_off() {
    let besieged = Besieged::start(&[]).await;
    let mut silent = Vec::new();
    for place in 0..100 {
        let mut stream = connect(besieged.address()).await.unwrap();
        // Nothing, the beginning of the beginning, or all of it and no frame.
        let said = &b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..24 * (place % 3) / 2];
        stream.write_all(said).await.unwrap();
        silent.push(stream);
    }
    for stream in &mut silent {
        is_hung_up(stream).await;
    }
    let counted = besieged.metric("offergate_connections_cut_off_total", "reason=\"silent\"");
    assert_eq!(counted, 100);
    besieged.survives().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn handshakes_that_do_not_go_on_are_cut_off_and_keep_nobody_else_out() {
    let authority = Authority::new("ours");
    let server = tokio::task::block_in_place(|| authority.server().start(&[]));
    authority.service("web", &["spiffe://bank.example/bank/web"]);
    let besieged = Besieged::begin(server, authority.credentials("web")).await;
    // More than one peer may begin, over both listeners, and more than all may.
    let mut silent = Vec::new();
    for place in 0..600 {
        let mut stream = connect(besieged.address()).await.unwrap();
        if place % 2 == 0 {
            // The head of a handshake's first record, which then does not come.
            let _ = stream.write_all(&[22, 3, 1, 2, 0]).await;
        }
        silent.push(stream);
    }
    for stream in &mut silent {
        is_hung_up(stream).await;
    }
    let refused = besieged.metric("offergate_not_admitted_total", "reason=\"handshake_limit\"");
    assert_eq!(refused, 600);
    besieged.survives().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_whose_message_does_not_come_ends_at_its_limit_and_its_connection_goes_on() {
    let besieged = Besieged::start(&["--check-timeout=300ms"]).await;
    in_turn(besieged.address(), |stream| {
        // It says that a hundred bytes come, and sends three.
        let some = frame(DATA, 0, stream, &[0, 0, 0, 0, 100, 1, 2, 3]);
        [frame(HEADERS, END_HEADERS, stream, &headers(CHECK, &[])), some].concat()
    })
    .await;
    besieged.survives().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_beyond_what_one_peer_may_have_are_closed_at_once() {
    let besieged = Besieged::start(&["--max-connections-per-peer=50"]).await;
    let until = now() + long();
    let mut held = Vec::new();
    while now() < until {
        held.push(open(besieged.address()).await);
        if 1000 < held.len() {
            held.drain(50..);
        }
    }
    let refused = besieged.metric("offergate_connections_refused_total", "limit=\"peer\"");
    assert!(0 < refused);
    assert_eq!(besieged.metric("offergate_connections_refused_total", "limit=\"server\""), 0);
    besieged.survives().await;
}
