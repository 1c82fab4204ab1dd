//! One run over a file: one thread reads, one a core decides, one writes.
//!
//! Invariant: equal input, rules, instant and question give equal files, however many threads there are.

use super::decide::{Part, Worker};
use super::encode::csv_header;
use super::error::JobError;
use super::format::Format;
use super::input::{Chunk, Counters, Input, InputFacts, Size};
use super::mapping::Mapping;
use super::output::{Output, is_table};
#[cfg(feature = "parquet")]
use super::parquet_rows::Groups;
use super::pinned::Pinned;
use super::question::Question;
use super::shard::Shard;
use super::summary::{Summary, named};
use super::turns::in_turn;
use crate::decision::Alike;
use crate::domain::{Action, Timestamp};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What a person asked for.
#[derive(Debug)]
pub struct Job {
    /// The customers, and the form of their file.
    pub input: (PathBuf, Format),
    /// Where decisions go, and in which form.
    pub output: (PathBuf, Format),
    /// Where the rows go that cannot be read.
    pub rejects: PathBuf,
    /// Which column is which field.
    pub mapping: Mapping,
    /// The offers, each once.
    pub offers: Vec<String>,
    /// To do what.
    pub action: Action,
    /// Which rows.
    pub shard: Shard,
    /// Most rows that may be rejected.
    pub most_rejects: Option<u64>,
    /// Whether offers may be asked for that the rules do not know.
    pub allows_unknown_offers: bool,
    /// How many threads decide.
    pub threads: usize,
    /// Decides the first row for all: what deciding is compared with.
    pub is_copy: bool,
}

/// A finished run whose files do not stand under their names yet.
pub struct Finished {
    output: Output,
    path: PathBuf,
    /// What it did.
    pub summary: Summary,
}

/// How a run ended.
pub enum Run {
    /// All rows are decided.
    Finished(Box<Finished>),
    /// It was told to stop. True if output has left that cannot be taken back.
    Stopped(bool),
}

impl Finished {
    /// Puts the files under their names.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn publish(self) -> Result<Summary, JobError> {
        self.output.finish(&self.path)?;
        Ok(self.summary)
    }

    /// Whether output has left that cannot be taken back.
    #[must_use]
    pub fn is_out(&self) -> bool {
        self.output.is_out()
    }
}

/// Decides a whole file by the pinned rules, until `stop` says otherwise.
///
/// # Errors
/// When the input as a whole cannot be used, or the system refuses.
pub fn run(
    job: &Job,
    pinned: &Pinned,
    as_of: Timestamp,
    counters: &Arc<Counters>,
    stop: &AtomicBool,
) -> Result<Run, JobError> {
    counters.rows.store(0, Ordering::Relaxed);
    pinned.know(&job.offers, job.allows_unknown_offers)?;
    let size = Size::of(job.output.1, job.offers.len());
    let (path, format) = &job.input;
    let mut input = Input::open(path, *format, is_table(job.output.1), size, counters)?;
    let columns = input.columns.clone();
    check_columns(job, pinned, &input)?;
    let offers: Vec<&str> = job.offers.iter().map(String::as_str).collect();
    let question = Question {
        snapshot: &pinned.snapshot,
        alike: Alike::new(&pinned.rules, &offers, as_of),
        products: pinned.products(&job.offers),
        is_of_one_product: pinned.are_of_one_product(&job.offers),
        as_of,
        as_of_text: as_of.to_string(),
        action: job.action,
        offers: &job.offers,
        mapping: &job.mapping,
        shard: job.shard,
        output: job.output.1,
        columns: &columns,
        is_copy: job.is_copy,
    };
    #[cfg(feature = "parquet")]
    let schema = schema(&question, &input);
    #[cfg(feature = "parquet")]
    let mut output = create(job, &question, schema.as_ref())?;
    #[cfg(not(feature = "parquet"))]
    let mut output = create(job, &question)?;
    let mut summary = Summary {
        revision: pinned.revision.0,
        token: pinned.token.clone(),
        as_of: question.as_of_text.clone(),
        action: job.action.name().to_owned(),
        input: InputFacts { sha256: String::new(), bytes: 0, rows: 0 },
        unread: match job.input.1 {
            // Each row has names of its own.
            Format::Jsonl => Vec::new(),
            Format::Csv | Format::Parquet => job.mapping.unread(&columns, |id| pinned.sells(id)),
        },
        shard: job.shard,
        decided: 0,
        rejected: 0,
        rules_moved_to: None,
        offers: job.offers.iter().map(|offer| named(offer)).collect(),
    };
    #[cfg(feature = "parquet")]
    let encoder = output.encoder();
    let question = &question;
    let worker = || {
        #[cfg(feature = "parquet")]
        let mut worker = Worker::new(
            question,
            encoder
                .clone()
                .map(|encoder| Groups::new(encoder, question.carried().len(), pinned.revision.0)),
        );
        #[cfg(not(feature = "parquet"))]
        let mut worker = Worker::new(question);
        move |chunk: Chunk| worker.decide(&chunk)
    };
    let mut has_too_many = false;
    let facts = in_turn(
        job.threads,
        move |hand_over| {
            while let Some(chunk) = input.next()? {
                if !hand_over(chunk) {
                    return Ok(None);
                }
            }
            input.facts().map(Some)
        },
        worker,
        |part: Part| {
            if stop.load(Ordering::Relaxed) {
                return Ok(false);
            }
            output.write(&part.rejects, part.body, &job.output.0)?;
            summary.decided += part.decided;
            summary.rejected += part.rejects.len() as u64;
            summary.offers.iter_mut().zip(&part.counts).for_each(|(sum, it)| sum.add(it));
            counters.rows.fetch_add(part.rows, Ordering::Relaxed);
            has_too_many = job.most_rejects.is_some_and(|most| most < summary.rejected);
            Ok(!has_too_many)
        },
    )?;
    if let Some(most) = job.most_rejects.filter(|_| has_too_many) {
        let rejects = job.rejects.display().to_string();
        output.give_up()?;
        return Err(JobError::TooManyRejects { most, rejects });
    }
    if stop.load(Ordering::Relaxed) {
        return Ok(Run::Stopped(output.is_out()));
    }
    summary.input = facts.unwrap_or(summary.input);
    Ok(Run::Finished(Box::new(Finished { output, path: job.output.0.clone(), summary })))
}

/// What can be told to be wrong before the first row.
fn check_columns(job: &Job, pinned: &Pinned, input: &Input) -> Result<(), JobError> {
    let columns = &input.columns;
    if job.input.1 == Format::Jsonl {
        if is_table(job.output.1) && super::format::is_standard(&job.input.0) {
            let why = "JSON lines from standard input can only be written as JSON lines";
            return Err(JobError::Usage(why.to_owned()));
        }
        return Ok(()); // Each row has names of its own, and is refused by itself.
    }
    job.mapping.check(columns)?;
    if job.mapping.speaks_of_holding(columns) && !pinned.are_of_one_product(&job.offers) {
        return Err(JobError::Usage(
            "the offers are of several products: name holdings `holdings.PRODUCT.status` and so on, \
             since `holding` would be that of all of them"
                .to_owned(),
        ));
    }
    #[cfg(feature = "parquet")]
    for field in input.schema().iter().flat_map(|schema| schema.fields()) {
        let name = job.mapping.name(field.name());
        let is_read =
            name.is_some_and(|name| super::field::Field::of(name).ok().flatten().is_some());
        let is_text = job.output.1 != Format::Parquet;
        if (is_read || is_text) && !super::parquet::is_readable(field.data_type()) {
            return Err(JobError::Usage(format!(
                "column `{}` has the type {}; use a text, a number, a truth value, a date, or a \
                 timestamp with a zone",
                field.name(),
                field.data_type()
            )));
        }
    }
    Ok(())
}

/// The columns of an output that is Parquet.
#[cfg(feature = "parquet")]
fn schema(question: &Question<'_>, input: &Input) -> Option<arrow_schema::SchemaRef> {
    if question.output != Format::Parquet {
        return None;
    }
    let kept = question.carried();
    let field = |place: &usize| match input.schema() {
        Some(schema) => schema.fields().get(*place).cloned(),
        None => question.columns.get(*place).map(|name| {
            Arc::new(arrow_schema::Field::new(name, arrow_schema::DataType::Utf8, true))
        }),
    };
    let kept: Vec<_> = kept.iter().filter_map(field).collect();
    Some(super::parquet_rows::output_schema(kept))
}

fn create(
    job: &Job,
    question: &Question<'_>,
    #[cfg(feature = "parquet")] schema: Option<&arrow_schema::SchemaRef>,
) -> Result<Output, JobError> {
    let header = match job.output.1 {
        Format::Csv => {
            let kept = question.carried();
            let kept = kept.iter().filter_map(|place| question.columns.get(*place).cloned());
            csv_header(&kept.collect::<Vec<_>>())
        }
        Format::Jsonl | Format::Parquet => Vec::new(),
    };
    #[cfg(feature = "parquet")]
    return Output::create(&job.output.0, &job.rejects, &header, schema);
    #[cfg(not(feature = "parquet"))]
    Output::create(&job.output.0, &job.rejects, &header)
}
