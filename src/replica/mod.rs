//! The newest snapshot, and until when it is known to hold all the rules.
//!
//! A check reads one pointer and one clock and does no I/O. Whoever loads or writes rules installs
//! them here, and never acknowledges a change before it is installed.
//!
//! - `held`: the rules of one revision. `lease`: how long they may be relied on.
//! - `barrier`: when a change is in effect everywhere.
//! - `permits`: who in another process acts by these rules, where the store keeps no list of that. `silent`:
//!   who of them has died, where it does.
//! - `follower`: keeps a replica of a shared store up to date, and its `journal`; `contact`: what it
//!   last heard. `fork`: when histories disagree.
//! - `bugs`: none, but in builds that try what looks for them.
//!
//! Invariant: the held rules never go back to an earlier revision nor over to another history, and
//! rules that do not compile change nothing (R17). Whoever offers such rules has shown that what is
//! held may not be all there is, so its lease ends.

mod barrier;
pub mod bugs;
mod contact;
mod follower;
mod fork;
mod held;
mod journal;
mod lease;
mod permits;
mod silent;

pub use crate::clock::{BootTime, Terms};
pub use barrier::{Barrier, Reigns, Verdict};
pub use contact::{Contact, FollowError, Identity};
pub use follower::Follower;
pub use held::Held;
pub use journal::JournalStanding;
pub use lease::{AfterRenewal, Lease, after_renewal};
pub use permits::{Holder, Listed, MOST_PERMITS, Permits, TooMany};
pub use silent::Silent;

use crate::decision::{CompileError, Snapshot};
use crate::domain::{Lineage, Revision};
use crate::store::Loaded;
use arc_swap::ArcSwapOption;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Holds the newest rules of this process.
#[derive(Debug)]
pub struct Replica {
    held: ArcSwapOption<Held>,
    /// One installation at a time, so that two cannot overtake each other.
    installing: Mutex<()>,
    /// Whether nobody else writes to the store. Every change is then held before it is acknowledged,
    /// so that what is held is all there is, until a write ends without telling how.
    alone: bool,
    /// Whether it was given up for good: nothing is answered `ELIGIBLE` any more.
    is_given_up: AtomicBool,
}

/// Whether the held rules are known to be all the rules there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// Nobody can have been told of a change that is not held.
    Fresh,
    /// Somebody may have.
    Stale,
}

/// Why rules were not installed. What was held stays, without a lease.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// A rule does not compile.
    #[error("rules of revision {revision} do not compile")]
    Compile {
        /// The revision.
        revision: Revision,
        /// Which rule, and what is wrong with it.
        source: CompileError,
    },

    /// The rules belong to another history than those held. A person must look.
    #[error("rules of history {offered} were offered to a replica of history {held}")]
    OtherLineage {
        /// The history held.
        held: Lineage,
        /// The history offered.
        offered: Lineage,
    },

    /// The rules are older than those held.
    #[error("rules of revision {offered} were offered to a replica that holds revision {held}")]
    Backwards {
        /// The revision held.
        held: Revision,
        /// The revision offered.
        offered: Revision,
    },

    /// The rules have the number of those held, and another past.
    #[error("two histories have a revision {revision}: the one held, and the one offered")]
    Forked {
        /// The number of both.
        revision: Revision,
    },
}

impl Replica {
    /// Holds nothing yet; this process alone writes to the store.
    #[must_use]
    pub fn alone() -> Self {
        Self {
            held: ArcSwapOption::empty(),
            installing: Mutex::default(),
            alone: true,
            is_given_up: AtomicBool::new(false),
        }
    }

    /// Holds nothing yet; others write to the store too, so that a lease must be won by renewals.
    #[must_use]
    pub fn of_many() -> Self {
        Self { alone: false, ..Self::alone() }
    }

    /// What is held now.
    #[must_use]
    pub fn held(&self) -> Option<Arc<Held>> {
        self.held.load_full()
    }

    /// Whether what is held is known, at `now`, to be all there is.
    #[must_use]
    pub fn freshness(&self, now: BootTime) -> Freshness {
        match &*self.held.load() {
            Some(held) if held.lease.holds_at(now) => Freshness::Fresh,
            _ => Freshness::Stale,
        }
    }

    /// Says that the store may hold a change that is not held here: from now on nothing is answered
    /// `ELIGIBLE`, until the store has shown what it holds.
    pub fn doubt(&self) {
        if let Some(held) = &*self.held.load() {
            held.lease.cut();
        }
    }

    /// Compiles and holds what the store has.
    ///
    /// # Errors
    /// When the rules do not compile, are older, or belong to another history. What was held stays,
    /// in doubt.
    pub fn install(&self, loaded: Loaded) -> Result<Arc<Held>, InstallError> {
        let revision = loaded.head.revision;
        let installed = Snapshot::compile(&loaded.rules, revision)
            .map_err(|source| InstallError::Compile { revision, source })
            .and_then(|snapshot| self.swap(Held::new(loaded, snapshot)));
        if installed.is_err() {
            self.doubt();
        }
        installed
    }

    /// Holds `next`. What is held already stays as it is, and is known anew to be the newest.
    ///
    /// # Errors
    /// When `next` is older, or of another history. What was held stays, in doubt.
    pub fn swap(&self, next: Held) -> Result<Arc<Held>, InstallError> {
        let _installing = self.installing.lock().unwrap_or_else(PoisonError::into_inner);
        let next = match self.held.load_full() {
            Some(held) if held.head == next.head => held,
            Some(held) => {
                if let Err(refused) = comes_after(&next, &held) {
                    held.lease.cut();
                    return Err(refused);
                }
                Arc::new(next)
            }
            None => Arc::new(next),
        };
        if self.alone {
            next.lease.make_endless();
        }
        self.held.store(Some(Arc::clone(&next)));
        Ok(next)
    }

    /// Holds `next`, which was made from what `before` holds and the records after it. It takes over the
    /// lease of `before`: who waits for that lease waits for this replica, whichever of the two it holds.
    ///
    /// # Errors
    /// As for [`Replica::swap`].
    pub(super) fn swap_after(&self, before: &Arc<Held>, next: Held) -> Result<(), InstallError> {
        // Before anybody can see it, so that no check in between goes without.
        next.lease.continue_from(&before.lease);
        self.swap(next)?;
        if self.is_given_up.load(Ordering::Acquire) {
            self.doubt();
        }
        Ok(())
    }

    /// Nothing is answered `ELIGIBLE` from now on, whatever is held later.
    pub(super) fn give_up(&self) {
        self.is_given_up.store(true, Ordering::Release);
        let _installing = self.installing.lock().unwrap_or_else(PoisonError::into_inner);
        self.doubt();
    }

    /// Holds rules of another history, because people let it take the place of the one held. They
    /// have no lease yet.
    pub(super) fn move_over(&self, next: Held) {
        let _installing = self.installing.lock().unwrap_or_else(PoisonError::into_inner);
        self.doubt();
        self.held.store(Some(Arc::new(next)));
    }
}

/// Whether `next` may take the place of `held`.
fn comes_after(next: &Held, held: &Held) -> Result<(), InstallError> {
    let (next, held) = (&next.head, &held.head);
    if held.lineage != next.lineage {
        let (held, offered) = (held.lineage.clone(), next.lineage.clone());
        return Err(InstallError::OtherLineage { held, offered });
    }
    let (held, offered) = (held.revision, next.revision);
    match offered.cmp(&held) {
        std::cmp::Ordering::Less => Err(InstallError::Backwards { held, offered }),
        std::cmp::Ordering::Equal => Err(InstallError::Forked { revision: offered }),
        std::cmp::Ordering::Greater => Ok(()),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use crate::domain::{ChainHash, Offer, OfferId, ProductId, Unit, Window};
    use crate::store::Head;

    fn lineage(digit: char) -> Lineage {
        Lineage::parse(&digit.to_string().repeat(32)).unwrap()
    }

    fn loaded(digit: char, revision: u64) -> Loaded {
        let (lineage, chain) = (lineage(digit), ChainHash::ZERO);
        let head = Head { lineage, revision: Revision(revision), chain };
        Loaded { head, ..Loaded::start(self::lineage(digit)) }
    }

    /// Rules with an offer of a product that nobody declared.
    fn broken(revision: u64) -> Loaded {
        let mut loaded = loaded('a', revision);
        let offer = Offer {
            id: OfferId::parse("o").unwrap(),
            product: ProductId::parse("gone").unwrap(),
            title: None,
            unit: Unit::Person,
            max_per_unit: None,
            requires: vec![],
            countries: vec![],
            min_age: None,
            max_age: None,
            window: Window::ALWAYS,
            outbound_excludes_vulnerable: false,
            alternates: vec![],
            condition: None,
        };
        loaded.rules.offers.insert(offer.id.clone(), Arc::new(offer));
        loaded
    }

    const NOW: BootTime = BootTime::ZERO;

    fn held(replica: &Replica) -> (Option<u64>, Freshness) {
        (replica.held().map(|held| held.head.revision.0), replica.freshness(NOW))
    }

    #[test]
    fn rules_never_go_back_to_an_earlier_revision_and_an_attempt_to_is_a_reason_for_doubt() {
        let replica = Replica::alone();
        assert_eq!(held(&replica), (None, Freshness::Stale));
        replica.install(loaded('a', 2)).unwrap();
        assert_eq!(held(&replica), (Some(2), Freshness::Fresh));
        let refused = replica.install(loaded('a', 1));
        assert!(matches!(refused, Err(InstallError::Backwards { .. })));
        assert_eq!(held(&replica), (Some(2), Freshness::Stale));
        replica.install(loaded('a', 3)).unwrap();
        assert_eq!(held(&replica), (Some(3), Freshness::Fresh));
    }

    #[test]
    fn the_same_number_with_another_past_is_a_fork() {
        let replica = Replica::alone();
        replica.install(loaded('a', 2)).unwrap();
        let mut other = loaded('a', 2);
        other.head.chain = ChainHash([1; 32]);
        assert!(matches!(replica.install(other), Err(InstallError::Forked { .. })));
        assert_eq!(held(&replica), (Some(2), Freshness::Stale));
    }

    #[test]
    fn rules_that_do_not_compile_leave_the_held_ones_and_put_them_in_doubt() {
        let replica = Replica::alone();
        replica.install(loaded('a', 1)).unwrap();
        assert_eq!(held(&replica), (Some(1), Freshness::Fresh));
        assert!(matches!(replica.install(broken(2)), Err(InstallError::Compile { .. })));
        assert_eq!(held(&replica), (Some(1), Freshness::Stale));
        replica.install(loaded('a', 3)).unwrap();
        assert_eq!(held(&replica), (Some(3), Freshness::Fresh));
    }

    #[test]
    fn rules_of_another_history_are_refused_whatever_their_number() {
        let replica = Replica::alone();
        replica.install(loaded('a', 1)).unwrap();
        let refused = replica.install(loaded('b', 7));
        assert!(matches!(refused, Err(InstallError::OtherLineage { .. })));
        assert_eq!(held(&replica), (Some(1), Freshness::Stale));
    }

    #[test]
    fn a_write_that_ended_unclear_is_in_doubt_until_the_store_was_read_again() {
        let replica = Replica::alone();
        replica.install(loaded('a', 1)).unwrap();
        replica.doubt();
        assert_eq!(held(&replica), (Some(1), Freshness::Stale));
        replica.install(loaded('a', 1)).unwrap();
        assert_eq!(held(&replica), (Some(1), Freshness::Fresh));
    }

    #[test]
    fn of_many_replicas_none_is_fresh_before_a_renewal_says_so_nor_past_what_it_proved() {
        let replica = Replica::of_many();
        replica.install(loaded('a', 1)).unwrap();
        assert_eq!(held(&replica), (Some(1), Freshness::Stale));
        replica.held().unwrap().lease.extend_to(BootTime::from_secs(1));
        assert_eq!(held(&replica), (Some(1), Freshness::Fresh));
        let follow = |revision| {
            let loaded = loaded('a', revision);
            let snapshot = Snapshot::compile(&loaded.rules, loaded.head.revision).unwrap();
            replica.swap_after(&replica.held().unwrap(), Held::new(loaded, snapshot)).unwrap();
        };
        follow(2);
        assert_eq!(held(&replica), (Some(2), Freshness::Fresh), "no gap while it reports these");
        assert_eq!(replica.freshness(BootTime::from_secs(1)), Freshness::Stale);
        replica.doubt();
        follow(3);
        assert_eq!(held(&replica), (Some(3), Freshness::Stale), "what is in doubt stays so");
        replica.held().unwrap().lease.extend_to(BootTime::from_secs(2));
        replica.install(loaded('a', 4)).unwrap();
        assert_eq!(held(&replica), (Some(4), Freshness::Stale), "nobody showed what these follow");
        replica.held().unwrap().lease.extend_to(BootTime::from_secs(2));
        replica.give_up();
        follow(5);
        assert_eq!(held(&replica), (Some(5), Freshness::Stale), "what was given up stays so");
    }
}
