//! A bank whose people change its rules: the use cases over a store in memory, with principals as an issuer
//! vouches for them and a clock that the test sets.

use offergate::audit::{Act, NewRecord, RequestId};
use offergate::clock::Clock;
use offergate::domain::{
    Action, Attribute, CheckRequest, Consistency, Customer, Holding, Lineage, Outcome, Principal,
    PrincipalId, PrincipalKind, Revision, Suspension, Timestamp,
};
use offergate::rules;
use offergate::service::{Changed, Digest, Requester, RuleFile, Service, ServiceError};
use offergate::store::memory::MemoryStore;
use offergate::store::{Loaded, RuleStore};
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub(crate) const RULES: &str = "
vendors: {acme: {name: Acme}, other: {name: Other}}
products:
  shield: {name: Shield, class: ANTIVIRUS, vendors: [acme], components: []}
  lock: {name: Lock, class: VPN, vendors: [other], components: []}
offers: {shield-12m: {product: shield}, lock-12m: {product: lock}}
";

const NOON: &str = "2026-03-01T12:00:00Z";

/// A clock that stands where the test puts it.
pub(crate) struct SetClock(Mutex<Timestamp>);

impl SetClock {
    pub(crate) fn at(now: Timestamp) -> Self {
        Self(Mutex::new(now))
    }
}

impl Clock for SetClock {
    fn wall(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }

    fn boot(&self) -> Duration {
        Duration::ZERO
    }
}

/// A bank with its rules in force, and its people.
pub(crate) struct Bank {
    pub(crate) service: Arc<Service>,
    pub(crate) store: MemoryStore,
    pub(crate) clock: Arc<SetClock>,
}

impl Bank {
    pub(crate) async fn open() -> Self {
        let lineage = Lineage::parse(&"0123456789abcdef".repeat(2)).unwrap();
        let store = MemoryStore::new(lineage);
        let clock = Arc::new(SetClock::at(NOON.parse().unwrap()));
        let service = start(&store, &clock).await;
        let bank = Self { service, store, clock };
        let file = RuleFile { text: RULES.to_owned(), name: "rules.yaml".to_owned() };
        let (proposed, _) = bank.service.apply(by(person("ann"), "rules"), file).await.unwrap();
        bank.approve(person("ben"), &proposed).await.unwrap();
        bank
    }

    pub(crate) fn set(&self, now: &str) {
        *self.clock.0.lock().unwrap() = now.parse().unwrap();
    }

    /// Asks to suspend an offer from the approval on.
    pub(crate) async fn propose(&self, who: Principal, id: &str) -> Changed {
        let requester = by(who.clone(), &format!("propose-{id}-by-{}", who.id.subject));
        self.service.suspend(requester, suspension(id, "offer: shield-12m"), true).await.unwrap()
    }

    pub(crate) async fn approve(
        &self,
        who: Principal,
        proposed: &Changed,
    ) -> Result<Changed, ServiceError> {
        let (id, proposal) = proposed.proposal.as_ref().unwrap();
        self.approve_as_read(who, *id, proposal.digest).await
    }

    pub(crate) async fn approve_as_read(
        &self,
        who: Principal,
        id: Revision,
        digest: Digest,
    ) -> Result<Changed, ServiceError> {
        let request = format!("approve-{id}-by-{}", who.id.subject);
        self.service.approve(by(who, &request), id, digest).await
    }

    pub(crate) async fn emergency(
        &self,
        who: Principal,
        id: &str,
    ) -> Result<Changed, ServiceError> {
        let suspension = suspension(id, "offer: shield-12m");
        self.service.suspend_in_emergency(by(who, &format!("now-{id}")), suspension).await
    }

    pub(crate) async fn loaded(&self) -> Loaded {
        self.store.load().await.unwrap()
    }

    /// What a customer is told of the offer.
    pub(crate) async fn says(&self) -> Outcome {
        let customer = Customer { id: "c-1", ..Customer::default() };
        let request = CheckRequest {
            customer: Customer { holding: Attribute::Known(Holding::NONE), ..customer },
            offer: "shield-12m",
            action: Action::Offer,
            channel: Attribute::Missing,
            device: Attribute::Missing,
        };
        let view = self.service.view_for(&Consistency::Leased).await;
        view.check(&request, &Consistency::Leased, None).unwrap().decision.outcome
    }

    /// What is recorded after a revision: what happened, and by whom.
    pub(crate) async fn acts_after(&self, revision: u64) -> Vec<(Act, String)> {
        let records = self.store.records(Revision(revision), 1_000).await.unwrap();
        let act = |content: &NewRecord| (content.act, content.author.name.to_string());
        records.iter().map(|record| act(&record.content)).collect()
    }
}

pub(crate) async fn start(store: &MemoryStore, clock: &Arc<SetClock>) -> Arc<Service> {
    let (limit, clock) = (Service::STALENESS_LIMIT, Arc::clone(clock));
    Service::start(Arc::new(store.clone()), clock as _, limit, None).await.unwrap()
}

pub(crate) fn person(name: &str) -> Principal {
    Principal {
        id: PrincipalId { issuer: "https://id.bank.example".into(), subject: name.into() },
        ..Principal::unverified(name)
    }
}

/// An account that somebody answers for, or nobody.
pub(crate) fn robot(name: &str, owner: Option<&Principal>) -> Principal {
    let (kind, owner) = (PrincipalKind::Service, owner.map(|owner| owner.id.clone()));
    Principal { kind, owner, ..person(name) }
}

pub(crate) fn by(who: Principal, request: &str) -> Requester {
    Requester {
        request_id: RequestId::parse(request).unwrap(),
        author: Arc::new(who),
        address: Some("192.0.2.7".parse().unwrap()),
        reason: "Because".to_owned(),
        ticket: "CHG-1".to_owned(),
        expected: None,
        validate_only: false,
    }
}

pub(crate) fn suspension(id: &str, target: &str) -> Suspension {
    let text = format!(
        "{RULES}suspensions:\n  {id}: {{target: {{{target}}}, actions: [OFFER], \
         from: {NOON}, ticket: CHG-2, reason: Found wanting}}\n"
    );
    (**rules::read(&text).unwrap().suspensions.values().next().unwrap()).clone()
}

/// The stable name of what was refused.
pub(crate) fn code<T: std::fmt::Debug>(result: Result<T, ServiceError>) -> &'static str {
    match result {
        Err(ServiceError::Refused(refusal)) => refusal.code(),
        Err(ServiceError::Decided { .. }) => "CHANGE_DECIDED",
        Err(ServiceError::NotFound { .. }) => "NOT_FOUND",
        other => panic!("{other:?}"),
    }
}
