//! `offergate audit exposures`: everybody who was answered `ELIGIBLE` for what a vendor is behind.
//!
//! Invariant: a list that may lack somebody says `at least`, and why.

use super::decision_files::segments_of;
use super::key_file;
use super::revisions::{Kept, RevisionArgs};
use crate::audit::decisions::Recorded;
use crate::audit::decisions::folder::{SegmentFile, each_line};
use crate::audit::decisions::segment::{Line, Parts};
use crate::cli::exit::{Exit, Failure};
use crate::cli::instants::ZoneArgs;
use crate::cli::output::{Answer, Output};
use crate::cli::text::{Text, counted};
use crate::decision::Involvement;
use crate::domain::{Revision, Timestamp, VendorId};
use crate::service::{Exposure, Exposures};
use serde::Serialize;
use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// List everybody who was answered ELIGIBLE for what a vendor is behind
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Reads the decision logs of all servers; for each decision, the vendor's family and components are those of
its rules at its instant. Notices (NOTIFY) do not count. With --list the list goes to a new CSV file; it
names customers, so keep it as you keep the log.

Example:
  offergate audit exposures --vendor kaspersky-labs-ltd --from 2017-01-01T00:00:00Z \\
    --until 2017-12-02T00:00:00Z --list exposed.csv /var/lib/offergate/decisions")]
pub(super) struct Args {
    /// Folders of decision logs, or segments
    #[arg(required = true, value_name = "DIR|FILE")]
    paths: Vec<PathBuf>,

    /// The vendor
    #[arg(long, value_name = "ID")]
    vendor: VendorId,

    /// From this instant on
    #[arg(long, value_name = "INSTANT")]
    from: String,

    /// Before this instant
    #[arg(long, value_name = "INSTANT")]
    until: String,

    #[command(flatten)]
    zone: ZoneArgs,

    /// Write the list to this new file, as CSV, and print the summary alone
    #[arg(long, value_name = "FILE")]
    list: Option<PathBuf>,

    #[command(flatten)]
    revisions: RevisionArgs,
}

pub(super) fn run(args: &Args, output: &Output) -> Result<Exit, Failure> {
    let from = args.zone.read("--from", &args.from)?;
    let until = args.zone.read("--until", &args.until)?;
    if until <= from {
        return Err(Failure::usage("--until is not after --from"));
    }
    let mut reading =
        Reading { args, output, behind: Kept::new(), found: Exposures::between(from, until) };
    for segment in segments_of(&args.paths)? {
        // A segment that was begun later may still hold what waited for it.
        reading.segment(&segment)?;
    }
    let found = reading.found;
    let mut report = Report::of(&found, args.list.is_none());
    if let Some(path) = &args.list {
        write_list(path, &found)
            .map_err(|error| key_file::failed(path, "cannot be written", error))?;
        report.file = Some(path.display().to_string());
    }
    output.answer(&report)?;
    Ok(Exit::Ok)
}

struct Reading<'a> {
    args: &'a Args,
    output: &'a Output,
    behind: Kept<String, Involvement>,
    found: Exposures,
}

enum Broken {
    Failure(Failure),
    Io(io::Error),
}

impl From<Failure> for Broken {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

impl From<io::Error> for Broken {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl Reading<'_> {
    fn segment(&mut self, segment: &SegmentFile) -> Result<(), Failure> {
        let io = |error| key_file::failed(&segment.path, "cannot be read", error);
        let mut number = 0;
        let read = each_line::<Broken>(segment.open().map_err(io)?, |line, is_whole| {
            number += 1;
            if is_whole {
                let place = || format!("{}:{number}", segment.path.display());
                self.line(line).map_err(|failure| failure.at(&place()))?;
            }
            Ok(true)
        });
        match read {
            Ok(()) => Ok(()),
            Err(Broken::Failure(failure)) => Err(failure),
            Err(Broken::Io(error)) => Err(io(error)),
        }
    }

    fn line(&mut self, line: &[u8]) -> Result<(), Failure> {
        let unreadable = || {
            Failure::new(Exit::Failure, "the line is none of a decision log")
                .help("see `offergate audit decisions verify`")
        };
        match Parts::of(line).ok_or_else(unreadable)?.line {
            Line::Header(header) => self.found.take_sample(header.sample),
            Line::Gap(gap) => self.found.take_gap(&gap),
            Line::Footer(..) => {}
            Line::Record(_) => {
                let text = std::str::from_utf8(line).map_err(|_| unreadable())?;
                let record = Recorded::read(text).map_err(|error| unreadable().because(error))?;
                if self.found.may_be(&record) {
                    let behind = self.behind(&record)?;
                    self.found.take(&record, &behind);
                }
            }
        }
        Ok(())
    }

    /// What the vendor is behind, by the rules of a record.
    fn behind(&mut self, record: &Recorded<'_>) -> Result<std::sync::Arc<Involvement>, Failure> {
        let Self { args, output, .. } = self;
        self.behind.get(record.token.to_string(), || {
            let revision = Revision(record.revision);
            let rules = args.revisions.load(revision, &record.token, output)?;
            Involvement::of(&rules, &args.vendor).map_err(|error| {
                Failure::new(Exit::Failure, "the rules of a revision cannot be used").because(error)
            })
        })
    }
}

/// Writes the list into a new file, for its owner alone.
fn write_list(path: &Path, found: &Exposures) -> io::Result<()> {
    let file = File::options().write(true).create_new(true).mode(0o600).open(path)?;
    let written = (|| {
        let mut writer = csv::Writer::from_writer(BufWriter::new(&file));
        for exposure in found.iter() {
            writer.serialize(Row::of(exposure))?;
        }
        writer.flush()?;
        (&file).flush()?;
        file.sync_all()
    })();
    if written.is_err() {
        // Half a list would be taken for the whole one.
        let _ = std::fs::remove_file(path);
    }
    written
}

/// A customer and an offer.
#[derive(Debug, Serialize)]
struct Row {
    customer: String,
    offer: String,
    first: Timestamp,
    last: Timestamp,
    count: u64,
    actions: String,
    involved: String,
}

impl Row {
    fn of(exposure: &Exposure) -> Self {
        let actions: Vec<_> = exposure.actions.iter().map(String::as_str).collect();
        let involved: Vec<_> = exposure.involved.iter().map(|it| it.name()).collect();
        Self {
            customer: exposure.customer.clone(),
            offer: exposure.offer.clone(),
            first: exposure.first,
            last: exposure.last,
            count: exposure.count,
            actions: actions.join(" "),
            involved: involved.join(" "),
        }
    }
}

#[derive(Debug, Serialize)]
struct Day {
    offer: String,
    day: String,
    decisions: u64,
    customers: u64,
}

/// What was found out, for people and for scripts.
#[derive(Debug, Serialize)]
struct Report {
    is_complete: bool,
    customers: usize,
    missing: u64,
    uncounted_gaps: u64,
    sample: f64,
    file: Option<String>,
    days: Vec<Day>,
    exposures: Vec<Row>,
}

impl Report {
    fn of(found: &Exposures, with_list: bool) -> Self {
        let days = found.days().map(|(offer, day, count)| Day {
            offer: offer.to_owned(),
            day: day.to_string(),
            decisions: count.decisions,
            customers: count.customers,
        });
        Self {
            is_complete: found.is_complete(),
            customers: found.customers(),
            missing: found.missing,
            uncounted_gaps: found.uncounted_gaps,
            sample: found.sample,
            file: None,
            days: days.collect(),
            exposures: if with_list { found.iter().map(Row::of).collect() } else { Vec::new() },
        }
    }
}

impl Answer for Report {
    const COLUMNS: &'static [&'static str] =
        &["customers", "is_complete", "missing", "uncounted_gaps", "sample"];

    fn text(&self, text: &mut Text) {
        let customers = counted(u64::try_from(self.customers).unwrap_or(u64::MAX), "customer");
        if self.is_complete {
            text.line(format_args!("{customers} were told yes"));
        } else {
            text.line(format_args!("at least {customers} were told yes: the log is not whole"));
            if self.sample < 1.0 {
                text.line(format_args!("  no more than a share of {} was recorded", self.sample));
            }
            if 0 < self.missing {
                text.line(format_args!("  {} went unrecorded", counted(self.missing, "decision")));
            }
            if 0 < self.uncounted_gaps {
                let gaps = counted(self.uncounted_gaps, "gap");
                text.line(format_args!("  {gaps} after an abrupt end, which nobody can count"));
            }
        }
        if let Some(file) = &self.file {
            text.line(format_args!("the list is in {file}"));
        }
        if !self.days.is_empty() {
            text.gap();
            let row = |day: &Day| {
                [
                    day.offer.clone(),
                    day.day.clone(),
                    day.customers.to_string(),
                    day.decisions.to_string(),
                ]
            };
            text.table(&["OFFER", "DAY", "CUSTOMERS", "DECISIONS"], self.days.iter().map(row));
        }
        if !self.exposures.is_empty() {
            text.gap();
            let row = |row: &Row| {
                [
                    row.customer.clone(),
                    row.offer.clone(),
                    row.first.to_string(),
                    row.last.to_string(),
                    row.count.to_string(),
                ]
            };
            let columns = ["CUSTOMER", "OFFER", "FIRST", "LAST", "COUNT"];
            text.table(&columns, self.exposures.iter().map(row));
        }
    }
}
