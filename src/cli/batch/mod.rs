//! `offergate batch`: jobs over whole files of customers, and mailings to them. What they do is [`crate::jobs`]'s.

#[cfg(feature = "mail")]
mod approval;
#[cfg(feature = "mail")]
mod binding;
mod decide;
#[cfg(feature = "mail")]
mod files;
mod interrupt;
#[cfg(feature = "mail")]
mod kept;
#[cfg(feature = "mail")]
mod ledger;
mod merge;
mod progress;
#[cfg(feature = "mail")]
mod propose;
#[cfg(feature = "mail")]
mod report;
mod sample;
#[cfg(feature = "mail")]
mod send;
#[cfg(feature = "mail")]
mod sender;
#[cfg(feature = "mail")]
mod settings;

use super::exit::{Exit, Failure};
use super::output::Output;
use crate::jobs::{Format, JobError};
use crate::ledger::LedgerError;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

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
    Status(Box<report::StatusArgs>),
    #[cfg(feature = "mail")]
    Pause(Box<report::PauseArgs>),
    #[cfg(feature = "mail")]
    Resume(Box<send::ResumeArgs>),
    #[cfg(feature = "mail")]
    Cancel(Box<send::CancelArgs>),
    #[cfg(feature = "mail")]
    Report(Box<report::ReportArgs>),
    #[cfg(feature = "mail")]
    Erase(Box<report::EraseArgs>),
    Sample(sample::Args),
}

/// The form of a file.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum FormatArg {
    Csv,
    Jsonl,
    Parquet,
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
        BatchCommand::Sample(args) => sample::run(args, output),
    }
}

/// The jobs whose file is named by `--output`.
const WRITE_FILES: [&str; 2] = ["decide", "sample"];

/// Lets a job that writes a file have it named by `--output`, as a batch job's users expect, where every other
/// command means the form of what it prints: there it is `--to`, and nothing is printed.
pub(super) fn spelled(mut arguments: Vec<OsString>) -> Vec<OsString> {
    let start = arguments.array_windows().position(|[batch, job]| {
        batch == "batch" && WRITE_FILES.iter().any(|writes| job == writes)
    });
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

/// A file and its form, by its name where nobody said.
fn form(path: &Path, stated: Option<FormatArg>) -> Result<(PathBuf, Format), Failure> {
    let stated = stated.map(|stated| match stated {
        FormatArg::Csv => Format::Csv,
        FormatArg::Jsonl => Format::Jsonl,
        FormatArg::Parquet => Format::Parquet,
    });
    Format::of(path, stated).map(|format| (path.to_owned(), format)).map_err(failed)
}

/// How many threads work, unless somebody says otherwise.
fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// How a job's error ends the command.
fn failed(error: JobError) -> Failure {
    let exit = match &error {
        JobError::Usage(_) => Exit::Usage,
        JobError::NoFile(_) | JobError::OfferUnknown { .. } => Exit::NotFound,
        JobError::RulesMoved { .. }
        | JobError::Changed(_)
        | JobError::Ledger(
            LedgerError::InUse { .. } | LedgerError::Exists(_) | LedgerError::TakenOver(_),
        ) => Exit::Conflict,
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
            ("offergate batch sample --output -", "offergate batch sample --to -"),
            ("offergate batch merge --output json", "offergate batch merge --output json"),
            ("offergate status --output json", "offergate status --output json"),
        ] {
            assert_eq!(spelled(given), expected);
        }
    }
}
