//! Suspensions and exemptions, as people send and read them.

use super::field_errors::{FieldErrors, MOST_TEXT};
use super::request::{action, date, unknown_number};
use super::{decision, proto, time};
use crate::domain::{
    AdvisoryId, ComponentReach, CustomerMessage, Exemption, ExemptionId, Grandfather, OfferId,
    ProductId, Reach, Suspension, SuspensionId, Target, Timestamp, VendorId,
};

/// Longest language tag, in bytes, that anybody needs (BCP 47, section 4.4.1).
const MOST_LANGUAGE_TAG: usize = 35;

/// Reads a suspension. One that does not say when it starts, starts at `now`; a lift is not read,
/// since only lifting lifts.
///
/// # Errors
/// All fields that cannot be used, with their paths inside the suspension.
pub fn suspension(given: &proto::Suspension, now: Timestamp) -> Result<Suspension, FieldErrors> {
    let mut errors = FieldErrors::default();
    let id = errors.parse("id", &given.id, SuspensionId::parse);
    let target = target(given.target.as_ref(), &mut errors);
    let on_vendor = matches!(target, None | Some(Target::Vendor(_)));
    let reach = reach(given.reach, on_vendor, &mut errors);
    let components = component_reach(given.components, on_vendor, &mut errors);
    let scope = super::scope::read(given.scope.as_ref(), &mut errors);
    if scope.actions.is_empty() {
        errors.add("scope.actions", "is required: at least one value of `Action`");
    }
    let from = instant(given.from_time.as_ref(), "from_time", &mut errors).unwrap_or(now);
    let until = instant(given.until_time.as_ref(), "until_time", &mut errors);
    let grandfather =
        (given.grandfather.as_ref()).and_then(|given| clause(given, &mut errors)).map(Box::new);
    let review_by = given.review_by.as_deref().and_then(|text| {
        errors.parse("review_by", text, |text| date(text).ok_or("is no day such as `2018-06-01`"))
    });
    let advisories = errors.parse_all("advisories", &given.advisories, AdvisoryId::parse);
    errors.require("ticket", &given.ticket);
    errors.require("reason", &given.reason);
    let customer_message = message(given.customer_message.as_ref(), &mut errors);

    let (Some(id), Some(target)) = (id, target) else { return Err(errors) };
    errors.or(|| Suspension {
        id,
        target,
        reach,
        components,
        scope,
        from,
        until,
        lifted_at: None,
        grandfather,
        review_by,
        advisories: advisories.into(),
        ticket: given.ticket.clone(),
        reason: given.reason.clone(),
        customer_message,
    })
}

/// Reads an exemption. One that does not say when it starts, starts at `now`.
///
/// # Errors
/// All fields that cannot be used, with their paths inside the exemption.
pub fn exemption(given: &proto::Exemption, now: Timestamp) -> Result<Exemption, FieldErrors> {
    let mut errors = FieldErrors::default();
    let id = errors.parse("id", &given.id, ExemptionId::parse);
    if given.waives.is_empty() {
        errors.add("waives", "is required: the ids of the suspensions to waive");
    }
    let waives = errors.parse_all("waives", &given.waives, SuspensionId::parse);
    let scope = super::scope::read(given.scope.as_ref(), &mut errors);
    let from = instant(given.from_time.as_ref(), "from_time", &mut errors).unwrap_or(now);
    let until = required_instant(given.until_time.as_ref(), "until_time", &mut errors);
    errors.require("ticket", &given.ticket);
    errors.require("reason", &given.reason);

    let (Some(id), Some(until)) = (id, until) else { return Err(errors) };
    errors.or(|| Exemption {
        id,
        waives,
        scope,
        from,
        until,
        ticket: given.ticket.clone(),
        reason: given.reason.clone(),
    })
}

/// Writes a suspension, with where it stands at `now`.
#[must_use]
pub fn write_suspension(suspension: &Suspension, now: Timestamp) -> proto::Suspension {
    use proto::target::Target as Written;
    let (target, on_vendor) = match &suspension.target {
        Target::Vendor(id) => (Written::Vendor(id.to_string()), true),
        Target::Product(id) => (Written::Product(id.to_string()), false),
        Target::Offer(id) => (Written::Offer(id.to_string()), false),
    };
    let reach = match suspension.reach {
        _ if !on_vendor => proto::Reach::Unspecified,
        Reach::EntityOnly => proto::Reach::EntityOnly,
        Reach::Descendants => proto::Reach::Descendants,
        Reach::Group => proto::Reach::Group,
    };
    let components = match suspension.components {
        _ if !on_vendor => proto::ComponentReach::Unspecified,
        ComponentReach::Include => proto::ComponentReach::Include,
        ComponentReach::Exclude => proto::ComponentReach::Exclude,
    };
    proto::Suspension {
        id: suspension.id.to_string(),
        target: Some(proto::Target { target: Some(target) }),
        reach: reach.into(),
        components: components.into(),
        scope: Some(super::scope::write(&suspension.scope)),
        from_time: Some(time::write(suspension.from)),
        until_time: suspension.until.map(time::write),
        lifted_at: suspension.lifted_at.map(time::write),
        grandfather: suspension.grandfather.as_deref().map(|clause| proto::Grandfather {
            accepted_before: Some(time::write(clause.accepted_before)),
            until_time: Some(time::write(clause.until)),
        }),
        review_by: suspension.review_by.map(|day| day.to_string()),
        advisories: suspension.advisories.iter().map(ToString::to_string).collect(),
        ticket: suspension.ticket.clone(),
        reason: suspension.reason.clone(),
        customer_message: suspension.customer_message.as_ref().map(decision::customer_message),
        state: state(suspension, now).into(),
    }
}

/// Writes an exemption.
#[must_use]
pub fn write_exemption(exemption: &Exemption) -> proto::Exemption {
    proto::Exemption {
        id: exemption.id.to_string(),
        waives: exemption.waives.iter().map(ToString::to_string).collect(),
        scope: Some(super::scope::write(&exemption.scope)),
        from_time: Some(time::write(exemption.from)),
        until_time: Some(time::write(exemption.until)),
        ticket: exemption.ticket.clone(),
        reason: exemption.reason.clone(),
    }
}

/// Where a suspension stands at `now`. A lift outranks an end that came later.
#[must_use]
pub fn state(suspension: &Suspension, now: Timestamp) -> proto::SuspensionState {
    let lifted = suspension.lifted_at.filter(|&at| at <= now);
    let ended = suspension.until.filter(|&at| at <= now);
    match (lifted, ended) {
        (Some(lifted), Some(ended)) if ended < lifted => proto::SuspensionState::Ended,
        (Some(_), _) => proto::SuspensionState::Lifted,
        (None, Some(_)) => proto::SuspensionState::Ended,
        (None, None) if now < suspension.from => proto::SuspensionState::Scheduled,
        (None, None) => proto::SuspensionState::InForce,
    }
}

/// Reads an instant that must be there.
///
/// # Errors
/// Adds to `errors`, and is then `None`.
pub(super) fn required_instant(
    given: Option<&prost_types::Timestamp>,
    path: &str,
    errors: &mut FieldErrors,
) -> Option<Timestamp> {
    if given.is_none() {
        errors.add(path, "is required");
    }
    instant(given, path, errors)
}

/// Reads an instant that may be absent; one that cannot be read is an error.
pub fn instant(
    given: Option<&prost_types::Timestamp>,
    path: &str,
    errors: &mut FieldErrors,
) -> Option<Timestamp> {
    let instant = given.map(time::read);
    if instant == Some(None) {
        errors.add(path, "is no instant: years 1 to 9999, nanos 0 to 999,999,999");
    }
    instant.flatten()
}

fn target(given: Option<&proto::Target>, errors: &mut FieldErrors) -> Option<Target> {
    use proto::target::Target as Given;
    match given.and_then(|target| target.target.as_ref()) {
        None => {
            errors.add("target", "is required: one of `vendor`, `product`, `offer`");
            None
        }
        Some(Given::Vendor(id)) => {
            errors.parse("target.vendor", id, VendorId::parse).map(Target::Vendor)
        }
        Some(Given::Product(id)) => {
            errors.parse("target.product", id, ProductId::parse).map(Target::Product)
        }
        Some(Given::Offer(id)) => {
            errors.parse("target.offer", id, OfferId::parse).map(Target::Offer)
        }
    }
}

fn reach(given: i32, on_vendor: bool, errors: &mut FieldErrors) -> Reach {
    use proto::Reach as Given;
    let reach = match Given::try_from(given) {
        Ok(Given::Unspecified) => return Reach::default(),
        Ok(Given::EntityOnly) => Reach::EntityOnly,
        Ok(Given::Descendants) => Reach::Descendants,
        Ok(Given::Group) => Reach::Group,
        Err(_) => {
            unknown_number(given, "Reach", "reach", errors);
            return Reach::default();
        }
    };
    if !on_vendor {
        errors.add("reach", "is only for a target `vendor`");
    }
    reach
}

fn component_reach(given: i32, on_vendor: bool, errors: &mut FieldErrors) -> ComponentReach {
    use proto::ComponentReach as Given;
    let components = match Given::try_from(given) {
        Ok(Given::Unspecified) => return ComponentReach::default(),
        Ok(Given::Include) => ComponentReach::Include,
        Ok(Given::Exclude) => ComponentReach::Exclude,
        Err(_) => {
            unknown_number(given, "ComponentReach", "components", errors);
            return ComponentReach::default();
        }
    };
    if !on_vendor {
        errors.add("components", "is only for a target `vendor`");
    }
    components
}

fn clause(given: &proto::Grandfather, errors: &mut FieldErrors) -> Option<Grandfather> {
    let path = "grandfather.accepted_before";
    let accepted_before = required_instant(given.accepted_before.as_ref(), path, errors);
    let until = required_instant(given.until_time.as_ref(), "grandfather.until_time", errors);
    Some(Grandfather { accepted_before: accepted_before?, until: until? })
}

fn message(
    given: Option<&proto::CustomerMessage>,
    errors: &mut FieldErrors,
) -> Option<CustomerMessage> {
    let given = given?;
    let path = "customer_message";
    errors.limit("customer_message.text", &given.text, MOST_TEXT);
    for (tag, text) in &given.by_language {
        let tag_is_bad = tag.is_empty() || MOST_LANGUAGE_TAG < tag.len() || !tag.is_ascii();
        if tag_is_bad || text.is_empty() || MOST_TEXT < text.len() {
            errors.add(
                "customer_message.by_language",
                format_args!(
                    "has a language tag that is not 1 to {MOST_LANGUAGE_TAG} ASCII characters, or a \
                     text that is not 1 to {MOST_TEXT} bytes long"
                ),
            );
        }
    }
    match (given.text.is_empty(), given.by_language.is_empty()) {
        (false, true) => Some(CustomerMessage::Text(given.text.clone())),
        (true, false) => Some(CustomerMessage::ByLanguage(given.by_language.clone())),
        (true, true) => {
            errors.add(path, "is empty: give `text` or `by_language`, or leave it out");
            None
        }
        (false, false) => {
            errors.add(path, "has both `text` and `by_language`, and one is allowed");
            None
        }
    }
}

/// Reads actions that a request lists; `path` is that of the list.
pub fn actions(given: &[i32], path: &str, errors: &mut FieldErrors) -> Vec<crate::domain::Action> {
    let read = |(place, &given): (usize, &i32)| action(given, &format!("{path}[{place}]"), errors);
    given.iter().enumerate().map(read).collect()
}
