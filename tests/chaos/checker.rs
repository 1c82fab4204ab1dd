//! Holds a history of calls against what the service promises: pure, and O(n log n).
//!
//! | rule | holds when |
//! |---|---|
//! | K1 | no check that left after a suspension was reported enforced is answered `ELIGIBLE` against it, until a lift of it may have been made; and none is at all while the store is empty, once the leases from before are over |
//! | K2 | no client is taken back: not by one replica, not below the token that it sent, and not by a strict check below what was enforced |
//! | K3 | each answer is what the decision's slow twin says at the place in history that the answer names |
//! | K4 | the log is a chain of exactly the changes that were acknowledged and some of those whose fate nobody was told, each once; none is made while the store is empty |
//! | K5 | outside the times when something was broken, every check is answered, and not with "cannot tell" |
//!
//! Invariant: every violation names the events that contradict each other, so that a person can look
//! at the two lines and agree.

use super::history::{Await, Change, Check, Emptied, Event, Fault, Nanos, Result, Target, What};
use super::log::Log;
use super::{emptied, order, replay};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;

/// The rules, by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Rule {
    K1,
    K2,
    K3,
    K4,
    K5,
}

/// What contradicts the promises.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Violation {
    pub(crate) rule: Rule,
    /// Places in the history, in the order in which the sentence speaks of them.
    pub(crate) events: Vec<usize>,
    pub(crate) what: String,
}

/// An event with its place in the history.
pub(crate) type At<'h, T> = (usize, &'h T);

/// A history, sorted by kind.
pub(crate) struct History<'h> {
    pub(crate) checks: Vec<At<'h, Check>>,
    pub(crate) changes: Vec<At<'h, Change>>,
    pub(crate) awaits: Vec<At<'h, Await>>,
    pub(crate) faults: Vec<At<'h, Fault>>,
    pub(crate) emptied: Vec<At<'h, Emptied>>,
}

impl<'h> History<'h> {
    pub(crate) fn of(events: &'h [Event]) -> Self {
        let (mut checks, mut changes) = (Vec::new(), Vec::new());
        let (mut awaits, mut faults, mut emptied) = (Vec::new(), Vec::new(), Vec::new());
        for (place, event) in events.iter().enumerate() {
            match event {
                Event::Check(check) => checks.push((place, check)),
                Event::Change(change) => changes.push((place, change)),
                Event::Await(wait) => awaits.push((place, wait)),
                Event::Fault(fault) => faults.push((place, fault)),
                Event::Emptied(time) => emptied.push((place, time)),
            }
        }
        Self { checks, changes, awaits, faults, emptied }
    }

    /// Whether people may have had to decide between histories.
    pub(crate) fn forked(&self) -> bool {
        self.faults.iter().any(|(_, fault)| fault.forked)
    }

    /// When each suspension was first reported to be enforced, and by which event.
    pub(crate) fn enforced(&self) -> HashMap<&'h str, (Nanos, usize)> {
        let mut enforced = HashMap::new();
        let mut note = |suspension: &'h str, at: Nanos, event: usize| {
            let first = enforced.entry(suspension).or_insert((at, event));
            *first = (*first).min((at, event));
        };
        for (event, change) in &self.changes {
            if let (What::Suspend { suspension, .. }, Result::Enforced { .. }) =
                (&change.what, &change.result)
            {
                note(suspension, change.received, *event);
            }
        }
        for (event, wait) in self.awaits.iter().filter(|(_, wait)| wait.enforced) {
            note(&wait.suspension, wait.received, *event);
        }
        enforced
    }
}

/// Everything in a history that contradicts the promises. `limit` is the staleness limit.
pub(crate) fn check(events: &[Event], log: &Log, limit: Nanos) -> Vec<Violation> {
    let history = History::of(events);
    let mut violations = no_eligible_once_enforced(&history);
    violations.extend(emptied::nothing_is_known(&history, limit));
    violations.extend(order::never_back(&history));
    violations.extend(order::strict_is_newest(&history, log));
    violations.extend(replay::same_as_twin(&history, log));
    violations.extend(log.holds_what_was_acknowledged(&history));
    violations.extend(always_answered(&history, limit));
    violations
}

/// A time during which nothing is `ELIGIBLE` against one suspension: after `from`, before `until`.
#[derive(Debug, Clone, Copy)]
struct Ban {
    from: Nanos,
    until: Nanos,
    event: usize,
}

/// K1.
fn no_eligible_once_enforced(history: &History<'_>) -> Vec<Violation> {
    let bans = bans(history);
    let mut violations = Vec::new();
    for (event, check) in &history.checks {
        if !check.answer.as_ref().is_some_and(|answer| answer.is_eligible()) {
            continue;
        }
        let targets = [Target::Vendor(check.vendor.clone()), Target::Offer(check.offer.clone())];
        let broken = targets.iter().filter_map(|target| broken(bans.get(target)?, check)).next();
        if let Some(ban) = broken {
            let after = (check.sent - ban.from) / 1_000_000;
            violations.push(Violation {
                rule: Rule::K1,
                events: vec![*event, ban.event],
                what: format!("ELIGIBLE to a check sent {after} ms after it was enforced"),
            });
        }
    }
    violations
}

/// The bans of each target by their start, each reaching as far as any that started before it.
fn bans<'h>(history: &History<'h>) -> HashMap<&'h Target, Vec<Ban>> {
    let mut lifted: HashMap<&str, Nanos> = HashMap::new();
    for (_, change) in &history.changes {
        // A lift counts from when it was sent: it may take effect at any time after that. One that
        // was refused never did.
        if let (What::Lift { suspension }, false) =
            (&change.what, matches!(change.result, Result::Refused { .. }))
        {
            let first = lifted.entry(suspension).or_insert(change.sent);
            *first = (*first).min(change.sent);
        }
    }
    let targets: HashMap<&str, &Target> = (history.changes.iter())
        .filter_map(|(_, change)| match &change.what {
            What::Suspend { suspension, target } => Some((suspension.as_str(), target)),
            What::Lift { .. } | What::ApplyRules => None,
        })
        .collect();
    let mut bans: HashMap<&Target, Vec<Ban>> = HashMap::new();
    for (suspension, (from, event)) in history.enforced() {
        let until = lifted.get(suspension).copied().unwrap_or(Nanos::MAX);
        if let Some(target) = targets.get(suspension) {
            bans.entry(target).or_default().push(Ban { from, until, event });
        }
    }
    for bans in bans.values_mut() {
        bans.sort_by_key(|ban| (ban.from, ban.event));
        let mut longest: Option<Ban> = None;
        for ban in bans {
            if let Some(longer) = longest.filter(|longest| ban.until <= longest.until) {
                *ban = Ban { from: longer.from, until: longer.until, event: longer.event };
            }
            longest = Some(*ban);
        }
    }
    bans
}

/// The ban that a check answered `ELIGIBLE` breaks, if it breaks one.
fn broken(bans: &[Ban], check: &Check) -> Option<Ban> {
    // Replacing a ban by a longer one that began earlier leaves the order by start intact.
    let begun = bans.partition_point(|ban| ban.from < check.sent);
    let longest = bans.get(begun.checked_sub(1)?)?;
    (check.received < longest.until).then_some(*longest)
}

/// K5.
fn always_answered(history: &History<'_>, limit: Nanos) -> Vec<Violation> {
    let broken = Windows::of(&history.faults, limit);
    let unanswered = |check: &Check| match &check.answer {
        None => Some("no answer"),
        Some(answer) if answer.outcome == "INDETERMINATE" && !below_token(check) => {
            Some("INDETERMINATE")
        }
        Some(_) => None,
    };
    (history.checks.iter())
        .filter(|(_, check)| !broken.touch(check.sent, check.received))
        .filter_map(|(event, check)| Some((*event, unanswered(check)?)))
        .map(|(event, what)| Violation {
            rule: Rule::K5,
            events: vec![event],
            what: format!("{what}, and nothing was broken"),
        })
        .collect()
}

/// Whether the caller asked for more than this replica had seen, which it may well say.
fn below_token(check: &Check) -> bool {
    match (&check.need, check.answer.as_ref().and_then(|answer| answer.place())) {
        (super::history::Need::AtLeast(token), Some(held)) => {
            offergate::domain::Token::parse(token)
                .is_ok_and(|token| token.lineage != held.lineage || held.revision < token.revision)
        }
        _ => false,
    }
}

/// Times, merged where they touch.
pub(crate) struct Windows(BTreeMap<Nanos, Nanos>);

impl Windows {
    /// The times when something was broken, each with `limit` to recover in.
    pub(crate) fn of(faults: &[At<'_, Fault>], limit: Nanos) -> Self {
        let mut spans: Vec<_> = (faults.iter())
            .map(|(_, fault)| (fault.from, fault.until.saturating_add(limit)))
            .collect();
        spans.sort_unstable();
        let mut merged: Vec<(Nanos, Nanos)> = Vec::new();
        for (from, until) in spans {
            match merged.last_mut() {
                Some((_, end)) if from <= *end => *end = until.max(*end),
                _ => merged.push((from, until)),
            }
        }
        Self(merged.into_iter().collect())
    }

    /// Whether any of them has an instant in `from..=until`.
    pub(crate) fn touch(&self, from: Nanos, until: Nanos) -> bool {
        self.0.range(..=until).next_back().is_some_and(|(_, end)| from <= *end)
    }
}

/// How many violations of each rule, and the first few of each with their lines.
pub(crate) struct Shown<'a> {
    pub(crate) events: &'a [Event],
    pub(crate) violations: &'a [Violation],
    pub(crate) most: usize,
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rules: HashSet<Rule> = self.violations.iter().map(|found| found.rule).collect();
        let mut rules: Vec<Rule> = rules.into_iter().collect();
        rules.sort();
        for rule in rules {
            let found: Vec<_> = self.violations.iter().filter(|found| found.rule == rule).collect();
            writeln!(f, "{rule:?}: {} violations", found.len())?;
            for violation in found.iter().take(self.most) {
                writeln!(f, "  {}", violation.what)?;
                for place in &violation.events {
                    let event = self.events.get(*place).map(serde_json::to_string);
                    let line = event.and_then(std::result::Result::ok).unwrap_or_default();
                    writeln!(f, "    line {}: {line}", place + 1)?;
                }
            }
        }
        Ok(())
    }
}
