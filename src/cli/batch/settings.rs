//! How a mailing is sent: its files, its way out, its limits. What two people sign is not here.
//!
//! They are kept in the ledger, so that `batch resume` needs no more than the ledger. A password is not: only
//! where it stands.

use super::super::exit::{Exit, Failure};
use super::super::request_args::read_text;
use super::failed;
use super::files::{FormatArg, source};
use crate::jobs::mailing::{
    Out, Patience, Privacy, Retries, Secret, Source, Suppressions, Template, Way,
};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Largest template, password or certificate.
const MOST_BYTES: u64 = 1 << 20;

/// The same on the command line and in the ledger.
#[derive(Debug, Clone, clap::Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Settings {
    /// The audience: the very file that was signed
    #[arg(long, value_name = "FILE")]
    audience: PathBuf,

    /// Form of the audience, where its name does not tell
    #[arg(long, value_name = "FORMAT", value_enum)]
    audience_format: Option<FormatArg>,

    /// The mapping file that was signed, if one was
    #[arg(long, value_name = "FILE")]
    map: Option<PathBuf>,

    /// The template: the very file that was signed
    #[arg(long, value_name = "FILE")]
    template: PathBuf,

    /// Addresses or ids, one a line, that bounce: they get nothing
    #[arg(long, value_name = "FILE")]
    bounced: Vec<PathBuf>,

    /// Addresses or ids, one a line, that unsubscribed: they get no marketing
    #[arg(long, value_name = "FILE")]
    unsubscribed: Vec<PathBuf>,

    /// Who gets a proof before everybody else, at most 100: a file with the audience's columns
    #[arg(long, value_name = "FILE")]
    proofs: Option<PathBuf>,

    /// Send nothing: write each message into a file of this folder, through the same ledger
    #[arg(long, value_name = "FOLDER", help_heading = "Way out")]
    dry_run: Option<PathBuf>,

    /// The mail server, HOST:PORT
    #[arg(
        long,
        value_name = "HOST:PORT",
        help_heading = "Way out",
        conflicts_with = "dry_run",
        required_unless_present = "dry_run"
    )]
    smtp: Option<String>,

    /// TLS from the first byte instead of STARTTLS [default for port 465]
    #[arg(long, help_heading = "Way out", conflicts_with = "smtp_plaintext")]
    smtp_tls: bool,

    /// No TLS at all; only to this machine
    #[arg(long, help_heading = "Way out")]
    smtp_plaintext: bool,

    /// File with the authority of the mail server's certificate [default: those that this machine trusts]
    #[arg(long, value_name = "FILE", help_heading = "Way out")]
    smtp_ca_file: Option<PathBuf>,

    /// Name to log in with
    #[arg(long, value_name = "NAME", help_heading = "Way out", requires = "smtp_password_file")]
    smtp_user: Option<String>,

    /// File with the password
    #[arg(long, value_name = "FILE", help_heading = "Way out", requires = "smtp_user")]
    smtp_password_file: Option<PathBuf>,

    /// Most connections to the mail server
    #[arg(
        long,
        value_name = "N",
        help_heading = "Way out",
        default_value_t = 4,
        value_parser = clap::value_parser!(u16).range(1..=64)
    )]
    connections: u16,

    /// Seconds that the mail server may take for each step; for its answer to the content at least 600
    #[arg(
        long,
        value_name = "SECONDS",
        help_heading = "Way out",
        default_value_t = 60,
        value_parser = clap::value_parser!(u64).range(1..=600)
    )]
    smtp_timeout: u64,

    /// How often a message is tried again that was refused for now (4xx)
    #[arg(long, value_name = "N", help_heading = "Way out", default_value_t = 5)]
    retries: u32,

    /// Seconds to wait before that; twice as long each time
    #[arg(long, value_name = "SECONDS", help_heading = "Way out", default_value_t = 60,
        value_parser = clap::value_parser!(u64).range(..=86_400))]
    retry_after: u64,

    /// Pause when so many in a row are refused for good or in doubt; 0 never does
    #[arg(long, value_name = "N", help_heading = "Way out", default_value_t = 25)]
    pause_after_failures: u32,

    /// Days to keep the key that names recipients; `batch erase --if-due` destroys it then
    #[arg(long, value_name = "DAYS", default_value_t = 90)]
    keep_days: u32,
}

impl Settings {
    /// The same, for another folder to go on from.
    pub(super) fn absolute(mut self) -> Self {
        let whole = |path: &mut PathBuf| {
            if let Ok(absolute) = std::path::absolute(&*path) {
                *path = absolute;
            }
        };
        whole(&mut self.audience);
        whole(&mut self.template);
        let rest = [
            &mut self.map,
            &mut self.proofs,
            &mut self.dry_run,
            &mut self.smtp_ca_file,
            &mut self.smtp_password_file,
        ];
        rest.into_iter().flatten().for_each(whole);
        self.bounced.iter_mut().chain(&mut self.unsubscribed).for_each(whole);
        self
    }

    /// Whether nobody is written to.
    pub(super) fn is_dry_run(&self) -> bool {
        self.dry_run.is_some()
    }

    /// For how many days the key is kept.
    pub(super) fn keep_days(&self) -> u32 {
        self.keep_days
    }

    /// The audience, and the hash of the mapping that it is read by.
    pub(super) fn source(&self) -> Result<(Source, Option<String>), Failure> {
        source(&self.audience, self.audience_format, self.map.as_deref())
    }

    pub(super) fn proofs(&self) -> Result<Option<Source>, Failure> {
        let map = self.map.as_deref();
        self.proofs.as_deref().map(|path| Ok(source(path, None, map)?.0)).transpose()
    }

    pub(super) fn template(&self) -> Result<Template, Failure> {
        template(&self.template)
    }

    pub(super) fn suppressions(&self) -> Result<Suppressions, Failure> {
        Suppressions::read(&self.bounced, &self.unsubscribed).map_err(failed)
    }

    /// Refuses what would be in the way of the first message.
    pub(super) fn check(&self) -> Result<(), Failure> {
        self.out()?;
        self.suppressions()?;
        let columns = self.proofs()?.map(|proofs| proofs.columns()).transpose();
        columns.map(drop).map_err(failed)
    }

    pub(super) fn retries(&self) -> Retries {
        Retries { most: self.retries, first: Duration::from_secs(self.retry_after) }
    }

    pub(super) fn patience(&self) -> Patience {
        Patience(self.pause_after_failures)
    }

    /// The way out.
    pub(super) fn out(&self) -> Result<Out, Failure> {
        if let Some(folder) = &self.dry_run {
            let cores = std::thread::available_parallelism().map_or(1, usize::from);
            let threads = u16::try_from(cores).unwrap_or(1).clamp(1, 8);
            return Ok(Out::Folder(folder.clone(), threads));
        }
        let given = self.smtp.as_deref().unwrap_or_default();
        let wrong = || Failure::usage(format_args!("`{given}` is not HOST:PORT"));
        let (host, port) = given.rsplit_once(':').ok_or_else(wrong)?;
        let port: u16 = port.parse().map_err(|_| wrong())?;
        let privacy = match (self.smtp_plaintext, self.smtp_tls || port == 465) {
            (true, _) => Privacy::Plain,
            (false, true) => Privacy::Tls,
            (false, false) => Privacy::StartTls,
        };
        let text = |path: &PathBuf| read_text(path, MOST_BYTES);
        let password = self.smtp_password_file.as_ref().map(text).transpose()?;
        let authority = self.smtp_ca_file.as_ref().map(text).transpose()?;
        let secret = |text: String| Secret(text.trim_end_matches(['\r', '\n']).to_owned());
        let way = Way {
            host: host.trim_start_matches('[').trim_end_matches(']').to_owned(),
            port,
            privacy,
            credentials: self.smtp_user.clone().zip(password.map(secret)),
            authority: authority.map(String::into_bytes),
            timeout: Duration::from_secs(self.smtp_timeout),
        };
        Ok(Out::Smtp(Arc::new(way), self.connections))
    }
}

/// Reads a template.
pub(super) fn template(path: &Path) -> Result<Template, Failure> {
    let text = read_text(path, MOST_BYTES)?;
    Template::read(&path.display().to_string(), text.as_bytes()).map_err(failed)
}

/// What the ledger says that is no JSON of ours.
pub(super) fn unreadable(error: serde_json::Error) -> Failure {
    Failure::new(Exit::Failure, "the ledger's settings cannot be read").because(error)
}
