//! The use cases: check, explain, plan, apply, suspend, lift, exempt, watch, find.
//!
//! This layer reads the clock, calls `decide`, writes through the store, and knows no protocol. A
//! check does no I/O and cannot fail; a change is checked and compiled before it is written, and is
//! in effect before it is acknowledged.

mod answer;
pub mod catalog;
mod change;
mod check;
mod documents;
mod error;
mod explain;
mod history;
mod preview;
mod sentences;
mod suspend;

pub use answer::Answer;
pub use change::{Change, Changed, Requester};
pub use check::{OfferAnswer, View};
pub use documents::RuleFile;
pub use error::ServiceError;
pub use explain::{Explanation, RulesAsked};
pub use history::Revised;
pub use preview::{Count, OfferEffect, Preview, PreviewRequest, Proposed, Sample};

/// What a caller names an attempt by.
pub use crate::audit::RequestId;
/// What an explanation shows, step by step.
pub use crate::decision::{CriterionTrace, Effect, SuspensionTrace, Timing, Verdict};
/// The rules of one revision.
pub use crate::replica::Held;
/// What a rule file changes, and what is wrong with one.
pub use crate::rules::{Difference, DifferenceKind, Plan, Problem};
/// Why the store said no.
pub use crate::store::StoreError;

use crate::clock::Clock;
use crate::domain::{Outcome, ReasonCode, Revision, Timestamp};
use crate::replica::{Freshness, InstallError, Replica};
use crate::store::RuleStore;
use crate::telemetry::Decisions;
use std::sync::atomic::AtomicI64;
use std::sync::{Arc, LazyLock};
use std::time::Duration;
use tokio::sync::{Mutex, Semaphore, watch};

/// What a server does, whatever the protocol it is asked in.
pub struct Service {
    store: Arc<dyn RuleStore>,
    replica: Replica,
    clock: Arc<dyn Clock>,
    staleness_limit: Duration,
    decisions: Option<Arc<Decisions>>,
    /// One change at a time: the others would only conflict.
    writing: Mutex<()>,
    /// Places for the changes that wait for that.
    changes: Arc<Semaphore>,
    /// The newest revision in effect.
    newest: watch::Sender<Revision>,
    /// When the last change was made here, in microseconds since 1970. A wall clock that steps back
    /// must not take a check to before a suspension that was acknowledged.
    last_change: AtomicI64,
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

    /// Loads the rules, and can answer from then on.
    ///
    /// # Errors
    /// When the rules cannot be loaded or used.
    pub async fn start(
        store: Arc<dyn RuleStore>,
        clock: Arc<dyn Clock>,
        staleness_limit: Duration,
        decisions: Option<Arc<Decisions>>,
    ) -> Result<Arc<Self>, StartError> {
        let replica = Replica::alone();
        let held = replica.install(store.load().await?)?;
        let (newest, _) = watch::channel(held.head.revision);
        let writing = Mutex::default();
        let last_change = AtomicI64::new(i64::MIN);
        Ok(Arc::new(Self {
            store,
            replica,
            clock,
            staleness_limit,
            decisions,
            writing,
            changes: Arc::new(Semaphore::new(change::MOST_CHANGES)),
            newest,
            last_change,
        }))
    }

    /// The rules held now.
    #[must_use]
    pub fn held(&self) -> Option<Arc<Held>> {
        self.replica.held()
    }

    /// Whether checks can be answered `ELIGIBLE` at all: rules are there, and known to be the newest.
    ///
    /// # Errors
    /// Why not, in words for an operator.
    pub fn ready(&self) -> Result<(), String> {
        match self.replica.held() {
            None => Err("no rules are loaded".to_owned()),
            Some(held) if held.head.revision == Revision::ZERO => {
                Err("no rules have been applied yet".to_owned())
            }
            Some(_) if self.replica.freshness(self.clock.boot()) == Freshness::Stale => {
                Err("the rules held may not be the newest".to_owned())
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
