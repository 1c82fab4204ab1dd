//! Adapts `FleetService`.

use super::api::Api;
use super::deadline;
use super::requester::{Asked, Hand, Why};
use super::status::{invalid, status_of};
use crate::domain::{Revision, Token};
use crate::service::{
    Awaited, Enforcement, FleetView, Holder, Member, Progress, Reached, ReplicaName, RequestId,
    Shortfall,
};
use crate::wire::{FieldErrors, proto, time};
use proto::await_enforcement_request::Change;
use proto::fleet_service_server::FleetService;
use std::time::Duration;
use tokio::time::Instant;
use tonic::{Request, Response, Status};

/// How long a wait is when the caller does not say.
const USUAL_WAIT: Duration = Duration::from_secs(10);

/// How long a wait may be. More is for asking again.
pub(super) const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// How long before the call's deadline a wait ends, so that its answer arrives in time.
const BEFORE_DEADLINE: Duration = Duration::from_millis(100);

#[tonic::async_trait]
impl FleetService for Api {
    async fn list_replicas(
        &self,
        _: Request<proto::ListReplicasRequest>,
    ) -> Result<Response<proto::ListReplicasResponse>, Status> {
        let fleet = self.service.fleet().await.map_err(status_of)?;
        Ok(Response::new(listing(fleet)))
    }

    async fn await_enforcement(
        &self,
        request: Request<proto::AwaitEnforcementRequest>,
    ) -> Result<Response<proto::AwaitEnforcementResponse>, Status> {
        let deadline = deadline::of(&request);
        let message = request.into_inner();
        let mut errors = FieldErrors::default();
        let awaited = awaited(message.change, &mut errors);
        let wait = wait(message.wait.as_ref(), &mut errors);
        let Some(awaited) = awaited else { return Err(invalid(&errors)) };
        let wait = errors.or(|| wait).map_err(|errors| invalid(&errors))?;
        let left = deadline.map(|at| at.saturating_duration_since(Instant::now()));
        let wait = left.map_or(wait, |left| wait.min(left.saturating_sub(BEFORE_DEADLINE)));
        let enforcement = self.service.await_enforcement(awaited, wait).await;
        Ok(Response::new(write(&enforcement.map_err(status_of)?)))
    }

    async fn accept_history(
        &self,
        request: Request<proto::AcceptHistoryRequest>,
    ) -> Result<Response<proto::AcceptHistoryResponse>, Status> {
        let (hand, message) = Hand::of(request);
        let asked = Asked {
            request_id: &message.request_id,
            author: &message.author,
            expected: None,
            validate_only: false,
        };
        let why = Why::Given { reason: &message.reason, ticket: &message.ticket };
        let requester =
            asked.read(&hand, why, FieldErrors::default()).map_err(|errors| invalid(&errors))?;
        let token = self.service.accept_history(requester).await.map_err(status_of)?;
        Ok(Response::new(proto::AcceptHistoryResponse { token: token.to_string() }))
    }
}

fn awaited(change: Option<Change>, errors: &mut FieldErrors) -> Option<Awaited> {
    match change {
        None => {
            errors.add("change", "is required: `token`, `request_id` or `revision`");
            None
        }
        Some(Change::Token(text)) => match Token::parse(&text) {
            Ok(token) => Some(Awaited::Token(token)),
            Err(error) => {
                errors.add("token", error);
                None
            }
        },
        Some(Change::RequestId(text)) => {
            let id = RequestId::parse(&text);
            if id.is_none() {
                errors.add("request_id", "must be 1 to 128 printable ASCII characters, no space");
            }
            id.map(Awaited::Request)
        }
        Some(Change::Revision(0)) => {
            errors.add("revision", "must be 1 or more: revision 0 is no change");
            None
        }
        Some(Change::Revision(number)) => Some(Awaited::Revision(Revision(number))),
    }
}

fn wait(given: Option<&prost_types::Duration>, errors: &mut FieldErrors) -> Duration {
    let Some(given) = given else { return USUAL_WAIT };
    match Duration::try_from(*given) {
        Ok(wait) if wait <= LONGEST_WAIT => wait,
        _ => {
            errors.add("wait", "must be 0 to 60 seconds");
            USUAL_WAIT
        }
    }
}

fn listing(fleet: FleetView) -> proto::ListReplicasResponse {
    let FleetView { members, newest, lease_left, trouble, shortfalls } = fleet;
    let replica = |member: Member| proto::Replica {
        name: shown(&member.name),
        incarnation: member.incarnation.as_str().to_owned(),
        address: member.address,
        revision: member.revision.0,
        answering: member.answering,
        holds_permit: member.holds_permit,
    };
    proto::ListReplicasResponse {
        replicas: members.into_iter().map(replica).collect(),
        newest_revision: newest.0,
        lease_left: lease_left.map(time::write_duration),
        trouble: trouble.unwrap_or_default(),
        shortfalls: shortfalls.iter().map(shortfall).collect(),
    }
}

fn write(enforcement: &Enforcement) -> proto::AwaitEnforcementResponse {
    use proto::{EnforcementState as State, ReplicaProgress};
    let reached = match enforcement.reached {
        Reached::Committed => State::Committed,
        Reached::Durable => State::Durable,
        Reached::Enforced => State::Enforced,
    };
    let state = if reached == State::Enforced { reached } else { State::Pending };
    let replicas = enforcement.replicas.iter().map(|(name, progress)| {
        let (progress, after) = match progress {
            Progress::Confirmed(after) => (ReplicaProgress::Confirmed, Some(*after)),
            Progress::Expired => (ReplicaProgress::Expired, None),
            Progress::Missing => (ReplicaProgress::Missing, None),
        };
        proto::ReplicaEnforcement {
            name: shown(name),
            holds_permit: Holder::shown(name).is_some(),
            progress: progress.into(),
            after: after.map(time::write_duration),
        }
    });
    proto::AwaitEnforcementResponse {
        state: state.into(),
        reached: reached.into(),
        token: enforcement.token.to_string(),
        revision: enforcement.token.revision.0,
        replicas: replicas.collect(),
        copies: enforcement.copies,
        nodes: enforcement.nodes,
        shortfalls: enforcement.shortfalls.iter().map(shortfall).collect(),
        elapsed: Some(time::write_duration(enforcement.elapsed)),
    }
}

/// A name as people know it.
fn shown(name: &ReplicaName) -> String {
    Holder::shown(name).unwrap_or(name.as_str()).to_owned()
}

fn shortfall(shortfall: &Shortfall) -> proto::StoreShortfall {
    let Shortfall { setting, found, wanted, cost, durable: _ } = shortfall.clone();
    proto::StoreShortfall { setting, found, wanted, cost }
}
