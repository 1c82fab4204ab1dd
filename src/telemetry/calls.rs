//! Measures how long RPCs take, by method and status code.
//!
//! Each pair's histogram is looked up once and kept, since building its labels anew would cost
//! more than the decision that is being timed.
//!
//! Invariant: only the methods named at the start become labels; a path that somebody makes up is
//! counted as `_OTHER`, so that no caller can fill the memory with labels.

use opentelemetry::KeyValue;
use opentelemetry::metrics::{BoundHistogram, Histogram, Meter};
use opentelemetry_semantic_conventions::attribute::{
    RPC_METHOD, RPC_RESPONSE_STATUS_CODE, RPC_SYSTEM_NAME,
};
use opentelemetry_semantic_conventions::metric::RPC_SERVER_CALL_DURATION;
use rustc_hash::FxHashMap;
use std::sync::OnceLock;
use std::time::Duration;
use tonic::Code;

/// What a method that the server does not have is called.
const OTHER: &str = "_OTHER";

/// From 10 microseconds, below which lies most of what a check costs, to the longest deadline.
const BOUNDARIES: [f64; 19] = [
    0.000_01, 0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025,
    0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

/// The codes of gRPC, by number.
const CODES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// The name of a code, as semantic conventions spell it.
pub(super) fn code_name(code: Code) -> &'static str {
    CODES.get(code as usize).copied().unwrap_or("UNKNOWN")
}

/// A method's place in [`Calls`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Method(usize);

/// The durations of finished calls.
#[derive(Debug)]
pub(super) struct Calls {
    durations: Histogram<f64>,
    /// Without their leading slash; the last one is [`OTHER`].
    methods: Vec<&'static str>,
    by_path: FxHashMap<&'static str, Method>,
    /// A cell for each method and code, filled when it is first needed.
    bound: Box<[OnceLock<BoundHistogram<f64>>]>,
}

impl Calls {
    /// Measures these methods, each written `package.Service/Method`.
    pub(super) fn register(meter: &Meter, methods: &[&'static str]) -> Self {
        let durations = meter
            .f64_histogram(RPC_SERVER_CALL_DURATION)
            .with_description("Duration of RPCs served, by method and status code.")
            .with_unit("s")
            .with_boundaries(BOUNDARIES.to_vec())
            .build();
        let by_path =
            methods.iter().copied().enumerate().map(|(place, name)| (name, Method(place)));
        let by_path = by_path.collect();
        let mut methods = methods.to_vec();
        methods.push(OTHER);
        let bound = (0..methods.len() * CODES.len()).map(|_| OnceLock::new()).collect();
        Self { durations, methods, by_path, bound }
    }

    /// The method that a request's path means.
    pub(super) fn method(&self, path: &str) -> Method {
        let name = path.strip_prefix('/').unwrap_or(path);
        self.by_path.get(name).copied().unwrap_or(Method(self.methods.len() - 1))
    }

    /// The method's name.
    pub(super) fn name(&self, method: Method) -> &'static str {
        self.methods.get(method.0).copied().unwrap_or(OTHER)
    }

    /// Counts a finished call.
    pub(super) fn record(&self, method: Method, code: Code, duration: Duration) {
        let Some(cell) = self.bound.get(method.0 * CODES.len() + code as usize) else { return };
        let histogram = cell.get_or_init(|| {
            self.durations.bind(&[
                KeyValue::new(RPC_SYSTEM_NAME, "grpc"),
                KeyValue::new(RPC_METHOD, self.name(method)),
                KeyValue::new(RPC_RESPONSE_STATUS_CODE, code_name(code)),
            ])
        });
        histogram.record(duration.as_secs_f64());
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn every_code_of_grpc_has_its_own_name() {
        for (number, name) in CODES.iter().enumerate() {
            let code = Code::from(i32::try_from(number).unwrap());
            assert_eq!(code_name(code), *name);
            // `Code` spells `InvalidArgument` what the conventions spell `INVALID_ARGUMENT`.
            assert_eq!(format!("{code:?}").to_uppercase(), name.replace('_', ""));
        }
    }
}
