//! The one thread that writes: it empties the lanes, numbers and chains what was in them, and appends it to
//! the open segment.
//!
//! Invariants: a number is given once, to a record or in a gap. What was made and not written yet is tried
//! again until the disk takes it, and meanwhile no lane is emptied: so memory is bounded by the lanes and
//! one load of them.

use super::lane::Load;
use super::segment::OpenSegment;
use super::start::Place;
use super::{ALL, RecorderSettings, Shared};
use crate::audit::AuditKey;
use crate::audit::decisions::segment::{Chained, FORMAT, Footer, Gap, Header, Missing};
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

/// After how many records it gives way to the threads that make them, whose callers wait while it has their core.
/// Not while a lane fills up: then it has to get on.
const GROUP: usize = 512;
const MOST_FILL: u64 = 250;

/// How long it waits before it tries a disk again that refused.
const RETRY_AFTER: Duration = Duration::from_millis(200);

/// How often the log says that decisions go unrecorded, at most.
const SAY_EVERY: Duration = Duration::from_secs(1);

/// What is kept of a buffer that was larger once.
const USUAL: usize = 4 * 1024 * 1024;

pub(super) struct Writer {
    shared: Arc<Shared>,
    folder: PathBuf,
    header: HeaderOf,
    key: Option<AuditKey>,
    clock: Arc<dyn Clock>,
    closed: Sender<PathBuf>,
    chained: Chained,
    place: Place,
    segment: Option<OpenSegment>,
    /// Lines that the file does not hold yet.
    lines: Vec<u8>,
    /// How many records are among them.
    unwritten: u64,
    /// Whether the last of them is a footer.
    is_ending: bool,
    load: Load,
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
        place: Place,
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
            chained: Chained { chain: place.chain },
            place,
            segment: None,
            lines: Vec::new(),
            unwritten: 0,
            is_ending: false,
            load: Load::default(),
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
            let lost = self.unwritten;
            tracing::error!(error, lost, "The decision log was not closed; its next start says so");
        }
        drop(ended);
    }

    /// Empties the lanes once; tells whether anything was in them.
    fn turn(&mut self, is_last: bool) -> io::Result<bool> {
        self.begin()?;
        self.flush()?;
        if self.is_ending {
            self.hand_over()?;
            self.begin()?;
        }
        self.recovers();
        let before = self.place.next_seq;
        self.collect(is_last);
        self.flush()?;
        let now = self.clock.boot();
        let Some(segment) = &mut self.segment else { return Ok(false) };
        if segment.wants_sync(now)
            && let Err(error) = segment.sync(now)
        {
            self.gap(Missing::NotForced, None);
            self.end();
            return Err(error);
        }
        if segment.wants_to_end(now) {
            self.end();
        }
        Ok(before < self.place.next_seq)
    }

    /// Begins a segment, if none is open.
    pub(super) fn begin(&mut self) -> io::Result<()> {
        if self.segment.is_some() {
            return Ok(());
        }
        let (number, at) = (self.place.segment + 1, self.clock.wall());
        let mut segment = OpenSegment::create(&self.folder, number, at, &*self.clock)?;
        segment.sampled_out_before = self.shared.sampled_out();
        let header = Header {
            format: FORMAT,
            segment: number,
            begun: at,
            server: self.header.server.clone(),
            engine: env!("CARGO_PKG_VERSION").to_owned(),
            customer_ids: self.header.customer_ids.clone(),
            sample: self.header.sample,
            previous: self.chained.chain.to_string(),
            next_seq: self.place.next_seq,
        };
        self.chained.header(&header, &mut self.lines);
        self.place.segment = number;
        self.segment = Some(segment);
        self.flush()
    }

    /// Numbers and chains what is in the lanes.
    fn collect(&mut self, is_last: bool) {
        let since = self.emptied;
        self.emptied = self.clock.wall();
        let (mut dropped, mut fill) = (0, 0);
        let shared = Arc::clone(&self.shared);
        for lane in &shared.lanes {
            lane.exchange(&mut self.load, is_last);
            fill = fill.max(lane.fill(self.load.text.len()));
            for (nth, told) in (1..).zip(self.load.records()) {
                self.chained.record(self.place.next_seq, told, &mut self.lines);
                self.place.next_seq += 1;
                self.unwritten += 1;
                if nth % GROUP == 0 && fill < MOST_FILL {
                    std::thread::yield_now();
                }
            }
            dropped += self.load.dropped;
            self.load.clear();
            self.load.text.shrink_to(USUAL);
        }
        shared.fill.store(fill, Ordering::Relaxed);
        if 0 < dropped {
            self.gap(Missing::Full, Some((dropped, since)));
        }
        self.say(dropped);
    }

    /// Tells of decisions that are not there.
    fn gap(&mut self, why: Missing, counted: Option<(u64, Timestamp)>) {
        let from_seq = counted.map(|_| self.place.next_seq);
        let to_seq = counted.map(|(count, _)| self.place.next_seq + count - 1);
        let (count, after) = (counted.map(|(count, _)| count), counted.map(|(_, after)| after));
        let gap = Gap { why, count, from_seq, to_seq, after, at: self.clock.wall(), cut_bytes: 0 };
        self.chained.gap(&gap, &mut self.lines);
        self.place.next_seq += count.unwrap_or_default();
        if let Some(segment) = &mut self.segment {
            segment.dropped += count.unwrap_or_default();
        }
        self.shared.gaps.fetch_add(1, Ordering::Relaxed);
    }

    /// Writes the lines that there are.
    fn flush(&mut self) -> io::Result<()> {
        let Some(segment) = self.segment.as_mut().filter(|_| !self.lines.is_empty()) else {
            return Ok(());
        };
        segment.append(&self.lines)?;
        segment.records += self.unwritten;
        self.shared.written.fetch_add(self.unwritten, Ordering::Relaxed);
        self.unwritten = 0;
        self.lines.clear();
        self.lines.shrink_to(USUAL);
        Ok(())
    }

    /// Puts a footer under the segment.
    fn end(&mut self) {
        let Some(segment) = &self.segment else { return };
        let footer = Footer {
            segment: segment.number,
            records: segment.records + self.unwritten,
            dropped: segment.dropped,
            sampled_out: self.shared.sampled_out() - segment.sampled_out_before,
            next_seq: self.place.next_seq,
            ended: self.clock.wall(),
        };
        self.chained.footer(&footer, self.key.as_ref(), &mut self.lines);
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
            let (error, refused) = (error as &dyn std::error::Error, self.unwritten);
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
