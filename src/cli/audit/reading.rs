//! Reads a log on one thread and judges it on another.
//!
//! The reader copies entries into blocks and hashes them as leaves; the judge follows the chain. Blocks go
//! back and forth and are used again, so that a log of any length is read in the same few megabytes, and
//! nothing is allocated for a record.

use crate::audit::{Auditor, Row, TreeHash};
use crate::cli::exit::{Exit, Failure};
use crate::domain::{ChainHash, Revision};
use std::sync::mpsc::{Receiver, SyncSender, channel, sync_channel};

/// A block goes on when it holds so many bytes, or so many rows.
const BYTES: usize = 1024 * 1024;
const ROWS: usize = 4096;

/// Blocks on their way to the judge.
const AHEAD: usize = 2;

/// Rows that were read.
#[derive(Default)]
struct Block {
    /// Their entries, one after another.
    text: String,
    rows: Vec<Read>,
}

enum Read {
    /// A row, and where its entry ends in the text.
    Row { revision: Revision, chain: ChainHash, leaf: TreeHash, end: usize },
    /// Something else, and why it is no row.
    Unreadable(&'static str),
}

/// Where a reader puts what it reads.
pub(super) struct Sink {
    block: Block,
    full: SyncSender<Block>,
    empty: Receiver<Block>,
}

impl Sink {
    /// The next row.
    pub(super) fn row(&mut self, revision: Revision, chain: ChainHash, entry: &str) {
        self.block.text.push_str(entry);
        let (leaf, end) = (TreeHash::leaf(entry), self.block.text.len());
        self.push(Read::Row { revision, chain, leaf, end });
    }

    /// Something that should be a row, and is none.
    pub(super) fn unreadable(&mut self, why: &'static str) {
        self.push(Read::Unreadable(why));
    }

    fn push(&mut self, read: Read) {
        self.block.rows.push(read);
        if BYTES <= self.block.text.len() || ROWS <= self.block.rows.len() {
            self.pass_on();
        }
    }

    fn pass_on(&mut self) {
        let next = self.empty.try_recv().unwrap_or_default();
        // Nobody receives only when the judge has died, and then the thread's end is told.
        let _ = self.full.send(std::mem::replace(&mut self.block, next));
    }
}

/// Runs `read` on a thread of its own, and shows the auditor all that it finds.
pub(super) fn judge<T: Send>(
    auditor: &mut Auditor,
    read: impl FnOnce(&mut Sink) -> Result<T, Failure> + Send,
) -> Result<T, Failure> {
    let (full, blocks) = sync_channel(AHEAD);
    let (give_back, empty) = channel();
    std::thread::scope(|scope| {
        let reader = scope.spawn(move || {
            let mut sink = Sink { block: Block::default(), full, empty };
            let done = read(&mut sink);
            sink.pass_on();
            done
        });
        for mut block in blocks {
            show(auditor, &block);
            block.text.clear();
            block.rows.clear();
            let _ = give_back.send(block);
        }
        reader.join().unwrap_or_else(|_| Err(Failure::new(Exit::Failure, "reading broke off")))
    })
}

fn show(auditor: &mut Auditor, block: &Block) {
    let mut start = 0;
    for read in &block.rows {
        match read {
            Read::Row { revision, chain, leaf, end } => {
                let entry = block.text.get(start..*end).unwrap_or_default();
                start = *end;
                auditor.take(Row { revision: *revision, chain: *chain, entry, leaf: *leaf });
            }
            Read::Unreadable(why) => auditor.take_unreadable(why),
        }
    }
}
