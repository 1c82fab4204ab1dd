//! The way in: with or without TLS, and who is let in.

use super::roles::Needed;
use crate::identity::{Gate, ServerTls};
use crate::telemetry::Incidents;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// How many refused connections are told in the log within [`SPAN`]; the counter counts all of them.
const MOST_LINES: u32 = 20;
const SPAN: Duration = Duration::from_secs(1);

/// How connections come in, and who knows who makes them. Shared by all listeners of a server.
#[derive(Debug, Clone)]
pub struct Door {
    pub(super) gate: Arc<Gate>,
    /// `None` for connections in plain text.
    pub(super) tls: Option<Arc<ServerTls>>,
    pub(super) needed: Arc<Needed>,
    pub(super) incidents: Incidents,
    told: Arc<Mutex<(Option<Instant>, u32)>>,
}

impl Door {
    /// Counts in `incidents` who is not let in.
    #[must_use]
    pub fn new(gate: Arc<Gate>, tls: Option<Arc<ServerTls>>, incidents: Incidents) -> Self {
        Self { gate, tls, needed: Arc::new(Needed::new()), incidents, told: Arc::default() }
    }

    /// Whether one more refused connection may be told in the log: whoever is not let in must not be able
    /// to fill the disk.
    pub(super) fn may_tell(&self) -> bool {
        let now = Instant::now();
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let (since, lines) = &mut *told;
        if since.is_none_or(|since| since + SPAN <= now) {
            (*since, *lines) = (Some(now), 0);
        }
        *lines += 1;
        *lines <= MOST_LINES
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::{Telemetry, TelemetrySettings};

    #[tokio::test(start_paused = true)]
    async fn a_flood_of_refused_connections_is_counted_and_does_not_flood_the_log() {
        let settings =
            TelemetrySettings { environment: Box::new(|_| None), ..TelemetrySettings::default() };
        let Ok((telemetry, _, _)) = Telemetry::build(settings) else { return };
        let door = Door::new(Arc::new(Gate::open()), None, telemetry.incidents());
        let told = |many: u32| (0..many).filter(|_| door.may_tell()).count();
        assert_eq!((told(10), told(1000)), (10, 10));
        tokio::time::advance(SPAN).await;
        assert_eq!(told(1000), 20);
    }
}
