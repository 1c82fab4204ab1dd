//! `offergate audit decisions verify`: reads a decision log and says which line is not what it was, and
//! where decisions are missing.
//!
//! Invariant: `INTACT` is said of a log without a finding, and of one with gaps only with their numbers.

use super::decision_files::segments_of;
use super::{decision_reading, key_file};
use crate::audit::decisions::segment::Gap;
use crate::audit::decisions::{Auditor, Finding, Verdict};
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::{Answer, Output};
use crate::cli::text::{Text, counted};
use serde::Serialize;
use std::path::PathBuf;

/// Verify the decision log
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: DecisionsCommand,
}

#[derive(Debug, clap::Subcommand)]
enum DecisionsCommand {
    Verify(VerifyArgs),
}

/// Verify segments of a decision log: lines, chain, counts and signatures
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Needs the files and the public key, and no server of ours. Gaps are told with the numbers that they count;
they are no findings. The last segment may be open: it is signed when it is closed. What stands before the
first segment given, or after the last one, is not judged. Exit code 1 when anything is wrong.

Examples:
  offergate audit decisions verify --key audit.pub /var/lib/offergate/decisions
  offergate audit decisions verify --key audit.pub 20261124T*.jsonl.zst")]
struct VerifyArgs {
    /// Folders of decision logs, or segments
    #[arg(required = true, value_name = "DIR|FILE")]
    paths: Vec<PathBuf>,

    /// The verifier key, or a file that holds it
    #[arg(long, required_unless_present = "unsigned")]
    key: Option<String>,

    /// Be content with a log that nobody signed: whoever can write it can make another
    #[arg(long, conflicts_with = "key")]
    unsigned: bool,
}

pub(super) fn run(args: &Args, output: &Output) -> Result<Exit, Failure> {
    let DecisionsCommand::Verify(args) = &args.command;
    let key = args.key.as_deref().map(key_file::verifier).transpose()?;
    let mut auditor = Auditor::new(key.as_ref());
    decision_reading::judge(&mut auditor, &segments_of(&args.paths)?)?;
    let report = Report::of(auditor.finish());
    output.answer(&report)?;
    Ok(if report.findings.is_empty() { Exit::Ok } else { Exit::Failure })
}

/// What was found out, for people and for scripts.
#[derive(Debug, Serialize)]
struct Report {
    verdict: &'static str,
    segments: u64,
    records: u64,
    signed: u64,
    first_seq: Option<u64>,
    next_seq: u64,
    sampled_out: u64,
    lowest_sample: Option<f64>,
    open_segment: Option<u64>,
    missing: u64,
    gaps: Vec<GapReport>,
    findings: Vec<FindingReport>,
    more: u64,
}

#[derive(Debug, Serialize)]
struct GapReport {
    segment: u64,
    #[serde(flatten)]
    gap: Gap,
}

#[derive(Debug, Serialize)]
struct FindingReport {
    kind: &'static str,
    segment: u64,
    line: u64,
    message: String,
}

impl Report {
    fn of(verdict: Verdict) -> Self {
        let finding = |finding: &Finding| FindingReport {
            kind: finding.wrong.name(),
            segment: finding.segment,
            line: finding.line,
            message: finding.to_string(),
        };
        Self {
            verdict: if verdict.findings.is_empty() { "INTACT" } else { "TAMPERED" },
            segments: verdict.segments,
            records: verdict.records,
            signed: verdict.signed,
            first_seq: verdict.first_seq,
            next_seq: verdict.next_seq,
            sampled_out: verdict.sampled_out,
            lowest_sample: verdict.sample,
            open_segment: verdict.open,
            missing: verdict.gaps.iter().filter_map(|(_, gap)| gap.count).sum(),
            findings: verdict.findings.iter().map(finding).collect(),
            gaps: verdict
                .gaps
                .into_iter()
                .map(|(segment, gap)| GapReport { segment, gap })
                .collect(),
            more: verdict.more,
        }
    }
}

impl Answer for Report {
    const COLUMNS: &'static [&'static str] = &[
        "verdict",
        "segments",
        "records",
        "signed",
        "first_seq",
        "next_seq",
        "missing",
        "sampled_out",
        "open_segment",
    ];

    fn text(&self, text: &mut Text) {
        let records = counted(self.records, "record");
        let signed = match (self.signed, self.records) {
            (signed, all) if signed == all => "all of them as they were signed".to_owned(),
            (0, _) => "and no signature says that this is what was written".to_owned(),
            (signed, all) => {
                format!("{signed} as they were signed, {} chained alone", all - signed)
            }
        };
        match self.findings.len() {
            0 => text.line(format_args!("INTACT: {records}, {signed}")),
            count => {
                text.line(format_args!("TAMPERED: {} in {records}", counted(count, "finding")));
                self.findings.iter().for_each(|finding| {
                    text.line(format_args!("  {}: {}", finding.kind, finding.message));
                });
            }
        }
        if 0 < self.more {
            text.line(format_args!("  and {} more", self.more));
        }
        for GapReport { segment, gap } in &self.gaps {
            text.line(format_args!("  {}", told(*segment, gap)));
        }
        let share = self.lowest_sample.filter(|share| *share < 1.0);
        let sampled = share.map(|share| format!("{share}, {} left out", self.sampled_out));
        let open = self.open_segment.map(|open| format!("{open}: it is signed when it is closed"));
        text.fields(&[
            ("segments", self.segments.to_string()),
            (
                "numbers",
                self.first_seq
                    .map(|first| format!("{first} to {}", self.next_seq.saturating_sub(1)))
                    .unwrap_or_default(),
            ),
            ("sample", sampled.unwrap_or_default()),
            ("open segment", open.unwrap_or_default()),
        ]);
    }
}

/// A gap in words.
fn told(segment: u64, gap: &Gap) -> String {
    use crate::audit::decisions::segment::Missing;
    let when = match gap.after {
        Some(after) => format!("between {after} and {}", gap.at),
        None => format!("before {}", gap.at),
    };
    match (gap.why, gap.count, gap.from_seq, gap.to_seq) {
        (_, Some(count), Some(from), Some(to)) => format!(
            "gap in segment {segment}: {} not recorded, numbers {from} to {to}, {when}: the log could \
             not keep up",
            counted(count, "decision")
        ),
        (Missing::NotForced, ..) => format!(
            "gap in segment {segment}: the disk failed; what was written {when} may be lost"
        ),
        _ => format!(
            "gap in segment {segment}: the server ended abruptly; what was decided {when} may be missing \
             ({} bytes of a torn line were put aside)",
            gap.cut_bytes
        ),
    }
}
