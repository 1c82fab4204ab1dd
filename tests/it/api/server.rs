//! A server in the test's own process, with a clock that the test sets.

use crate::two_people::TwoPeople as _;
use offergate::client::{Client, ClientError};
use offergate::clock::Clock;
use offergate::domain::{Lineage, Timestamp};
use offergate::grpc::{
    Door, LimitSettings, Limits, RateSettings, Switch, listeners, routes, serve,
};
use offergate::identity::Gate;
use offergate::service::Service;
use offergate::store::RuleStore;
use offergate::store::memory::MemoryStore;
use offergate::telemetry::{Telemetry, TelemetrySettings};
use offergate::wire::proto;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Rules close to the Barclays case.
pub(super) const RULES: &str = r#"
vendors:
  kaspersky-labs-ltd: {name: Kaspersky Labs Limited, country: GB, aliases: [Kaspersky]}
  ao-kaspersky-lab: {name: AO Kaspersky Lab, country: RU, parent: kaspersky-labs-ltd}
  other: {name: Other Security}
products:
  kis: {name: Kaspersky Internet Security, class: ANTIVIRUS, vendors: [ao-kaspersky-lab], components: []}
  oss: {name: Other Suite, class: ANTIVIRUS, vendors: [other], components: []}
offers:
  kis-12m: {product: kis, title: 12 months free, unit: PERSON, requires: [online_banking], countries: [GB, IE], alternates: [oss-12m]}
  oss-12m: {product: oss, title: 12 other months, unit: PERSON}
advisories:
  ncsc-2017-12-01: {issuer: NCSC, force: GUIDANCE, issued: 2017-12-01, url: "https://example.org/ncsc"}
suspensions:
  barclays-2017: {target: {vendor: kaspersky-labs-ltd}, reach: GROUP, components: INCLUDE,
    actions: [OFFER, ACTIVATE, REACTIVATE, RENEW], countries: [GB], from: "2017-12-02T00:00:00Z",
    advisories: [ncsc-2017-12-01], ticket: CHG-1001, reason: Precautionary decision,
    customer_message: "This software isn't available at the moment."}
"#;

/// A clock that stands where the test puts it.
pub(super) struct SetClock(Mutex<Timestamp>);

impl SetClock {
    pub(super) fn set(&self, text: &str) {
        *self.0.lock().unwrap() = text.parse().unwrap();
    }
}

impl Clock for SetClock {
    fn wall(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }

    fn boot(&self) -> Duration {
        Duration::ZERO
    }
}

/// More than a test needs that is not about limits.
pub(super) const LIMITS: LimitSettings = LimitSettings {
    check_timeout: Duration::from_secs(1),
    admin_timeout: Duration::from_secs(10),
    checks: 1024,
    streams: 1024,
    connections: 1024,
    connections_per_peer: 1024,
    connection_age: Duration::from_secs(3600),
    rates: RateSettings { process: None, caller: None },
};

/// A running server and a client of it.
pub(super) struct Server {
    pub(super) client: Client,
    pub(super) address: String,
    pub(super) clock: Arc<SetClock>,
    pub(super) switch: Switch,
    telemetry: Telemetry,
}

impl Server {
    /// Without any rules yet, at noon of 5 December 2017.
    pub(super) async fn empty() -> Self {
        Self::over(Arc::new(memory())).await
    }

    /// The same, over a store of the test's own.
    pub(super) async fn over(store: Arc<dyn RuleStore>) -> Self {
        Self::serving(store, "2017-12-05T12:00:00Z", LIMITS, Gate::open()).await
    }

    /// Without any rules, and with a gate of the test's own.
    pub(super) async fn behind(gate: Gate) -> Self {
        Self::serving(Arc::new(memory()), "2017-12-05T12:00:00Z", LIMITS, gate).await
    }

    /// The same, at another time.
    pub(super) async fn over_at(store: Arc<dyn RuleStore>, now: &str) -> Self {
        Self::serving(store, now, LIMITS, Gate::open()).await
    }

    /// The same, within limits of the test's own.
    pub(super) async fn within(store: Arc<dyn RuleStore>, limits: LimitSettings) -> Self {
        Self::serving(store, "2017-12-05T12:00:00Z", limits, Gate::open()).await
    }

    /// All of it the test's own.
    pub(super) async fn serving(
        store: Arc<dyn RuleStore>,
        now: &str,
        limits: LimitSettings,
        gate: Gate,
    ) -> Self {
        let clock = Arc::new(SetClock(Mutex::new(now.parse().unwrap())));
        let limit = Service::STALENESS_LIMIT;
        let service = Service::start(store, Arc::clone(&clock) as _, limit, None).await.unwrap();
        tokio::spawn(Arc::clone(&service).mend());
        let switch = Switch::on();
        let listener = listeners("127.0.0.1:0".parse().unwrap(), 1).unwrap().remove(0);
        let address = listener.local_addr().unwrap().to_string();
        let routes = routes(&service, &switch, true, None).unwrap();
        let settings =
            TelemetrySettings { environment: Box::new(|_| None), ..TelemetrySettings::default() };
        let (telemetry, _, _) = Telemetry::build(settings).unwrap();
        let limits = Limits::new(limits, telemetry.incidents());
        let layer = telemetry.rpc_layer(offergate::grpc::METHODS);
        let door = Door::new(Arc::new(gate), None, telemetry.incidents());
        let stop = std::future::pending();
        let serving = serve(listener, routes, door, limits, layer, stop);
        tokio::spawn(async move { serving.await.unwrap() });
        let client = Client::connect(&address, Duration::from_secs(10)).await.unwrap();
        Self { client, address, clock, switch, telemetry }
    }

    /// With [`RULES`] proposed as revision 1 and in force as revision 2.
    pub(super) async fn start() -> Self {
        Self::start_over(Arc::new(memory())).await
    }

    /// The same, over a store of the test's own.
    pub(super) async fn start_over(store: Arc<dyn RuleStore>) -> Self {
        let server = Self::over(store).await;
        let applied = server.client.apply_rules_by_two(apply(RULES, 0, "first")).await.unwrap();
        assert_eq!(applied.revision.unwrap().number, 2);
        server
    }

    /// A metric's value, by its name and the one label that tells it apart, if it needs one.
    pub(super) fn metric(&self, name: &str, label: &str) -> String {
        let page = self.telemetry.encode().unwrap();
        let is_it = |line: &&str| line.starts_with(&format!("{name}{{")) && line.contains(label);
        let line = page.lines().find(is_it).unwrap_or_else(|| panic!("no {name} in {page}"));
        line.rsplit(' ').next().unwrap().to_owned()
    }

    pub(super) async fn check(
        &self,
        request: proto::CheckEligibilityRequest,
    ) -> Result<proto::Decision, ClientError> {
        self.client.check_eligibility(request).await.map(|answer| answer.decision.unwrap())
    }
}

/// A new store that forgets.
pub(super) fn memory() -> MemoryStore {
    MemoryStore::new(Lineage::parse(&"0123456789abcdef".repeat(2)).unwrap())
}

pub(super) fn document(yaml: &str) -> proto::RuleDocument {
    proto::RuleDocument { yaml: yaml.to_owned(), name: "rules.yaml".to_owned() }
}

pub(super) fn apply(yaml: &str, expected: u64, request_id: &str) -> proto::ApplyRulesRequest {
    proto::ApplyRulesRequest {
        document: Some(document(yaml)),
        expected_revision: Some(expected),
        request_id: request_id.to_owned(),
        author: "ann".to_owned(),
        reason: "First rules".to_owned(),
        ticket: "CHG-1".to_owned(),
        validate_only: false,
    }
}

/// A new customer in Great Britain who is about to be offered the product.
pub(super) fn check() -> proto::CheckEligibilityRequest {
    proto::CheckEligibilityRequest {
        customer: Some(customer()),
        offer: "kis-12m".to_owned(),
        action: proto::Action::Offer.into(),
        ..<_>::default()
    }
}

pub(super) fn customer() -> proto::Customer {
    proto::Customer {
        id: "c-1".to_owned(),
        country: Some("GB".to_owned()),
        segment: Some("RETAIL".to_owned()),
        holding: Some(holding(proto::HoldingStatus::None)),
        attributes: [(
            "online_banking".to_owned(),
            prost_types::Value { kind: Some(prost_types::value::Kind::BoolValue(true)) },
        )]
        .into(),
        ..<_>::default()
    }
}

pub(super) fn holding(status: proto::HoldingStatus) -> proto::Holding {
    proto::Holding { status: status.into(), ..<_>::default() }
}

/// A suspension of the other product, from now on, for everybody.
pub(super) fn suspension(id: &str) -> proto::Suspension {
    proto::Suspension {
        id: id.to_owned(),
        target: Some(proto::Target {
            target: Some(proto::target::Target::Product("oss".to_owned())),
        }),
        scope: Some(proto::Scope { actions: vec![proto::Action::Offer.into()], ..<_>::default() }),
        ticket: "CHG-2".to_owned(),
        reason: "Found wanting".to_owned(),
        ..<_>::default()
    }
}

pub(super) fn create(
    suspension: proto::Suspension,
    request_id: &str,
) -> proto::CreateSuspensionRequest {
    proto::CreateSuspensionRequest {
        suspension: Some(suspension),
        request_id: request_id.to_owned(),
        author: "ann".to_owned(),
        ..<_>::default()
    }
}

pub(super) fn lift(id: &str, request_id: &str) -> proto::LiftSuspensionRequest {
    proto::LiftSuspensionRequest {
        id: id.to_owned(),
        request_id: request_id.to_owned(),
        author: "bob".to_owned(),
        reason: "Mended".to_owned(),
        ticket: "CHG-3".to_owned(),
        ..<_>::default()
    }
}

/// The reasons of a decision, as people write them.
pub(super) fn reasons(decision: &proto::Decision) -> Vec<String> {
    let write = |reason: &proto::Reason| {
        let code = reason.code().as_str_name().trim_start_matches("REASON_CODE_").to_owned();
        if reason.attribute.is_empty() { code } else { format!("{code}:{}", reason.attribute) }
    };
    decision.reasons.iter().map(write).collect()
}

/// The paths of the fields that an error complains about.
pub(super) fn paths(error: &ClientError) -> Vec<&str> {
    error.fields.iter().map(|(path, _)| path.as_str()).collect()
}
