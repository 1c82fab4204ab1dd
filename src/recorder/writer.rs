//! The one thread that writes: it chains what the lanes hold besides what their workers chained, and appends the
//! lines of the book to the open segment.
//!
//! Invariant: what was made and not written yet is tried again until the disk takes it, and meanwhile neither the
//! book nor a lane is emptied: so memory is bounded by the lanes, the book and one load of each.

use super::book::{Book, Lines};
use super::segment::OpenSegment;
use super::{ALL, RecorderSettings, Shared};
use crate::audit::AuditKey;
use crate::audit::decisions::segment::{FORMAT, Footer, Gap, Header, Missing};
use crate::clock::Clock;
use crate::domain::Timestamp;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Sender;
use std::time::Duration;

/// How long it rests when there was something to write, and when there was nothing. The shorter, the less it has
/// to do at once, while which the checks of its core wait.
const SHORT_REST: Duration = Duration::from_millis(1);
const LONG_REST: Duration = Duration::from_millis(20);

/// How long it waits before it tries a disk again that refused.
const RETRY_AFTER: Duration = Duration::from_millis(200);

/// How often the log says that decisions go unrecorded, at most.
const SAY_EVERY: Duration = Duration::from_secs(1);

pub(super) struct Writer {
    shared: Arc<Shared>,
    folder: PathBuf,
    header: HeaderOf,
    key: Option<AuditKey>,
    clock: Arc<dyn Clock>,
    closed: Sender<PathBuf>,
    /// The number of the last segment.
    number: u64,
    segment: Option<OpenSegment>,
    /// Out of the book, and not in the file yet.
    lines: Lines,
    /// Whether the segment's footer is written, or on its way.
    is_ending: bool,
    /// When the lanes were last emptied.
    emptied: Timestamp,
    said: Option<Duration>,
    unsaid: u64,
}

/// What every header says.
struct HeaderOf {
    server: String,
    customer_ids: String,
    sample: f64,
}

impl Writer {
    pub(super) fn new(
        shared: Arc<Shared>,
        settings: &RecorderSettings,
        number: u64,
        closed: Sender<PathBuf>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let header = HeaderOf {
            server: settings.server.clone(),
            customer_ids: settings.ids.label(),
            sample: f64::from(settings.sample_millionths.min(ALL)) / f64::from(ALL),
        };
        Self {
            shared,
            folder: settings.folder.clone(),
            header,
            // A key has no copy; its text is what another one is made of.
            key: settings.key.as_ref().and_then(|key| AuditKey::parse(&key.to_secret_text()).ok()),
            emptied: clock.wall(),
            clock,
            closed,
            number,
            segment: None,
            lines: Lines::default(),
            is_ending: false,
            said: None,
            unsaid: 0,
        }
    }

    /// Writes until it is told to stop, and then what is left.
    pub(super) fn run(mut self) {
        // Should this end by a panic, no check may go on in silence.
        let ended = Ended(Arc::clone(&self.shared));
        loop {
            let is_last = self.shared.is_stopping.load(Ordering::Acquire);
            let rest = match self.turn(is_last) {
                Ok(true) => SHORT_REST,
                Ok(false) => LONG_REST,
                Err(error) => {
                    self.fails(&error);
                    RETRY_AFTER
                }
            };
            if is_last {
                break;
            }
            std::thread::park_timeout(rest);
        }
        if let Err(error) = self.close() {
            let error = &error as &dyn std::error::Error;
            let lost = self.lines.records + self.shared.book().lines.records;
            tracing::error!(error, lost, "The decision log was not closed; its next start says so");
        }
        drop(ended);
    }

    /// Empties the lanes and the book once; tells whether anything was in them.
    fn turn(&mut self, is_last: bool) -> io::Result<bool> {
        self.begin()?;
        self.flush()?;
        if self.is_ending {
            self.hand_over()?;
            self.begin()?;
        }
        self.recovers();
        self.collect(is_last);
        let wrote = self.flush()?;
        let now = self.clock.boot();
        let Some(segment) = &mut self.segment else { return Ok(false) };
        if segment.wants_sync(now)
            && let Err(error) = segment.sync(now)
        {
            let shared = Arc::clone(&self.shared);
            self.gap(&mut shared.book(), Missing::NotForced, None);
            self.end();
            return Err(error);
        }
        if segment.wants_to_end(now) {
            self.end();
        }
        Ok(wrote)
    }

    /// Begins a segment, if none is open.
    pub(super) fn begin(&mut self) -> io::Result<()> {
        if self.segment.is_some() {
            return Ok(());
        }
        let (number, at) = (self.number + 1, self.clock.wall());
        let mut segment = OpenSegment::create(&self.folder, number, at, &*self.clock)?;
        segment.sampled_out_before = self.shared.sampled_out();
        let mut book = self.shared.book();
        let Book { chained, next_seq, lines, is_open, .. } = &mut *book;
        let header = Header {
            format: FORMAT,
            segment: number,
            begun: at,
            server: self.header.server.clone(),
            engine: env!("CARGO_PKG_VERSION").to_owned(),
            customer_ids: self.header.customer_ids.clone(),
            sample: self.header.sample,
            previous: chained.chain.to_string(),
            next_seq: *next_seq,
        };
        chained.header(&header, &mut lines.text);
        *is_open = true;
        drop(book);
        self.number = number;
        self.segment = Some(segment);
        self.flush().map(drop)
    }

    /// Puts into the book what is in the lanes still, and what did not find room there.
    fn collect(&mut self, is_last: bool) {
        let since = std::mem::replace(&mut self.emptied, self.clock.wall());
        let shared = Arc::clone(&self.shared);
        let mut book = shared.book();
        let fills = shared.lanes.iter().map(|lane| lane.fill(book.take_from(lane, is_last)));
        let fullest = fills.max().unwrap_or_default();
        shared.fill.store(fullest, Ordering::Relaxed);
        let dropped = std::mem::take(&mut book.dropped);
        if 0 < dropped {
            self.gap(&mut book, Missing::Full, Some((dropped, since)));
        }
        drop(book);
        self.say(dropped);
    }

    /// Tells of decisions that are not there.
    fn gap(&mut self, book: &mut Book, why: Missing, counted: Option<(u64, Timestamp)>) {
        let from_seq = counted.map(|_| book.next_seq);
        let to_seq = counted.map(|(count, _)| book.next_seq + count - 1);
        let (count, after) = (counted.map(|(count, _)| count), counted.map(|(_, after)| after));
        let gap = Gap { why, count, from_seq, to_seq, after, at: self.clock.wall(), cut_bytes: 0 };
        book.chained.gap(&gap, &mut book.lines.text);
        book.next_seq += count.unwrap_or_default();
        if let Some(segment) = &mut self.segment {
            segment.dropped += count.unwrap_or_default();
        }
        self.shared.gaps.fetch_add(1, Ordering::Relaxed);
    }

    /// Writes what the disk did not take before, then what is in the book; tells whether there was anything.
    fn flush(&mut self) -> io::Result<bool> {
        let was_left = self.append()?;
        if self.segment.is_some() {
            std::mem::swap(&mut self.lines, &mut self.shared.book().lines);
        }
        Ok(self.append()? || was_left)
    }

    fn append(&mut self) -> io::Result<bool> {
        let segment = self.segment.as_mut().filter(|_| !self.lines.text.is_empty());
        let Some(segment) = segment else { return Ok(false) };
        segment.append(&self.lines.text)?;
        segment.records += self.lines.records;
        self.shared.written.fetch_add(self.lines.records, Ordering::Relaxed);
        self.lines.clear();
        Ok(true)
    }

    /// Puts a footer under the segment.
    fn end(&mut self) {
        let Some(segment) = &self.segment else { return };
        let mut book = self.shared.book();
        let footer = Footer {
            segment: segment.number,
            records: segment.records + self.lines.records + book.lines.records,
            dropped: segment.dropped,
            sampled_out: self.shared.sampled_out() - segment.sampled_out_before,
            next_seq: book.next_seq,
            ended: self.clock.wall(),
        };
        let Book { chained, lines, is_open, .. } = &mut *book;
        chained.footer(&footer, self.key.as_ref(), &mut lines.text);
        *is_open = false;
        self.is_ending = true;
    }

    /// Lets go of a segment whose footer is written.
    fn hand_over(&mut self) -> io::Result<()> {
        if let Some(segment) = &mut self.segment {
            segment.sync(self.clock.boot())?;
            // Nobody receives only when that thread died; the next start finds the segment.
            let _ = self.closed.send(segment.path.clone());
        }
        self.segment = None;
        self.is_ending = false;
        Ok(())
    }

    fn close(&mut self) -> io::Result<()> {
        if !self.is_ending {
            self.end();
        }
        self.flush()?;
        self.hand_over()
    }

    fn fails(&mut self, error: &io::Error) {
        if !self.shared.is_failing.swap(true, Ordering::AcqRel) {
            let (error, refused) = (error as &dyn std::error::Error, self.lines.records);
            tracing::error!(
                error,
                refused,
                "The decision log's disk does not take what is written: what waits is kept, and tried \
                 again"
            );
        }
    }

    fn recovers(&mut self) {
        if self.shared.is_failing.swap(false, Ordering::AcqRel) {
            tracing::info!("The decision log is written again");
        }
    }

    /// Says now and then that decisions go unrecorded.
    fn say(&mut self, dropped: u64) {
        self.unsaid += dropped;
        let now = self.clock.boot();
        if 0 < self.unsaid && self.said.is_none_or(|said| SAY_EVERY <= now.saturating_sub(said)) {
            let count = self.unsaid;
            tracing::error!(count, "Decisions were not recorded: the decision log cannot keep up");
            (self.said, self.unsaid) = (Some(now), 0);
        }
    }
}

/// Marks the log as failing when its writer is gone.
struct Ended(Arc<Shared>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.is_failing.store(true, Ordering::Release);
    }
}
