//! What is served: all services of `offergate.v1`, health, and reflection.

use super::front::Front;
use super::health::{HealthOf, Switch};
use super::sizes::{EligibilityBySize, MOST_ADMIN, MOST_ANSWER, MOST_DOCUMENT, MOST_RECORDS};
use crate::service::Service;
use crate::wire::proto;
use proto::audit_service_server::AuditServiceServer;
use proto::catalog_service_server::CatalogServiceServer;
use proto::fleet_service_server::FleetServiceServer;
use proto::mailing_service_server::MailingServiceServer;
use proto::permit_service_server::PermitServiceServer;
use proto::rule_service_server::RuleServiceServer;
use proto::suspension_service_server::SuspensionServiceServer;
use std::sync::Arc;
use tokio::runtime::Handle;
use tonic::service::Routes;
use tonic_health::pb::health_server::HealthServer;

/// All services of ours, in one: they share the use cases and nothing else.
#[derive(Debug, Clone)]
pub(super) struct Api {
    pub(super) service: Arc<Service>,
    pub(super) switch: Switch,
}

/// Every method that can be called, for metrics: a name outside this list is never a label.
pub const METHODS: &[&str] = &[
    "offergate.v1.EligibilityService/CheckEligibility",
    "offergate.v1.EligibilityService/BatchCheckEligibility",
    "offergate.v1.EligibilityService/StreamEligibility",
    "offergate.v1.EligibilityService/ListEligibleOffers",
    "offergate.v1.EligibilityService/ExplainEligibility",
    "offergate.v1.RuleService/PlanRules",
    "offergate.v1.RuleService/ApplyRules",
    "offergate.v1.RuleService/ExportRules",
    "offergate.v1.RuleService/GetRevision",
    "offergate.v1.RuleService/ListRevisions",
    "offergate.v1.RuleService/WatchRevisions",
    "offergate.v1.CatalogService/Search",
    "offergate.v1.CatalogService/GetVendor",
    "offergate.v1.CatalogService/GetProduct",
    "offergate.v1.CatalogService/GetOffer",
    "offergate.v1.CatalogService/ListOffers",
    "offergate.v1.SuspensionService/CreateSuspension",
    "offergate.v1.SuspensionService/AmendSuspension",
    "offergate.v1.SuspensionService/LiftSuspension",
    "offergate.v1.SuspensionService/CreateExemption",
    "offergate.v1.SuspensionService/GetSuspension",
    "offergate.v1.SuspensionService/ListSuspensions",
    "offergate.v1.SuspensionService/PreviewChange",
    "offergate.v1.SuspensionService/ApproveChange",
    "offergate.v1.SuspensionService/RejectChange",
    "offergate.v1.SuspensionService/EditChange",
    "offergate.v1.SuspensionService/EmergencySuspend",
    "offergate.v1.SuspensionService/RatifyChange",
    "offergate.v1.SuspensionService/GetChange",
    "offergate.v1.SuspensionService/ListChanges",
    "offergate.v1.SuspensionService/HistoryOfSuspension",
    "offergate.v1.FleetService/ListReplicas",
    "offergate.v1.FleetService/AwaitEnforcement",
    "offergate.v1.FleetService/AcceptHistory",
    "offergate.v1.AuditService/ListRecords",
    "offergate.v1.AuditService/GetCheckpoint",
    "offergate.v1.AuditService/GetInclusionProof",
    "offergate.v1.AuditService/GetConsistencyProof",
    "offergate.v1.AuditService/ReplayDecision",
    "offergate.v1.AuditService/ListExposures",
    "offergate.v1.MailingService/ProposeMailing",
    "offergate.v1.MailingService/GetMailing",
    "offergate.v1.MailingService/BeginMailing",
    "offergate.v1.PermitService/HoldPermit",
    "grpc.health.v1.Health/Check",
    "grpc.health.v1.Health/Watch",
    "grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    "grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
];

/// The services. Turning `switch` off makes health say so; `reflection` lets clients ask for the
/// protos, in both versions of that protocol. What people and replicas ask for runs on `admin`, if that
/// is given, so that no load of checks can hold it up.
///
/// # Errors
/// When the descriptors do not read, which is a bug in the build.
pub fn routes(
    service: &Arc<Service>,
    switch: &Switch,
    reflection: bool,
    admin: Option<Handle>,
) -> Result<Front, tonic_reflection::server::Error> {
    let api = Api { service: Arc::clone(service), switch: switch.clone() };
    let rules = RuleServiceServer::new(api.clone())
        .max_decoding_message_size(MOST_DOCUMENT)
        .max_encoding_message_size(MOST_DOCUMENT);
    let catalog = CatalogServiceServer::new(api.clone())
        .max_decoding_message_size(MOST_ADMIN)
        .max_encoding_message_size(MOST_ANSWER);
    let suspensions = SuspensionServiceServer::new(api.clone())
        // A preview may carry a rule file.
        .max_decoding_message_size(MOST_DOCUMENT)
        .max_encoding_message_size(MOST_ANSWER);
    let fleet = FleetServiceServer::new(api.clone())
        .max_decoding_message_size(MOST_ADMIN)
        .max_encoding_message_size(MOST_ANSWER);
    let audit = AuditServiceServer::new(api.clone())
        .max_decoding_message_size(MOST_ADMIN)
        .max_encoding_message_size(MOST_RECORDS);
    let mailings = MailingServiceServer::new(api.clone())
        .max_decoding_message_size(MOST_ADMIN)
        .max_encoding_message_size(MOST_ANSWER);
    let permits = PermitServiceServer::new(api.clone())
        .max_decoding_message_size(MOST_ADMIN)
        .max_encoding_message_size(MOST_ANSWER);
    let health = HealthServer::new(HealthOf::new(Arc::clone(service), switch.clone()));
    let mut routes = Routes::new(EligibilityBySize::new(&api))
        .add_service(rules)
        .add_service(catalog)
        .add_service(suspensions)
        .add_service(fleet)
        .add_service(audit)
        .add_service(mailings)
        .add_service(permits)
        .add_service(health);
    if reflection {
        let builder = || {
            tonic_reflection::server::Builder::configure()
                .register_encoded_file_descriptor_set(proto::DESCRIPTORS)
                .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        };
        routes = routes.add_service(builder().build_v1()?).add_service(builder().build_v1alpha()?);
    }
    Ok(Front::new(api, routes.prepare(), admin))
}
