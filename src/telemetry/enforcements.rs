//! Measures how long changes take until they are enforced, whether or not somebody waits, and with what those go
//! home who do.

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Histogram, Meter, UpDownCounter};
use std::time::Duration;

/// From an embedded store's microseconds to the longest wait that a caller may ask for.
const BOUNDARIES: [f64; 14] =
    [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

/// What a wait ended with that its caller broke off.
const GIVEN_UP: &str = "GIVEN_UP";

/// A wait that its caller broke off counts from when this server was asked about the change.
const ASKED: &str = "ASKED";

/// The changes and the waits of a server.
#[derive(Debug, Clone)]
pub struct Enforcements {
    durations: Histogram<f64>,
    pending: UpDownCounter<i64>,
}

impl Enforcements {
    /// Shows `offergate_enforcement_duration_seconds{reached,counted_from}` and
    /// `offergate_enforcement_pending`.
    pub(super) fn register(meter: &Meter) -> Self {
        let durations = meter
            .f64_histogram("offergate.enforcement.duration")
            .with_description(
                "How long changes took, by how far they had got then: each change of rules from when \
                 this server wrote it, other waits from when they were asked for.",
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

    /// How far a change had got `after` so long. Both names are from closed lists.
    pub fn measured(&self, reached: &'static str, counted_from: &'static str, after: Duration) {
        let labels =
            [KeyValue::new("reached", reached), KeyValue::new("counted_from", counted_from)];
        self.durations.record(after.as_secs_f64(), &labels);
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
    /// The wait is over. Both names are from closed lists.
    pub fn ended(mut self, reached: &'static str, counted_from: &'static str, after: Duration) {
        self.is_told = true;
        self.of.measured(reached, counted_from, after);
    }
}

impl Drop for EnforcementWait {
    fn drop(&mut self) {
        if !self.is_told {
            self.of.measured(GIVEN_UP, ASKED, Duration::ZERO);
        }
        self.of.pending.add(-1, &[]);
    }
}
