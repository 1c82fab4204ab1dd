//! Power cuts: the real server is killed again and again while suspensions are written over gRPC.
//! Whatever was acknowledged must be there afterwards, and the chain whole.

use crate::server::Server;
use offergate::client::Client;
use offergate::store::RuleStore as _;
use offergate::store::embedded::EmbeddedStore;
use offergate::wire::proto;
use proto::target::Target;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// How often the server is killed.
const ROUNDS: usize = 200;

/// Enough suspensions to write while the server lives, each with a name of its own.
fn request(round: usize, number: usize) -> proto::CreateSuspensionRequest {
    let id = format!("s-{round}-{number}");
    let suspension = proto::Suspension {
        id: id.clone(),
        target: Some(proto::Target { target: Some(Target::Product("kis".to_owned())) }),
        scope: Some(proto::Scope {
            actions: vec![proto::Action::Offer.into()],
            ..proto::Scope::default()
        }),
        ticket: "CHG-1".to_owned(),
        reason: format!("round {round}, number {number}"),
        ..proto::Suspension::default()
    };
    proto::CreateSuspensionRequest {
        suspension: Some(suspension),
        request_id: id,
        author: "tester".to_owned(),
        ..proto::CreateSuspensionRequest::default()
    }
}

/// Writes until the server is gone, and notes every revision that was acknowledged.
async fn write(
    client: Client,
    round: usize,
    acknowledged: Arc<Mutex<BTreeMap<String, u64>>>,
    written: Arc<AtomicUsize>,
) {
    for number in 0.. {
        let Ok(response) = client.create_suspension(request(round, number)).await else { return };
        let revision = response.revision.unwrap().number;
        acknowledged.lock().unwrap().insert(format!("s-{round}-{number}"), revision);
        written.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn nothing_acknowledged_is_lost_however_often_the_server_is_killed() {
    let folder = TempDir::new().unwrap();
    let store = folder.path().join("rules.db");
    let acknowledged = Arc::new(Mutex::new(BTreeMap::new()));
    let runtime = Runtime::new().unwrap();
    {
        let server = Server::start_on(&store, &[]);
        let rules = crate::server::in_repository("deploy/demo/barclays.rules.yaml");
        server.offergate().arg("apply").arg(rules).assert().success();
    }
    for round in 0..ROUNDS {
        let mut server = Server::start_on(&store, &[]);
        let limit = Duration::from_secs(10);
        let written = Arc::new(AtomicUsize::new(0));
        let client = runtime.block_on(Client::connect(&server.address, limit)).unwrap();
        let writer =
            runtime.spawn(write(client, round, Arc::clone(&acknowledged), Arc::clone(&written)));
        // The kill comes at another place in the work each time: during the first write, or after
        // some, with nothing but the scheduler to say where within one.
        while written.load(Ordering::SeqCst) < round % 7 {
            std::thread::yield_now();
        }
        server.kill();
        runtime.block_on(writer).unwrap();
    }

    // Opening verifies the chain of all records.
    let store = EmbeddedStore::open(&store).unwrap();
    let loaded = runtime.block_on(store.load()).unwrap();
    let mut records = Vec::new();
    while let Ok(page) = runtime.block_on(
        store.records(offergate::domain::Revision(u64::try_from(records.len()).unwrap()), 1_000),
    ) {
        if page.is_empty() {
            break;
        }
        records.extend(page);
    }
    assert_eq!(loaded.head.revision.0, u64::try_from(records.len()).unwrap());
    let acknowledged = acknowledged.lock().unwrap();
    assert!(ROUNDS < acknowledged.len(), "{} acknowledged", acknowledged.len());
    for (id, revision) in acknowledged.iter() {
        let record = &records[usize::try_from(*revision).unwrap() - 1];
        assert_eq!(record.proposal.request_id.as_str(), id, "revision {revision}");
        assert!(loaded.rules.suspensions.contains_key(id.as_str()), "{id}");
    }
    // At most one write a round can have landed without being acknowledged.
    assert!(records.len() <= 1 + acknowledged.len() + ROUNDS);
}
