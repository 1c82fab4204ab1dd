//! Approvals over gRPC: what waits for people, and what they decide.

use super::api::Api;
use super::eligibility::{both, rule_file};
use super::paging;
use super::requester::{Asked, Hand, Why, because};
use super::rules::{lines, revision, subject};
use super::status::{invalid, status_of, status_of_rule};
use super::suspensions::{read_exemption, read_suspension, suspension_id};
use crate::domain::{Direction, Revision, Timestamp};
use crate::service::{
    Act, ChangeKind, Changed, Digest, Edited, Emergency, Proposal, Requester, ServiceError, Shown,
    Standing,
};
use crate::wire::mailing::write_mailing;
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
        let changed = self.service.edit(requester, id, edited).await.map_err(status_of)?;
        let now = self.service.now();
        Ok(Response::new(proto::EditChangeResponse {
            revision: changed.revised.as_ref().map(revision),
            proposal: waits(&changed, now),
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
        let change = Some(write_shown(&shown, self.service.now()));
        Ok(Response::new(proto::GetChangeResponse { change }))
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

    pub(super) async fn history_of(
        &self,
        request: Request<proto::HistoryOfSuspensionRequest>,
    ) -> Result<Response<proto::HistoryOfSuspensionResponse>, Status> {
        let text = &request.get_ref().id;
        let id = suspension_id("id", text).map_err(|errors| invalid(&errors))?;
        let found = self.service.history_of(&id).await.map_err(status_of)?;
        if found.is_empty() {
            return Err(super::suspensions::none("suspension", text));
        }
        let revisions = found.iter().map(revision).collect();
        Ok(Response::new(proto::HistoryOfSuspensionResponse { revisions }))
    }
}

/// What waits after a request, if anything does.
pub(super) fn waits(changed: &Changed, now: Timestamp) -> Option<proto::ProposedChange> {
    changed.proposal.as_ref().map(|(id, proposal)| write_proposal(*id, proposal, now))
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

fn write_proposal(id: Revision, proposal: &Proposal, now: Timestamp) -> proto::ProposedChange {
    use proto::ChangeState::{Lapsed, Proposed};
    let state = if proposal.has_lapsed(now) { Lapsed } else { Proposed };
    let moved = proposal.moved.as_ref();
    proto::ProposedChange {
        id: id.0,
        state: state.into(),
        kind: kind(Some(proposal.kind)).into(),
        direction: direction(Some(proposal.direction)).into(),
        author: proposal.author.name.to_string(),
        editors: proposal.editors.iter().map(|editor| editor.name.to_string()).collect(),
        reason: proposal.reason.clone(),
        ticket: proposal.ticket.clone(),
        create_time: Some(time::write(proposal.proposed_at)),
        edit_time: Some(time::write(proposal.edited_at)),
        due_time: Some(time::write(proposal.lapses_at())),
        base_revision: proposal.base.0,
        digest: proposal.digest.to_string(),
        subjects: proposal.change.edits.iter().map(subject).collect(),
        mailing: proposal.mailing.as_deref().map(write_mailing),
        void_because: moved.map_or_else(String::new, |(what, revision)| {
            format!("revision {revision} has changed `{what}` since it was made")
        }),
        ..<_>::default()
    }
}

fn write_emergency(id: Revision, emergency: &Emergency) -> proto::ProposedChange {
    proto::ProposedChange {
        id: id.0,
        state: proto::ChangeState::Unratified.into(),
        kind: kind(Some(emergency.kind)).into(),
        direction: proto::Direction::Tightening.into(),
        author: emergency.author.name.to_string(),
        reason: emergency.reason.clone(),
        ticket: emergency.ticket.clone(),
        create_time: Some(time::write(emergency.at)),
        edit_time: Some(time::write(emergency.at)),
        due_time: Some(time::write(emergency.due_at())),
        base_revision: id.0.saturating_sub(1),
        subjects: emergency.change.edits.iter().map(subject).collect(),
        ..<_>::default()
    }
}

fn write_shown(shown: &Shown, now: Timestamp) -> proto::ProposedChange {
    let mut written = match &shown.standing {
        Standing::Proposed(proposal) => write_proposal(shown.id, proposal, now),
        Standing::Unratified(emergency) => write_emergency(shown.id, emergency),
        Standing::Decided(act, revision, record) => {
            use proto::ChangeState::{Approved, Ratified, Rejected, Unspecified, Withdrawn};
            let state = match act {
                Act::Approve => Approved,
                Act::Reject => Rejected,
                Act::Withdraw => Withdrawn,
                Act::Ratify => Ratified,
                Act::Make | Act::Propose | Act::Edit | Act::Emergency | Act::Refuse => Unspecified,
            };
            let content = &record.content;
            proto::ProposedChange {
                id: shown.id.0,
                state: state.into(),
                kind: kind(content.kind).into(),
                direction: direction(content.direction).into(),
                author: content.author.name.to_string(),
                reason: content.reason.clone(),
                ticket: content.ticket.clone(),
                create_time: Some(time::write(content.at)),
                edit_time: Some(time::write(content.at)),
                base_revision: record.revision.0.saturating_sub(1),
                digest: content.digest.map(|digest| digest.to_string()).unwrap_or_default(),
                subjects: content.change.edits.iter().map(subject).collect(),
                mailing: content.mailing.as_deref().map(write_mailing),
                decided_revision: revision.0,
                ..<_>::default()
            }
        }
    };
    written.lines = lines(&shown.plan.differences);
    written.offers_changed = shown.offers_changed as u64;
    if let Some(why) = &shown.void_because {
        written.void_because.clone_from(why);
    }
    written
}

/// By name, so that what the proto does not know is visible as unspecified and nothing else.
pub(super) fn kind(kind: Option<ChangeKind>) -> proto::RevisionKind {
    let name = kind.map(|kind| format!("REVISION_KIND_{}", kind.name()));
    name.and_then(|name| proto::RevisionKind::from_str_name(&name)).unwrap_or_default()
}

pub(super) fn act(act: Act) -> proto::RevisionAct {
    proto::RevisionAct::from_str_name(&format!("REVISION_ACT_{}", act.name())).unwrap_or_default()
}

pub(super) fn direction(direction: Option<Direction>) -> proto::Direction {
    let name = direction.map(|direction| format!("DIRECTION_{}", direction.name()));
    name.and_then(|name| proto::Direction::from_str_name(&name)).unwrap_or_default()
}
