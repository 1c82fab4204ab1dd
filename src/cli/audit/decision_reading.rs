//! The lines of a decision log: read and decompressed, hashed and judged on several threads.

use super::blocks::{Block, Blocks, in_order, lines_of, read_lines};
use super::key_file::failed;
use crate::audit::Ahead;
use crate::audit::decisions::Auditor;
use crate::audit::decisions::folder::SegmentFile;
use crate::audit::decisions::segment::Linker;
use crate::cli::exit::Failure;

/// Lines of one segment.
#[derive(Default)]
struct LineBlock {
    /// The segment that begins with them.
    begins: Option<u64>,
    bytes: Vec<u8>,
    /// What follows cannot even be decompressed.
    is_broken_off: bool,
    /// The hash of each line, as far as it can be told from this block.
    hashes: Vec<Option<Ahead>>,
}

/// Shows the auditor all lines of some segments.
pub(super) fn judge(auditor: &mut Auditor<'_>, segments: &[SegmentFile]) -> Result<(), Failure> {
    let read = |blocks: &mut Blocks<LineBlock>| {
        segments.iter().try_for_each(|segment| read_segment(segment, blocks))
    };
    in_order(read, |block| block.show(auditor))
}

fn read_segment(segment: &SegmentFile, blocks: &mut Blocks<LineBlock>) -> Result<(), Failure> {
    let mut block = blocks.next();
    block.begins = Some(segment.number);
    let read = segment.open().and_then(|mut lines| {
        while read_lines(&mut lines, &mut block.bytes)? {
            blocks.send(std::mem::replace(&mut block, blocks.next()));
        }
        Ok(())
    });
    match read {
        Ok(()) => {}
        // A compressed segment that was changed may not even decompress.
        Err(_) if segment.is_compressed => block.is_broken_off = true,
        Err(error) => return Err(failed(&segment.path, "cannot be read", error)),
    }
    blocks.send(block);
    Ok(())
}

impl Block for LineBlock {
    fn hash(&mut self) {
        let mut linker = Linker::default();
        let lines = lines_of(&self.bytes).filter_map(|line| self.bytes.get(line));
        self.hashes.extend(lines.map(|line| linker.link(line.strip_suffix(b"\n").unwrap_or(line))));
    }

    fn clear(&mut self) {
        (self.begins, self.is_broken_off) = (None, false);
        self.bytes.clear();
        self.hashes.clear();
    }
}

impl LineBlock {
    fn show(&self, auditor: &mut Auditor<'_>) {
        if let Some(segment) = self.begins {
            auditor.begin(segment);
        }
        let lines = lines_of(&self.bytes).filter_map(|line| self.bytes.get(line));
        for (line, ahead) in lines.zip(&self.hashes) {
            match line.strip_suffix(b"\n") {
                Some(whole) => auditor.take_hashed(whole, *ahead),
                // What was read of a line before it broke off is no line.
                None if self.is_broken_off => {}
                None => auditor.take_torn(),
            }
        }
        if self.is_broken_off {
            auditor.take(b"");
        }
    }
}
