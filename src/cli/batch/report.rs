//! `offergate batch status`, `report`, `pause` and `erase`: what a ledger says, and what is asked of it. None of
//! them needs a server.

use super::super::exit::{Exit, Failure};
use super::super::output::{Answer, Output};
use super::super::text::Text;
use super::failed;
use super::kept::{Kept, kept};
use super::ledger::{BegunArgs, LedgerPlace};
use super::propose::plan_fields;
use super::send::{is_over, order};
use super::sender::{remove_lists, write_lists};
use super::settings::{Settings, unreadable};
use crate::clock::{Clock as _, SystemClock};
use crate::jobs::mailing::{Report, Standing, Tally, Wanted, lists};
use crate::ledger::{Fact, KeyError, Ledger, LedgerError, LedgerKey};
use serde::Serialize;

/// Tell where a mailing stands
#[derive(Debug, clap::Args)]
pub(super) struct StatusArgs {
    #[command(flatten)]
    of: BegunArgs,
}

/// Let a mailing stand still, with nothing in anybody's hands
#[derive(Debug, clap::Args)]
pub(super) struct PauseArgs {
    #[command(flatten)]
    of: BegunArgs,
}

/// Tell what a mailing did, for a person to sign
#[derive(Debug, clap::Args)]
pub(super) struct ReportArgs {
    #[command(flatten)]
    of: BegunArgs,

    /// Write who is in doubt and which rows were rejected beside the ledger, too: reads the audience
    #[arg(long)]
    lists: bool,
}

/// Destroy the key that tells who the recipients were, and the lists of them; counts stay
#[derive(Debug, clap::Args)]
pub(super) struct EraseArgs {
    #[command(flatten)]
    of: BegunArgs,

    /// Only when the time to keep it is over; else do nothing
    #[arg(long)]
    if_due: bool,

    /// Erase even though the mailing is not over: nobody can go on with it
    #[arg(long)]
    unfinished: bool,
}

/// Where a mailing stands.
#[derive(Debug, Serialize)]
struct Status {
    mailing: String,
    standing: Option<Standing>,
    /// Whether a process sends now.
    has_sender: bool,
    recipients: Tally,
}

#[derive(Debug, Serialize)]
struct Told {
    #[serde(flatten)]
    report: Report,
    /// SHA-256 of the rest: what a person signs.
    report_sha256: String,
}

fn look(place: &LedgerPlace) -> Result<Box<dyn Ledger>, Failure> {
    place.look().map_err(|error| failed(error.into()))
}

pub(super) fn status(args: &StatusArgs, output: &Output) -> Result<Exit, Failure> {
    let place = args.of.place()?;
    let report = Report::read(&*look(&place)?).map_err(failed)?;
    let has_sender = place.seems_sent()?;
    output.answer(&Status {
        mailing: report.signed.plan.name,
        standing: report.standing,
        has_sender,
        recipients: report.recipients,
    })?;
    Ok(Exit::Ok)
}

pub(super) fn pause(args: &PauseArgs, output: &Output) -> Result<Exit, Failure> {
    order(&args.of.place()?, Wanted::Pause)?;
    output.note("it will stand still; `batch resume` lets it go on");
    Ok(Exit::Ok)
}

pub(super) fn report(args: &ReportArgs, output: &Output) -> Result<Exit, Failure> {
    let place = args.of.place()?;
    let ledger = look(&place)?;
    let report = Report::read(&*ledger).map_err(failed)?;
    if args.lists {
        let key = place.key();
        let opened =
            LedgerKey::open(&key).map_err(LedgerError::from).and_then(|opened| {
                match ledger.is_named_by(&opened)? {
                    true => Ok(opened),
                    false => Err(KeyError::Other(key).into()),
                }
            });
        let key = opened.map_err(|error| failed(error.into()))?;
        let (source, _) = settings(&*ledger)?.source()?;
        let lists = lists(&source, &report.signed.plan, &*ledger, &key).map_err(failed)?;
        write_lists(place.lists(), &lists, output)?;
    }
    let report_sha256 = report.digest().map_err(failed)?;
    output.answer(&Told { report, report_sha256 })?;
    Ok(Exit::Ok)
}

pub(super) fn erase(args: &EraseArgs, output: &Output) -> Result<Exit, Failure> {
    let place = args.of.place()?;
    // Held to the end, so that nobody takes the mailing over meanwhile.
    let mut ledger = match place.hold() {
        Ok(ledger) => ledger,
        Err(LedgerError::InUse { .. }) => {
            return Err(Failure::new(Exit::Conflict, "the mailing is being sent"));
        }
        Err(error) => return Err(failed(error.into())),
    };
    let report = Report::read(&*ledger).map_err(failed)?;
    let is_over = is_over(report.standing.as_ref());
    let now = SystemClock.wall();
    if args.if_due {
        let days = i64::from(settings(&*ledger)?.keep_days());
        let kept = jiff::SignedDuration::from_hours(24 * days);
        let since = report.standing.as_ref().map_or(now, |standing| standing.since);
        let due = since.checked_add(kept).unwrap_or(crate::domain::Timestamp::MAX);
        if now < due || !is_over {
            output.note(format_args!("the key is kept until {due} and until the mailing is over"));
            return Ok(Exit::Ok);
        }
    }
    if !is_over && !args.unfinished {
        return Err(Failure::new(Exit::Conflict, "the mailing is not over").help(
            "`batch cancel` ends it; --unfinished erases all the same, and nobody can go on with it",
        ));
    }
    let error = |error: LedgerError| failed(error.into());
    let (here, kept) = (Kept::here(&place), kept(&*ledger)?);
    let key = place.key();
    // Whoever destroyed this very one may have died before that was written down; else it may only have been moved.
    let begun = ledger.fact(Fact::Erasing).map_err(error)?;
    let is_known = report.erased.is_some() || begun.as_deref() == Some(here.key());
    // One that opens is this ledger's, or nobody could hold it.
    if !is_known && LedgerKey::open(&key).is_err() {
        return Err(no_key(&here, &kept));
    }
    ledger.set_fact(Fact::Erasing, here.key()).map_err(error)?;
    remove_lists(place.lists())?;
    let was_there = LedgerKey::destroy(&key).map_err(|it| error(it.into()))?;
    if report.erased.is_none() {
        ledger.set_fact(Fact::Erased, &now.to_string()).map_err(error)?;
    }
    let mut is_all = true;
    for left in kept.iter().filter(|it| **it != here && it.is_left()) {
        output.note(format_args!("another sender had {left}: erase it there, too"));
        is_all = false;
    }
    output.note(match (was_there, is_all) {
        (true, true) => "the key is destroyed: who the recipients were cannot be told any more",
        (true, false) => "the key here is destroyed: whoever has another copy can still tell",
        (false, _) => "the key was gone already",
    });
    Ok(Exit::Ok)
}

/// There is nothing to erase here, and something elsewhere.
fn no_key(here: &Kept, kept: &[Kept]) -> Failure {
    let what = format_args!("there is no key at {}: nothing was erased", here.key());
    let elsewhere: Vec<_> = kept.iter().map(|it| format!("\n  {it}")).collect();
    let failure = Failure::new(Exit::Failure, what);
    match elsewhere.is_empty() {
        true => failure.help("it is beside the ledger, or where --ledger-key says"),
        false => failure.help(format_args!(
            "name it with --ledger-key, from the folder with the lists; its senders had:{}",
            elsewhere.concat()
        )),
    }
}

fn settings(ledger: &dyn Ledger) -> Result<Settings, Failure> {
    let text = ledger.fact(Fact::Settings).map_err(|error| failed(error.into()))?;
    serde_json::from_str(&text.unwrap_or_default()).map_err(unreadable)
}

fn standing(standing: Option<&Standing>, has_sender: Option<bool>) -> String {
    let Some(Standing { doing, why, since }) = standing else { return "not begun".to_owned() };
    let mut text = doing.words().to_owned();
    if !why.is_empty() {
        text += &format!(", {why}");
    }
    text += &format!(", since {since}");
    if has_sender == Some(false) && !doing.is_over() {
        text += "; no process sends: `offergate batch resume` takes over";
    }
    text
}

fn tally(text: &mut Text, tally: &Tally) {
    text.table(
        &["AUDIENCE", "SENT", "NOT SENT", "FAILED", "IN DOUBT", "IN HAND", "PENDING"],
        [[
            tally.audience,
            tally.sent,
            tally.not_sent,
            tally.failed,
            tally.in_doubt,
            tally.begun,
            tally.pending,
        ]
        .map(|number| number.to_string())],
    );
}

impl Answer for Status {
    const COLUMNS: &'static [&'static str] = &[
        "mailing",
        "standing.doing",
        "has_sender",
        "recipients.audience",
        "recipients.sent",
        "recipients.not_sent",
        "recipients.failed",
        "recipients.in_doubt",
        "recipients.pending",
    ];

    fn text(&self, text: &mut Text) {
        text.fields(&[
            ("mailing", self.mailing.clone()),
            ("it is", standing(self.standing.as_ref(), Some(self.has_sender))),
        ]);
        text.gap();
        tally(text, &self.recipients);
    }
}

impl Answer for Told {
    const COLUMNS: &'static [&'static str] = &[
        "signed.plan.name",
        "standing.doing",
        "recipients.audience",
        "recipients.sent",
        "recipients.not_sent",
        "recipients.failed",
        "recipients.in_doubt",
        "leaked",
        "report_sha256",
    ];

    fn text(&self, text: &mut Text) {
        let Report { signed, began, recipients, lines, .. } = &self.report;
        let mut fields = plan_fields(&signed.plan, &signed.plan_sha256);
        let by = format!("{} and {}, at {}", signed.author, signed.approver, signed.approved_at);
        let revisions: Vec<_> = self.report.revisions.iter().map(ToString::to_string).collect();
        let began = began.as_ref().map(|began| began.at.to_string()).unwrap_or_default();
        fields.extend([
            ("signed by", by),
            ("as change", format!("{}, digest {}", signed.number, signed.digest)),
            ("began", began),
            ("it is", standing(self.report.standing.as_ref(), None)),
            ("revisions", revisions.join(", ")),
            ("leaked", self.report.leaks()),
            ("senders", self.report.senders.to_string()),
            ("erased", self.report.erased.clone().unwrap_or_default()),
        ]);
        text.fields(&fields);
        text.gap();
        tally(text, recipients);
        if self.report.proofs.audience != 0 {
            text.gap();
            text.line("proofs, which are no customers:");
            tally(text, &self.report.proofs);
        }
        text.gap();
        text.table(
            &["OUTCOME", "REASON", "REVISION", "RECIPIENTS"],
            lines.iter().map(|line| {
                let revision =
                    if line.revision == 0 { String::new() } else { line.revision.to_string() };
                [
                    line.outcome.to_owned(),
                    line.reason.clone(),
                    revision,
                    line.recipients.to_string(),
                ]
            }),
        );
        text.gap();
        text.line(format_args!("this report: SHA-256 {}", self.report_sha256));
        text.line("signed: ______________________________");
    }
}
