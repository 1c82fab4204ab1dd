//! The book: records that are numbered and chained, and wait for the writer to put them into the file.
//!
//! Whoever fills a lane takes a turn at the book now and then, if nobody else is at it: a worker that helps
//! goes on at once, while a writer that had to do all of it would have the core for a while first, and every
//! caller of that core would wait.
//!
//! Invariants: a number is given once, to a record or in a gap. Records are chained only between a header and
//! its footer. What helpers put here is bounded; beyond that, records stay in their lanes.

use super::lane::{Lane, Load, USUAL};
use crate::audit::decisions::segment::Chained;
use crate::domain::ChainHash;

/// How many bytes workers put here before the writer takes any.
const MOST_AHEAD: usize = 1024 * 1024;

/// Lines that no file holds yet.
#[derive(Debug, Default)]
pub(super) struct Lines {
    pub(super) text: Vec<u8>,
    /// How many records are among them.
    pub(super) records: u64,
}

#[derive(Debug)]
pub(super) struct Book {
    pub(super) chained: Chained,
    pub(super) next_seq: u64,
    pub(super) lines: Lines,
    /// Decisions that found no room, and are in no gap yet.
    pub(super) dropped: u64,
    /// Whether a header was written, and its footer was not.
    pub(super) is_open: bool,
    load: Load,
}

impl Book {
    pub(super) fn new(next_seq: u64, chain: ChainHash) -> Self {
        Self {
            chained: Chained { chain },
            next_seq,
            lines: Lines::default(),
            dropped: 0,
            is_open: false,
            load: Load::default(),
        }
    }

    /// Chains what is in a worker's own lane, as far as there is room.
    pub(super) fn help(&mut self, lane: &Lane) {
        if self.is_open && self.lines.text.len() < MOST_AHEAD {
            self.take_from(lane, false);
        }
    }

    /// Numbers and chains what is in a lane; tells how many bytes that was.
    pub(super) fn take_from(&mut self, lane: &Lane, wait: bool) -> usize {
        lane.exchange(&mut self.load, wait);
        for told in self.load.records() {
            self.chained.record(self.next_seq, told, &mut self.lines.text);
            self.next_seq += 1;
            self.lines.records += 1;
        }
        let bytes = self.load.text.len();
        self.dropped += self.load.dropped;
        self.load.clear();
        bytes
    }
}

impl Lines {
    pub(super) fn clear(&mut self) {
        self.text.clear();
        self.text.shrink_to(USUAL);
        self.records = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recorder::lane::Taken;

    #[test]
    fn helpers_chain_only_under_a_header_and_as_much_as_there_is_room_for() {
        let (lane, mut book) = (Lane::new(usize::MAX), Book::new(7, ChainHash::ZERO));
        let big = vec![b'x'; MOST_AHEAD];
        let record = || lane.take(false, |out| out.extend_from_slice(&big));
        assert_eq!(record(), Taken::Fits);
        book.help(&lane);
        assert_eq!((book.next_seq, book.lines.records), (7, 0), "no header was written");
        book.is_open = true;
        for _ in 0..3 {
            book.help(&lane);
            assert_eq!((book.next_seq, book.lines.records), (8, 1), "there is no more room");
            record();
        }
        assert!(2 * MOST_AHEAD < book.take_from(&lane, true), "what is left is the writer's");
        assert_eq!((book.next_seq, book.lines.records), (11, 4));
    }
}
