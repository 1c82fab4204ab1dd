//! Sees to it that it is known later when a change was enforced, and measured how long that took, whether or not
//! somebody waited for it.
//!
//! The server that writes a change which alters rules watches it, one after another and each for a limited
//! time; one that is asked about a change notes what it sees then. Either is that server's own word, kept
//! in its own file (see [`Seen`]).
//!
//! Invariant: nothing here holds up a change or whoever waits for one, and nothing depends on a note.

use super::enforce::{Enforcement, FAILED, Progress, Reached, Whose};
use super::{Service, ServiceError};
use crate::audit::Record;
use crate::domain::{ChainHash, Lineage};
use crate::replica::BootTime;
use crate::store::{CountedFrom, Head, Seen, SeenEnforced};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

/// How many changes may wait to be watched; the ones before them are enforced in milliseconds, unless
/// something is wrong.
const MOST_WATCHED: usize = 64;

/// For how long each is watched: far longer than any lease runs.
const WATCH_LIMIT: Duration = Duration::from_secs(60);

/// Changes that this server has written and watches, and where it keeps what it saw.
#[derive(Default)]
pub(super) struct Watched {
    kept: OnceLock<Arc<dyn Seen>>,
    /// The first one is being watched.
    changes: Mutex<VecDeque<Change>>,
    wake: Notify,
}

#[derive(Clone)]
struct Change {
    place: Head,
    /// When it began to be written.
    began: BootTime,
}

impl Watched {
    fn changes(&self) -> std::sync::MutexGuard<'_, VecDeque<Change>> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a change off the list, if it is on it.
    fn take(&self, chain: &ChainHash) -> Option<Change> {
        let mut changes = self.changes();
        let place = changes.iter().position(|change| change.place.chain == *chain)?;
        changes.remove(place)
    }
}

impl Service {
    /// Keeps what this server sees of enforcement there from now on. The first one given stays.
    pub fn note_with(&self, kept: Arc<dyn Seen>) {
        let _ = self.watched.kept.set(kept);
    }

    /// Watches a change that is in the store now, if it alters rules.
    pub(super) fn watch_change(&self, record: &Record, lineage: &Lineage, began: BootTime) {
        if record.content.effect().is_none() || self.watched.kept.get().is_none() {
            return;
        }
        let (revision, chain) = (record.revision, record.chain);
        let place = Head { lineage: lineage.clone(), revision, chain };
        let mut changes = self.watched.changes();
        if changes.len() < MOST_WATCHED {
            changes.push_back(Change { place, began });
            drop(changes);
            self.watched.wake.notify_one();
        } else {
            tracing::warn!(
                revision = revision.0,
                "When revision {revision} is enforced is not watched: {MOST_WATCHED} changes before \
                 it are not known to be"
            );
        }
    }

    /// Watches what this server writes, until it is dropped. A server runs one.
    pub async fn watch_enforcement(self: Arc<Self>) {
        loop {
            let next = self.watched.changes().front().cloned();
            let Some(Change { place, began }) = next else {
                self.watched.wake.notified().await;
                continue;
            };
            let limit = self.clock.boot().saturating_sub(began) + WATCH_LIMIT;
            let seen = self.wait_for(place.clone(), began, limit, Whose::Nobodys).await;
            // Somebody who waited for it may have seen it first, and it is noted and measured once.
            if self.watched.take(&place.chain).is_none() {
                continue;
            }
            if let Some(enforcements) = self.enforcements.get() {
                let reached = seen.as_ref().map_or(FAILED, |seen| seen.reached.name());
                let after = self.clock.boot().saturating_sub(began);
                enforcements.measured(reached, CountedFrom::Written.name(), after);
            }
            if let Ok(enforcement) = &seen {
                self.note_enforced(&place, enforcement, CountedFrom::Written).await;
            }
        }
    }

    /// Notes what came of a wait that somebody asked for. Whoever asked does not wait for the note. Returns
    /// what is to be measured: since the change was written, if this server wrote it and nobody has seen it
    /// enforced before; else since it was asked about.
    pub(super) fn note_asked(
        self: &Arc<Self>,
        place: Head,
        began: BootTime,
        seen: &Enforcement,
    ) -> Option<(CountedFrom, Duration)> {
        if self.watched.kept.get().is_none() || seen.reached != Reached::Enforced {
            return None;
        }
        let (mut seen, mut counted_from) = (seen.clone(), CountedFrom::Asked);
        if let Some(change) = self.watched.take(&place.chain) {
            counted_from = CountedFrom::Written;
            seen.count_from_before(began.saturating_sub(change.began));
        }
        let measured = (counted_from, seen.elapsed);
        let service = Arc::clone(self);
        tokio::spawn(async move { service.note_enforced(&place, &seen, counted_from).await });
        Some(measured)
    }

    async fn note_enforced(&self, place: &Head, seen: &Enforcement, counted_from: CountedFrom) {
        let Some(kept) = self.watched.kept.get() else { return };
        if seen.reached != Reached::Enforced {
            return;
        }
        let replicas = seen.replicas.iter().map(|(name, progress)| match progress {
            Progress::Confirmed(after) => (name.clone(), Some(*after)),
            Progress::Expired | Progress::Missing => (name.clone(), None),
        });
        let note = SeenEnforced {
            revision: place.revision,
            chain: place.chain,
            at: self.clock.wall(),
            after: seen.elapsed,
            counted_from,
            observer: self.follower.as_ref().map(|it| it.identity().name.clone()),
            replicas: replicas.collect(),
        };
        if let Err(error) = kept.note(note).await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "When revision {} was enforced is not kept",
                place.revision
            );
        }
    }

    /// What this server saw of these changes.
    pub(super) async fn seen_of(
        &self,
        changes: Vec<ChainHash>,
    ) -> Result<Vec<SeenEnforced>, ServiceError> {
        match self.watched.kept.get() {
            Some(kept) => Ok(kept.noted(changes).await?),
            None => Ok(Vec::new()),
        }
    }
}
