//! Waits until a change is enforced: asks the server again and again, until it says so or time is over.
//!
//! Invariant: only the server's own word makes a change enforced. Whatever else comes, an answer that
//! got lost included, leaves it pending.

use super::connection::{ServerArgs, failed};
use super::enforcement_view::EnforcementView;
use super::exit::{Exit, Failure};
use super::output::Output;
use crate::client::{Client, ClientError, ErrorKind};
use crate::clock::{Clock as _, SystemClock};
use crate::config;
use crate::wire::{proto, time};
use proto::await_enforcement_request::Change;
use serde::Serialize;
use std::time::Duration;

/// The longest wait that a server takes on at once. Shorter ones would not do for a longer one: each
/// waits for leases from its own beginning.
const ONE_WAIT: Duration = Duration::from_secs(60);

/// Between a wait that ended early and the next one.
const PAUSE: Duration = Duration::from_millis(200);

/// How much later than it was asked for an answer may come.
const LATE: Duration = Duration::from_secs(1);

/// A change on its way, or one that is asked about.
pub(super) struct Wait<'a> {
    client: &'a Client,
    server: &'a ServerArgs,
    /// When it began, in boot time: what is told to people is counted from then on.
    began: Duration,
}

impl<'a> Wait<'a> {
    /// Begins, right before the change is sent.
    pub(super) fn begin(client: &'a Client, server: &'a ServerArgs) -> Self {
        Self { client, server, began: SystemClock.boot() }
    }

    /// Follows a change that was just made, if one was, for as long as `limit` says.
    ///
    /// # Errors
    /// When it was lost.
    pub(super) async fn follow(
        &self,
        token: Option<&str>,
        limit: Option<Duration>,
        output: &Output,
    ) -> Result<Followed, Failure> {
        let Some(token) = token else { return Ok(Followed::default()) };
        let change = Change::Token(token.to_owned());
        let Some(limit) = limit else {
            return Ok(Followed { enforcement: None, command: self.command(&change) });
        };
        output.note(format_args!("committed as {token}; waiting until it is enforced"));
        let enforcement = self.until_enforced(change, limit).await?;
        Ok(Followed { enforcement: Some(enforcement), command: String::new() })
    }

    /// Waits, up to `limit` from now.
    ///
    /// # Errors
    /// When there is no such change, or it was lost.
    pub(super) async fn until_enforced(
        &self,
        change: Change,
        limit: Duration,
    ) -> Result<EnforcementView, Failure> {
        let end = SystemClock.boot() + limit;
        let mut so_far = EnforcementView::unheard();
        loop {
            let left = end.saturating_sub(SystemClock.boot());
            let asked = tokio::time::timeout(left + LATE, self.ask(&change, left)).await;
            match asked {
                Ok(Ok(answer)) => so_far = EnforcementView::of(answer)?,
                Ok(Err(error)) if is_passing(&error) => so_far.trouble = Some(error.message),
                Ok(Err(error)) => return Err(failed("waiting for the change")(error)),
                Err(_) => so_far.trouble = Some("the server does not answer".to_owned()),
            }
            let now = SystemClock.boot();
            so_far.elapsed_ms = millis(now.saturating_sub(self.began));
            if so_far.is_enforced() || end <= now {
                let known = match so_far.token.is_empty() {
                    true => change,
                    false => Change::Token(so_far.token.clone()),
                };
                so_far.command = self.command(&known);
                return Ok(so_far);
            }
            tokio::time::sleep(PAUSE.min(end - now)).await;
        }
    }

    async fn ask(
        &self,
        change: &Change,
        left: Duration,
    ) -> Result<proto::AwaitEnforcementResponse, ClientError> {
        let wait = Some(time::write_duration(left.min(ONE_WAIT)));
        let change = Some(change.clone());
        self.client.await_enforcement(proto::AwaitEnforcementRequest { change, wait }).await
    }

    /// The command that waits for a change.
    fn command(&self, change: &Change) -> String {
        let change = match change {
            Change::Token(token) => format!("--token {token}"),
            Change::RequestId(id) => format!("--request-id {id}"),
            Change::Revision(number) => format!("--revision {number}"),
        };
        format!("offergate replicas await {change}{}", self.server.flag())
    }
}

/// How far a change was followed.
#[derive(Debug, Default, Serialize)]
pub(super) struct Followed {
    /// How far it got; `None` if nobody asked to wait.
    enforcement: Option<EnforcementView>,
    /// The command that waits for it, if nobody has.
    #[serde(skip)]
    command: String,
}

impl Followed {
    /// What people are told of a change that was not waited for.
    pub(super) fn shown(&self) -> String {
        match self.command.as_str() {
            "" => String::new(),
            command => format!("to wait until it is enforced: {command}"),
        }
    }

    /// How the command ends.
    pub(super) fn end(&self, output: &Output) -> Result<Exit, Failure> {
        self.enforcement.as_ref().map_or(Ok(Exit::Ok), |ended| tell(ended, output))
    }
}

/// Tells people how a wait ended, in one line.
///
/// # Errors
/// When the change is not known to be enforced: what is missing, and how to go on.
pub(super) fn tell(ended: &EnforcementView, output: &Output) -> Result<Exit, Failure> {
    if ended.is_enforced() {
        output.note(ended.sentence());
        return Ok(Exit::Ok);
    }
    Err(Failure::new(Exit::NotEnforced, ended.sentence()).help(format_args!(
        "nothing is undone, and it may be enforced by now; to go on waiting: {} --wait 60s",
        ended.command
    )))
}

/// Whether asking again can help: the server or its store is away or busy, or was cut off in the
/// middle, which shows as an error that no server of ours has put a reason to.
fn is_passing(error: &ClientError) -> bool {
    match error.kind {
        ErrorKind::Unreachable => true,
        ErrorKind::Other => error.reason.as_deref().is_none_or(|reason| reason == "TOO_BUSY"),
        ErrorKind::NotFound
        | ErrorKind::Conflict
        | ErrorKind::Invalid
        | ErrorKind::Unknown
        | ErrorKind::NotAllowed => false,
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// How long to wait; for `value_parser`.
pub(super) fn limit(text: &str) -> Result<Duration, String> {
    config::duration(text, Duration::from_millis(100), Duration::from_secs(3600))
}
