//! The newest snapshot, and whether it is known to hold all the rules.
//!
//! A check reads one pointer and does no I/O. Whoever loads or writes rules installs them here, and
//! never acknowledges a change before it is installed.
//!
//! Invariant: the held rules never go back to an earlier revision nor over to another history, and
//! rules that do not compile change nothing (R17).

mod held;

pub use held::Held;

use crate::decision::{CompileError, Snapshot};
use crate::domain::{Lineage, Revision};
use crate::store::Loaded;
use arc_swap::{ArcSwapOption, Guard};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Holds the newest rules of this process.
#[derive(Debug, Default)]
pub struct Replica {
    held: ArcSwapOption<Held>,
    /// One installation at a time, so that two cannot overtake each other.
    installing: Mutex<()>,
    fence: CommitFence,
}

/// Whether the held rules are known to be all the rules there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// Nobody can have acknowledged a change that is not held.
    Fresh,
    /// Somebody may have.
    Stale,
}

/// Proof of freshness where this process alone writes to its store: every change is held before it
/// is acknowledged, so what is held is all there is, until a write ends without telling how.
#[derive(Debug, Default)]
struct CommitFence {
    in_doubt: AtomicBool,
}

/// Why rules were not installed. What was held stays.
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
}

impl Replica {
    /// Holds nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What is held now, for one decision.
    #[must_use]
    pub fn peek(&self) -> Guard<Option<Arc<Held>>> {
        self.held.load()
    }

    /// What is held now, to keep.
    #[must_use]
    pub fn held(&self) -> Option<Arc<Held>> {
        self.held.load_full()
    }

    /// Whether what is held is known to be all there is.
    #[must_use]
    pub fn freshness(&self) -> Freshness {
        match self.fence.in_doubt.load(Ordering::Acquire) {
            false => Freshness::Fresh,
            true => Freshness::Stale,
        }
    }

    /// Says that the store may hold a change that is not held here: from now on nothing is answered
    /// `ELIGIBLE`, until newer rules are loaded from the store.
    pub fn doubt(&self) {
        self.fence.in_doubt.store(true, Ordering::Release);
    }

    /// Compiles and holds what the store has.
    ///
    /// # Errors
    /// When the rules do not compile or belong to another history. What was held stays, in doubt.
    pub fn install(&self, loaded: Loaded) -> Result<Arc<Held>, InstallError> {
        let revision = loaded.head.revision;
        let installed = Snapshot::compile(&loaded.rules, revision)
            .map_err(|source| InstallError::Compile { revision, source })
            .and_then(|snapshot| self.swap(Held::new(loaded, snapshot)));
        // What a load from the store shows is the newest: it settles any doubt about earlier writes.
        self.fence.in_doubt.store(installed.is_err(), Ordering::Release);
        installed
    }

    /// Holds `next`, unless what is held is as new. Returns what is held in the end.
    ///
    /// # Errors
    /// When `next` belongs to another history.
    pub fn swap(&self, next: Held) -> Result<Arc<Held>, InstallError> {
        let _installing = self.installing.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(held) = self.held.load_full() {
            if held.head.lineage != next.head.lineage {
                let (held, offered) = (held.head.lineage.clone(), next.head.lineage);
                return Err(InstallError::OtherLineage { held, offered });
            }
            if next.head.revision <= held.head.revision {
                return Ok(held);
            }
        }
        let next = Arc::new(next);
        self.held.store(Some(Arc::clone(&next)));
        Ok(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{ChainHash, Offer, OfferId, ProductId, RuleSet, Unit, Window};
    use crate::store::Head;

    fn lineage(digit: char) -> Lineage {
        Lineage::parse(&digit.to_string().repeat(32)).unwrap()
    }

    fn loaded(digit: char, revision: u64) -> Loaded {
        let (lineage, chain) = (lineage(digit), ChainHash::ZERO);
        let head = Head { lineage, revision: Revision(revision), chain };
        Loaded { head, rules: RuleSet::default() }
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

    fn held_revision(replica: &Replica) -> Option<u64> {
        replica.held().map(|held| held.head.revision.0)
    }

    #[test]
    fn rules_never_go_back_to_an_earlier_revision() {
        let replica = Replica::new();
        assert_eq!(held_revision(&replica), None);
        for (offered, held) in [(2, 2), (1, 2), (2, 2), (3, 3)] {
            replica.install(loaded('a', offered)).unwrap();
            assert_eq!(held_revision(&replica), Some(held));
        }
    }

    #[test]
    fn rules_that_do_not_compile_leave_the_held_ones_and_put_them_in_doubt() {
        let replica = Replica::new();
        replica.install(loaded('a', 1)).unwrap();
        assert_eq!(replica.freshness(), Freshness::Fresh);
        assert!(matches!(replica.install(broken(2)), Err(InstallError::Compile { .. })));
        assert_eq!((held_revision(&replica), replica.freshness()), (Some(1), Freshness::Stale));
        replica.install(loaded('a', 3)).unwrap();
        assert_eq!((held_revision(&replica), replica.freshness()), (Some(3), Freshness::Fresh));
    }

    #[test]
    fn rules_of_another_history_are_refused_whatever_their_number() {
        let replica = Replica::new();
        replica.install(loaded('a', 1)).unwrap();
        let refused = replica.install(loaded('b', 7));
        assert!(matches!(refused, Err(InstallError::OtherLineage { .. })));
        assert_eq!((held_revision(&replica), replica.freshness()), (Some(1), Freshness::Stale));
    }

    #[test]
    fn a_write_that_ended_unclear_is_in_doubt_until_the_store_was_read_again() {
        let replica = Replica::new();
        replica.install(loaded('a', 1)).unwrap();
        replica.doubt();
        assert_eq!(replica.freshness(), Freshness::Stale);
        replica.install(loaded('a', 1)).unwrap();
        assert_eq!(replica.freshness(), Freshness::Fresh);
    }
}
