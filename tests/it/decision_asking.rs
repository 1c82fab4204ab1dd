//! What a server and the command line tell of decisions that were made: why, to whom, and whether they
//! would be made again.

use crate::decision_log::{check, recording, records};
use crate::server::{Server, within_limit};
use offergate::client::{Client, ErrorKind};
use offergate::wire::proto;
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;

/// Waits until so many records are in the log.
async fn recorded(log: &Path, count: usize) {
    let log = log.to_owned();
    let wait = move || {
        within_limit(move || {
            while records(&log).len() < count {
                std::thread::yield_now();
            }
        })
    };
    tokio::task::spawn_blocking(wait).await.unwrap();
}

async fn client(server: &Server) -> Client {
    Client::connect(&server.address, Duration::from_secs(10)).await.unwrap()
}

fn exposures_of(vendor: &str, page_size: i32, page_token: &str) -> proto::ListExposuresRequest {
    let at = |seconds| Some(prost_types::Timestamp { seconds, nanos: 0 });
    proto::ListExposuresRequest {
        vendor: vendor.to_owned(),
        from_time: at(0),
        until_time: at(100_000_000_000),
        page_size,
        page_token: page_token.to_owned(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_decides_a_decision_of_its_log_again_and_says_why_it_was_made() {
    let folder = TempDir::new().unwrap();
    let server = recording(folder.path());
    let log = folder.path().join("log");
    let client = client(&server).await;
    let answer = client.check_eligibility(check("c-1")).await.unwrap();
    let decision_id = answer.decision.unwrap().decision_id;
    recorded(&log, 1).await;
    let request = proto::ReplayDecisionRequest { decision_id: decision_id.clone() };
    let replayed = client.replay_decision(request).await.unwrap();
    assert!(replayed.record.contains(&decision_id));
    assert_eq!(replayed.differences, []);
    for (id, kind) in
        [("0193b2c4-5d6e-7f80-9123-456789abcdef", ErrorKind::NotFound), ("c-1", ErrorKind::Invalid)]
    {
        let request = proto::ReplayDecisionRequest { decision_id: id.to_owned() };
        assert_eq!(client.replay_decision(request).await.unwrap_err().kind, kind);
    }
    let explained =
        server.json(&["explain", "--decision", &decision_id, "--log", log.to_str().unwrap()]);
    assert_eq!(explained["decision"]["decision_id"], decision_id.as_str());
    assert_eq!(explained["decision"]["outcome"], "INDETERMINATE");
    assert_eq!(explained["decision"]["reasons"][0]["attribute"], "holding");
    assert!(!explained["sentences"].as_array().unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_of_exposures_hold_everybody_once_and_say_that_nothing_is_missing() {
    let folder = TempDir::new().unwrap();
    let server = recording(folder.path());
    let client = client(&server).await;
    for number in 0..5 {
        let mut request = check(&format!("c-{number}"));
        if let Some(customer) = &mut request.customer {
            customer.holding = Some(proto::Holding {
                status: proto::HoldingStatus::Active.into(),
                ..<_>::default()
            });
        }
        client.check_eligibility(request).await.unwrap();
    }
    recorded(&folder.path().join("log"), 5).await;
    let (mut seen, mut token) = (Vec::new(), String::new());
    loop {
        let page =
            client.list_exposures(exposures_of("ao-kaspersky-lab", 2, &token)).await.unwrap();
        assert!(page.is_complete);
        assert_eq!(page.days.len(), usize::from(seen.is_empty()));
        seen.extend(page.exposures.into_iter().map(|it| (it.customer, it.count)));
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    let expected: Vec<_> = (0..5).map(|number| (format!("c-{number}"), 1)).collect();
    assert_eq!(seen, expected);
    let other = client.list_exposures(exposures_of("nobody", 0, "")).await.unwrap();
    assert_eq!(other.exposures, []);
    let backwards = proto::ListExposuresRequest {
        until_time: Some(prost_types::Timestamp { seconds: -1, nanos: 0 }),
        ..exposures_of("", 0, "")
    };
    let refused = client.list_exposures(backwards).await.unwrap_err();
    let fields: Vec<_> = refused.fields.iter().map(|(path, _)| path.as_str()).collect();
    assert_eq!(fields, ["vendor", "until_time"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_without_a_decision_log_says_so() {
    let server = Server::with_barclays();
    let client = client(&server).await;
    let refused = client.list_exposures(exposures_of("ao-kaspersky-lab", 0, "")).await.unwrap_err();
    assert_eq!(refused.reason.as_deref(), Some("DECISION_LOG_UNSET"));
}
