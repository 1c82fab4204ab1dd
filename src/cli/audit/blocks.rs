//! Blocks of a log on their way from a thread that reads, over threads that hash, to the one that judges.
//!
//! The hashing threads take turns, and the judge asks them in the same turns: so blocks come to it in the order
//! in which they were read. They go back to the reader and are used again, so that a log of any length is read
//! in the same few megabytes.
//!
//! Invariant: a log of which a part was not judged, whatever the reason, is an error and no verdict.

use crate::cli::exit::{Exit, Failure};
use memchr::memchr_iter;
use std::io::{self, BufRead, Read as _};
use std::ops::Range;
use std::sync::mpsc::{Receiver, SyncSender, channel, sync_channel};
use std::thread::available_parallelism;

/// A block goes on when it holds so many bytes.
pub(super) const BLOCK: usize = 512 * 1024;

/// Blocks that wait before a hashing thread, and behind it.
const WAITING: usize = 2;

/// More threads than this would wait for the reader.
const MOST_THREADS: usize = 8;

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
pub(super) fn read_lines(mut lines: impl BufRead, block: &mut Vec<u8>) -> io::Result<bool> {
    let most = u64::try_from(BLOCK).unwrap_or(u64::MAX);
    lines.by_ref().take(most).read_to_end(block)?;
    if !block.is_empty() && !block.ends_with(b"\n") {
        lines.read_until(b'\n', block)?;
    }
    Ok(!block.is_empty())
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
        let whole = hashing.into_iter().map(|thread| thread.join()).all(|end| end.is_ok());
        done.and_then(|done| if whole { Ok(done) } else { Err(broke_off()) })
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

    /// Squares the numbers below `end`, with one to die of; also what came out.
    fn squared(end: u64, dies: Option<u64>) -> (Result<u64, Failure>, Vec<u64>) {
        let mut seen = Vec::new();
        let read = |blocks: &mut Blocks<Number>| {
            for number in 0..end {
                let empty = blocks.next();
                blocks.send(Number(empty.0 + number, dies == Some(number)));
            }
            Ok(end)
        };
        let done = in_order(read, |block| seen.push(block.0));
        (done, seen)
    }

    #[test]
    fn every_block_is_hashed_and_comes_in_the_order_in_which_it_was_read() {
        for end in [0, 1, 2, 3, 1000] {
            let (done, seen) = squared(end, None);
            assert_eq!(done.unwrap(), end);
            assert_eq!(seen, (0..end).map(|number| number * number).collect::<Vec<_>>());
        }
    }

    #[test]
    fn lines_are_whole_in_their_blocks_whatever_their_length() {
        for length in [1, 7, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK] {
            let mut text = format!("{}\n", "x".repeat(length)).repeat(3);
            text.push_str("\n\ntorn");
            let (mut lines, mut seen) = (text.as_bytes(), Vec::new());
            let mut block = Vec::new();
            while read_lines(&mut lines, &mut block).unwrap() {
                seen.extend(lines_of(&block).map(|line| block[line].to_vec()));
                block.clear();
            }
            let expected: Vec<_> = text.split_inclusive('\n').map(str::as_bytes).collect();
            assert!(seen == expected, "{length}");
        }
    }

    #[test]
    fn a_log_that_was_not_judged_to_its_end_is_an_error() {
        for at in [0, 1, 500, 999] {
            let (done, seen) = squared(1000, Some(at));
            assert!(done.is_err(), "died at {at} and judged {}", seen.len());
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
