//! Shows how events get on that are sent to a webhook.

use opentelemetry::KeyValue;
use opentelemetry::metrics::Meter;
use std::sync::Arc;
use std::time::Duration;

/// What the metrics say about events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventsSeen {
    /// How many wait to be taken by the receiver.
    pub waiting: u64,
    /// For how long the first of them does; zero when none does.
    pub oldest: Duration,
    /// Attempts that ended well, since the start.
    pub delivered: u64,
    /// Those that did not.
    pub failed: u64,
}

/// Shows `offergate_events_waiting`, `offergate_events_oldest_seconds` and
/// `offergate_events_deliveries_total{result}`.
pub(super) fn observe_events(meter: &Meter, see: impl Fn() -> EventsSeen + Send + Sync + 'static) {
    let see = Arc::new(see);
    let seen = Arc::clone(&see);
    meter
        .u64_observable_gauge("offergate.events.waiting")
        .with_description("Events that wait to be taken by the webhook's receiver.")
        .with_callback(move |observer| observer.observe(seen().waiting, &[]))
        .build();
    let seen = Arc::clone(&see);
    meter
        .f64_observable_gauge("offergate.events.oldest")
        .with_description("How long the first event that waits has waited; 0 when none does.")
        .with_unit("s")
        .with_callback(move |observer| observer.observe(seen().oldest.as_secs_f64(), &[]))
        .build();
    meter
        .u64_observable_counter("offergate.events.deliveries")
        .with_description("Attempts to send an event, by how they ended.")
        .with_unit("{attempt}")
        .with_callback(move |observer| {
            let EventsSeen { delivered, failed, .. } = see();
            observer.observe(delivered, &[KeyValue::new("result", "delivered")]);
            observer.observe(failed, &[KeyValue::new("result", "failed")]);
        })
        .build();
}
