//! Previews over gRPC: reads what is proposed and for whom, and writes what it would touch.

use super::eligibility::{as_of, both, rule_file, write as write_answer};
use super::status::{invalid, status_of_rule};
use super::suspensions::{read_exemption, read_suspension, suspension_id};
use crate::domain::{Customer, Timestamp};
use crate::service::{Count, OfferEffect, Preview, PreviewRequest, Proposed, Sample, Service};
use crate::wire::scope::write_action;
use crate::wire::{FieldErrors, proto, request as wire_request, suspension, time};
use std::collections::BTreeMap;
use tonic::Status;

/// Most customers in one preview.
const MOST_CUSTOMERS: usize = 1000;

/// Most offers that a preview lists.
const MOST_OFFERS: usize = 1000;

/// How many samples a preview keeps, when the caller does not say and at most.
const USUAL_SAMPLES: usize = 10;
const MOST_SAMPLES: usize = 100;

/// Looks at a change.
pub(super) async fn preview(
    service: &Service,
    mut message: proto::PreviewChangeRequest,
) -> Result<proto::PreviewChangeResponse, Status> {
    let change = message.change.take();
    let now = service.now();
    let (asked, proposed) = both(preview_request(&message), proposed(change, now))
        .map_err(|errors| invalid(&errors))?;
    let path = match &proposed {
        Proposed::Suspension(found) => ("suspensions", found.id.to_string(), "suspension"),
        Proposed::Exemption(found) => ("exemptions", found.id.to_string(), "exemption"),
        Proposed::Lift(id) => ("suspensions", id.to_string(), "lift"),
        Proposed::Document(_) => ("", String::new(), ""),
    };
    let preview = service.preview(proposed, asked).await;
    let (section, id, field) = path;
    let preview = preview.map_err(|error| status_of_rule(error, section, &id, field))?;
    Ok(write_preview(&preview))
}

/// Reads what a preview looks at.
fn preview_request(
    message: &proto::PreviewChangeRequest,
) -> Result<PreviewRequest<'_>, FieldErrors> {
    let mut errors = FieldErrors::default();
    if MOST_CUSTOMERS < message.customers.len() {
        let given = message.customers.len();
        let what = format!("holds {given} customers, and {MOST_CUSTOMERS} are allowed");
        return Err(FieldErrors::one("customers", what));
    }
    let mut customers: Vec<Customer<'_>> = Vec::with_capacity(message.customers.len());
    for (place, given) in message.customers.iter().enumerate() {
        match wire_request::sample_customer(given) {
            Ok(customer) => customers.push(customer),
            Err(more) => errors.extend(more.at(&format!("customers[{place}]"), "customer")),
        }
    }
    let actions = suspension::actions(&message.actions, "actions", &mut errors);
    let as_of = as_of(message.as_of.as_ref(), &mut errors);
    let samples = match usize::try_from(message.sample_size) {
        Ok(0) => USUAL_SAMPLES,
        Ok(samples) if samples <= MOST_SAMPLES => samples,
        Ok(_) | Err(_) => {
            errors.add("sample_size", format_args!("is not 0 to {MOST_SAMPLES}"));
            0
        }
    };
    errors.or(|| PreviewRequest { customers, actions, as_of, samples })
}

fn proposed(
    change: Option<proto::preview_change_request::Change>,
    now: Timestamp,
) -> Result<Proposed, FieldErrors> {
    use proto::preview_change_request::Change;
    let what = "one of `suspension`, `lift`, `exemption`, `document` is required";
    match change {
        None => Err(FieldErrors::one("change", what)),
        Some(Change::Suspension(given)) => {
            read_suspension(&given, now).map(|found| Proposed::Suspension(Box::new(found)))
        }
        Some(Change::Lift(id)) => suspension_id("lift", &id).map(Proposed::Lift),
        Some(Change::Exemption(given)) => {
            read_exemption(&given, now).map(|found| Proposed::Exemption(Box::new(found)))
        }
        Some(Change::Document(document)) => Ok(Proposed::Document(rule_file(document))),
    }
}

fn write_preview(preview: &Preview) -> proto::PreviewChangeResponse {
    let counts = |counts: &BTreeMap<String, Count>| {
        let write = |(value, count): (&String, &Count)| proto::PreviewCount {
            value: value.clone(),
            customers: count.customers as u64,
            changed: count.changed as u64,
        };
        counts.iter().map(write).collect()
    };
    proto::PreviewChangeResponse {
        base_revision: preview.base.0,
        as_of: Some(time::write(preview.as_of)),
        offers_total: preview.offers_total as u64,
        offers_changed: preview.offers.len() as u64,
        offers: preview.offers.iter().take(MOST_OFFERS).map(write_effect).collect(),
        customers_total: preview.customers as u64,
        customers_changed: preview.changed as u64,
        by_country: counts(&preview.by_country),
        by_segment: counts(&preview.by_segment),
        by_holder: counts(&preview.by_holder),
        samples: preview.samples.iter().map(write_sample).collect(),
    }
}

fn write_effect(effect: &OfferEffect) -> proto::PreviewOffer {
    proto::PreviewOffer {
        offer: effect.offer.id.to_string(),
        product: effect.offer.product.to_string(),
        suspended_by: effect.suspended_by.iter().map(ToString::to_string).collect(),
        released_from: effect.released_from.iter().map(ToString::to_string).collect(),
    }
}

fn write_sample(sample: &Sample) -> proto::PreviewSample {
    let mut after = write_answer(&sample.after);
    // What is only proposed has no place in history.
    after.token.clear();
    proto::PreviewSample {
        customer_id: sample.customer.clone(),
        offer: sample.offer.id.to_string(),
        action: write_action(sample.action).into(),
        before: Some(write_answer(&sample.before)),
        after: Some(after),
    }
}
