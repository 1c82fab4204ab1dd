//! Adapts `SuspensionService`.

use super::api::Api;
use super::eligibility::{both, rule_file, write as write_answer};
use super::paging;
use super::rules::revision;
use super::status::{invalid, status_of, status_of_rule};
use crate::domain::{
    Customer, Exemption, OfferId, ProductId, Revision, Suspension, SuspensionId, Target, Timestamp,
    VendorId,
};
use crate::service::{
    Changed, Count, OfferEffect, Preview, PreviewRequest, Proposed, RequestId, Requester, Sample,
    ServiceError,
};
use crate::wire::scope::write_action;
use crate::wire::suspension::{self, write_exemption, write_suspension};
use crate::wire::{FieldErrors, MOST_TEXT, proto, request as wire_request, time};
use proto::suspension_service_server::SuspensionService;
use std::collections::BTreeMap;
use tonic::{Request, Response, Status};

/// Most customers in one preview.
const MOST_CUSTOMERS: usize = 1000;

/// Most offers that a preview lists.
const MOST_OFFERS: usize = 1000;

/// How many samples a preview keeps, when the caller does not say and at most.
const USUAL_SAMPLES: usize = 10;
const MOST_SAMPLES: usize = 100;

#[tonic::async_trait]
impl SuspensionService for Api {
    async fn create_suspension(
        &self,
        request: Request<proto::CreateSuspensionRequest>,
    ) -> Result<Response<proto::CreateSuspensionResponse>, Status> {
        let message = request.into_inner();
        let now = self.service.now();
        let given = message.suspension.unwrap_or_default();
        let starts_now = given.from_time.is_none();
        let (suspension, requester) = both(
            read_suspension(&given, now),
            requester(
                &message.request_id,
                &message.author,
                None,
                false,
                message.expected_revision,
                message.validate_only,
                FieldErrors::default(),
            ),
        )
        .map_err(|errors| invalid(&errors))?;
        let requester = Requester {
            reason: suspension.reason.clone(),
            ticket: suspension.ticket.clone(),
            ..requester
        };
        let id = suspension.id.clone();
        let changed = self.service.suspend(requester, suspension, starts_now).await;
        let changed = changed.map_err(|error| about_suspension(error, &id))?;
        let (suspension, revision) = outcome(&changed, &id, self.service.now());
        Ok(Response::new(proto::CreateSuspensionResponse { suspension, revision }))
    }

    async fn amend_suspension(
        &self,
        request: Request<proto::AmendSuspensionRequest>,
    ) -> Result<Response<proto::AmendSuspensionResponse>, Status> {
        let message = request.into_inner();
        let now = self.service.now();
        let given = message.suspension.unwrap_or_default();
        let mut errors = FieldErrors::default();
        if given.from_time.is_none() {
            errors.add("suspension.from_time", "is required");
        }
        if message.expected_revision.is_none() {
            errors.add(
                "expected_revision",
                "is required: the revision in which the suspension was read",
            );
        }
        let (suspension, requester) = both(
            read_suspension(&given, now),
            requester(
                &message.request_id,
                &message.author,
                Some((&message.reason, &message.ticket)),
                false,
                message.expected_revision,
                message.validate_only,
                errors,
            ),
        )
        .map_err(|errors| invalid(&errors))?;
        let id = suspension.id.clone();
        let changed = self.service.amend(requester, suspension).await;
        let changed = changed.map_err(|error| about_suspension(error, &id))?;
        let (suspension, revision) = outcome(&changed, &id, self.service.now());
        Ok(Response::new(proto::AmendSuspensionResponse { suspension, revision }))
    }

    async fn lift_suspension(
        &self,
        request: Request<proto::LiftSuspensionRequest>,
    ) -> Result<Response<proto::LiftSuspensionResponse>, Status> {
        let message = request.into_inner();
        let requester = requester(
            &message.request_id,
            &message.author,
            Some((&message.reason, &message.ticket)),
            false,
            message.expected_revision,
            message.validate_only,
            FieldErrors::default(),
        );
        let (id, requester) =
            both(suspension_id("id", &message.id), requester).map_err(|errors| invalid(&errors))?;
        let changed = self.service.lift(requester, id.clone()).await;
        let changed = changed.map_err(|error| about_suspension(error, &id))?;
        let (suspension, revision) = outcome(&changed, &id, self.service.now());
        Ok(Response::new(proto::LiftSuspensionResponse { suspension, revision }))
    }

    async fn create_exemption(
        &self,
        request: Request<proto::CreateExemptionRequest>,
    ) -> Result<Response<proto::CreateExemptionResponse>, Status> {
        let message = request.into_inner();
        let given = message.exemption.unwrap_or_default();
        let starts_now = given.from_time.is_none();
        let (exemption, requester) = both(
            read_exemption(&given, self.service.now()),
            requester(
                &message.request_id,
                &message.author,
                None,
                false,
                message.expected_revision,
                message.validate_only,
                FieldErrors::default(),
            ),
        )
        .map_err(|errors| invalid(&errors))?;
        let requester = Requester {
            reason: exemption.reason.clone(),
            ticket: exemption.ticket.clone(),
            ..requester
        };
        let id = exemption.id.clone();
        let changed = self.service.exempt(requester, exemption, starts_now).await;
        let changed = changed
            .map_err(|error| status_of_rule(error, "exemptions", id.as_str(), "exemption"))?;
        Ok(Response::new(proto::CreateExemptionResponse {
            exemption: changed.rules.exemptions.get(&id).map(|found| write_exemption(found)),
            revision: changed.revised.as_ref().map(revision),
        }))
    }

    async fn get_suspension(
        &self,
        request: Request<proto::GetSuspensionRequest>,
    ) -> Result<Response<proto::GetSuspensionResponse>, Status> {
        let text = &request.get_ref().id;
        let id = suspension_id("id", text).map_err(|errors| invalid(&errors))?;
        let held = self.rules()?;
        let rules = &held.rules;
        let found = rules.suspensions.get(&id).ok_or_else(|| none("suspension", text))?;
        let exemptions = rules.exemptions.values().filter(|found| found.waives.contains(&id));
        Ok(Response::new(proto::GetSuspensionResponse {
            suspension: Some(write_suspension(found, self.service.now())),
            exemptions: exemptions.map(|found| write_exemption(found)).collect(),
            revision: held.head.revision.0,
        }))
    }

    async fn list_suspensions(
        &self,
        request: Request<proto::ListSuspensionsRequest>,
    ) -> Result<Response<proto::ListSuspensionsResponse>, Status> {
        let message = request.get_ref();
        let after = paging::token(&message.page_token, |text| SuspensionId::parse(text).ok());
        let page = both(paging::size(message.page_size), after);
        let ((size, after), filter) =
            both(page, Filter::read(message)).map_err(|errors| invalid(&errors))?;
        let (held, now) = (self.rules()?, self.service.now());
        let after = |id: &SuspensionId| after.as_ref().is_none_or(|after| after < id);
        let left = held.rules.suspensions.values();
        let left = left.filter(|found| after(&found.id) && filter.allows(found, now));
        let (page, next_page_token) = paging::cut(left, size, |last| last.id.to_string());
        Ok(Response::new(proto::ListSuspensionsResponse {
            suspensions: page.iter().map(|found| write_suspension(found, now)).collect(),
            next_page_token,
            revision: held.head.revision.0,
        }))
    }

    async fn preview_change(
        &self,
        request: Request<proto::PreviewChangeRequest>,
    ) -> Result<Response<proto::PreviewChangeResponse>, Status> {
        let mut message = request.into_inner();
        let change = message.change.take();
        let now = self.service.now();
        let (asked, proposed) = both(preview_request(&message), proposed(change, now))
            .map_err(|errors| invalid(&errors))?;
        let path = match &proposed {
            Proposed::Suspension(found) => ("suspensions", found.id.to_string(), "suspension"),
            Proposed::Exemption(found) => ("exemptions", found.id.to_string(), "exemption"),
            Proposed::Lift(id) => ("suspensions", id.to_string(), "lift"),
            Proposed::Document(_) => ("", String::new(), ""),
        };
        let preview = self.service.preview(proposed, asked).await;
        let (section, id, field) = path;
        let preview = preview.map_err(|error| status_of_rule(error, section, &id, field))?;
        Ok(Response::new(write_preview(&preview)))
    }
}

impl Api {
    /// The rules in force.
    pub(super) fn rules(&self) -> Result<std::sync::Arc<crate::service::Held>, Status> {
        self.service.held().ok_or_else(|| status_of(ServiceError::NotLoaded))
    }
}

/// The error for an id that the rules do not know.
pub(super) fn none(kind: &'static str, id: &str) -> Status {
    status_of(ServiceError::NotFound { kind, id: id.to_owned() })
}

/// Reads who asks for a change; `why` holds reason and ticket where the request has them. Only a rule
/// file needs no ticket.
pub(super) fn requester(
    request_id: &str,
    author: &str,
    why: Option<(&str, &str)>,
    is_rule_file: bool,
    expected: Option<u64>,
    validate_only: bool,
    mut errors: FieldErrors,
) -> Result<Requester, FieldErrors> {
    let parsed = RequestId::parse(request_id);
    if parsed.is_none() {
        errors.add("request_id", "is required: 1 to 128 printable ASCII characters, no space");
    }
    let mut text = |path: &str, text: &str, required: bool| {
        if required && text.trim().is_empty() {
            errors.add(path, "is required");
        }
        if MOST_TEXT < text.len() {
            errors.add(path, format_args!("is longer than the {MOST_TEXT} bytes that are allowed"));
        }
    };
    text("author", author, true);
    let (reason, ticket) = why.unwrap_or_default();
    if why.is_some() {
        text("reason", reason, true);
        text("ticket", ticket, !is_rule_file);
    }
    let Some(request_id) = parsed else { return Err(errors) };
    errors.or(|| Requester {
        request_id,
        author: author.to_owned(),
        reason: reason.to_owned(),
        ticket: ticket.to_owned(),
        expected: expected.map(Revision),
        validate_only,
    })
}

fn read_suspension(given: &proto::Suspension, now: Timestamp) -> Result<Suspension, FieldErrors> {
    suspension::suspension(given, now).map_err(|errors| errors.under("suspension"))
}

fn read_exemption(given: &proto::Exemption, now: Timestamp) -> Result<Exemption, FieldErrors> {
    suspension::exemption(given, now).map_err(|errors| errors.under("exemption"))
}

fn suspension_id(path: &str, text: &str) -> Result<SuspensionId, FieldErrors> {
    SuspensionId::parse(text).map_err(|error| FieldErrors::one(path, error))
}

fn about_suspension(error: ServiceError, id: &SuspensionId) -> Status {
    status_of_rule(error, "suspensions", id.as_str(), "suspension")
}

fn outcome(
    changed: &Changed,
    id: &SuspensionId,
    now: Timestamp,
) -> (Option<proto::Suspension>, Option<proto::Revision>) {
    let suspension = changed.rules.suspensions.get(id).map(|found| write_suspension(found, now));
    (suspension, changed.revised.as_ref().map(revision))
}

/// Which suspensions a list shows.
struct Filter {
    state: proto::SuspensionState,
    target: Option<Target>,
}

impl Filter {
    fn read(message: &proto::ListSuspensionsRequest) -> Result<Self, FieldErrors> {
        let mut errors = FieldErrors::default();
        let state = proto::SuspensionState::try_from(message.state).unwrap_or_else(|_| {
            let given = message.state;
            errors.add("state", format_args!("is {given}, which is no value of `SuspensionState`"));
            proto::SuspensionState::Unspecified
        });
        let mut targets = Vec::new();
        if !message.vendor.is_empty() {
            let vendor = VendorId::parse(&message.vendor).map(Target::Vendor);
            targets.push(("vendor", vendor));
        }
        if !message.product.is_empty() {
            let product = ProductId::parse(&message.product).map(Target::Product);
            targets.push(("product", product));
        }
        if !message.offer.is_empty() {
            let offer = OfferId::parse(&message.offer).map(Target::Offer);
            targets.push(("offer", offer));
        }
        if 1 < targets.len() {
            errors.add("vendor", "of `vendor`, `product` and `offer`, one at most is allowed");
        }
        let mut target = None;
        for (path, parsed) in targets {
            match parsed {
                Ok(parsed) => target = Some(parsed),
                Err(error) => errors.add(path, error),
            }
        }
        errors.or(|| Self { state, target })
    }

    fn allows(&self, found: &Suspension, now: Timestamp) -> bool {
        let state = self.state == proto::SuspensionState::Unspecified
            || self.state == suspension::state(found, now);
        state && self.target.as_ref().is_none_or(|target| *target == found.target)
    }
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
    let as_of = suspension::instant(message.as_of.as_ref(), "as_of", &mut errors);
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
