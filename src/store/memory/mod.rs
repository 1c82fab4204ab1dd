//! A store that forgets, for tests: the log in a vector, behind a lock. Clones share it, as the server
//! processes of a test share a store.
//!
//! It has no file, so the one thing that it cannot do is a backup.

mod shared;

use super::{Applied, Head, Incarnation, Loaded, Reign, RuleStore, Sighting, StoreError};
use crate::audit::{Chain, ChangeKind, NewRecord, Record, RequestId};
use crate::domain::{Lineage, Revision};
use futures_util::future::{BoxFuture, ready};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// How many histories a history remembers that it took the place of.
const MOST_ANCESTORS: usize = 64;

/// A store in memory.
#[derive(Debug, Clone)]
pub struct MemoryStore {
    state: Arc<Mutex<State>>,
    newest: watch::Sender<Revision>,
}

/// What it holds.
#[derive(Debug)]
struct State {
    lineage: Lineage,
    ancestors: Vec<Lineage>,
    /// The longest that any replica's lease may run.
    limit: Duration,
    records: Vec<Record>,
    forked: bool,
    /// Who reported, and of which history.
    members: BTreeMap<Incarnation, (Lineage, Sighting)>,
    reign: Reign,
}

impl MemoryStore {
    /// An empty store of the given lineage.
    #[must_use]
    pub fn new(lineage: Lineage) -> Self {
        let state = State {
            lineage,
            ancestors: Vec::new(),
            limit: Duration::from_secs(5),
            records: Vec::new(),
            forked: false,
            members: BTreeMap::new(),
            reign: Reign("memory".into()),
        };
        Self { state: Arc::new(Mutex::new(state)), newest: watch::channel(Revision::ZERO).0 }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Each change is one push, so that a panic elsewhere leaves nothing half done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn apply_now(&self, content: &NewRecord, expected: Revision) -> Result<Applied, StoreError> {
        let mut state = self.lock();
        if let Some(record) = find(&state.records, &content.request_id) {
            if record.content.asks_the_same_as(content) {
                return Ok(Applied { record: record.clone(), repeated: true });
            }
            let (request_id, revision) = (content.request_id.clone(), record.revision);
            return Err(StoreError::RequestReused { request_id, revision });
        }
        let end = end_of(&state.records);
        if end.revision != expected {
            return Err(StoreError::Conflict { expected, actual: end.revision });
        }
        let decides =
            matches!(content.kind, Some(ChangeKind::HealFork | ChangeKind::AcceptHistory));
        if state.forked && !decides {
            return Err(StoreError::Forked);
        }
        let not_written = |source| StoreError::NotWritten { doing: "recording a change", source };
        let (record, _) = end.next(content).map_err(|error| not_written(error.into()))?;
        if content.kind == Some(ChangeKind::AcceptHistory) {
            if !state.forked {
                return Err(not_written("histories agree: there is nothing to decide".into()));
            }
            let next = Lineage::parse(&uuid::Uuid::new_v4().simple().to_string());
            let next = next.ok_or_else(|| not_written("no random digits".into()))?;
            let before = std::mem::replace(&mut state.lineage, next);
            state.ancestors.insert(0, before);
            state.ancestors.truncate(MOST_ANCESTORS);
            state.forked = false;
        }
        state.records.push(record.clone());
        self.newest.send_replace(record.revision);
        Ok(Applied { record, repeated: false })
    }
}

impl State {
    fn loaded(&self, count: usize) -> Option<Loaded> {
        let records = self.records.get(..count)?;
        let mut loaded = Loaded::start(self.lineage.clone());
        records.iter().for_each(|record| loaded.take(record.place(), &record.content));
        Some(loaded)
    }

    fn head(&self) -> Head {
        self.head_of(&self.records)
    }

    fn head_of(&self, records: &[Record]) -> Head {
        let Chain { revision, hash: chain } = end_of(records);
        Head { lineage: self.lineage.clone(), revision, chain }
    }
}

impl RuleStore for MemoryStore {
    fn load(&self) -> BoxFuture<'_, Result<Loaded, StoreError>> {
        let state = self.lock();
        let newest = state.loaded(state.records.len());
        Box::pin(ready(newest.ok_or(StoreError::Empty)))
    }

    fn load_at(&self, revision: Revision) -> BoxFuture<'_, Result<Option<Loaded>, StoreError>> {
        let count = usize::try_from(revision.0).unwrap_or(usize::MAX);
        Box::pin(ready(Ok(self.lock().loaded(count))))
    }

    fn apply<'a>(
        &'a self,
        content: &'a NewRecord,
        expected: Revision,
    ) -> BoxFuture<'a, Result<Applied, StoreError>> {
        Box::pin(async move { self.apply_now(content, expected) })
    }

    fn records(
        &self,
        after: Revision,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<Record>, StoreError>> {
        let skipped = usize::try_from(after.0).unwrap_or(usize::MAX);
        let page = self.lock().records.iter().skip(skipped).take(limit).cloned().collect();
        Box::pin(ready(Ok(page)))
    }

    fn record_of<'a>(
        &'a self,
        request_id: &'a RequestId,
    ) -> BoxFuture<'a, Result<Option<Record>, StoreError>> {
        Box::pin(ready(Ok(find(&self.lock().records, request_id).cloned())))
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
    records.iter().find(|record| record.content.request_id == *request_id)
}
