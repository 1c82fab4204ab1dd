//! Explains a decision: every suspension that ever targets the offer, and every criterion, with
//! what was found for this customer at this instant.
//!
//! For people and their tools, not for the path of a check. The decision in a trace is the one that
//! [`decide`](super::decide()) makes; the trace shows the steps and decides nothing.

use super::candidates::{Candidate, Candidates};
use super::criteria::CRITERIA;
use super::decide::{code_of, decide, grandfather};
use super::facts::Facts;
use super::findings::Findings;
use super::ownership::Hit;
use super::scope::CompiledScope;
use super::snapshot::{CompiledSuspension, Snapshot};
use super::truth::{Gaps, Standard, Truth};
use crate::domain::{
    CheckRequest, Decision, Exemption, Outcome, Reason, ReasonCode, Suspension, Timestamp, Window,
};
use std::sync::Arc;

/// A decision with the steps that led to it.
#[derive(Debug, Clone)]
pub struct Trace<'s> {
    /// The decision.
    pub decision: Decision<'s>,
    /// Every suspension that hits the offer at some time, by `from`, then id. Empty for an unknown
    /// offer and for `NOTIFY`, which nothing gates.
    pub suspensions: Vec<SuspensionTrace>,
    /// Every criterion that the offer states and the action is concerned by.
    pub criteria: Vec<CriterionTrace>,
}

/// What was found of one suspension.
#[derive(Debug, Clone)]
pub struct SuspensionTrace {
    /// The suspension.
    pub suspension: Arc<Suspension>,
    /// How it hits the offer, now or the next time.
    pub code: ReasonCode,
    /// Whether it hits now.
    pub timing: Timing,
    /// Each dimension that it states.
    pub dimensions: Vec<(&'static str, Verdict)>,
    /// Each exemption that names it.
    pub exemptions: Vec<ExemptionTrace>,
    /// Whether its grandfather clause helps, if it has one.
    pub grandfather: Option<Verdict>,
    /// What it does to the decision.
    pub effect: Effect,
}

/// What was found of one exemption.
#[derive(Debug, Clone)]
pub struct ExemptionTrace {
    /// The exemption.
    pub exemption: Arc<Exemption>,
    /// Whether it holds now.
    pub timing: Timing,
    /// Whether it concerns this customer.
    pub in_scope: Verdict,
}

/// What was found of one criterion.
#[derive(Debug, Clone)]
pub struct CriterionTrace {
    /// What is said of a customer who does not meet it.
    pub code: ReasonCode,
    /// Whether the customer meets it.
    pub met: Verdict,
    /// What stands against it: the failed requirement, or what is missing.
    pub reasons: Vec<Reason>,
}

/// Where an interval lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Timing {
    /// Now is inside; it ends then, if it ends.
    Now(Option<Timestamp>),
    /// It begins then.
    From(Timestamp),
    /// It is over, since then where that is known.
    Over(Option<Timestamp>),
}

/// Yes, no, or cannot tell for these reasons.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Yes.
    Yes,
    /// No.
    No,
    /// Cannot tell, for want of these.
    Unknown(Vec<Reason>),
}

/// What a suspension does to a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// It denies.
    Denies,
    /// It could deny: something is missing.
    CouldDeny,
    /// An exemption or its grandfather clause holds it off.
    HeldOff,
    /// It concerns somebody or something else.
    OutOfScope,
    /// It does not hit now.
    NotNow,
}

/// Decides, and shows the steps.
#[must_use]
pub fn explain<'s>(
    request: &CheckRequest<'_>,
    snapshot: &'s Snapshot,
    now: Timestamp,
) -> Trace<'s> {
    let decision = decide(request, snapshot, now);
    let mut trace = Trace { decision, suspensions: Vec::new(), criteria: Vec::new() };
    let Some(asked) = snapshot.offer(request.offer) else { return trace };
    if trace.decision.reasons.iter().any(|reason| reason.code == ReasonCode::NotGated) {
        return trace;
    }
    let holding = request.customer.holding.as_ref();
    let facts = Facts::new(request, &asked, holding, snapshot, now);
    for Candidates { all, .. } in asked.candidates {
        for stretches in all.chunk_by(|a, b| a.place == b.place) {
            trace.suspensions.extend(trace_suspension(stretches, snapshot, &facts));
        }
    }
    trace.suspensions.sort_by(|a, b| {
        (a.suspension.from, &a.suspension.id).cmp(&(b.suspension.from, &b.suspension.id))
    });
    trace.criteria = trace_criteria(&facts);
    trace
}

/// `stretches` are the times at which one suspension hits, in order.
fn trace_suspension(
    stretches: &[Candidate],
    snapshot: &Snapshot,
    facts: &Facts<'_, '_>,
) -> Option<SuspensionTrace> {
    let edges = &snapshot.compiled.edges;
    let relevant =
        stretches.iter().find(|stretch| facts.next_edge <= stretch.until).or(stretches.last())?;
    let compiled = snapshot.compiled.suspensions.get(relevant.place as usize)?;
    let window = Window { from: edges.at(relevant.from), until: edges.at(relevant.until) };
    let timing = timing(window, facts.now);
    let mut dimensions = trace_scope(&compiled.scope, facts);
    if relevant.hit == Hit::UnknownComponents {
        let missing = Truth::Unknown(Gaps::missing(Standard::Components));
        dimensions.push((Standard::Components.name(), verdict(missing)));
    }
    let clause = compiled.suspension.grandfather.as_ref();
    let helped = grandfather(compiled, facts, &mut Findings::default());
    let exemptions = trace_exemptions(compiled, facts);
    let matched = dimensions.iter().map(|(_, verdict)| verdict);
    let holding_now = exemptions.iter().filter(|it| matches!(it.timing, Timing::Now(_)));
    let helped = verdict(helped);
    let waivers: Vec<_> = holding_now.map(|it| &it.in_scope).chain([&helped]).collect();
    let effect = effect(timing, matched, &waivers);
    Some(SuspensionTrace {
        suspension: Arc::clone(&compiled.suspension),
        code: code_of(relevant.hit),
        timing,
        dimensions,
        exemptions,
        grandfather: clause.map(|_| helped),
        effect,
    })
}

fn effect<'v>(
    timing: Timing,
    mut matched: impl Iterator<Item = &'v Verdict> + Clone,
    waivers: &[&Verdict],
) -> Effect {
    let is_unknown = |verdict: &Verdict| matches!(verdict, Verdict::Unknown(_));
    if !matches!(timing, Timing::Now(_)) {
        Effect::NotNow
    } else if matched.clone().any(|verdict| *verdict == Verdict::No) {
        Effect::OutOfScope
    } else if waivers.contains(&&Verdict::Yes) {
        Effect::HeldOff
    } else if matched.any(is_unknown) || waivers.iter().any(|verdict| is_unknown(verdict)) {
        Effect::CouldDeny
    } else {
        Effect::Denies
    }
}

fn trace_exemptions(compiled: &CompiledSuspension, facts: &Facts<'_, '_>) -> Vec<ExemptionTrace> {
    compiled
        .exemptions
        .iter()
        .map(|exemption| ExemptionTrace {
            exemption: Arc::clone(&exemption.exemption),
            timing: timing(exemption.exemption.in_force(), facts.now),
            in_scope: verdict(exemption.scope.matches(facts)),
        })
        .collect()
}

fn trace_scope(scope: &CompiledScope, facts: &Facts<'_, '_>) -> Vec<(&'static str, Verdict)> {
    scope.stated(facts).into_iter().map(|(name, truth)| (name, verdict(truth))).collect()
}

fn trace_criteria(facts: &Facts<'_, '_>) -> Vec<CriterionTrace> {
    let asked = CRITERIA.iter().filter(|criterion| criterion.is_asked(facts));
    asked
        .map(|criterion| {
            let mut findings = Findings::default();
            criterion.check(facts, &mut findings);
            let (outcome, reasons) = findings.outcome();
            let reasons: Vec<Reason> = reasons.into_iter().collect();
            let met = match outcome {
                Outcome::Eligible => Verdict::Yes,
                Outcome::Ineligible => Verdict::No,
                Outcome::Indeterminate => Verdict::Unknown(reasons.clone()),
            };
            let reasons = if met == Verdict::Yes { Vec::new() } else { reasons };
            CriterionTrace { code: criterion.code, met, reasons }
        })
        .collect()
}

fn timing(window: Window, now: Timestamp) -> Timing {
    match window.from {
        Some(from) if now < from && !window.is_empty() => Timing::From(from),
        _ if window.contains(now) => Timing::Now(window.until),
        _ => Timing::Over(window.until),
    }
}

fn verdict(truth: Truth) -> Verdict {
    match truth {
        Truth::Yes => Verdict::Yes,
        Truth::No => Verdict::No,
        Truth::Unknown(gaps) => Verdict::Unknown(gaps.reasons().collect()),
    }
}
