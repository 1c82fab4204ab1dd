//! Mailings that two people sign: what is bound, who may say yes, and who stops it.

use crate::server::{LIMIT, Server};
use offergate::client::{Client, ClientError, ErrorKind};
use offergate::clock::{Clock, SystemClock};
use offergate::wire::{proto, time};
use proto::ChangeState;
use proto::get_mailing_request::Mailing as Asked;
use serde_json::json;
use std::time::Duration;

fn mailing(id: &str) -> proto::Mailing {
    let in_an_hour = SystemClock.wall() + Duration::from_secs(3_600);
    proto::Mailing {
        id: id.into(),
        offer: "kis-12m".into(),
        action: proto::Action::Notify.into(),
        audience_sha256: "a".repeat(64),
        audience_count: 290_000,
        template_sha256: "b".repeat(64),
        settings_sha256: String::new(),
        not_before: None,
        not_after: Some(time::write(in_an_hour)),
        per_second: 100,
    }
}

fn proposal(mailing: proto::Mailing, request_id: &str) -> proto::ProposeMailingRequest {
    proto::ProposeMailingRequest {
        mailing: Some(mailing),
        reason: "Tell them".into(),
        ticket: "CHG-7".into(),
        request_id: request_id.into(),
        author: "ann".into(),
        ..<_>::default()
    }
}

async fn found(client: &Client, asked: Asked) -> Result<proto::GetMailingResponse, ClientError> {
    client.get_mailing(proto::GetMailingRequest { mailing: Some(asked) }).await
}

fn run(server: &Server, arguments: &[&str]) -> (Option<i32>, String, String) {
    let ended = server.offergate().args(arguments).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (ended.status.code(), text(ended.stdout), text(ended.stderr))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mailing_may_be_sent_once_another_person_has_signed_just_that() {
    let server = Server::with_barclays();
    let client = Client::connect(&server.address, LIMIT).await.unwrap();
    let asked = mailing("kis-notice");
    let proposed = client.propose_mailing(proposal(asked.clone(), "m-1")).await.unwrap();
    let waits = proposed.proposal.unwrap();
    assert_eq!((waits.id, waits.kind()), (3, proto::RevisionKind::SendMailing));
    assert_eq!(waits.mailing.as_ref(), Some(&asked));
    let now = found(&client, Asked::Number(3)).await.unwrap();
    assert_eq!((now.state(), now.approver.as_str()), (ChangeState::Proposed, ""));
    assert_eq!((now.mailing.as_ref(), &now.digest), (Some(&asked), &waits.digest));

    // Everything that is signed is shown to whoever signs.
    let (code, listed, _) = run(&server, &["changes"]);
    assert_eq!(code, Some(0));
    assert!(listed.contains("SEND_MAILING") && listed.contains("mailings/kis-notice"), "{listed}");
    let (code, _, said) = run(&server, &["approve", "3", "--author=ann"]);
    assert_eq!(code, Some(1));
    assert!(said.contains("the same hand"), "{said}");
    let (code, told, said) = run(&server, &["approve", "3", "--author=zoe"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(told.starts_with("change 3 may be sent\n"), "{told}");
    for bound in [
        "kis-notice  NOTIFY  kis-12m",
        &"a".repeat(64),
        &"b".repeat(64),
        "290000 recipients",
        "100 a second at most",
        "not after",
    ] {
        assert!(said.contains(bound), "{bound}: {said}");
    }
    for asked_by in [Asked::Number(3), Asked::Id("kis-notice".into())] {
        let signed = found(&client, asked_by).await.unwrap();
        assert_eq!(signed.state(), ChangeState::Approved);
        assert_eq!((signed.author.as_str(), signed.approver.as_str()), ("ann", "zoe"));
        assert_eq!((signed.mailing.as_ref(), &signed.digest), (Some(&asked), &waits.digest));
        assert_eq!((signed.number, signed.decided_revision), (3, 5), "4 is ann's refusal");
        assert!(signed.decide_time.is_some() && signed.stopped_by.is_empty());
    }
    let (_, history, _) = run(&server, &["history"]);
    assert!(history.contains("APPROVE SEND_MAILING (change 3)"), "{history}");
    assert!(history.contains("mailings/kis-notice"), "{history}");
    // It changes no rules.
    let export = client.export_rules(proto::ExportRulesRequest::default()).await.unwrap();
    assert!(!export.document.unwrap().yaml.contains("kis-notice"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_person_stops_an_approved_mailing_and_its_name_is_free_again() {
    let server = Server::with_barclays();
    let client = Client::connect(&server.address, LIMIT).await.unwrap();
    client.propose_mailing(proposal(mailing("kis-notice"), "m-1")).await.unwrap();
    server.json(&["approve", "3", "--author=zoe"]);
    let again = client.propose_mailing(proposal(mailing("kis-notice"), "m-2")).await.unwrap_err();
    assert_eq!(again.kind, ErrorKind::Conflict, "{again}");
    let (code, _, said) = run(&server, &["reject", "3", "--author=eve", "--reason=Wrong list"]);
    assert_eq!(code, Some(0), "{said}");
    let stopped = found(&client, Asked::Number(3)).await.unwrap();
    assert_eq!((stopped.state(), stopped.stopped_by.as_str()), (ChangeState::Withdrawn, "eve"));
    let gone = found(&client, Asked::Id("kis-notice".into())).await.unwrap_err();
    assert_eq!(gone.kind, ErrorKind::NotFound, "{gone}");
    let (code, _, said) = run(&server, &["approve", "3", "--author=zoe"]);
    assert_eq!(code, Some(4), "{said}");
    let next = client.propose_mailing(proposal(mailing("kis-notice"), "m-3")).await.unwrap();
    assert_eq!(next.proposal.unwrap().id, 6);
    server.json(&["reject", "6", "--author=zoe", "--reason=No"]);
    let rejected = found(&client, Asked::Number(6)).await.unwrap();
    assert_eq!((rejected.state(), rejected.stopped_by.as_str()), (ChangeState::Rejected, "zoe"));
    assert_eq!(server.json(&["changes"]), json!([]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_signed_is_refused_and_a_retry_gets_the_first_answer() {
    let server = Server::with_barclays();
    let client = Client::connect(&server.address, LIMIT).await.unwrap();
    let unknown = proto::Mailing { offer: "gone-12m".into(), ..mailing("m") };
    let unknown = client.propose_mailing(proposal(unknown, "m-0")).await.unwrap_err();
    assert_eq!(unknown.kind, ErrorKind::NotFound, "{unknown}");
    let over = SystemClock.wall() - Duration::from_secs(1);
    let over = proto::Mailing { not_after: Some(time::write(over)), ..mailing("m") };
    let over = client.propose_mailing(proposal(over, "m-0")).await.unwrap_err();
    assert_eq!(over.fields[0].0, "mailing.not_after", "{over}");
    let looked = proto::ProposeMailingRequest {
        validate_only: true,
        ..proposal(mailing("kis-notice"), "m-1")
    };
    let looked = client.propose_mailing(looked).await.unwrap();
    assert_eq!((looked.proposal, looked.revision), (None, None));

    let asked = proposal(mailing("kis-notice"), "m-1");
    let first = client.propose_mailing(asked.clone()).await.unwrap();
    assert_eq!(client.propose_mailing(asked.clone()).await.unwrap(), first);
    let mut other = asked;
    other.mailing.as_mut().unwrap().audience_count += 1;
    let reused = client.propose_mailing(other).await.unwrap_err();
    assert_eq!(reused.reason.as_deref(), Some("REQUEST_ID_REUSED"), "{reused}");
    let none = found(&client, Asked::Number(2)).await.unwrap_err();
    assert_eq!(none.kind, ErrorKind::NotFound, "revision 2 made rules: {none}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signed_mailing_is_there_after_a_restart_and_its_log_verifies() {
    let mut server = Server::with_barclays();
    let client = Client::connect(&server.address, LIMIT).await.unwrap();
    let asked = mailing("kis-notice");
    client.propose_mailing(proposal(asked.clone(), "m-1")).await.unwrap();
    server.json(&["approve", "3", "--author=zoe"]);
    server.kill();
    let again = Server::start_on(&server.store(), &[]);
    let client = Client::connect(&again.address, LIMIT).await.unwrap();
    let signed = found(&client, Asked::Id("kis-notice".into())).await.unwrap();
    assert_eq!((signed.state(), signed.mailing), (ChangeState::Approved, Some(asked)));
    let store = server.store();
    let (code, _, said) =
        run(&again, &["audit", "verify", "--unsigned", "--log", store.to_str().unwrap()]);
    assert_eq!(code, Some(0), "{said}");
}
