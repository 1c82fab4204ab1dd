//! Replicas in the test's own process, on a store in memory, in virtual time: what takes hours passes at
//! once, and every clock runs as the test says.

use crate::two_people::{APPROVER, proposing};
use futures_util::future::BoxFuture;
use offergate::audit::{ChangeKind, NewRecord, Party, Record, RequestId};
use offergate::clock::Clock;
use offergate::domain::Principal;
use offergate::domain::{
    Action, Attribute, CheckRequest, Consistency, Customer, Holding, Lineage, Outcome, Revision,
    RuleSet, Suspension, Timestamp,
};
use offergate::replica::{Follower, Identity, Replica, Terms};
use offergate::rules;
use offergate::service::{Awaited, Enforcement, Reached, Requester, Service, ServiceError};
use offergate::store::memory::MemoryStore;
use offergate::store::{
    Applied, Confirmation, Fleet, Head, Incarnation, Journal, Loaded, Renewal, ReplicaName, Report,
    RuleStore, SharedStore, Shortfall, Sighting, StoreError,
};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

const RULES: &str = r"
vendors:
  acme: {name: Acme}
products:
  shield: {name: Shield, class: ANTIVIRUS, vendors: [acme], components: []}
offers:
  shield-12m: {product: shield, unit: PERSON}
";

/// A clock of virtual time that runs fast, slow or not at all.
pub(super) struct Drifting(Mutex<Reading>);

struct Reading {
    since: Instant,
    boot: Duration,
    /// Its rate, in parts of a thousand.
    rate: u32,
    /// How far the wall clock is from what everybody else's says.
    wall: i64,
}

impl Drifting {
    fn new(rate: u32) -> Self {
        let (since, boot) = (Instant::now(), Duration::from_secs(1000));
        Self(Mutex::new(Reading { since, boot, rate, wall: 0 }))
    }

    /// Runs at this rate from now on.
    pub(super) fn run_at(&self, rate: u32) {
        let boot = self.boot();
        let mut reading = self.0.lock().unwrap();
        (reading.since, reading.boot, reading.rate) = (Instant::now(), boot, rate);
    }

    /// Somebody sets the wall clock, so many hours off.
    pub(super) fn set_wall(&self, hours: i64) {
        self.0.lock().unwrap().wall = hours;
    }
}

impl Clock for Drifting {
    fn wall(&self) -> Timestamp {
        let reading = self.0.lock().unwrap();
        let passed = (Instant::now() - reading.since).as_millis();
        let start = Timestamp::from_second(1_800_000_000 + reading.wall * 3600).unwrap();
        start + Duration::from_millis(u64::try_from(passed).unwrap())
    }

    fn boot(&self) -> Duration {
        let reading = self.0.lock().unwrap();
        reading.boot + (Instant::now() - reading.since) * reading.rate / 1000
    }
}

/// What becomes of what one replica asks the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mood {
    Well,
    /// Nobody answers.
    Away,
    /// All is done at once, and told so much later.
    Slow(Duration),
    /// Whoever fetches records waits for another mood.
    KeepsRecords,
}

/// One replica's way to the store.
pub(super) struct Wire {
    store: MemoryStore,
    mood: watch::Sender<Mood>,
}

impl Wire {
    async fn carry<'a, T>(
        &'a self,
        call: impl FnOnce(&'a MemoryStore) -> BoxFuture<'a, Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let mood = *self.mood.borrow();
        if mood == Mood::Away {
            return Err(StoreError::Unavailable { doing: "asking", source: "it is away".into() });
        }
        let answer = call(&self.store).await;
        if let Mood::Slow(delay) = mood {
            tokio::time::sleep(delay).await;
        }
        answer
    }
}

/// Each method asks the store in memory.
macro_rules! carried {
    ($($name:ident($($argument:ident: $type:ty),*) -> $answer:ty;)*) => {$(
        fn $name<'a>(&'a self $(, $argument: $type)*) -> BoxFuture<'a, Result<$answer, StoreError>> {
            Box::pin(self.carry(move |store| store.$name($($argument),*)))
        }
    )*};
}

impl RuleStore for Wire {
    carried! {
        apply(content: &'a NewRecord, expected: Revision) -> Applied;
        record_of(request_id: &'a RequestId) -> Option<Record>;
        backup(path: &'a Path) -> Head;
    }

    fn load(&self) -> BoxFuture<'_, Result<Loaded, StoreError>> {
        Box::pin(self.carry(MemoryStore::load))
    }

    fn load_at(&self, revision: Revision) -> BoxFuture<'_, Result<Option<Loaded>, StoreError>> {
        Box::pin(self.carry(move |store| store.load_at(revision)))
    }

    fn records(
        &self,
        after: Revision,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<Record>, StoreError>> {
        Box::pin(async move {
            let mut mood = self.mood.subscribe();
            mood.wait_for(|mood| *mood != Mood::KeepsRecords).await.unwrap();
            self.carry(move |store| store.records(after, limit)).await
        })
    }
}

impl SharedStore for Wire {
    carried! {
        renew(report: &'a Report) -> Renewal;
        leave(incarnation: &'a Incarnation) -> ();
        fleet(place: &'a Head) -> Fleet;
        forget(gone: &'a [Sighting]) -> ();
        confirm(place: &'a Head, limit: Duration) -> Confirmation;
    }

    fn head(&self) -> BoxFuture<'_, Result<Option<Head>, StoreError>> {
        Box::pin(self.carry(MemoryStore::head))
    }

    fn next_change(
        &self,
        revision: Revision,
        limit: Duration,
    ) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(self.carry(move |store| store.next_change(revision, limit)))
    }

    fn shortfalls(&self) -> BoxFuture<'_, Result<Vec<Shortfall>, StoreError>> {
        Box::pin(self.carry(MemoryStore::shortfalls))
    }
}

/// A journal in memory, which can be full or slow.
#[derive(Default)]
pub(super) struct Notes {
    pub(super) full: AtomicBool,
    pub(super) slow: AtomicBool,
    written: Mutex<Option<(Lineage, Vec<Record>)>>,
    /// Histories that were set aside.
    pub(super) aside: Mutex<Vec<Lineage>>,
}

impl Notes {
    /// The last revision in it.
    pub(super) fn last(&self) -> u64 {
        self.written.lock().unwrap().as_ref().map_or(0, |(_, records)| records.len() as u64)
    }
}

impl Journal for Notes {
    fn load(&self) -> BoxFuture<'_, Result<Option<Loaded>, StoreError>> {
        let written = self.written.lock().unwrap();
        let loaded = written.as_ref().map(|(lineage, records)| {
            let last = records.last().expect("it begins with a record");
            let mut loaded = Loaded::start(lineage.clone());
            records.iter().for_each(|record| loaded.take(record.place(), &record.content));
            assert_eq!((loaded.head.revision, loaded.head.chain), (last.revision, last.chain));
            loaded
        });
        Box::pin(std::future::ready(Ok(loaded)))
    }

    fn follow<'a>(
        &'a self,
        lineage: &'a Lineage,
        records: &'a [Record],
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            if self.full.load(Ordering::SeqCst) {
                let (doing, source) = ("writing the journal", "it is full".into());
                return Err(StoreError::NotWritten { doing, source });
            }
            if self.slow.load(Ordering::SeqCst) {
                tokio::time::sleep(Duration::from_secs(3)).await;
            }
            if !records.is_empty() {
                let mut written = self.written.lock().unwrap();
                let (of, all) = written.get_or_insert_with(|| (lineage.clone(), Vec::new()));
                assert_eq!(of, lineage, "another history never continues it");
                all.extend_from_slice(records);
            }
            Ok(())
        })
    }

    fn set_aside(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        let put = self.written.lock().unwrap().take();
        self.aside.lock().unwrap().extend(put.map(|(lineage, _)| lineage));
        Box::pin(std::future::ready(Ok(())))
    }

    fn predecessor(&self) -> Option<Incarnation> {
        None
    }
}

/// A store in memory that holds the rules as revision 1.
pub(super) async fn store(lineage: char) -> MemoryStore {
    let store = MemoryStore::new(Lineage::parse(&lineage.to_string().repeat(32)).unwrap());
    let change = rules::plan(&RuleSet::default(), &rules::read(RULES).unwrap()).change;
    let requester = requester("rules");
    let at = Timestamp::from_second(1_700_000_000).unwrap();
    let (kind, author) = (ChangeKind::ApplyRules, Party::from(&*requester.author));
    let content = NewRecord {
        reason: requester.reason,
        ticket: requester.ticket,
        ..NewRecord::made(requester.request_id, kind, author, at, change)
    };
    store.apply(&content, Revision::ZERO).await.unwrap();
    store
}

pub(super) fn requester(request: &str) -> Requester {
    Requester {
        request_id: RequestId::parse(request).unwrap(),
        author: Arc::new(Principal::unverified("ann")),
        address: None,
        reason: "because".into(),
        ticket: "CHG-1".into(),
        expected: None,
        validate_only: false,
    }
}

/// A suspension of the vendor of the offer.
fn suspension(id: &str) -> Suspension {
    let text = format!(
        "{RULES}suspensions:\n  {id}: {{target: {{vendor: acme}}, actions: [OFFER], \
         from: 2020-01-01T00:00:00Z, ticket: CHG-2, reason: Found wanting}}\n"
    );
    let rules = rules::read(&text).unwrap();
    (**rules.suspensions.values().next().unwrap()).clone()
}

/// One replica.
pub(super) struct Member {
    pub(super) service: Arc<Service>,
    pub(super) follower: Arc<Follower>,
    pub(super) clock: Arc<Drifting>,
    pub(super) journal: Arc<Notes>,
    wire: Arc<Wire>,
    running: JoinHandle<()>,
}

impl Member {
    /// A replica of the store, on a clock of this rate, with a staleness limit.
    pub(super) async fn of(store: &MemoryStore, name: &str, rate: u32, limit: Duration) -> Self {
        Self::with_journal(store, name, rate, limit, Arc::default()).await
    }

    pub(super) async fn with_journal(
        store: &MemoryStore,
        name: &str,
        rate: u32,
        limit: Duration,
        journal: Arc<Notes>,
    ) -> Self {
        let wire = Arc::new(Wire { store: store.clone(), mood: watch::channel(Mood::Well).0 });
        let clock = Arc::new(Drifting::new(rate));
        let replica = Arc::new(Replica::of_many());
        let run = uuid::Uuid::new_v4().simple().to_string();
        let identity = Identity {
            name: ReplicaName::parse(name).unwrap(),
            incarnation: Incarnation::parse(&run).unwrap(),
            address: format!("{name}.example:7443"),
        };
        let follower = Follower::start(
            Arc::clone(&wire) as _,
            Arc::clone(&journal) as _,
            Arc::clone(&replica),
            Arc::clone(&clock) as _,
            Terms::of(limit),
            identity,
            offergate::service::is_sound,
        );
        let follower = follower.await.unwrap();
        let running = tokio::spawn(Arc::clone(&follower).run());
        let clocked = Arc::clone(&clock) as _;
        let service =
            Service::join(Arc::clone(&wire) as _, replica, Arc::clone(&follower), clocked, None);
        Self { service, follower, clock, journal, wire, running }
    }

    pub(super) fn set(&self, mood: Mood) {
        self.wire.mood.send_replace(mood);
    }

    /// What a customer is told.
    pub(super) async fn says(&self, consistency: &Consistency) -> Outcome {
        let customer = Customer {
            id: "c-1",
            relationship: Attribute::Missing,
            country: Attribute::Missing,
            segment: Attribute::Missing,
            us_person: Attribute::Missing,
            date_of_birth: Attribute::Missing,
            vulnerable: Attribute::Missing,
            holding: Attribute::Known(Holding::NONE),
            holdings: <_>::default(),
            attributes: <_>::default(),
        };
        let (channel, device) = (Attribute::Missing, Attribute::Missing);
        let (offer, action) = ("shield-12m", Action::Offer);
        let request = CheckRequest { customer, offer, action, channel, device };
        let view = self.service.view_for(consistency).await;
        view.check(&request, consistency, None).unwrap().decision.outcome
    }

    /// What a customer is told by the lease.
    pub(super) async fn says_leased(&self) -> Outcome {
        self.says(&Consistency::Leased).await
    }

    pub(super) async fn comes_to_say(&self, outcome: Outcome) {
        comes(&format!("it says {outcome:?}"), async || self.says_leased().await == outcome).await;
    }

    /// Suspends the vendor of the offer, from now on.
    pub(super) async fn suspend(&self, id: &str) -> Result<u64, ServiceError> {
        let proposer = requester(&proposing(id));
        let proposed = self.service.suspend(proposer, suspension(id), true).await?;
        let (change, proposal) = proposed.proposal.unwrap();
        let other = Arc::new(Principal::unverified(APPROVER));
        let approver = Requester { author: other, ..requester(id) };
        let approved = self.service.approve(approver, change, proposal.digest).await?;
        Ok(approved.revised.unwrap().record.revision.0)
    }

    /// The same in an emergency, alone.
    pub(super) async fn suspend_alone(&self, id: &str) -> Result<u64, ServiceError> {
        let suspension = suspension(id);
        let changed = self.service.suspend_in_emergency(requester(id), suspension).await?;
        Ok(changed.revised.unwrap().record.revision.0)
    }

    /// Waits until a change is enforced.
    pub(super) async fn enforced(&self, request: &str) -> Enforcement {
        let awaited = Awaited::Request(RequestId::parse(request).unwrap());
        let wait = Duration::from_secs(3600);
        let enforcement = self.service.await_enforcement(awaited, wait).await.unwrap();
        assert_eq!(enforcement.reached, Reached::Enforced, "{enforcement:?}");
        enforcement
    }

    /// How far it says that it is.
    pub(super) async fn reports(&self, store: &MemoryStore) -> u64 {
        let head = store.load().await.unwrap().head;
        let fleet = store.fleet(&head).await.unwrap();
        let own = &self.follower.identity().incarnation;
        let seen = fleet.members.iter().find(|seen| seen.incarnation == *own);
        seen.map_or(0, |seen| seen.revision.0)
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.running.abort();
    }
}

/// Waits, in virtual time, for what must come.
pub(super) async fn comes(what: &str, mut look: impl AsyncFnMut() -> bool) {
    for _ in 0..100_000 {
        if look().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("never came: {what}");
}
