//! Writes decisions to the decision log, without holding up a check.
//!
//! A worker makes a decision's record as text in a [`lane`] of its own and goes on. Now and then it takes a turn
//! at the [`book`], where records are numbered and chained. One thread, the [`writer`], writes what is in the
//! book, and what lanes hold besides, to the open [`segment`]. Another one, the [`keeper`], compresses segments
//! that are closed and deletes old ones. What the files hold is [`audit::decisions`](crate::audit::decisions)'
//! business.
//!
//! Invariants: a lane holds no more than its limit. What does not fit is counted exactly and told by a gap
//! record, or its check is refused, as the settings say; never is it left out in silence. One process
//! writes to a folder.

mod book;
mod keeper;
mod lane;
mod segment;
mod start;
mod writer;

pub use start::StartError;

use crate::audit::AuditKey;
use crate::audit::decisions::{CustomerIds, Told};
use crate::clock::Clock;
use book::Book;
use lane::{Lane, Taken};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{JoinHandle, Thread};

/// All of them, in millionths.
const ALL: u32 = 1_000_000;

/// What a recorder is told at the start.
#[derive(Debug)]
pub struct RecorderSettings {
    /// Where segments are written.
    pub folder: PathBuf,
    /// The name of this server.
    pub server: String,
    /// How many threads make decisions.
    pub workers: usize,
    /// Which share of them is recorded, in millionths.
    pub sample_millionths: u32,
    /// Whether checks are refused when there is no room; else decisions go unrecorded, and are counted.
    pub refuse: bool,
    /// How customers are named.
    pub ids: CustomerIds,
    /// What signs segments.
    pub key: Option<AuditKey>,
    /// How long segments are kept.
    pub keep_days: Option<u32>,
    /// How many bytes they may take.
    pub keep_bytes: Option<u64>,
    /// How many bytes each worker may have waiting.
    pub lane_bytes: usize,
}

impl RecorderSettings {
    /// Room for a tenth of a second's decisions of one thread at full speed.
    pub const LANE_BYTES: usize = 16 * 1024 * 1024;
}

/// There is no room for another record, and the settings say that a check is refused then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the decision log is full or its disk does not take more, and no decision goes unrecorded")]
pub struct LogFull;

/// What became of decisions so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Seen {
    /// Recorded.
    pub written: u64,
    /// Left out of the sample.
    pub sampled_out: u64,
    /// Not recorded for want of room.
    pub dropped: u64,
    /// Not made for want of room.
    pub refused: u64,
    /// Gaps that were recorded.
    pub gaps: u64,
    /// How full the fullest lane was when it was last emptied, in thousandths.
    pub fill: u64,
    /// Whether the disk does not take what is to be written.
    pub is_failing: bool,
}

/// Writes decisions down.
#[derive(Debug)]
pub struct Recorder {
    shared: Arc<Shared>,
    /// Decisions whose id is drawn below this are recorded.
    threshold: u64,
    ids: CustomerIds,
    refuse: bool,
    folder: PathBuf,
    /// Wakes the writer.
    waker: Thread,
    /// The writer, then the keeper, until they are stopped.
    threads: Mutex<Vec<JoinHandle<()>>>,
    /// Who holds it may write to the folder.
    _lock: File,
}

/// What workers and the writer share.
#[derive(Debug)]
struct Shared {
    lanes: Box<[Lane]>,
    book: Mutex<Book>,
    is_failing: AtomicBool,
    is_stopping: AtomicBool,
    written: AtomicU64,
    dropped: AtomicU64,
    refused: AtomicU64,
    gaps: AtomicU64,
    fill: AtomicU64,
}

impl Shared {
    fn new(lanes: usize, limit: usize, book: Book) -> Self {
        Self {
            lanes: (0..lanes.max(1)).map(|_| Lane::new(limit)).collect(),
            book: Mutex::new(book),
            is_failing: AtomicBool::new(false),
            is_stopping: AtomicBool::new(false),
            written: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            gaps: AtomicU64::new(0),
            fill: AtomicU64::new(0),
        }
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sampled_out(&self) -> u64 {
        self.lanes.iter().map(Lane::sampled_out).sum()
    }
}

impl Recorder {
    /// Takes the folder, mends what a process left there that was killed, and begins a segment.
    ///
    /// # Errors
    /// When the folder is in use or cannot be written to, or when what is in it does not read.
    pub fn start(
        settings: RecorderSettings,
        clock: Arc<dyn Clock>,
    ) -> Result<Arc<Self>, StartError> {
        start::start(settings, clock)
    }

    /// Records a decision, before its caller is told of it.
    ///
    /// # Errors
    /// When there is no room and the settings say that no decision goes unrecorded.
    pub fn record(&self, told: &Told<'_, '_, '_>) -> Result<(), LogFull> {
        let lane = lane::of_this_thread(&self.shared.lanes);
        let Some(lane) = lane else { return Err(LogFull) };
        if !self.is_drawn(told) {
            lane.leave_out();
            return Ok(());
        }
        let full = || {
            self.shared.refused.fetch_add(1, Ordering::Relaxed);
            LogFull
        };
        let is_over = |mark: &AtomicBool| mark.load(Ordering::Acquire);
        if self.refuse && (is_over(&self.shared.is_failing) || is_over(&self.shared.is_stopping)) {
            return Err(full());
        }
        match lane.take(self.refuse, |out| told.write(&self.ids, out)) {
            Taken::Fits => {}
            Taken::Group => {
                if let Ok(mut book) = self.shared.book.try_lock() {
                    book.help(lane);
                }
            }
            Taken::FillsUp => self.waker.unpark(),
            Taken::Dropped => {
                self.shared.dropped.fetch_add(1, Ordering::Relaxed);
            }
            Taken::Refused => return Err(full()),
        }
        Ok(())
    }

    /// Whether a decision is of the sample. Its id is random, so that nothing else has to be.
    fn is_drawn(&self, told: &Told<'_, '_, '_>) -> bool {
        let (_, random) = told.id.as_u64_pair();
        // Its last 32 bits are random in every kind of id that is made here.
        self.threshold == u64::MAX || (random << 32) < self.threshold
    }

    /// What became of decisions so far.
    #[must_use]
    pub fn seen(&self) -> Seen {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Seen {
            written: of(&self.shared.written),
            sampled_out: self.shared.sampled_out(),
            dropped: of(&self.shared.dropped),
            refused: of(&self.shared.refused),
            gaps: of(&self.shared.gaps),
            fill: of(&self.shared.fill),
            is_failing: self.shared.is_failing.load(Ordering::Relaxed),
        }
    }

    /// The folder that is written to.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// How customers are named.
    #[must_use]
    pub fn ids(&self) -> &CustomerIds {
        &self.ids
    }

    /// Writes what is left and closes the segment. What is recorded later is not written any more.
    pub fn stop(&self) {
        self.shared.is_stopping.store(true, Ordering::Release);
        self.waker.unpark();
        let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        for thread in threads.drain(..) {
            // One that panicked has said so in the log.
            let _ = thread.join();
        }
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The bound on a random number below which so many millionths of them are.
fn threshold(millionths: u32) -> u64 {
    if ALL <= millionths {
        return u64::MAX;
    }
    u64::MAX / u64::from(ALL) * u64::from(millionths)
}
