//! `offergate replicas`: who serves from the same store, how far each is, whether a change is enforced on
//! all of them, and which history goes on after histories have disagreed.

use super::change_args::ChangeArgs;
use super::connection::{ServerArgs, failed};
use super::decision_view::stated;
use super::enforcement::{self, Wait};
use super::enforcement_view::{ShortfallView, millis};
use super::exit::{Exit, Failure};
use super::output::{Answer, Output};
use super::text::Text;
use crate::wire::proto;
use proto::await_enforcement_request::Change;
use serde::Serialize;
use std::time::Duration;

/// List who serves from the same store; wait for a change; end a fork
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Args {
    #[command(flatten)]
    server: ServerArgs,

    #[command(subcommand)]
    command: Option<ReplicasCommand>,
}

#[derive(Debug, clap::Subcommand)]
enum ReplicasCommand {
    Await(AwaitArgs),
    AcceptHistory(AcceptArgs),
}

/// Wait until no replica answers from before a change any more; exit code 6 when time runs out first
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Any replica can be asked, as often as you like: nothing is changed by asking.

Example:
  offergate replicas await --request-id CHG-1001 --wait 30s")]
struct AwaitArgs {
    #[command(flatten)]
    change: ChangeFlags,

    /// How long to wait
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "10s",
        value_parser = enforcement::limit
    )]
    wait: Duration,

    #[command(flatten)]
    server: ServerArgs,
}

/// Which change.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct ChangeFlags {
    /// The token that came with the change
    #[arg(long)]
    token: Option<String>,

    /// The request id that it was made with
    #[arg(long, value_name = "ID")]
    request_id: Option<String>,

    /// Its revision
    #[arg(long, value_name = "N")]
    revision: Option<u64>,
}

/// Let the store's history go on as it is, after it has lost changes that replicas know of
#[derive(Debug, clap::Args)]
#[command(after_help = "\
A store that came back without changes that replicas had seen is a fork: until this is said, nobody
answers ELIGIBLE and nothing is changed. The suspensions that replicas hold are in the store again by
themselves. What else was lost (lifts, exemptions, amendments, rule files) is not, and has to be made
again afterwards: `offergate history` shows what the store has, and each replica's journal what it had.

Example:
  offergate replicas accept-history --reason 'fail-over lost CHG-1044' --ticket INC-7")]
struct AcceptArgs {
    #[command(flatten)]
    change: ChangeArgs,

    #[command(flatten)]
    server: ServerArgs,
}

pub(super) fn run(args: &Args, output: &Output) -> Result<Exit, Failure> {
    match &args.command {
        None => list(&args.server, output),
        Some(ReplicasCommand::Await(args)) => wait(args, output),
        Some(ReplicasCommand::AcceptHistory(args)) => accept(args, output),
    }
}

fn list(server: &ServerArgs, output: &Output) -> Result<Exit, Failure> {
    let fleet = server.ask(output, async |client| {
        let request = proto::ListReplicasRequest {};
        client.list_replicas(request).await.map_err(failed("the replicas"))
    })?;
    output.answer(&FleetView::of(fleet))?;
    Ok(Exit::Ok)
}

fn wait(args: &AwaitArgs, output: &Output) -> Result<Exit, Failure> {
    let ChangeFlags { token, request_id, revision } = &args.change;
    let change = (token.clone().map(Change::Token))
        .or_else(|| request_id.clone().map(Change::RequestId))
        .or_else(|| revision.map(Change::Revision))
        .ok_or_else(|| Failure::usage("say which change: --token, --request-id or --revision"))?;
    let ended = args.server.ask(output, async |client| {
        Wait::begin(&client, &args.server).until_enforced(change, args.wait).await
    })?;
    output.answer(&ended)?;
    enforcement::tell(&ended, output)
}

fn accept(args: &AcceptArgs, output: &Output) -> Result<Exit, Failure> {
    let change = args.change.complete(&args.server)?;
    if change.dry_run {
        return Err(Failure::usage("a history cannot be accepted to see what would be")
            .help("`offergate status` tells whether it has forked"));
    }
    let accepted = args.server.ask(output, async |client| {
        output.note(
            "Nobody answers ELIGIBLE and nothing is changed until the store's history is accepted. It \
             then\ngoes on under a new lineage. Suspensions that replicas hold are in it; lifts, \
             exemptions,\namendments and rule files that it has lost are not, and have to be made again.",
        );
        change.go_on("accept the store's history as it is?", output)?;
        let request = proto::AcceptHistoryRequest {
            request_id: change.request_id,
            author: change.author,
            reason: change.reason,
            ticket: change.ticket,
        };
        let wait = Wait::begin(&client, &args.server);
        let response = client.accept_history(request).await.map_err(failed("the history"))?;
        let followed = wait.follow(Some(&response.token), change.wait, output).await?;
        Ok(Accepted { token: response.token, followed })
    })?;
    output.answer(&accepted)?;
    accepted.followed.end(output)
}

/// A history that goes on.
#[derive(Debug, Serialize)]
struct Accepted {
    token: String,
    #[serde(flatten)]
    followed: enforcement::Followed,
}

impl Answer for Accepted {
    const COLUMNS: &'static [&'static str] = &["token", "enforcement.state"];

    fn text(&self, text: &mut Text) {
        text.line("the store's history goes on; replicas move over by themselves");
        text.fields(&[("token", self.token.clone()), ("committed", self.followed.shown())]);
    }
}

/// Who serves from a store.
#[derive(Debug, Serialize)]
struct FleetView {
    /// None where the server has a store of its own.
    replicas: Vec<ReplicaView>,
    newest_revision: u64,
    /// How long the answering replica may go on without hearing from the store; `None` if it need not.
    lease_left_ms: Option<u64>,
    trouble: Option<String>,
    shortfalls: Vec<ShortfallView>,
}

#[derive(Debug, Serialize)]
struct ReplicaView {
    name: String,
    incarnation: String,
    address: String,
    /// What it has in effect, as it last reported.
    revision: u64,
    behind: bool,
    answering: bool,
    /// Whether it is a mailer that acts by a server's rules, and answers no checks.
    holds_permit: bool,
}

impl FleetView {
    fn of(fleet: proto::ListReplicasResponse) -> Self {
        let newest_revision = fleet.newest_revision;
        let replica = |replica: proto::Replica| ReplicaView {
            name: replica.name,
            incarnation: replica.incarnation,
            address: replica.address,
            behind: replica.revision < newest_revision,
            revision: replica.revision,
            answering: replica.answering,
            holds_permit: replica.holds_permit,
        };
        Self {
            replicas: fleet.replicas.into_iter().map(replica).collect(),
            newest_revision,
            lease_left_ms: fleet.lease_left.and_then(millis),
            trouble: stated(fleet.trouble),
            shortfalls: ShortfallView::all(fleet.shortfalls),
        }
    }
}

impl Answer for FleetView {
    const COLUMNS: &'static [&'static str] =
        &["newest_revision", "lease_left_ms", "trouble", "replicas"];

    fn text(&self, text: &mut Text) {
        if self.replicas.iter().all(|replica| replica.holds_permit) {
            text.line("one server, with a store of its own");
        }
        text.table(
            &["REPLICA", "ADDRESS", "REVISION", "RULES", ""],
            self.replicas.iter().map(|replica| {
                let rules = if replica.behind { "behind" } else { "newest" };
                let answering = match (replica.answering, replica.holds_permit) {
                    (true, _) => "answers this",
                    (false, true) => "mailer",
                    (false, false) => "",
                };
                [
                    replica.name.clone(),
                    replica.address.clone(),
                    replica.revision.to_string(),
                    rules.to_owned(),
                    answering.to_owned(),
                ]
            }),
        );
        text.gap();
        text.fields(&[
            ("newest", self.newest_revision.to_string()),
            ("lease left", self.lease_left_ms.map(|left| format!("{left} ms")).unwrap_or_default()),
            ("trouble", self.trouble.clone().unwrap_or_default()),
        ]);
        for shortfall in &self.shortfalls {
            text.line(shortfall.sentence());
        }
    }
}
