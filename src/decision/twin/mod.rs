//! Decides again, slowly and obviously, straight from the rule set: the rules R1 to R17 in the
//! order in which people discuss them, with nothing compiled and nothing remembered.
//!
//! It shares no code with [`decide`](super::decide()) but the reading of a CEL condition. The two are
//! held against each other on random rules, customers and instants. When they differ, at least one of
//! them is wrong about a rule.

mod answer;
mod case;
mod hits;
mod terms;

use crate::domain::{
    Action, Attribute, CheckRequest, Decision, Exemption, Holding, Offer, Outcome, Reason,
    ReasonCode, ReportedSuspension, Revision, RuleSet, Timestamp,
};
use answer::{No, Unknown, Yes, all, any, not};
use case::Case;
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

/// The same answer as [`decide`](super::decide()), without a snapshot.
#[must_use]
pub fn decide<'s>(
    request: &CheckRequest<'_>,
    rules: &'s RuleSet,
    revision: Revision,
    now: Timestamp,
) -> Decision<'s> {
    // R14, which comes before R10: not even a notice can be about an offer that does not exist.
    let Some(offer) = rules.offers.get(request.offer) else {
        return Decision::because(Reason::plain(ReasonCode::OfferUnknown), revision, now);
    };
    // R10
    if request.action == Action::Notify {
        return Decision::because(Reason::plain(ReasonCode::NotGated), revision, now);
    }
    // R6: `holding` and nothing else speaks for the asked product.
    let holding = request.customer.holding;
    let mut decision = one_offer(request, offer, holding, rules, revision, now);
    // R13
    if decision.outcome != Outcome::Eligible {
        for id in &offer.alternates {
            let Some(alternate) = rules.offers.get(id) else { continue };
            let other = if alternate.product == offer.product {
                holding
            } else {
                let listed = request.customer.holding_of(alternate.product.as_str());
                Attribute::Known(listed.copied().unwrap_or(Holding::NONE))
            };
            let judged = one_offer(request, alternate, other, rules, revision, now);
            decision.valid_until = decision.valid_until.into_iter().chain(judged.valid_until).min();
            if judged.outcome == Outcome::Eligible {
                decision.alternate = Some(id.clone());
                break;
            }
        }
    }
    decision
}

fn one_offer<'s, 't>(
    request: &CheckRequest<'t>,
    offer: &Offer,
    holding: Attribute<Holding<'t>>,
    rules: &'s RuleSet,
    revision: Revision,
    now: Timestamp,
) -> Decision<'s> {
    let Some(product) = rules.products.get(&offer.product) else {
        return Decision::because(Reason::plain(ReasonCode::OfferUnknown), revision, now);
    };
    let case = Case { request, rules, offer, product, holding, now };
    let mut denials: BTreeSet<Reason> = BTreeSet::new();
    let mut lacking: BTreeSet<Reason> = BTreeSet::new();
    let mut changes: BTreeSet<Timestamp> = BTreeSet::new();
    let mut reported = Vec::new();
    let mut used: Vec<Arc<Exemption>> = Vec::new();
    let mut grandfathered = Vec::new();

    let mut suspensions: Vec<_> = rules.suspensions.values().collect();
    suspensions.sort_by_key(|suspension| (suspension.from, suspension.id.clone()));
    for suspension in suspensions {
        // R3
        let in_scope = case.in_scope(&suspension.scope);
        if in_scope == No {
            continue;
        }
        changes.extend(case.next_change_of(suspension));
        // R2, R11, R12
        let Some((code, hit)) = case.hit(suspension, now) else { continue };
        let matched = all([in_scope, hit]);
        // R5
        let mut waivers = Vec::new();
        for exemption in rules.exemptions.values() {
            let applies = case.in_scope(&exemption.scope);
            if !exemption.waives.contains(&suspension.id) || applies == No {
                continue;
            }
            changes.extend(exemption.in_force().next_edge(now));
            if !exemption.in_force().contains(now) {
                continue;
            }
            if applies == Yes && !used.contains(exemption) {
                used.push(Arc::clone(exemption));
            }
            waivers.push(applies);
        }
        // R9
        let helped = case.grandfathered(suspension);
        if helped != No {
            changes.extend(suspension.grandfather.as_ref().map(|clause| clause.until));
        }
        if helped == Yes {
            grandfathered.push(suspension.id.clone());
        }
        waivers.push(helped);
        let waived = any(waivers);
        // R4, R6
        match all([matched.clone(), not(waived.clone())]) {
            Yes => drop(denials.insert(Reason::plain(code))),
            No => {}
            Unknown(gaps) => lacking.extend(gaps),
        }
        if matched == Yes && waived != Yes {
            let suspension = Cow::Borrowed(suspension);
            reported.push(ReportedSuspension { suspension, code });
        }
    }
    // R7, R9
    for (answer, code) in case.objections() {
        match answer {
            Yes => drop(denials.insert(code)),
            No => {}
            Unknown(gaps) => lacking.extend(gaps),
        }
    }
    changes.extend(case.coming_instants().into_iter().filter(|instant| now < *instant));

    used.sort_by_key(|exemption| (exemption.from, exemption.id.clone()));
    let (outcome, reasons) = if !denials.is_empty() {
        (Outcome::Ineligible, denials)
    } else if !lacking.is_empty() {
        (Outcome::Indeterminate, lacking)
    } else {
        let mut allowed = BTreeSet::new();
        if !used.is_empty() {
            allowed.insert(Reason::plain(ReasonCode::Exempted));
        }
        if !grandfathered.is_empty() {
            allowed.insert(Reason::plain(ReasonCode::Grandfathered));
        }
        if allowed.is_empty() {
            allowed.insert(Reason::plain(ReasonCode::NoRuleApplies));
        }
        (Outcome::Eligible, allowed)
    };
    Decision {
        revision,
        as_of: now,
        outcome,
        reasons: reasons.into_iter().collect(),
        suspensions: reported.into_iter().collect(),
        exemptions: used.into_iter().collect(),
        grandfathered: grandfathered.into_iter().collect(),
        alternate: None,
        valid_until: changes.into_iter().next(),
    }
}
