//! The rows of a log of changes: found, hashed and judged on several threads.

use super::blocks::{BLOCK, Block, Blocks, in_order, lines_of, read_lines};
use super::source::{row_as_written, row_of};
use crate::audit::{Ahead, Auditor, Row, TreeHash};
use crate::cli::exit::Failure;
use crate::domain::{ChainHash, Revision};
use std::io::{self, BufRead};
use std::ops::Range;

/// A block goes on when it holds so many rows.
const ROWS: usize = 4096;

/// What is stored of a record, and where its entry is.
pub(super) struct Stored {
    pub(super) revision: Revision,
    pub(super) chain: ChainHash,
    pub(super) entry: Range<usize>,
}

/// A row, or why something is none.
pub(super) type Found = Result<Stored, &'static str>;

struct Hashed {
    stored: Stored,
    leaf: TreeHash,
    ahead: Option<Ahead>,
}

#[derive(Default)]
struct RowBlock {
    bytes: Vec<u8>,
    /// Whether the bytes are lines in which the rows are still to be found.
    are_lines: bool,
    found: Vec<Found>,
    hashed: Vec<Result<Hashed, &'static str>>,
}

/// Where a reader puts what it reads.
pub(super) struct Sink<'a> {
    block: RowBlock,
    blocks: &'a mut Blocks<RowBlock>,
}

impl Sink<'_> {
    /// The next row.
    pub(super) fn row(&mut self, revision: Revision, chain: ChainHash, entry: &str) {
        let start = self.block.bytes.len();
        self.block.bytes.extend_from_slice(entry.as_bytes());
        let entry = start..self.block.bytes.len();
        self.push(Ok(Stored { revision, chain, entry }));
    }

    /// Something that should be a row, and is none.
    pub(super) fn unreadable(&mut self, why: &'static str) {
        self.push(Err(why));
    }

    /// All lines that follow.
    pub(super) fn lines(&mut self, mut lines: impl BufRead) -> io::Result<()> {
        while read_lines(&mut lines, &mut self.block.bytes)? {
            self.block.are_lines = true;
            self.pass_on();
        }
        Ok(())
    }

    fn push(&mut self, found: Found) {
        self.block.found.push(found);
        if BLOCK <= self.block.bytes.len() || ROWS <= self.block.found.len() {
            self.pass_on();
        }
    }

    fn pass_on(&mut self) {
        let next = self.blocks.next();
        self.blocks.send(std::mem::replace(&mut self.block, next));
    }
}

/// Shows the auditor all that `read` finds.
pub(super) fn judge<T: Send>(
    auditor: &mut Auditor,
    read: impl FnOnce(&mut Sink<'_>) -> Result<T, Failure> + Send,
) -> Result<T, Failure> {
    let read = |blocks: &mut Blocks<RowBlock>| {
        let mut sink = Sink { block: RowBlock::default(), blocks };
        let done = read(&mut sink);
        sink.pass_on();
        done
    };
    in_order(read, |block| block.show(auditor))
}

impl Block for RowBlock {
    fn hash(&mut self) {
        let Self { bytes, are_lines, found, hashed } = self;
        let mut hashing = Hashing { bytes: bytes.as_slice(), before: None, hashed };
        if *are_lines {
            lines_of(bytes).for_each(|line| hashing.line(line));
        } else {
            found.drain(..).for_each(|found| hashing.row(found));
        }
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.found.clear();
        self.hashed.clear();
        self.are_lines = false;
    }
}

impl RowBlock {
    fn show(&self, auditor: &mut Auditor) {
        for row in &self.hashed {
            match row {
                Ok(Hashed { stored: Stored { revision, chain, entry }, leaf, ahead }) => {
                    let (revision, chain, leaf, ahead) = (*revision, *chain, *leaf, *ahead);
                    let entry = self.bytes.get(entry.clone()).unwrap_or_default();
                    auditor.take(Row { revision, chain, entry, leaf, ahead });
                }
                Err(why) => auditor.take_unreadable(why),
            }
        }
    }
}

/// The way through a block.
struct Hashing<'a> {
    bytes: &'a [u8],
    /// The hash that is stored with the row before, if that stands in this block.
    before: Option<ChainHash>,
    hashed: &'a mut Vec<Result<Hashed, &'static str>>,
}

impl Hashing<'_> {
    /// A line, if there is anything in it. One whose hash follows is what was hashed when it was written, so
    /// only of another one is asked whether all of it reads.
    fn line(&mut self, line: Range<usize>) {
        let start = line.start;
        let line = self.bytes.get(line).unwrap_or_default().trim_ascii_end();
        if line.is_empty() {
            return;
        }
        let at = |stored: Stored| {
            let entry = start + stored.entry.start..start + stored.entry.end;
            Stored { entry, ..stored }
        };
        if let Some(stored) = row_as_written(line) {
            let hashed = self.hash(at(stored));
            if hashed.ahead.is_some_and(|ahead| ahead.hash == hashed.stored.chain) {
                return self.push(Ok(hashed));
            }
        }
        self.row(row_of(line).map(at));
    }

    fn row(&mut self, found: Found) {
        self.push(found.map(|stored| self.hash(stored)));
    }

    fn hash(&self, stored: Stored) -> Hashed {
        let entry = self.bytes.get(stored.entry.clone()).unwrap_or_default();
        let ahead = self.before.map(|before| Ahead::of(before, entry));
        Hashed { leaf: TreeHash::leaf(entry), ahead, stored }
    }

    fn push(&mut self, row: Result<Hashed, &'static str>) {
        self.before = row.as_ref().ok().map(|row| row.stored.chain);
        self.hashed.push(row);
    }
}
