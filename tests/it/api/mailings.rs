//! Mailings over gRPC: which ledger one is bound to, and what another one is told.

use super::server::{Server, paths};
use crate::two_people::approve;
use offergate::client::{ClientError, ErrorKind};
use offergate::domain::Timestamp;
use offergate::wire::{proto, time};
use proto::get_mailing_request::Mailing as Which;

/// Proposes a mailing.
async fn proposed(server: &Server, request_id: &str) -> proto::ProposedChange {
    let not_after: Timestamp = "2017-12-31T00:00:00Z".parse().unwrap();
    let mailing = proto::Mailing {
        id: "kis-notice".into(),
        offer: "kis-12m".into(),
        action: proto::Action::Notify.into(),
        audience_sha256: "a".repeat(64),
        audience_count: 5,
        template_sha256: "b".repeat(64),
        not_after: Some(time::write(not_after)),
        per_second: 100,
        ..<_>::default()
    };
    let request = proto::ProposeMailingRequest {
        mailing: Some(mailing),
        reason: "Tell them".into(),
        ticket: "CHG-7".into(),
        request_id: request_id.into(),
        author: "ann".into(),
        ..<_>::default()
    };
    server.client.propose_mailing(request).await.unwrap().proposal.unwrap()
}

/// The same, once another person has approved it; gives its number.
async fn approved(server: &Server, request_id: &str) -> u64 {
    let waits = proposed(server, request_id).await;
    approve(&server.client, &waits, &format!("approve-{request_id}")).await.unwrap();
    waits.id
}

async fn begin(
    server: &Server,
    number: u64,
    digit: &str,
    request_id: &str,
) -> Result<u64, ClientError> {
    let request = proto::BeginMailingRequest {
        number,
        ledger_id: digit.repeat(32),
        request_id: request_id.into(),
        author: "mailer".into(),
    };
    server.client.begin_mailing(request).await.map(|begun| begun.begin_revision)
}

async fn found(server: &Server, number: u64) -> proto::GetMailingResponse {
    let request = proto::GetMailingRequest { mailing: Some(Which::Number(number)) };
    server.client.get_mailing(request).await.unwrap()
}

#[tokio::test]
async fn an_approved_mailing_is_bound_to_the_first_ledger_that_asks() {
    let server = Server::start().await;
    let waits = proposed(&server, "m-1").await;
    let number = waits.id;
    let early = begin(&server, number, "a", "b-0").await.unwrap_err();
    assert_eq!(early.reason.as_deref(), Some("MAILING_NOT_APPROVED"), "{early}");
    approve(&server.client, &waits, "approve-m-1").await.unwrap();
    assert_eq!(found(&server, number).await.ledger_id, "");
    let by = begin(&server, number, "a", "b-1").await.unwrap();
    assert_eq!(by, number + 2);
    let bound = found(&server, number).await;
    assert_eq!((bound.ledger_id, bound.begin_revision), ("a".repeat(32), by));
    assert_eq!(bound.state, i32::from(proto::ChangeState::Approved));
    // The same one may ask again, with the same request or another.
    assert_eq!(begin(&server, number, "a", "b-1").await.unwrap(), by);
    assert_eq!(begin(&server, number, "a", "b-2").await.unwrap(), by);
    let other = begin(&server, number, "b", "b-3").await.unwrap_err();
    assert_eq!((other.kind, other.reason.as_deref()), (ErrorKind::Conflict, Some("MAILING_BEGUN")));
    for told in ["through another ledger, by revision 5", "batch resume", "reject 3"] {
        assert!(other.message.contains(told), "{told}: {other}");
    }
    // Another approval is for another ledger, and the first one is over.
    let stop = proto::RejectChangeRequest {
        id: number,
        request_id: "stop".into(),
        author: "zoe".into(),
        reason: "The ledger is lost".into(),
    };
    server.client.reject_change(stop).await.unwrap();
    let over = begin(&server, number, "a", "b-4").await.unwrap_err();
    assert_eq!(over.reason.as_deref(), Some("MAILING_NOT_APPROVED"), "{over}");
    let next = approved(&server, "m-2").await;
    assert!(begin(&server, next, "b", "b-5").await.is_ok());
    assert!(begin(&server, next, "a", "b-6").await.is_err());
}

#[tokio::test]
async fn of_ledgers_that_ask_at_once_one_is_bound() {
    let server = Server::start().await;
    let number = approved(&server, "m-1").await;
    let asked = ["a", "b", "c", "d"].map(|digit| {
        let server = &server;
        async move { begin(server, number, digit, &format!("by-{digit}")).await.is_ok() }
    });
    let bound = futures_util::future::join_all(asked).await;
    assert_eq!(bound.iter().filter(|is_bound| **is_bound).count(), 1, "{bound:?}");
}

#[tokio::test]
async fn what_names_no_mailing_or_no_ledger_is_refused() {
    let server = Server::start().await;
    let empty = server.client.begin_mailing(<_>::default()).await.unwrap_err();
    assert_eq!(paths(&empty), ["ledger_id", "number", "request_id", "author"]);
    let rules = begin(&server, 2, "a", "b-1").await.unwrap_err();
    assert_eq!(rules.reason.as_deref(), Some("MAILING_NOT_APPROVED"), "{rules}");
}
