//! What one server saw of changes taking hold: when each was enforced, and how long that took.
//!
//! It is that server's own word. It is kept in its own file, beside the log and never in it: revisions
//! count what people did, and one server's clock is no part of a history that others verify.
//!
//! Invariant: what was noted of a change is never replaced. A change is named by its hash in the chain, so
//! that nothing is taken for what was seen of another one.

use super::{ReplicaName, StoreError};
use crate::domain::{ChainHash, Revision, Timestamp};
use futures_util::future::BoxFuture;
use std::time::Duration;

/// From when on it was counted how long a change took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CountedFrom {
    /// From when this server began to write it.
    Written,
    /// From when this server was asked about it: it may have been enforced before.
    Asked,
}

impl CountedFrom {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Written, Self::Asked];

    /// The name, as it is stored and sent.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Written => "WRITTEN",
            Self::Asked => "ASKED",
        }
    }
}

/// A change that was seen to be enforced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenEnforced {
    /// Its revision.
    pub revision: Revision,
    /// Its hash in the chain.
    pub chain: ChainHash,
    /// When it was seen, by the clock of who saw it.
    pub at: Timestamp,
    /// How long after.
    pub after: Duration,
    /// After what.
    pub counted_from: CountedFrom,
    /// Who saw it; `None` for a server that has its store for itself.
    pub observer: Option<ReplicaName>,
    /// The replicas that counted, by name: how long each took to confirm it, or `None` for one that never
    /// did, and whose lease had run out.
    pub replicas: Vec<(ReplicaName, Option<Duration>)>,
}

/// Where a server keeps what it saw.
pub trait Seen: Send + Sync + 'static {
    /// Notes that a change is enforced. What was noted of it before stays.
    fn note(&self, seen: SeenEnforced) -> BoxFuture<'_, Result<(), StoreError>>;

    /// What was noted of these changes, in the order of the notes.
    fn noted(
        &self,
        changes: Vec<ChainHash>,
    ) -> BoxFuture<'_, Result<Vec<SeenEnforced>, StoreError>>;
}
