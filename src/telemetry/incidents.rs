//! Counts what should be rare: connections that are turned away, and calls that end in a panic; and
//! says in the log where a panic was.
//!
//! Invariant: what a panic says is logged only if it is a literal of the program. A text that was
//! put together at run time can hold a customer's data.

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Meter};
use std::any::Any;
use std::sync::Arc;

/// Why a connection was turned away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TurnedAway {
    /// The server has as many as it may.
    Full,
    /// Its peer's address has as many as it may.
    PeerFull,
}

impl TurnedAway {
    const ALL: [Self; 2] = [Self::Full, Self::PeerFull];

    fn label(self) -> [KeyValue; 1] {
        let reason = match self {
            Self::Full => "server",
            Self::PeerFull => "peer",
        };
        [KeyValue::new("limit", reason)]
    }
}

/// The counters. Every call carries them along, so that a clone is cheap.
#[derive(Debug, Clone)]
pub struct Incidents(Arc<Counters>);

#[derive(Debug)]
struct Counters {
    turned_away: Counter<u64>,
    panics: Counter<u64>,
}

impl Incidents {
    /// Shows `offergate_connections_refused_total{limit}` and `offergate_panics_total`, from zero on.
    pub(super) fn register(meter: &Meter) -> Self {
        let turned_away = meter
            .u64_counter("offergate.connections.refused")
            .with_description("Connections closed at once, by the limit that was reached.")
            .with_unit("{connection}")
            .build();
        let panics = meter
            .u64_counter("offergate.panics")
            .with_description("Calls that were answered INTERNAL because their handler panicked.")
            .with_unit("{call}")
            .build();
        for limit in TurnedAway::ALL {
            turned_away.add(0, &limit.label());
        }
        panics.add(0, &[]);
        Self(Arc::new(Counters { turned_away, panics }))
    }

    /// Counts a connection that was closed at once.
    pub fn turned_away(&self, why: TurnedAway) {
        self.0.turned_away.add(1, &why.label());
    }

    /// Counts a call that ended in a panic.
    pub fn panicked(&self) {
        self.0.panics.add(1, &[]);
    }
}

/// From now on a panic of this process is a log line with its place, in the trace that it belongs to.
pub fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(place, "Panicked: {}", said(panic.payload()));
    }));
}

/// What may be repeated of what a panic says.
fn said(payload: &dyn Any) -> &'static str {
    payload.downcast_ref::<&'static str>().copied().unwrap_or("(what it says may hold data)")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_quoted_only_where_the_program_says_it_word_by_word() {
        assert_eq!(said(&"a literal"), "a literal");
        let customer = format!("no such attribute: {}", "c-1");
        assert!(!said(&customer).contains("c-1"));
    }
}
