//! Where the store is, how to log in there, and which namespace of it is ours.
//!
//! Plain values. Whoever makes one has checked the texts; only what the store's correctness hangs on is
//! checked here: a namespace that would break the one hash tag of all keys cannot exist.

use crate::redis::{Access, Login, Servers, Tls};
use std::sync::Arc;
use std::time::Duration;

/// Everything that is needed to reach a namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    /// The servers, and how to find the one that takes writes.
    pub servers: Servers,
    /// Who we are there.
    pub login: Login,
    /// Whether to speak TLS, and with which files.
    pub tls: Option<Tls>,
    /// Which database; a cluster has only 0.
    pub database: u16,
    /// Which of the histories there is ours.
    pub namespace: Namespace,
    /// How many nodes could be promoted, the primary included.
    pub nodes: u32,
    /// How long a lease may run in a history that is begun from here.
    pub staleness_limit: Duration,
}

impl Location {
    /// The way there.
    pub(super) fn access(&self) -> Access {
        let Self { servers, login, tls, database, .. } = self.clone();
        Access { servers, login, tls, database }
    }

    /// The same, as scripts take it.
    pub(super) fn longest_lease(&self) -> String {
        milliseconds(self.staleness_limit)
    }
}

/// A span in whole milliseconds, rounded up, so that a lease is never longer than it was said to be.
pub(super) fn milliseconds(span: Duration) -> String {
    span.as_nanos().div_ceil(1_000_000).max(1).to_string()
}

/// The name of a history among others in one database: 1 to 64 ASCII letters, digits, `-`, `_`, `.`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Namespace(Arc<str>);

impl Namespace {
    /// The only way in.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        ((1..=64).contains(&text.len()) && text.bytes().all(fits)).then(|| Self(text.into()))
    }

    /// Its keys, in the order in which scripts take them: head, log, replicas, requests.
    pub(super) fn keys(&self) -> [String; 4] {
        ["meta", "log", "reps", "idem"].map(|part| self.key(part))
    }

    /// All keys share one hash tag, and so one slot of a cluster.
    pub(super) fn key(&self, part: &str) -> String {
        format!("{{offergate:{}}}:{part}", self.0)
    }
}
