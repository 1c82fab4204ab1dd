//! A real OTLP receiver, in this process, is sent what a server under the layer produces.

use crate::server::Server;
use crate::telemetry::receiver::Receiver;
use offergate::telemetry::{LogFormat, RulesSeen, Telemetry, TelemetrySettings};
use offergate::wire::proto;
use offergate::wire::proto::eligibility_service_client::EligibilityServiceClient;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value};
use prost::Message as _;
use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::service::interceptor::InterceptorLayer;
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use tracing_subscriber::fmt::writer::BoxMakeWriter;

mod receiver;
mod variables;

const CUSTOMER: &str = "cust-0012345678";
const METHOD: &str = "grpc.health.v1.Health/Check";
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";

/// Log lines, kept.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Lines {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

fn settings(lines: &Lines, variables: Vec<(&'static str, String)>) -> TelemetrySettings {
    let lines = lines.clone();
    TelemetrySettings {
        log_format: LogFormat::Auto,
        environment: Box::new(move |name| {
            let found = variables.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| value.clone())
        }),
        log_to: Some((BoxMakeWriter::new(move || lines.clone()), false)),
        ..TelemetrySettings::default()
    }
}

/// Serves one call that carries a customer's id in its body and in a header, and that is refused.
async fn call_once(telemetry: &Telemetry) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (_, health) = tonic_health::server::health_reporter();
    let server = tonic::transport::Server::builder()
        .layer(telemetry.rpc_layer(&[METHOD]))
        .layer(InterceptorLayer::new(|request: tonic::Request<()>| {
            tracing::info!(target: "offergate::test", offers = 3, "Looked at the request");
            Ok(request)
        }))
        .add_service(health)
        .serve_with_incoming(TcpListenerStream::new(listener));
    let server = tokio::spawn(server);
    let channel = tonic::transport::Endpoint::from_shared(format!("http://{address}")).unwrap();
    let mut client = HealthClient::new(channel.connect().await.unwrap());
    let mut request = tonic::Request::new(HealthCheckRequest { service: CUSTOMER.to_owned() });
    let headers = request.metadata_mut();
    headers.insert("traceparent", format!("00-{TRACE}-{PARENT}-01").parse().unwrap());
    headers.insert("x-customer", CUSTOMER.parse().unwrap());
    let refused = client.check(request).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::NotFound);
    server.abort();
    let _ = server.await;
}

fn text(attributes: &[KeyValue], key: &str) -> Option<String> {
    let found = attributes.iter().find(|attribute| attribute.key == key)?;
    match found.value.as_ref()?.value.as_ref()? {
        Value::StringValue(text) => Some(text.clone()),
        other => Some(format!("{other:?}")),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test]
async fn spans_metrics_and_logs_reach_a_collector_and_none_names_the_customer() {
    let receiver = Receiver::start().await;
    let lines = Lines::default();
    let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.endpoint());
    let (telemetry, dispatch, warnings) =
        Telemetry::build(settings(&lines, vec![endpoint])).unwrap();
    assert_eq!(warnings, Vec::<String>::new());
    {
        let _installed = tracing::dispatcher::set_default(&dispatch);
        let decisions = telemetry.decisions(&["ELIGIBLE", "INELIGIBLE"], &["VENDOR_SUSPENDED"]);
        decisions.record(1, 0);
        call_once(&telemetry).await;
    }
    // Flushing waits for the receiver, which runs on this test's own thread.
    tokio::task::spawn_blocking(move || telemetry.shutdown()).await.unwrap();
    let received = receiver.take();

    let span = received
        .traces
        .iter()
        .flat_map(|request| &request.resource_spans)
        .flat_map(|resource| &resource.scope_spans)
        .flat_map(|scope| &scope.spans)
        .find(|span| span.name == METHOD)
        .expect("the call's span");
    assert_eq!((hex(&span.trace_id), hex(&span.parent_span_id)), (TRACE.into(), PARENT.into()));
    assert_eq!(text(&span.attributes, "rpc.system.name").as_deref(), Some("grpc"));
    assert_eq!(text(&span.attributes, "rpc.method").as_deref(), Some(METHOD));
    assert_eq!(text(&span.attributes, "rpc.response.status_code").as_deref(), Some("NOT_FOUND"));
    assert_eq!(text(&span.attributes, "error.type"), None, "the caller's mistake, not ours");

    let metrics: Vec<&str> = received
        .metrics
        .iter()
        .flat_map(|request| &request.resource_metrics)
        .flat_map(|resource| &resource.scope_metrics)
        .flat_map(|scope| &scope.metrics)
        .map(|metric| metric.name.as_str())
        .collect();
    for name in ["offergate.decisions", "rpc.server.call.duration", "offergate.build.info"] {
        assert!(metrics.contains(&name), "{name} is missing in {metrics:?}");
    }

    let record = received
        .logs
        .iter()
        .flat_map(|request| &request.resource_logs)
        .flat_map(|resource| &resource.scope_logs)
        .flat_map(|scope| &scope.log_records)
        .find(|record| format!("{:?}", record.body).contains("Looked at the request"))
        .expect("the log record");
    assert_eq!(hex(&record.trace_id), TRACE);
    assert_eq!(record.span_id, span.span_id);

    let line: serde_json::Value =
        serde_json::from_str(lines.text().lines().next().unwrap()).unwrap();
    assert_eq!(line["message"], "Looked at the request");
    assert_eq!((&line["trace_id"], &line["offers"]), (&TRACE.into(), &3.into()));
    assert_eq!(line["span_id"], hex(&span.span_id));

    let mut everything = lines.text().into_bytes();
    received.traces.iter().for_each(|sent| everything.extend(sent.encode_to_vec()));
    received.metrics.iter().for_each(|sent| everything.extend(sent.encode_to_vec()));
    received.logs.iter().for_each(|sent| everything.extend(sent.encode_to_vec()));
    let needle = CUSTOMER.as_bytes();
    assert!(!everything.windows(needle.len()).any(|window| window == needle));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_server_exports_what_it_decided_and_never_for_whom() {
    const CHECK: &str = "offergate.v1.EligibilityService/CheckEligibility";
    let receiver = Receiver::start().await;
    let endpoint = receiver.endpoint();
    let start = move || Server::exporting_to(&endpoint);
    let mut server = tokio::task::spawn_blocking(start).await.unwrap();
    let channel = tonic::transport::Endpoint::from_shared(server.address.clone()).unwrap();
    let mut client = EligibilityServiceClient::new(channel.connect().await.unwrap());
    let mut request = tonic::Request::new(proto::CheckEligibilityRequest {
        customer: Some(proto::Customer {
            id: CUSTOMER.to_owned(),
            country: Some("GB".to_owned()),
            ..<_>::default()
        }),
        offer: "kis-12m".to_owned(),
        action: proto::Action::Use.into(),
        ..<_>::default()
    });
    let parent = format!("00-{TRACE}-{PARENT}-01").parse().unwrap();
    request.metadata_mut().insert("traceparent", parent);
    client.check_eligibility(request).await.unwrap();
    drop(client);
    // A server that is told to stop sends what it has gathered first.
    server.signal("TERM");
    let ended = tokio::task::spawn_blocking(move || server.wait()).await.unwrap();
    assert!(ended.success());

    let received = receiver.take();
    let spans = received.traces.iter().flat_map(|request| &request.resource_spans);
    let mut spans = spans.flat_map(|it| &it.scope_spans).flat_map(|it| &it.spans);
    let span = spans.find(|span| span.name == CHECK).expect("the call's span");
    assert_eq!((hex(&span.trace_id), hex(&span.parent_span_id)), (TRACE.into(), PARENT.into()));
    let mut everything = Vec::new();
    received.traces.iter().for_each(|sent| everything.extend(sent.encode_to_vec()));
    received.metrics.iter().for_each(|sent| everything.extend(sent.encode_to_vec()));
    received.logs.iter().for_each(|sent| everything.extend(sent.encode_to_vec()));
    let holds =
        |needle: &str| everything.windows(needle.len()).any(|window| window == needle.as_bytes());
    assert!(holds("offergate.decisions") && holds("RULES_UNAVAILABLE"));
    assert!(!holds(CUSTOMER));
}

#[tokio::test]
async fn with_nothing_configured_metrics_can_be_scraped_and_nothing_is_sent() {
    let receiver = Receiver::start().await;
    let lines = Lines::default();
    let off = vec![
        ("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.endpoint()),
        ("OTEL_SDK_DISABLED", "true".to_owned()),
    ];
    let (telemetry, dispatch, _) = Telemetry::build(settings(&lines, off)).unwrap();
    let decisions = telemetry.decisions(&["ELIGIBLE", "INELIGIBLE"], &["A", "VENDOR_SUSPENDED"]);
    decisions.record(1, 1);
    decisions.record(1, 1);
    telemetry.observe_rules(|| {
        let age = Duration::from_millis(250);
        Some(RulesSeen {
            revision: 7,
            age: Some(age),
            counts: vec![("suspension", 3)],
            unratified: (2, 1),
        })
    });
    {
        let _installed = tracing::dispatcher::set_default(&dispatch);
        call_once(&telemetry).await;
    }
    let page = telemetry.encode().unwrap();
    let value = |start: &str| {
        let mut lines = page.lines().filter(|line| !line.starts_with('#'));
        let line = lines.find(|line| line.starts_with(start));
        line.and_then(|line| line.rsplit(' ').next()).map(str::to_owned)
    };
    let counted = r#"offergate_decisions_total{outcome="INELIGIBLE",reason="VENDOR_SUSPENDED""#;
    assert_eq!(value(counted).as_deref(), Some("2"), "{page}");
    assert_eq!(value("offergate_rules_revision").as_deref(), Some("7"), "{page}");
    assert_eq!(value("offergate_rules_age_seconds").as_deref(), Some("0.25"), "{page}");
    assert_eq!(value(r#"offergate_rules{kind="suspension""#).as_deref(), Some("3"), "{page}");
    assert_eq!(value("offergate_build_info").as_deref(), Some("1"), "{page}");
    assert_eq!(value("rpc_server_call_duration_seconds_count").as_deref(), Some("1"), "{page}");
    assert!(page.contains(&format!("rpc_method=\"{METHOD}\"")), "{page}");
    assert!(page.contains("rpc_response_status_code=\"NOT_FOUND\""), "{page}");
    let described = |line: &&str| line.starts_with("# HELP") && line.split(' ').count() < 4;
    assert_eq!(page.lines().find(described), None, "a metric without a description");
    tokio::task::spawn_blocking(move || telemetry.shutdown()).await.unwrap();
    let received = receiver.take();
    assert_eq!(received.traces.len() + received.metrics.len() + received.logs.len(), 0);
}

#[test]
fn a_log_filter_that_does_not_read_is_refused() {
    let lines = Lines::default();
    let bad = settings(&lines, vec![("RUST_LOG", "offergate=loud".to_owned())]);
    let refused = Telemetry::build(bad).unwrap_err().to_string();
    assert!(refused.starts_with("RUST_LOG is not a log filter"), "{refused}");
}
