//! From a decision to the message that carries it.

use super::proto;
use super::time;
use crate::domain::{
    Advisory, AdvisoryId, CustomerMessage, Decision, Outcome, Reason, ReasonCode,
    ReportedSuspension, Timestamp,
};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// What an answer carries beside the decision itself.
#[derive(Debug, Clone, Copy)]
pub struct Evidence<'a> {
    /// The decision's own id.
    pub decision_id: &'a str,
    /// The place in history that it rests on; empty when there is none.
    pub token: &'a str,
    /// First instant at which to ask anew.
    pub valid_until: Timestamp,
    /// How long ago the rules were last known to be the newest, where they may not be any more.
    pub rules_age: Option<Duration>,
    /// The advisories of the rules that it rests on.
    pub advisories: &'a BTreeMap<AdvisoryId, Arc<Advisory>>,
}

/// Writes a decision.
#[must_use]
pub fn decision(decision: &Decision, evidence: &Evidence<'_>) -> proto::Decision {
    proto::Decision {
        outcome: outcome(decision.outcome).into(),
        reasons: decision.reasons.iter().map(reason).collect(),
        suspensions: (decision.suspensions.iter())
            .map(|reported| notice(reported, evidence.advisories))
            .collect(),
        exemptions: decision.exemptions.iter().map(|exemption| exemption.id.to_string()).collect(),
        grandfathered: decision.grandfathered.iter().map(ToString::to_string).collect(),
        alternate: decision.alternate.as_ref().map(ToString::to_string),
        valid_until: Some(time::write(evidence.valid_until)),
        decision_id: evidence.decision_id.to_owned(),
        as_of: Some(time::write(decision.as_of)),
        revision: decision.revision.0,
        token: evidence.token.to_owned(),
        rules_age: evidence.rules_age.map(time::write_duration),
    }
}

fn reason(reason: &Reason) -> proto::Reason {
    proto::Reason {
        code: reason_code(reason.code).into(),
        attribute: reason.attribute.as_ref().map(ToString::to_string).unwrap_or_default(),
    }
}

fn notice(
    reported: &ReportedSuspension,
    advisories: &BTreeMap<AdvisoryId, Arc<Advisory>>,
) -> proto::SuspensionNotice {
    let suspension = &reported.suspension;
    let reference = |id: &AdvisoryId| {
        let advisory = advisories.get(id);
        proto::AdvisoryReference {
            id: id.to_string(),
            issuer: advisory.map(|advisory| advisory.issuer.clone()).unwrap_or_default(),
            title: advisory.and_then(|advisory| advisory.title.clone()).unwrap_or_default(),
            url: advisory.and_then(|advisory| advisory.url.clone()).unwrap_or_default(),
        }
    };
    proto::SuspensionNotice {
        id: suspension.id.to_string(),
        code: reason_code(reported.code).into(),
        customer_message: suspension.customer_message.as_ref().map(customer_message),
        advisories: suspension.advisories.iter().map(reference).collect(),
    }
}

/// Writes what a customer may read.
#[must_use]
pub fn customer_message(message: &CustomerMessage) -> proto::CustomerMessage {
    match message {
        CustomerMessage::Text(text) => {
            proto::CustomerMessage { text: text.clone(), by_language: BTreeMap::new() }
        }
        CustomerMessage::ByLanguage(texts) => {
            proto::CustomerMessage { text: String::new(), by_language: texts.clone() }
        }
    }
}

/// Writes an outcome.
#[must_use]
pub fn outcome(outcome: Outcome) -> proto::Outcome {
    match outcome {
        Outcome::Eligible => proto::Outcome::Eligible,
        Outcome::Ineligible => proto::Outcome::Ineligible,
        Outcome::Indeterminate => proto::Outcome::Indeterminate,
    }
}

/// Writes a reason code.
#[must_use]
pub fn reason_code(code: ReasonCode) -> proto::ReasonCode {
    use proto::ReasonCode as Given;
    match code {
        ReasonCode::VendorSuspended => Given::VendorSuspended,
        ReasonCode::ComponentVendorSuspended => Given::ComponentVendorSuspended,
        ReasonCode::ProductSuspended => Given::ProductSuspended,
        ReasonCode::OfferSuspended => Given::OfferSuspended,
        ReasonCode::OfferNotOpen => Given::OfferNotOpen,
        ReasonCode::CountryNotServed => Given::CountryNotServed,
        ReasonCode::RequirementNotMet => Given::RequirementNotMet,
        ReasonCode::AgeOutOfRange => Given::AgeOutOfRange,
        ReasonCode::AlreadyHeld => Given::AlreadyHeld,
        ReasonCode::UnitLimitReached => Given::UnitLimitReached,
        ReasonCode::OutboundSuppressed => Given::OutboundSuppressed,
        ReasonCode::ConditionNotMet => Given::ConditionNotMet,
        ReasonCode::EntitlementEnded => Given::EntitlementEnded,
        ReasonCode::EntitlementNotFound => Given::EntitlementNotFound,
        ReasonCode::OfferUnknown => Given::OfferUnknown,
        ReasonCode::AttributeMissing => Given::AttributeMissing,
        ReasonCode::AttributeInvalid => Given::AttributeInvalid,
        ReasonCode::RulesUnavailable => Given::RulesUnavailable,
        ReasonCode::RulesStale => Given::RulesStale,
        ReasonCode::NotGated => Given::NotGated,
        ReasonCode::Exempted => Given::Exempted,
        ReasonCode::Grandfathered => Given::Grandfathered,
        ReasonCode::NoRuleApplies => Given::NoRuleApplies,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_and_outcome_keeps_its_name_and_the_codes_their_order() {
        let mut last = 0;
        for code in ReasonCode::ALL {
            let written = reason_code(code);
            assert_eq!(written.as_str_name(), format!("REASON_CODE_{}", code.name()));
            assert!(last < written as i32, "{code:?}");
            last = written as i32;
        }
        for given in Outcome::ALL {
            assert_eq!(outcome(given).as_str_name(), format!("OUTCOME_{}", given.name()));
        }
    }
}
