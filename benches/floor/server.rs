//! The floor: a bare tonic server that answers every check with the same decision.
//!
//! One current-thread runtime, prost, the system's allocator; nothing is decided, counted or
//! limited. What the real server costs is told as a ratio to this.
//!
//! `floor PORT` listens on loopback.

#![expect(clippy::unwrap_used, reason = "a benchmark may panic")]

use offergate::wire::proto::eligibility_service_server::{
    EligibilityService, EligibilityServiceServer,
};
use offergate::wire::proto::{self, Decision, Outcome, Reason, ReasonCode};
use std::net::{Ipv4Addr, SocketAddr};
use tokio_stream::Empty;
use tonic::{Request, Response, Status, Streaming};

struct Floor(proto::CheckEligibilityResponse);

#[tonic::async_trait]
impl EligibilityService for Floor {
    async fn check_eligibility(
        &self,
        _request: Request<proto::CheckEligibilityRequest>,
    ) -> Result<Response<proto::CheckEligibilityResponse>, Status> {
        Ok(Response::new(self.0.clone()))
    }

    async fn batch_check_eligibility(
        &self,
        _request: Request<proto::BatchCheckEligibilityRequest>,
    ) -> Result<Response<proto::BatchCheckEligibilityResponse>, Status> {
        Err(Status::unimplemented("the floor only checks"))
    }

    type StreamEligibilityStream = Empty<Result<proto::StreamEligibilityResponse, Status>>;

    async fn stream_eligibility(
        &self,
        _request: Request<Streaming<proto::StreamEligibilityRequest>>,
    ) -> Result<Response<Self::StreamEligibilityStream>, Status> {
        Err(Status::unimplemented("the floor only checks"))
    }

    async fn list_eligible_offers(
        &self,
        _request: Request<proto::ListEligibleOffersRequest>,
    ) -> Result<Response<proto::ListEligibleOffersResponse>, Status> {
        Err(Status::unimplemented("the floor only checks"))
    }

    async fn explain_eligibility(
        &self,
        _request: Request<proto::ExplainEligibilityRequest>,
    ) -> Result<Response<proto::ExplainEligibilityResponse>, Status> {
        Err(Status::unimplemented("the floor only checks"))
    }
}

/// As many fields as the real answer to an eligible customer has, and as long.
fn answer() -> proto::CheckEligibilityResponse {
    let reason = Reason { code: ReasonCode::NoRuleApplies.into(), ..Reason::default() };
    let instant = prost_types::Timestamp { seconds: 1_780_000_000, nanos: 123_456_789 };
    let decision = Decision {
        outcome: Outcome::Eligible.into(),
        reasons: vec![reason],
        valid_until: Some(instant),
        as_of: Some(instant),
        decision_id: "0198c2a4-7d1e-7c3a-9b52-3f0e5d6c7b8a".to_owned(),
        revision: 1,
        token: "0123456789abcdef0123456789abcdef.1.0123456789abcdef".to_owned(),
        ..Decision::default()
    };
    proto::CheckEligibilityResponse { decision: Some(decision) }
}

fn main() {
    let port = std::env::args().nth(1).unwrap().parse().unwrap();
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let server = tonic::transport::Server::builder()
        .add_service(EligibilityServiceServer::new(Floor(answer())));
    runtime.block_on(server.serve(address)).unwrap();
}
