//! The lines of a decision log: read and decompressed, hashed and judged on several threads.

use super::blocks::{Block, Blocks, FULL, Full, empty, in_order, lines_of, read_lines};
use super::key_file::failed;
use crate::audit::Ahead;
use crate::audit::decisions::Auditor;
use crate::audit::decisions::folder::SegmentFile;
use crate::audit::decisions::segment::Linker;
use crate::cli::exit::Failure;
use std::iter::repeat;

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
    judge_by(FULL, auditor, segments)
}

/// The same in blocks of any size.
fn judge_by(
    full: Full,
    auditor: &mut Auditor<'_>,
    segments: &[SegmentFile],
) -> Result<(), Failure> {
    let read = |blocks: &mut Blocks<LineBlock>| {
        segments.iter().try_for_each(|segment| read_segment(segment, full, blocks))
    };
    in_order(read, |block| block.show(auditor))
}

fn read_segment(
    segment: &SegmentFile,
    full: Full,
    blocks: &mut Blocks<LineBlock>,
) -> Result<(), Failure> {
    let mut block = blocks.next();
    block.begins = Some(segment.number);
    let read = segment.open().and_then(|mut lines| {
        while read_lines(&mut lines, full, &mut block.bytes)? {
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
        empty(&mut self.bytes);
        self.hashes.clear();
    }
}

impl LineBlock {
    fn show(&self, auditor: &mut Auditor<'_>) {
        if let Some(segment) = self.begins {
            auditor.begin(segment);
        }
        let lines = lines_of(&self.bytes).filter_map(|line| self.bytes.get(line));
        // A line without a hash is hashed by the auditor; none is left out.
        for (line, ahead) in lines.zip(self.hashes.iter().copied().chain(repeat(None))) {
            match line.strip_suffix(b"\n") {
                Some(whole) => auditor.take_hashed(whole, ahead),
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

#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]
mod tests {
    use super::*;
    use crate::audit::decisions::Verdict;
    use crate::audit::decisions::folder::{compressed, file_name, segments};
    use crate::audit::decisions::segment::{Chained, FORMAT, Footer, Header};
    use crate::domain::{ChainHash, Timestamp};
    use std::path::Path;

    const RECORDS: u64 = 7;

    /// The lines of two segments.
    fn log() -> [Vec<u8>; 2] {
        let at: Timestamp = "2026-11-24T00:00:00Z".parse().unwrap();
        let mut chained = Chained { chain: ChainHash::ZERO };
        [1, 2].map(|segment| {
            let mut out = Vec::new();
            let header = Header {
                format: FORMAT,
                segment,
                begun: at,
                server: "s".to_owned(),
                engine: "0.1.0".to_owned(),
                customer_ids: "plain".to_owned(),
                sample: 1.0,
                previous: chained.chain.to_string(),
                next_seq: 1 + (segment - 1) * RECORDS,
            };
            chained.header(&header, &mut out);
            for seq in header.next_seq..header.next_seq + RECORDS {
                chained.record(seq, b"\"id\":\"x\"", &mut out);
            }
            let (records, next_seq) = (RECORDS, header.next_seq + RECORDS);
            let footer =
                Footer { segment, records, dropped: 0, sampled_out: 0, next_seq, ended: at };
            chained.footer(&footer, None, &mut out);
            out
        })
    }

    fn verdict(folder: &Path, full: Full) -> Verdict {
        let mut auditor = Auditor::new(None);
        judge_by(full, &mut auditor, &segments(folder).unwrap()).unwrap();
        auditor.finish()
    }

    /// Writes two segments and asserts that their verdict is the same wherever blocks end; returns it.
    fn judged(lines: &[Vec<u8>; 2], cut: Option<usize>) -> Verdict {
        let folder = tempfile::tempdir().unwrap();
        let begun: Timestamp = "2026-11-24T00:00:00Z".parse().unwrap();
        for (number, lines) in (1..).zip(lines) {
            let path = folder.path().join(file_name(begun, number));
            match cut {
                Some(cut) if number == 1 => {
                    let packed = zstd::encode_all(&lines[..], 1).unwrap();
                    let kept = packed.len().min(cut);
                    std::fs::write(compressed(&path), &packed[..kept]).unwrap();
                }
                _ => std::fs::write(&path, lines).unwrap(),
            }
        }
        let expected = verdict(folder.path(), FULL);
        for rows in 1..=RECORDS as usize + 3 {
            let found = verdict(folder.path(), Full { rows, ..FULL });
            let told =
                |it: &Verdict| (it.findings.clone(), it.records, it.segments, it.next_seq, it.open);
            assert_eq!(told(&found), told(&expected), "{rows} rows in a block, cut at {cut:?}");
        }
        expected
    }

    #[test]
    fn what_is_found_does_not_depend_on_where_blocks_end() {
        let whole = log();
        assert_eq!(judged(&whole, None).findings, []);
        assert_eq!(judged(&whole, Some(usize::MAX)).findings, []);
        let first = String::from_utf8(whole[0].clone()).unwrap();
        let lines: Vec<&str> = first.split_inclusive('\n').collect();
        for at in 0..lines.len() {
            for what in ["gone", "twice", "altered", "another hash", "no line", "torn"] {
                let mut changed: Vec<String> = lines.iter().map(ToString::to_string).collect();
                match what {
                    "gone" => drop(changed.remove(at)),
                    "twice" => changed.insert(at, lines[at].to_owned()),
                    "altered" => changed[at] = changed[at].replacen(":", ": ", 1),
                    "another hash" => {
                        let end = changed[at].len() - 4;
                        let other = if changed[at].as_bytes()[end] == b'0' { "1" } else { "0" };
                        changed[at].replace_range(end..=end, other);
                    }
                    "no line" => changed[at] = "{}\n".to_owned(),
                    _ => changed[at].truncate(5),
                }
                let found = judged(&[changed.concat().into_bytes(), whole[1].clone()], None);
                assert!(!found.findings.is_empty(), "{what} at {at}");
            }
        }
    }

    #[test]
    fn a_compressed_segment_that_breaks_off_anywhere_is_found() {
        let whole = log();
        let length = zstd::encode_all(&whole[0][..], 1).unwrap().len();
        for cut in 0..length {
            assert!(!judged(&whole, Some(cut)).findings.is_empty(), "cut at {cut}");
        }
    }
}
