//! Counts what should be rare: connections that are turned away, callers who do not prove who they are or
//! may not do what they ask, and calls that end in a panic; and says in the log where a panic was.
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

/// Why a connection that was let in was cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CutOff {
    /// It did not begin to speak in time.
    Silent,
    /// It sent too many frames that ask for work and for nothing else.
    Frames,
}

impl CutOff {
    const ALL: [Self; 2] = [Self::Silent, Self::Frames];

    fn label(self) -> [KeyValue; 1] {
        let reason = match self {
            Self::Silent => "silent",
            Self::Frames => "frames",
        };
        [KeyValue::new("reason", reason)]
    }
}

/// A caller whom the table of principals does not have, in the metrics.
const OTHER: &str = "_OTHER";

/// Why somebody was not let in, or not let do something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotAdmitted {
    /// The handshake failed for a reason that has no name of its own here.
    Handshake,
    /// The handshake took too long, or there was no room for one more.
    HandshakeLimit,
    /// The certificate has expired, or is not valid yet.
    CertificateExpired,
    /// The certificate was revoked, or the revocations are out of date.
    CertificateRevoked,
    /// No authority of ours signed the certificate.
    CertificateUntrusted,
    /// The certificate names nobody: no SPIFFE id of the trust domain, or several.
    CertificateName,
    /// The table of principals does not have whom the certificate names.
    CertificateUnknown,
    /// The token proves nothing.
    Token,
    /// The issuer's keys could not be had.
    IssuerSilent,
    /// Nothing was proven where something must be.
    NoProof,
    /// The caller is known, and has no role for this.
    Role,
}

impl NotAdmitted {
    const ALL: [Self; 11] = [
        Self::Handshake,
        Self::HandshakeLimit,
        Self::CertificateExpired,
        Self::CertificateRevoked,
        Self::CertificateUntrusted,
        Self::CertificateName,
        Self::CertificateUnknown,
        Self::Token,
        Self::IssuerSilent,
        Self::NoProof,
        Self::Role,
    ];

    /// The reason, as metrics and logs spell it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Handshake => "handshake",
            Self::HandshakeLimit => "handshake_limit",
            Self::CertificateExpired => "certificate_expired",
            Self::CertificateRevoked => "certificate_revoked",
            Self::CertificateUntrusted => "certificate_untrusted",
            Self::CertificateName => "certificate_name",
            Self::CertificateUnknown => "certificate_unknown",
            Self::Token => "token",
            Self::IssuerSilent => "issuer_silent",
            Self::NoProof => "no_proof",
            Self::Role => "role",
        }
    }

    fn label(self) -> [KeyValue; 1] {
        [KeyValue::new("reason", self.name())]
    }
}

/// The counters. Every call carries them along, so that a clone is cheap.
#[derive(Debug, Clone)]
pub struct Incidents(Arc<Counters>);

#[derive(Debug)]
struct Counters {
    turned_away: Counter<u64>,
    cut_off: Counter<u64>,
    quotas: Counter<u64>,
    not_admitted: Counter<u64>,
    panics: Counter<u64>,
}

impl Incidents {
    /// Shows `offergate_connections_refused_total{limit}`, `offergate_connections_cut_off_total{reason}`,
    /// `offergate_not_admitted_total{reason}`, `offergate_quota_exceeded_total{caller}` and
    /// `offergate_panics_total`, from zero on.
    pub(super) fn register(meter: &Meter) -> Self {
        let turned_away = meter
            .u64_counter("offergate.connections.refused")
            .with_description("Connections closed at once, by the limit that was reached.")
            .with_unit("{connection}")
            .build();
        let cut_off = meter
            .u64_counter("offergate.connections.cut_off")
            .with_description("Connections that were let in and cut off, by the reason.")
            .with_unit("{connection}")
            .build();
        let quotas = meter
            .u64_counter("offergate.quota.exceeded")
            .with_description(
                "Checks refused for their caller's quota, by the service that called.",
            )
            .with_unit("{check}")
            .build();
        let panics = meter
            .u64_counter("offergate.panics")
            .with_description("Calls that were answered INTERNAL because their handler panicked.")
            .with_unit("{call}")
            .build();
        let not_admitted = meter
            .u64_counter("offergate.not_admitted")
            .with_description("Connections and calls refused for who makes them, by the reason.")
            .with_unit("{refusal}")
            .build();
        for reason in NotAdmitted::ALL {
            not_admitted.add(0, &reason.label());
        }
        for limit in TurnedAway::ALL {
            turned_away.add(0, &limit.label());
        }
        for reason in CutOff::ALL {
            cut_off.add(0, &reason.label());
        }
        quotas.add(0, &[KeyValue::new("caller", OTHER)]);
        panics.add(0, &[]);
        Self(Arc::new(Counters { turned_away, cut_off, quotas, not_admitted, panics }))
    }

    /// Counts a connection that was closed at once.
    pub fn turned_away(&self, why: TurnedAway) {
        self.0.turned_away.add(1, &why.label());
    }

    /// Counts a connection that was cut off.
    pub fn cut_off(&self, why: CutOff) {
        self.0.cut_off.add(1, &why.label());
    }

    /// Counts a check that was refused for its caller's quota. Name only a service that the table of
    /// principals has, so that no caller can fill the memory with labels.
    pub fn quota_exceeded(&self, service: Option<&str>) {
        let caller = service.unwrap_or(OTHER).to_owned();
        self.0.quotas.add(1, &[KeyValue::new("caller", caller)]);
    }

    /// Counts a connection or a call that was refused for who makes it.
    pub fn not_admitted(&self, why: NotAdmitted) {
        self.0.not_admitted.add(1, &why.label());
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
