//! From a check as it came to a check as it is decided.
//!
//! A request borrows from the message. What cannot be asked (no customer, no action) is a field
//! error; what was said but cannot be read (country `UK`) stays visible as [`Attribute::Invalid`]
//! and is decided.

use super::field_errors::{FieldErrors, MOST_TEXT};
use super::proto;
use super::time;
use crate::domain::{
    Action, Attribute, AttributeValue, CheckRequest, Consistency, Country, Customer, CustomerId,
    Date, Holding, HoldingStatus, OfferId, ProductId, Relationship, Token,
};
use prost_types::value::Kind;
use smallvec::SmallVec;

/// Most own attributes, and most holdings, of one customer.
pub const MOST_ATTRIBUTES: usize = 100;

/// Longest name of an own attribute, in bytes.
pub const MOST_ATTRIBUTE_NAME: usize = 64;

/// Reads a check.
///
/// # Errors
/// All fields that make it impossible to ask.
pub fn check_request(
    given: &proto::CheckEligibilityRequest,
) -> Result<CheckRequest<'_>, FieldErrors> {
    let mut errors = FieldErrors::default();
    let customer = customer(given.customer.as_ref(), &mut errors);
    // The same text rule for every id; the check borrows it, so nothing is kept of the parsed one.
    if !is_id(&given.offer) {
        errors.parse("offer", &given.offer, OfferId::parse);
    }
    let action = action(given.action, "action", &mut errors);
    let channel = text(given.channel.as_deref(), "channel", &mut errors);
    let device = text(given.device.as_deref(), "device", &mut errors);
    errors.or(|| CheckRequest { customer, offer: &given.offer, action, channel, device })
}

/// Reads the question which offers a customer is eligible for, with an offer still to be filled in.
///
/// # Errors
/// All fields that make it impossible to ask.
pub fn list_request(
    given: &proto::ListEligibleOffersRequest,
) -> Result<CheckRequest<'_>, FieldErrors> {
    let mut errors = FieldErrors::default();
    let customer = customer(given.customer.as_ref(), &mut errors);
    if given.customer.as_ref().is_some_and(|customer| customer.holding.is_some()) {
        errors.add(
            "customer.holding",
            "must not be set, since no single product is asked for: use `customer.holdings`",
        );
    }
    let action = action(given.action, "action", &mut errors);
    let channel = text(given.channel.as_deref(), "channel", &mut errors);
    let device = text(given.device.as_deref(), "device", &mut errors);
    errors.or(|| CheckRequest { customer, offer: "", action, channel, device })
}

/// Reads a customer on its own.
///
/// # Errors
/// All fields that cannot be used, with `customer.` before each path.
pub fn sample_customer(given: &proto::Customer) -> Result<Customer<'_>, FieldErrors> {
    let mut errors = FieldErrors::default();
    let customer = customer(Some(given), &mut errors);
    errors.or(|| customer)
}

/// Reads how new the rules must be.
///
/// # Errors
/// When a token is none.
pub fn consistency(given: Option<&proto::Consistency>) -> Result<Consistency, FieldErrors> {
    use proto::consistency::Requirement;
    match given.and_then(|consistency| consistency.requirement.as_ref()) {
        None | Some(Requirement::Strict(false)) => Ok(Consistency::Leased),
        Some(Requirement::Strict(true)) => Ok(Consistency::Strict),
        Some(Requirement::AtLeastToken(token)) => Token::parse(token)
            .map(Consistency::AtLeast)
            .map_err(|error| FieldErrors::one("consistency.at_least_token", error)),
    }
}

/// Reads an action. The value that stands for a bad one is never used, since the error is.
pub(super) fn action(given: i32, path: &str, errors: &mut FieldErrors) -> Action {
    use proto::Action as Given;
    match Given::try_from(given) {
        Ok(Given::Offer) => Action::Offer,
        Ok(Given::Activate) => Action::Activate,
        Ok(Given::Reactivate) => Action::Reactivate,
        Ok(Given::Renew) => Action::Renew,
        Ok(Given::Update) => Action::Update,
        Ok(Given::Use) => Action::Use,
        Ok(Given::Notify) => Action::Notify,
        Ok(Given::Unspecified) => {
            errors.add(path, "is required: one of the values of `Action`");
            Action::Offer
        }
        Err(_) => {
            unknown_number(given, "Action", path, errors);
            Action::Offer
        }
    }
}

/// Adds the error for a number that names no value of an enum.
pub(super) fn unknown_number(given: i32, name: &str, path: &str, errors: &mut FieldErrors) {
    errors.add(path, format_args!("is {given}, which is no value of `{name}`"));
}

pub(super) fn is_id(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

fn customer<'a>(given: Option<&'a proto::Customer>, errors: &mut FieldErrors) -> Customer<'a> {
    let Some(given) = given else {
        errors.add("customer.id", "is required");
        return Customer::default();
    };
    if given.id.is_empty() {
        errors.add("customer.id", "is required");
    } else if !CustomerId::allows(&given.id) {
        errors.add("customer.id", crate::domain::InvalidCustomerId);
    }
    let country = text(given.country.as_deref(), "customer.country", errors);
    let born = text(given.date_of_birth.as_deref(), "customer.date_of_birth", errors);
    Customer {
        id: &given.id,
        relationship: relationship(given.relationship, errors),
        country: Attribute::read(country.known(), |text| Country::parse(text).ok()),
        segment: text(given.segment.as_deref(), "customer.segment", errors),
        us_person: known(given.us_person),
        date_of_birth: Attribute::read(born.known(), date),
        vulnerable: known(given.vulnerable),
        holding: match &given.holding {
            None => Attribute::Missing,
            Some(given) => Attribute::Known(holding(given, None, errors)),
        },
        holdings: holdings(given, errors),
        attributes: attributes(given, errors),
    }
}

fn relationship(given: i32, errors: &mut FieldErrors) -> Attribute<Relationship> {
    use proto::Relationship as Given;
    match Given::try_from(given) {
        Ok(Given::Unspecified) => Attribute::Missing,
        Ok(Given::New) => Attribute::Known(Relationship::New),
        Ok(Given::Existing) => Attribute::Known(Relationship::Existing),
        Err(_) => {
            unknown_number(given, "Relationship", "customer.relationship", errors);
            Attribute::Invalid
        }
    }
}

/// Reads a holding: that of the asked offer's product, or that of `product` in `holdings`.
fn holding<'a>(
    given: &'a proto::Holding,
    product: Option<&str>,
    errors: &mut FieldErrors,
) -> Holding<'a> {
    use proto::HoldingStatus as Given;
    let path = |field: &str| match product {
        None => format!("customer.holding.{field}"),
        Some(product) => format!("customer.holdings[\"{product}\"].{field}"),
    };
    let status = match Given::try_from(given.status) {
        Ok(Given::Unspecified) => Attribute::Missing,
        Ok(Given::None) => Attribute::Known(HoldingStatus::None),
        Ok(Given::Accepted) => Attribute::Known(HoldingStatus::Accepted),
        Ok(Given::Active) => Attribute::Known(HoldingStatus::Active),
        Ok(Given::Lapsed) => Attribute::Known(HoldingStatus::Lapsed),
        Ok(Given::Cancelled) => Attribute::Known(HoldingStatus::Cancelled),
        Err(_) => {
            unknown_number(given.status, "HoldingStatus", &path("status"), errors);
            Attribute::Invalid
        }
    };
    let covered_by = given.covered_by.as_deref();
    if let Some(id) = covered_by.filter(|id| MOST_TEXT < id.len()) {
        errors.limit(&path("covered_by"), id, MOST_TEXT);
    }
    Holding {
        status,
        accepted_at: Attribute::read(given.accepted_at.as_ref(), time::read),
        term_end: Attribute::read(given.term_end.as_ref(), time::read),
        covered_by: Attribute::read(covered_by, |id| CustomerId::allows(id).then_some(id)),
        unit_count: known(given.unit_count),
    }
}

fn holdings<'a>(
    given: &'a proto::Customer,
    errors: &mut FieldErrors,
) -> SmallVec<[(&'a str, Holding<'a>); 2]> {
    if MOST_ATTRIBUTES < given.holdings.len() {
        errors.add("customer.holdings", format_args!("has more than {MOST_ATTRIBUTES} entries"));
        return SmallVec::new();
    }
    let mut holdings = SmallVec::with_capacity(given.holdings.len());
    for (product, value) in &given.holdings {
        if !is_id(product) {
            errors.parse("customer.holdings", product, ProductId::parse);
            continue;
        }
        holdings.push((product.as_str(), holding(value, Some(product), errors)));
    }
    holdings
}

fn attributes<'a>(
    given: &'a proto::Customer,
    errors: &mut FieldErrors,
) -> SmallVec<[(&'a str, AttributeValue<'a>); 8]> {
    let path = "customer.attributes";
    if MOST_ATTRIBUTES < given.attributes.len() {
        errors.add(path, format_args!("has more than {MOST_ATTRIBUTES} entries"));
        return SmallVec::new();
    }
    let mut attributes = SmallVec::with_capacity(given.attributes.len());
    for (name, value) in &given.attributes {
        if name.is_empty() || MOST_ATTRIBUTE_NAME < name.len() {
            errors.add(
                path,
                format_args!("has a name that is not 1 to {MOST_ATTRIBUTE_NAME} bytes long"),
            );
        }
        let value = match &value.kind {
            Some(Kind::BoolValue(value)) => AttributeValue::Bool(*value),
            Some(Kind::NumberValue(value)) if value.is_finite() => AttributeValue::Number(*value),
            Some(Kind::StringValue(value)) => {
                errors.limit(path, value, MOST_TEXT);
                AttributeValue::Text(value)
            }
            None
            | Some(
                Kind::NullValue(_)
                | Kind::NumberValue(_)
                | Kind::ListValue(_)
                | Kind::StructValue(_),
            ) => AttributeValue::Invalid,
        };
        attributes.push((name.as_str(), value));
    }
    attributes
}

fn text<'a>(given: Option<&'a str>, path: &str, errors: &mut FieldErrors) -> Attribute<&'a str> {
    match given {
        None => Attribute::Missing,
        Some(text) => {
            errors.limit(path, text, MOST_TEXT);
            Attribute::Known(text)
        }
    }
}

fn known<T>(given: Option<T>) -> Attribute<T> {
    given.map_or(Attribute::Missing, Attribute::Known)
}

/// Reads YYYY-MM-DD and nothing looser.
pub(super) fn date(text: &str) -> Option<Date> {
    let shape = |(place, byte): (usize, u8)| match place {
        4 | 7 => byte == b'-',
        _ => byte.is_ascii_digit(),
    };
    let plain = text.len() == 10 && text.bytes().enumerate().all(shape);
    plain.then(|| text.parse().ok()).flatten()
}
