//! Writes explanations: each step of a decision, as people's tools show it.

use super::eligibility::write as write_answer;
use crate::domain::{CheckRequest, ReasonCode, Scope};
use crate::service::{CriterionTrace, Effect, Explanation, SuspensionTrace, Timing, Verdict};
use crate::wire::{decision::reason_code, proto};

/// Writes an explanation.
pub(super) fn write(
    explained: &Explanation,
    request: &CheckRequest<'_>,
) -> proto::ExplainEligibilityResponse {
    let mut decision = write_answer(&explained.answer);
    if explained.of_draft {
        // A draft has no place in history.
        decision.token.clear();
    }
    let suspensions = explained.suspensions.iter();
    let criteria = explained.criteria.iter();
    proto::ExplainEligibilityResponse {
        decision: Some(decision),
        suspensions: suspensions
            .map(|(trace, sentence)| suspension(trace, sentence, request))
            .collect(),
        criteria: criteria.map(|(trace, sentence)| criterion(trace, sentence)).collect(),
        sentences: explained.sentences.clone(),
    }
}

fn suspension(
    trace: &SuspensionTrace,
    sentence: &str,
    request: &CheckRequest<'_>,
) -> proto::SuspensionTrace {
    let could = trace
        .exemptions
        .iter()
        .filter(|found| matches!(found.timing, Timing::Now(_)) && found.in_scope != Verdict::No);
    let waived = could.clone().any(|found| found.in_scope == Verdict::Yes);
    let effect = match trace.effect {
        Effect::Denies => proto::Effect::Denies,
        Effect::CouldDeny => proto::Effect::CouldDeny,
        Effect::HeldOff if waived => proto::Effect::Waived,
        Effect::HeldOff => proto::Effect::Grandfathered,
        Effect::OutOfScope => proto::Effect::NoMatch,
        Effect::NotNow => proto::Effect::NotInForce,
    };
    proto::SuspensionTrace {
        id: trace.suspension.id.to_string(),
        code: reason_code(trace.code).into(),
        effect: effect.into(),
        dimensions: (trace.dimensions.iter())
            .map(|(name, verdict)| proto::DimensionTrace {
                name: (*name).to_owned(),
                r#match: match_of(verdict).into(),
                stated: stated(&trace.suspension.scope, name),
                given: given(request, name),
            })
            .collect(),
        exemptions: could.map(|found| found.exemption.id.to_string()).collect(),
        sentence: sentence.to_owned(),
    }
}

fn criterion(trace: &CriterionTrace, sentence: &str) -> proto::CriterionTrace {
    let effect = match trace.met {
        Verdict::Yes => proto::Effect::Met,
        Verdict::No => proto::Effect::Denies,
        Verdict::Unknown(_) => proto::Effect::CouldDeny,
    };
    proto::CriterionTrace {
        name: key_of(trace.code).to_owned(),
        effect: effect.into(),
        sentence: sentence.to_owned(),
    }
}

/// The key of a rule file that states the criterion.
fn key_of(code: ReasonCode) -> &'static str {
    match code {
        ReasonCode::OfferNotOpen => "window",
        ReasonCode::CountryNotServed => "countries",
        ReasonCode::RequirementNotMet => "requires",
        ReasonCode::AgeOutOfRange => "age",
        ReasonCode::AlreadyHeld => "already_held",
        ReasonCode::UnitLimitReached => "max_per_unit",
        ReasonCode::OutboundSuppressed => "outbound_excludes_vulnerable",
        ReasonCode::ConditionNotMet => "condition",
        ReasonCode::EntitlementEnded | ReasonCode::EntitlementNotFound => "entitlement",
        ReasonCode::VendorSuspended
        | ReasonCode::ComponentVendorSuspended
        | ReasonCode::ProductSuspended
        | ReasonCode::OfferSuspended
        | ReasonCode::OfferUnknown
        | ReasonCode::AttributeMissing
        | ReasonCode::AttributeInvalid
        | ReasonCode::RulesUnavailable
        | ReasonCode::RulesStale
        | ReasonCode::NotGated
        | ReasonCode::Exempted
        | ReasonCode::Grandfathered
        | ReasonCode::NoRuleApplies => code.name(),
    }
}

fn match_of(verdict: &Verdict) -> proto::Match {
    match verdict {
        Verdict::Yes => proto::Match::Yes,
        Verdict::No => proto::Match::No,
        Verdict::Unknown(_) => proto::Match::Unknown,
    }
}

/// What a scope states in a dimension. Named customers are counted, not shown.
fn stated(scope: &Scope, dimension: &str) -> String {
    fn listed<T: ToString>(values: &[T]) -> String {
        values.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    }
    let named = |names: Vec<&'static str>| names.join(", ");
    match dimension {
        "actions" => named(scope.actions.iter().map(|value| value.name()).collect()),
        "holders" => named(scope.holders.iter().map(|value| value.name()).collect()),
        "relationships" => named(scope.relationships.iter().map(|value| value.name()).collect()),
        "person_nexus" => named(scope.person_nexus.iter().map(|value| value.name()).collect()),
        "countries" => listed(&scope.countries),
        "countries or person_nexus" => {
            let nexus = named(scope.person_nexus.iter().map(|value| value.name()).collect());
            format!("{} or {nexus}", listed(&scope.countries))
        }
        "segments" => listed(&scope.segments),
        "devices" => listed(&scope.devices),
        "channels" => listed(&scope.channels),
        "product_classes" => listed(&scope.product_classes),
        "customers" => format!("{} customers", scope.customers.len()),
        _ => String::new(),
    }
}

/// What the request says about a dimension.
fn given(request: &CheckRequest<'_>, dimension: &str) -> String {
    let customer = &request.customer;
    let country = customer.country.known().map(|country| country.to_string());
    let us_person = customer.us_person.known().map(|is_one| format!("us_person {is_one}"));
    let given = match dimension {
        "actions" => Some(request.action.name().to_owned()),
        "relationships" => customer.relationship.known().map(|value| value.name().to_owned()),
        "countries" => country,
        "person_nexus" => us_person,
        "countries or person_nexus" => {
            let parts: Vec<_> = country.into_iter().chain(us_person).collect();
            Some(parts.join(", "))
        }
        "segments" => customer.segment.known().map(str::to_owned),
        "devices" => request.device.known().map(str::to_owned),
        "channels" => request.channel.known().map(str::to_owned),
        "holders" => {
            let status = customer.holding.known().and_then(|holding| holding.status.known());
            status.map(|status| status.name().to_owned())
        }
        _ => None,
    };
    given.unwrap_or_default()
}
