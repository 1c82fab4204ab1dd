//! K3: every answer is decided again, by the decision's slow twin, at the place that the answer names.

use super::checker::{At, History, Rule, Violation};
use super::history::{Answer, Check};
use super::log::Log;
use super::world;
use offergate::decision::twin;
use offergate::domain::{Decision, Revision, RuleSet, Timestamp};
use offergate::wire;

/// What a decision says once its rules may be out of date.
const STALE: &str = "RULES_STALE";

pub(crate) fn same_as_twin(history: &History<'_>, log: &Log) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut wrong = |event: usize, what: String| {
        violations.push(Violation { rule: Rule::K3, events: vec![event], what });
    };
    let mut placed: Vec<(Revision, At<'_, Check>, &Answer)> = Vec::new();
    for (event, check) in &history.checks {
        let Some(answer) = &check.answer else { continue };
        match answer.place() {
            None if answer.reasons == ["RULES_UNAVAILABLE"] => {}
            None => wrong(*event, format!("`{}` is no place in history", answer.token)),
            Some(place) if log.holds(&place) => {
                placed.push((place.revision, (*event, check), answer));
            }
            // What a fail-over lost before it was acknowledged is in no log that is left.
            Some(_) if history.forked() => {}
            Some(place) => wrong(*event, format!("{place} is not part of the log")),
        }
    }
    placed.sort_by_key(|(revision, (event, _), _)| (*revision, *event));
    let mut rules = RuleSet::default();
    let mut records = log.records().iter().peekable();
    for (revision, (event, check), answer) in placed {
        while let Some(record) = records.next_if(|record| record.revision <= revision) {
            if let Some(effect) = record.content.effect() {
                rules.apply(effect);
            }
        }
        if let Err(what) = agrees(check, answer, &rules, revision) {
            wrong(event, what);
        }
    }
    violations
}

fn agrees(
    check: &Check,
    answer: &Answer,
    rules: &RuleSet,
    revision: Revision,
) -> Result<(), String> {
    let now: Timestamp =
        answer.as_of.parse().map_err(|error| format!("`{}`: {error}", answer.as_of))?;
    let question = world::question(&check.offer, None);
    let request = wire::check_request(&question).map_err(|_| "no question".to_owned())?;
    let decision = twin::decide(&request, rules, revision, now);
    let expected = said(&decision);
    if expected == (answer.outcome.clone(), answer.reasons.clone(), answer.suspensions.clone()) {
        return Ok(());
    }
    // Only a yes, or what could not be told anyway, may become "cannot tell, since too old".
    let stale = answer.outcome == "INDETERMINATE"
        && answer.reasons.last().is_some_and(|reason| reason == STALE);
    if stale && expected.0 != "INELIGIBLE" {
        return Ok(());
    }
    Err(format!("the rules of revision {revision} say {expected:?}"))
}

fn said(decision: &Decision<'_>) -> (String, Vec<String>, Vec<String>) {
    let reasons = decision.reasons.iter().map(|reason| match &reason.attribute {
        Some(attribute) => format!("{}:{attribute}", reason.code.name()),
        None => reason.code.name().to_owned(),
    });
    let suspensions = decision.suspensions.iter().map(|hit| hit.suspension.id.to_string());
    (decision.outcome.name().to_owned(), reasons.collect(), suspensions.collect())
}
