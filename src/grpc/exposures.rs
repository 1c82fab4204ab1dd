//! Pages of exposures: who was told yes for what a vendor is behind.

use super::paging::{self, Page};
use super::status::{invalid, status_of};
use crate::domain::{Timestamp, VendorId};
use crate::service::{Exposure, Exposures, Service};
use crate::wire::{FieldErrors, proto, time};
use tonic::Status;

/// Between the customer and the offer of a token: no id has one, and no offer.
const BETWEEN: char = '\n';

/// Answers one page. Each is counted anew: the log grows meanwhile, and what was found is not kept.
pub(super) async fn list(
    service: &Service,
    message: &proto::ListExposuresRequest,
) -> Result<proto::ListExposuresResponse, Status> {
    let mut errors = FieldErrors::default();
    let vendor = VendorId::parse(&message.vendor);
    if let Err(error) = &vendor {
        errors.add("vendor", error);
    }
    let from = instant("from_time", message.from_time.as_ref(), &mut errors);
    let until = instant("until_time", message.until_time.as_ref(), &mut errors);
    if until <= from && until.is_some() {
        errors.add("until_time", "must be after `from_time`");
    }
    let size = paging::size(message.page_size);
    let after = paging::token(&message.page_token, |text| {
        text.split_once(BETWEEN).map(|(customer, offer)| (customer.to_owned(), offer.to_owned()))
    });
    let paged = super::eligibility::both(size, after);
    let (paged, ()) =
        super::eligibility::both(paged, errors.or(|| ())).map_err(|errors| invalid(&errors))?;
    let (Ok(vendor), Some(from), Some(until)) = (vendor, from, until) else {
        return Err(super::status::broken());
    };
    let (size, after) = paged;
    let found = service.exposures(vendor, from, until).await.map_err(status_of)?;
    Ok(page(&found, size, after))
}

fn page(
    found: &Exposures,
    size: usize,
    after: Option<(String, String)>,
) -> proto::ListExposuresResponse {
    let mut page = Page::of(size);
    let mut next_page_token = String::new();
    let is_first = after.is_none();
    let (customer, offer) = after.unwrap_or_default();
    let mut last: Option<&Exposure> = None;
    for exposure in found.after(&customer, &offer) {
        if !page.take(written(exposure)) {
            let token = |last: &Exposure| format!("{}{BETWEEN}{}", last.customer, last.offer);
            next_page_token = last.map(token).unwrap_or_default();
            break;
        }
        last = Some(exposure);
    }
    let days = found.days().filter(|_| is_first).map(|(offer, day, count)| proto::ExposureDay {
        offer: offer.to_owned(),
        day: day.to_string(),
        decisions: count.decisions,
        customers: count.customers,
    });
    proto::ListExposuresResponse {
        days: days.collect(),
        exposures: page.into_things(),
        next_page_token,
        is_complete: found.is_complete(),
        missing: found.missing,
        uncounted_gaps: found.uncounted_gaps,
        sample: found.sample,
    }
}

fn written(exposure: &Exposure) -> proto::Exposure {
    proto::Exposure {
        customer: exposure.customer.clone(),
        offer: exposure.offer.clone(),
        first_time: Some(time::write(exposure.first)),
        last_time: Some(time::write(exposure.last)),
        count: exposure.count,
        actions: exposure.actions.iter().cloned().collect(),
        involved: exposure.involved.iter().map(|it| it.name().to_owned()).collect(),
    }
}

fn instant(
    field: &str,
    given: Option<&prost_types::Timestamp>,
    errors: &mut FieldErrors,
) -> Option<Timestamp> {
    let Some(given) = given else {
        errors.add(field, "is required");
        return None;
    };
    let read = time::read(given);
    if read.is_none() {
        errors.add(field, "is no instant from year 1 to 9999");
    }
    read
}
