//! How long the suspension barrier takes, with real processes on this machine's loopback: a Redis and
//! three replicas. Wants a quiet machine; the figures are times, so compare them with the bounds beside
//! them and not with those of another machine.
//!
//! Needs `redis-server`; `tests/tools/setup.sh redis` installs it.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a measurement may panic, and prints"
)]

use offergate::client::Client;
use offergate::clock::{Clock, SystemClock};
use offergate::replica::Lease;
use offergate::wire::proto;
use proto::await_enforcement_request::Change;
use std::hint::black_box;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// The scale of the measurement: enough for a 99th percentile that is more than one outlier.
const SUSPENSIONS: usize = 300;

const RULES: &str = "
vendors:
  acme: {name: Acme}
products:
  shield: {name: Shield, class: ANTIVIRUS, vendors: [acme], components: []}
offers:
  shield-12m: {product: shield}
";

fn now() -> Duration {
    SystemClock.boot()
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A process that ends with the value.
struct Process(Child);

impl Process {
    fn signal(&self, name: &str) {
        let id = self.0.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &id]).status().unwrap().success());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn redis(folder: &Path, port: u16) -> Process {
    let mut command = Command::new("redis-server");
    command.args(["--port", &port.to_string(), "--dir"]).arg(folder);
    command.args(["--appendonly", "yes", "--appendfsync", "always", "--save", ""]);
    let process =
        Process(command.stdout(Stdio::null()).spawn().expect("redis-server is installed"));
    while !answers(port) {
        std::thread::sleep(Duration::from_millis(1));
    }
    process
}

fn answers(port: u16) -> bool {
    let ping = Command::new("redis-cli").args(["-p", &port.to_string(), "ping"]).output().unwrap();
    ping.stdout.starts_with(b"PONG")
}

struct Replica {
    process: Process,
    client: Client,
}

async fn replica(folder: &Path, number: usize, url: &str, limit: &str) -> Replica {
    let mut command = Command::new(env!("CARGO_BIN_EXE_offergate"));
    command.args(["serve", "--begin-history", "--listen", "127.0.0.1:0", "--management-listen"]);
    command.args(["127.0.0.1:0", "--workers", "1", "--store", url, "--staleness-limit", limit]);
    command.args(["--replica", &format!("r{number}"), "--journal"]);
    command.arg(folder.join(format!("{number}.db"))).env("RUST_LOG", "off");
    command.env("OFFERGATE_ANONYMOUS", "everything");
    let mut process = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut line = String::new();
    let lines = BufReader::new(process.stdout.take().unwrap()).lines();
    for read in lines.map_while(Result::ok) {
        if let Some(address) = read.strip_prefix("listening on ") {
            line = address.to_owned();
            break;
        }
    }
    let client = Client::connect(&line, Duration::from_secs(10)).await.unwrap();
    Replica { process: Process(process), client }
}

async fn fleet(folder: &Path, url: &str, limit: &str) -> Vec<Replica> {
    let mut replicas = Vec::new();
    for number in 1..=3 {
        replicas.push(replica(folder, number, url, limit).await);
    }
    let document = proto::RuleDocument { yaml: RULES.to_owned(), name: String::new() };
    let request = proto::ApplyRulesRequest {
        document: Some(document),
        request_id: format!("apply-{url}"),
        author: "bench".into(),
        reason: "to measure".into(),
        ticket: "BENCH".into(),
        expected_revision: Some(0),
        ..proto::ApplyRulesRequest::default()
    };
    let proposed = replicas[0].client.apply_rules(request).await.unwrap();
    approve(&replicas[0].client, proposed.proposal, "applied").await;
    replicas
}

/// Approves what waits, as somebody else than who proposed it.
async fn approve(client: &Client, proposal: Option<proto::ProposedChange>, request_id: &str) {
    let proto::ProposedChange { id, digest, .. } = proposal.unwrap();
    let (request_id, author) = (request_id.into(), "another".into());
    let request = proto::ApproveChangeRequest { id, digest, request_id, author };
    client.approve_change(request).await.unwrap();
}

fn suspension(id: &str) -> proto::CreateSuspensionRequest {
    let target = proto::target::Target::Offer("shield-12m".into());
    let scope = proto::Scope { actions: vec![proto::Action::Offer.into()], ..Default::default() };
    let suspension = proto::Suspension {
        id: id.into(),
        target: Some(proto::Target { target: Some(target) }),
        scope: Some(scope),
        reason: "to measure".into(),
        ticket: "BENCH".into(),
        ..proto::Suspension::default()
    };
    proto::CreateSuspensionRequest {
        suspension: Some(suspension),
        request_id: format!("{id}.proposed"),
        author: "bench".into(),
        ..proto::CreateSuspensionRequest::default()
    }
}

/// Approves a suspension, and waits until it is enforced; returns how long both took.
async fn suspend(client: &Client, id: &str) -> Duration {
    let proposed = client.create_suspension(suspension(id)).await.unwrap();
    let began = now();
    approve(client, proposed.proposal, id).await;
    let request = proto::AwaitEnforcementRequest {
        change: Some(Change::RequestId(id.to_owned())),
        wait: Some(prost_types::Duration { seconds: 30, nanos: 0 }),
    };
    let answer = client.await_enforcement(request).await.unwrap();
    assert_eq!(answer.state(), proto::EnforcementState::Enforced, "{answer:?}");
    now() - began
}

async fn lift(client: &Client, id: &str) {
    let request = proto::LiftSuspensionRequest {
        id: id.into(),
        request_id: format!("lift-{id}"),
        author: "bench".into(),
        reason: "to measure".into(),
        ticket: "BENCH".into(),
        ..proto::LiftSuspensionRequest::default()
    };
    let proposed = client.lift_suspension(request).await.unwrap();
    approve(client, proposed.proposal, &format!("lifted-{id}")).await;
}

async fn outcome(client: &Client) -> proto::Outcome {
    let holding =
        proto::Holding { status: proto::HoldingStatus::None.into(), ..Default::default() };
    let customer = proto::Customer { id: "c".into(), holding: Some(holding), ..Default::default() };
    let request = proto::CheckEligibilityRequest {
        customer: Some(customer),
        offer: "shield-12m".into(),
        action: proto::Action::Offer.into(),
        ..Default::default()
    };
    client.check_eligibility(request).await.unwrap().decision.unwrap().outcome()
}

fn tell(what: &str, mut times: Vec<Duration>, bound: &str) {
    times.sort();
    let at = |share: usize| times[(times.len() - 1) * share / 100].as_secs_f64() * 1e3;
    println!(
        "{what:52} p50 {:8.1} ms  p99 {:8.1} ms  max {:8.1} ms   {bound}",
        at(50),
        at(99),
        at(100)
    );
}

async fn all_healthy(folder: &Path, url: &str) {
    let replicas = fleet(folder, url, "5s").await;
    // The list of replicas counts once a lease has passed.
    tokio::time::sleep(Duration::from_millis(5500)).await;
    let (mut enforced, mut seen) = (Vec::new(), Vec::new());
    for number in 0..SUSPENSIONS {
        enforced.push(suspend(&replicas[0].client, &format!("s-{number}")).await);
        lift(&replicas[0].client, &format!("s-{number}")).await;
    }
    tell("suspend to ENFORCED, 3 replicas", enforced, "p50 <= 25, p99 <= 150");
    seen.extend(visible(&replicas, SUSPENSIONS, "v").await);
    tell("a new rule visible on another replica", seen, "p99 <= 50");
}

/// From when a change was answered by one replica to when another one goes by it.
async fn visible(replicas: &[Replica], count: usize, name: &str) -> Vec<Duration> {
    let mut times = Vec::new();
    for number in 0..count {
        let id = format!("{name}-{number}");
        while outcome(&replicas[1].client).await != proto::Outcome::Eligible {}
        let proposed = replicas[0].client.create_suspension(suspension(&id)).await.unwrap();
        let began = now();
        approve(&replicas[0].client, proposed.proposal, &id).await;
        while outcome(&replicas[1].client).await == proto::Outcome::Eligible {}
        times.push(now() - began);
        lift(&replicas[0].client, &id).await;
    }
    times
}

async fn without_the_feed(folder: &Path, port: u16) {
    let acl = ["ACL", "SETUSER", "deaf", "on", ">deaf", "~*", "&*", "+@all", "-xread"];
    let set = Command::new("redis-cli").args(["-p", &port.to_string()]).args(acl).output().unwrap();
    assert!(set.status.success());
    let replicas = fleet(folder, &format!("redis://deaf:deaf@127.0.0.1:{port}/1"), "5s").await;
    tell("the same, without the feed", visible(&replicas, 100, "w").await, "p99 <= 300");
}

async fn one_frozen(folder: &Path, url: &str) {
    let replicas = fleet(folder, url, "1s").await;
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let mut times = Vec::new();
    for number in 0..10 {
        replicas[2].process.signal("STOP");
        times.push(suspend(&replicas[0].client, &format!("f-{number}")).await);
        replicas[2].process.signal("CONT");
        lift(&replicas[0].client, &format!("f-{number}")).await;
        while outcome(&replicas[2].client).await != proto::Outcome::Eligible {}
    }
    tell("suspend to ENFORCED, one frozen, limit 1 s", times, "max <= 1,060");
}

async fn recovery(folder: &Path, port: u16, url: &str) {
    let mut server = Some(redis(folder, port));
    let replicas = fleet(folder, url, "1s").await;
    let mut times = Vec::new();
    for _ in 0..5 {
        while !replicas[0].client.is_serving("freshness").await.unwrap() {}
        drop(server.take());
        while replicas[0].client.is_serving("freshness").await.unwrap() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        server = Some(redis(folder, port));
        let began = now();
        while outcome(&replicas[0].client).await != proto::Outcome::Eligible {}
        times.push(now() - began);
    }
    tell("first valid lease after Redis returned", times, "max <= 500");
}

fn lease_check() {
    let lease = Lease::default();
    lease.extend_to(Duration::MAX / 2);
    let count = 5_000_000_u32;
    let began = now();
    for _ in 0..count {
        assert!(black_box(&lease).holds_at(SystemClock.boot()));
    }
    let each = (now() - began) / count;
    println!(
        "{:52} {:12} ns                                       <= 100",
        "lease check",
        each.as_nanos()
    );
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    lease_check();
    let folder = tempfile::tempdir().unwrap();
    let inside = |name: &str| {
        let path = folder.path().join(name);
        std::fs::create_dir(&path).unwrap();
        path
    };
    let port = free_port();
    let server = redis(&inside("redis"), port);
    let url = |database: u8| format!("redis://127.0.0.1:{port}/{database}");
    all_healthy(&inside("healthy"), &url(0)).await;
    without_the_feed(&inside("deaf"), port).await;
    one_frozen(&inside("frozen"), &url(2)).await;
    drop(server);
    let port = free_port();
    recovery(&inside("away"), port, &format!("redis://127.0.0.1:{port}")).await;
}
