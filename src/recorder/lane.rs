//! Lanes: where workers leave records. Each thread has one of its own, so that its lock is contended for only
//! while the writer exchanges what is in it for something empty.
//!
//! Invariant: what a lane did not take is counted, and the count goes with what it took.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

/// What a lane is ready for from the start.
const AT_FIRST: usize = 64 * 1024;

/// What is kept of a buffer that was larger once.
pub(super) const USUAL: usize = 4 * 1024 * 1024;

/// After how many records in a lane its worker takes a turn at the book.
const GROUP: usize = 32;

/// A lane that holds more is left to the writer: its worker would be long at the book, and its callers wait.
const MOST_HELPED: usize = 8 * GROUP;

thread_local! {
    /// Which lane this thread uses.
    static LANE: Cell<Option<usize>> = const { Cell::new(None) };
}

/// The next thread's lane.
static NEXT: AtomicUsize = AtomicUsize::new(0);

/// Records that wait for the writer.
#[derive(Debug, Default)]
pub(super) struct Load {
    /// One after another.
    pub(super) text: Vec<u8>,
    /// Where each ends.
    pub(super) ends: Vec<usize>,
    /// How many did not fit.
    pub(super) dropped: u64,
}

/// One thread's lane, on cache lines of its own.
#[derive(Debug)]
#[repr(align(128))]
pub(super) struct Lane {
    load: Mutex<Load>,
    sampled_out: AtomicU64,
    limit: usize,
}

/// What a lane did with a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    /// Took it.
    Fits,
    /// Took it, and holds another group of them.
    Group,
    /// Took it, and is half full now.
    FillsUp,
    /// Counted it.
    Dropped,
    /// Left it to the caller.
    Refused,
}

/// The lane of this thread. Threads share lanes only where there are more than was said.
pub(super) fn of_this_thread(lanes: &[Lane]) -> Option<&Lane> {
    let number = LANE.with(|lane| {
        lane.get().unwrap_or_else(|| {
            let next = NEXT.fetch_add(1, Ordering::Relaxed);
            lane.set(Some(next));
            next
        })
    });
    lanes.get(number % lanes.len().max(1))
}

impl Lane {
    pub(super) fn new(limit: usize) -> Self {
        let text = Vec::with_capacity(AT_FIRST.min(limit));
        let load = Load { text, ends: Vec::with_capacity(64), dropped: 0 };
        Self { load: Mutex::new(load), sampled_out: AtomicU64::new(0), limit }
    }

    /// Takes the record that `write` appends, if there is room.
    pub(super) fn take(&self, refuse: bool, write: impl FnOnce(&mut Vec<u8>)) -> Taken {
        let mut load = self.load.lock().unwrap_or_else(PoisonError::into_inner);
        if self.limit <= load.text.len() {
            if refuse {
                return Taken::Refused;
            }
            load.dropped += 1;
            return Taken::Dropped;
        }
        let before = load.text.len();
        write(&mut load.text);
        let after = load.text.len();
        load.ends.push(after);
        let half = self.limit / 2;
        match load.ends.len() {
            _ if before < half && half <= after => Taken::FillsUp,
            count if count <= MOST_HELPED && count.is_multiple_of(GROUP) => Taken::Group,
            _ => Taken::Fits,
        }
    }

    /// Counts a decision that is not of the sample.
    pub(super) fn leave_out(&self) {
        self.sampled_out.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn sampled_out(&self) -> u64 {
        self.sampled_out.load(Ordering::Relaxed)
    }

    /// Puts an empty load in the place of what is there. A worker that is at it has the next turn, unless
    /// it is `waited` for.
    pub(super) fn exchange(&self, load: &mut Load, wait: bool) {
        let locked: Option<MutexGuard<'_, Load>> = match self.load.try_lock() {
            Ok(locked) => Some(locked),
            Err(TryLockError::Poisoned(locked)) => Some(locked.into_inner()),
            Err(TryLockError::WouldBlock) if wait => {
                Some(self.load.lock().unwrap_or_else(PoisonError::into_inner))
            }
            Err(TryLockError::WouldBlock) => None,
        };
        if let Some(mut locked) = locked {
            std::mem::swap(&mut *locked, load);
        }
    }

    /// How full so many bytes are, in thousandths.
    pub(super) fn fill(&self, bytes: usize) -> u64 {
        u64::try_from(bytes.saturating_mul(1_000) / self.limit.max(1)).unwrap_or(u64::MAX)
    }
}

impl Load {
    /// Each record.
    pub(super) fn records(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).filter_map(|(start, end)| self.text.get(start..*end))
    }

    pub(super) fn clear(&mut self) {
        self.text.clear();
        self.text.shrink_to(USUAL);
        self.ends.clear();
        self.dropped = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_takes_a_turn_now_and_then_but_not_where_much_waits() {
        let lane = Lane::new(usize::MAX);
        let turns = (1..=20 * GROUP).filter(|_| lane.take(true, |_| ()) == Taken::Group);
        assert_eq!(turns.collect::<Vec<_>>(), (1..=8).map(|nth| nth * GROUP).collect::<Vec<_>>());
    }

    #[test]
    fn what_does_not_fit_is_counted_or_refused_and_what_fits_comes_out_in_order() {
        let lane = Lane::new(10);
        let take = |refuse| lane.take(refuse, |out| out.extend_from_slice(b"abcd"));
        let taken: Vec<_> = (0..5).map(|_| take(false)).collect();
        use Taken::{Dropped, FillsUp, Fits, Refused};
        assert_eq!(taken, [Fits, FillsUp, Fits, Dropped, Dropped]);
        assert_eq!(take(true), Refused);
        let mut load = Load::default();
        lane.exchange(&mut load, true);
        assert_eq!((load.records().collect::<Vec<_>>(), load.dropped), (vec![&b"abcd"[..]; 3], 2));
        load.clear();
        lane.exchange(&mut load, false);
        assert_eq!((load.ends.len(), load.dropped), (0, 0));
        assert_eq!(take(true), Fits);
    }
}
