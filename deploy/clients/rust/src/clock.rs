//! The clock that answers are kept by: nobody sets it, and it goes on while the machine sleeps, which the usual
//! one for durations does not.

use rustix::time::{ClockId, clock_gettime};
use std::time::Duration;

/// The time since the machine was started.
pub(crate) fn now() -> Duration {
    let now = clock_gettime(ClockId::Boottime);
    let seconds = u64::try_from(now.tv_sec).unwrap_or_default();
    Duration::new(seconds, u32::try_from(now.tv_nsec).unwrap_or_default())
}
