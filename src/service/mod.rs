//! The use cases: check, explain, plan; propose, approve, ratify; watch, find.
//!
//! This layer reads the clock, calls `decide`, writes through the store, and knows no protocol. A
//! check does no I/O and cannot fail; a change is checked and compiled before it is written, and is
//! in effect before it is acknowledged.

mod answer;
mod approve;
mod audit;
pub mod catalog;
mod change;
mod changes;
mod check;
mod decisions;
mod denied;
mod documents;
mod emergency;
mod enforce;
mod enforce_here;
mod error;
mod escalation;
mod explain;
mod exposures;
mod fleet;
mod history;
mod instants;
mod mailings;
mod mend;
mod permits;
mod preview;
mod reading;
mod record;
mod refusal;
mod refused;
mod replay;
mod sentences;
mod standing;
mod suspend;
mod watched;

pub use answer::Answer;
pub use approve::Edited;
pub use audit::{ConsistencyProof, InclusionProof};
pub use change::{Change, Changed, Requester};
pub use changes::{Shown, Standing, SuspensionHistory};
pub use check::{OfferAnswer, View};
pub use denied::{DenialCount, Denials, count as count_denied};
pub use documents::RuleFile;
pub use enforce::{Awaited, Enforcement, Progress, Reached};
pub use error::ServiceError;
pub use explain::{Explanation, RulesAsked};
pub use exposures::{DayCount, Exposure, Exposures};
pub use fleet::{FleetView, Member};
pub use history::Revised;
pub use mailings::{MailingAsked, MailingStanding, SignedMailing};
pub use permits::{PermitAnswer, Permitted};
pub use preview::{Count, OfferEffect, Preview, PreviewRequest, Proposed, Sample};
pub use refusal::Refusal;
pub use replay::{NotReplayed, ReplayDifference, ReplayRules, key_version, replay};

/// What a caller names an attempt by.
pub use crate::audit::RequestId;
/// What is in the log of changes, what signs it, and what waits for people.
pub use crate::audit::{
    Act, AuditKey, ChangeKind, Digest, Emergency, Party, Proposal, Record, Waiting,
};
/// What an explanation shows, step by step.
pub use crate::decision::{CompileError, CriterionTrace, Effect, SuspensionTrace, Timing, Verdict};
/// Why a decision could not be recorded.
pub use crate::recorder::LogFull;
/// The rules of one revision, and who holds a permit to act by them elsewhere.
pub use crate::replica::{Held, Holder};
/// What a rule file changes, and what is wrong with one.
pub use crate::rules::{Difference, DifferenceKind, Plan, Problem};
/// Why the store said no, and what its settings cost.
pub use crate::store::{
    CountedFrom, Incarnation, ReplicaName, SeenEnforced, Shortfall, StoreError,
};

use crate::clock::Clock;
use crate::domain::{Outcome, ReasonCode, Revision, RuleSet, Timestamp};
use crate::recorder::Recorder;
use crate::replica::{Follower, InstallError, MOST_PERMITS, Replica};
use crate::store::RuleStore;
use crate::telemetry::{Decisions, Enforcements};
use instants::Floor;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, OnceLock};
use std::time::Duration;
use tokio::sync::{Mutex, Semaphore, watch};

/// Whether rules make sense: every reference leads somewhere, and so on.
#[must_use]
pub fn is_sound(rules: &RuleSet) -> bool {
    crate::rules::check(rules).is_empty()
}

/// What a server does, whatever the protocol it is asked in.
pub struct Service {
    store: Arc<dyn RuleStore>,
    replica: Arc<Replica>,
    /// What keeps the replica up to date, where other processes write to the store too.
    follower: Option<Arc<Follower>>,
    /// Asks the store for strict checks, for several at once.
    looks: fleet::Looks,
    /// Places for those who wait for a change to be enforced.
    waits: Semaphore,
    /// Places for those who hold permits through this process, and the list of them.
    holders: Arc<Semaphore>,
    permit_list: permits::PermitList,
    clock: Arc<dyn Clock>,
    staleness_limit: Duration,
    decisions: Option<Arc<Decisions>>,
    /// One change at a time: the others would only conflict.
    writing: Mutex<()>,
    /// Places for the changes that wait for that.
    changes: Arc<Semaphore>,
    /// The newest revision in effect.
    newest: watch::Sender<Revision>,
    /// Whether the store was found damaged. A person must look, so what is held stays in doubt.
    damaged: AtomicBool,
    /// Where a wall clock that steps back takes no check: before the newest change.
    floor: Floor,
    /// How many more refusals are written singly.
    refusals: std::sync::Mutex<refusal::Allowance>,
    /// The tree over the log of changes.
    audit: audit::AuditLog,
    /// What writes decisions down, if they are.
    recorder: OnceLock<Arc<Recorder>>,
    /// A place for one who reads the decision log.
    readings: Semaphore,
    /// What measures waits, if they are.
    enforcements: OnceLock<Enforcements>,
    /// What this server sees of changes being enforced.
    watched: watched::Watched,
}

/// Why a service cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The store does not hand out its rules.
    #[error("rules cannot be loaded")]
    Store(#[from] StoreError),
    /// The rules are not usable.
    #[error("rules cannot be used")]
    Install(#[from] InstallError),
    /// They were not compiled to the end: a bug.
    #[error("compiling the rules broke off")]
    BrokenOff(#[source] tokio::task::JoinError),
}

impl Service {
    /// How long an answer may be relied on, unless a setting says otherwise.
    pub const STALENESS_LIMIT: Duration = Duration::from_secs(5);

    /// Every outcome's name, in the order in which decisions are counted.
    #[must_use]
    pub fn outcomes() -> &'static [&'static str] {
        static NAMES: LazyLock<Vec<&str>> =
            LazyLock::new(|| Outcome::ALL.into_iter().map(Outcome::name).collect());
        &NAMES
    }

    /// Every reason's name, in the order in which decisions are counted.
    #[must_use]
    pub fn reasons() -> &'static [&'static str] {
        static NAMES: LazyLock<Vec<&str>> =
            LazyLock::new(|| ReasonCode::ALL.into_iter().map(ReasonCode::name).collect());
        &NAMES
    }

    /// Loads the rules, and can answer from then on. This process alone writes to the store.
    ///
    /// # Errors
    /// When the rules cannot be loaded or used.
    pub async fn start(
        store: Arc<dyn RuleStore>,
        clock: Arc<dyn Clock>,
        staleness_limit: Duration,
        decisions: Option<Arc<Decisions>>,
    ) -> Result<Arc<Self>, StartError> {
        let replica = Arc::new(Replica::alone());
        let (loaded, installing) = (store.load().await?, Arc::clone(&replica));
        // Compiling takes time, and room that goes back to the system with the thread.
        let installed = tokio::task::spawn_blocking(move || installing.install(loaded).map(drop));
        installed.await.map_err(StartError::BrokenOff)??;
        let permits = permits::PermitList::begin(&*store, clock.boot()).await?;
        Ok(Self::new(store, replica, None, permits, clock, staleness_limit, decisions))
    }

    /// Serves as one of several replicas of a store, from whatever the replica holds by now.
    #[must_use]
    pub fn join(
        store: Arc<dyn RuleStore>,
        replica: Arc<Replica>,
        follower: Arc<Follower>,
        clock: Arc<dyn Clock>,
        decisions: Option<Arc<Decisions>>,
    ) -> Arc<Self> {
        let limit = follower.terms().limit;
        // The store keeps the list.
        let permits = permits::PermitList::default();
        Self::new(store, replica, Some(follower), permits, clock, limit, decisions)
    }

    fn new(
        store: Arc<dyn RuleStore>,
        replica: Arc<Replica>,
        follower: Option<Arc<Follower>>,
        permit_list: permits::PermitList,
        clock: Arc<dyn Clock>,
        staleness_limit: Duration,
        decisions: Option<Arc<Decisions>>,
    ) -> Arc<Self> {
        let held = replica.held().map(|held| held.head.revision);
        Arc::new(Self {
            store,
            replica,
            follower,
            looks: fleet::Looks::default(),
            waits: Semaphore::new(enforce::MOST_WAITS),
            holders: Arc::new(Semaphore::new(MOST_PERMITS)),
            permit_list,
            clock,
            staleness_limit,
            decisions,
            writing: Mutex::default(),
            newest: watch::channel(held.unwrap_or_default()).0,
            changes: Arc::new(Semaphore::new(record::MOST_CHANGES)),
            damaged: AtomicBool::new(false),
            floor: Floor::new(),
            refusals: std::sync::Mutex::default(),
            audit: audit::AuditLog::default(),
            recorder: OnceLock::new(),
            readings: Semaphore::new(1),
            enforcements: OnceLock::new(),
            watched: watched::Watched::default(),
        })
    }

    /// Hands every decision to this recorder from now on. The first one given stays.
    pub fn record_with(&self, recorder: Arc<Recorder>) {
        let _ = self.recorder.set(recorder);
    }

    /// Measures with this how long changes take to be enforced. The first one given stays.
    pub fn measure_with(&self, enforcements: Enforcements) {
        let _ = self.enforcements.set(enforcements);
    }

    /// The rules held now.
    #[must_use]
    pub fn held(&self) -> Option<Arc<Held>> {
        self.replica.held()
    }

    /// Whether checks are answered from rules at all. Whether those may be out of date is for
    /// [`Service::fresh`] to say: a whole fleet that leaves its balancer because one store is away
    /// would answer nobody.
    ///
    /// # Errors
    /// Why not, in words for an operator.
    pub fn ready(&self) -> Result<(), String> {
        match self.replica.held() {
            None => Err("no rules are loaded".to_owned()),
            Some(held) if held.rules_since == Revision::ZERO => {
                Err("no rules have been applied yet".to_owned())
            }
            Some(_) if self.damaged.load(Ordering::Acquire) => {
                Err("the store is damaged: a person must look, and start this server anew".into())
            }
            Some(_) => Ok(()),
        }
    }

    /// The instant that this service lives in.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.wall()
    }

    fn needs_rules(&self) -> Result<Arc<Held>, ServiceError> {
        self.replica.held().ok_or(ServiceError::NotLoaded)
    }
}

impl std::fmt::Debug for Service {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Service").field("newest", &*self.newest.borrow()).finish_non_exhaustive()
    }
}
