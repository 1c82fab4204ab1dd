//! The store that several server processes share, in Redis or Valkey: standalone, behind sentinels, or
//! one slot of a cluster.
//!
//! The log of records is all there is: the state is its fold, verified as it is read, held in memory and
//! moved on. Beside it lie the head, the list of replicas, and which request led where; all keys share
//! one hash tag. Each change is one script, and so one atomic step.
//!
//! The way there is [`crate::redis`]; here is what is said on it.
//!
//! - `location`: where the servers are, and which namespace is ours.
//! - `scripts`, `reply`, `trouble`, `thread`: what is said there, and what the answers mean to the store.
//! - `log`: reads records, and verifies whatever it reads; `copy`: backup, and filling from one.
//! - `shared`: what replicas share; `settings`: what the servers' own settings take away.
//!
//! Invariants: a history is begun only where somebody asks for it and nothing at all is there. A write
//! whose answer never came is reported as such and never sent again by itself: its request id tells
//! later. All I/O is on a thread of its own, so that load elsewhere delays no renewal.

mod copy;
mod location;
mod log;
mod reply;
mod scripts;
mod settings;
mod shared;
mod thread;
mod trouble;

pub use crate::redis::{Address, Login, Secret, Servers, Tls};
pub use location::{Location, Namespace};
pub use settings::forbidding;

use super::{Applied, Head, Loaded, RuleStore, StoreError};
use crate::audit::{Chain, ChangeKind, NewRecord, Record, RequestId};
use crate::domain::{Lineage, Revision};
use crate::redis::{Finder, Lane, Thread, Unanswered};
use futures_util::future::BoxFuture;
use log::{Log, unclear};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// How long a write may take. A disk that is asked to have it before the answer can be slow.
const PATIENCE: Duration = Duration::from_secs(5);

/// More than any change needs, and far less than what a server would refuse.
const LARGEST_ENTRY: usize = 64 << 20;

/// A namespace of a Redis or Valkey.
pub struct RedisStore {
    thread: Thread,
    core: Arc<Core>,
}

/// What the thread works with.
struct Core {
    finder: Arc<Finder>,
    commits: Lane,
    /// A wait for nodes that are down must hold up no commit.
    waits: Lane,
    /// A lease must hang on nobody else's questions.
    renewals: Lane,
    reports: Lane,
    log: Log,
    news: Lane,
    nodes: u32,
    location: Location,
}

impl RedisStore {
    /// Makes ready to talk to the servers. Nothing is sent yet: what is wrong there is told by whatever
    /// is asked first.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn open(location: Location) -> io::Result<Self> {
        let finder = Arc::new(Finder::new(location.access(), location.namespace.keys().into()));
        let core = Core {
            commits: Lane::new(&finder),
            waits: Lane::new(&finder),
            renewals: Lane::new(&finder),
            reports: Lane::new(&finder),
            log: Log::new(Lane::new(&finder)),
            news: Lane::new(&finder),
            nodes: location.nodes,
            location,
            finder,
        };
        Ok(Self { thread: Thread::start("store-redis")?, core: Arc::new(core) })
    }

    /// Begins a history where there is none at all; of `parent`, if people let it take that one's place.
    ///
    /// # Errors
    /// When the store does not answer, or holds a history already ([`StoreError::NotWritten`]).
    pub async fn initialise(&self, parent: Option<Lineage>) -> Result<Lineage, StoreError> {
        self.write("beginning a history", |core| async move { core.initialise(parent).await }).await
    }

    async fn read<T, F>(
        &self,
        doing: &'static str,
        call: impl FnOnce(Arc<Core>) -> F,
    ) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, StoreError>> + Send + 'static,
    {
        self.thread.read(doing, call(Arc::clone(&self.core))).await
    }

    async fn write<T, F>(
        &self,
        doing: &'static str,
        call: impl FnOnce(Arc<Core>) -> F,
    ) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, StoreError>> + Send + 'static,
    {
        self.thread.write(doing, call(Arc::clone(&self.core))).await
    }
}

impl Core {
    async fn initialise(&self, parent: Option<Lineage>) -> Result<Lineage, StoreError> {
        const DOING: &str = "beginning a history";
        let lineage = new_lineage(DOING)?;
        let limit = self.location.longest_lease();
        let arguments = [lineage.as_str(), parent.as_ref().map_or("", Lineage::as_str), &limit];
        let reply =
            self.commits.run(&scripts::INITIALISE, &arguments, PATIENCE, Unanswered::Tell).await;
        let reply = reply.map_err(|trouble| trouble.writing(DOING))?.sound()?;
        match reply.kind.as_str() {
            "OK" => Ok(lineage),
            "EXISTS" => {
                let source = "there is one already, and it is left as it is".into();
                Err(StoreError::NotWritten { doing: DOING, source })
            }
            _ => Err(unclear(DOING)(reply.unexpected())),
        }
    }

    async fn apply(&self, content: &NewRecord, expected: Revision) -> Result<Applied, StoreError> {
        const DOING: &str = "applying a change";
        let held = self.log.held_at(expected).await?;
        let actual = held.head.revision;
        if actual != expected {
            return match self.log.record_of(&content.request_id).await? {
                Some(record) => repeated(record, content),
                None => Err(StoreError::Conflict { expected, actual }),
            };
        }
        let chain = Chain { revision: actual, hash: held.head.chain };
        let (record, entry) = chain.next(content).map_err(|error| StoreError::NotWritten {
            doing: "recording a change",
            source: error.into(),
        })?;
        if LARGEST_ENTRY < entry.len() {
            let source = format!("it has {} bytes; {LARGEST_ENTRY} are the most", entry.len());
            return Err(StoreError::NotWritten { doing: DOING, source: source.into() });
        }
        let (before, after) = (chain.hash.to_string(), record.chain.to_string());
        let revision = actual.to_string();
        let lineage = held.head.lineage.as_str();
        let request = content.request_id.as_str();
        let next_lineage = new_lineage(DOING)?;
        let (how, next_lineage) = match content.kind {
            Some(ChangeKind::HealFork) => ("HEAL", &held.head.lineage),
            Some(ChangeKind::AcceptHistory) => ("ACCEPT", &next_lineage),
            Some(
                ChangeKind::ApplyRules
                | ChangeKind::CreateSuspension
                | ChangeKind::AmendSuspension
                | ChangeKind::LiftSuspension
                | ChangeKind::CreateExemption
                | ChangeKind::SendMailing,
            )
            | None => ("", &held.head.lineage),
        };
        let next = next_lineage.as_str();
        let dated = content.at.as_millisecond().to_string();
        let latest = held.changed_at.map(|at| at.as_millisecond().to_string()).unwrap_or_default();
        let arguments =
            [lineage, &revision, &before, &after, &entry, request, how, next, &dated, &latest];
        let reply =
            self.commits.run(&scripts::COMMIT, &arguments, PATIENCE, Unanswered::Tell).await;
        let mut reply = reply.map_err(|trouble| trouble.writing(DOING))?.sound()?;
        let unclear = unclear(DOING);
        match reply.kind.as_str() {
            "OK" => {
                self.log.wrote(&held.head, next_lineage, &record).await;
                Ok(Applied { record, repeated: false })
            }
            "SEEN" => {
                reply.reign().map_err(&unclear)?;
                let revision = reply.revision().map_err(&unclear)?;
                repeated(self.log.record_at(revision, &content.request_id).await?, content)
            }
            "CONFLICT" => {
                reply.reign().map_err(&unclear)?;
                let actual = reply.revision().map_err(&unclear)?;
                Err(StoreError::Conflict { expected, actual })
            }
            "FORKED" => {
                self.log.distrust().await;
                Err(StoreError::Forked)
            }
            "LINEAGE" => {
                // People let another history take its place; who asks again is told where it stands.
                self.log.distrust().await;
                let actual = self.log.newest().await?.head.revision;
                Err(StoreError::Conflict { expected, actual })
            }
            "EMPTY" => Err(StoreError::Empty),
            "AGREED" => {
                let source = "histories agree: there is nothing to decide".into();
                Err(StoreError::NotWritten { doing: DOING, source })
            }
            "AHEAD" => {
                reply.reign().map_err(&unclear)?;
                let seconds = reply.milliseconds().map_err(&unclear)?.as_secs();
                let source =
                    format!("the clock of this machine is {seconds} s ahead of the store's");
                Err(StoreError::NotWritten { doing: DOING, source: source.into() })
            }
            "FULL" => {
                let source = "the store has no more revision numbers".into();
                Err(StoreError::NotWritten { doing: DOING, source })
            }
            _ => Err(unclear(reply.unexpected())),
        }
    }
}

impl RuleStore for RedisStore {
    fn load(&self) -> BoxFuture<'_, Result<Loaded, StoreError>> {
        Box::pin(self.read("loading the rules", |core| async move { core.log.newest().await }))
    }

    fn load_at(&self, revision: Revision) -> BoxFuture<'_, Result<Option<Loaded>, StoreError>> {
        Box::pin(self.read("loading an earlier revision", move |core| async move {
            core.log.at(revision).await
        }))
    }

    fn apply<'a>(
        &'a self,
        content: &'a NewRecord,
        expected: Revision,
    ) -> BoxFuture<'a, Result<Applied, StoreError>> {
        let content = content.clone();
        Box::pin(self.write("applying a change", move |core| async move {
            core.apply(&content, expected).await
        }))
    }

    fn records(
        &self,
        after: Revision,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<Record>, StoreError>> {
        Box::pin(self.read("reading records", move |core| async move {
            core.log.records(after, limit).await
        }))
    }

    fn record_of<'a>(
        &'a self,
        request_id: &'a RequestId,
    ) -> BoxFuture<'a, Result<Option<Record>, StoreError>> {
        let request_id = request_id.clone();
        Box::pin(self.read("looking up a request", move |core| async move {
            core.log.record_of(&request_id).await
        }))
    }

    fn backup<'a>(&'a self, path: &'a Path) -> BoxFuture<'a, Result<Head, StoreError>> {
        let path = path.to_owned();
        Box::pin(self.write("writing a backup", |core| async move { core.backup(&path).await }))
    }
}

/// The first answer again, if it was the same question.
fn repeated(record: Record, content: &NewRecord) -> Result<Applied, StoreError> {
    if record.content.asks_the_same_as(content) {
        return Ok(Applied { record, repeated: true });
    }
    let (request_id, revision) = (content.request_id.clone(), record.revision);
    Err(StoreError::RequestReused { request_id, revision })
}

/// A lineage that nobody ever had.
fn new_lineage(doing: &'static str) -> Result<Lineage, StoreError> {
    let digits = uuid::Uuid::new_v4().simple().to_string();
    Lineage::parse(&digits)
        .ok_or_else(|| StoreError::NotWritten { doing, source: "no random digits".into() })
}
