//! How long a proof of freshness runs, and how far clocks are trusted: the terms of a lease and of a permit.
//!
//! Whoever holds one counts from before it asked, and takes a margin off; whoever waits for it to run out
//! counts from after it was given, and adds the same margin. So no two clocks are ever compared.

use std::time::Duration;

/// Boot time: since this machine started.
pub type BootTime = Duration;

/// How long leases run, and how far clocks are trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// The staleness limit: after so much time without proof, nothing is answered `ELIGIBLE`.
    pub limit: Duration,
    /// How far a machine's clock may run fast or slow, in parts of a thousand.
    pub drift: u32,
    /// What scheduling and rounding may cost.
    pub margin: Duration,
}

impl Terms {
    /// The terms for a staleness limit: clocks within 1 %, which is twenty times what a kernel corrects
    /// them by, and 20 ms for scheduling.
    #[must_use]
    pub const fn of(limit: Duration) -> Self {
        Self { limit, drift: 10, margin: Duration::from_millis(20) }
    }

    /// For how long whoever holds a lease relies on it, from before it was asked for.
    #[must_use]
    pub fn usable(&self) -> Duration {
        self.limit.saturating_sub(self.slack())
    }

    /// The last instant of a lease that a renewal sent at `sent` proves.
    #[must_use]
    pub fn lease_end(&self, sent: BootTime) -> BootTime {
        sent + self.usable()
    }

    /// The instant by which every lease has run out that was granted up to `at`, on whatever machine.
    #[must_use]
    pub fn all_leases_end(&self, at: BootTime) -> BootTime {
        at + self.limit + self.slack()
    }

    /// How often to renew, so that a lease outlives several renewals that were lost.
    #[must_use]
    pub fn period(&self) -> Duration {
        (self.limit / 20).min(Duration::from_millis(250))
    }

    fn slack(&self) -> Duration {
        self.limit * self.drift / 1000 + self.margin
    }
}
