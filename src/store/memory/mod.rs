//! A store that forgets, for tests: the log in a vector, behind a lock. Clones share it.
//!
//! It has no file, so the one thing that it cannot do is a backup.

use super::{Applied, Head, Loaded, RuleStore, StoreError};
use crate::audit::{Chain, Proposal, Record, RequestId};
use crate::domain::{Lineage, Revision, RuleSet};
use futures_util::future::{BoxFuture, ready};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A store in memory.
#[derive(Debug, Clone)]
pub struct MemoryStore {
    lineage: Lineage,
    records: Arc<Mutex<Vec<Record>>>,
}

impl MemoryStore {
    /// An empty store of the given lineage.
    #[must_use]
    pub fn new(lineage: Lineage) -> Self {
        Self { lineage, records: Arc::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Record>> {
        // Each change is one push, so that a panic elsewhere leaves nothing half done.
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn loaded(&self, records: &[Record]) -> Loaded {
        let mut rules = RuleSet::default();
        records.iter().for_each(|record| rules.apply(&record.proposal.change));
        let Chain { revision, hash: chain } = end_of(records);
        let head = Head { lineage: self.lineage.clone(), revision, chain };
        let changed_at = records.iter().map(|record| record.proposal.at).max();
        Loaded { head, rules, changed_at }
    }

    fn apply_now(&self, proposal: &Proposal, expected: Revision) -> Result<Applied, StoreError> {
        let mut records = self.lock();
        if let Some(record) = find(&records, &proposal.request_id) {
            if record.proposal.asks_the_same_as(proposal) {
                return Ok(Applied { record: record.clone(), repeated: true });
            }
            let (request_id, revision) = (proposal.request_id.clone(), record.revision);
            return Err(StoreError::RequestReused { request_id, revision });
        }
        let end = end_of(&records);
        if end.revision != expected {
            return Err(StoreError::Conflict { expected, actual: end.revision });
        }
        let (record, _) = end.next(proposal).map_err(|error| StoreError::NotWritten {
            doing: "recording a change",
            source: error.into(),
        })?;
        records.push(record.clone());
        Ok(Applied { record, repeated: false })
    }
}

impl RuleStore for MemoryStore {
    fn load(&self) -> BoxFuture<'_, Result<Loaded, StoreError>> {
        Box::pin(ready(Ok(self.loaded(&self.lock()))))
    }

    fn load_at(&self, revision: Revision) -> BoxFuture<'_, Result<Option<Loaded>, StoreError>> {
        let records = self.lock();
        let count = usize::try_from(revision.0).unwrap_or(usize::MAX);
        Box::pin(ready(Ok(records.get(..count).map(|records| self.loaded(records)))))
    }

    fn apply<'a>(
        &'a self,
        proposal: &'a Proposal,
        expected: Revision,
    ) -> BoxFuture<'a, Result<Applied, StoreError>> {
        Box::pin(async move { self.apply_now(proposal, expected) })
    }

    fn records(
        &self,
        after: Revision,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<Record>, StoreError>> {
        let skipped = usize::try_from(after.0).unwrap_or(usize::MAX);
        let page = self.lock().iter().skip(skipped).take(limit).cloned().collect();
        Box::pin(ready(Ok(page)))
    }

    fn record_of<'a>(
        &'a self,
        request_id: &'a RequestId,
    ) -> BoxFuture<'a, Result<Option<Record>, StoreError>> {
        Box::pin(ready(Ok(find(&self.lock(), request_id).cloned())))
    }

    fn backup<'a>(&'a self, _path: &'a Path) -> BoxFuture<'a, Result<Head, StoreError>> {
        Box::pin(ready(Err(StoreError::NotWritten {
            doing: "writing a backup",
            source: "a store in memory has no file".into(),
        })))
    }
}

fn end_of(records: &[Record]) -> Chain {
    records.last().map_or(Chain::START, |last| Chain { revision: last.revision, hash: last.chain })
}

fn find<'a>(records: &'a [Record], request_id: &RequestId) -> Option<&'a Record> {
    records.iter().find(|record| record.proposal.request_id == *request_id)
}
