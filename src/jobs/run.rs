//! One run over a file: one thread reads, one a core decides, one writes.
//!
//! Plain threads and bounded channels instead of a pool for tasks: each thread that decides has a channel
//! in and a channel out, the reader deals chunks to them in turn, and the writer collects in the same
//! turn. So order is kept without sorting, and no more than a few chunks a thread are ever in memory.
//!
//! Invariant: equal input, rules, instant and question give equal files, however many threads there are.

use super::decide::{Part, Question};
use super::encode::csv_header;
use super::error::JobError;
use super::format::Format;
use super::input::{Chunk, Counters, Input, InputFacts};
use super::mapping::Mapping;
use super::output::{Output, is_table};
use super::pinned::Pinned;
use super::shard::Shard;
use super::summary::{Summary, named};
use crate::domain::{Action, Timestamp};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

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
    let input = Input::open(&job.input.0, job.input.1, is_table(job.output.1), counters)?;
    let columns = input.columns.clone();
    check_columns(job, pinned, &input)?;
    let question = Question {
        snapshot: &pinned.snapshot,
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
        #[cfg(feature = "parquet")]
        schema: None,
    };
    #[cfg(feature = "parquet")]
    let question = with_schema(question, &input);
    let output = create(job, &question)?;
    let mut summary = Summary {
        revision: pinned.revision.0,
        token: pinned.token.clone(),
        as_of: question.as_of_text.clone(),
        action: job.action.name().to_owned(),
        input: InputFacts { sha256: String::new(), bytes: 0, rows: 0 },
        shard: job.shard,
        decided: 0,
        rejected: 0,
        rules_moved_to: None,
        offers: job.offers.iter().map(|offer| named(offer)).collect(),
    };
    let writing = Writing { job, counters, stop, output, summary: &mut summary };
    let ended = std::thread::scope(|scope| {
        let (mut hand_over, mut collect) = (Vec::new(), Vec::new());
        for _ in 0..job.threads.max(1) {
            let (chunks, receive) = sync_channel::<Chunk>(1);
            let (done, parts) = sync_channel::<Part>(1);
            let question = &question;
            scope.spawn(move || {
                for chunk in receive {
                    if done.send(question.decide(&chunk)).is_err() {
                        return; // Nobody wants more.
                    }
                }
            });
            hand_over.push(chunks);
            collect.push(parts);
        }
        let reading = scope.spawn(move || read(input, &hand_over));
        let written = writing.run(collect);
        let read = reading.join().unwrap_or_else(|_| Err(broke("reading")));
        Ok::<_, JobError>((written?, read?))
    })?;
    let ((output, parts), (facts, chunks)) = ended;
    if stop.load(Ordering::Relaxed) {
        return Ok(Run::Stopped(output.is_out()));
    }
    // A thread that died would else end the output early.
    let (Some(facts), true) = (facts, parts == chunks) else { return Err(broke("deciding")) };
    summary.input = facts;
    Ok(Run::Finished(Box::new(Finished { output, path: job.output.0.clone(), summary })))
}

fn broke(doing: &str) -> JobError {
    JobError::Io { doing: doing.to_owned(), source: std::io::Error::other("a thread died") }
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

#[cfg(feature = "parquet")]
fn with_schema<'q>(mut question: Question<'q>, input: &Input) -> Question<'q> {
    if question.output == Format::Parquet {
        let kept = question.carried();
        let field = |place: &usize| match input.schema() {
            Some(schema) => schema.fields().get(*place).cloned(),
            None => question.columns.get(*place).map(|name| {
                Arc::new(arrow_schema::Field::new(name, arrow_schema::DataType::Utf8, true))
            }),
        };
        question.schema = Some(super::parquet::output_schema(kept.iter().filter_map(field)));
    }
    question
}

fn create(job: &Job, question: &Question<'_>) -> Result<Output, JobError> {
    let header = match job.output.1 {
        Format::Csv => {
            let kept = question.carried();
            let kept = kept.iter().filter_map(|place| question.columns.get(*place).cloned());
            csv_header(&kept.collect::<Vec<_>>())
        }
        Format::Jsonl | Format::Parquet => Vec::new(),
    };
    #[cfg(feature = "parquet")]
    return Output::create(&job.output.0, &job.rejects, &header, question.schema.as_ref());
    #[cfg(not(feature = "parquet"))]
    Output::create(&job.output.0, &job.rejects, &header)
}

/// Deals the chunks out in turn; tells what was read, and how many chunks it was. Nothing is told if
/// nobody wanted all of it.
fn read(
    mut input: Input,
    hand_over: &[SyncSender<Chunk>],
) -> Result<(Option<InputFacts>, usize), JobError> {
    let mut chunks = 0;
    let mut turn = hand_over.iter().cycle();
    while let Some(chunk) = input.next()? {
        if turn.next().is_none_or(|to| to.send(chunk).is_err()) {
            return Ok((None, chunks));
        }
        chunks += 1;
    }
    Ok((Some(input.facts()?), chunks))
}

/// The thread that writes.
struct Writing<'w> {
    job: &'w Job,
    counters: &'w Counters,
    stop: &'w AtomicBool,
    output: Output,
    summary: &'w mut Summary,
}

impl Writing<'_> {
    /// Writes parts in the order of their chunks until there are no more; tells how many there were.
    fn run(mut self, collect: Vec<Receiver<Part>>) -> Result<(Output, usize), JobError> {
        let mut parts = 0;
        for from in collect.iter().cycle() {
            let Ok(part) = from.recv() else { break };
            if self.stop.load(Ordering::Relaxed) {
                break;
            }
            self.output.write(&part, &self.job.output.0)?;
            self.summary.decided += part.decided;
            self.summary.rejected += part.rejects.len() as u64;
            self.summary.offers.iter_mut().zip(&part.counts).for_each(|(sum, it)| sum.add(it));
            self.counters.rows.fetch_add(part.rows, Ordering::Relaxed);
            parts += 1;
            if let Some(most) = self.job.most_rejects.filter(|most| *most < self.summary.rejected) {
                let rejects = self.job.rejects.display().to_string();
                self.output.give_up()?;
                return Err(JobError::TooManyRejects { most, rejects });
            }
        }
        Ok((self.output, parts))
    }
}
