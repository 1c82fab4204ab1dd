//! A recorded decision as a question to the server: why was it decided so?
//!
//! What a caller said and could not be read has no value in the record. It is asked again as something
//! that cannot be read either, so that the answer names the same attribute.

use super::audit::find_decision;
use super::exit::{Exit, Failure};
use crate::audit::decisions::{Recorded, Unusable};
use crate::domain::{
    Action, Attribute, AttributeValue, CheckRequest, Customer, Holding, HoldingStatus, Relationship,
};
use crate::service::key_version;
use crate::wire::{proto, time};
use prost_types::value::Kind;
use proto::explain_eligibility_request::Rules;
use std::path::Path;
use uuid::Uuid;

/// A text that no attribute can be read from.
const UNREADABLE: &str = "?";

/// The question that explains a decision in a log.
pub(super) fn explanation_of(
    log: &Path,
    id: Uuid,
) -> Result<proto::ExplainEligibilityRequest, Failure> {
    let line = find_decision(log, id)?;
    let broken = |error: Unusable| {
        Failure::new(Exit::Failure, "the record of the decision cannot be used").because(error)
    };
    let record = Recorded::read(&line).map_err(broken)?;
    let request = record.request().map_err(broken)?;
    if record.token.is_empty() {
        return Err(Failure::new(Exit::Failure, "no rules were loaded when it was decided")
            .help("every answer was INDETERMINATE, RULES_UNAVAILABLE then"));
    }
    if let Some(version) = key_version(request.customer.id) {
        eprintln!(
            "the customer is named by key version {version}: no rule that names customers applies"
        );
    }
    if record.stale {
        eprintln!("the rules may have been out of date then: what they allow was not answered");
    }
    Ok(proto::ExplainEligibilityRequest {
        request: Some(to_wire(&request)),
        as_of: Some(time::write(record.at)),
        rules: Some(Rules::Revision(record.revision)),
    })
}

fn to_wire(request: &CheckRequest<'_>) -> proto::CheckEligibilityRequest {
    proto::CheckEligibilityRequest {
        customer: Some(customer(&request.customer)),
        offer: request.offer.to_owned(),
        action: action(request.action).into(),
        channel: text(request.channel),
        device: text(request.device),
        consistency: None,
    }
}

fn customer(customer: &Customer<'_>) -> proto::Customer {
    let relationship = match customer.relationship.known() {
        Some(Relationship::New) => proto::Relationship::New,
        Some(Relationship::Existing) => proto::Relationship::Existing,
        None => proto::Relationship::Unspecified,
    };
    let attributes = customer.attributes.iter().map(|(name, value)| {
        let kind = match value {
            AttributeValue::Bool(value) => Kind::BoolValue(*value),
            AttributeValue::Number(value) => Kind::NumberValue(*value),
            AttributeValue::Text(value) => Kind::StringValue((*value).to_owned()),
            AttributeValue::Invalid => Kind::NullValue(0),
        };
        ((*name).to_owned(), prost_types::Value { kind: Some(kind) })
    });
    let holdings = customer.holdings.iter();
    proto::Customer {
        id: customer.id.to_owned(),
        relationship: relationship.into(),
        country: text(customer.country.map(|country| country.code())),
        segment: text(customer.segment),
        us_person: customer.us_person.known(),
        date_of_birth: owned(customer.date_of_birth.map(|born| born.to_string())),
        vulnerable: customer.vulnerable.known(),
        holding: customer.holding.known().as_ref().map(holding),
        attributes: attributes.collect(),
        holdings: holdings.map(|(product, it)| ((*product).to_owned(), holding(it))).collect(),
    }
}

fn holding(given: &Holding<'_>) -> proto::Holding {
    let status = match given.status.known() {
        Some(HoldingStatus::None) => proto::HoldingStatus::None,
        Some(HoldingStatus::Accepted) => proto::HoldingStatus::Accepted,
        Some(HoldingStatus::Active) => proto::HoldingStatus::Active,
        Some(HoldingStatus::Lapsed) => proto::HoldingStatus::Lapsed,
        Some(HoldingStatus::Cancelled) => proto::HoldingStatus::Cancelled,
        None => proto::HoldingStatus::Unspecified,
    };
    let instant = |given: Attribute<_>| match given {
        Attribute::Known(instant) => Some(time::write(instant)),
        Attribute::Invalid => Some(prost_types::Timestamp { seconds: 0, nanos: -1 }),
        Attribute::Missing => None,
    };
    proto::Holding {
        status: status.into(),
        accepted_at: instant(given.accepted_at),
        term_end: instant(given.term_end),
        covered_by: match given.covered_by {
            // No customer has an empty id.
            Attribute::Invalid => Some(String::new()),
            other => text(other),
        },
        unit_count: given.unit_count.known(),
    }
}

fn text(given: Attribute<&str>) -> Option<String> {
    owned(given.map(str::to_owned))
}

fn owned(given: Attribute<String>) -> Option<String> {
    match given {
        Attribute::Known(text) => Some(text),
        Attribute::Invalid => Some(UNREADABLE.to_owned()),
        Attribute::Missing => None,
    }
}

fn action(action: Action) -> proto::Action {
    match action {
        Action::Offer => proto::Action::Offer,
        Action::Activate => proto::Action::Activate,
        Action::Reactivate => proto::Action::Reactivate,
        Action::Renew => proto::Action::Renew,
        Action::Update => proto::Action::Update,
        Action::Use => proto::Action::Use,
        Action::Notify => proto::Action::Notify,
    }
}
