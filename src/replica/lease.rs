//! How long a snapshot may be relied on: its lease, and what a renewal does to one.
//!
//! Pure but for the cell. All instants here are boot time: they never step back, and they go on while
//! a machine sleeps.
//!
//! Invariants: a lease is counted from before the renewal was sent, never from its answer; and it
//! belongs to one snapshot, so that no swap can pair a new lease with old rules. Newer rules go on with
//! the rest of the lease of those that they continue.

use crate::clock::{BootTime, Terms};
use crate::store::{Renewal, Standing};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// What to do about a renewal's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AfterRenewal {
    /// The lease of what was reported runs to this instant, or further if it did already.
    Extend(BootTime),
    /// There are newer rules: get them. The lease is neither extended nor cut.
    CatchUp,
    /// What was reported cannot be relied on any more.
    Drop(Standing),
}

/// What the answer to a renewal that was sent at `sent` means for the lease of what was reported.
#[must_use]
pub fn after_renewal(terms: &Terms, sent: BootTime, renewal: &Renewal) -> AfterRenewal {
    match &renewal.standing {
        Standing::Newest => AfterRenewal::Extend(terms.lease_end(sent)),
        Standing::Behind => AfterRenewal::CatchUp,
        other => AfterRenewal::Drop(other.clone()),
    }
}

/// The end of one snapshot's lease.
#[derive(Debug, Default)]
pub struct Lease {
    /// Nanoseconds of boot time; 0 for none.
    end: AtomicU64,
}

impl Lease {
    /// A lease that does not run out by itself.
    const FOREVER: u64 = u64::MAX;

    /// Whether the snapshot is known, at `now`, to hold all the rules.
    #[must_use]
    pub fn holds_at(&self, now: BootTime) -> bool {
        nanos(now) < self.end.load(Ordering::Acquire)
    }

    /// How long it runs on from `now`; zero when it has run out.
    #[must_use]
    pub fn left_at(&self, now: BootTime) -> Duration {
        Duration::from_nanos(self.end.load(Ordering::Acquire).saturating_sub(nanos(now)))
    }

    /// How old, at `now`, the proof is that it rests on; `None` where there was none, or where none is
    /// needed.
    #[must_use]
    pub fn proof_age(&self, terms: &Terms, now: BootTime) -> Option<Duration> {
        match self.end.load(Ordering::Acquire) {
            0 | Self::FOREVER => None,
            end => Some((now + terms.usable()).saturating_sub(Duration::from_nanos(end))),
        }
    }

    /// Runs to `end`, or further if it did already.
    pub fn extend_to(&self, end: BootTime) {
        self.end.fetch_max(nanos(end), Ordering::AcqRel);
    }

    /// Runs as long as that of older rules, which these continue. A change that is not in these was not
    /// in those either, so whoever waits for that lease to end waits for this one.
    pub fn continue_from(&self, older: &Self) {
        self.end.fetch_max(older.end.load(Ordering::Acquire), Ordering::AcqRel);
    }

    /// Does not run out by itself: this process is the only one that writes.
    pub fn make_endless(&self) {
        self.end.store(Self::FOREVER, Ordering::Release);
    }

    /// Ends now.
    pub fn cut(&self) {
        self.end.store(0, Ordering::Release);
    }
}

/// Rounds down, which ends a lease early rather than late.
fn nanos(time: BootTime) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(Lease::FOREVER - 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Revision;
    use crate::store::Reign;

    const TERMS: Terms = Terms::of(Duration::from_secs(5));
    const SENT: BootTime = Duration::from_secs(100);

    #[test]
    fn a_lease_ends_before_anybody_stops_waiting_for_it_whatever_the_clocks_do_within_the_drift() {
        for drift in [-10_i64, 0, 10] {
            // A machine whose clock runs fast or slow by the drift measures its lease so in real time.
            let lease = TERMS.lease_end(SENT) - SENT;
            let real = lease.as_nanos() as f64 * 1000.0 / (1000 + drift) as f64;
            let waited = TERMS.all_leases_end(SENT) - SENT;
            for waiting_drift in [-10_i64, 0, 10] {
                let waited = waited.as_nanos() as f64 * 1000.0 / (1000 + waiting_drift) as f64;
                assert!(real < waited, "{drift} {waiting_drift}: {real} {waited}");
            }
        }
    }

    #[test]
    fn only_a_report_of_the_newest_rules_extends_a_lease() {
        let after = |standing| {
            let (newest, reign) = (Revision(7), Reign("r".into()));
            after_renewal(&TERMS, SENT, &Renewal { standing, newest, reign })
        };
        assert_eq!(after(Standing::Newest), AfterRenewal::Extend(TERMS.lease_end(SENT)));
        assert_eq!(after(Standing::Behind), AfterRenewal::CatchUp);
        for standing in [
            Standing::Forked { part: true },
            Standing::Forked { part: false },
            Standing::Empty,
            Standing::NameTaken { address: String::new() },
        ] {
            assert_eq!(after(standing.clone()), AfterRenewal::Drop(standing));
        }
    }

    #[test]
    fn a_lease_only_grows_until_it_is_cut_and_ends_at_its_last_instant() {
        let lease = Lease::default();
        let at = Duration::from_millis;
        assert!(!lease.holds_at(at(0)));
        lease.extend_to(at(50));
        lease.extend_to(at(40));
        assert!(lease.holds_at(at(49)) && !lease.holds_at(at(50)));
        assert_eq!((lease.left_at(at(20)), lease.left_at(at(60))), (at(30), at(0)));
        assert_eq!(lease.proof_age(&TERMS, at(60)), Some(TERMS.lease_end(at(60)) - at(50)));
        let newer = Lease::default();
        newer.continue_from(&lease);
        assert!(newer.holds_at(at(49)) && !newer.holds_at(at(50)));
        lease.cut();
        assert!(!lease.holds_at(at(1)));
        newer.continue_from(&lease);
        assert!(newer.holds_at(at(49)), "what it proved itself stays");
        assert_eq!(lease.proof_age(&TERMS, at(60)), None);
        lease.make_endless();
        assert!(lease.holds_at(Duration::MAX));
    }
}
