//! Approvals over gRPC: what waits for people, and what they decide.

use super::api::Api;
use super::eligibility::{both, rule_file};
use super::paging;
use super::proposals::{waits, write_emergency, write_proposal, write_shown, write_thing};
use super::requester::{Asked, Hand, Why, because};
use super::rules::revision;
use super::status::{invalid, status_of, status_of_rule};
use super::suspensions::{read_exemption, read_suspension};
use crate::domain::Revision;
use crate::service::{Changed, Digest, Edited, Emergency, Requester, ServiceError};
use crate::wire::suspension::write_suspension;
use crate::wire::{FieldErrors, proto, time};
use tonic::{Request, Response, Status};

/// Takes [`Asked`] from a message that has a `request_id` and an `author` and no more.
macro_rules! hand_of {
    ($message:ident) => {
        Asked {
            request_id: &$message.request_id,
            author: &$message.author,
            expected: None,
            validate_only: false,
        }
    };
}

impl Api {
    pub(super) async fn approve(
        &self,
        request: Request<proto::ApproveChangeRequest>,
    ) -> Result<Response<proto::ApproveChangeResponse>, Status> {
        let (hand, message) = Hand::of(request);
        let mut errors = FieldErrors::default();
        let id = number(message.id, &mut errors);
        let digest = Digest::parse(&message.digest);
        if digest.is_none() {
            errors
                .add("digest", "is required: the 64 hexadecimal digits that came with the change");
        }
        let requester = hand_of!(message).read(&hand, Why::InTheRule, errors);
        let (requester, Some(digest)) = (requester.map_err(|it| invalid(&it))?, digest) else {
            return Err(invalid(&FieldErrors::one("digest", "is required")));
        };
        let changed = self.service.approve(requester, id, digest).await;
        Ok(Response::new(proto::ApproveChangeResponse { revision: made(changed)? }))
    }

    pub(super) async fn reject(
        &self,
        request: Request<proto::RejectChangeRequest>,
    ) -> Result<Response<proto::RejectChangeResponse>, Status> {
        let (hand, message) = Hand::of(request);
        let mut errors = FieldErrors::default();
        let id = number(message.id, &mut errors);
        let why = Why::OfAFile { reason: &message.reason, ticket: "" };
        let requester = hand_of!(message).read(&hand, why, errors).map_err(|it| invalid(&it))?;
        let changed = self.service.reject(requester, id).await;
        Ok(Response::new(proto::RejectChangeResponse { revision: made(changed)? }))
    }

    pub(super) async fn ratify(
        &self,
        request: Request<proto::RatifyChangeRequest>,
    ) -> Result<Response<proto::RatifyChangeResponse>, Status> {
        let (hand, message) = Hand::of(request);
        let mut errors = FieldErrors::default();
        let id = number(message.id, &mut errors);
        let why = Why::OfAnAgreement { reason: &message.reason };
        let requester = hand_of!(message).read(&hand, why, errors).map_err(|it| invalid(&it))?;
        let changed = self.service.ratify(requester, id).await;
        Ok(Response::new(proto::RatifyChangeResponse { revision: made(changed)? }))
    }

    pub(super) async fn edit(
        &self,
        request: Request<proto::EditChangeRequest>,
    ) -> Result<Response<proto::EditChangeResponse>, Status> {
        let (hand, mut message) = Hand::of(request);
        let mut errors = FieldErrors::default();
        let id = number(message.id, &mut errors);
        let digest = Digest::parse(&message.digest);
        if digest.is_none() && !message.digest.is_empty() {
            errors.add("digest", "is not the 64 hexadecimal digits that came with the change");
        }
        let change = message.change.take();
        let (edited, why) = self.edited(change, &message).map_err(|it| invalid(&it))?;
        let requester = hand_of!(message).read(&hand, why, errors).map_err(|it| invalid(&it))?;
        let requester = match &edited {
            Edited::Suspension(it, _) if message.reason.is_empty() => {
                because(requester, &it.reason, &it.ticket)
            }
            Edited::Exemption(it, _) => because(requester, &it.reason, &it.ticket),
            Edited::Suspension(..) | Edited::Document(_) => requester,
        };
        let changed = self.service.edit(requester, id, edited, digest).await.map_err(status_of)?;
        Ok(Response::new(proto::EditChangeResponse {
            revision: changed.revised.as_ref().map(revision),
            proposal: waits(&self.service, &changed, true).await,
        }))
    }

    fn edited<'m>(
        &self,
        change: Option<proto::edit_change_request::Change>,
        message: &'m proto::EditChangeRequest,
    ) -> Result<(Edited, Why<'m>), FieldErrors> {
        use proto::edit_change_request::Change;
        let now = self.service.now();
        let (reason, ticket) = (message.reason.as_str(), message.ticket.as_str());
        Ok(match change {
            None => {
                let what = "is required: one of `suspension`, `exemption`, `document`";
                return Err(FieldErrors::one("change", what));
            }
            Some(Change::Suspension(given)) => {
                let starts_now = given.from_time.is_none();
                let edited = Edited::Suspension(read_suspension(&given, now)?, starts_now);
                let why = match reason {
                    "" => Why::InTheRule,
                    reason => Why::Given { reason, ticket },
                };
                (edited, why)
            }
            Some(Change::Exemption(given)) => {
                let starts_now = given.from_time.is_none();
                (Edited::Exemption(read_exemption(&given, now)?, starts_now), Why::InTheRule)
            }
            Some(Change::Document(document)) => {
                (Edited::Document(rule_file(document)), Why::OfAFile { reason, ticket })
            }
        })
    }

    pub(super) async fn suspend_in_emergency(
        &self,
        request: Request<proto::EmergencySuspendRequest>,
    ) -> Result<Response<proto::EmergencySuspendResponse>, Status> {
        let (hand, message) = Hand::of(request);
        let mut errors = FieldErrors::default();
        let given = message.suspension.clone().unwrap_or_default();
        if given.from_time.is_some() {
            errors.add("suspension.from_time", "is for the server to set: an emergency begins now");
        }
        let requester = hand_of!(message).read(&hand, Why::InTheRule, errors);
        // What an emergency without a ticket is refused with has a reason of its own.
        let has_ticket = !given.ticket.trim().is_empty();
        let readable = match has_ticket {
            true => given,
            false => proto::Suspension { ticket: "none".to_owned(), ..given },
        };
        let (suspension, requester) =
            both(read_suspension(&readable, self.service.now()), requester)
                .map_err(|errors| invalid(&errors))?;
        let ticket = if has_ticket { suspension.ticket.as_str() } else { "" };
        let requester: Requester = because(requester, &suspension.reason, ticket);
        let id = suspension.id.clone();
        let changed = self.service.suspend_in_emergency(requester, suspension).await;
        let changed = changed
            .map_err(|error| status_of_rule(error, "suspensions", id.as_str(), "suspension"))?;
        let now = self.service.now();
        let record = changed.revised.as_ref().map(|revised| &revised.record.content);
        Ok(Response::new(proto::EmergencySuspendResponse {
            suspension: changed.rules.suspensions.get(&id).map(|it| write_suspension(it, now)),
            ratify_by: record.map(|content| time::write(Emergency::due_of(content.at))),
            revision: changed.revised.as_ref().map(revision),
        }))
    }

    pub(super) async fn change(
        &self,
        request: Request<proto::GetChangeRequest>,
    ) -> Result<Response<proto::GetChangeResponse>, Status> {
        let mut errors = FieldErrors::default();
        let id = number(request.get_ref().id, &mut errors);
        errors.or(|| ()).map_err(|errors| invalid(&errors))?;
        let shown = self.service.shown(id).await.map_err(status_of)?;
        let now = self.service.now();
        let change = Some(write_shown(&shown, now));
        let (suspension, exemption) = write_thing(&shown, now);
        Ok(Response::new(proto::GetChangeResponse { change, suspension, exemption }))
    }

    pub(super) fn changes(
        &self,
        request: &Request<proto::ListChangesRequest>,
    ) -> Result<Response<proto::ListChangesResponse>, Status> {
        let message = request.get_ref();
        let after = paging::token(&message.page_token, |text| text.parse().ok().map(Revision));
        let (size, after) =
            both(paging::size(message.page_size), after).map_err(|errors| invalid(&errors))?;
        let (held, now) = (self.rules()?, self.service.now());
        let proposals = held.waiting.proposals.iter();
        let mut all: Vec<_> = proposals.map(|(&id, it)| write_proposal(id, it, now)).collect();
        all.extend(held.waiting.emergencies.iter().map(|(&id, it)| write_emergency(id, it)));
        all.sort_by_key(|change| change.id);
        let left = all.into_iter().filter(|it| after.is_none_or(|after| after.0 < it.id));
        let (changes, next_page_token) =
            paging::cut(left, size, |last| last.id.to_string(), Clone::clone);
        let revision = held.head.revision.0;
        Ok(Response::new(proto::ListChangesResponse { changes, next_page_token, revision }))
    }
}

fn made(changed: Result<Changed, ServiceError>) -> Result<Option<proto::Revision>, Status> {
    Ok(changed.map_err(status_of)?.revised.as_ref().map(revision))
}

fn number(given: u64, errors: &mut FieldErrors) -> Revision {
    if given == 0 {
        errors.add("id", "is required: the number of a change, such as `offergate changes` lists");
    }
    Revision(given)
}
