//! K2: no client is taken back in history.
//!
//! Within one lineage a lower revision is a step back, and so is another chain at the same revision. A
//! lineage that was left for another is never returned to.

use super::checker::{At, History, Rule, Violation};
use super::history::{Check, Need, Result};
use super::log::Log;
use offergate::domain::{Lineage, Revision, Token};
use std::collections::{BTreeMap, HashSet};

/// One client at one replica is never taken back from one call to a later one, and no check is
/// answered `ELIGIBLE` from rules older than the token that was sent with it.
pub(crate) fn never_back(history: &History<'_>) -> Vec<Violation> {
    let mut sessions: BTreeMap<(u32, &str), Vec<At<'_, Check>>> = BTreeMap::new();
    for (event, check) in &history.checks {
        sessions.entry((check.client, &check.replica)).or_default().push((*event, check));
    }
    let mut violations: Vec<_> = sessions.into_values().flat_map(in_session).collect();
    violations.extend(history.checks.iter().filter_map(|(event, check)| {
        let (Need::AtLeast(token), Some(answer)) = (&check.need, &check.answer) else {
            return None;
        };
        let (asked, held) = (Token::parse(token).ok()?, answer.place());
        let reached = held.is_some_and(|held| held == asked || is_after(&held, &asked));
        (answer.is_eligible() && !reached).then(|| Violation {
            rule: Rule::K2,
            events: vec![*event],
            what: format!("ELIGIBLE from rules older than the token {asked} that was sent"),
        })
    }));
    violations
}

fn in_session(mut checks: Vec<At<'_, Check>>) -> Vec<Violation> {
    let mut by_answer = checks.clone();
    by_answer.sort_by_key(|(event, check)| (check.received, *event));
    checks.sort_by_key(|(event, check)| (check.sent, *event));
    let mut answered = by_answer.into_iter().peekable();
    let mut seen = Seen::default();
    let mut violations = Vec::new();
    for (event, check) in checks {
        while let Some((before, earlier)) =
            answered.next_if(|(_, other)| other.received < check.sent)
        {
            seen.note(before, place_of(earlier));
        }
        let Some(place) = place_of(check) else { continue };
        if let Some((before, newest)) = seen.contradicts(&place) {
            violations.push(Violation {
                rule: Rule::K2,
                events: vec![event, before],
                what: format!("taken back from {newest} to {place}"),
            });
        }
    }
    violations
}

fn place_of(check: &Check) -> Option<Token> {
    check.answer.as_ref().and_then(|answer| answer.place())
}

fn is_after(later: &Token, earlier: &Token) -> bool {
    later.lineage == earlier.lineage && earlier.revision < later.revision
}

/// What a session has been shown.
#[derive(Default)]
struct Seen {
    newest: Option<(usize, Token)>,
    left: HashSet<Lineage>,
}

impl Seen {
    fn note(&mut self, event: usize, place: Option<Token>) {
        let Some(place) = place else { return };
        match &mut self.newest {
            Some((_, newest)) if newest.lineage == place.lineage && !is_after(&place, newest) => {}
            Some(newest) => {
                if newest.1.lineage != place.lineage {
                    self.left.insert(newest.1.lineage.clone());
                }
                *newest = (event, place);
            }
            none => *none = Some((event, place)),
        }
    }

    fn contradicts(&self, place: &Token) -> Option<(usize, &Token)> {
        let (event, newest) = self.newest.as_ref()?;
        let back = match newest.lineage == place.lineage {
            true => newest != place && !is_after(place, newest),
            false => self.left.contains(&place.lineage),
        };
        back.then_some((*event, newest))
    }
}

/// A strict check that left after a change was reported enforced is not answered `ELIGIBLE` from rules
/// before that change.
pub(crate) fn strict_is_newest(history: &History<'_>, log: &Log) -> Vec<Violation> {
    let mut enforced: Vec<_> = (history.changes.iter())
        .filter_map(|(event, change)| match &change.result {
            Result::Enforced { .. } => {
                Some((change.received, *event, log.revision_of(&change.request)?))
            }
            _ => None,
        })
        .collect();
    enforced.sort_unstable_by_key(|(received, event, _)| (*received, *event));
    let mut newest = (Revision::ZERO, 0);
    for (_, event, revision) in &mut enforced {
        newest = newest.max((*revision, *event));
        (*revision, *event) = newest;
    }
    (history.checks.iter())
        .filter(|(_, check)| check.need == Need::Strict)
        .filter_map(|(event, check)| {
            let answer = check.answer.as_ref().filter(|answer| answer.is_eligible())?;
            let before = enforced.partition_point(|(received, _, _)| *received < check.sent);
            let (_, change, revision) = enforced.get(before.checked_sub(1)?)?;
            let held = answer.place().map_or(Revision::ZERO, |place| place.revision);
            (held < *revision).then(|| Violation {
                rule: Rule::K2,
                events: vec![*event, *change],
                what: format!("a strict check was answered at {held}, before {revision}"),
            })
        })
        .collect()
}
