//! `offergate batch send`, `resume` and `cancel`: begin a mailing, take it over, end it.

use super::super::change_args::this_user;
use super::super::connection::ServerArgs;
use super::super::exit::{Exit, Failure};
use super::super::output::Output;
use super::super::request_args::read_text;
use super::binding::refuse_another;
use super::failed;
use super::kept::remember;
use super::ledger::{BegunArgs, LedgerArgs, LedgerPlace};
use super::sender::{Sender, connect, is_cancelled, runtime, signature, signed_files};
use super::settings::{Settings, unreadable};
use crate::client::Client;
use crate::clock::{Clock as _, SystemClock};
use crate::jobs::mailing::{
    Doing, Kind, Order, Plan, Signed, Standing, Wanted, give, read, retry, write,
};
use crate::ledger::Fact;
use std::path::PathBuf;
use tokio::runtime::Runtime;

/// Largest frozen mailing.
const MOST_BYTES: u64 = 1 << 20;

/// Send a mailing that two people signed, each recipient decided when it is sent
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Refuses files that differ from what was signed (exit code 4). Everybody's outcome goes to the ledger: SENT,
NOT_SENT with a reason, FAILED, or IN_DOUBT for who was in hand when the process died; `batch resume` goes on from
there, and writes to nobody twice. SIGINT and SIGTERM pause in order. Ends with 4 when a later rule stopped it.

Examples:
  offergate batch send --mailing kis-notice.mailing.json --audience people.csv --template notice.yaml \\
      --ledger kis-notice.db --dry-run out/
  offergate batch send --mailing kis-notice.mailing.json --audience people.csv --template notice.yaml \\
      --ledger kis-notice.db --smtp mail.example.com:587 --smtp-user offers --smtp-password-file pw
  offergate batch send --mailing kis-notice.mailing.json --audience people.csv --template notice.yaml \\
      --ledger rediss://redis.example.com --smtp mail.example.com:587")]
pub(super) struct Args {
    /// What `batch propose` wrote
    #[arg(long, value_name = "FILE")]
    mailing: PathBuf,

    #[command(flatten)]
    ledger: LedgerArgs,

    #[command(flatten)]
    settings: Settings,

    #[command(flatten)]
    server: ServerArgs,
}

/// Let a paused mailing go on, or take over from a sender that died
#[derive(Debug, clap::Args)]
pub(super) struct ResumeArgs {
    #[command(flatten)]
    of: BegunArgs,

    /// Write again to those in doubt, some of whom have got it: your choice, never a default
    #[arg(long)]
    retry_in_doubt: bool,

    #[command(flatten)]
    server: ServerArgs,
}

/// End a mailing: whoever was not written to yet is NOT_SENT
#[derive(Debug, clap::Args)]
pub(super) struct CancelArgs {
    #[command(flatten)]
    of: BegunArgs,

    #[command(flatten)]
    server: ServerArgs,
}

pub(super) fn run(args: &Args, output: &Output) -> Result<Exit, Failure> {
    let text = read_text(&args.mailing, MOST_BYTES)?;
    let plan: Plan = serde_json::from_str(&text).map_err(|error| {
        let name = args.mailing.display();
        Failure::usage(format_args!("{name} is not what `batch propose` wrote")).because(error)
    })?;
    plan.check().map_err(failed)?;
    let runtime = runtime()?;
    let client = connect(&args.server, &runtime)??;
    let signed = runtime.block_on(signature(&client, &plan))?;
    let settings = args.settings.clone().absolute();
    settings
        .template()?
        .check(&settings.source()?.0.columns().map_err(failed)?, plan.kind)
        .map_err(failed)?;
    if !settings.is_dry_run() {
        runtime.block_on(refuse_another(&client, signed.number, ""))?;
    }
    // Before there is a ledger: one that was made for nothing would be in the way of the next try.
    settings.check()?;
    let files = signed_files(&settings, &plan, false)?;
    let place = args.ledger.place(Some(&plan.name))?;
    let (mut ledger, key) = place.begin(output)?;
    remember(&mut *ledger, &place)?;
    // The mailing comes last: a ledger that has it was begun.
    write(&mut *ledger, Fact::Settings, &settings).map_err(failed)?;
    write(&mut *ledger, Fact::Mailing, &signed).map_err(failed)?;
    let (author, server) = (author(&args.server)?, &args.server);
    let sender = Sender { place, ledger, key, settings, files, signed, author, server, output };
    sender.run(Some(&client), &runtime)
}

/// Whom the server is told that a mailing is begun by.
fn author(server: &ServerArgs) -> Result<String, Failure> {
    Ok(server.author()?.or_else(this_user).unwrap_or_default())
}

pub(super) fn resume(args: &ResumeArgs, output: &Output) -> Result<Exit, Failure> {
    let place = args.of.place()?;
    if args.retry_in_doubt && place.has_sender()? {
        return Err(Failure::usage("--retry-in-doubt needs a mailing that nobody sends now"));
    }
    // The list of who is in doubt is there once all others have an outcome: then is the time to choose.
    if !(args.retry_in_doubt && is_finished(&place)?) {
        order(&place, Wanted::Go)?;
    }
    if place.has_sender()? {
        output.note("the sender goes on");
        return Ok(Exit::Ok);
    }
    take_over(place, args.retry_in_doubt, &args.server, output)
}

pub(super) fn cancel(args: &CancelArgs, output: &Output) -> Result<Exit, Failure> {
    let place = args.of.place()?;
    order(&place, Wanted::Cancel)?;
    if place.has_sender()? {
        output.note("the sender ends it");
        return Ok(Exit::Ok);
    }
    // Who cancels has done what they wanted.
    match take_over(place, false, &args.server, output)? {
        Exit::Conflict => Ok(Exit::Ok),
        other => Ok(other),
    }
}

/// Whether everybody has an outcome, and nobody ended it before.
fn is_finished(place: &LedgerPlace) -> Result<bool, Failure> {
    let ledger = place.look().map_err(|error| failed(error.into()))?;
    let standing: Option<Standing> = read(&*ledger, Fact::Standing).map_err(failed)?;
    Ok(standing.is_some_and(|standing| standing.doing == Doing::Finished))
}

/// Gives an order, unless all is over.
pub(super) fn order(place: &LedgerPlace, wanted: Wanted) -> Result<(), Failure> {
    let mut ledger = place.look().map_err(|error| failed(error.into()))?;
    let standing: Option<Standing> = read(&*ledger, Fact::Standing).map_err(failed)?;
    if let Some(over) = standing.filter(|standing| standing.doing.is_over()) {
        let doing = over.doing.words();
        return Err(Failure::new(
            Exit::Conflict,
            format_args!("the mailing is over: {doing} since {}", over.since),
        ));
    }
    let by = this_user().unwrap_or_default();
    let order = Order { wanted, by, at: SystemClock.wall() };
    let holds = give(&mut *ledger, order).map_err(failed)?;
    if holds.wanted != wanted {
        return Err(Failure::new(Exit::Conflict, "the mailing was cancelled, which is for good"));
    }
    Ok(())
}

/// Becomes the sender of a mailing that was begun.
fn take_over(
    place: LedgerPlace,
    retries_doubtful: bool,
    server: &ServerArgs,
    output: &Output,
) -> Result<Exit, Failure> {
    let (mut ledger, key) = place.open(output).map_err(|error| failed(error.into()))?;
    let nothing = || Failure::new(Exit::Failure, "no mailing was ever begun in this ledger");
    let signed: Signed = read(&*ledger, Fact::Mailing).map_err(failed)?.ok_or_else(nothing)?;
    let settings = ledger.fact(Fact::Settings).map_err(|error| failed(error.into()))?;
    let settings: Settings =
        serde_json::from_str(&settings.ok_or_else(nothing)?).map_err(unreadable)?;
    remember(&mut *ledger, &place)?;
    let now = SystemClock.wall().as_second();
    let doubtful = ledger.doubt(now).map_err(|error| failed(error.into()))?;
    if doubtful != 0 {
        output.note(format_args!("{doubtful} were in hand when the last sender died: in doubt"));
    }
    let runtime = runtime()?;
    // Nobody's leave is needed to write to nobody.
    let is_cancelled = is_cancelled(&*ledger)?;
    let (client, author) = match is_cancelled {
        true => (None, String::new()),
        false => (server_of(&signed, server, &runtime, output)?, author(server)?),
    };
    let files = signed_files(&settings, &signed.plan, is_cancelled)?;
    // Last, when nothing else stands in the way: nobody is made pending for nothing.
    if retries_doubtful && !is_cancelled {
        settings.check()?;
        let many = retry(&mut *ledger).map_err(failed)?;
        output.note(format_args!("{many} in doubt are tried again"));
    }
    let sender = Sender { place, ledger, key, settings, files, signed, author, server, output };
    sender.run(client.as_ref(), &runtime)
}

/// The server; nothing where none answers, and none is needed.
fn server_of(
    signed: &Signed,
    server: &ServerArgs,
    runtime: &Runtime,
    output: &Output,
) -> Result<Option<Client>, Failure> {
    match approved(signed, server, runtime) {
        Ok(client) => Ok(Some(client)),
        // It was seen who signed it, and a service message goes on without rules (R10).
        Err(failure) if failure.exit() == Exit::Unreachable && signed.plan.kind == Kind::Notify => {
            output.note("no server answers: goes on without");
            Ok(None)
        }
        Err(failure) => Err(failure),
    }
}

/// The server, which says that the mailing is still approved as it was begun.
fn approved(signed: &Signed, server: &ServerArgs, runtime: &Runtime) -> Result<Client, Failure> {
    let client = connect(server, runtime)??;
    let found = runtime.block_on(signature(&client, &signed.plan))?;
    refuse_other_approval(signed, &found)?;
    Ok(client)
}

/// Refuses the approval of another change: a mailing that was taken back may be proposed again under its name, and
/// was not approved for this ledger then.
fn refuse_other_approval(signed: &Signed, found: &Signed) -> Result<(), Failure> {
    if found.number == signed.number {
        return Ok(());
    }
    let Signed { number, plan, .. } = signed;
    let what = format_args!(
        "mailing `{}` was approved anew as change {}, and this ledger was begun for change {number}",
        plan.name, found.number
    );
    Err(Failure::new(Exit::Conflict, what).help(format_args!(
        "go on with the ledger that change {} was begun in; this one ends with: batch cancel",
        found.number
    )))
}

/// Whether a mailing is over.
pub(super) fn is_over(standing: Option<&Standing>) -> bool {
    standing.is_some_and(|standing| Doing::is_over(standing.doing))
}
