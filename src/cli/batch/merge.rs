//! `offergate batch merge`: the summary of a whole job from those of its shards.

use super::super::exit::{Exit, Failure};
use super::super::output::Output;
use super::super::request_args::read_text;
use crate::jobs::{Summary, merge};
use std::path::PathBuf;

/// Largest summary: a line for each reason that rules can give.
const MOST_BYTES: u64 = 16 << 20;

/// Add the summaries of all shards of one job, and print the whole as JSON
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Refuses summaries of different inputs, revisions, instants or questions, and a missing shard (exit code 4).

Example:
  offergate batch merge shard-*.json > whole.json")]
pub(super) struct Args {
    /// What `batch decide --summary` wrote
    #[arg(required = true, value_name = "SUMMARY")]
    summaries: Vec<PathBuf>,
}

pub(super) fn run(args: &Args, output: &Output) -> Result<Exit, Failure> {
    let mut summaries: Vec<Summary> = Vec::new();
    for path in &args.summaries {
        let text = read_text(path, MOST_BYTES)?;
        let summary = serde_json::from_str(&text).map_err(|error| {
            Failure::new(Exit::Failure, format_args!("{}: no summary", path.display()))
                .because(error)
        })?;
        summaries.push(summary);
    }
    let whole = merge(&summaries).map_err(|why| {
        Failure::new(Exit::Conflict, format_args!("these summaries are not one job's: {why}"))
    })?;
    output.raw(&text(&whole)?)?;
    Ok(Exit::Ok)
}

/// A summary as a file has it.
pub(super) fn text(summary: &Summary) -> Result<String, Failure> {
    serde_json::to_string_pretty(summary).map(|text| text + "\n").map_err(|error| {
        Failure::new(Exit::Failure, "the summary cannot be written").because(error)
    })
}
