//! The instants that checks and changes live in, whatever the wall clock does.
//!
//! A wall clock is set now and then, and may step back. Two readings are then possible: it is wrong
//! now, or it was wrong when the newest change was made. Nobody can tell, so:
//!
//! - No change is dated before the one before it, and no check is decided before the newest change:
//!   what was acknowledged is in force, after a restart too.
//! - While the clock is well behind, what would be eligible must be so at the clock's own time, too:
//!   a clock that ran ahead for a while lifts nothing early. A lift then counts where both agree.
//! - How long an answer may be kept is always told by the clock's own time.

use super::Service;
use crate::decision::Instants;
use crate::domain::Timestamp;
use std::sync::atomic::{AtomicI64, Ordering};

/// The instant of the newest change that this process began, in nanoseconds since 1970: to the last digit, or a suspension
/// that began then would not have begun yet.
#[derive(Debug)]
pub(super) struct Floor(AtomicI64);

impl Floor {
    /// No change was begun yet.
    pub(super) fn new() -> Self {
        Self(AtomicI64::new(i64::MIN))
    }

    /// A change is made at this instant.
    pub(super) fn raise(&self, made_at: Timestamp) {
        self.0.fetch_max(nanoseconds(made_at), Ordering::Release);
    }

    /// The instants to decide at when the wall clock says `wall`, over rules that were changed last at
    /// `changed_at`.
    fn instants(&self, wall: Timestamp, changed_at: Option<Timestamp>) -> Instants {
        let floor = Timestamp::from_nanosecond(self.0.load(Ordering::Acquire).into()).ok();
        Instants::after(floor.max(changed_at), wall)
    }
}

/// Reaches to the year 2262; what is said to be later counts as then.
fn nanoseconds(instant: Timestamp) -> i64 {
    i64::try_from(instant.as_nanosecond()).unwrap_or(i64::MAX)
}

impl Service {
    /// Whether the wall clock is more than two seconds behind the newest change, so that one of the
    /// two is wrong and a person must look.
    #[must_use]
    pub fn is_clock_behind(&self) -> bool {
        self.instants().is_behind
    }

    pub(super) fn instants(&self) -> Instants {
        let changed_at = self.replica.held().and_then(|held| held.changed_at);
        self.instants_after(changed_at)
    }

    /// The instants to decide at over rules whose last change was made then.
    pub(super) fn instants_after(&self, changed_at: Option<Timestamp>) -> Instants {
        self.floor.instants(self.clock.wall(), changed_at)
    }

    /// Logs when the clock falls behind and when it has caught up; returns whether it is behind.
    pub(super) fn watch_clock(&self, was_behind: bool) -> bool {
        let Instants { now, wall, is_behind } = self.instants();
        if is_behind && !was_behind {
            tracing::error!(
                "The clock says {wall}, before the newest change at {now}: set it right; until then \
                 only what is eligible at both instants is answered ELIGIBLE"
            );
        } else if was_behind && !is_behind {
            tracing::info!("The clock is past the newest change again");
        }
        is_behind
    }
}
