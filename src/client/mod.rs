//! A typed client of a running server, for the command line and for jobs.
//!
//! Thin: one method an RPC, every error already sorted by what a caller can do about it. It retries
//! nothing by itself; a change can be sent again as it is, since its request id makes it safe.

mod credentials;
mod error;

pub use credentials::Credentials;
pub(crate) use credentials::is_this_machine;
pub use error::{ClientError, ErrorKind};

use credentials::Bearer;

use crate::wire::proto;
use proto::audit_service_client::AuditServiceClient;
use proto::catalog_service_client::CatalogServiceClient;
use proto::eligibility_service_client::EligibilityServiceClient;
use proto::fleet_service_client::FleetServiceClient;
use proto::mailing_service_client::MailingServiceClient;
use proto::permit_service_client::PermitServiceClient;
use proto::rule_service_client::RuleServiceClient;
use proto::suspension_service_client::SuspensionServiceClient;
use std::time::Duration;
use tonic::codegen::tokio_stream::Stream;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Streaming};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

/// Largest answer that is read, in bytes: an export of the largest rule file that can be applied,
/// with room to spare.
const MOST_ANSWER: usize = 64 * 1024 * 1024;

/// A connection to a server. Cheap to clone; clones share the connection.
#[derive(Debug, Clone)]
pub struct Client {
    channel: InterceptedService<Channel, Bearer>,
    timeout: Duration,
}

impl Client {
    /// Connects without any proof of who calls. `address` is `HOST:PORT`, `http://HOST:PORT` or
    /// `https://HOST:PORT`; `timeout` bounds the connecting, and then each call that is no stream.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for an address that is none, [`ErrorKind::Unreachable`] when nobody
    /// answers in time.
    pub async fn connect(address: &str, timeout: Duration) -> Result<Self, ClientError> {
        Self::connect_as(address, timeout, Credentials::default()).await
    }

    /// The same, with what proves who calls.
    ///
    /// # Errors
    /// As above; and [`ErrorKind::Invalid`] for credentials that cannot be used, or would be sent to another
    /// machine in plain text.
    pub async fn connect_as(
        address: &str,
        timeout: Duration,
        credentials: Credentials,
    ) -> Result<Self, ClientError> {
        let uri = match address.contains("://") {
            true => address.to_owned(),
            false => format!("http://{address}"),
        };
        let endpoint = Endpoint::from_shared(uri)
            .map_err(|error| ClientError::address(address, &error))?
            .connect_timeout(timeout)
            .http2_keep_alive_interval(Duration::from_secs(30));
        let (endpoint, bearer) = credentials.apply(endpoint)?;
        let channel = tokio::time::timeout(timeout, endpoint.connect())
            .await
            .map_err(|_| ClientError::unreachable(address, "no answer in time".into()))?
            .map_err(|error| ClientError::unreachable(address, error.into()))?;
        Ok(Self { channel: InterceptedService::new(channel, bearer), timeout })
    }

    /// Whether the server says that `service` can be asked; the empty name is the server as a whole.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] for a service that the server does not have.
    pub async fn is_serving(&self, service: &str) -> Result<bool, ClientError> {
        let request = self.request(HealthCheckRequest { service: service.to_owned() });
        let answer = HealthClient::new(self.channel.clone()).check(request).await?.into_inner();
        Ok(answer.status() == ServingStatus::Serving)
    }

    /// Sends checks as they come and receives each answer, in the same order.
    ///
    /// # Errors
    /// When the stream cannot be opened.
    pub async fn stream_eligibility(
        &self,
        requests: impl Stream<Item = proto::StreamEligibilityRequest> + Send + 'static,
    ) -> Result<Streaming<proto::StreamEligibilityResponse>, ClientError> {
        let mut client = EligibilityServiceClient::new(self.channel.clone());
        Ok(client.stream_eligibility(requests).await?.into_inner())
    }

    /// Waits until a change is enforced, or for as long as the request says. The connection gets the
    /// usual time on top.
    ///
    /// # Errors
    /// As the proto lists them, and [`ErrorKind::Unreachable`].
    pub async fn await_enforcement(
        &self,
        request: proto::AwaitEnforcementRequest,
    ) -> Result<proto::AwaitEnforcementResponse, ClientError> {
        let wait = request.wait.and_then(|wait| Duration::try_from(wait).ok()).unwrap_or_default();
        let mut request = Request::new(request);
        request.set_timeout(wait + self.timeout);
        let mut client = FleetServiceClient::new(self.channel.clone());
        Ok(client.await_enforcement(request).await?.into_inner())
    }

    /// Follows revisions; see the proto for what is sent.
    ///
    /// # Errors
    /// When the stream cannot be opened.
    pub async fn watch_revisions(
        &self,
        request: proto::WatchRevisionsRequest,
    ) -> Result<Streaming<proto::WatchRevisionsResponse>, ClientError> {
        let mut client = RuleServiceClient::new(self.channel.clone());
        Ok(client.watch_revisions(request).await?.into_inner())
    }

    /// Asks for a permit, again and again; see the proto for what is sent.
    ///
    /// # Errors
    /// When the stream cannot be opened.
    pub async fn hold_permit(
        &self,
        requests: impl Stream<Item = proto::HoldPermitRequest> + Send + 'static,
    ) -> Result<Streaming<proto::HoldPermitResponse>, ClientError> {
        let mut client = PermitServiceClient::new(self.channel.clone());
        Ok(client.hold_permit(requests).await?.into_inner())
    }

    fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        request.set_timeout(self.timeout);
        request
    }
}

macro_rules! calls {
    ($($client:ident { $($method:ident($request:ident) -> $response:ident;)* })*) => {
        impl Client {$($(
            #[doc = concat!("Calls `", stringify!($method), "`; the proto says what it does.")]
            ///
            /// # Errors
            /// As the proto lists them, and [`ErrorKind::Unreachable`].
            pub async fn $method(
                &self,
                request: proto::$request,
            ) -> Result<proto::$response, ClientError> {
                let mut client = $client::new(self.channel.clone())
                    .max_decoding_message_size(MOST_ANSWER);
                Ok(client.$method(self.request(request)).await?.into_inner())
            }
        )*)*}
    };
}

calls! {
    EligibilityServiceClient {
        check_eligibility(CheckEligibilityRequest) -> CheckEligibilityResponse;
        batch_check_eligibility(BatchCheckEligibilityRequest) -> BatchCheckEligibilityResponse;
        list_eligible_offers(ListEligibleOffersRequest) -> ListEligibleOffersResponse;
        explain_eligibility(ExplainEligibilityRequest) -> ExplainEligibilityResponse;
    }
    RuleServiceClient {
        plan_rules(PlanRulesRequest) -> PlanRulesResponse;
        apply_rules(ApplyRulesRequest) -> ApplyRulesResponse;
        export_rules(ExportRulesRequest) -> ExportRulesResponse;
        get_revision(GetRevisionRequest) -> GetRevisionResponse;
        list_revisions(ListRevisionsRequest) -> ListRevisionsResponse;
    }
    CatalogServiceClient {
        search(SearchRequest) -> SearchResponse;
        get_vendor(GetVendorRequest) -> GetVendorResponse;
        get_product(GetProductRequest) -> GetProductResponse;
        get_offer(GetOfferRequest) -> GetOfferResponse;
        list_offers(ListOffersRequest) -> ListOffersResponse;
    }
    FleetServiceClient {
        list_replicas(ListReplicasRequest) -> ListReplicasResponse;
        accept_history(AcceptHistoryRequest) -> AcceptHistoryResponse;
    }
    AuditServiceClient {
        list_records(ListRecordsRequest) -> ListRecordsResponse;
        get_checkpoint(GetCheckpointRequest) -> GetCheckpointResponse;
        get_inclusion_proof(GetInclusionProofRequest) -> GetInclusionProofResponse;
        get_consistency_proof(GetConsistencyProofRequest) -> GetConsistencyProofResponse;
        replay_decision(ReplayDecisionRequest) -> ReplayDecisionResponse;
        list_exposures(ListExposuresRequest) -> ListExposuresResponse;
    }
    MailingServiceClient {
        propose_mailing(ProposeMailingRequest) -> ProposeMailingResponse;
        get_mailing(GetMailingRequest) -> GetMailingResponse;
        begin_mailing(BeginMailingRequest) -> BeginMailingResponse;
    }
    SuspensionServiceClient {
        create_suspension(CreateSuspensionRequest) -> CreateSuspensionResponse;
        approve_change(ApproveChangeRequest) -> ApproveChangeResponse;
        reject_change(RejectChangeRequest) -> RejectChangeResponse;
        edit_change(EditChangeRequest) -> EditChangeResponse;
        emergency_suspend(EmergencySuspendRequest) -> EmergencySuspendResponse;
        ratify_change(RatifyChangeRequest) -> RatifyChangeResponse;
        get_change(GetChangeRequest) -> GetChangeResponse;
        list_changes(ListChangesRequest) -> ListChangesResponse;
        history_of_suspension(HistoryOfSuspensionRequest) -> HistoryOfSuspensionResponse;
        amend_suspension(AmendSuspensionRequest) -> AmendSuspensionResponse;
        lift_suspension(LiftSuspensionRequest) -> LiftSuspensionResponse;
        create_exemption(CreateExemptionRequest) -> CreateExemptionResponse;
        get_suspension(GetSuspensionRequest) -> GetSuspensionResponse;
        list_suspensions(ListSuspensionsRequest) -> ListSuspensionsResponse;
        preview_change(PreviewChangeRequest) -> PreviewChangeResponse;
    }
}
