//! Adapts `SuspensionService`.

use super::api::Api;
use super::eligibility::both;
use super::proposals::{as_proposed, waits};
use super::requester::{Hand, Why, asked, because};
use super::rules::revision;
use super::status::{invalid, status_of, status_of_rule};
use super::{paging, preview};
use crate::domain::{
    Exemption, OfferId, ProductId, Suspension, SuspensionId, Target, Timestamp, VendorId,
};
use crate::service::{Changed, ServiceError};
use crate::wire::suspension::{self, write_exemption, write_suspension};
use crate::wire::{FieldErrors, proto};
use proto::suspension_service_server::SuspensionService;
use std::sync::Arc;
use tonic::{Request, Response, Status};

#[tonic::async_trait]
impl SuspensionService for Api {
    async fn create_suspension(
        &self,
        request: Request<proto::CreateSuspensionRequest>,
    ) -> Result<Response<proto::CreateSuspensionResponse>, Status> {
        let (hand, message) = Hand::of(request);
        let requester = asked!(message).read(&hand, Why::InTheRule, FieldErrors::default());
        let given = message.suspension.unwrap_or_default();
        let starts_now = given.from_time.is_none();
        let (suspension, requester) = both(read_suspension(&given, self.service.now()), requester)
            .map_err(|errors| invalid(&errors))?;
        let requester = because(requester, &suspension.reason, &suspension.ticket);
        let id = suspension.id.clone();
        let changed = self.service.suspend(requester, suspension, starts_now).await;
        let (suspension, revision, proposal) = self.outcome(&id, changed).await?;
        Ok(Response::new(proto::CreateSuspensionResponse { suspension, revision, proposal }))
    }

    async fn amend_suspension(
        &self,
        request: Request<proto::AmendSuspensionRequest>,
    ) -> Result<Response<proto::AmendSuspensionResponse>, Status> {
        let (hand, message) = Hand::of(request);
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
        let why = Why::Given { reason: &message.reason, ticket: &message.ticket };
        let requester = asked!(message).read(&hand, why, errors);
        let (suspension, requester) = both(read_suspension(&given, self.service.now()), requester)
            .map_err(|errors| invalid(&errors))?;
        let id = suspension.id.clone();
        let changed = self.service.amend(requester, suspension).await;
        let (suspension, revision, proposal) = self.outcome(&id, changed).await?;
        Ok(Response::new(proto::AmendSuspensionResponse { suspension, revision, proposal }))
    }

    async fn lift_suspension(
        &self,
        request: Request<proto::LiftSuspensionRequest>,
    ) -> Result<Response<proto::LiftSuspensionResponse>, Status> {
        let (hand, message) = Hand::of(request);
        let why = Why::Given { reason: &message.reason, ticket: &message.ticket };
        let requester = asked!(message).read(&hand, why, FieldErrors::default());
        let (id, requester) =
            both(suspension_id("id", &message.id), requester).map_err(|errors| invalid(&errors))?;
        let changed = self.service.lift(requester, id.clone()).await;
        let (suspension, revision, proposal) = self.outcome(&id, changed).await?;
        Ok(Response::new(proto::LiftSuspensionResponse { suspension, revision, proposal }))
    }

    async fn create_exemption(
        &self,
        request: Request<proto::CreateExemptionRequest>,
    ) -> Result<Response<proto::CreateExemptionResponse>, Status> {
        let (hand, message) = Hand::of(request);
        let requester = asked!(message).read(&hand, Why::InTheRule, FieldErrors::default());
        let given = message.exemption.unwrap_or_default();
        let starts_now = given.from_time.is_none();
        let (exemption, requester) = both(read_exemption(&given, self.service.now()), requester)
            .map_err(|errors| invalid(&errors))?;
        let requester = because(requester, &exemption.reason, &exemption.ticket);
        let id = exemption.id.clone();
        let changed = self.service.exempt(requester, exemption, starts_now).await;
        let changed = changed
            .map_err(|error| status_of_rule(error, "exemptions", id.as_str(), "exemption"))?;
        let starts_then = changed.proposal.as_ref().is_some_and(|(_, it)| it.starts_now);
        let written = changed.rules.exemptions.get(&id).map(|found| write_exemption(found));
        Ok(Response::new(proto::CreateExemptionResponse {
            exemption: written.map(|it| proto::Exemption {
                from_time: it.from_time.filter(|_| !starts_then),
                ..it
            }),
            revision: changed.revised.as_ref().map(revision),
            proposal: waits(&self.service, &changed, true).await,
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
        let (suspensions, next_page_token) = paging::cut(
            left,
            size,
            |last| last.id.to_string(),
            |found| write_suspension(found, now),
        );
        Ok(Response::new(proto::ListSuspensionsResponse {
            suspensions,
            next_page_token,
            revision: held.head.revision.0,
        }))
    }

    async fn preview_change(
        &self,
        request: Request<proto::PreviewChangeRequest>,
    ) -> Result<Response<proto::PreviewChangeResponse>, Status> {
        preview::preview(&self.service, request.into_inner()).await.map(Response::new)
    }

    async fn approve_change(
        &self,
        request: Request<proto::ApproveChangeRequest>,
    ) -> Result<Response<proto::ApproveChangeResponse>, Status> {
        self.approve(request).await
    }

    async fn reject_change(
        &self,
        request: Request<proto::RejectChangeRequest>,
    ) -> Result<Response<proto::RejectChangeResponse>, Status> {
        self.reject(request).await
    }

    async fn edit_change(
        &self,
        request: Request<proto::EditChangeRequest>,
    ) -> Result<Response<proto::EditChangeResponse>, Status> {
        self.edit(request).await
    }

    async fn emergency_suspend(
        &self,
        request: Request<proto::EmergencySuspendRequest>,
    ) -> Result<Response<proto::EmergencySuspendResponse>, Status> {
        self.suspend_in_emergency(request).await
    }

    async fn ratify_change(
        &self,
        request: Request<proto::RatifyChangeRequest>,
    ) -> Result<Response<proto::RatifyChangeResponse>, Status> {
        self.ratify(request).await
    }

    async fn get_change(
        &self,
        request: Request<proto::GetChangeRequest>,
    ) -> Result<Response<proto::GetChangeResponse>, Status> {
        self.change(request).await
    }

    async fn list_changes(
        &self,
        request: Request<proto::ListChangesRequest>,
    ) -> Result<Response<proto::ListChangesResponse>, Status> {
        self.changes(&request)
    }

    async fn history_of_suspension(
        &self,
        request: Request<proto::HistoryOfSuspensionRequest>,
    ) -> Result<Response<proto::HistoryOfSuspensionResponse>, Status> {
        self.history_of(request).await
    }
}

impl Api {
    /// The rules in force.
    pub(super) fn rules(&self) -> Result<Arc<crate::service::Held>, Status> {
        self.service.held().ok_or_else(|| status_of(ServiceError::NotLoaded))
    }

    /// A suspension as it would be after a change to it, and what the change has become: a record, and
    /// something that waits.
    async fn outcome(
        &self,
        id: &SuspensionId,
        changed: Result<Changed, ServiceError>,
    ) -> Result<Outcome, Status> {
        let changed = changed
            .map_err(|error| status_of_rule(error, "suspensions", id.as_str(), "suspension"))?;
        let found = changed.rules.suspensions.get(id);
        let now = self.service.now();
        let suspension = found.map(|found| {
            let written = write_suspension(found, now);
            changed.proposal.as_ref().map_or(written.clone(), |(_, it)| as_proposed(written, it))
        });
        let revision = changed.revised.as_ref().map(revision);
        Ok((suspension, revision, waits(&self.service, &changed, true).await))
    }
}

type Outcome = (Option<proto::Suspension>, Option<proto::Revision>, Option<proto::ProposedChange>);

/// The error for an id that the rules do not know.
pub(super) fn none(kind: &'static str, id: &str) -> Status {
    status_of(ServiceError::NotFound { kind, id: id.to_owned() })
}

pub(super) fn read_suspension(
    given: &proto::Suspension,
    now: Timestamp,
) -> Result<Suspension, FieldErrors> {
    suspension::suspension(given, now).map_err(|errors| errors.under("suspension"))
}

pub(super) fn read_exemption(
    given: &proto::Exemption,
    now: Timestamp,
) -> Result<Exemption, FieldErrors> {
    suspension::exemption(given, now).map_err(|errors| errors.under("exemption"))
}

pub(super) fn suspension_id(path: &str, text: &str) -> Result<SuspensionId, FieldErrors> {
    SuspensionId::parse(text).map_err(|error| FieldErrors::one(path, error))
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
