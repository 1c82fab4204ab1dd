//! The way to a running server: where it is, how long to wait, and what its errors mean here.
//!
//! Invariant: an error keeps every field path and description that the server gave.

use super::exit::{Exit, Failure};
use super::output::Output;
use super::people;
use crate::client::{Client, ClientError, Credentials, ErrorKind, is_this_machine};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Longest file of a token, a certificate or a key that is read.
const LONGEST: u64 = 1 << 20;

/// Where `serve` listens when nobody says otherwise.
const DEFAULT_SERVER: &str = "http://127.0.0.1:7443";

/// Where the server is.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Server")]
pub(super) struct ServerArgs {
    /// Address of the server
    #[arg(
        long,
        value_name = "URL",
        env = "OFFERGATE_SERVER",
        default_value = DEFAULT_SERVER,
        value_parser = address
    )]
    server: String,

    /// Seconds to wait for an answer
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = 10,
        value_parser = clap::value_parser!(u64).range(1..=3600)
    )]
    timeout: u64,

    /// Speak for this person of the demonstration [default: ann, where a demonstration runs here]
    #[arg(long = "as", value_name = "NAME", env = "OFFERGATE_AS", conflicts_with = "token_file")]
    person: Option<String>,

    /// File with the token that proves who you are
    #[arg(long, value_name = "FILE", env = "OFFERGATE_TOKEN_FILE")]
    token_file: Option<PathBuf>,

    /// File with the authority of the server's certificate [default: those that this machine trusts]
    #[arg(long, value_name = "FILE", env = "OFFERGATE_CA_FILE")]
    ca_file: Option<PathBuf>,

    /// File with the certificate that proves which service this is
    #[arg(long, value_name = "FILE", env = "OFFERGATE_CERTIFICATE_FILE", requires = "key_file")]
    certificate_file: Option<PathBuf>,

    /// File with the key of that certificate
    #[arg(long, value_name = "FILE", env = "OFFERGATE_KEY_FILE", requires = "certificate_file")]
    key_file: Option<PathBuf>,
}

impl ServerArgs {
    /// Connects, and runs `work` with the connection.
    pub(super) fn ask<T>(
        &self,
        output: &Output,
        work: impl AsyncFnOnce(Client) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| {
            Failure::new(Exit::Failure, "no runtime can be made").because(error)
        })?;
        let done = runtime.block_on(async {
            let client =
                self.connect_as(self.credentials()?).await.map_err(failed("connecting"))?;
            output.detail(format_args!("connected to {}", self.server));
            work(client).await
        });
        // Work that was given up, such as a read from a pipe, holds up nothing.
        runtime.shutdown_background();
        done
    }

    /// Connects with what proves who calls.
    pub(super) async fn connect_as(&self, credentials: Credentials) -> Result<Client, ClientError> {
        let timeout = Duration::from_secs(self.timeout);
        Client::connect_as(&self.server, timeout, credentials).await
    }

    /// What proves who calls, as far as the command line, the environment or a demonstration give it.
    pub(super) fn credentials(&self) -> Result<Credentials, Failure> {
        let certificate = match (&self.certificate_file, &self.key_file) {
            (Some(certificate), Some(key)) => Some((content(certificate)?, content(key)?)),
            (_, _) => None,
        };
        let authority = self.ca_file.as_deref().map(content).transpose()?;
        // Whoever shows a certificate is that service, and nobody of the demonstration.
        let token = if certificate.is_some() && self.person.is_none() && self.token_file.is_none() {
            None
        } else {
            self.token()?
        };
        Ok(Credentials { token, authority, certificate })
    }

    /// Whom a change is by: a person of the demonstration, or nobody by name where a token or a certificate
    /// tells the server. `None` where nothing is proven.
    pub(super) fn author(&self) -> Result<Option<String>, Failure> {
        let Credentials { token, certificate, .. } = self.credentials()?;
        Ok(match (token, certificate, &self.token_file) {
            (Some(_), _, None) => {
                Some(self.person.clone().unwrap_or_else(|| people::USUAL.to_owned()))
            }
            (Some(_), _, Some(_)) | (None, Some(_), _) => Some(String::new()),
            (None, None, _) => None,
        })
    }

    fn token(&self) -> Result<Option<String>, Failure> {
        if let Some(path) = &self.token_file {
            let text = String::from_utf8(content(path)?).unwrap_or_default();
            let token = text.trim();
            return match token.is_empty() {
                true => Err(Failure::usage(format_args!("`{}` holds no token", path.display()))),
                false => Ok(Some(token.to_owned())),
            };
        }
        if let Some(name) = &self.person {
            return people::token_of(name)?.map(Some).ok_or_else(|| {
                Failure::usage(
                    "no demonstration was ever started here, so there are none of its people",
                )
                .help("start one with `offergate serve --demo`, or say --token-file")
            });
        }
        let (scheme, rest) = self.server.split_once("://").unwrap_or(("http", &self.server));
        let (host, port) = rest.trim_end_matches('/').rsplit_once(':').unwrap_or((rest, "80"));
        let here = scheme == "http" && is_this_machine(Some(host));
        match port.parse() {
            Ok(port) if here && people::listens_on(port) => people::token_of(people::USUAL),
            _ => Ok(None),
        }
    }

    /// The way to another server, in all else the same.
    pub(super) fn at(&self, server: &str) -> Self {
        Self { server: server.to_owned(), ..self.clone() }
    }

    /// The flag that leads to the same server; nothing for the default one.
    pub(super) fn flag(&self) -> String {
        match self.server.as_str() {
            DEFAULT_SERVER => String::new(),
            other => format!(" --server {other}"),
        }
    }
}

/// Refuses what no server could be asked under, before anybody waits for an answer.
pub(super) fn address(text: &str) -> Result<String, String> {
    let (scheme, rest) = text.split_once("://").unwrap_or(("http", text));
    match scheme {
        "http" | "https" if !rest.is_empty() => Ok(text.to_owned()),
        _ => Err(format!("write HOST:PORT or http://HOST:PORT, such as {DEFAULT_SERVER}")),
    }
}

fn content(path: &Path) -> Result<Vec<u8>, Failure> {
    use std::io::Read as _;
    let unreadable = |error: std::io::Error| {
        let exit = Exit::of_cause(&error);
        Failure::new(exit, format_args!("`{}` cannot be read", path.display())).because(error)
    };
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(unreadable)?;
    file.take(LONGEST).read_to_end(&mut bytes).map_err(unreadable)?;
    Ok(bytes)
}

/// Where to find what somebody named that is not there.
fn where_to_look(kind: Option<&str>) -> &'static str {
    match kind {
        Some("vendor" | "product" | "offer") => "`offergate find TEXT` finds ids by name",
        Some("suspension") => "`offergate status` lists suspensions",
        Some("emergency that waits") => {
            "`offergate changes` lists what waits; a proposed change takes `offergate approve`"
        }
        Some("change that waits") => "`offergate changes` lists what waits",
        Some("change" | "revision") => "`offergate history` lists them",
        Some("mailing that waits or is approved") => {
            "`offergate history` tells of those that were rejected or withdrawn"
        }
        _ => "",
    }
}

/// Turns a failed call into how the command ends; `doing` says what was asked for.
pub(super) fn failed(doing: &str) -> impl Fn(ClientError) -> Failure {
    move |error| {
        let (exit, help) = match error.kind {
            ErrorKind::Unreachable if error.reason.as_deref() == Some("STORE_UNAVAILABLE") => (
                Exit::Unreachable,
                "the server is there, and its store does not answer: see `offergate status`; repeat \
                 a change with the same --request-id, since it may have landed",
            ),
            ErrorKind::Unreachable
                if matches!(error.reason.as_deref(), Some("LOG_BEING_READ" | "JOURNAL_BEHIND")) =>
            {
                (Exit::Unreachable, "the server goes on with that by itself: try again in a moment")
            }
            ErrorKind::Unreachable => (
                Exit::Unreachable,
                "start a server with `offergate serve`, or name one with --server; repeat a change \
                 with the same --request-id, since it may have landed",
            ),
            ErrorKind::NotFound => (Exit::NotFound, where_to_look(error.thing.as_deref())),
            ErrorKind::Conflict if error.thing.as_deref() == Some("suspension") => {
                (Exit::Conflict, "change it with `offergate amend`, or name the new one with --id")
            }
            ErrorKind::Conflict => {
                (Exit::Conflict, "see `offergate history` and `offergate status`, and decide anew")
            }
            ErrorKind::Invalid
                if error.fields.iter().any(|(path, _)| path.contains(".target.")) =>
            {
                (Exit::Usage, "`offergate find TEXT` finds ids by name")
            }
            ErrorKind::Invalid => (Exit::Usage, ""),
            ErrorKind::Unknown => (
                Exit::Failure,
                "prove who you are with --token-file FILE (OFFERGATE_TOKEN_FILE), or as a service with \
                 --certificate-file and --key-file; in the demonstration with --as ann or --as ben",
            ),
            ErrorKind::NotAllowed if error.reason.as_deref() == Some("SELF_APPROVAL") => (
                Exit::Failure,
                "somebody has to decide who neither asked for it nor edited it; in the demonstration \
                 that may be --as ben, or --as ann",
            ),
            ErrorKind::NotAllowed if error.reason.as_deref() == Some("NOT_AUTHORISED") => (
                Exit::Failure,
                "ask somebody who may, or whoever gives out roles: the README's \"Who may do what\" \
                 lists them",
            ),
            // What is to be done instead is said.
            ErrorKind::NotAllowed => (Exit::Failure, ""),
            ErrorKind::Other => (Exit::Failure, ""),
        };
        let failure = Failure::new(exit, format_args!("{doing}: {error}"));
        if help.is_empty() { failure } else { failure.help(help) }
    }
}
