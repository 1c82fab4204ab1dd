//! What left by rules that were out of date by then, as far as it can be known.
//!
//! A hand-over that was taken, or may have been, is remembered for a while. If it ended while its permit held, it
//! leaked if newer rules come that deny it and were made before it ended, by the clock here. If its permit held no
//! more, the newest rules of that time are not known here yet: whatever rules come next are asked. Until they
//! have come, or the same are known to be in force still, it cannot be told.
//!
//! Invariant: what ended without its permit is counted as leaked, or as not known, until it is known that it did
//! not leak.

use crate::domain::Timestamp;
use crate::jobs::mailing::audience::Recipient;
use crate::jobs::mailing::gate::{Gate, Rules};
use crate::jobs::mailing::judge::Judge;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// How many that ended under their permits are remembered. As many leave only where `reach` times the rate is more.
const MOST: usize = 10_000;

/// How much longer than the gate's reach rules are waited for at the end: time to take and compile them.
const SLACK: Duration = Duration::from_secs(1);

/// How a hand-over ended.
#[derive(Debug, Clone)]
pub(super) struct Under {
    /// The rules that it was decided by.
    pub(super) rules: Arc<Rules>,
    /// Whether they were still known to be the newest.
    pub(super) held: bool,
    /// When, on both clocks.
    pub(super) boot: Duration,
    pub(super) wall: Timestamp,
}

#[derive(Debug)]
struct Gone {
    recipient: Recipient,
    under: Under,
}

/// What left, and is not known yet to have been right or wrong.
#[derive(Debug, Default)]
pub(super) struct Leaks {
    held: VecDeque<Gone>,
    open: Vec<Gone>,
    /// What earlier senders could not tell.
    before: u64,
}

impl Leaks {
    /// None, after so many that earlier senders could not tell.
    pub(super) fn after(unknown: u64) -> Self {
        Self { before: unknown, ..Self::default() }
    }

    /// Remembers a hand-over that was taken, or may have been.
    pub(super) fn note(&mut self, recipient: Recipient, under: Under) {
        let gone = Gone { recipient, under };
        if !gone.under.held {
            self.open.push(gone);
            return;
        }
        if MOST <= self.held.len() {
            self.held.pop_front();
        }
        self.held.push_back(gone);
    }

    /// Of how many it cannot be told.
    pub(super) fn unknown(&self) -> u64 {
        self.before + self.open.len() as u64
    }

    /// Whether rules may come soon that tell.
    pub(super) fn can_tell_soon(&self, gate: &dyn Gate, now: Duration) -> bool {
        let last = self.open.iter().map(|gone| gone.under.boot).max();
        last.is_some_and(|last| now < last + gate.reach() + SLACK)
    }

    /// Looks at what is known by now; tells how many more leaked.
    pub(super) fn look(&mut self, gate: &dyn Gate, judge: &Judge<'_>, now: Duration) -> u64 {
        if self.held.is_empty() && self.open.is_empty() {
            return 0;
        }
        let Some(newest) = gate.newest() else { return 0 };
        let is_past = |gone: &Gone| gone.under.boot + gate.reach() < now;
        let is_same = |gone: &Gone| gone.under.rules.token == newest.token;
        let denies = |gone: &Gone| judge.judge(&gone.recipient, &newest, gone.under.wall).is_err();
        let mut leaked = 0;
        while self.held.front().is_some_and(is_past) {
            self.held.pop_front();
        }
        if self.held.back().is_some_and(|gone| !is_same(gone))
            || self.held.front().is_some_and(|gone| !is_same(gone))
        {
            let was_made = |gone: &Gone| newest.made_at.is_none_or(|at| at <= gone.under.wall);
            self.held.retain(|gone| {
                let is_over = !is_same(gone);
                leaked += u64::from(is_over && was_made(gone) && denies(gone));
                !is_over
            });
        }
        if !self.open.is_empty() {
            // A permit that runs now was asked for after what ended so long ago.
            let in_force = gate.enter().is_some_and(|pass| pass.rules.token == newest.token);
            self.open.retain(|gone| {
                let is_over = !is_same(gone);
                leaked += u64::from(is_over && denies(gone));
                let is_cleared = in_force && is_past(gone);
                !is_over && !is_cleared
            });
        }
        leaked
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jobs::mailing::fixture::{Fixture, MovableGate, at, rules};

    const NOON: &str = "2026-12-01T12:00:00Z";

    /// One hand-over that ended at noon, ten seconds after the start.
    fn gone(fixture: &Fixture, held: bool) -> Leaks {
        let mut leaks = Leaks::after(0);
        let boot = Duration::from_secs(10);
        let under = Under { rules: rules(None), held, boot, wall: at(NOON) };
        for recipient in fixture.recipients() {
            leaks.note(recipient, under.clone());
        }
        leaks
    }

    fn fixture() -> Fixture {
        Fixture::new("", "c-1,NONE,ann@x.example\n")
    }

    #[test]
    fn what_ended_without_its_permit_is_judged_by_the_rules_that_come() {
        let (fixture, gate) = (fixture(), MovableGate::open());
        let (judge, mut leaks) = (fixture.judge(), gone(&fixture, false));
        gate.set(rules(None), false);
        let soon = Duration::from_secs(12);
        assert_eq!((leaks.look(&gate, &judge, soon), leaks.unknown()), (0, 1), "nobody knows yet");
        assert!(leaks.can_tell_soon(&gate, soon));
        let late = Duration::from_secs(3_600);
        assert_eq!((leaks.look(&gate, &judge, late), leaks.unknown()), (0, 1), "nor ever");
        assert!(!leaks.can_tell_soon(&gate, late));
        // Made later by that server's clock: its permit was over, so that says nothing.
        gate.set(rules(Some("2026-12-01T12:00:01Z")), false);
        assert_eq!((leaks.look(&gate, &judge, late), leaks.unknown()), (1, 0));
        assert_eq!(leaks.look(&gate, &judge, late), 0, "it is counted once");
    }

    #[test]
    fn what_ended_without_its_permit_did_not_leak_if_the_same_rules_are_in_force_again() {
        let (fixture, gate) = (fixture(), MovableGate::open());
        let (judge, mut leaks) = (fixture.judge(), gone(&fixture, false));
        let (soon, later) = (Duration::from_secs(14), Duration::from_secs(16));
        assert_eq!((leaks.look(&gate, &judge, soon), leaks.unknown()), (0, 1), "an old permit");
        assert_eq!((leaks.look(&gate, &judge, later), leaks.unknown()), (0, 0));
    }

    #[test]
    fn what_ended_under_its_permit_leaked_if_newer_rules_were_made_before_that() {
        for (made_at, seconds, leaked, why) in [
            ("2026-12-01T11:59:59Z", 11, 1, "made before it ended"),
            ("2026-12-01T12:00:01Z", 11, 0, "made after it ended"),
            ("2026-12-01T11:59:59Z", 16, 0, "its permit covers that long"),
        ] {
            let (fixture, gate) = (fixture(), MovableGate::open());
            let (judge, mut leaks) = (fixture.judge(), gone(&fixture, true));
            gate.set(rules(Some(made_at)), true);
            let now = Duration::from_secs(seconds);
            assert_eq!((leaks.look(&gate, &judge, now), leaks.unknown()), (leaked, 0), "{why}");
        }
    }
}
