//! The way in: with or without TLS, and who is let in.

use super::roles::Needed;
use crate::identity::{Gate, ServerTls};
use crate::telemetry::Incidents;
use std::sync::Arc;

/// How connections come in, and who knows who makes them. Shared by all listeners of a server.
#[derive(Debug, Clone)]
pub struct Door {
    pub(super) gate: Arc<Gate>,
    /// `None` for connections in plain text.
    pub(super) tls: Option<Arc<ServerTls>>,
    pub(super) needed: Arc<Needed>,
    pub(super) incidents: Incidents,
}

impl Door {
    /// Counts in `incidents` who is not let in.
    #[must_use]
    pub fn new(gate: Arc<Gate>, tls: Option<Arc<ServerTls>>, incidents: Incidents) -> Self {
        Self { gate, tls, needed: Arc::new(Needed::new()), incidents }
    }
}
