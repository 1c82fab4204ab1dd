//! Who changes the rules, why, and under which name the attempt can be repeated.

use super::confirm::confirm;
use super::connection::ServerArgs;
use super::enforcement;
use super::exit::Failure;
use super::output::Output;
use crate::audit::RequestId;
use std::os::unix::fs::MetadataExt as _;
use std::time::Duration;
use uuid::Uuid;

/// Said with every change; it goes into the record.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Record")]
pub(super) struct ChangeArgs {
    /// Why, for the bank's own people
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,

    /// The change ticket
    #[arg(long, value_name = "ID")]
    ticket: Option<String>,

    /// Who asks [default: whom your token or certificate names, else the user who runs this]
    #[arg(long, value_name = "NAME", env = "OFFERGATE_AUTHOR")]
    author: Option<String>,

    /// Name of this attempt: repeat a command with the same one, and it is done once [default: a
    /// fresh one, printed]
    #[arg(long, value_name = "ID", value_parser = request_id)]
    request_id: Option<RequestId>,

    /// Check everything on the server, show what would be, and change nothing
    #[arg(long)]
    dry_run: bool,

    /// Do not ask before changing anything
    #[arg(short, long)]
    yes: bool,

    /// In an emergency: wait until no replica answers from before the change any more; ends with 6 when
    /// time runs out first [without a value: 10s]. A proposal is waited for by `approve --wait`
    #[arg(
        long,
        value_name = "DURATION",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "10s",
        value_parser = enforcement::limit,
        conflicts_with = "dry_run"
    )]
    wait: Option<Duration>,
}

/// The same, complete.
#[derive(Debug, Clone)]
pub(super) struct Change {
    pub(super) reason: String,
    pub(super) ticket: String,
    pub(super) author: String,
    pub(super) request_id: String,
    pub(super) dry_run: bool,
    /// How long to wait until it is enforced.
    pub(super) wait: Option<Duration>,
    fresh: bool,
    yes: bool,
}

impl ChangeArgs {
    /// For a change that must say why and under which ticket.
    pub(super) fn complete(&self, server: &ServerArgs) -> Result<Change, Failure> {
        let missing = |flag: &str| {
            Failure::usage(format_args!("{flag} is missing"))
                .help("a change of what customers may have needs a reason and a ticket")
        };
        let reason = self.reason.clone().ok_or_else(|| missing("--reason"))?;
        let ticket = self.ticket.clone().ok_or_else(|| missing("--ticket"))?;
        self.with(reason, ticket, server)
    }

    /// For a whole rule file, whose rules carry their own reasons and tickets.
    pub(super) fn for_rule_file(&self, server: &ServerArgs) -> Result<Change, Failure> {
        let reason = self.reason.clone().unwrap_or_else(|| "rule file applied".to_owned());
        self.with(reason, self.ticket.clone().unwrap_or_default(), server)
    }

    fn with(&self, reason: String, ticket: String, server: &ServerArgs) -> Result<Change, Failure> {
        let author = match &self.author {
            Some(author) => Some(author.clone()),
            None => server.author()?.or_else(this_user),
        };
        let author = author.ok_or_else(|| {
            Failure::usage("nobody is named as the author").help("say --author NAME")
        })?;
        let given = self.request_id.as_ref().map(|id| id.as_str().to_owned());
        let (fresh, dry_run, yes) = (given.is_none(), self.dry_run, self.yes);
        let request_id = given.unwrap_or_else(|| Uuid::now_v7().to_string());
        Ok(Change { reason, ticket, author, request_id, dry_run, wait: self.wait, fresh, yes })
    }
}

impl Change {
    /// Asks whether to go on, where there is somebody to ask, and tells the request's id before
    /// anything is sent: an answer can get lost, and must not be lost with it. A dry run needs neither.
    pub(super) fn go_on(&self, question: &str, output: &Output) -> Result<(), Failure> {
        if self.dry_run {
            return Ok(());
        }
        confirm(question, self.yes)?;
        if self.fresh {
            let id = &self.request_id;
            output.note(format_args!("request id {id}; to repeat this, say --request-id {id}"));
        }
        Ok(())
    }
}

/// Who runs this process: by name, or by number where there is no name (in many containers).
pub(super) fn this_user() -> Option<String> {
    let named = ["USER", "LOGNAME"]
        .into_iter()
        .find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()));
    named.or_else(|| {
        let uid = std::fs::metadata("/proc/self").ok()?.uid().to_string();
        let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
        let line = users.lines().find(|line| line.split(':').nth(2) == Some(uid.as_str()));
        let name = line.and_then(|line| line.split(':').next()).map(str::to_owned);
        Some(name.unwrap_or_else(|| format!("uid-{uid}")))
    })
}

pub(super) fn request_id(text: &str) -> Result<RequestId, &'static str> {
    RequestId::parse(text).ok_or("a request id is 1 to 128 printable ASCII characters, no space")
}
