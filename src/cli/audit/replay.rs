//! `offergate audit replay`: decides recorded decisions again, and prints every difference.
//!
//! Invariant: exit code 0 says that every record that was asked for was decided again, by the compiled
//! rules and by their twin, and that nothing differed.

use super::decision_files::{each_record, find};
use super::replaying::{self, Feed, Outcome, Outcomes, Rules, day_of, read};
use super::revisions::{Kept, RevisionArgs};
use crate::audit::decisions::Recorded;
use crate::cli::decision_log::customer_keys;
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::{Answer, Output};
use crate::cli::text::{Text, counted};
use crate::domain::Date;
use crate::service::ReplayDifference;
use serde::Serialize;
use std::collections::BinaryHeap;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Mutex;
use uuid::Uuid;

/// Most differences that are printed; the others are counted.
const MOST: usize = 1_000;

/// Decide recorded decisions again, by the rules of their revisions, and demand the same answers
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Decides each record twice: as the server does, and by the slow twin of it. Outcome, reasons, their order,
suspensions, exemptions, alternate and validity have to be the same. Where customers are named by a key and
rules name customers, --customer-key-file says who is meant. Exit code 1 when anything differs.

Examples:
  offergate audit replay 0193b2c4-5d6e-7f80-9123-456789abcdef --log /var/lib/offergate/decisions
  offergate audit replay /var/lib/offergate/decisions --of-day 2026-11-23 --sample 10000
  offergate audit replay 20261124T090000Z-00000007.jsonl.zst --store backup.db")]
pub(super) struct Args {
    /// A folder of a decision log, a segment, a file with records, or the id of a decision
    #[arg(required = true, value_name = "ID|FILE|DIR")]
    what: Vec<String>,

    /// The folder of the decision log in which an id is looked for
    #[arg(long, value_name = "DIR")]
    log: Option<PathBuf>,

    /// No more than so many records, drawn by lot
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    sample: Option<u32>,

    /// Only those that were decided on this day, in UTC
    #[arg(long, value_name = "DATE")]
    of_day: Option<Date>,

    /// The keys by which the log names customers
    #[arg(long, value_name = "FILE")]
    customer_key_file: Option<PathBuf>,

    /// On how many threads records are decided; what is printed is the same with any number [default: one
    /// for each processor]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: Option<u16>,

    #[command(flatten)]
    revisions: RevisionArgs,
}

pub(super) fn run(args: &Args, output: &Output) -> Result<Exit, Failure> {
    let keys = match &args.customer_key_file {
        Some(path) => customer_keys(path)?,
        None => Vec::new(),
    };
    let rules = Rules {
        revisions: &args.revisions,
        output,
        keys: &keys,
        day: args.of_day,
        kept: Mutex::new(Kept::new()),
    };
    let mut report = Report::default();
    replaying::each(&rules, args.threads(), |feed| args.feed(feed), |found| report.add(found))?;
    output.answer(&report)?;
    let is_clean = report.differing == 0 && report.not_replayed == 0 && 0 < report.replayed;
    if report.replayed + report.not_replayed == 0 {
        return Err(Failure::new(Exit::NotFound, "there is no such record"));
    }
    Ok(if is_clean { Exit::Ok } else { Exit::Failure })
}

impl Args {
    fn threads(&self) -> NonZeroUsize {
        let given = self.threads.and_then(|threads| NonZeroUsize::new(usize::from(threads)));
        let all = || std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        given.unwrap_or_else(all)
    }

    /// Reads the records that are asked for.
    fn feed(&self, feed: &mut Feed<'_>) -> Result<(), Failure> {
        let mut paths = Vec::new();
        for what in &self.what {
            match Uuid::parse_str(what) {
                Ok(id) => {
                    let folder = self.log.as_ref().ok_or_else(|| {
                        Failure::usage(format_args!(
                            "`{what}` is a decision, and --log names no folder"
                        ))
                    })?;
                    feed.push(&find(folder, id)?, String::new);
                }
                Err(_) => paths.push(PathBuf::from(what)),
            }
        }
        match self.sample {
            None => each_record(&paths, |line, place| {
                Ok(feed.push(line, || format!("{}:{}", place.path.display(), place.line)))
            }),
            Some(most) => {
                let lines = drawn(&paths, most, self.of_day)?;
                let _ = lines.iter().all(|line| feed.push(line, String::new));
                Ok(())
            }
        }
    }
}

/// So many records, drawn by what is random in their ids: the same ones each time.
fn drawn(paths: &[PathBuf], most: u32, day: Option<Date>) -> Result<Vec<String>, Failure> {
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    let mut lowest: BinaryHeap<(u64, String)> = BinaryHeap::new();
    each_record(paths, |line, _| {
        let record = read(line)?;
        let random = Uuid::parse_str(&record.id).map_or(0, |id| id.as_u64_pair().1);
        let is_full = most <= lowest.len();
        let is_lower = lowest.peek().is_none_or(|(highest, _)| random < *highest);
        if (!is_full || is_lower) && day.is_none_or(|day| day == day_of(&record)) {
            if is_full {
                lowest.pop();
            }
            lowest.push((random, line.to_owned()));
        }
        Ok(true)
    })?;
    let mut lines: Vec<String> = lowest.into_iter().map(|(_, line)| line).collect();
    // Records name revisions nearly in order, and so their rules are looked up once.
    lines.sort_by_key(|line| Recorded::read(line).map_or(0, |record| record.seq));
    Ok(lines)
}

/// What came of it.
#[derive(Debug, Default, Serialize)]
struct Report {
    replayed: u64,
    differing: u64,
    not_replayed: u64,
    differences: Vec<DifferenceReport>,
    more: u64,
}

#[derive(Debug, Serialize)]
struct DifferenceReport {
    seq: u64,
    decision: String,
    by: &'static str,
    field: &'static str,
    recorded: String,
    decided: String,
}

impl Report {
    fn add(&mut self, found: Outcomes) {
        self.replayed += found.alike;
        for Outcome { seq, decision, differences } in found.others {
            match differences {
                Ok(differences) => {
                    self.replayed += 1;
                    self.differing += 1;
                    for ReplayDifference { by, field, recorded, decided } in differences {
                        let decision = decision.clone();
                        self.push(DifferenceReport { seq, decision, by, field, recorded, decided });
                    }
                }
                Err(error) => {
                    self.not_replayed += 1;
                    self.push(DifferenceReport {
                        seq,
                        decision,
                        by: "nobody",
                        field: "all",
                        recorded: "a decision".to_owned(),
                        decided: error.to_string(),
                    });
                }
            }
        }
    }

    fn push(&mut self, difference: DifferenceReport) {
        match self.differences.len() < MOST {
            true => self.differences.push(difference),
            false => self.more += 1,
        }
    }
}

impl Answer for Report {
    const COLUMNS: &'static [&'static str] = &["replayed", "differing", "not_replayed"];

    fn text(&self, text: &mut Text) {
        let replayed = counted(self.replayed, "decision");
        match (self.differing, self.not_replayed) {
            (0, 0) => text.line(format_args!("{replayed} decided again: no difference")),
            (differing, not_replayed) => text.line(format_args!(
                "{replayed} decided again: {differing} otherwise, and {not_replayed} not to be decided"
            )),
        }
        for it in &self.differences {
            text.line(format_args!(
                "  record {} ({}), {} by {}: `{}` was recorded, and is `{}`",
                it.seq, it.decision, it.field, it.by, it.recorded, it.decided
            ));
        }
        if 0 < self.more {
            text.line(format_args!("  and {} more", self.more));
        }
    }
}
