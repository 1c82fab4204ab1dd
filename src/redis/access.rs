//! Where servers are, and who we are there. Plain values; whoever makes one has checked the texts.

use std::fmt;
use std::path::PathBuf;

/// Everything that is needed to reach a Redis or Valkey.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    /// The servers, and how to find the one that takes writes.
    pub servers: Servers,
    /// Who we are there.
    pub login: Login,
    /// Whether to speak TLS, and with which files.
    pub tls: Option<Tls>,
    /// Which database; a cluster has only 0.
    pub database: u16,
}

/// The address of one server.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    /// A name or an IP address.
    pub host: String,
    /// The port.
    pub port: u16,
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

/// How to find the server that takes writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Servers {
    /// It is this one.
    Single(Address),
    /// These sentinels know.
    Sentinel {
        /// The sentinels.
        sentinels: Vec<Address>,
        /// What they call the primary.
        master: String,
    },
    /// It is the one that has the slot of our keys; any of these knows which.
    Cluster(Vec<Address>),
}

/// Who we are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Login {
    /// The ACL user; `None` is the server's `default`.
    pub user: Option<String>,
    /// Its password.
    pub password: Option<Secret>,
}

/// The files of TLS, in PEM. They are read anew for each connection, so that they can be renewed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tls {
    /// The authority that signed the servers' certificates; `None` is the machine's own list.
    pub authority: Option<PathBuf>,
    /// Our certificate and its key.
    pub client: Option<(PathBuf, PathBuf)>,
}

/// A text that is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Takes the text.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(text)
    }

    pub(super) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(hidden)")
    }
}
