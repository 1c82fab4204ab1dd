//! Where rules and their records live.
//!
//! One trait in domain words; every implementation passes `tests/it/store_conformance.rs`, and a
//! difference that a caller can see between two of them is a bug in one of them.

pub mod embedded;
pub mod memory;
pub mod redis;
mod seen;
mod shared;

pub use seen::{CountedFrom, Seen, SeenEnforced};
pub use shared::{
    Confirmation, Fleet, Incarnation, Journal, Reign, Renewal, ReplicaName, Report, Room,
    SharedStore, Shortfall, Sighting, Standing,
};

use crate::audit::{Chain, NewRecord, Record, RequestId, Waiting};
use crate::domain::{ChainHash, Lineage, Revision, RuleSet, Timestamp, Token};
use futures_util::future::{BoxFuture, ready};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// What went wrong below, for the log.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Where rules live: an append-only log of what happened to them, and the state after the last record:
/// the rules, and what waits for people.
///
/// The futures are boxed so that one binary can choose its store at start; nothing here is on the
/// path of a check.
pub trait RuleStore: Send + Sync + 'static {
    /// The newest state and its place in history, as of one revision and never a mixture of two.
    fn load(&self) -> BoxFuture<'_, Result<Loaded, StoreError>>;

    /// The state as of an earlier revision; `None` for one that does not exist (yet).
    fn load_at(&self, revision: Revision) -> BoxFuture<'_, Result<Option<Loaded>, StoreError>>;

    /// Makes a record the next revision, if the store still stands at `expected`. Record and
    /// effect become durable in one step, before this returns.
    ///
    /// A request id that was applied before with the same content answers with that first result
    /// and changes nothing ([`Applied::repeated`]); with other content it is refused.
    fn apply<'a>(
        &'a self,
        content: &'a NewRecord,
        expected: Revision,
    ) -> BoxFuture<'a, Result<Applied, StoreError>>;

    /// Up to `limit` records after a revision, oldest first, without a gap.
    fn records(
        &self,
        after: Revision,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<Record>, StoreError>>;

    /// The record that a request id led to, if it led to one.
    fn record_of<'a>(
        &'a self,
        request_id: &'a RequestId,
    ) -> BoxFuture<'a, Result<Option<Record>, StoreError>>;

    /// Writes a consistent copy to `path`, which must not exist, while the store goes on serving.
    /// Returns where in history the copy stands.
    fn backup<'a>(&'a self, path: &'a Path) -> BoxFuture<'a, Result<Head, StoreError>>;

    /// Remembers that others may act by the rules of this process on permits that run for so long at most;
    /// or that nobody does any more. It holds when this returns, whatever becomes of the process. Asked of a
    /// store alone that one process writes and outlives it; a shared one keeps a list of who acts.
    fn note_permits(&self, longest: Option<Duration>) -> BoxFuture<'_, Result<(), StoreError>> {
        let _ = longest;
        Box::pin(ready(Ok(())))
    }

    /// What was remembered last.
    fn noted_permits(&self) -> BoxFuture<'_, Result<Option<Duration>, StoreError>> {
        Box::pin(ready(Ok(None)))
    }
}

/// A place in a store's history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The history.
    pub lineage: Lineage,
    /// The newest revision.
    pub revision: Revision,
    /// The chain hash at that revision.
    pub chain: ChainHash,
}

impl Head {
    /// The same place, as callers carry it.
    #[must_use]
    pub fn token(&self) -> Token {
        Token::new(self.lineage.clone(), self.revision, &self.chain)
    }

    /// The place before the first change of the same history.
    #[must_use]
    pub fn lineage_start(&self) -> Token {
        Token::new(self.lineage.clone(), Revision::ZERO, &ChainHash::ZERO)
    }
}

/// The state after one revision, with its place in history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// The place.
    pub head: Head,
    /// The rules.
    pub rules: RuleSet,
    /// The revision that changed the rules last: later ones only say what waits for people, or what
    /// was refused.
    pub rules_since: Revision,
    /// What waits for people.
    pub waiting: Arc<Waiting>,
    /// When the last of the records that led here was made; `None` before the first one.
    pub changed_at: Option<Timestamp>,
}

impl Loaded {
    /// The state before the first record of a history.
    #[must_use]
    pub fn start(lineage: Lineage) -> Self {
        Self {
            head: Head { lineage, revision: Revision::ZERO, chain: ChainHash::ZERO },
            rules: RuleSet::default(),
            rules_since: Revision::ZERO,
            waiting: Arc::default(),
            changed_at: None,
        }
    }

    /// Moves on over the next record, which the caller has verified, to its place in the chain. The one
    /// place where the state follows from the log.
    pub fn take(&mut self, place: Chain, content: &NewRecord) {
        if let Some(effect) = content.effect() {
            self.rules.apply(effect);
            self.rules_since = place.revision;
        }
        Arc::make_mut(&mut self.waiting).take(place.revision, content);
        self.changed_at = self.changed_at.max(Some(content.at));
        (self.head.revision, self.head.chain) = (place.revision, place.hash);
    }
}

/// A change that the store holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// Its record.
    pub record: Record,
    /// Whether the same request had been applied before.
    pub repeated: bool,
}

/// Why the store could not be read or written. A variant is something a caller can act on.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// No answer. Retry a read; a write may have landed, so look its request id up, or send the
    /// same request again, before writing anew.
    #[error("rule store is unavailable while {doing}")]
    Unavailable {
        /// What was being done.
        doing: &'static str,
        /// The cause.
        source: BoxError,
    },

    /// Somebody else wrote first. Load, and see whether the change still makes sense.
    #[error("rules moved from revision {expected} to {actual}")]
    Conflict {
        /// What the caller had seen.
        expected: Revision,
        /// What the store holds.
        actual: Revision,
    },

    /// The request id was used before for something else. Take a new one for a new request.
    #[error("request id `{}` was used before for another change, at revision {revision}", request_id.as_str())]
    RequestReused {
        /// The id.
        request_id: RequestId,
        /// Where it was used.
        revision: Revision,
    },

    /// Nothing was written, and nothing will be until somebody mends the cause: no room, no right to
    /// write, a change that cannot be recorded as it was meant. Reading goes on.
    #[error("nothing was written while {doing}")]
    NotWritten {
        /// What was being done.
        doing: &'static str,
        /// The cause.
        source: BoxError,
    },

    /// Histories disagree, and nothing is written until people have decided which one holds. Nothing
    /// was written.
    #[error(
        "the store's history has forked; nothing is written until people decide which one holds"
    )]
    Forked,

    /// The store holds no history: it was emptied, or it is not the store that was meant. Nothing was
    /// written, and a new history is not begun by itself.
    #[error("the store holds no history")]
    Empty,

    /// Stored data does not read or does not verify. Retrying cannot help; a person must look.
    #[error("stored data is corrupt at {place}")]
    Corrupt {
        /// Where.
        place: String,
        /// The cause.
        source: BoxError,
    },
}
