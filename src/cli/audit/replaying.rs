//! Decides records again on several threads, with little memory, and tells of them in their order.
//!
//! One thread reads lines and hands them out in batches; the others decide; whoever asked takes the
//! batches' outcomes in the order of the lines. A batch is read only when one before it was taken, so that
//! what is under way is bounded, however slow one of them is.
//!
//! Invariant: what comes out is the same with any number of threads, the first failure included.

use super::revisions::{Kept, RevisionArgs};
use crate::audit::decisions::{CustomerKey, Recorded};
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::Output;
use crate::domain::{Date, Revision};
use crate::service::{NotReplayed, ReplayDifference, ReplayRules, key_version, replay};
use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

/// How many bytes of lines make a batch: some hundred records.
const BATCH: usize = 256 * 1024;

/// How many batches are under way for each thread.
const AHEAD: usize = 3;

/// By which rules records are decided again.
pub(super) struct Rules<'a> {
    pub(super) revisions: &'a RevisionArgs,
    pub(super) output: &'a Output,
    pub(super) keys: &'a [CustomerKey],
    /// Only those of this day, if one is named.
    pub(super) day: Option<Date>,
    pub(super) kept: Mutex<Kept<Key, ReplayRules>>,
}

/// A revision, and the version of the key that customers are named by.
type Key = (u64, Option<u32>);

/// What came of one record.
pub(super) struct Outcome {
    pub(super) seq: u64,
    pub(super) decision: String,
    /// What differs, or why it was not decided again.
    pub(super) differences: Result<Vec<ReplayDifference>, NotReplayed>,
}

/// What came of a batch: how many records are alike, and those that are not.
#[derive(Default)]
pub(super) struct Outcomes {
    pub(super) alike: u64,
    pub(super) others: Vec<Outcome>,
}

/// Lines that are decided again together.
struct Batch {
    number: u64,
    text: String,
    /// Where each line ends, and where it was read.
    lines: Vec<(usize, String)>,
}

/// Takes lines and hands them out.
pub(super) struct Feed<'f> {
    batch: Batch,
    room: &'f Receiver<()>,
    work: SyncSender<Batch>,
}

impl Feed<'_> {
    /// Takes a line that was read at `place`; `false` when nobody wants more.
    pub(super) fn push(&mut self, line: &str, place: impl FnOnce() -> String) -> bool {
        self.batch.text.push_str(line);
        self.batch.lines.push((self.batch.text.len(), place()));
        self.batch.text.len() < BATCH || self.send()
    }

    fn send(&mut self) -> bool {
        if self.batch.lines.is_empty() {
            return true;
        }
        let next = Batch { number: self.batch.number + 1, text: String::new(), lines: Vec::new() };
        self.room.recv().is_ok() && self.work.send(std::mem::replace(&mut self.batch, next)).is_ok()
    }
}

/// Decides all lines again that `read` feeds, on so many threads; `take` gets the outcomes in order.
pub(super) fn each(
    rules: &Rules<'_>,
    threads: NonZeroUsize,
    read: impl FnOnce(&mut Feed<'_>) -> Result<(), Failure> + Send,
    mut take: impl FnMut(Outcomes),
) -> Result<(), Failure> {
    let ahead = threads.get().saturating_mul(AHEAD);
    let (give_room, room) = sync_channel(ahead);
    for _ in 0..ahead {
        let _ = give_room.send(());
    }
    let (work, works) = sync_channel(ahead);
    let (done, outcomes) = sync_channel(ahead);
    let works = Mutex::new(works);
    std::thread::scope(|scope| {
        for _ in 0..threads.get() {
            let (done, works) = (done.clone(), &works);
            scope.spawn(move || decide(rules, works, &done));
        }
        drop(done);
        let reading = scope.spawn(move || {
            let batch = Batch { number: 0, text: String::new(), lines: Vec::new() };
            let mut feed = Feed { batch, room: &room, work };
            read(&mut feed)?;
            feed.send();
            Ok(())
        });
        let (mut next, mut early) = (0, BTreeMap::new());
        let mut failed = None;
        'all: for (number, outcome) in outcomes {
            early.insert(number, outcome);
            while let Some(outcome) = early.remove(&next) {
                match outcome {
                    Ok(outcome) => take(outcome),
                    Err(failure) => {
                        failed = Some(failure);
                        break 'all;
                    }
                }
                next += 1;
                let _ = give_room.send(());
            }
        }
        // Who waits for room, or to hand something over, ends now.
        drop(give_room);
        let read = reading
            .join()
            .unwrap_or_else(|_| Err(Failure::new(Exit::Failure, "reading the records broke off")));
        failed.map_or(read, Err)
    })
}

/// Decides batches until there is none.
fn decide(
    rules: &Rules<'_>,
    works: &Mutex<Receiver<Batch>>,
    done: &SyncSender<(u64, Result<Outcomes, Failure>)>,
) {
    // Neighbours mostly rest on the same revision.
    let mut last = None;
    loop {
        let next = works.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(batch) = next else { return };
        // A batch that nobody tells of would be waited for without end.
        let decided = catch_unwind(AssertUnwindSafe(|| decide_batch(rules, &batch, &mut last)));
        let outcomes = decided.unwrap_or_else(|_| {
            Err(Failure::new(Exit::Failure, "deciding again broke off: this is a bug"))
        });
        if done.send((batch.number, outcomes)).is_err() {
            return;
        }
    }
}

type Last = Option<(Key, Arc<ReplayRules>)>;

fn decide_batch(rules: &Rules<'_>, batch: &Batch, last: &mut Last) -> Result<Outcomes, Failure> {
    let (mut outcomes, mut start) = (Outcomes::default(), 0);
    for (end, place) in &batch.lines {
        let line = batch.text.get(start..*end).unwrap_or_default();
        start = *end;
        let decided = decide_line(rules, line, last).map_err(|failure| match place.as_str() {
            "" => failure,
            place => failure.at(place),
        })?;
        match decided {
            Some(outcome) if outcome.differences != Ok(Vec::new()) => outcomes.others.push(outcome),
            Some(_) => outcomes.alike += 1,
            None => {}
        }
    }
    Ok(outcomes)
}

fn decide_line(rules: &Rules<'_>, line: &str, last: &mut Last) -> Result<Option<Outcome>, Failure> {
    let record = read(line)?;
    if rules.day.is_some_and(|day| day != day_of(&record)) {
        return Ok(None);
    }
    let key = key_version(&record.request.customer.id)
        .and_then(|version| rules.keys.iter().find(|key| key.version == version));
    let by = match record.token.is_empty() {
        true => None,
        false => Some(rules_of(rules, &record, key, last)?),
    };
    Ok(Some(Outcome {
        seq: record.seq,
        differences: replay(&record, by.as_deref()),
        decision: record.id.into_owned(),
    }))
}

/// The rules that a record rests on: those of the record before it, or those that are kept, or made now.
fn rules_of(
    rules: &Rules<'_>,
    record: &Recorded<'_>,
    key: Option<&CustomerKey>,
    last: &mut Last,
) -> Result<Arc<ReplayRules>, Failure> {
    let wanted = (record.revision, key.map(|key| key.version));
    if let Some((known, made)) = last
        && *known == wanted
    {
        return Ok(Arc::clone(made));
    }
    let revision = Revision(record.revision);
    let mut kept = rules.kept.lock().unwrap_or_else(PoisonError::into_inner);
    let made = kept.get(wanted, || {
        let found = rules.revisions.load(revision, &record.token, rules.output)?;
        let made = match key {
            Some(key) => ReplayRules::keyed(revision, found, key),
            None => ReplayRules::new(revision, found),
        };
        made.map_err(|error| {
            let what = format!("the rules of revision {revision} do not compile");
            Failure::new(Exit::Failure, what).because(error)
        })
    })?;
    *last = Some((wanted, Arc::clone(&made)));
    Ok(made)
}

pub(super) fn read(line: &str) -> Result<Recorded<'_>, Failure> {
    Recorded::read(line).map_err(|error| {
        Failure::new(Exit::Failure, "the line is no record of a decision").because(error)
    })
}

/// The day of a decision, in UTC.
pub(super) fn day_of(record: &Recorded<'_>) -> Date {
    jiff::tz::TimeZone::UTC.to_datetime(record.at).date()
}
