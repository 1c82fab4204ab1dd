//! Scopes: the dimensions that a suspension or an exemption states.

use super::field_errors::FieldErrors;
use super::proto;
use super::request::unknown_number;
use super::suspension::actions;
use crate::domain::{
    Action, Channel, Country, CustomerId, Device, Holder, PersonNexus, ProductClass, Relationship,
    Scope, Segment,
};

/// Reads a scope; no scope is one that states nothing.
pub(super) fn read(given: Option<&proto::Scope>, errors: &mut FieldErrors) -> Scope {
    let Some(given) = given else { return Scope::default() };
    Scope {
        actions: actions(&given.actions, "scope.actions", errors).into(),
        countries: errors.parse_all("scope.countries", &given.countries, Country::parse).into(),
        person_nexus: person_nexus(&given.person_nexus, errors).into(),
        segments: errors.parse_all("scope.segments", &given.segments, Segment::parse).into(),
        holders: holders(&given.holders, errors).into(),
        relationships: relationships(&given.relationships, errors).into(),
        devices: errors.parse_all("scope.devices", &given.devices, Device::parse).into(),
        channels: errors.parse_all("scope.channels", &given.channels, Channel::parse).into(),
        product_classes: errors
            .parse_all("scope.product_classes", &given.product_classes, ProductClass::parse)
            .into(),
        customers: errors.parse_all("scope.customers", &given.customers, CustomerId::parse).into(),
    }
}

/// Writes a scope.
#[must_use]
pub fn write(scope: &Scope) -> proto::Scope {
    fn texts<T: ToString>(values: &[T]) -> Vec<String> {
        values.iter().map(ToString::to_string).collect()
    }
    proto::Scope {
        actions: scope.actions.iter().map(|&action| write_action(action).into()).collect(),
        countries: texts(&scope.countries),
        person_nexus: (scope.person_nexus.iter())
            .map(|nexus| match nexus {
                PersonNexus::UsPerson => proto::PersonNexus::UsPerson.into(),
            })
            .collect(),
        segments: texts(&scope.segments),
        holders: (scope.holders.iter())
            .map(|holder| match holder {
                Holder::New => proto::Holder::New.into(),
                Holder::Existing => proto::Holder::Existing.into(),
            })
            .collect(),
        relationships: (scope.relationships.iter())
            .map(|relationship| match relationship {
                Relationship::New => proto::Relationship::New.into(),
                Relationship::Existing => proto::Relationship::Existing.into(),
            })
            .collect(),
        devices: texts(&scope.devices),
        channels: texts(&scope.channels),
        product_classes: texts(&scope.product_classes),
        customers: scope.customers.iter().map(|id| id.as_str().to_owned()).collect(),
    }
}

/// Writes an action.
#[must_use]
pub fn write_action(action: Action) -> proto::Action {
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

fn person_nexus(given: &[i32], errors: &mut FieldErrors) -> Vec<PersonNexus> {
    let read = |given| match proto::PersonNexus::try_from(given) {
        Ok(proto::PersonNexus::UsPerson) => Some(PersonNexus::UsPerson),
        Ok(proto::PersonNexus::Unspecified) | Err(_) => None,
    };
    values(given, "PersonNexus", "scope.person_nexus", read, errors)
}

fn holders(given: &[i32], errors: &mut FieldErrors) -> Vec<Holder> {
    let read = |given| match proto::Holder::try_from(given) {
        Ok(proto::Holder::New) => Some(Holder::New),
        Ok(proto::Holder::Existing) => Some(Holder::Existing),
        Ok(proto::Holder::Unspecified) | Err(_) => None,
    };
    values(given, "Holder", "scope.holders", read, errors)
}

fn relationships(given: &[i32], errors: &mut FieldErrors) -> Vec<Relationship> {
    let read = |given| match proto::Relationship::try_from(given) {
        Ok(proto::Relationship::New) => Some(Relationship::New),
        Ok(proto::Relationship::Existing) => Some(Relationship::Existing),
        Ok(proto::Relationship::Unspecified) | Err(_) => None,
    };
    values(given, "Relationship", "scope.relationships", read, errors)
}

/// Reads a list of enum numbers. One that is unset or unknown is refused: as a value that nothing
/// matches, it would make a suspension narrower than its author thinks.
fn values<T>(
    given: &[i32],
    name: &str,
    path: &str,
    read: impl Fn(i32) -> Option<T>,
    errors: &mut FieldErrors,
) -> Vec<T> {
    let mut values = Vec::with_capacity(given.len());
    for (place, &number) in given.iter().enumerate() {
        match read(number) {
            Some(value) => values.push(value),
            None => unknown_number(number, name, &format!("{path}[{place}]"), errors),
        }
    }
    values
}
