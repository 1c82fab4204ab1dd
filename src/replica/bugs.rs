//! Bugs on purpose, so that what looks for bugs can be shown to find them. A build without the feature
//! `seeded-bugs` has none of them, and no way to switch one on.
//!
//! With the feature, `SEEDED_BUG` in the environment names the one that a process has.

/// A promise that is broken on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bug {
    /// A lease is counted from the answer to a renewal.
    LeaseFromReply,
    /// Records are taken over whatever history they continue.
    SkipChain,
    /// A change is called enforced once it is durable.
    AckBeforeFence,
    /// Checks read a clock that moves with the renewals.
    CachedClock,
    /// A list of replicas counts although it may not be complete.
    EarlyRelease,
    /// A place is compared by its revision alone.
    RevisionOnly,
}

#[cfg(feature = "seeded-bugs")]
pub use seeded::{has, passes, read, renewed, reported};

#[cfg(not(feature = "seeded-bugs"))]
mod none {
    use super::Bug;
    use crate::audit::{Chain, Record};
    use crate::replica::BootTime;
    use crate::store::{Head, SharedStore};

    /// Whether this process has the bug: it has none.
    #[must_use]
    pub const fn has(_: Bug) -> bool {
        false
    }

    /// Whether a record that does not follow is taken over all the same: never.
    #[must_use]
    pub const fn passes(_: &Record, _: &Chain) -> bool {
        false
    }

    /// What a check takes for the time.
    #[must_use]
    pub const fn read(now: BootTime) -> BootTime {
        now
    }

    /// A renewal was answered.
    pub const fn renewed(_: BootTime) {}

    /// What a replica reports to hold.
    pub async fn reported(_: &dyn SharedStore, held: Head) -> Head {
        held
    }
}
#[cfg(not(feature = "seeded-bugs"))]
pub use none::{has, passes, read, renewed, reported};

#[cfg(feature = "seeded-bugs")]
mod seeded {
    use super::Bug;
    use crate::audit::{Chain, Record};
    use crate::domain::Revision;
    use crate::replica::BootTime;
    use crate::store::{Head, SharedStore};
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    /// When a renewal was last answered, in nanoseconds.
    static RENEWED: AtomicU64 = AtomicU64::new(0);

    /// Whether this process has the bug.
    #[must_use]
    pub fn has(bug: Bug) -> bool {
        static SEEDED: OnceLock<Option<Bug>> = OnceLock::new();
        let named = || match std::env::var("SEEDED_BUG").ok()?.as_str() {
            "lease-from-reply" => Some(Bug::LeaseFromReply),
            "skip-chain" => Some(Bug::SkipChain),
            "ack-before-fence" => Some(Bug::AckBeforeFence),
            "cached-clock" => Some(Bug::CachedClock),
            "early-release" => Some(Bug::EarlyRelease),
            "revision-only" => Some(Bug::RevisionOnly),
            _ => None,
        };
        *SEEDED.get_or_init(named) == Some(bug)
    }

    /// Whether a record that does not follow is taken over all the same.
    #[must_use]
    pub fn passes(record: &Record, chain: &Chain) -> bool {
        let is_next = record.revision == chain.revision.next();
        has(Bug::SkipChain) || (has(Bug::RevisionOnly) && is_next)
    }

    /// What a check takes for the time.
    #[must_use]
    pub fn read(now: BootTime) -> BootTime {
        match has(Bug::CachedClock) {
            true => BootTime::from_nanos(RENEWED.load(Ordering::Acquire)),
            false => now,
        }
    }

    /// A renewal was answered.
    pub fn renewed(now: BootTime) {
        let now = u64::try_from(now.as_nanos()).unwrap_or_default();
        RENEWED.store(now, Ordering::Release);
    }

    /// What a replica reports to hold.
    pub async fn reported(store: &dyn SharedStore, held: Head) -> Head {
        if !has(Bug::RevisionOnly) && !has(Bug::SkipChain) {
            return held;
        }
        let before = Revision(held.revision.0.saturating_sub(1));
        match store.records(before, 1).await.ok().and_then(|mut records| records.pop()) {
            Some(record) if record.revision == held.revision => {
                Head { chain: record.chain, ..held }
            }
            _ => held,
        }
    }
}
