//! Keeps the journal in step with what is in effect.
//!
//! A journal that cannot be written is no reason to go on without a suspension: that is told, and tried
//! again with every renewal, and meanwhile no change is begun on this replica.

use super::Held;
use super::follower::PAGE;
use crate::audit::Record;
use crate::domain::{Lineage, Revision};
use crate::store::{Incarnation, Journal, SharedStore, StoreError};
use std::sync::{Arc, Mutex, PoisonError};

/// A journal, and how far it is.
pub(super) struct KeptJournal {
    journal: Arc<dyn Journal>,
    /// The last revision in it; `None` before its history has begun.
    last: Mutex<Option<Revision>>,
}

impl KeptJournal {
    pub(super) fn new(journal: Arc<dyn Journal>, last: Option<Revision>) -> Self {
        Self { journal, last: Mutex::new(last) }
    }

    /// The run of this replica that had the journal before.
    pub(super) fn predecessor(&self) -> Option<Incarnation> {
        self.journal.predecessor()
    }

    /// Whether it holds all up to a revision.
    pub(super) fn holds(&self, revision: Option<Revision>) -> bool {
        revision <= self.last()
    }

    /// Adds records that come next. Where earlier ones are missing, [`KeptJournal::fill`] brings all.
    pub(super) async fn follow(&self, lineage: &Lineage, records: &[Record]) {
        let last = self.last().unwrap_or_default();
        if records.first().is_some_and(|first| first.revision != last.next()) {
            return;
        }
        match self.journal.follow(lineage, records).await {
            Ok(()) => self.set(Some(records.last().map_or(last, |record| record.revision))),
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::error!(error, "The journal cannot be written");
            }
        }
    }

    /// Brings what is missing up to what is held.
    pub(super) async fn fill(&self, store: &dyn SharedStore, held: &Held) {
        while !self.holds(Some(held.head.revision)) {
            let before = self.last();
            let Ok(records) = store.records(before.unwrap_or_default(), PAGE).await else { return };
            self.follow(&held.head.lineage, &records).await;
            if self.last() == before {
                return;
            }
        }
    }

    /// Puts what it holds aside: another history begins.
    pub(super) async fn set_aside(&self) -> Result<(), StoreError> {
        self.journal.set_aside().await?;
        self.set(None);
        Ok(())
    }

    fn last(&self) -> Option<Revision> {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, last: Option<Revision>) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = last;
    }
}
