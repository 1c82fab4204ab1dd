//! Several replicas of one store, as real processes, each with a link of its own to a real server; and
//! customers who ask all of them on and on.

use super::link::Link;
use crate::redis_server::{Flavour, Server as Redis, free_port};
use crate::server::{LIMIT, Server};
use crate::two_people::TwoPeople as _;
use offergate::client::{Client, ClientError};
use offergate::clock::{Clock, SystemClock};
use offergate::wire::proto;
use proto::await_enforcement_request::Change;
use proto::{EnforcementState, Outcome, ReplicaProgress};
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// The staleness limit: how long a lease runs, all but.
pub(super) const LEASE: Duration = Duration::from_secs(1);

/// Two offers; one of them is suspended from the start.
const RULES: &str = r"
vendors:
  acme: {name: Acme}
  globex: {name: Globex}
products:
  shield: {name: Shield, class: ANTIVIRUS, vendors: [acme], components: []}
  lock: {name: Lock, class: ANTIVIRUS, vendors: [globex], components: []}
offers:
  shield-12m: {product: shield, unit: PERSON}
  lock-12m: {product: lock, unit: PERSON}
suspensions:
  old: {target: {vendor: globex}, actions: [OFFER], from: 2020-01-01T00:00:00Z, ticket: CHG-1, reason: Old}
";

/// Boot time of this machine, which all processes share.
pub(super) fn now() -> Duration {
    SystemClock.boot()
}

/// Waits for a condition, and fails the test when it does not come.
pub(super) async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let start = now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(now() - start < LIMIT, "never came: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// One replica.
pub(super) struct Replica {
    pub(super) name: String,
    /// `None` while it is down.
    process: Option<Server>,
    pub(super) client: Client,
    pub(super) link: Link,
    arguments: Vec<String>,
}

/// Some replicas, and the store's first server.
pub(super) struct Fleet {
    pub(super) replicas: Vec<Replica>,
    pub(super) redis: Redis,
    pub(super) folder: TempDir,
    /// How many nodes the store is said to have.
    nodes: u32,
}

impl Fleet {
    /// So many replicas, with rules, each with a lease.
    pub(super) async fn of(count: usize) -> Self {
        Self::on(Redis::start(Flavour::Redis), count, 1).await
    }

    /// The same, on a server with followers.
    pub(super) async fn on(redis: Redis, count: usize, nodes: u32) -> Self {
        let folder = TempDir::new().unwrap();
        let mut fleet = Self { replicas: Vec::new(), redis, folder, nodes };
        for number in 1..=count {
            let more: &[&str] = if number == 1 { &["--begin-history"] } else { &[] };
            fleet.add(&format!("r{number}"), more).await;
            if number == 1 {
                let rules = proto::RuleDocument { yaml: RULES.into(), name: "rules.yaml".into() };
                let asked = proto::ApplyRulesRequest {
                    document: Some(rules),
                    expected_revision: Some(0),
                    request_id: "rules".into(),
                    author: "ann".into(),
                    reason: "First rules".into(),
                    ticket: "CHG-1".into(),
                    ..<_>::default()
                };
                fleet.replicas[0].client.apply_rules_by_two(asked).await.unwrap();
            }
        }
        for replica in &fleet.replicas {
            replica.comes_to_say(Outcome::Eligible).await;
        }
        fleet
    }

    /// One more replica. It may have no lease yet.
    pub(super) async fn add(&mut self, name: &str, more: &[&str]) -> &Replica {
        self.add_on(self.redis.port, name, more).await
    }

    /// The same, on a server of the store's that listens on this port.
    pub(super) async fn add_on(&mut self, port: u16, name: &str, more: &[&str]) -> &Replica {
        let folder = self.folder.path().join(name);
        // There may be a disk of its own already.
        std::fs::create_dir_all(&folder).unwrap();
        let journal = folder.join("journal.db");
        let link = Link::to(port).await;
        let nodes = self.nodes.to_string();
        let listen = format!("127.0.0.1:{}", free_port());
        let mut arguments: Vec<&str> = vec!["--replica", name, "--staleness-limit", "1s"];
        arguments.extend(["--journal", journal.to_str().unwrap(), "--listen", &listen]);
        arguments.extend(["--store-nodes", &nodes]);
        let arguments: Vec<String> = arguments.into_iter().map(str::to_owned).collect();
        let process = start(&link, &arguments, more);
        let client = Client::connect(&process.address, LIMIT).await.unwrap();
        let process = Some(process);
        self.replicas.push(Replica { name: name.to_owned(), process, client, link, arguments });
        self.replicas.last().unwrap()
    }

    pub(super) fn replica(&self, number: usize) -> &Replica {
        &self.replicas[number - 1]
    }

    pub(super) fn replica_mut(&mut self, number: usize) -> &mut Replica {
        &mut self.replicas[number - 1]
    }

    /// How many changes the store holds.
    pub(super) fn log_length(&self) -> u64 {
        self.redis.cli(&["XLEN", "{offergate:default}:log"]).parse().unwrap()
    }

    /// Customers begin to ask.
    pub(super) fn ask_on_and_on(&self) -> Asking {
        Asking::begin(&self.replicas)
    }
}

fn start(link: &Link, arguments: &[String], more: &[&str]) -> Server {
    let url = format!("redis://127.0.0.1:{}", link.port);
    let all: Vec<&str> = arguments.iter().map(String::as_str).chain(more.iter().copied()).collect();
    let started = Server::try_start_quietly(Path::new(&url), &all);
    started.unwrap_or_else(|status| panic!("{all:?} ended with {status}"))
}

impl Replica {
    pub(super) fn process(&self) -> &Server {
        self.process.as_ref().unwrap()
    }

    pub(super) fn freeze(&self) {
        self.process().signal("STOP");
    }

    pub(super) fn thaw(&self) {
        self.process().signal("CONT");
    }

    /// Ends it as a crash would.
    pub(super) fn kill(&mut self) {
        self.process.take().unwrap().kill();
    }

    /// Tells it to end, and waits for that.
    pub(super) fn stop(&mut self) {
        let mut process = self.process.take().unwrap();
        process.signal("TERM");
        assert_eq!(process.wait().code(), Some(0));
    }

    /// Starts it again, on its journal and under its address.
    pub(super) fn start(&mut self) {
        self.process = Some(start(&self.link, &self.arguments, &[]));
    }

    /// Whether a customer may be offered something, now.
    pub(super) async fn check(&self, offer: &str) -> proto::Decision {
        check(&self.client, offer, proto::Action::Offer).await.unwrap()
    }

    pub(super) async fn outcome(&self) -> Outcome {
        self.check("shield-12m").await.outcome()
    }

    /// Waits until this is what it says of the offer that is not suspended at first.
    pub(super) async fn comes_to_say(&self, outcome: Outcome) {
        let what = format!("{} says {outcome:?}", self.name);
        until(&what, async || {
            let said = check(&self.client, "shield-12m", proto::Action::Offer).await;
            said.is_ok_and(|decision| decision.outcome() == outcome).then_some(())
        })
        .await;
    }

    /// What holds of a replica without a lease: a no stays a no, a yes is not known any more, notices go
    /// out, and it is not taken out of service.
    pub(super) async fn serves_without_a_lease(&self) {
        self.comes_to_say(Outcome::Indeterminate).await;
        let stale = self.check("shield-12m").await;
        let reasons: Vec<_> = stale.reasons.iter().map(proto::Reason::code).collect();
        assert_eq!(reasons, [proto::ReasonCode::RulesStale], "{}", self.name);
        assert_eq!(self.check("lock-12m").await.outcome(), Outcome::Ineligible, "{}", self.name);
        let notice = check(&self.client, "lock-12m", proto::Action::Notify).await.unwrap();
        assert_eq!(notice.outcome(), Outcome::Eligible, "{}", self.name);
        assert!(self.client.is_serving("").await.unwrap(), "{} is ready", self.name);
    }

    /// What it last heard from the store, in words.
    pub(super) async fn trouble(&self) -> Result<String, ClientError> {
        let listed = self.client.list_replicas(proto::ListReplicasRequest {}).await?;
        Ok(listed.trouble)
    }

    /// Suspends the offer that is not suspended at first.
    pub(super) async fn suspend(&self, id: &str) -> Result<u64, ClientError> {
        let created = self.client.create_suspension_by_two(suspension(id)).await?;
        Ok(created.revision.unwrap().number)
    }

    pub(super) async fn lift(&self, id: &str) -> Result<u64, ClientError> {
        Ok(self.client.lift_suspension_by_two(lift(id)).await?.revision.unwrap().number)
    }

    /// Asks, for so long, whether a change is enforced.
    pub(super) async fn wait_for(
        &self,
        request: &str,
        wait: Duration,
    ) -> Result<Enforcement, ClientError> {
        let change = Some(Change::RequestId(request.into()));
        let wait = Some(wait.try_into().unwrap());
        let asked = proto::AwaitEnforcementRequest { change, wait };
        self.client.await_enforcement(asked).await.map(Enforcement)
    }

    /// Waits until a change is enforced; returns when that was known, too.
    pub(super) async fn enforced(&self, request: &str) -> (Enforcement, Duration) {
        let enforcement = self.wait_for(request, Duration::from_secs(20)).await.unwrap();
        let at = now();
        assert_eq!(enforcement.0.state(), EnforcementState::Enforced, "{enforcement:?}");
        (enforcement, at)
    }
}

/// How far a change has got.
#[derive(Debug)]
pub(super) struct Enforcement(pub(super) proto::AwaitEnforcementResponse);

impl Enforcement {
    /// The names of the replicas that are so far.
    pub(super) fn that_are(&self, progress: ReplicaProgress) -> Vec<&str> {
        let replicas = self.0.replicas.iter().filter(|replica| replica.progress() == progress);
        replicas.map(|replica| replica.name.as_str()).collect()
    }
}

pub(super) fn suspension(id: &str) -> proto::CreateSuspensionRequest {
    let target = proto::target::Target::Vendor("acme".into());
    let suspension = proto::Suspension {
        id: id.into(),
        target: Some(proto::Target { target: Some(target) }),
        scope: Some(proto::Scope { actions: vec![proto::Action::Offer.into()], ..<_>::default() }),
        ticket: "CHG-2".into(),
        reason: "Found wanting".into(),
        ..<_>::default()
    };
    proto::CreateSuspensionRequest {
        suspension: Some(suspension),
        request_id: id.into(),
        author: "ann".into(),
        ..<_>::default()
    }
}

pub(super) fn lift(id: &str) -> proto::LiftSuspensionRequest {
    proto::LiftSuspensionRequest {
        id: id.into(),
        request_id: format!("lift-{id}"),
        author: "bob".into(),
        reason: "Mended".into(),
        ticket: "CHG-3".into(),
        ..<_>::default()
    }
}

pub(super) async fn check(
    client: &Client,
    offer: &str,
    action: proto::Action,
) -> Result<proto::Decision, ClientError> {
    let holding = proto::Holding { status: proto::HoldingStatus::None.into(), ..<_>::default() };
    let customer = proto::Customer { id: "c-1".into(), holding: Some(holding), ..<_>::default() };
    let asked = proto::CheckEligibilityRequest {
        customer: Some(customer),
        offer: offer.into(),
        action: action.into(),
        ..<_>::default()
    };
    Ok(client.check_eligibility(asked).await?.decision.unwrap())
}

/// One answer: when it was asked for, when it came, and what it was.
#[derive(Debug, Clone, Copy)]
struct Answer {
    sent: Duration,
    received: Duration,
    outcome: Outcome,
}

/// Customers who ask every replica on and on, until they are told to end.
pub(super) struct Asking {
    customers: Vec<(String, JoinHandle<Vec<Answer>>)>,
    end: watch::Sender<bool>,
}

impl Asking {
    fn begin(replicas: &[Replica]) -> Self {
        let (end, ended) = watch::channel(false);
        let customer = |replica: &Replica| {
            let (client, ended) = (replica.client.clone(), ended.clone());
            (replica.name.clone(), tokio::spawn(ask(client, ended)))
        };
        let customers = replicas.iter().flat_map(|it| [customer(it), customer(it)]).collect();
        Self { customers, end }
    }

    /// Ends, once every customer has had an answer to something asked after now.
    pub(super) async fn end(self) -> Answers {
        // Long enough that each asks again; whoever hangs on a replica that stands still does not.
        tokio::time::sleep(Duration::from_millis(50)).await;
        self.end.send_replace(true);
        let mut all = Vec::new();
        for (name, customer) in self.customers {
            all.extend(customer.await.unwrap().into_iter().map(|answer| (name.clone(), answer)));
        }
        Answers(all)
    }
}

/// All that customers were answered, and by whom.
pub(super) struct Answers(Vec<(String, Answer)>);

impl Answers {
    /// Proves that no check was answered with a yes that was sent after a suspension was enforced and
    /// answered before it was to be lifted. Returns how many there were.
    pub(super) fn never_eligible_between(&self, enforced: Duration, lifted: Duration) -> usize {
        let asked = self.0.iter().filter(|(_, it)| enforced < it.sent && it.received < lifted);
        let mut count = 0;
        for (name, answer) in asked {
            count += 1;
            let late = answer.sent - enforced;
            let said = answer.outcome;
            assert_ne!(said, Outcome::Eligible, "{name}, asked {late:?} after it was enforced");
        }
        count
    }

    /// The same of a suspension that stays. Somebody must have asked.
    pub(super) fn never_eligible_after(&self, enforced: Duration) {
        let count = self.never_eligible_between(enforced, Duration::MAX);
        assert!(0 < count, "nobody asked after the suspension was enforced");
    }
}

async fn ask(client: Client, ended: watch::Receiver<bool>) -> Vec<Answer> {
    let mut answers = Vec::new();
    while !*ended.borrow() {
        let sent = now();
        // A replica that is down has no answer, which is no yes.
        if let Ok(decision) = check(&client, "shield-12m", proto::Action::Offer).await {
            answers.push(Answer { sent, received: now(), outcome: decision.outcome() });
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    answers
}
