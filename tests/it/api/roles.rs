//! Who may call what, tried out: every method of the descriptors with every role, with none, and with no
//! proof at all.

use super::server::Server;
use crate::server::LIMIT;
use offergate::client::{Client, Credentials};
use offergate::clock::SystemClock;
use offergate::domain::{Principal, PrincipalId, PrincipalKind, Role, Roles};
use offergate::identity::{Gate, Tokens};
use offergate::wire::proto;
use prost::Message;
use std::collections::BTreeMap;
use std::sync::Arc;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};
use tonic_types::StatusExt;

/// What people were told that each method takes; written down once more here, so that a slip in the
/// server's own table shows.
const TAKES: &str = "
    EligibilityService/CheckEligibility       caller
    EligibilityService/BatchCheckEligibility  caller
    EligibilityService/StreamEligibility      caller
    EligibilityService/ListEligibleOffers     caller
    EligibilityService/ExplainEligibility     reader caller auditor
    RuleService/PlanRules                     reader maker
    RuleService/ApplyRules                    maker
    RuleService/ExportRules                   reader auditor
    RuleService/GetRevision                   reader auditor
    RuleService/ListRevisions                 reader auditor
    RuleService/WatchRevisions                reader auditor
    CatalogService/Search                     reader
    CatalogService/GetVendor                  reader
    CatalogService/GetProduct                 reader
    CatalogService/GetOffer                   reader
    CatalogService/ListOffers                 reader
    SuspensionService/CreateSuspension        maker
    SuspensionService/AmendSuspension         maker
    SuspensionService/LiftSuspension          maker
    SuspensionService/CreateExemption         maker
    SuspensionService/GetSuspension           reader auditor
    SuspensionService/ListSuspensions         reader auditor
    SuspensionService/PreviewChange           reader maker checker break-glass
    SuspensionService/ApproveChange           checker
    SuspensionService/RejectChange            maker checker
    SuspensionService/EditChange              maker
    SuspensionService/EmergencySuspend        break-glass
    SuspensionService/RatifyChange            checker
    SuspensionService/GetChange               reader maker checker auditor
    SuspensionService/ListChanges             reader maker checker auditor
    SuspensionService/HistoryOfSuspension     reader auditor
    FleetService/ListReplicas                 reader operator
    FleetService/AwaitEnforcement             reader maker checker break-glass operator
    FleetService/AcceptHistory                operator
    AuditService/ListRecords                  auditor
    AuditService/GetCheckpoint                auditor
    AuditService/GetInclusionProof            auditor
    AuditService/GetConsistencyProof          auditor
    AuditService/ReplayDecision               auditor
    AuditService/ListExposures                auditor
    MailingService/ProposeMailing             maker
    MailingService/GetMailing                 reader caller maker checker auditor
    MailingService/BeginMailing               caller
    PermitService/HoldPermit                  caller";

fn takes() -> BTreeMap<String, Vec<&'static str>> {
    let rows = TAKES.lines().filter(|line| !line.trim().is_empty()).map(|line| {
        let mut words = line.split_whitespace();
        (format!("offergate.v1.{}", words.next().unwrap()), words.collect())
    });
    rows.collect()
}

/// Every method that the protos have.
fn methods() -> Vec<String> {
    let files = prost_types::FileDescriptorSet::decode(proto::DESCRIPTORS).unwrap().file;
    let services = files.iter().filter(|file| file.package() == "offergate.v1");
    let services = services.flat_map(|file| &file.service);
    let methods = services.flat_map(|service| {
        let name = |method: &prost_types::MethodDescriptorProto| {
            format!("offergate.v1.{}/{}", service.name(), method.name())
        };
        service.method.iter().map(name).collect::<Vec<_>>()
    });
    methods.collect()
}

fn person(name: &str, roles: Roles) -> (String, Arc<Principal>) {
    let id = PrincipalId { issuer: "test".into(), subject: name.into() };
    let kind = PrincipalKind::Person;
    let principal = Principal { id, name: name.into(), kind, owner: None, roles, lacks: None };
    (name.to_owned(), Arc::new(principal))
}

/// A gate that knows a person for each role, whose token is its name, and one without any.
fn gate(anonymous: Roles) -> Gate {
    let of_role = |role: Role| person(role.name(), Roles::NONE.and(role));
    let people = Role::ALL.into_iter().map(of_role).chain([person("nobody", Roles::NONE)]);
    let tokens = Tokens::Demo(people.collect());
    Gate::new(anonymous, tokens, None, "", Arc::new(SystemClock)).unwrap()
}

/// Calls a method with an empty message, and says how that ended, as far as it ended at once.
async fn call(channel: &Channel, method: &str, header: Option<&str>) -> Result<(), Status> {
    let mut grpc = tonic::client::Grpc::new(channel.clone());
    grpc.ready().await.unwrap();
    let mut request = Request::new(());
    if let Some(header) = header {
        request.metadata_mut().insert("authorization", header.parse().unwrap());
    }
    let path = format!("/{method}").parse().unwrap();
    let codec = tonic_prost::ProstCodec::<(), ()>::default();
    grpc.server_streaming(request, path, codec).await.map(drop)
}

async fn channel(server: &Server) -> Channel {
    Endpoint::from_shared(format!("http://{}", server.address)).unwrap().connect().await.unwrap()
}

fn reason(status: &Status) -> String {
    status.get_error_details().error_info().map(|info| info.reason.clone()).unwrap_or_default()
}

#[tokio::test]
async fn each_method_is_open_to_its_roles_and_closed_to_everybody_else() {
    let server = Server::behind(gate(Roles::NONE)).await;
    let channel = channel(&server).await;
    let takes = takes();
    assert_eq!(methods().len(), takes.len(), "a method without a row, or a row without a method");
    for method in methods() {
        let roles = takes.get(&method).unwrap_or_else(|| panic!("no row for {method}"));
        for role in Role::ALL.map(Role::name).into_iter().chain(["nobody"]) {
            let ended = call(&channel, &method, Some(&format!("Bearer {role}"))).await;
            let refused = ended.err().filter(|it| it.code() == Code::PermissionDenied);
            assert_eq!(refused.is_none(), roles.contains(&role), "{role} calls {method}");
            let Some(refused) = refused else { continue };
            let info = refused.get_error_details().error_info().unwrap().clone();
            assert_eq!(
                (info.reason.as_str(), info.domain.as_str()),
                ("NOT_AUTHORISED", "offergate")
            );
            assert_eq!(info.metadata["role"], roles.join(" or "), "{method}");
            assert_eq!(info.metadata["method"], method);
        }
        for header in [None, Some("Bearer stranger"), Some("Basic cmVhZGVyOg=="), Some("Bearer ")] {
            let refused = call(&channel, &method, header).await.unwrap_err();
            assert_eq!(refused.code(), Code::Unauthenticated, "{method}, {header:?}");
            assert_eq!(reason(&refused), "UNAUTHENTICATED");
            assert!(!refused.message().contains("stranger"), "{}", refused.message());
        }
    }
    assert_ne!(server.metric("offergate_not_admitted_total", "reason=\"role\""), "0");
}

#[tokio::test]
async fn whoever_is_refused_a_change_for_want_of_a_role_is_written_down_and_a_read_is_not() {
    let server = Server::behind(gate(Roles::NONE)).await;
    let channel = channel(&server).await;
    for (method, role) in [
        ("offergate.v1.RuleService/ExportRules", "caller"),
        ("offergate.v1.SuspensionService/ApproveChange", "maker"),
    ] {
        let refused = call(&channel, method, Some(&format!("Bearer {role}"))).await.unwrap_err();
        assert_eq!(refused.code(), Code::PermissionDenied);
    }
    let auditor = Credentials { token: Some("auditor".into()), ..Credentials::default() };
    let auditor = Client::connect_as(&server.address, LIMIT, auditor).await.unwrap();
    let recorded = async {
        loop {
            let records = auditor.list_records(<_>::default()).await.unwrap().records;
            match records.is_empty() {
                true => tokio::task::yield_now().await,
                false => return records,
            }
        }
    };
    let records = tokio::time::timeout(LIMIT, recorded).await.expect("it is recorded");
    assert_eq!(records.len(), 1);
    let entry = &records[0].entry;
    for part in ["NOT_AUTHORISED", "SuspensionService/ApproveChange", "\"maker\"", "127.0.0.1"] {
        assert!(entry.contains(part), "{part}: {entry}");
    }
}

#[tokio::test]
async fn health_is_open_to_probes_and_what_is_not_served_is_closed() {
    let server = Server::behind(gate(Roles::NONE)).await;
    let channel = channel(&server).await;
    assert!(call(&channel, "grpc.health.v1.Health/Watch", None).await.is_ok());
    for method in ["offergate.v1.RuleService/DropRules", "offergate.v2.RuleService/ApplyRules"] {
        let refused = call(&channel, method, Some("Bearer maker")).await.unwrap_err();
        assert_eq!(refused.code(), Code::Unimplemented, "{method}");
    }
}

#[tokio::test]
async fn whoever_proves_nothing_may_do_what_the_settings_say_and_a_bad_proof_is_worse_than_none() {
    let server = Server::behind(gate(Roles::NONE.and(Role::Caller))).await;
    let channel = channel(&server).await;
    for (method, open) in [
        ("offergate.v1.EligibilityService/CheckEligibility", true),
        ("offergate.v1.EligibilityService/BatchCheckEligibility", true),
        ("offergate.v1.RuleService/ExportRules", false),
        ("offergate.v1.SuspensionService/CreateSuspension", false),
    ] {
        let ended = call(&channel, method, None).await;
        let refused = ended.err().filter(|it| it.code() == Code::Unauthenticated);
        assert_eq!(refused.is_none(), open, "{method}");
        let known = call(&channel, method, Some("Bearer operator")).await;
        let refused = known.err().filter(|it| it.code() == Code::PermissionDenied);
        assert_eq!(refused.is_none(), open, "{method}, by somebody whose roles say less");
        let bad = call(&channel, method, Some("Bearer stranger")).await.unwrap_err();
        assert_eq!(bad.code(), Code::Unauthenticated, "{method}");
    }
}
