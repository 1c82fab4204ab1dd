//! What must hold while a store is empty: parts of K1 and K4.
//!
//! From the instant at which the store held nothing any more until people began to fill it, nobody can know
//! the newest rules. So once the leases from before are over nothing is `ELIGIBLE`, whatever is suspended;
//! a strict check, which asks the store, is not at any time; and no change is made.

use super::checker::{At, History, Rule, Violation};
use super::history::{Change, Emptied, Nanos, Need, Result};
use std::collections::HashMap;

/// `limit` is the staleness limit.
pub(crate) fn nothing_is_known(history: &History<'_>, limit: Nanos) -> Vec<Violation> {
    let mut violations = Vec::new();
    let first = first_attempts(history);
    for (emptied, time) in &history.emptied {
        violations.extend(eligible(history, (*emptied, time), limit));
        violations.extend((history.changes.iter()).filter_map(|(event, change)| {
            let begun = first.get(change.request.as_str()).is_some_and(|sent| time.from < *sent);
            (begun && change.received < time.until && was_made(change)).then(|| Violation {
                rule: Rule::K4,
                events: vec![*event, *emptied],
                what: format!("request {} was told to be made in an empty store", change.request),
            })
        }));
    }
    violations
}

fn eligible(
    history: &History<'_>,
    (emptied, time): At<'_, Emptied>,
    limit: Nanos,
) -> impl Iterator<Item = Violation> {
    history.checks.iter().filter_map(move |(event, check)| {
        let leases_end = match check.need {
            Need::Strict => time.from,
            Need::Leased | Need::AtLeast(_) => time.from.saturating_add(limit),
        };
        let is_eligible = check.answer.as_ref().is_some_and(|answer| answer.is_eligible());
        let wrong = is_eligible && leases_end < check.sent && check.received < time.until;
        wrong.then(|| Violation {
            rule: Rule::K1,
            events: vec![*event, emptied],
            what: format!(
                "ELIGIBLE to a check sent {} ms after the store was emptied",
                (check.sent - time.from) / 1_000_000
            ),
        })
    })
}

/// When each request was first sent. What is sent again may be told what it was told before.
fn first_attempts<'h>(history: &History<'h>) -> HashMap<&'h str, Nanos> {
    let mut first = HashMap::new();
    for (_, change) in &history.changes {
        let sent = first.entry(change.request.as_str()).or_insert(change.sent);
        *sent = change.sent.min(*sent);
    }
    first
}

fn was_made(change: &Change) -> bool {
    match change.result {
        Result::Enforced { .. } | Result::Durable { .. } | Result::Committed { .. } => true,
        Result::Unknown { .. } | Result::Refused { .. } => false,
    }
}
