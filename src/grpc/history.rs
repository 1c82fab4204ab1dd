//! The history of a suspension over gRPC: its records, when they were enforced, and what it denied.

use super::api::Api;
use super::rules::revision;
use super::status::{invalid, status_of};
use super::suspensions::{none, suspension_id};
use crate::service::{CountedFrom, DenialCount, ReplicaName, SeenEnforced};
use crate::wire::{proto, time};
use tonic::{Request, Response, Status};

impl Api {
    pub(super) async fn history_of(
        &self,
        request: Request<proto::HistoryOfSuspensionRequest>,
    ) -> Result<Response<proto::HistoryOfSuspensionResponse>, Status> {
        let text = &request.get_ref().id;
        let id = suspension_id("id", text).map_err(|errors| invalid(&errors))?;
        let history = self.service.history_of(&id).await.map_err(status_of)?;
        if history.revised.is_empty() {
            return Err(none("suspension", text));
        }
        Ok(Response::new(proto::HistoryOfSuspensionResponse {
            revisions: history.revised.iter().map(revision).collect(),
            enforced: history.enforced.iter().map(seen).collect(),
            denied: Some(denied(&history.denied)),
            server: name(history.server.as_ref()),
        }))
    }
}

fn seen(seen: &SeenEnforced) -> proto::SeenEnforced {
    let replicas = seen.replicas.iter().map(|(replica, after)| proto::SeenReplica {
        name: replica.to_string(),
        after: after.map(time::write_duration),
    });
    let counted_from = match seen.counted_from {
        CountedFrom::Written => proto::CountedFrom::Written,
        CountedFrom::Asked => proto::CountedFrom::Asked,
    };
    proto::SeenEnforced {
        revision: seen.revision.0,
        seen_time: Some(time::write(seen.at)),
        after: Some(time::write_duration(seen.after)),
        counted_from: counted_from.into(),
        observer: name(seen.observer.as_ref()),
        replicas: replicas.collect(),
    }
}

fn name(server: Option<&ReplicaName>) -> String {
    server.map(ToString::to_string).unwrap_or_default()
}

fn denied(count: &DenialCount) -> proto::DeniedDecisions {
    use proto::DeniedState;
    let only =
        |state: DeniedState| proto::DeniedDecisions { state: state.into(), ..<_>::default() };
    match count {
        DenialCount::NoLog => only(DeniedState::NoLog),
        DenialCount::NeverInForce => only(DeniedState::NeverInForce),
        DenialCount::Busy => only(DeniedState::Busy),
        DenialCount::Unreadable => only(DeniedState::Unreadable),
        DenialCount::Counted(denials) => proto::DeniedDecisions {
            state: DeniedState::Counted.into(),
            denied: denials.found.denied,
            denied_alone: denials.found.alone,
            is_complete: denials.is_complete(),
            missing: denials.found.missing,
            uncounted_gaps: denials.found.uncounted_gaps,
            unreadable: denials.found.unreadable,
            sample: denials.found.sample,
            log_begins: denials.log_begins.map(time::write),
            read_until: denials.read_until.map(time::write),
        },
    }
}
