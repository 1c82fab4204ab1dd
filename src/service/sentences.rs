//! Decisions in sentences that somebody on the phone can read out.
//!
//! They name rules by their ids and say what would have to change. Nothing the caller said about the
//! customer is repeated but the names of attributes.

use crate::decision::{CriterionTrace, Effect, SuspensionTrace, Timing, Trace, Verdict};
use crate::domain::{
    Action, CheckRequest, Outcome, Reason, ReasonCode, RuleSet, Suspension, Timestamp,
};

/// What is said while there are no rules.
pub(super) const NO_RULES: &str =
    "No rules are loaded, so nothing can be said. Apply a rule file first.";

/// What stands in the way, and what would have to change.
pub(super) fn of(trace: &Trace, request: &CheckRequest<'_>, rules: &RuleSet) -> Vec<String> {
    let decision = &trace.decision;
    let what = rules
        .offers
        .get(request.offer)
        .and_then(|offer| offer.title.as_deref())
        .unwrap_or(request.offer);
    let verb = in_words(request.action);
    let mut sentences = vec![match decision.outcome {
        Outcome::Eligible => format!("Yes: this customer may {verb} \"{what}\"."),
        Outcome::Ineligible => format!("No: this customer may not {verb} \"{what}\"."),
        Outcome::Indeterminate => {
            format!("It cannot be told whether this customer may {verb} \"{what}\".")
        }
    }];
    for suspension in &trace.suspensions {
        if matches!(suspension.effect, Effect::Denies | Effect::CouldDeny | Effect::HeldOff) {
            sentences.push(of_suspension(suspension));
        }
    }
    let by_suspension = |code| {
        matches!(
            code,
            ReasonCode::VendorSuspended
                | ReasonCode::ComponentVendorSuspended
                | ReasonCode::ProductSuspended
                | ReasonCode::OfferSuspended
        )
    };
    let others = decision.reasons.iter().filter(|reason| !by_suspension(reason.code));
    sentences.extend(others.map(of_reason));
    if let Some(alternate) = &decision.alternate {
        sentences.push(format!("Instead, this customer may {verb} the offer `{alternate}`."));
    }
    if let Some(until) = decision.valid_until {
        sentences.push(format!("This can change by itself at {}.", at(until)));
    }
    sentences
}

/// What one suspension does.
pub(super) fn of_suspension(trace: &SuspensionTrace) -> String {
    let Suspension { id, target, reason, .. } = &*trace.suspension;
    let about = format!("Suspension `{id}` of the {} `{}`", target.kind(), target.id());
    match trace.effect {
        Effect::Denies => {
            let end = match trace.timing {
                Timing::Now(Some(until)) => format!("it ends at {}", at(until)),
                Timing::Now(None) | Timing::From(_) | Timing::Over(_) => {
                    "it has no end and would have to be lifted".to_owned()
                }
            };
            format!("{about} stands in the way ({reason}); {end}.")
        }
        Effect::CouldDeny => {
            let unknown = missing_of(trace);
            format!("{about} could stand in the way: it depends on {unknown}.")
        }
        Effect::HeldOff => format!("{about} would stand in the way, and {}.", held_off_by(trace)),
        Effect::OutOfScope => {
            let ruled_out = trace.dimensions.iter().filter(|(_, found)| *found == Verdict::No);
            let names: Vec<_> = ruled_out.map(|(name, _)| *name).collect();
            format!("{about} does not concern this case, because of its {}.", names.join(", "))
        }
        Effect::NotNow => match trace.timing {
            Timing::From(from) => format!("{about} begins at {}.", at(from)),
            Timing::Over(Some(until)) => format!("{about} was over at {}.", at(until)),
            Timing::Over(None) | Timing::Now(_) => format!("{about} is not in force."),
        },
    }
}

/// What one criterion says.
pub(super) fn of_criterion(trace: &CriterionTrace) -> String {
    match &trace.met {
        Verdict::Yes => met(trace.code).to_owned(),
        Verdict::No => of_reason(
            trace.reasons.first().unwrap_or(&Reason { code: trace.code, attribute: None }),
        ),
        Verdict::Unknown(reasons) => {
            format!("This cannot be told yet: it depends on {}.", named(reasons.iter()))
        }
    }
}

/// What is said of a criterion that is met; `code` is what would be said of one that is not.
fn met(code: ReasonCode) -> &'static str {
    match code {
        ReasonCode::OfferNotOpen => "The offer is open at this time.",
        ReasonCode::CountryNotServed => "The offer serves the customer's country.",
        ReasonCode::RequirementNotMet => "The customer has all that the offer requires.",
        ReasonCode::AgeOutOfRange => "The customer is of the right age.",
        ReasonCode::AlreadyHeld => "The customer does not hold the product yet.",
        ReasonCode::UnitLimitReached => {
            "The person, account, household or organisation may hold one more."
        }
        ReasonCode::OutboundSuppressed => "The customer may be approached on this channel.",
        ReasonCode::ConditionNotMet => "The offer's own condition is met.",
        ReasonCode::VendorSuspended
        | ReasonCode::ComponentVendorSuspended
        | ReasonCode::ProductSuspended
        | ReasonCode::OfferSuspended
        | ReasonCode::EntitlementEnded
        | ReasonCode::EntitlementNotFound
        | ReasonCode::OfferUnknown
        | ReasonCode::AttributeMissing
        | ReasonCode::AttributeInvalid
        | ReasonCode::RulesUnavailable
        | ReasonCode::RulesStale
        | ReasonCode::NotGated
        | ReasonCode::Exempted
        | ReasonCode::Grandfathered
        | ReasonCode::NoRuleApplies => "This does not stand in the way.",
    }
}

fn missing_of(trace: &SuspensionTrace) -> String {
    let exemptions = trace.exemptions.iter().map(|exemption| &exemption.in_scope);
    let verdicts = trace.dimensions.iter().map(|(_, verdict)| verdict);
    let all = verdicts.chain(exemptions).chain(&trace.grandfather);
    let reasons = all.filter_map(|verdict| match verdict {
        Verdict::Unknown(reasons) => Some(reasons),
        Verdict::Yes | Verdict::No => None,
    });
    named(reasons.flatten())
}

fn held_off_by(trace: &SuspensionTrace) -> String {
    let waives = trace.exemptions.iter().find(|exemption| {
        matches!(exemption.timing, Timing::Now(_)) && exemption.in_scope == Verdict::Yes
    });
    match waives {
        Some(found) => {
            let until = at(found.exemption.until);
            format!("the exemption `{}` waives it until {until}", found.exemption.id)
        }
        None => "its grandfather clause lets what was accepted earlier be completed".to_owned(),
    }
}

/// The attributes that reasons are about, each once.
fn named<'r>(reasons: impl Iterator<Item = &'r Reason>) -> String {
    let attributes = reasons.filter_map(|reason| reason.attribute.as_ref());
    let mut names: Vec<_> = attributes.map(|name| format!("`{name}`")).collect();
    names.sort();
    names.dedup();
    if names.is_empty() { "something that was not said".to_owned() } else { names.join(" and ") }
}

fn of_reason(reason: &Reason) -> String {
    let about = reason.attribute.as_ref().map(ToString::to_string).unwrap_or_default();
    let fixed = match reason.code {
        ReasonCode::VendorSuspended => "A vendor of the product is suspended.",
        ReasonCode::ComponentVendorSuspended => "The vendor of a component is suspended.",
        ReasonCode::ProductSuspended => "The product is suspended.",
        ReasonCode::OfferSuspended => "The offer is suspended.",
        ReasonCode::OfferNotOpen => "The offer is not open at this time.",
        ReasonCode::CountryNotServed => "The offer does not serve the customer's country.",
        ReasonCode::AgeOutOfRange => "The customer is too young or too old for this offer.",
        ReasonCode::AlreadyHeld => "The customer holds the product already.",
        ReasonCode::UnitLimitReached => {
            "The person, account, household or organisation holds as many as it may."
        }
        ReasonCode::OutboundSuppressed => {
            "Vulnerable customers are not sent this offer by e-mail, SMS or post."
        }
        ReasonCode::ConditionNotMet => "The offer's own condition is not met.",
        ReasonCode::EntitlementEnded => "The customer's holding has ended.",
        ReasonCode::EntitlementNotFound => "The customer does not hold the product.",
        ReasonCode::OfferUnknown => "The rules know no such offer.",
        ReasonCode::RulesUnavailable => NO_RULES,
        ReasonCode::RulesStale => "The rules held here may not be the newest.",
        ReasonCode::NotGated => "Service messages are never stopped.",
        ReasonCode::Exempted => "An exemption allows it.",
        ReasonCode::Grandfathered => "It was accepted early enough to be completed.",
        ReasonCode::NoRuleApplies => "Nothing stands against it.",
        ReasonCode::RequirementNotMet => {
            return format!("The offer requires `{about}`, and this customer does not have it.");
        }
        ReasonCode::AttributeMissing => {
            return format!(
                "It depends on `{about}`, which was not said: find it out, and ask again."
            );
        }
        ReasonCode::AttributeInvalid => {
            return format!(
                "What was said as `{about}` cannot be read: correct it, and ask again."
            );
        }
    };
    fixed.to_owned()
}

fn in_words(action: Action) -> &'static str {
    match action {
        Action::Offer => "be offered",
        Action::Activate => "activate",
        Action::Reactivate => "reactivate",
        Action::Renew => "renew",
        Action::Update => "update",
        Action::Use => "use",
        Action::Notify => "be told about",
    }
}

/// An instant, to the second.
fn at(instant: Timestamp) -> String {
    instant.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}
