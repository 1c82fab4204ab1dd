//! Blocks of a log on their way from a thread that reads, over threads that hash, to the one that judges.
//!
//! The hashing threads take turns, and the judge asks them in the same turns: so blocks come to it in the order
//! in which they were read. They go back to the reader and are used again, so that a log of any length is read
//! in the same few megabytes, unless its lines are longer than a block.
//!
//! Invariant: a log of which a part was not judged, whatever the reason, is an error and no verdict.

use crate::cli::exit::{Exit, Failure};
use memchr::memchr_iter;
use std::io::{self, BufRead};
use std::ops::Range;
use std::sync::mpsc::{Receiver, SyncSender, channel, sync_channel};
use std::thread::available_parallelism;

/// When a block goes on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Full {
    /// Once it holds so many bytes.
    pub(super) bytes: usize,
    /// Or so many lines or rows.
    pub(super) rows: usize,
}

/// Enough that handing over is nothing beside hashing.
pub(super) const FULL: Full = Full { bytes: 512 * 1024, rows: 4096 };

/// Blocks that wait before a hashing thread, and behind it.
const WAITING: usize = 2;

/// More threads than this would wait for the reader.
const MOST_THREADS: usize = 4;

/// A part of a log.
pub(super) trait Block: Default + Send {
    /// Works out what can be known without the blocks before.
    fn hash(&mut self);

    /// Makes it empty, so that it can be used again.
    fn clear(&mut self);
}

/// Where a reader gets empty blocks from, and puts full ones.
pub(super) struct Blocks<B> {
    turns: Vec<SyncSender<B>>,
    turn: usize,
    used: Receiver<B>,
}

impl<B: Block> Blocks<B> {
    /// A block to fill.
    pub(super) fn next(&self) -> B {
        self.used.try_recv().unwrap_or_default()
    }

    /// Sends one on.
    pub(super) fn send(&mut self, block: B) {
        if let Some(thread) = self.turns.get(self.turn) {
            // Nobody receives only when a thread has died, and then its end is told.
            let _ = thread.send(block);
        }
        self.turn = (self.turn + 1) % self.turns.len();
    }
}

/// Fills a block with whole lines, the last of which may be torn; tells whether there were any more.
///
/// # Errors
/// When they cannot be read; what was read before that is in the block.
pub(super) fn read_lines(
    lines: &mut impl BufRead,
    full: Full,
    block: &mut Vec<u8>,
) -> io::Result<bool> {
    let mut rows = 0;
    loop {
        let available = match lines.fill_buf() {
            Ok([]) => return Ok(!block.is_empty()),
            Ok(available) => available,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let last = memchr_iter(b'\n', available).map(|at| at + 1).find(|end| {
            rows += 1;
            full.rows <= rows || full.bytes <= block.len() + end
        });
        let taken = last.unwrap_or(available.len());
        block.extend_from_slice(available.get(..taken).unwrap_or(available));
        lines.consume(taken);
        if last.is_some() {
            return Ok(true);
        }
    }
}

/// Empties what held the lines of a block; what a long line took is given back.
pub(super) fn empty(block: &mut Vec<u8>) {
    block.clear();
    block.shrink_to(2 * FULL.bytes);
}

/// Where the lines of a block are, each with its break, if it has one.
pub(super) fn lines_of(block: &[u8]) -> impl Iterator<Item = Range<usize>> {
    let mut start = 0;
    let ends = memchr_iter(b'\n', block).map(|at| at + 1).chain([block.len()]);
    ends.map(move |end| std::mem::replace(&mut start, end)..end).filter(|line| !line.is_empty())
}

/// Runs `read` on a thread of its own, hashes on some others, and shows every block to `judge`, in order.
pub(super) fn in_order<B: Block, T: Send>(
    read: impl FnOnce(&mut Blocks<B>) -> Result<T, Failure> + Send,
    mut judge: impl FnMut(&B),
) -> Result<T, Failure> {
    let threads = available_parallelism().map_or(1, |cores| cores.get().min(MOST_THREADS));
    let broke_off = || Failure::new(Exit::Failure, "reading the log broke off");
    std::thread::scope(|scope| {
        let (mut turns, mut hashed, mut hashing) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..threads {
            let (full, blocks) = sync_channel::<B>(WAITING);
            let (pass_on, done) = sync_channel(WAITING);
            hashing.push(scope.spawn(move || {
                for mut block in blocks {
                    block.hash();
                    if pass_on.send(block).is_err() {
                        return;
                    }
                }
            }));
            turns.push(full);
            hashed.push(done);
        }
        let (give_back, used) = channel();
        let reader = scope.spawn(move || read(&mut Blocks { turns, turn: 0, used }));
        // The first thread that has nothing in its turn is where the log ends, or where one has died.
        for mut block in hashed.iter().cycle().map_while(|thread| thread.recv().ok()) {
            judge(&block);
            block.clear();
            let _ = give_back.send(block);
        }
        drop(hashed);
        let done = reader.join().unwrap_or_else(|_| Err(broke_off()));
        // Every one is asked: a thread that nobody asks ends all of this with its panic.
        let ends: Vec<_> = hashing.into_iter().map(|thread| thread.join()).collect();
        done.and_then(
            |done| if ends.iter().all(Result::is_ok) { Ok(done) } else { Err(broke_off()) },
        )
    })
}

#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test may panic")]
mod tests {
    use super::*;

    /// A number to be squared, and whether its thread dies of it.
    #[derive(Default)]
    struct Number(u64, bool);

    impl Block for Number {
        fn hash(&mut self) {
            assert!(!self.1, "as a bug would");
            self.0 *= self.0;
        }

        fn clear(&mut self) {
            self.0 = 0;
        }
    }

    /// Squares the numbers below `end`, with some to die of; also what came out.
    fn squared(end: u64, dies: &[u64]) -> (Result<u64, Failure>, Vec<u64>) {
        let mut seen = Vec::new();
        let read = |blocks: &mut Blocks<Number>| {
            for number in 0..end {
                let empty = blocks.next();
                blocks.send(Number(empty.0 + number, dies.contains(&number)));
            }
            Ok(end)
        };
        let done = in_order(read, |block| seen.push(block.0));
        (done, seen)
    }

    #[test]
    fn every_block_is_hashed_and_comes_in_the_order_in_which_it_was_read() {
        for end in [0, 1, 2, 3, 1000] {
            let (done, seen) = squared(end, &[]);
            assert_eq!(done.unwrap(), end);
            assert_eq!(seen, (0..end).map(|number| number * number).collect::<Vec<_>>());
        }
    }

    #[test]
    fn lines_are_whole_in_their_blocks_and_blocks_end_when_they_are_full() {
        for (length, bytes, rows) in
            [(1, 1, 9), (7, 16, 9), (15, 16, 9), (16, 16, 9), (99, 16, 9), (0, 99, 1), (3, 999, 4)]
        {
            let full = Full { bytes, rows };
            let text = format!("{}\n", "x".repeat(length)).repeat(9) + "\n\ntorn";
            // A reader that has less at once than a block, or a line.
            let mut lines = io::BufReader::with_capacity(5, text.as_bytes());
            let (mut block, mut seen) = (Vec::new(), Vec::new());
            while read_lines(&mut lines, full, &mut block).unwrap() {
                let found: Vec<_> = lines_of(&block).map(|line| block[line].to_vec()).collect();
                let before_last: usize = found.iter().rev().skip(1).map(Vec::len).sum();
                assert!(before_last < bytes && found.len() <= rows, "{full:?}: {found:?}");
                seen.extend(found);
                empty(&mut block);
            }
            let expected: Vec<_> = text.split_inclusive('\n').map(str::as_bytes).collect();
            assert!(seen == expected, "{full:?}");
        }
    }

    #[test]
    fn a_log_that_was_not_judged_to_its_end_is_an_error() {
        for at in [&[0][..], &[1], &[500], &[999], &[7, 8], &[996, 997, 998, 999]] {
            let (done, seen) = squared(1000, at);
            assert!(done.is_err(), "died at {at:?} and judged {}", seen.len());
        }
        let failed =
            |_: &mut Blocks<Number>| Err::<(), _>(Failure::new(Exit::Failure, "the disk is gone"));
        assert!(in_order(failed, |_| {}).is_err());
        let died = |blocks: &mut Blocks<Number>| -> Result<(), Failure> {
            blocks.send(Number(1, false));
            panic!("as a bug would")
        };
        assert!(in_order(died, |_| {}).is_err());
    }
}
