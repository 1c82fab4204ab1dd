//! Keeps the journal in step with what is in effect.
//!
//! One loop writes it, a moment after the rules took effect, so that neither a check that is given up
//! nor a disk that hangs can come between. A journal that cannot be written is no reason to go on
//! without a suspension: that is told and tried again, and meanwhile no change is begun on this replica.

use super::follower::PAGE;
use super::{Held, Replica};
use crate::domain::Revision;
use crate::store::{Incarnation, Journal, SharedStore, StoreError};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::{Mutex, Notify, watch};

/// After a write that failed.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// How a journal stands to what is in effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JournalStanding {
    /// It holds all of it.
    Complete,
    /// It is being written: a long history takes a while, where it begins a file of its own.
    Behind {
        /// Its last revision.
        written: Revision,
        /// The last one in effect.
        all: Revision,
    },
    /// It could not be written.
    Failing,
}

/// A journal, and how far it is.
pub(super) struct KeptJournal {
    journal: Arc<dyn Journal>,
    /// The last revision in it; `None` before its history has begun.
    last: watch::Sender<Option<Revision>>,
    /// Held while it is written, and while another history takes the place of the one in it.
    writing: Mutex<()>,
    wake: Notify,
    is_registered: AtomicBool,
    /// Whether the last write failed.
    is_failing: AtomicBool,
}

impl KeptJournal {
    pub(super) fn new(journal: Arc<dyn Journal>, last: Option<Revision>) -> Self {
        let (last, writing) = (watch::Sender::new(last), Mutex::default());
        let (is_registered, is_failing) = (AtomicBool::new(false), AtomicBool::new(false));
        Self { journal, last, writing, wake: Notify::new(), is_registered, is_failing }
    }

    /// The run of this replica that had the journal before.
    pub(super) fn predecessor(&self) -> Option<Incarnation> {
        self.journal.predecessor()
    }

    /// The store has this run on its list, which the journal must be told once.
    pub(super) fn registered(&self) {
        if !self.is_registered.swap(true, Ordering::AcqRel) {
            self.wake();
        }
    }

    /// There may be something to write.
    pub(super) fn wake(&self) {
        self.wake.notify_one();
    }

    /// Done when it holds all up to a revision.
    pub(super) async fn holds(&self, revision: Option<Revision>) {
        // The sender lives as long as `self`.
        let _ = self.last.subscribe().wait_for(|last| revision <= *last).await;
    }

    /// How it stands, where it does not hold all.
    pub(super) fn standing(&self, all: Revision) -> JournalStanding {
        match self.is_failing.load(Ordering::Acquire) {
            true => JournalStanding::Failing,
            false => {
                JournalStanding::Behind { written: self.last.borrow().unwrap_or_default(), all }
            }
        }
    }

    /// Writes what is in effect, whenever something new is.
    pub(super) async fn keep_on_and_on(&self, store: &dyn SharedStore, replica: &Replica) {
        let mut is_told = false;
        loop {
            if !is_told && self.is_registered.load(Ordering::Acquire) {
                // If it fails, the next run of this replica waits for this one's name to be free.
                is_told = self.journal.registered().await.is_ok();
            }
            match self.fill(store, replica).await {
                Ok(()) => self.wake.notified().await,
                Err(error) => {
                    tracing::error!(
                        error = &error as &dyn std::error::Error,
                        "The journal is not up to date; changes are refused here"
                    );
                    tokio::time::sleep(RETRY_PAUSE).await;
                }
            }
        }
    }

    async fn fill(&self, store: &dyn SharedStore, replica: &Replica) -> Result<(), StoreError> {
        let _writing = self.writing.lock().await;
        while let Some(held) = replica.held().filter(|held| self.lacks(held)) {
            let last = *self.last.borrow();
            let records = match last {
                // The history begins before its first record is there.
                None => Vec::new(),
                Some(last) => store.records(last, PAGE).await?,
            };
            if let Err(error) = self.journal.follow(&held.head.lineage, &records).await {
                self.is_failing.store(true, Ordering::Release);
                // It may have been written all the same.
                let journal = self.journal.load().await?;
                self.last.send_replace(journal.map(|loaded| loaded.head.revision));
                return Err(error);
            }
            self.is_failing.store(false, Ordering::Release);
            let newest = records.last().map(|record| record.revision);
            if newest.is_none() && last.is_some() {
                return Ok(());
            }
            self.last.send_replace(Some(newest.unwrap_or_default()));
        }
        Ok(())
    }

    fn lacks(&self, held: &Held) -> bool {
        *self.last.borrow() < Some(held.head.revision)
    }

    /// Puts what it holds aside, since another history takes its place, which `take_over` does.
    pub(super) async fn set_aside(&self, take_over: impl FnOnce()) -> Result<(), StoreError> {
        let _writing = self.writing.lock().await;
        self.journal.set_aside().await?;
        self.last.send_replace(None);
        take_over();
        self.wake();
        Ok(())
    }
}
