//! Changes: built from the rules in force, checked, compiled, written, in effect, acknowledged; in
//! this order.
//!
//! Invariant: nothing is written that does not compile, and nothing is acknowledged that is not in
//! effect here. A write that ends unclear puts the held rules in doubt until the store was read; a
//! store that is found damaged, for good.

use super::history::Revised;
use super::{Service, ServiceError};
use crate::audit::{ChangeKind, Proposal, Record, RequestId};
use crate::decision::Snapshot;
use crate::domain::{Revision, RuleChange, RuleSet, Timestamp};
use crate::replica::{Follower, Freshness, Held, InstallError};
use crate::rules;
use crate::store::{BoxError, Head, Loaded, StoreError};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How often a change without an expected revision is built anew because another one came first.
const MOST_ATTEMPTS: usize = 8;

/// How often rules in doubt are looked at again: often enough that checks are soon answered, seldom
/// enough that a store in trouble is left in peace.
const MEND_INTERVAL: Duration = Duration::from_millis(250);

/// How long a change waits for the journal to hold the one before it.
const JOURNAL_LIMIT: Duration = Duration::from_secs(1);

/// Of how many looks in a row that settle nothing one is logged: one a minute.
const LOOKS_A_LINE: u32 = 240;

/// How many changes may be under way or wait: as many as people ever make at once. Each may hold a
/// rule file's worth of memory.
pub(super) const MOST_CHANGES: usize = 64;

/// Who asks for a change, and why.
#[derive(Debug, Clone)]
pub struct Requester {
    /// The caller's name for this attempt.
    pub request_id: RequestId,
    /// Who asks.
    pub author: String,
    /// Why.
    pub reason: String,
    /// The change ticket.
    pub ticket: String,
    /// The revision that the caller has seen; `None` for whatever is newest.
    pub expected: Option<Revision>,
    /// Whether everything is checked and nothing is changed.
    pub validate_only: bool,
}

/// A change to make: from the rules before it and the instant of the request to its steps. It is
/// asked again when another change came first, and when a request is repeated.
pub struct Change {
    kind: ChangeKind,
    build: Box<Build>,
}

type Build = dyn Fn(&RuleSet, Timestamp) -> Result<RuleChange, ServiceError> + Send + Sync;

impl Change {
    /// A change of this kind.
    pub fn new(
        kind: ChangeKind,
        build: impl Fn(&RuleSet, Timestamp) -> Result<RuleChange, ServiceError> + Send + Sync + 'static,
    ) -> Self {
        Self { kind, build: Box::new(build) }
    }
}

impl std::fmt::Debug for Change {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Change").field("kind", &self.kind).finish_non_exhaustive()
    }
}

/// What came of a change.
#[derive(Debug)]
pub struct Changed {
    /// The revision that it led to; `None` if it was only checked, or changes nothing.
    pub revised: Option<Revised>,
    /// The rules before it.
    pub before: Arc<RuleSet>,
    /// The rules after it, as they are or would be.
    pub rules: Arc<RuleSet>,
}

/// A change that is ready to be written.
struct Prepared {
    proposal: Proposal,
    before: Loaded,
    after: RuleSet,
    snapshot: Snapshot,
}

impl Service {
    /// Makes a change. Goes on when the caller is gone: half a change is worse than one that nobody
    /// waits for.
    ///
    /// # Errors
    /// As [`ServiceError`] lists them. Whatever the error but [`ServiceError::NotInEffect`],
    /// [`ServiceError::BrokenOff`] and an unavailable store, nothing was changed.
    pub async fn change(
        self: &Arc<Self>,
        requester: Requester,
        change: Change,
    ) -> Result<Changed, ServiceError> {
        let place = Arc::clone(&self.changes).try_acquire_owned();
        let place = place.map_err(|_| ServiceError::Overloaded { most: MOST_CHANGES })?;
        let service = Arc::clone(self);
        let work = async move {
            let _place = place;
            let _writing = service.writing.lock().await;
            let changed = service.change_now(Arc::new(requester), Arc::new(change)).await;
            if let (Err(ServiceError::Store(error @ StoreError::Corrupt { .. })), None) =
                (&changed, &service.follower)
            {
                service.give_up(error);
            }
            changed
        };
        tokio::spawn(work).await.unwrap_or_else(|_| {
            if self.follower.is_none() {
                self.replica.doubt();
            }
            Err(ServiceError::BrokenOff)
        })
    }

    async fn change_now(
        &self,
        requester: Arc<Requester>,
        change: Arc<Change>,
    ) -> Result<Changed, ServiceError> {
        if self.damaged.load(Ordering::Acquire) {
            let (place, source) = ("the store".to_owned(), "it was found damaged before".into());
            return Err(StoreError::Corrupt { place, source }.into());
        }
        if let Some(follower) = &self.follower
            && !follower.journal_is_complete(JOURNAL_LIMIT).await
        {
            let (doing, source) = ("making a change", "the journal cannot be written".into());
            return Err(StoreError::NotWritten { doing, source }.into());
        }
        if let Some(record) = self.store.record_of(&requester.request_id).await? {
            return self.repeat(record, requester, change).await;
        }
        let mut attempts = 0;
        loop {
            attempts += 1;
            let before = self.store.load().await?;
            let actual = before.head.revision;
            if let Some(expected) = requester.expected.filter(|&expected| expected != actual) {
                return Err(StoreError::Conflict { expected, actual }.into());
            }
            // Never before the change before it, even if that is not in effect here yet.
            let at = self.instants_after(before.changed_at).now;
            let (asked, built) = (Arc::clone(&requester), Arc::clone(&change));
            let prepared = on_another_thread(move || prepare(before, &asked, &built, at)).await?;
            let prepared = match prepared {
                Ok(prepared) if !requester.validate_only => prepared,
                Ok(Prepared { before, after, .. }) => {
                    return Ok(Changed::nothing(before.rules, after));
                }
                Err(unchanged) => return Ok(Changed::nothing(unchanged.clone(), unchanged)),
            };
            match self.write(prepared).await {
                Err(ServiceError::Store(StoreError::Conflict { .. }))
                    if requester.expected.is_none() && attempts < MOST_ATTEMPTS => {}
                written => return written,
            }
        }
    }

    /// Writes a change and puts it into effect.
    async fn write(&self, prepared: Prepared) -> Result<Changed, ServiceError> {
        let Prepared { proposal, before, after, snapshot } = prepared;
        // First, since the change may land and its answer get lost.
        self.floor.raise(proposal.at);
        let applied = match self.store.apply(&proposal, before.head.revision).await {
            Ok(applied) => applied,
            Err(error) => {
                // Where others write too, only renewals tell what is known.
                if let (StoreError::Unavailable { .. }, None) = (&error, &self.follower) {
                    self.settle(true).await;
                }
                return Err(error.into());
            }
        };
        let revised = Revised::new(applied.record, &before.head.lineage);
        let rules = Arc::new(after.clone());
        match &self.follower {
            None => {
                let Record { revision, chain, .. } = revised.record;
                let head = Head { revision, chain, ..before.head.clone() };
                let changed_at = before.changed_at.max(Some(proposal.at));
                let held = Held::new(Loaded { head, rules: after, changed_at }, snapshot);
                self.hold(held, revision)?;
            }
            Some(follower) => follow(follower, revised.record.revision).await?,
        }
        self.announce();
        Ok(Changed { revised: Some(revised), before: Arc::new(before.rules), rules })
    }

    fn hold(&self, held: Held, revision: Revision) -> Result<(), ServiceError> {
        let swapped = self.replica.swap(held).map(drop);
        swapped.map_err(|source| ServiceError::NotInEffect { revision, source: source.into() })
    }

    /// Answers a request that was carried out before, if it asks for the same.
    async fn repeat(
        &self,
        record: Record,
        requester: Arc<Requester>,
        change: Arc<Change>,
    ) -> Result<Changed, ServiceError> {
        let (request_id, revision) = (requester.request_id.clone(), record.revision);
        let reused = || StoreError::RequestReused { request_id: request_id.clone(), revision };
        let before = Revision(revision.0.saturating_sub(1));
        let before = self.store.load_at(before).await?.ok_or_else(reused)?;
        let lineage = before.head.lineage.clone();
        let at = record.proposal.at;
        let prepared = on_another_thread(move || prepare(before, &requester, &change, at)).await?;
        let Ok(prepared) = prepared else { return Err(reused().into()) };
        if !prepared.proposal.asks_the_same_as(&record.proposal) {
            return Err(reused().into());
        }
        // It may have been written by a process that died before it was in effect here.
        match &self.follower {
            Some(follower) => follow(follower, revision).await?,
            None if self.is_held(revision) => {}
            None => {
                let installed = self.replica.install(self.store.load().await?);
                let not = |source: InstallError| source.into();
                installed.map_err(|source| ServiceError::NotInEffect {
                    revision,
                    source: not(source),
                })?;
                if !self.is_held(revision) {
                    self.replica.doubt();
                    return Err(ServiceError::BrokenOff);
                }
            }
        }
        self.announce();
        self.floor.raise(at);
        let revised = Some(Revised::new(record, &lineage));
        let (before, rules) = (Arc::new(prepared.before.rules), Arc::new(prepared.after));
        Ok(Changed { revised, before, rules })
    }

    fn is_held(&self, revision: Revision) -> bool {
        self.replica.held().is_some_and(|held| revision <= held.head.revision)
    }

    /// Finds out what a write that ended unclear has done. Until that is known, what is held is in
    /// doubt. Returns whether it is known.
    async fn settle(&self, tell: bool) -> bool {
        self.replica.doubt();
        let settled = match self.store.load().await {
            Ok(loaded) => self.replica.install(loaded).map(drop).map_err(BoxError::from),
            Err(error) => {
                if let StoreError::Corrupt { .. } = error {
                    self.give_up(&error);
                }
                Err(error.into())
            }
        };
        match &settled {
            Ok(()) => self.announce(),
            Err(error) if tell => tracing::error!(error = &**error, "Rules are in doubt"),
            Err(_) => {}
        }
        settled.is_ok()
    }

    /// The store holds something else than what was written to it: nothing that it says later makes
    /// the held rules certain again.
    fn give_up(&self, error: &StoreError) {
        self.replica.doubt();
        if !self.damaged.swap(true, Ordering::AcqRel) {
            tracing::error!(
                error = error as &dyn std::error::Error,
                "The store is damaged: nothing is answered ELIGIBLE or changed until a person has \
                 looked and started this server anew"
            );
        }
    }

    /// Goes on settling for as long as there is doubt, and watches the clock, until it is dropped. A
    /// server runs one.
    pub async fn mend(self: Arc<Self>) {
        if let Some(follower) = &self.follower {
            return self.relay(follower).await;
        }
        let (mut looks, mut was_behind) = (0, false);
        loop {
            tokio::time::sleep(MEND_INTERVAL).await;
            was_behind = self.watch_clock(was_behind);
            // No write may come into doubt between the look at the store and what it settles.
            let _writing = self.writing.lock().await;
            let is_in_doubt = self.replica.freshness(self.clock.boot()) == Freshness::Stale;
            let can_settle = is_in_doubt && !self.damaged.load(Ordering::Acquire);
            if can_settle && !self.settle(looks % LOOKS_A_LINE == 0).await {
                looks = looks.wrapping_add(1);
            } else {
                looks = 0;
            }
        }
    }

    /// Tells watchers of what the follower takes over, and watches the clock.
    async fn relay(&self, follower: &Follower) {
        let (mut revisions, mut was_behind) = (follower.revisions(), false);
        loop {
            let _ = tokio::time::timeout(MEND_INTERVAL, revisions.changed()).await;
            self.announce();
            was_behind = self.watch_clock(was_behind);
        }
    }

    /// Tells watchers what is in effect.
    fn announce(&self) {
        if let Some(held) = self.replica.held() {
            self.newest.send_if_modified(|newest| {
                let later = *newest < held.head.revision;
                *newest = held.head.revision.max(*newest);
                later
            });
        }
    }
}

impl Changed {
    fn nothing(before: RuleSet, rules: RuleSet) -> Self {
        Self { revised: None, before: Arc::new(before), rules: Arc::new(rules) }
    }
}

/// Takes over what the store has, up to a revision that it is known to hold.
async fn follow(follower: &Follower, revision: Revision) -> Result<(), ServiceError> {
    let followed = follower.catch_up(revision).await;
    follower.wake();
    followed.map_err(|source| ServiceError::NotInEffect { revision, source })
}

/// Builds a change and proves that it can take effect; or gives the rules back if nothing changes.
fn prepare(
    before: Loaded,
    requester: &Requester,
    change: &Change,
    at: Timestamp,
) -> Result<Result<Prepared, RuleSet>, ServiceError> {
    let steps = (change.build)(&before.rules, at)?;
    if steps.is_empty() {
        return Ok(Err(before.rules));
    }
    let after = before.rules.after(&steps);
    let snapshot = compile(&after, before.head.revision.next())?;
    let proposal = Proposal {
        request_id: requester.request_id.clone(),
        kind: change.kind,
        author: requester.author.clone(),
        approver: None,
        reason: requester.reason.clone(),
        ticket: requester.ticket.clone(),
        at,
        change: steps,
    };
    Ok(Ok(Prepared { proposal, before, after, snapshot }))
}

/// Compiles rules that may make no sense.
pub(super) fn compile(rules: &RuleSet, revision: Revision) -> Result<Snapshot, ServiceError> {
    let problems = rules::check(rules);
    if !problems.is_empty() {
        return Err(ServiceError::Rules(problems));
    }
    Snapshot::compile(rules, revision).map_err(ServiceError::Compile)
}

/// Runs work that takes long for a processor, so that checks on this thread go on.
pub(super) async fn on_another_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ServiceError> + Send + 'static,
) -> Result<T, ServiceError> {
    tokio::task::spawn_blocking(work).await.unwrap_or(Err(ServiceError::BrokenOff))
}
