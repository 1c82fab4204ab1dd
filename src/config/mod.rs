//! The settings of `serve`: flags over `OFFERGATE_*` over a file over defaults.
//!
//! One table, [`table::SETTINGS`], holds each setting's name, effect, unit and default; flags,
//! variables, the file's keys, the reference and `config show` are all read from it.
//!
//! Invariant: a setting that is unknown, empty, doubled, without its unit or out of its range is
//! refused, and all such problems are told at once, each with the place where it stands. Nothing
//! is read as a default because it could not be read as itself.

mod args;
mod decision_log;
mod events;
mod file;
mod identity;
mod limits;
mod load;
mod read;
mod setting;
mod show;
mod store_url;
mod table;

pub use args::ServeArgs;
pub use decision_log::{DecisionLogMode, DecisionLogSettings, WhenFull};
pub use events::EventSettings;
pub use identity::{Anonymous, IdentitySettings};
pub use limits::{LoadSettings, is_reloadable};
pub use load::load;
pub use read::{default_decision_log, default_journal, demo_people, duration};
pub use show::{ShowFormat, reference, show};
pub use store_url::{RedisServers, RedisUrl, redis_url, without_password};

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Everything that `serve` can be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Where clients connect.
    pub listen: SocketAddr,
    /// Where probes and metrics are served.
    pub management_listen: SocketAddr,
    /// Where rules live.
    pub store: StoreLocation,
    /// Which of the histories in a shared store is this service's.
    pub store_namespace: String,
    /// How many nodes of a shared store could be promoted, the primary included; `None` if nobody said.
    pub store_nodes: Option<u32>,
    /// The password for a shared store, where its URL gives none.
    pub store_password: Option<Secret>,
    /// The authority that signed the certificates of a shared store's servers.
    pub store_ca_file: Option<PathBuf>,
    /// The certificate to show to a shared store's servers.
    pub store_certificate_file: Option<PathBuf>,
    /// The key of that certificate.
    pub store_key_file: Option<PathBuf>,
    /// The name of this server among the replicas of a shared store; `None` for the machine's.
    pub replica: Option<String>,
    /// Where clients are told that this replica is reached; `None` for where it listens.
    pub advertise: Option<String>,
    /// The file that keeps a shared store's history on this machine; `None` for [`default_journal`].
    pub journal: Option<PathBuf>,
    /// The key that signs checkpoints of the log of changes; `None` to sign nothing.
    pub audit_key_file: Option<PathBuf>,
    /// How callers prove who they are.
    pub identity: IdentitySettings,
    /// How old proof of knowing all rules may be while `ELIGIBLE` is still answered.
    pub staleness_limit: Duration,
    /// How many threads serve checks.
    pub workers: usize,
    /// Whether clients may ask the server for its services' descriptions.
    pub reflection: bool,
    /// How many checks may be in work at once; more are refused.
    pub max_concurrent_checks: usize,
    /// How many streams of checks, and how many watchers, may be open at once; more are refused.
    pub max_streams: usize,
    /// How many connections there may be at once; more are closed.
    pub max_connections: usize,
    /// How many of them may come from one address.
    pub max_connections_per_peer: usize,
    /// How long a check may take when its caller sets no earlier deadline.
    pub check_timeout: Duration,
    /// How long any other call may take when its caller sets no earlier deadline.
    pub admin_timeout: Duration,
    /// How long calls in work may take to finish once the server is told to stop.
    pub drain_timeout: Duration,
    /// How log lines look.
    pub log_format: LogFormat,
    /// What a server takes on a second, and how it stops.
    pub load: LoadSettings,
    /// Where events go.
    pub events: EventSettings,
    /// What is written of decisions.
    pub decision_log: DecisionLogSettings,
    /// Every setting as text, with its origin, in the order of the table.
    pub origins: Vec<Origin>,
}

/// Where rules live.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreLocation {
    /// The embedded store, in this file.
    Embedded(PathBuf),
    /// A store that several servers share.
    Redis(RedisUrl),
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

    /// The text, for whoever must send it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(hidden)")
    }
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LogFormat {
    /// Text on a terminal, JSON elsewhere.
    Auto,
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// A setting's value as text, and where it came from.
#[derive(Clone, PartialEq, Eq)]
pub struct Origin {
    /// The setting.
    pub name: &'static str,
    /// Its value.
    pub value: String,
    /// Where the value stands.
    pub place: Place,
}

impl fmt::Debug for Origin {
    /// Leaves the value out: it may be a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, value: _, place } = self;
        f.debug_struct("Origin").field("name", name).field("place", place).finish_non_exhaustive()
    }
}

/// Where a value stands.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// On the command line, under this flag.
    Flag(String),
    /// In the environment, in this variable.
    Variable(String),
    /// In a file, on this line; line 0 is the file as a whole.
    File(PathBuf, usize),
    /// Nowhere: the built-in default.
    Default,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(flag) => f.write_str(flag),
            Self::Variable(variable) => f.write_str(variable),
            Self::File(path, 0) => write!(f, "{}", path.display()),
            Self::File(path, line) => write!(f, "{}:{line}", path.display()),
            Self::Default => f.write_str("default"),
        }
    }
}

/// One thing that is wrong with the settings.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// Where.
    pub place: Place,
    /// What, and what is allowed.
    pub what: String,
}

/// Everything that is wrong with the settings; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigErrors(pub Vec<Problem>);

impl fmt::Display for ConfigErrors {
    /// One line a problem: `offergate.toml:3: no setting is called ...`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, problem) in self.0.iter().enumerate() {
            if 0 < place {
                f.write_str("\n")?;
            }
            write!(f, "{}: {}", problem.place, problem.what)?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}
