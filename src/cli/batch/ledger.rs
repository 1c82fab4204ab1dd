//! Which ledger, as the command line names it: a file, or a mailing's part of a Redis. Nothing else here knows
//! that there are two kinds.

use super::super::exit::Failure;
use super::super::output::Output;
use super::super::request_args::read_text;
use super::super::shared_store::{Certificates, access};
use super::failed;
use crate::config::{self, RedisServers};
use crate::ledger::redis::{RedisLedger, RedisPlace};
use crate::ledger::sqlite::SqliteLedger;
use crate::ledger::{Fact, KeyError, Ledger, LedgerError, LedgerKey};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Largest file with a password.
const MOST_PASSWORD: u64 = 4096;

/// How a ledger is named.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct LedgerArgs {
    /// Where outcomes are kept: a file, or the URL of a Redis: redis://HOST, redis+sentinel://HOST/MASTER or
    /// redis+cluster://HOST, with rediss for TLS
    #[arg(long, value_name = "FILE|URL")]
    ledger: PathBuf,

    /// The key that names recipients, which is never in Redis [default: MAILING.ledger.key]
    #[arg(long, value_name = "FILE", help_heading = "Ledger in Redis")]
    ledger_key: Option<PathBuf>,

    /// How many nodes could be promoted, the primary included [default: 1 for redis://; must be given for
    /// sentinels and clusters]
    #[arg(
        long,
        value_name = "N",
        help_heading = "Ledger in Redis",
        value_parser = clap::value_parser!(u32).range(1..=15)
    )]
    ledger_nodes: Option<u32>,

    /// Seconds without a word from the sender until another one may take over
    #[arg(
        long,
        value_name = "SECONDS",
        help_heading = "Ledger in Redis",
        default_value_t = 10,
        value_parser = clap::value_parser!(u64).range(1..=60)
    )]
    ledger_lease: u64,

    /// File with the password, where the URL has none
    #[arg(long, value_name = "FILE", help_heading = "Ledger in Redis")]
    ledger_password_file: Option<PathBuf>,

    /// File with the authority of the servers' certificates [default: those that this machine trusts]
    #[arg(long, value_name = "FILE", help_heading = "Ledger in Redis")]
    ledger_ca_file: Option<PathBuf>,

    /// File with the certificate to show to the servers
    #[arg(
        long,
        value_name = "FILE",
        help_heading = "Ledger in Redis",
        requires = "ledger_certificate_key_file"
    )]
    ledger_certificate_file: Option<PathBuf>,

    /// File with the key of that certificate
    #[arg(
        long,
        value_name = "FILE",
        help_heading = "Ledger in Redis",
        requires = "ledger_certificate_file"
    )]
    ledger_certificate_key_file: Option<PathBuf>,
}

/// The ledger of a mailing that was begun.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct BegunArgs {
    #[command(flatten)]
    ledger: LedgerArgs,

    /// Which mailing, where the ledger is in Redis
    #[arg(long, value_name = "NAME", help_heading = "Ledger in Redis")]
    id: Option<String>,
}

/// Where a ledger is.
#[derive(Debug, Clone)]
pub(super) enum LedgerPlace {
    /// In a file; its key and its lists beside it.
    File(PathBuf),
    /// In Redis.
    Redis {
        place: Box<RedisPlace>,
        key: PathBuf,
        /// What the names of its lists begin with.
        lists: PathBuf,
        /// How to name it again.
        arguments: String,
    },
}

impl BegunArgs {
    pub(super) fn place(&self) -> Result<LedgerPlace, Failure> {
        self.ledger.place(self.id.as_deref())
    }
}

impl LedgerArgs {
    /// Where the ledger of this mailing is.
    pub(super) fn place(&self, mailing: Option<&str>) -> Result<LedgerPlace, Failure> {
        let file = || LedgerPlace::File(self.ledger.clone());
        let Some(text) = self.ledger.to_str() else { return Ok(file()) };
        let Some(url) = config::redis_url(text) else {
            if text.contains("://") {
                let form = "a path, or a URL that begins with `redis://`, `redis+sentinel://` or \
                            `redis+cluster://`, with `rediss` for TLS";
                return Err(Failure::usage("--ledger is no ledger").help(form));
            }
            return Ok(file());
        };
        let url = url.map_err(|why| Failure::usage(format_args!("--ledger: {why}")))?;
        let Some(mailing) = mailing else {
            return Err(Failure::usage("a Redis holds the ledgers of many mailings")
                .help("name the mailing: --id NAME"));
        };
        let is_single = matches!(url.servers, RedisServers::Single(_));
        let nodes = match (self.ledger_nodes, is_single) {
            (Some(nodes), _) => nodes,
            (None, true) => 1,
            (None, false) => {
                return Err(Failure::usage("--ledger-nodes is missing")
                    .help("say how many nodes could be promoted, the primary included"));
            }
        };
        let password = self.ledger_password_file.as_deref();
        let password = password.map(|path| read_text(path, MOST_PASSWORD)).transpose()?;
        let password = password.map(|it| config::Secret::new(it.trim_end().to_owned()));
        if password.is_some() && url.password.is_some() {
            return Err(Failure::usage("the ledger's password is given twice"));
        }
        let certificates = Certificates {
            authority: self.ledger_ca_file.clone(),
            client: self
                .ledger_certificate_file
                .clone()
                .zip(self.ledger_certificate_key_file.clone()),
        };
        if !url.tls && (certificates.authority.is_some() || certificates.client.is_some()) {
            return Err(Failure::usage(
                "--ledger does not say `rediss`, and certificates are given",
            ));
        }
        let access = access(&url, password.as_ref(), certificates);
        let shown = config::without_password(text);
        let arguments = format!("--ledger {shown} --id {mailing}");
        let mut place = RedisPlace::new(access, mailing, shown)
            .ok_or_else(|| Failure::usage("a mailing's name is letters, digits, `-` and `_`"))?;
        (place.nodes, place.lease) = (nodes, Duration::from_secs(self.ledger_lease));
        let lists = PathBuf::from(format!("{mailing}.ledger"));
        let key = self.ledger_key.clone().unwrap_or_else(|| LedgerKey::path_of(&lists));
        Ok(LedgerPlace::Redis { place: Box::new(place), key, lists, arguments })
    }
}

/// A ledger to send through, and its key.
type Opened = (Box<dyn Ledger>, LedgerKey);

impl LedgerPlace {
    /// A ledger in which nothing was begun: a new one, or one whose maker died right after.
    pub(super) fn begin(&self, output: &Output) -> Result<Opened, Failure> {
        let begun = |error: LedgerError| {
            failed(error.into()).help("`batch resume` goes on with a mailing that was begun")
        };
        let made: Result<Opened, LedgerError> = match self {
            Self::File(path) => boxed(SqliteLedger::create(path)),
            Self::Redis { place, key, .. } => {
                told(RedisLedger::create(RedisPlace::clone(place), key), output)
            }
        };
        match made {
            Err(LedgerError::Exists(shown)) => {
                let (ledger, key) = self.open(output).map_err(begun)?;
                match ledger.fact(Fact::Mailing).map_err(begun)? {
                    None => Ok((ledger, key)),
                    Some(_) => Err(begun(LedgerError::Exists(shown))),
                }
            }
            other => other.map_err(begun),
        }
    }

    /// Opens it to send through.
    pub(super) fn open(&self, output: &Output) -> Result<Opened, LedgerError> {
        match self {
            Self::File(path) => boxed(SqliteLedger::open(path)),
            Self::Redis { place, key, .. } => {
                told(RedisLedger::open(RedisPlace::clone(place), key), output)
            }
        }
    }

    /// Opens it to look at it and to give orders.
    pub(super) fn look(&self) -> Result<Box<dyn Ledger>, LedgerError> {
        Ok(match self {
            Self::File(path) => Box::new(SqliteLedger::look(path)?),
            Self::Redis { place, .. } => Box::new(RedisLedger::look(RedisPlace::clone(place))?),
        })
    }

    /// Opens it so that nobody begins to send meanwhile.
    pub(super) fn hold(&self) -> Result<Box<dyn Ledger>, LedgerError> {
        match self {
            Self::File(path) => match SqliteLedger::open(path) {
                Ok((ledger, _)) => Ok(Box::new(ledger)),
                // Without its key nobody can.
                Err(LedgerError::Key(KeyError::Destroyed(_) | KeyError::HalfDestroyed(_))) => {
                    self.look()
                }
                // What is another ledger's key, or none, is not this one's to destroy.
                Err(error) => Err(error),
            },
            Self::Redis { place, key, .. } => {
                Ok(Box::new(RedisLedger::hold(RedisPlace::clone(place), key)?))
            }
        }
    }

    /// Whether a process sends now: for certain, which may take a lease.
    pub(super) fn has_sender(&self) -> Result<bool, Failure> {
        let found = match self {
            Self::File(path) => SqliteLedger::has_sender(path),
            Self::Redis { place, .. } => RedisLedger::has_sender(RedisPlace::clone(place)),
        };
        found.map_err(|error| failed(error.into()))
    }

    /// The same at a glance.
    pub(super) fn seems_sent(&self) -> Result<bool, Failure> {
        match self {
            Self::File(_) => self.has_sender(),
            Self::Redis { place, .. } => {
                RedisLedger::is_held(RedisPlace::clone(place)).map_err(|error| failed(error.into()))
            }
        }
    }

    /// Where its key is.
    pub(super) fn key(&self) -> PathBuf {
        match self {
            Self::File(path) => LedgerKey::path_of(path),
            Self::Redis { key, .. } => key.clone(),
        }
    }

    /// What the names of its lists begin with.
    pub(super) fn lists(&self) -> &Path {
        let (Self::File(path) | Self::Redis { lists: path, .. }) = self;
        path
    }

    /// How to name it on a command line.
    pub(super) fn arguments(&self) -> String {
        match self {
            Self::File(path) => format!("--ledger {}", path.display()),
            Self::Redis { arguments, .. } => arguments.clone(),
        }
    }
}

fn boxed<L: Ledger + 'static>(
    opened: Result<(L, LedgerKey), LedgerError>,
) -> Result<Opened, LedgerError> {
    opened.map(|(ledger, key)| -> Opened { (Box::new(ledger), key) })
}

/// The same, and tells what the servers do not.
fn told(
    opened: Result<(RedisLedger, LedgerKey), LedgerError>,
    output: &Output,
) -> Result<Opened, LedgerError> {
    if let Ok((ledger, _)) = &opened {
        for setting in ledger.untold() {
            output.note(format_args!("the ledger's server does not tell its {setting}: see to it"));
        }
    }
    boxed(opened)
}
