//! Adapts `MailingService`.

use super::api::Api;
use super::eligibility::both;
use super::proposals;
use super::requester::{Asked, Hand, Why, asked};
use super::rules::revision;
use super::status::{invalid, status_of};
use crate::domain::{LedgerId, MailingId, Revision};
use crate::service::{Act, MailingAsked, MailingStanding, SignedMailing};
use crate::wire::mailing::{read_mailing, write_mailing};
use crate::wire::{FieldErrors, proto, time};
use proto::ChangeState;
use proto::get_mailing_request::Mailing as Which;
use proto::mailing_service_server::MailingService;
use tonic::{Request, Response, Status};

#[tonic::async_trait]
impl MailingService for Api {
    async fn propose_mailing(
        &self,
        request: Request<proto::ProposeMailingRequest>,
    ) -> Result<Response<proto::ProposeMailingResponse>, Status> {
        let (hand, message) = Hand::of(request);
        let why = Why::Given { reason: &message.reason, ticket: &message.ticket };
        let requester = asked!(message).read(&hand, why, FieldErrors::default());
        let given = message.mailing.clone().unwrap_or_default();
        let mailing = read_mailing(&given, "mailing", self.service.now());
        let (mailing, requester) = both(mailing, requester).map_err(|errors| invalid(&errors))?;
        let changed = self.service.propose_mailing(requester, mailing).await.map_err(status_of)?;
        Ok(Response::new(proto::ProposeMailingResponse {
            proposal: proposals::waits(&self.service, &changed, true).await,
            revision: changed.revised.as_ref().map(revision),
        }))
    }

    async fn begin_mailing(
        &self,
        request: Request<proto::BeginMailingRequest>,
    ) -> Result<Response<proto::BeginMailingResponse>, Status> {
        let (hand, message) = Hand::of(request);
        let what = "is required: 32 lower-case hexadecimal digits";
        let ledger = LedgerId::parse(&message.ledger_id);
        let ledger = ledger.ok_or_else(|| FieldErrors::one("ledger_id", what));
        let mut errors = FieldErrors::default();
        if message.number == 0 {
            errors.add("number", "is required");
        }
        let asked = Asked {
            request_id: &message.request_id,
            author: &message.author,
            expected: None,
            validate_only: false,
        };
        let requester = asked.read(&hand, Why::OfAnAgreement { reason: "" }, errors);
        let (ledger, requester) = both(ledger, requester).map_err(|errors| invalid(&errors))?;
        let number = Revision(message.number);
        let begun = self.service.begin_mailing(requester, number, ledger).await;
        let revision = begun.map_err(status_of)?;
        Ok(Response::new(proto::BeginMailingResponse { begin_revision: revision.0 }))
    }

    async fn get_mailing(
        &self,
        request: Request<proto::GetMailingRequest>,
    ) -> Result<Response<proto::GetMailingResponse>, Status> {
        let asked = match request.into_inner().mailing {
            Some(Which::Number(number)) if 0 < number => MailingAsked::Number(Revision(number)),
            Some(Which::Id(text)) => MailingAsked::Id(
                MailingId::parse(&text).map_err(|error| invalid(&FieldErrors::one("id", error)))?,
            ),
            Some(Which::Number(_)) | None => {
                let what = "is required: `number` or `id`";
                return Err(invalid(&FieldErrors::one("mailing", what)));
            }
        };
        let found = self.service.mailing(asked).await.map_err(status_of)?;
        Ok(Response::new(write(&found)))
    }
}

fn write(found: &SignedMailing) -> proto::GetMailingResponse {
    let mut written = proto::GetMailingResponse {
        number: found.number.0,
        mailing: Some(write_mailing(&found.mailing)),
        author: found.author.name.to_string(),
        propose_time: Some(time::write(found.proposed_at)),
        digest: found.digest.map(|digest| digest.to_string()).unwrap_or_default(),
        reason: found.reason.clone(),
        ticket: found.ticket.clone(),
        ledger_id: found.begun.as_ref().map(|(id, _)| id.to_string()).unwrap_or_default(),
        begin_revision: found.begun.as_ref().map(|(_, by)| by.0).unwrap_or_default(),
        ..<_>::default()
    };
    let state = match &found.standing {
        MailingStanding::Proposed => ChangeState::Proposed,
        MailingStanding::Lapsed => ChangeState::Lapsed,
        MailingStanding::Decided(act, who, at, revision) => {
            written.decide_time = Some(time::write(*at));
            written.decided_revision = revision.0;
            let name =
                if *act == Act::Approve { &mut written.approver } else { &mut written.stopped_by };
            *name = who.name.to_string();
            match act {
                Act::Approve => ChangeState::Approved,
                Act::Reject => ChangeState::Rejected,
                Act::Withdraw => ChangeState::Withdrawn,
                // Nothing else is ever decided on a mailing.
                Act::Make
                | Act::Propose
                | Act::Edit
                | Act::Emergency
                | Act::Ratify
                | Act::Refuse
                | Act::Begin => ChangeState::Unspecified,
            }
        }
    };
    written.state = state.into();
    written
}
