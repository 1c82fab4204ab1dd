//! The standard `OTEL_*` variables, those that the SDK leaves to its user included: a real server finds
//! them in its environment, and a real receiver sees what comes of it.

use super::receiver::{Received, Receiver};
use super::{CUSTOMER, PARENT, TRACE, hex, text};
use crate::server::Server;
use offergate::wire::proto;
use offergate::wire::proto::eligibility_service_client::EligibilityServiceClient;
use opentelemetry_proto::tonic::trace::v1::Span;
use tempfile::TempDir;

/// What a server sends that is asked once, by a caller in a trace, and then told to stop.
async fn sent(variables: &'static [(&'static str, &'static str)]) -> Received {
    let receiver = Receiver::start().await;
    let endpoint = receiver.endpoint();
    let start = move || {
        let folder = TempDir::new().unwrap();
        let endpoint = [("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str())];
        let all = [&endpoint[..], variables].concat();
        (Server::start_told(&folder.path().join("rules.db"), &[], &all), folder)
    };
    let (mut server, _folder) = tokio::task::spawn_blocking(start).await.unwrap();
    let channel = tonic::transport::Endpoint::from_shared(server.address.clone()).unwrap();
    let mut client = EligibilityServiceClient::new(channel.connect().await.unwrap());
    let customer = proto::Customer { id: CUSTOMER.to_owned(), ..<_>::default() };
    let mut request = tonic::Request::new(proto::CheckEligibilityRequest {
        customer: Some(customer),
        offer: "kis-12m".to_owned(),
        action: proto::Action::Use.into(),
        ..<_>::default()
    });
    let parent = format!("00-{TRACE}-{PARENT}-01").parse().unwrap();
    request.metadata_mut().insert("traceparent", parent);
    client.check_eligibility(request).await.unwrap();
    drop(client);
    server.signal("TERM");
    assert!(tokio::task::spawn_blocking(move || server.wait()).await.unwrap().success());
    receiver.take()
}

fn spans(received: &Received) -> Vec<&Span> {
    let resources = received.traces.iter().flat_map(|request| &request.resource_spans);
    resources.flat_map(|it| &it.scope_spans).flat_map(|it| &it.spans).collect()
}

/// Whether there were traces, metrics and logs.
fn signals(received: &Received) -> (bool, bool, bool) {
    let has_logs = !received.logs.is_empty();
    (!spans(received).is_empty(), !received.metrics.is_empty(), has_logs)
}

#[tokio::test(flavor = "multi_thread")]
async fn each_signal_can_be_switched_off_by_its_standard_variable() {
    for (variables, expected) in [
        (&[("OTEL_TRACES_EXPORTER", "none")][..], (false, true, true)),
        (
            &[("OTEL_METRICS_EXPORTER", "none"), ("OTEL_LOGS_EXPORTER", "none")],
            (true, false, false),
        ),
        (
            &[("OTEL_TRACES_EXPORTER", "otlp"), ("OTEL_TRACES_SAMPLER", "always_off")],
            (false, true, true),
        ),
        (&[("OTEL_SDK_DISABLED", "true")], (false, false, false)),
    ] {
        assert_eq!(signals(&sent(variables).await), expected, "{variables:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_s_trace_is_not_believed_where_no_propagator_is_named_and_the_resource_is_as_told()
{
    let received = sent(&[
        ("OTEL_PROPAGATORS", "none"),
        ("OTEL_SERVICE_NAME", "offers"),
        ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test"),
    ])
    .await;
    let spans = spans(&received);
    assert!(!spans.is_empty());
    assert!(
        spans.iter().all(|span| hex(&span.trace_id) != TRACE && span.parent_span_id.is_empty())
    );
    let resource = received.traces[0].resource_spans[0].resource.as_ref().unwrap();
    assert_eq!(text(&resource.attributes, "service.name").as_deref(), Some("offers"));
    let environment = text(&resource.attributes, "deployment.environment.name");
    assert_eq!(environment.as_deref(), Some("test"));
}
