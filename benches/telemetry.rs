//! What being measured costs: counting a decision, and a call's duration and status.

#![expect(clippy::unwrap_used, reason = "a benchmark may panic")]

use criterion::{Criterion, criterion_group, criterion_main};
use futures_util::FutureExt;
use http::{Request, Response};
use offergate::telemetry::{Telemetry, TelemetrySettings};
use std::convert::Infallible;
use std::hint::black_box;
use tower::{Layer, Service, service_fn};

const METHOD: &str = "offergate.v1.EligibilityService/CheckEligibility";

async fn answer(_: Request<String>) -> Result<Response<String>, Infallible> {
    Ok(Response::builder().header("grpc-status", "0").body(String::new()).unwrap())
}

fn call<S, B>(service: &mut S) -> Response<B>
where
    S: Service<Request<String>, Response = Response<B>, Error = Infallible>,
{
    let request = Request::builder().uri(format!("/{METHOD}")).body(String::new()).unwrap();
    service.call(black_box(request)).now_or_never().unwrap().unwrap()
}

fn measuring(criterion: &mut Criterion) {
    let nothing_exported =
        TelemetrySettings { environment: Box::new(|_| None), ..TelemetrySettings::default() };
    let (telemetry, _, _) = Telemetry::build(nothing_exported).unwrap();
    let decisions = telemetry.decisions(&["ELIGIBLE", "INELIGIBLE"], &["A", "B"]);
    criterion.bench_function("count_decision", |bencher| {
        bencher.iter(|| decisions.record(black_box(1), black_box(0)));
    });
    let mut bare = service_fn(answer);
    criterion.bench_function("call_bare", |bencher| bencher.iter(|| call(&mut bare)));
    let mut measured = telemetry.rpc_layer(&[METHOD]).layer(service_fn(answer));
    criterion.bench_function("call_measured", |bencher| bencher.iter(|| call(&mut measured)));
}

criterion_group!(benches, measuring);
criterion_main!(benches);
