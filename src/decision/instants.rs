//! The instants that something is decided at, where a clock may be behind the newest change.
//!
//! Nothing is decided before the newest change: what was acknowledged is in force, whatever a clock says. While
//! the clock is well behind, what would be eligible must be so at the clock's own time, too: a clock that ran
//! ahead when the change was made lifts nothing early.

use super::{Snapshot, decide};
use crate::domain::{CheckRequest, Decision, Outcome, Timestamp};
use std::time::Duration;

/// How far a clock may be behind the newest change before people must look: more than a time server
/// ever steps a clock that it keeps.
const MOST_BEHIND: Duration = Duration::from_secs(2);

/// When something is decided.
#[derive(Debug, Clone, Copy)]
pub struct Instants {
    /// The instant that counts: never before the newest change.
    pub now: Timestamp,
    /// What the wall clock says.
    pub wall: Timestamp,
    /// Whether the wall clock is so far behind that it has a say of its own.
    pub is_behind: bool,
}

impl Instants {
    /// What follows from the instant that counts and the wall clock's.
    #[must_use]
    pub fn at(now: Timestamp, wall: Timestamp) -> Self {
        let is_behind = wall.checked_add(MOST_BEHIND).is_ok_and(|latest| latest < now);
        Self { now, wall, is_behind }
    }

    /// What follows from the wall clock over rules that were changed last at `changed_at`.
    #[must_use]
    pub fn after(changed_at: Option<Timestamp>, wall: Timestamp) -> Self {
        Self::at(changed_at.map_or(wall, |changed_at| changed_at.max(wall)), wall)
    }

    /// Decides at the instant that counts; while the clock is well behind, at both.
    #[must_use]
    pub fn decide<'s>(&self, request: &CheckRequest<'_>, snapshot: &'s Snapshot) -> Decision<'s> {
        self.decide_by(|instant| decide(request, snapshot, instant))
    }

    /// The same, whoever decides.
    pub fn decide_by<'s>(&self, decide: impl Fn(Timestamp) -> Decision<'s>) -> Decision<'s> {
        let mut decision = decide(self.now);
        if !self.is_behind {
            return decision;
        }
        let mut other = decide(self.wall);
        let agreed = decision.alternate.take().filter(|one| other.alternate.as_ref() == Some(one));
        if decision.outcome == Outcome::Eligible && other.outcome != Outcome::Eligible {
            std::mem::swap(&mut decision, &mut other);
        }
        decision.alternate = agreed;
        decision
    }
}
