//! The way to a running server: where it is, how long to wait, and what its errors mean here.
//!
//! Invariant: an error keeps every field path and description that the server gave.

use super::exit::{Exit, Failure};
use super::output::Output;
use crate::client::{Client, ClientError, ErrorKind};
use std::time::Duration;

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
        runtime.block_on(async {
            let client = self.connect().await.map_err(failed("connecting"))?;
            output.detail(format_args!("connected to {}", self.server));
            work(client).await
        })
    }

    /// Connects.
    pub(super) async fn connect(&self) -> Result<Client, ClientError> {
        Client::connect(&self.server, Duration::from_secs(self.timeout)).await
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

/// Turns a failed call into how the command ends; `doing` says what was asked for.
pub(super) fn failed(doing: &str) -> impl Fn(ClientError) -> Failure {
    move |error| {
        let (exit, help) = match error.kind {
            ErrorKind::Unreachable if error.reason.as_deref() == Some("STORE_UNAVAILABLE") => (
                Exit::Unreachable,
                "the server is there, and its store does not answer: see `offergate status`; repeat \
                 a change with the same --request-id, since it may have landed",
            ),
            ErrorKind::Unreachable => (
                Exit::Unreachable,
                "start a server with `offergate serve`, or name one with --server; repeat a change \
                 with the same --request-id, since it may have landed",
            ),
            ErrorKind::NotFound => (Exit::NotFound, "`offergate find TEXT` finds ids by name"),
            ErrorKind::Conflict => {
                (Exit::Conflict, "see `offergate history` and `offergate status`, and decide anew")
            }
            ErrorKind::Invalid => (Exit::Usage, ""),
            ErrorKind::Other => (Exit::Failure, ""),
        };
        let failure = Failure::new(exit, format_args!("{doing}: {error}"));
        if help.is_empty() { failure } else { failure.help(help) }
    }
}
