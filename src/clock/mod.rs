//! The one place that reads the time: wall time for rules with dates, boot time for leases; and the terms on
//! which it is trusted.
//!
//! `.clippy.toml` refuses every other way to ask for it, so that a test can hand in any instant.

mod terms;

pub use terms::{BootTime, Terms};

use crate::domain::Timestamp;
use std::time::Duration;

/// Tells the time.
pub trait Clock: Send + Sync + 'static {
    /// The instant that rules are compared with. May step when the machine's clock is set.
    fn wall(&self) -> Timestamp;

    /// Time since the machine started, suspended or not. Never steps back, and never stands still
    /// while the machine sleeps, so that a lease cannot outlive its term unseen.
    fn boot(&self) -> Duration;
}

/// The machine's own clocks.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn wall(&self) -> Timestamp {
        #[expect(clippy::disallowed_methods, reason = "this is the one place")]
        Timestamp::now()
    }

    fn boot(&self) -> Duration {
        // `Instant` is CLOCK_MONOTONIC, which stops while the machine is suspended.
        let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
        let nanos = u32::try_from(time.tv_nsec).unwrap_or_default();
        Duration::new(seconds, nanos)
    }
}
