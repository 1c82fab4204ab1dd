//! Decides whether a product may be offered to a customer, or kept in use.
//!
//! One function, [`decide`], over values. It cannot fail: "no" and "cannot tell" are answers, not
//! errors.
//!
//! Invariant: equal arguments give an equal [`Decision`], reasons and their order included, so that
//! an answer can be checked by asking again.

use super::candidates::{Candidate, Survivors};
use super::criteria::{CRITERIA, check_entitlement};
use super::facts::Facts;
use super::findings::Findings;
use super::ownership::Hit;
use super::rows::Selected;
use super::snapshot::{Asked, CompiledSuspension, Snapshot};
use super::truth::{Gaps, Standard, Truth};
use crate::domain::{
    Action, Attribute, CheckRequest, Decision, Holding, HoldingStatus, OfferId, Outcome, ProductId,
    Reason, ReasonCode, Timestamp,
};

/// Decides by the rules of one revision, for one instant.
///
/// Reports every suspension that applies, not the first: lifting one must not bring to light a
/// second that nobody had been told of.
///
/// An offer that does not exist is `OFFER_UNKNOWN` for `NOTIFY` too: R10 frees a notice from
/// suspensions, criteria, missing data and age, and about nothing there is nothing to tell.
#[must_use]
pub fn decide<'s>(
    request: &CheckRequest<'_>,
    snapshot: &'s Snapshot,
    now: Timestamp,
) -> Decision<'s> {
    let plain = |code| Decision::because(Reason::plain(code), snapshot.revision(), now);
    match snapshot.offer(request.offer) {
        None => plain(ReasonCode::OfferUnknown),
        Some(_) if request.action == Action::Notify => plain(ReasonCode::NotGated),
        Some(asked) if asked.has_alternates => {
            judge_with_alternates(&asked, request, snapshot, now)
        }
        Some(asked) => judge(&asked, request.customer.holding.as_ref(), request, snapshot, now),
    }
}

/// Apart from [`decide()`], whose other decisions are written where its caller wants them, and not moved.
fn judge_with_alternates<'s>(
    asked: &Asked<'s>,
    request: &CheckRequest<'_>,
    snapshot: &'s Snapshot,
    now: Timestamp,
) -> Decision<'s> {
    let mut decision = judge(asked, request.customer.holding.as_ref(), request, snapshot, now);
    if decision.outcome != Outcome::Eligible {
        suggest_alternate(&mut decision, asked, request, snapshot);
    }
    decision
}

/// One offer, without its alternates.
fn judge<'s: 'r, 'r, 't>(
    asked: &Asked<'s>,
    holding: Attribute<&'r Holding<'t>>,
    request: &'r CheckRequest<'t>,
    snapshot: &'s Snapshot,
    now: Timestamp,
) -> Decision<'s> {
    let facts = Facts::new(request, asked, holding, snapshot, now);
    let mut findings = Findings::default();
    let selected = Selected::new(&facts, facts.terms.row_plan());
    let survivors = Survivors::new(&asked.candidates, &selected);
    // While the survivors are on their way from memory.
    CRITERIA.iter().for_each(|criterion| criterion.check(&facts, &mut findings));
    check_entitlement(&facts, &mut findings);
    for candidate in survivors {
        let is_settled = candidate.is_settled(&selected);
        weigh(candidate, is_settled, &facts, &snapshot.compiled.suspensions, &mut findings);
    }
    if let Some(term_end) = facts.coming_term_end() {
        findings.touch(term_end);
    }
    findings.conclude(snapshot.revision(), &snapshot.compiled.edges, now)
}

/// One suspension that targets the offer: whether it matches, and whether anything waives it.
fn weigh<'s>(
    candidate: &Candidate,
    is_settled: bool,
    facts: &Facts<'_, '_>,
    suspensions: &'s [CompiledSuspension],
    findings: &mut Findings<'s>,
) {
    if candidate.until < facts.next_edge {
        return;
    }
    // Each has its place; what one that had none would deny is denied whatever its scope.
    let Some(compiled) = suspensions.get(candidate.place as usize) else {
        return findings.deny(code_of(candidate.hit));
    };
    let in_scope = if is_settled { Truth::Yes } else { compiled.scope.matches(facts) };
    if in_scope == Truth::No {
        return;
    }
    if facts.next_edge <= candidate.from {
        return findings.touch_edge(candidate.from);
    }
    findings.touch_edge(candidate.until);
    let matched = match candidate.hit {
        Hit::UnknownComponents => {
            in_scope.and(|| Truth::Unknown(Gaps::missing(Standard::Components)))
        }
        Hit::Vendor | Hit::Component | Hit::Product | Hit::Offer => in_scope,
    };
    let waived =
        if candidate.can_be_waived { waiver(compiled, facts, findings) } else { Truth::No };
    match (matched, waived) {
        (_, Truth::Yes) => return,
        (Truth::Unknown(gaps), Truth::Unknown(more)) => findings.lack(gaps.with(more)),
        (Truth::Unknown(gaps), _) | (Truth::Yes, Truth::Unknown(gaps)) => findings.lack(gaps),
        (Truth::Yes, Truth::No) => findings.deny(code_of(candidate.hit)),
        (Truth::No, _) => {}
    }
    if matched == Truth::Yes {
        findings.report(&compiled.suspension, code_of(candidate.hit));
    }
}

/// Whether an exemption (R5) or the suspension's grandfather clause (R9) holds it off. All that do
/// are noted as used.
#[inline(never)] // Few need it: see `criteria`.
fn waiver<'s>(
    compiled: &'s CompiledSuspension,
    facts: &Facts<'_, '_>,
    findings: &mut Findings<'s>,
) -> Truth {
    let mut waived = Truth::No;
    for exemption in &compiled.exemptions {
        let window = exemption.exemption.in_force();
        let (holds, edge) = (window.contains(facts.now), window.next_edge(facts.now));
        let Some(edge) = edge else { continue };
        let in_scope = exemption.scope.matches(facts);
        if in_scope == Truth::No {
            continue;
        }
        findings.touch(edge);
        if holds {
            if in_scope == Truth::Yes {
                findings.exempt(&exemption.exemption);
            }
            waived = waived.or(|| in_scope);
        }
    }
    let grandfathered = grandfather(compiled, facts, findings);
    if grandfathered == Truth::Yes {
        findings.grandfather(&compiled.suspension);
    }
    waived.or(|| grandfathered)
}

/// Whether the clause lets what was accepted earlier, and is not active yet, be completed.
/// "Accepted before" is strict.
pub(super) fn grandfather(
    compiled: &CompiledSuspension,
    facts: &Facts<'_, '_>,
    findings: &mut Findings<'_>,
) -> Truth {
    let Some(clause) = &compiled.suspension.grandfather else { return Truth::No };
    if clause.until <= facts.now {
        return Truth::No;
    }
    let accepted_in_time = || match facts.holding.known() {
        Some(holding) => {
            Truth::when(holding.accepted_at, Standard::HoldingAcceptedAt, |accepted_at| {
                accepted_at < clause.accepted_before
            })
        }
        // The gap is the holding itself, which the status has named already.
        None => Truth::Yes,
    };
    let helps = facts.status(|status| status == HoldingStatus::Accepted).and(accepted_in_time);
    if helps != Truth::No {
        findings.touch(clause.until);
    }
    helps
}

pub(super) fn code_of(hit: Hit) -> ReasonCode {
    match hit {
        Hit::Vendor => ReasonCode::VendorSuspended,
        Hit::Component | Hit::UnknownComponents => ReasonCode::ComponentVendorSuspended,
        Hit::Product => ReasonCode::ProductSuspended,
        Hit::Offer => ReasonCode::OfferSuspended,
    }
}

/// Names the first alternate that is itself eligible for this customer, action and instant; one
/// step, so that two offers may name each other (R13).
fn suggest_alternate(
    decision: &mut Decision<'_>,
    asked: &Asked<'_>,
    request: &CheckRequest<'_>,
    snapshot: &Snapshot,
) {
    let asked = &asked.details.offer;
    for id in &asked.alternates {
        let Some(alternate) = snapshot.offer(id.as_str()) else { continue };
        let holding = alternate_holding(request, &asked.product, &alternate.details.offer.product);
        let judged = judge(&alternate, holding, request, snapshot, decision.as_of);
        decision.valid_until = earlier(decision.valid_until, judged.valid_until);
        if judged.outcome == Outcome::Eligible {
            decision.alternate = Some(OfferId::clone(id));
            return;
        }
    }
}

/// The asked product's `holding` for another offer of that product: what is missing there stays
/// missing. For another product its entry in `holdings`, else `NONE` (R13).
fn alternate_holding<'r, 't>(
    request: &'r CheckRequest<'t>,
    asked: &ProductId,
    product: &ProductId,
) -> Attribute<&'r Holding<'t>> {
    if product == asked {
        return request.customer.holding.as_ref();
    }
    Attribute::Known(request.customer.holding_of(product.as_str()).unwrap_or(&Holding::NONE))
}

fn earlier(one: Option<Timestamp>, other: Option<Timestamp>) -> Option<Timestamp> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}
