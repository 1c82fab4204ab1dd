//! `offergate batch sample`: a file of customers who do not exist, to try a day with.

use super::super::exit::{Exit, Failure};
use super::super::output::Output;
use super::{FormatArg, cores, failed, form};
use crate::domain::Date;
use crate::jobs::{Sample, SampleSummary, is_standard, sample_rates, write_file};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Make a file of customers who do not exist, like a bank's
#[derive(Debug, clap::Args)]
#[command(after_help = help())]
pub(super) struct Args {
    /// How many rows
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(..=1_000_000_000))]
    customers: u64,

    /// What they follow from
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,

    /// Where the rows go, written `--output FILE` or `--to FILE`: .csv, .jsonl or .parquet; - for standard output
    #[arg(long, value_name = "FILE")]
    to: PathBuf,

    /// Form of the file, where its name does not tell
    #[arg(long, value_name = "FORMAT", value_enum)]
    output_format: Option<FormatArg>,

    /// The day that ages and holdings are as of
    #[arg(long, value_name = "DATE", default_value = "2017-12-02")]
    day: Date,

    /// Only these columns
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    columns: Vec<String>,

    /// Write the addresses that want no marketing, one a line, as `batch send` takes them
    #[arg(long, value_name = "FILE")]
    unsubscribed: Option<PathBuf>,

    /// Write the summary as JSON, too
    #[arg(long, value_name = "FILE")]
    summary: Option<PathBuf>,

    /// How many threads make rows; without it one a core
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: Option<u16>,
}

fn help() -> String {
    let rates = sample_rates();
    format!(
        "\
The same seed, day and columns give the same bytes on any machine, and a longer file begins as a shorter one.
All addresses are under domains that are reserved for examples (RFC 2606).

{rates}

Examples:
  offergate batch sample --customers 290000 --output audience.csv
  offergate batch sample --customers 10000000 --seed 2 --output audience.parquet \\
      --columns id,country,segment,date_of_birth,holdings.kis.status"
    )
}

pub(super) fn run(args: &Args, output: &Output) -> Result<Exit, Failure> {
    let files = [Some(&args.to), args.unsubscribed.as_ref(), args.summary.as_ref()];
    let files: Vec<_> = files.into_iter().flatten().collect();
    for (place, path) in files.iter().enumerate() {
        if files.iter().take(place).any(|other| other == path) {
            return Err(Failure::usage(format_args!("{} is named twice", path.display())));
        }
    }
    if args.unsubscribed.as_deref().is_some_and(is_standard) {
        return Err(Failure::usage("--unsubscribed needs a file"));
    }
    let sample = Sample {
        customers: args.customers,
        seed: args.seed,
        day: args.day,
        columns: args.columns.clone(),
        output: form(&args.to, args.output_format)?,
        unsubscribed: args.unsubscribed.clone(),
        threads: args.threads.map_or_else(cores, usize::from),
    };
    let summary = crate::jobs::sample(&sample).map_err(failed)?;
    if let Some(path) = &args.summary {
        let text = serde_json::to_string_pretty(&summary).map_err(|error| {
            Failure::new(Exit::Failure, "the summary cannot be written").because(error)
        })?;
        write_file(path, &(text + "\n")).map_err(failed)?;
    }
    tell(&summary, output);
    Ok(Exit::Ok)
}

/// Tells the person what was made.
fn tell(summary: &SampleSummary, output: &Output) {
    let line = |name: &str, count: u64| output.note(format_args!("  {name:<38} {count:>12}"));
    let SampleSummary { customers, seed, day, .. } = summary;
    output.note(format_args!("made {customers} rows from seed {seed}, as of {day}"));
    line("rejected by batch decide", summary.rejected);
    line("same person again", summary.same_person_again);
    line("address shared in a household", summary.address_shared);
    line("want no marketing", summary.unsubscribed);
    let columns = |title: &str, counts: &BTreeMap<String, u64>| {
        output.note(title);
        counts.iter().for_each(|(name, count)| line(name, *count));
    };
    columns("missing", &summary.missing);
    columns("malformed", &summary.malformed);
    columns("holdings.kis.status", &summary.holdings);
}
