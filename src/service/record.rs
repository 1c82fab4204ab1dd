//! Records: built from the state they meet, checked, compiled, written, in effect, acknowledged; in this
//! order.
//!
//! Invariant: nothing is written that does not compile, and nothing is acknowledged that is not in
//! effect here. A write that ends unclear puts the held rules in doubt until the store was read; a
//! store that is found damaged, for good.

use super::approve::void;
use super::change::{Changed, Requester, compile, on_another_thread};
use super::history::Revised;
use super::{Service, ServiceError};
use crate::audit::{Act, NewRecord, Record};
use crate::decision::Snapshot;
use crate::domain::{Revision, RuleSet, Timestamp};
use crate::replica::{Follower, Held, InstallError, JournalStanding};
use crate::store::{Loaded, StoreError};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How often a record is built anew because another one came first.
pub(super) const MOST_ATTEMPTS: usize = 8;

/// How long a change waits for the journal to hold the one before it.
const JOURNAL_LIMIT: Duration = Duration::from_secs(1);

/// How many changes may be under way or wait: as many as people ever make at once. Each may hold a
/// rule file's worth of memory.
pub(super) const MOST_CHANGES: usize = 64;

/// Something to record: from the state before it and the instant of the request to the record; `None` if
/// it would change nothing. It is asked again when another record came first, and when a request is
/// repeated.
pub(super) struct Step {
    /// What is asked for, in one line; no customer is named.
    pub(super) asked: String,
    /// The proposal or the emergency that it is about.
    pub(super) about: Option<Revision>,
    pub(super) build: Box<Build>,
}

pub(super) type Build =
    dyn Fn(&Loaded, &Requester, Timestamp) -> Result<Option<NewRecord>, ServiceError> + Send + Sync;

/// A record that is ready to be written.
pub(super) struct Prepared {
    pub(super) content: NewRecord,
    pub(super) before: Loaded,
    /// The rules as they are, or would be, after it.
    pub(super) after: RuleSet,
    /// The same, compiled, if they are another set than before.
    pub(super) snapshot: Option<Snapshot>,
}

impl Service {
    /// Records what somebody asks for, or that it was refused. Goes on when the caller is gone: half a
    /// change is worse than one that nobody waits for.
    ///
    /// # Errors
    /// As [`ServiceError`] lists them. Whatever the error but [`ServiceError::NotInEffect`],
    /// [`ServiceError::BrokenOff`] and an unavailable store, nothing was changed.
    pub(super) async fn record(
        self: &Arc<Self>,
        requester: Requester,
        step: Step,
    ) -> Result<Changed, ServiceError> {
        let place = Arc::clone(&self.changes).try_acquire_owned();
        let place = place.map_err(|_| ServiceError::Overloaded { most: MOST_CHANGES })?;
        let service = Arc::clone(self);
        let work = async move {
            let _place = place;
            let _writing = service.writing.lock().await;
            let (requester, step) = (Arc::new(requester), Arc::new(step));
            let changed = service.record_now(Arc::clone(&requester), Arc::clone(&step)).await;
            match &changed {
                Err(ServiceError::Refused(refusal)) if !requester.validate_only => {
                    service.record_refusal(&requester, &step, refusal).await;
                }
                Err(ServiceError::Store(error @ StoreError::Corrupt { .. }))
                    if service.follower.is_none() =>
                {
                    service.give_up(error);
                }
                Ok(_) | Err(_) => {}
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

    async fn record_now(
        &self,
        requester: Arc<Requester>,
        step: Arc<Step>,
    ) -> Result<Changed, ServiceError> {
        if self.damaged.load(Ordering::Acquire) {
            let (place, source) = ("the store".to_owned(), "it was found damaged before".into());
            return Err(StoreError::Corrupt { place, source }.into());
        }
        if let Some(follower) = &self.follower {
            match follower.journal_within(JOURNAL_LIMIT).await {
                JournalStanding::Complete => {}
                JournalStanding::Behind { written, all } => {
                    return Err(ServiceError::JournalBehind { written, all });
                }
                JournalStanding::Failing => {
                    let source = "the journal cannot be written".into();
                    let doing = "making a change";
                    return Err(StoreError::NotWritten { doing, source }.into());
                }
            }
        }
        if let Some(record) = self.store.record_of(&requester.request_id).await? {
            return self.repeat(record, requester, step).await;
        }
        let mut attempts = 0;
        loop {
            attempts += 1;
            let before = self.store.load().await?;
            expected(&requester, &before)?;
            // Never before the change before it, even if that is not in effect here yet.
            let at = self.instants_after(before.changed_at).now;
            let (asked, built) = (Arc::clone(&requester), Arc::clone(&step));
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
                    if attempts < MOST_ATTEMPTS => {}
                written => return written,
            }
        }
    }

    /// Writes a record and puts its effect, if it has one, into effect.
    pub(super) async fn write(&self, prepared: Prepared) -> Result<Changed, ServiceError> {
        let Prepared { content, before, after, snapshot } = prepared;
        // First, since the change may land and its answer get lost.
        self.floor.raise(content.at);
        let began = self.clock.boot();
        let applied = match self.store.apply(&content, before.head.revision).await {
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
        let lineage = before.head.lineage.clone();
        let changed = Changed::of(revised, before.clone(), after);
        match &self.follower {
            None => {
                let mut next = before;
                let record = &changed.record()?.record;
                next.take(record.place(), &record.content);
                let revision = next.head.revision;
                let held = match (snapshot, self.replica.held()) {
                    (Some(snapshot), _) => Ok(Held::new(next, snapshot)),
                    (None, Some(held)) => held.followed_by(next),
                    (None, None) => Snapshot::compile(&next.rules, revision)
                        .map(|snapshot| Held::new(next, snapshot)),
                };
                let held = held.map_err(|source| InstallError::Compile { revision, source });
                let swapped = held.and_then(|held| self.replica.swap(held));
                swapped.map(drop).map_err(|source| ServiceError::NotInEffect {
                    revision,
                    source: source.into(),
                })?;
                self.watch_change(&changed.record()?.record, &lineage, began);
            }
            Some(follower) => {
                let record = &changed.record()?.record;
                self.watch_change(record, &lineage, began);
                follow(follower, record.revision).await?;
            }
        }
        self.announce();
        Ok(changed)
    }

    /// Answers a request that was carried out before, if it asks for the same.
    async fn repeat(
        &self,
        record: Record,
        requester: Arc<Requester>,
        step: Arc<Step>,
    ) -> Result<Changed, ServiceError> {
        let (request_id, revision) = (requester.request_id.clone(), record.revision);
        let reused = || StoreError::RequestReused { request_id: request_id.clone(), revision };
        let before = Revision(revision.0.saturating_sub(1));
        let before = self.store.load_at(before).await?.ok_or_else(reused)?;
        let lineage = before.head.lineage.clone();
        let at = record.content.at;
        let prepared = on_another_thread(move || prepare(before, &requester, &step, at)).await;
        // What could not be asked then is another request.
        let prepared = match prepared {
            Ok(Ok(prepared)) => prepared,
            Err(error @ ServiceError::BrokenOff) => return Err(error),
            Ok(Err(_)) | Err(_) => return Err(reused().into()),
        };
        if !prepared.content.asks_the_same_as(&record.content) {
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
        Ok(Changed::of(Revised::new(record, &lineage), prepared.before, prepared.after))
    }

    fn is_held(&self, revision: Revision) -> bool {
        self.replica.held().is_some_and(|held| revision <= held.head.revision)
    }
}

/// Whether the rules are those that the caller has seen. What only waits for people is no change of them.
fn expected(requester: &Requester, before: &Loaded) -> Result<(), StoreError> {
    let Some(expected) = requester.expected else { return Ok(()) };
    let (since, newest) = (before.rules_since, before.head.revision);
    if (since..=newest).contains(&expected) {
        return Ok(());
    }
    Err(StoreError::Conflict { expected, actual: if expected < since { since } else { newest } })
}

/// Takes over what the store has, up to a revision that it is known to hold.
async fn follow(follower: &Follower, revision: Revision) -> Result<(), ServiceError> {
    let followed = follower.catch_up(revision).await;
    follower.wake();
    followed.map_err(|source| ServiceError::NotInEffect { revision, source })
}

/// Builds a record and proves that its change can take effect; or gives the rules back if nothing changes.
fn prepare(
    before: Loaded,
    requester: &Requester,
    step: &Step,
    at: Timestamp,
) -> Result<Result<Prepared, RuleSet>, ServiceError> {
    let Some(content) = (step.build)(&before, requester, at)? else { return Ok(Err(before.rules)) };
    let after = before.rules.after(&content.change);
    // What is only proposed must be able to take effect, too.
    let compiled = match content.change.is_empty() {
        true => None,
        false => match (compile(&after, before.head.revision.next()), content.act, step.about) {
            (Err(error), Act::Approve, Some(id)) => return Err(void(id, &error)),
            (compiled, ..) => Some(compiled?),
        },
    };
    let snapshot = compiled.filter(|_| content.effect().is_some());
    Ok(Ok(Prepared { content, before, after, snapshot }))
}
