//! Checks a second: who asks for more is refused, is told why and when to ask again, and takes nothing from
//! anybody else.

use super::server::{LIMITS, Server, apply, check, create, memory, suspension};
use crate::two_people::TwoPeople as _;
use offergate::client::{Client, Credentials};
use offergate::clock::SystemClock;
use offergate::domain::{Principal, PrincipalId, PrincipalKind, Role, Roles};
use offergate::grpc::{LimitSettings, RateSettings};
use offergate::identity::{Gate, Quota, Tokens};
use offergate::wire::proto;
use proto::eligibility_service_client::EligibilityServiceClient;
use std::sync::Arc;
use std::time::Duration;
use tokio_stream::StreamExt;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};
use tonic_types::StatusExt;

/// So little that what is used up stays so for as long as a test runs.
const LITTLE: Quota = Quota { per_second: 1, burst: 200 };

/// More than a burst, at one a second.
fn batch() -> proto::BatchCheckEligibilityRequest {
    proto::BatchCheckEligibilityRequest { requests: vec![check(); 1000] }
}

async fn server(rates: RateSettings, gate: Gate) -> Server {
    let limits = LimitSettings { rates, ..LIMITS };
    Server::serving(Arc::new(memory()), "2017-12-05T12:00:00Z", limits, gate).await
}

async fn channel(server: &Server) -> EligibilityServiceClient<Channel> {
    EligibilityServiceClient::connect(format!("http://{}", server.address)).await.unwrap()
}

/// A refusal's reason, and when to ask again.
fn told(refused: &Status) -> (Code, String, Duration) {
    let details = refused.get_error_details();
    let reason = details.error_info().unwrap().reason.clone();
    (refused.code(), reason, details.retry_info().unwrap().retry_delay.unwrap())
}

#[tokio::test]
async fn a_caller_over_its_quota_is_refused_each_kind_of_check_and_told_when_to_ask_again() {
    let server = server(RateSettings { process: None, caller: Some(LITTLE) }, Gate::open()).await;
    let mut client = channel(&server).await;
    // It was let in, and owes the rest.
    let answered = client.batch_check_eligibility(batch()).await.unwrap().into_inner();
    assert_eq!(answered.results.len(), 1000);
    let refused = [
        client.check_eligibility(check()).await.unwrap_err(),
        client.batch_check_eligibility(batch()).await.unwrap_err(),
        client.list_eligible_offers(proto::ListEligibleOffersRequest::default()).await.unwrap_err(),
        client.explain_eligibility(proto::ExplainEligibilityRequest::default()).await.unwrap_err(),
    ];
    for status in &refused {
        let (code, reason, wait) = told(status);
        assert_eq!((code, reason.as_str()), (Code::ResourceExhausted, "QUOTA_EXCEEDED"));
        // A thousand at one a second, but for the burst.
        assert!((Duration::from_secs(700)..=Duration::from_secs(801)).contains(&wait), "{wait:?}");
    }
    let asked = proto::StreamEligibilityRequest { request: Some(check()), ..<_>::default() };
    let answers = client.stream_eligibility(tokio_stream::iter([asked.clone(), asked])).await;
    let answers: Vec<_> = answers.unwrap().into_inner().collect().await;
    assert_eq!(answers.len(), 2, "a stream goes on");
    for answer in answers {
        let Some(proto::eligibility_result::Result::Error(error)) =
            answer.unwrap().result.unwrap().result
        else {
            panic!("each of its checks is refused")
        };
        assert_eq!(error.reason, "QUOTA_EXCEEDED");
    }
    assert_eq!(server.metric("offergate_quota_exceeded_total", "caller=\"_OTHER\""), "6");
}

#[tokio::test]
async fn what_people_do_is_not_counted_with_the_checks() {
    let rates = RateSettings { process: Some(1), caller: Some(LITTLE) };
    let server = server(rates, Gate::open()).await;
    channel(&server).await.batch_check_eligibility(batch()).await.unwrap();
    let rules = apply(super::server::RULES, 0, "first");
    server.client.apply_rules_by_two(rules).await.unwrap();
    server.client.create_suspension_by_two(create(suspension("s"), "s")).await.unwrap();
    assert!(server.client.get_revision(<_>::default()).await.is_ok());
    assert!(server.client.is_serving("").await.unwrap());
    assert!(server.check(check()).await.is_err());
}

#[tokio::test]
async fn a_server_over_its_own_rate_refuses_everybody_and_says_that_it_is_too_busy() {
    let rates = RateSettings { process: Some(1), caller: None };
    let server = server(rates, Gate::open()).await;
    let mut client = channel(&server).await;
    client.batch_check_eligibility(batch()).await.unwrap();
    let (code, reason, wait) = told(&client.check_eligibility(check()).await.unwrap_err());
    assert_eq!((code, reason.as_str()), (Code::ResourceExhausted, "TOO_BUSY"));
    assert!(Duration::from_secs(900) < wait, "{wait:?}");
}

/// Two people, who may ask for decisions, and their tokens.
fn two_people() -> Gate {
    let person = |name: &str| {
        let person = Principal {
            id: PrincipalId { issuer: "https://id.example".into(), subject: name.into() },
            name: name.into(),
            kind: PrincipalKind::Person,
            owner: None,
            roles: [Role::Caller].into_iter().collect::<Roles>(),
            lacks: None,
        };
        (format!("token-of-{name}"), Arc::new(person))
    };
    let tokens = Tokens::Demo(vec![person("ann"), person("ben")]);
    Gate::new(Roles::NONE, tokens, None, "", Arc::new(SystemClock)).unwrap()
}

#[tokio::test]
async fn each_caller_has_a_quota_of_its_own_whatever_connection_it_comes_over() {
    let rates = RateSettings { process: None, caller: Some(LITTLE) };
    let server = server(rates, two_people()).await;
    let client = async |name: &str| {
        let token = Some(format!("token-of-{name}"));
        let credentials = Credentials { token, ..<_>::default() };
        Client::connect_as(&server.address, Duration::from_secs(10), credentials).await.unwrap()
    };
    client("ann").await.batch_check_eligibility(batch()).await.unwrap();
    let refused = client("ann").await.check_eligibility(check()).await.unwrap_err();
    assert_eq!(refused.reason.as_deref(), Some("QUOTA_EXCEEDED"));
    assert!(client("ben").await.check_eligibility(check()).await.is_ok());
    // A call over the same connection as another's is still its own caller's.
    let mut shared = channel(&server).await;
    let mut asks = async |name: &str| {
        let mut asked = Request::new(check());
        let token = format!("bearer token-of-{name}").parse().unwrap();
        asked.metadata_mut().insert("authorization", token);
        shared.check_eligibility(asked).await.map(drop).map_err(|refused| refused.code())
    };
    assert_eq!(asks("ann").await, Err(Code::ResourceExhausted));
    assert_eq!(asks("ben").await, Ok(()));
    assert_eq!(asks("eve").await, Err(Code::Unauthenticated), "who is nobody has no quota to use");
}
