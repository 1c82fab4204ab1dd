//! What a store adds that several server processes share: how far each of them is, and what one of
//! them may rely on.
//!
//! The store keeps the books and compares chains, each in one atomic step; what a lease is, and when
//! a change is enforced, is for [`replica`](crate::replica) to say. No answer here says anything of
//! time: the clocks of different machines are never compared.

use super::{Head, RuleStore, StoreError};
use crate::audit::Record;
use crate::domain::{ChainHash, Lineage, Revision};
use futures_util::future::{BoxFuture, ready};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// A store that several server processes share.
pub trait SharedStore: RuleStore {
    /// Where the store stands, read anew. `None` while it is empty of any history.
    ///
    /// # Errors
    /// When the store does not answer, and while its history is marked as forked.
    fn head(&self) -> BoxFuture<'_, Result<Option<Head>, StoreError>>;

    /// Reports what one replica has in effect, and learns whether that is all there is: one atomic
    /// step, so that no change can come between. A replica whose place is not part of the history
    /// marks the history as forked, for everybody.
    fn renew<'a>(&'a self, report: &'a Report) -> BoxFuture<'a, Result<Renewal, StoreError>>;

    /// Takes a replica off the list; it has stopped answering `ELIGIBLE` before it asks for this.
    fn leave<'a>(&'a self, incarnation: &'a Incarnation) -> BoxFuture<'a, Result<(), StoreError>>;

    /// Who serves from this store, and whether `place` is part of its history; one atomic step.
    fn fleet<'a>(&'a self, place: &'a Head) -> BoxFuture<'a, Result<Fleet, StoreError>>;

    /// Takes those off the list that have not been seen since these sightings.
    fn forget<'a>(&'a self, gone: &'a [Sighting]) -> BoxFuture<'a, Result<(), StoreError>>;

    /// Waits, up to `limit`, until every store node that could be promoted has on its disk all that
    /// this primary held when it was asked, and says whether `place` is part of that.
    fn confirm<'a>(
        &'a self,
        place: &'a Head,
        limit: Duration,
    ) -> BoxFuture<'a, Result<Confirmation, StoreError>>;

    /// Done when there may be something after `revision`, or when `limit` is over. A hint: nothing may
    /// depend on it but speed.
    fn next_change(
        &self,
        revision: Revision,
        limit: Duration,
    ) -> BoxFuture<'_, Result<(), StoreError>>;

    /// What the store's own settings take away from what is promised; empty when all is well.
    fn shortfalls(&self) -> BoxFuture<'_, Result<Vec<Shortfall>, StoreError>>;
}

/// The copy of a shared store's history that one replica keeps on its own disk: where it starts from
/// when the store is out of reach, and what it compares the store with.
pub trait Journal: Send + Sync + 'static {
    /// What it holds; `None` when it holds nothing yet.
    fn load(&self) -> BoxFuture<'_, Result<Option<super::Loaded>, StoreError>>;

    /// Adds the records that come next, on disk when it returns. The first ones ever begin the history
    /// of `lineage`; later ones must continue it.
    fn follow<'a>(
        &'a self,
        lineage: &'a Lineage,
        records: &'a [Record],
    ) -> BoxFuture<'a, Result<(), StoreError>>;

    /// Puts what it holds aside, readable for auditors, and begins anew.
    fn set_aside(&self) -> BoxFuture<'_, Result<(), StoreError>>;

    /// The run of this replica that was registered last with this very journal, on this machine: it has
    /// ended, or it would have the journal still. `None` where any of that is open.
    fn predecessor(&self) -> Option<Incarnation>;

    /// Remembers that the store has this run on its list. Until then [`Journal::predecessor`] stays what
    /// it is, for the runs to come too.
    fn registered(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(ready(Ok(())))
    }
}

/// The name that people know a replica by, such as `r2`: 1 to 64 ASCII letters, digits, `-`, `_`, `.`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReplicaName(Arc<str>);

impl ReplicaName {
    /// The only way in.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        ((1..=64).contains(&text.len()) && text.bytes().all(fits)).then(|| Self(text.into()))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ReplicaName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One run of one server process: random, and never used again.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Incarnation(Arc<str>); // INVARIANT: 32 lower-case hexadecimal digits.

impl Incarnation {
    /// The only way in.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Lineage::parse(text).map(|digits| Self(digits.as_str().into()))
    }

    /// The digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// One uninterrupted reign of one primary, in which no node began to follow it anew. After a fail-over, a
/// restart, or a return of an earlier primary it is another, even if that one never heard that it was
/// away.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reign(pub Arc<str>);

/// What one replica says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Its name.
    pub name: ReplicaName,
    /// This run of it.
    pub incarnation: Incarnation,
    /// An earlier run that is known to have ended, which this one replaces.
    pub predecessor: Option<Incarnation>,
    /// Where its clients reach it; for people.
    pub address: String,
    /// How long its leases run. A store refuses one that runs for longer than those of its history
    /// may: who waits for leases to run out counts on that.
    pub limit: Duration,
    /// What it has in effect.
    pub applied: Head,
    /// How many of its kind the list has room for; `None` for a replica, of which there are as many as were
    /// started.
    pub room: Option<Room>,
}

/// How many entries of one kind a list of replicas has room for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// What the names of the kind begin with.
    pub prefix: &'static str,
    /// How many may be on the list at once.
    pub most: usize,
}

/// What the store says to a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Renewal {
    /// What the reported place is in the store's history.
    pub standing: Standing,
    /// The newest revision.
    pub newest: Revision,
    /// Who said so.
    pub reign: Reign,
}

/// What a place is in a store's history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// It is the newest.
    Newest,
    /// It is part of the history, and there is more.
    Behind,
    /// The history is marked as forked; `part` says whether this place is part of what the store has.
    Forked {
        /// Whether the place is part of the store's history all the same.
        part: bool,
    },
    /// The store's history is another one.
    OtherLineage {
        /// Which.
        lineage: Lineage,
        /// The histories that people let it take the place of, the latest first.
        ancestors: Vec<Lineage>,
    },
    /// The store holds no history at all.
    Empty,
    /// Its leases would run for longer than this history allows; nothing was recorded.
    LimitTooLong {
        /// The longest that is allowed.
        allowed: Duration,
    },
    /// As many of its kind are on the list as there is room for; nothing was recorded.
    NoRoom,
    /// Another process, seen of late, reports under this name, or another name is on the list for this run;
    /// nothing was recorded.
    NameTaken {
        /// Where it is reached.
        address: String,
    },
}

/// A replica as the store last heard of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sighting {
    /// Its name.
    pub name: ReplicaName,
    /// Which run of it.
    pub incarnation: Incarnation,
    /// Where its clients reach it.
    pub address: String,
    /// The revision that it had in effect.
    pub revision: Revision,
    /// The chain hash there.
    pub chain: ChainHash,
    /// How many times this run has reported: a number that stands still is a replica that is gone.
    pub beats: u64,
}

/// Who serves from a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fleet {
    /// What the place asked about is in the store's history.
    pub standing: Standing,
    /// The newest revision.
    pub newest: Revision,
    /// Who said so.
    pub reign: Reign,
    /// The longest that any replica's lease may run.
    pub limit: Duration,
    /// All that have reported and not left, by name and then incarnation.
    pub members: Vec<Sighting>,
}

/// How far a place has got among the nodes of a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confirmation {
    /// What the place is in the store's history.
    pub standing: Standing,
    /// Who said so, before and after the wait.
    pub reign: Reign,
    /// The longest that any replica's lease may run.
    pub limit: Duration,
    /// How many nodes hold it on disk, the primary included.
    pub copies: u32,
    /// How many could be promoted.
    pub nodes: u32,
}

impl Confirmation {
    /// Whether no fail-over can lose it.
    #[must_use]
    pub fn is_durable(&self) -> bool {
        matches!(self.standing, Standing::Newest | Standing::Behind) && self.nodes <= self.copies
    }
}

/// A setting of the store that takes something away from what is promised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shortfall {
    /// The setting, as the store spells it.
    pub setting: String,
    /// What it is set to.
    pub found: String,
    /// What it would have to be.
    pub wanted: String,
    /// What is lost by it, in a sentence.
    pub cost: String,
    /// Whether a change can still be called durable.
    pub durable: bool,
}
