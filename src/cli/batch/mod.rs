//! `offergate batch`: jobs over whole files of customers, and mailings to them. What they do is [`crate::jobs`]'s.

mod decide;
#[cfg(feature = "mail")]
mod files;
mod merge;
mod progress;
#[cfg(feature = "mail")]
mod propose;
#[cfg(feature = "mail")]
mod report;
#[cfg(feature = "mail")]
mod send;
#[cfg(feature = "mail")]
mod sender;
#[cfg(feature = "mail")]
mod settings;

use super::exit::{Exit, Failure};
use super::output::Output;
use crate::jobs::JobError;
use crate::ledger::LedgerError;
use std::ffi::OsString;

/// Decide for whole files of customers, and write to each of them once
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: BatchCommand,
}

#[derive(Debug, clap::Subcommand)]
enum BatchCommand {
    Decide(Box<decide::Args>),
    Merge(merge::Args),
    #[cfg(feature = "mail")]
    Propose(Box<propose::Args>),
    #[cfg(feature = "mail")]
    Send(Box<send::Args>),
    #[cfg(feature = "mail")]
    Status(report::StatusArgs),
    #[cfg(feature = "mail")]
    Pause(report::PauseArgs),
    #[cfg(feature = "mail")]
    Resume(Box<send::ResumeArgs>),
    #[cfg(feature = "mail")]
    Cancel(Box<send::CancelArgs>),
    #[cfg(feature = "mail")]
    Report(report::ReportArgs),
    #[cfg(feature = "mail")]
    Erase(report::EraseArgs),
}

pub(super) fn run(args: &Args, output: &Output) -> Result<Exit, Failure> {
    match &args.command {
        BatchCommand::Decide(args) => decide::run(args, output),
        BatchCommand::Merge(args) => merge::run(args, output),
        #[cfg(feature = "mail")]
        BatchCommand::Propose(args) => propose::run(args, output),
        #[cfg(feature = "mail")]
        BatchCommand::Send(args) => send::run(args, output),
        #[cfg(feature = "mail")]
        BatchCommand::Status(args) => report::status(args, output),
        #[cfg(feature = "mail")]
        BatchCommand::Pause(args) => report::pause(args, output),
        #[cfg(feature = "mail")]
        BatchCommand::Resume(args) => send::resume(args, output),
        #[cfg(feature = "mail")]
        BatchCommand::Cancel(args) => send::cancel(args, output),
        #[cfg(feature = "mail")]
        BatchCommand::Report(args) => report::report(args, output),
        #[cfg(feature = "mail")]
        BatchCommand::Erase(args) => report::erase(args, output),
    }
}

/// Lets `batch decide` have its file named by `--output`, as a batch job's users expect, where every other
/// command means the form of what it prints: there it is `--to`, and nothing is printed.
pub(super) fn spelled(mut arguments: Vec<OsString>) -> Vec<OsString> {
    let start = arguments.windows(2).position(|two| two == ["batch", "decide"]);
    for argument in arguments.iter_mut().skip(start.unwrap_or(usize::MAX)) {
        let Some(text) = argument.to_str() else { continue };
        match text.strip_prefix("--output") {
            Some("") => *argument = "--to".into(),
            Some(value) if value.starts_with('=') => *argument = format!("--to{value}").into(),
            _ => {}
        }
    }
    arguments
}

/// How a job's error ends the command.
fn failed(error: JobError) -> Failure {
    let exit = match &error {
        JobError::Usage(_) => Exit::Usage,
        JobError::NoFile(_) | JobError::OfferUnknown { .. } => Exit::NotFound,
        JobError::RulesMoved { .. }
        | JobError::Changed(_)
        | JobError::Ledger(LedgerError::InUse { .. } | LedgerError::Exists(_)) => Exit::Conflict,
        JobError::Ledger(LedgerError::Missing(_)) => Exit::NotFound,
        JobError::Input { .. }
        | JobError::Io { .. }
        | JobError::TooManyRejects { .. }
        | JobError::Ledger(_)
        | JobError::Rules(_)
        | JobError::Server { .. } => Exit::Failure,
    };
    match error {
        JobError::Server { doing, source } => super::connection::failed(doing)(source),
        JobError::Io { doing, source } => {
            Failure::new(exit, format_args!("{doing} failed")).because(source)
        }
        JobError::Ledger(LedgerError::Failed { doing, source }) => {
            Failure::new(exit, format_args!("the ledger failed while {doing}")).because(source)
        }
        JobError::OfferUnknown { .. } => Failure::new(exit, error).help(
            "`offergate find TEXT` finds ids by name; --allow-unknown-offer decides OFFER_UNKNOWN",
        ),
        other => Failure::new(exit, other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_names_a_file_for_batch_decide_alone() {
        let spelled = |line: &str| {
            let line = line.split(' ').map(OsString::from).collect();
            spelled(line).join(std::ffi::OsStr::new(" "))
        };
        for (given, expected) in [
            ("offergate batch decide --output a.csv", "offergate batch decide --to a.csv"),
            ("offergate batch decide --output=a.csv", "offergate batch decide --to=a.csv"),
            (
                "offergate batch decide --output-format csv",
                "offergate batch decide --output-format csv",
            ),
            ("offergate batch merge --output json", "offergate batch merge --output json"),
            ("offergate status --output json", "offergate status --output json"),
        ] {
            assert_eq!(spelled(given), expected);
        }
    }
}
