//! Reads CSV in blocks that end where a record does, and takes a block apart.
//!
//! The thread that reads only looks for the ends of records; fields are parted by whoever decides them. What
//! counts as a record is what the `csv` crate takes for one: quotes open only at the start of a field, lines
//! end in LF, CR or CR LF, and empty lines are passed over.
//!
//! Invariant: blocks follow from the bytes alone, never from how a stream hands them over.

use super::input::{MOST_ROW, Tally};
use memchr::{memchr, memchr_iter, memchr3};
use std::io::{self, Read as _};

/// Records in a row, and the line that they begin on.
#[derive(Debug, Default)]
pub(super) struct Block {
    pub(super) bytes: Vec<u8>,
    pub(super) line: u64,
    pub(super) records: u64,
}

/// A file that is being read.
pub(super) struct Blocks {
    from: Tally,
    size: usize,
    /// Read, and not given out.
    pending: Vec<u8>,
    /// The line that the next block begins on.
    pub(super) line: u64,
}

impl Blocks {
    /// Begins to read, and takes the header.
    pub(super) fn open(from: Tally, size: usize) -> io::Result<(Self, Vec<String>)> {
        let mut blocks = Self { from, size, pending: Vec::new(), line: 1 };
        blocks.fill(3)?;
        if blocks.pending.starts_with(b"\xef\xbb\xbf") {
            blocks.pending.drain(..3);
        }
        let mut block = blocks.next()?.unwrap_or_default();
        let mut records = Records::of(&block);
        let header = records.next().map(|(_, record)| record.texts());
        let (at, line) = (records.at, records.line);
        let columns = header.transpose().map_err(io::Error::other)?.unwrap_or_default();
        // What follows the header is read again.
        block.bytes.drain(..at);
        block.bytes.append(&mut blocks.pending);
        (blocks.pending, blocks.line) = (block.bytes, line);
        Ok((blocks, columns))
    }

    /// The next records; `None` at the end.
    pub(super) fn next(&mut self) -> io::Result<Option<Block>> {
        let mut wanted = self.size;
        loop {
            let is_all = self.fill(wanted)?;
            let (mut end, mut records) = (0, 0);
            while let Some((start, stop)) = record_at(&self.pending, end, is_all) {
                if MOST_ROW < (stop - start) as u64 {
                    return Err(too_long());
                }
                records += 1;
                end = self.pending.len().min(stop + 1);
            }
            if records == 0 {
                if is_all {
                    return Ok(None);
                }
                if MOST_ROW < self.pending.len() as u64 {
                    return Err(too_long());
                }
                wanted = self.pending.len() + self.size;
                continue;
            }
            let rest = self.pending.split_off(end);
            let bytes = std::mem::replace(&mut self.pending, rest);
            let line = self.line;
            self.line += memchr_iter(b'\n', &bytes).count() as u64;
            return Ok(Some(Block { bytes, line, records }));
        }
    }

    pub(super) fn into_inner(self) -> Tally {
        self.from
    }

    /// Reads until so much is pending, or all is read; tells whether it is.
    fn fill(&mut self, wanted: usize) -> io::Result<bool> {
        let missing = wanted.saturating_sub(self.pending.len()) as u64;
        self.pending.reserve(usize::try_from(missing).unwrap_or_default());
        let read = self.from.by_ref().take(missing).read_to_end(&mut self.pending)?;
        Ok((read as u64) < missing)
    }
}

fn too_long() -> io::Error {
    io::Error::other("a row is longer than 1 MiB; is a quote left open?")
}

/// Where the record that begins at or after `from` starts and stops; `None` if it is not all there. At the end
/// of a file a record needs no line end, nor a quote that is closed.
fn record_at(bytes: &[u8], from: usize, is_all: bool) -> Option<(usize, usize)> {
    let rest = bytes.get(from..)?;
    let start = from + rest.iter().position(|byte| !matches!(byte, b'\n' | b'\r'))?;
    let mut at = start;
    let last = || is_all.then_some((start, bytes.len()));
    loop {
        let Some(found) = memchr3(b'\n', b'\r', b'"', bytes.get(at..)?) else { return last() };
        at += found;
        if bytes.get(at) != Some(&b'"') {
            return Some((start, at));
        }
        let before = at.checked_sub(1).filter(|before| start <= *before);
        let opens = before.is_none_or(|before| bytes.get(before) == Some(&b','));
        at += 1;
        if !opens {
            continue;
        }
        loop {
            let Some(found) = memchr(b'"', bytes.get(at..)?) else { return last() };
            at += found + 1;
            match bytes.get(at) {
                Some(b'"') => at += 1,
                Some(_) => break,
                // Whether the quote is closed or doubled is not known yet.
                None => return last(),
            }
        }
    }
}

/// One record, parted.
#[derive(Debug)]
pub(super) struct Record<'r> {
    /// As it stands in the file.
    pub(super) raw: &'r [u8],
    /// The fields, one after the other, without quotes; more may follow.
    text: &'r [u8],
    ends: &'r [usize],
    /// Bytes between two fields.
    gap: usize,
}

impl<'r> Record<'r> {
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether it stands in the file as it would be written again.
    pub(super) fn is_plain(&self) -> bool {
        self.gap == 1
    }

    pub(super) fn field(&self, place: usize) -> &'r [u8] {
        let (bytes, length) = self.field_in(place);
        bytes.get(..length).unwrap_or_default()
    }

    /// The bytes that begin with a field, and its length.
    pub(super) fn field_in(&self, place: usize) -> (&'r [u8], usize) {
        let before = place.checked_sub(1).and_then(|before| self.ends.get(before));
        let start = before.map_or(0, |end| end + self.gap);
        let end = self.ends.get(place).copied().unwrap_or(start);
        (self.text.get(start..).unwrap_or_default(), end.saturating_sub(start))
    }

    fn texts(&self) -> Result<Vec<String>, String> {
        let text = |place| {
            let text = str::from_utf8(self.field(place)).map(str::to_owned);
            text.map_err(|_| format!("column {} has a name that is not UTF-8", place + 1))
        };
        (0..self.len()).map(text).collect()
    }
}

/// The records of a block, one by one.
pub(super) struct Records<'b> {
    bytes: &'b [u8],
    at: usize,
    line: u64,
    ends: Vec<usize>,
    /// The fields of a record that has quotes, without these.
    unquoted: Vec<u8>,
}

impl<'b> Records<'b> {
    pub(super) fn of(block: &'b Block) -> Self {
        let (ends, unquoted) = (Vec::new(), Vec::new());
        Self { bytes: &block.bytes, at: 0, line: block.line, ends, unquoted }
    }

    /// The next record, and the line that it begins on.
    pub(super) fn next(&mut self) -> Option<(u64, Record<'_>)> {
        let (start, stop) = record_at(self.bytes, self.at, true)?;
        let lines = |from, to| {
            let bytes = self.bytes.get(from..to).unwrap_or_default();
            memchr_iter(b'\n', bytes).count() as u64
        };
        let line = self.line + lines(self.at, start);
        let end = self.bytes.len().min(stop + 1);
        let raw = self.bytes.get(start..stop).unwrap_or_default();
        self.ends.clear();
        let is_quoted = memchr(b'"', raw).is_some();
        self.line = line + if is_quoted { lines(start, end) } else { lines(stop, end) };
        self.at = end;
        if is_quoted {
            self.unquote(raw);
            let text = self.unquoted.as_slice();
            return Some((line, Record { raw, text, ends: &self.ends, gap: 0 }));
        }
        self.ends.extend(memchr_iter(b',', raw));
        self.ends.push(raw.len());
        let text = self.bytes.get(start..).unwrap_or_default();
        Some((line, Record { raw, text, ends: &self.ends, gap: 1 }))
    }

    /// Parts a record that has quotes.
    fn unquote(&mut self, raw: &[u8]) {
        self.unquoted.clear();
        let mut bytes = raw.iter().copied().peekable();
        loop {
            if bytes.next_if_eq(&b'"').is_some() {
                while let Some(byte) = bytes.next() {
                    if byte == b'"' && bytes.next_if_eq(&b'"').is_none() {
                        break;
                    }
                    self.unquoted.push(byte);
                }
            }
            // A field that does not begin with a quote, or what follows one that was closed.
            let comma = loop {
                match bytes.next() {
                    Some(b',') => break true,
                    Some(byte) => self.unquoted.push(byte),
                    None => break false,
                }
            };
            self.ends.push(self.unquoted.len());
            if !comma {
                return;
            }
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Every record: its line and its fields.
    fn ours(bytes: &[u8], size: usize) -> Vec<(u64, Vec<Vec<u8>>)> {
        let (mut blocks, columns) = Blocks::open(Tally::of(bytes.to_vec()), size).unwrap();
        let mut all = vec![(0, columns.into_iter().map(String::into_bytes).collect())];
        while let Some(block) = blocks.next().unwrap() {
            let (mut records, mut count) = (Records::of(&block), 0);
            while let Some((line, record)) = records.next() {
                let fields = (0..record.len()).map(|place| record.field(place).to_vec());
                all.push((line, fields.collect()));
                count += 1;
            }
            assert_eq!(count, block.records);
        }
        all
    }

    fn of_the_crate(bytes: &[u8]) -> Vec<Vec<Vec<u8>>> {
        let mut builder = csv::ReaderBuilder::new();
        let mut reader = builder.flexible(true).has_headers(false).from_reader(bytes);
        let records = reader
            .byte_records()
            .map(|record| record.unwrap().iter().map(<[u8]>::to_vec).collect());
        records.collect()
    }

    proptest! {
        #[test]
        fn records_are_those_that_the_csv_crate_reads_whatever_the_size_of_blocks(
            body in "[a,\"\n\r]{0,60}",
            size in 1_usize..40,
        ) {
            let bytes = format!("h,i\n{body}");
            let ours: Vec<_> = ours(bytes.as_bytes(), size).into_iter().map(|it| it.1).collect();
            prop_assert_eq!(ours, of_the_crate(bytes.as_bytes()));
        }
    }

    #[test]
    fn a_record_has_the_line_that_it_begins_on() {
        let text = b"\xef\xbb\xbfid,note\r\nc-1,\"two\nlines\"\r\n\r\n\nc-2,x\nc-3,\"\"\"\"";
        let lines = ours(text, 16).into_iter().map(|(line, fields)| (line, fields.len()));
        let lines: Vec<_> = lines.collect();
        assert_eq!(lines, [(0, 2), (2, 2), (6, 2), (7, 2)]);
    }
}
