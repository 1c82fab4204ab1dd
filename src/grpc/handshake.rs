//! Handshakes of TLS, beside the accept loop: as many as there is room for, each within a limit.
//!
//! Invariant: a connection whose certificate names nobody whom the table has is closed before a byte of
//! it is read as a call; the log says why, as far as it does not flood, and a counter counts.

use super::door::Door;
use super::incoming::Connection;
use crate::identity::{ServerTls, spiffe_path};
use crate::telemetry::NotAdmitted;
use rustc_hash::FxHashMap;
use rustls::CertificateError as Certificate;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::task::{Id, JoinSet};
use tokio_rustls::TlsAcceptor;

/// How long a handshake may take.
const WITHIN: Duration = Duration::from_secs(5);

/// How many may be under way on one listener, and how many of them with one address, so that one peer
/// that begins many and ends none leaves room for the others.
const MOST: usize = 256;
const MOST_OF_A_PEER: usize = 64;

/// The bytes under TLS.
pub(super) type Secured = tokio_rustls::server::TlsStream<TcpStream>;

/// The handshakes of a listener.
pub(super) struct Handshakes {
    tls: Arc<ServerTls>,
    door: Door,
    under_way: JoinSet<Option<Connection>>,
    /// By whom; shorter than `under_way` is long.
    by_peer: FxHashMap<IpAddr, usize>,
    /// Whose each is.
    peers: FxHashMap<Id, IpAddr>,
}

impl Handshakes {
    pub(super) fn new(tls: Arc<ServerTls>, door: Door) -> Self {
        Self {
            tls,
            door,
            under_way: JoinSet::new(),
            by_peer: FxHashMap::default(),
            peers: FxHashMap::default(),
        }
    }

    /// Begins one, or closes the connection if there is no room.
    pub(super) fn begin(&mut self, connection: Connection) {
        let peer = connection.holder();
        let of_peer = self.by_peer.get(&peer).copied().unwrap_or_default();
        if MOST <= self.under_way.len() || MOST_OF_A_PEER <= of_peer {
            return self.door.incidents.not_admitted(NotAdmitted::HandshakeLimit);
        }
        let (tls, door) = (Arc::clone(&self.tls), self.door.clone());
        let begun = self.under_way.spawn(connection.secured(move |stream| async move {
            match secure(&tls, &door, stream).await {
                Ok(secured) => Some(secured),
                Err((why, cause)) => {
                    door.incidents.not_admitted(why);
                    if door.may_tell() {
                        tracing::warn!(reason = why.name(), cause, "Refused a connection");
                    }
                    None
                }
            }
        }));
        self.by_peer.insert(peer, of_peer + 1);
        self.peers.insert(begun.id(), peer);
    }

    /// The next connection that came through; `None` if none is under way. One that did not is passed
    /// over.
    pub(super) async fn next(&mut self) -> Option<Connection> {
        loop {
            let (id, ended) = match self.under_way.join_next_with_id().await? {
                Ok((id, connection)) => (id, connection),
                Err(broken) => (broken.id(), None),
            };
            self.forget(id);
            if let Some(connection) = ended {
                return Some(connection);
            }
        }
    }

    fn forget(&mut self, id: Id) {
        let Some(peer) = self.peers.remove(&id) else { return };
        if let Some(of_peer) = self.by_peer.get_mut(&peer) {
            *of_peer -= 1;
            if *of_peer == 0 {
                self.by_peer.remove(&peer);
            }
        }
    }
}

type Refused = (NotAdmitted, String);

async fn secure(
    tls: &ServerTls,
    door: &Door,
    stream: TcpStream,
) -> Result<(Secured, Option<Arc<str>>), Refused> {
    let accept = TlsAcceptor::from(tls.config()).accept(stream);
    let stream = match tokio::time::timeout(WITHIN, accept).await {
        Ok(accepted) => accepted.map_err(|error| (reason(&error), error.to_string()))?,
        Err(_) => {
            return Err((NotAdmitted::HandshakeLimit, format!("no end of it within {WITHIN:?}")));
        }
    };
    let shown = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
    let service = match (shown, tls.trust_domain()) {
        (Some(certificate), Some(trust_domain)) => {
            let path = spiffe_path(certificate, trust_domain)
                .map_err(|bad| (NotAdmitted::CertificateName, bad.to_string()))?;
            if door.gate.service(&path).is_none() {
                let cause = format!("the table of principals has no `{path}`");
                return Err((NotAdmitted::CertificateUnknown, cause));
            }
            Some(Arc::from(path))
        }
        (Some(_) | None, _) => None,
    };
    Ok((stream, service))
}

/// Why a handshake failed, as metrics tell it.
fn reason(error: &io::Error) -> NotAdmitted {
    let cause = error.get_ref().and_then(|cause| cause.downcast_ref::<rustls::Error>());
    match cause {
        Some(rustls::Error::InvalidCertificate(error)) => match error {
            Certificate::Expired
            | Certificate::ExpiredContext { .. }
            | Certificate::NotValidYet
            | Certificate::NotValidYetContext { .. } => NotAdmitted::CertificateExpired,
            Certificate::Revoked
            | Certificate::UnknownRevocationStatus
            | Certificate::ExpiredRevocationList
            | Certificate::ExpiredRevocationListContext { .. } => NotAdmitted::CertificateRevoked,
            _ => NotAdmitted::CertificateUntrusted,
        },
        Some(rustls::Error::NoCertificatesPresented) => NotAdmitted::NoProof,
        Some(_) | None => NotAdmitted::Handshake,
    }
}
