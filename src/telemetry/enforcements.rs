//! Measures how long people wait for a change to be enforced, and with what they go home.

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Histogram, Meter, UpDownCounter};
use std::time::Duration;

/// From an embedded store's microseconds to the longest wait that a caller may ask for.
const BOUNDARIES: [f64; 14] =
    [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

/// What a wait ended with that its caller broke off.
const GIVEN_UP: &str = "GIVEN_UP";

/// The waits of a server.
#[derive(Debug, Clone)]
pub struct Enforcements {
    durations: Histogram<f64>,
    pending: UpDownCounter<i64>,
}

impl Enforcements {
    /// Shows `offergate_enforcement_duration_seconds{reached}` and `offergate_enforcement_pending`.
    pub(super) fn register(meter: &Meter) -> Self {
        let durations = meter
            .f64_histogram("offergate.enforcement.duration")
            .with_description(
                "How long waits for a change took, by how far the change had got then.",
            )
            .with_unit("s")
            .with_boundaries(BOUNDARIES.to_vec())
            .build();
        let pending = meter
            .i64_up_down_counter("offergate.enforcement.pending")
            .with_description("Waits for a change to be enforced that are under way.")
            .build();
        pending.add(0, &[]);
        Self { durations, pending }
    }

    /// Counts a wait that begins.
    #[must_use]
    pub fn begin(&self) -> EnforcementWait {
        self.pending.add(1, &[]);
        EnforcementWait { of: self.clone(), is_told: false }
    }
}

/// A wait under way. Dropped untold, it is one that its caller broke off.
#[derive(Debug)]
pub struct EnforcementWait {
    of: Enforcements,
    is_told: bool,
}

impl EnforcementWait {
    /// The wait is over; `reached` is from a closed list.
    pub fn ended(mut self, reached: &'static str, after: Duration) {
        self.record(reached, after);
    }

    fn record(&mut self, reached: &'static str, after: Duration) {
        self.is_told = true;
        self.of.durations.record(after.as_secs_f64(), &[KeyValue::new("reached", reached)]);
    }
}

impl Drop for EnforcementWait {
    fn drop(&mut self) {
        if !self.is_told {
            self.record(GIVEN_UP, Duration::ZERO);
        }
        self.of.pending.add(-1, &[]);
    }
}
