//! `offergate batch`: jobs over whole files of customers. What they do is [`crate::jobs`]'s.

mod decide;
mod merge;
mod progress;

use super::exit::{Exit, Failure};
use super::output::Output;
use crate::jobs::JobError;
use crate::ledger::LedgerError;
use std::ffi::OsString;

/// Decide for whole files of customers
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: BatchCommand,
}

#[derive(Debug, clap::Subcommand)]
enum BatchCommand {
    Decide(Box<decide::Args>),
    Merge(merge::Args),
}

pub(super) fn run(args: &Args, output: &Output) -> Result<Exit, Failure> {
    match &args.command {
        BatchCommand::Decide(args) => decide::run(args, output),
        BatchCommand::Merge(args) => merge::run(args, output),
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
