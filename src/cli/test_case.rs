//! Decides one case of a test file, whatever is wrong with its request.
//!
//! Invariant: a field that cannot be read never turns a no into something milder, nor anything into a
//! yes that a readable value could have made a no.

use crate::decision::{Snapshot, decide};
use crate::domain::{
    Action, AttributeName, CheckRequest, CustomerId, Decision, Outcome, Reason, ReasonCode,
    RuleSet, Timestamp,
};
use crate::rules::GivenRequest;
use crate::rules::test_file::Case;
use std::collections::BTreeSet;

/// Decides one case, whatever is wrong with its request.
///
/// What every request must have (a customer's id, an action, an instant) can be unreadable here,
/// where a server would refuse the call. The case is then decided for all that an unreadable id or
/// action may have meant. What denies in all of them denies; else it is `INDETERMINATE`, and names the
/// field. An unknown offer, and a notice, need no other field.
pub(super) fn decide_case<'s>(
    case: &Case,
    snapshot: &'s Snapshot,
    named: &BTreeSet<CustomerId>,
) -> Decision<'s> {
    let request = &case.request;
    if let (Some(action), Some(_), Some(now)) = (request.action, &request.customer_id, case.as_of) {
        return decide(&request.with_action(action), snapshot, now);
    }
    let now = case.as_of.unwrap_or(Timestamp::UNIX_EPOCH);
    let mut decisions = readings(request, named).map(|request| decide(&request, snapshot, now));
    let common = decisions.next().map(|first| decisions.fold(first, in_common));
    let settled =
        |reason: &Reason| matches!(reason.code, ReasonCode::OfferUnknown | ReasonCode::NotGated);
    let stands = |decision: &Decision| {
        let denied = decision.outcome == Outcome::Ineligible && case.as_of.is_some();
        denied || decision.reasons.iter().any(settled)
    };
    if let Some(common) = common.filter(stands) {
        return common;
    }
    let unreadable = [
        ("action", request.action.is_none()),
        ("as_of", case.as_of.is_none()),
        ("id", request.customer_id.is_none()),
    ];
    let reason = |name| Reason::about(ReasonCode::AttributeInvalid, AttributeName::Standard(name));
    let mut undecided =
        Decision::because(Reason::plain(ReasonCode::AttributeInvalid), snapshot.revision(), now);
    undecided.reasons =
        unreadable.into_iter().filter(|(_, bad)| *bad).map(|(name, _)| reason(name)).collect();
    undecided
}

/// All that a request may have meant whose id or action cannot be read: every action that can be
/// gated, and every customer whom a rule names, or one whom none names.
fn readings<'r>(
    request: &'r GivenRequest,
    named: &'r BTreeSet<CustomerId>,
) -> impl Iterator<Item = CheckRequest<'r>> {
    let gated = Action::ALL.into_iter().filter(|&action| action != Action::Notify);
    let actions: Vec<_> = request.action.map_or_else(|| gated.collect(), |action| vec![action]);
    let ids: Vec<&str> = match request.customer_id.as_deref() {
        Some(id) => vec![id],
        None => std::iter::once("").chain(named.iter().map(CustomerId::as_str)).collect(),
    };
    actions.into_iter().flat_map(move |action| {
        let of = move |id| {
            let mut request = request.with_action(action);
            request.customer.id = id;
            request
        };
        ids.clone().into_iter().map(of)
    })
}

/// What two decisions both say. Without a common reason the outcome is open.
fn in_common<'s>(mut decision: Decision<'s>, other: Decision<'s>) -> Decision<'s> {
    decision.reasons.retain(|reason| other.reasons.contains(reason));
    if decision.outcome != other.outcome || decision.reasons.is_empty() {
        decision.outcome = Outcome::Indeterminate;
    }
    decision.suspensions.retain(|one| other.suspensions.contains(one));
    decision.exemptions.retain(|one| other.exemptions.contains(one));
    decision.grandfathered.retain(|one| other.grandfathered.contains(one));
    if decision.alternate != other.alternate {
        decision.alternate = None;
    }
    decision.valid_until = decision.valid_until.into_iter().chain(other.valid_until).min();
    decision
}

/// The customers whom a suspension or an exemption names.
pub(super) fn named_customers(rules: &RuleSet) -> BTreeSet<CustomerId> {
    let suspensions = rules.suspensions.values().map(|one| &one.scope);
    let exemptions = rules.exemptions.values().map(|one| &one.scope);
    suspensions.chain(exemptions).flat_map(|scope| scope.customers.iter().cloned()).collect()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use crate::domain::Revision;
    use crate::rules::{read, test_file};

    const RULES: &str = "\
vendors: {acme: {name: Acme}}
products: {shield: {name: Shield, class: ANTIVIRUS, vendors: [acme], components: []}}
offers: {plain: {product: shield}}
suspensions:
  stop: {target: {vendor: acme}, actions: ACTIONS, from: \"2026-01-01T00:00:00Z\", ticket: CHG-1,
         reason: To be safe.}
";
    const EXEMPTION: &str = "\
exemptions:
  some: {waives: [stop], customers: [c-9], from: \"2026-01-01T00:00:00Z\",
         until: \"2027-01-01T00:00:00Z\", ticket: CHG-2, reason: A pilot.}
";
    const ALL: &str = "[OFFER, ACTIVATE, REACTIVATE, RENEW, UPDATE, USE]";

    /// The reasons for which a new customer is answered, with the outcome.
    fn decided(rules: &str, id: &str, action: &str) -> String {
        let case = format!(
            "rules: rules.yaml\ncases: [{{name: one, customer: {{id: {id}, holding: {{status: \
             NONE}}}}, offer: plain, action: {action}, as_of: \"2026-01-15T00:00:00Z\", expect: \
             {{outcome: ELIGIBLE}}}}]\n"
        );
        let rules = read(rules).unwrap();
        let snapshot = Snapshot::compile(&rules, Revision(1)).unwrap();
        let file = test_file::read(&case).unwrap();
        let case = file.cases.first().unwrap();
        let decision = decide_case(case, &snapshot, &named_customers(&rules));
        let reasons: Vec<_> = decision.reasons.iter().map(ToString::to_string).collect();
        let hit = decision.suspensions.len();
        format!("{} {} {hit}", decision.outcome.name(), reasons.join(" "))
    }

    #[test]
    fn what_denies_whatever_an_unreadable_field_meant_is_not_hidden_by_it() {
        for (actions, more, id, action, expected, why) in [
            (ALL, "", "[1]", "OFFER", "INELIGIBLE VENDOR_SUSPENDED 1", "nobody is exempted"),
            (
                ALL,
                EXEMPTION,
                "[1]",
                "OFFER",
                "INDETERMINATE ATTRIBUTE_INVALID:id 0",
                "the customer could be the one who is exempted",
            ),
            (ALL, "", "c-1", "BUY", "INELIGIBLE VENDOR_SUSPENDED 1", "all actions are suspended"),
            (
                "[OFFER]",
                "",
                "c-1",
                "BUY",
                "INDETERMINATE ATTRIBUTE_INVALID:action 0",
                "some actions are not suspended",
            ),
            (
                "[OFFER, ACTIVATE, REACTIVATE]",
                "",
                "c-1",
                "BUY",
                "INDETERMINATE ATTRIBUTE_INVALID:action 0",
                "all are denied, and each for another reason",
            ),
            (ALL, "", "[1]", "BUY", "INELIGIBLE VENDOR_SUSPENDED 1", "neither can be read"),
            ("[USE]", "", "[1]", "NOTIFY", "ELIGIBLE NOT_GATED 0", "a notice is never gated"),
            (
                "[USE]",
                "",
                "[1]",
                "OFFER",
                "INDETERMINATE ATTRIBUTE_INVALID:id 0",
                "nothing denies, and nobody can say who asked",
            ),
        ] {
            let rules = RULES.replace("ACTIONS", actions) + more;
            assert_eq!(decided(&rules, id, action), expected, "{why}");
        }
    }
}
