//! `offergate audit verify`: reads a whole log and says which record is not what it was, and how.
//!
//! Invariant: `INTACT` is said of a log without a finding, and only with at least one signed checkpoint
//! that it was compared with, unless the caller asked for less in so many words.

use super::source::{Source, signed_by};
use super::{key_file, reading};
use crate::audit::{Auditor, Chain, Checkpoint, Compared, Finding, Verdict};
use crate::cli::connection::ServerArgs;
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::{Answer, Output};
use crate::cli::text::{Text, counted};
use crate::domain::{Lineage, Revision};
use serde::Serialize;
use std::path::PathBuf;

/// Verify a log of changes: records, chain, tree and signatures
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Needs the log and the public key, and no server of ours. With an older checkpoint it also finds what was
rolled back, or changed and chained anew by somebody who could write everything but signatures; with
several, it names the records between two of them. Of several servers that share a store, one may lag:
what it has not heard of reads as rolled back, so look again. Exit code 1 when anything is wrong.

Examples:
  offergate audit verify --key audit.pub
  offergate audit verify --key audit.pub --log log.jsonl --checkpoint 2026-11-01.checkpoint
  offergate audit verify --key audit.pub --log backup.db --checkpoint 2026-11-01.checkpoint
  offergate audit verify --key r1.pub --key r2.pub --log log.jsonl --checkpoint cosigned.checkpoint")]
pub(super) struct Args {
    /// The log: a store, a backup, a journal, or what `audit export` wrote [default: the server's]
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,

    /// The verifier key, or a file that holds it; of several, each must have signed every --checkpoint
    #[arg(long, required_unless_present = "unsigned")]
    key: Vec<String>,

    /// A checkpoint that was kept elsewhere; may be given several times
    #[arg(long, value_name = "FILE", requires = "key")]
    checkpoint: Vec<PathBuf>,

    /// Be content with a log that nobody signed: whoever can write it can make another
    #[arg(long, conflicts_with = "key")]
    unsigned: bool,

    #[command(flatten)]
    server: ServerArgs,
}

pub(super) fn run(args: &Args, output: &Output) -> Result<Exit, Failure> {
    let keys = args.key.iter().map(|key| key_file::verifier(key));
    let keys = keys.collect::<Result<Vec<_>, _>>()?;
    let open = |note: &str, of: &dyn std::fmt::Display, key| {
        Checkpoint::open(note, key).map_err(|error| {
            Failure::new(Exit::Failure, format_args!("{of} cannot be relied on")).because(error)
        })
    };
    // What a log or a server brings along was signed by whoever wrote it, and by nobody else.
    let open_own = |note: &str, of: &dyn std::fmt::Display| {
        let mut refused = None;
        for key in &keys {
            match open(note, of, key) {
                Ok(checkpoint) => return Ok(Some(checkpoint)),
                Err(failure) => refused = refused.or(Some(failure)),
            }
        }
        refused.map_or(Ok(None), Err)
    };
    let mut marks = Vec::new();
    for path in &args.checkpoint {
        let of = format!("checkpoint `{}`", path.display());
        let note = key_file::text_of(path)?;
        let opened = keys.iter().map(|key| open(&note, &of, key));
        marks.extend(opened.collect::<Result<Vec<_>, _>>()?.pop());
    }
    let (source, own) = match &args.log {
        Some(path) => {
            let (source, signed) = Source::file(path)?;
            let of = format!("the checkpoint in `{}`", path.display());
            (source, signed.map(|note| open_own(&note, &of)).transpose()?.flatten())
        }
        None => {
            let signed = signed_by(&args.server, output)?;
            let own = signed.map(|note| open_own(&note, &"the server's checkpoint")).transpose()?;
            let own = own.flatten();
            let size = own.as_ref().map(|own| own.size);
            (Source::Server(&args.server, output, size), own)
        }
    };
    marks.extend(own.clone());
    if marks.is_empty() && !args.unsigned {
        return Err(Failure::usage("nothing is signed that the log could be compared with").help(
            "give a --checkpoint that was kept elsewhere; --unsigned looks at the chain alone",
        ));
    }
    let lineage = own.as_ref().or(marks.first()).map(|mark| mark.lineage.clone());
    same_history(&marks, lineage.as_ref())?;

    let mut auditor = Auditor::new(marks.clone());
    let signed_to = marks.iter().map(|mark| mark.size).max().unwrap_or_default();
    let stored = reading::judge(&mut auditor, signed_to, |sink| source.read(sink))?;
    let lineage = match &stored {
        Some(head) => {
            same_history(&marks, Some(&head.lineage))?;
            Some(head.lineage.clone())
        }
        None => lineage,
    };
    let head = match (&stored, &own) {
        (Some(head), _) => Some(Chain { revision: head.revision, hash: head.chain }),
        (None, Some(own)) => Some(Chain { revision: own.size, hash: own.chain }),
        (None, None) => None,
    };
    let report = Report::of(&auditor.finish(head), lineage.as_ref());
    output.answer(&report)?;
    Ok(if report.findings.is_empty() { Exit::Ok } else { Exit::Failure })
}

/// Refuses what was signed of another history: sizes of two histories have nothing to do with each other.
fn same_history(marks: &[Checkpoint], lineage: Option<&Lineage>) -> Result<(), Failure> {
    let Some(lineage) = lineage else { return Ok(()) };
    let Some(other) = marks.iter().find(|mark| mark.lineage != *lineage) else { return Ok(()) };
    let what = format!(
        "this log is of history {lineage}, and the checkpoint of size {} is of history {}",
        other.size, other.lineage
    );
    Err(Failure::new(Exit::Failure, what).help(
        "another log stands in the place of the one that was signed, or the store was restored from a \
         backup since: then verify the backup with this checkpoint",
    ))
}

/// What was found out, for people and for scripts.
#[derive(Debug, Serialize)]
struct Report {
    verdict: &'static str,
    records: u64,
    /// The last revision that was signed and is what was signed.
    signed_to: u64,
    /// The last revision in the log.
    revision: u64,
    lineage: Option<String>,
    chain: String,
    root: Option<String>,
    checkpoints: Vec<CheckpointReport>,
    findings: Vec<FindingReport>,
    /// How many findings there are besides.
    more: u64,
}

#[derive(Debug, Serialize)]
struct CheckpointReport {
    size: u64,
    compared: &'static str,
}

#[derive(Debug, Serialize)]
struct FindingReport {
    kind: &'static str,
    first: u64,
    last: u64,
    message: String,
}

impl Report {
    fn of(verdict: &Verdict, lineage: Option<&Lineage>) -> Self {
        let same = verdict.compared.iter().filter(|(_, compared)| *compared == Compared::Same);
        let finding = |finding: &Finding| FindingReport {
            kind: finding.wrong.name(),
            first: finding.first.0,
            last: finding.last.0,
            message: finding.to_string(),
        };
        Self {
            verdict: if verdict.findings.is_empty() { "INTACT" } else { "TAMPERED" },
            records: verdict.records,
            signed_to: same.map(|(mark, _)| mark.size).max().unwrap_or(Revision::ZERO).0,
            revision: verdict.end.revision.0,
            lineage: lineage.map(ToString::to_string),
            chain: verdict.end.hash.to_string(),
            root: verdict.root.map(|root| root.to_string()),
            checkpoints: verdict.compared.iter().map(CheckpointReport::of).collect(),
            findings: verdict.findings.iter().map(finding).collect(),
            more: verdict.more,
        }
    }
}

impl CheckpointReport {
    fn of((mark, compared): &(Checkpoint, Compared)) -> Self {
        let compared = match compared {
            Compared::Same => "SAME",
            Compared::Different => "DIFFERENT",
            Compared::NotReached => "NOT_REACHED",
            Compared::Beyond => "BEYOND",
        };
        Self { size: mark.size.0, compared }
    }
}

impl Answer for Report {
    const COLUMNS: &'static [&'static str] =
        &["verdict", "records", "signed_to", "revision", "lineage", "chain", "root"];

    fn text(&self, text: &mut Text) {
        let records = counted(self.records, "record");
        match self.findings.len() {
            0 => text.line(format_args!("INTACT: {records}, {}", self.signed())),
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
        let checkpoint = |it: &CheckpointReport| format!("{} {}", it.size, it.compared);
        let checkpoints = self.checkpoints.iter().map(checkpoint).collect::<Vec<_>>().join(", ");
        text.fields(&[
            ("history", self.lineage.clone().unwrap_or_default()),
            ("root", self.root.clone().unwrap_or_default()),
            ("chain", self.chain.clone()),
            ("checkpoints", checkpoints),
        ]);
    }
}

impl Report {
    /// What signatures say of a log without a finding.
    fn signed(&self) -> String {
        match (self.signed_to, self.checkpoints.is_empty()) {
            (_, true) => {
                "and nobody signed them: a log that was made anew looks the same".to_owned()
            }
            (to, _) if to == self.revision => "all of them as they were signed".to_owned(),
            (to, _) => format!(
                "as they were signed up to record {to}; those after it are chained, and not signed"
            ),
        }
    }
}
