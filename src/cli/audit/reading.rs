//! The rows of a log of changes: found, hashed and judged on several threads.

use super::blocks::{Block, Blocks, FULL, Full, empty, in_order, lines_of, read_lines};
use super::source::{row_as_written, row_of};
use crate::audit::{Ahead, Auditor, Row, TreeHash};
use crate::cli::exit::Failure;
use crate::domain::{ChainHash, Revision};
use std::io::{self, BufRead};
use std::ops::Range;

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
    /// Up to where bytes are compared with what was signed.
    signed_to: Revision,
    found: Vec<Found>,
    hashed: Vec<Result<Hashed, &'static str>>,
}

/// Where a reader puts what it reads.
pub(super) struct Sink<'a> {
    full: Full,
    signed_to: Revision,
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
        self.pass_on();
        while read_lines(&mut lines, self.full, &mut self.block.bytes)? {
            (self.block.are_lines, self.block.signed_to) = (true, self.signed_to);
            self.pass_on();
        }
        Ok(())
    }

    fn push(&mut self, found: Found) {
        self.block.found.push(found);
        let Full { bytes, rows } = self.full;
        if bytes <= self.block.bytes.len() || rows <= self.block.found.len() {
            self.pass_on();
        }
    }

    fn pass_on(&mut self) {
        let next = self.blocks.next();
        self.blocks.send(std::mem::replace(&mut self.block, next));
    }
}

/// Shows the auditor all that `read` finds. Records up to `signed_to` are compared with what was signed, so
/// that one that was hashed need not read as well.
pub(super) fn judge<T: Send>(
    auditor: &mut Auditor,
    signed_to: Revision,
    read: impl FnOnce(&mut Sink<'_>) -> Result<T, Failure> + Send,
) -> Result<T, Failure> {
    judge_by(FULL, auditor, signed_to, read)
}

/// The same in blocks of any size.
fn judge_by<T: Send>(
    full: Full,
    auditor: &mut Auditor,
    signed_to: Revision,
    read: impl FnOnce(&mut Sink<'_>) -> Result<T, Failure> + Send,
) -> Result<T, Failure> {
    let read = |blocks: &mut Blocks<RowBlock>| {
        let mut sink = Sink { full, signed_to, block: RowBlock::default(), blocks };
        let done = read(&mut sink);
        sink.pass_on();
        done
    };
    in_order(read, |block| block.show(auditor))
}

impl Block for RowBlock {
    fn hash(&mut self) {
        let Self { bytes, are_lines, signed_to, found, hashed } = self;
        let mut hashing =
            Hashing { bytes: bytes.as_slice(), signed_to: *signed_to, before: None, hashed };
        if *are_lines {
            lines_of(bytes).for_each(|line| hashing.line(line));
        } else {
            found.drain(..).for_each(|found| hashing.row(found));
        }
    }

    fn clear(&mut self) {
        empty(&mut self.bytes);
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
    signed_to: Revision,
    /// The hash that is stored with the row before, if that stands in this block.
    before: Option<ChainHash>,
    hashed: &'a mut Vec<Result<Hashed, &'static str>>,
}

impl Hashing<'_> {
    /// A line, if there is anything in it. Of one whose hash follows, and of which it will be said whether it
    /// is what was signed, nobody needs to know that it reads as well; looking takes as long as hashing.
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
        if let Some(stored) = row_as_written(line).filter(|row| row.revision <= self.signed_to) {
            let hashed = self.hash(at(stored));
            if hashed.ahead.is_some_and(|ahead| ahead.leads_to(hashed.stored.chain)) {
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

#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]
mod tests {
    use super::*;
    use crate::audit::{Chain, Checkpoint, Frontier, Verdict, samples::content};
    use crate::domain::Lineage;
    use sha2::{Digest as _, Sha256};

    /// A log as lines, and what was signed of all of it.
    fn log(length: u64) -> (Vec<String>, Checkpoint) {
        let (mut end, mut tree) = (Chain::START, Frontier::default());
        let record = |number| {
            let (record, entry) = end.next(&content(number)).unwrap();
            end = Chain { revision: record.revision, hash: record.chain };
            tree.push(TreeHash::leaf(&entry));
            format!("{{\"revision\":{number},\"chain\":\"{}\",\"entry\":{entry}}}", record.chain)
        };
        let lines = (1..=length).map(record).collect();
        let lineage = Lineage::parse(&"a".repeat(32)).unwrap();
        (lines, Checkpoint { lineage, size: end.revision, root: tree.root(), chain: end.hash })
    }

    fn verdict(lines: &[String], signed: Option<&Checkpoint>, full: Full) -> Verdict {
        let mut auditor = Auditor::new(signed.cloned().into_iter().collect());
        let signed_to = signed.map_or(Revision::ZERO, |signed| signed.size);
        let text = lines.join("\n");
        let read = |sink: &mut Sink<'_>| {
            sink.lines(text.as_bytes()).unwrap();
            Ok(())
        };
        judge_by(full, &mut auditor, signed_to, read).unwrap();
        auditor.finish(None)
    }

    #[test]
    fn what_is_found_does_not_depend_on_where_blocks_end() {
        type Tamper = fn(&mut Vec<String>);
        let cases: [(&str, bool, Tamper); 10] = [
            ("nothing", true, |_| {}),
            ("empty lines", true, |lines| lines.insert(3, "\n \r".to_owned())),
            ("carriage returns", true, |lines| lines.iter_mut().for_each(|it| it.push('\r'))),
            ("spaces between", true, |lines| lines[4] = lines[4].replacen(':', ": ", 1)),
            ("a word", false, |lines| lines[5] = lines[5].replacen("CHG", "CHX", 1)),
            ("a hash", false, |lines| {
                let at = lines[5].find("\"chain\":\"").unwrap() + 9;
                let other = if lines[5].as_bytes()[at] == b'0' { "1" } else { "0" };
                lines[5].replace_range(at..=at, other);
            }),
            ("no record", false, |lines| lines[2] = "{}".to_owned()),
            ("gone", false, |lines| drop(lines.remove(6))),
            ("twice", false, |lines| lines.insert(6, lines[5].clone())),
            ("swapped", false, |lines| lines.swap(3, 4)),
        ];
        let (whole, signed) = log(9);
        for (what, is_intact, tamper) in cases {
            let mut lines = whole.clone();
            tamper(&mut lines);
            for signed in [None, Some(&signed)] {
                let expected = verdict(&lines, signed, FULL);
                assert_eq!(
                    expected.findings.is_empty(),
                    is_intact,
                    "{what}: {:?}",
                    expected.findings
                );
                for rows in 1..=lines.len() {
                    let found = verdict(&lines, signed, Full { rows, ..FULL });
                    let told =
                        |it: &Verdict| (it.findings.clone(), it.end, it.root, it.compared.clone());
                    assert_eq!(told(&found), told(&expected), "{what}, {rows} rows in a block");
                }
            }
        }
    }

    fn chained(before: ChainHash, entry: &str) -> ChainHash {
        let length = u64::try_from(entry.len()).unwrap();
        let hash = Sha256::new().chain_update(before.0).chain_update(length.to_be_bytes());
        ChainHash(hash.chain_update(entry).finalize().into())
    }

    /// Chains anew what says something else to other tools than to who hashes it.
    #[test]
    fn what_is_no_record_is_no_record_though_its_hash_follows_unless_it_was_signed() {
        let (whole, signed) = log(6);
        for alter in [
            |entry: &str| format!("oops,{}", &entry[1..entry.len() - 1]),
            |entry: &str| format!("{entry},\"entry\":{entry}"),
            |entry: &str| format!("{entry} "),
        ] {
            let mut lines = whole.clone();
            let mut hash = ChainHash::ZERO;
            for (number, line) in (1..).zip(&mut lines) {
                let entry = line.split_once(",\"entry\":").unwrap().1;
                let mut entry = entry.strip_suffix('}').unwrap().to_owned();
                if number == 4 {
                    entry = alter(&entry);
                }
                hash = chained(hash, &entry);
                *line = format!("{{\"revision\":{number},\"chain\":\"{hash}\",\"entry\":{entry}}}");
            }
            for rows in 1..=6 {
                let full = Full { rows, ..FULL };
                for signed in [None, Some(&signed)] {
                    let verdict = verdict(&lines, signed, full);
                    assert!(!verdict.findings.is_empty(), "{lines:?}");
                }
                // Signed up to the record before: nothing vouches for the rest.
                let mut earlier = log(3).1;
                earlier.lineage = signed.lineage.clone();
                assert!(!verdict(&lines, Some(&earlier), full).findings.is_empty(), "{lines:?}");
            }
        }
    }
}
