//! Takes up the trace that a caller is in, from the W3C headers of its request.

use http::HeaderMap;
use opentelemetry::Context;
use opentelemetry::propagation::{Extractor, TextMapPropagator};
use opentelemetry_sdk::propagation::{BaggagePropagator, TraceContextPropagator};

/// Which headers are believed.
#[derive(Debug, Default)]
pub(super) struct Propagation {
    trace_context: Option<TraceContextPropagator>,
    baggage: Option<BaggagePropagator>,
}

impl Propagation {
    pub(super) fn new(trace_context: bool, baggage: bool) -> Self {
        Self {
            trace_context: trace_context.then(TraceContextPropagator::new),
            baggage: baggage.then(BaggagePropagator::new),
        }
    }

    /// The context that a caller describes; an empty one when it describes none, or badly.
    pub(super) fn context_of(&self, headers: &HeaderMap) -> Context {
        let headers = Headers(headers);
        let mut context = Context::new();
        if let Some(trace_context) = &self.trace_context {
            context = trace_context.extract_with_context(&context, &headers);
        }
        if let Some(baggage) = &self.baggage {
            context = baggage.extract_with_context(&context, &headers);
        }
        context
    }
}

struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).and_then(|value| value.to_str().ok())
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(http::HeaderName::as_str).collect()
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use opentelemetry::trace::TraceContextExt;

    fn context_of(traceparent: &str, believed: bool) -> Context {
        let mut headers = HeaderMap::new();
        headers.insert("traceparent", traceparent.parse().unwrap());
        Propagation::new(believed, false).context_of(&headers)
    }

    #[test]
    fn a_callers_trace_is_taken_up_when_it_is_well_formed_and_believed() {
        let good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let context = context_of(good, true);
        let parent = context.span().span_context().clone();
        assert_eq!(parent.trace_id().to_string(), "0af7651916cd43dd8448eb211c80319c");
        assert_eq!(parent.span_id().to_string(), "b7ad6b7169203331");
        assert!(parent.is_remote() && parent.is_sampled());

        assert!(!context_of(good, false).span().span_context().is_valid());
        for bad in ["", "00-0-0-01", "00-00000000000000000000000000000000-b7ad6b7169203331-01"] {
            assert!(!context_of(bad, true).span().span_context().is_valid(), "{bad}");
        }
    }
}
