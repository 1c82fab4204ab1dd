//! Reads a batch file in chunks, in bounded memory, and hashes it on the way.
//!
//! Not here: what a row says. A chunk is as it was read, and is taken apart by whoever decides it, so
//! that the one thread that reads does as little as it can.
//!
//! Invariant: every row is in exactly one chunk, with its number; a row that cannot be read is in it too.

use super::csv_blocks::{Block, Blocks};
use super::error::JobError;
use super::format::{Format, is_standard};
use super::json::Members;
use sha2::{Digest as _, Sha256};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// How much of a file a chunk is. Where the output is Parquet it is a row group, and those should be large.
#[derive(Debug, Clone, Copy)]
pub(super) struct Size {
    /// Bytes of a chunk of text; a chunk of Parquet has about as many in memory.
    pub(super) bytes: usize,
    /// Most rows, where rows are counted.
    pub(super) rows: usize,
    /// Least rows of a chunk of Parquet, however large they are.
    least: usize,
}

/// A chunk smaller than this costs more than it spares.
const LEAST_BYTES: usize = 32 << 10;

impl Size {
    pub(super) const OF_TEXT: Self = Self { bytes: 1 << 20, rows: 8 << 10, least: 1 << 10 };
    const OF_GROUPS: Self = Self { bytes: 12 << 20, rows: 64 << 10, least: 1 << 10 };

    /// The size for an output that has each row once for each of so many offers: what becomes of a chunk is
    /// as large for many as for one.
    pub(super) fn of(output: Format, offers: usize) -> Self {
        let one = match output {
            Format::Parquet => Self::OF_GROUPS,
            Format::Csv | Format::Jsonl => Self::OF_TEXT,
        };
        let part = |whole: usize, least: usize| (whole / offers.max(1)).max(least);
        let (bytes, least) = (part(one.bytes, LEAST_BYTES), part(one.least, 1));
        Self { bytes, rows: part(one.rows, 1), least }
    }

    /// Rows of a chunk of Parquet, from the size of the whole file, unpacked.
    #[cfg(feature = "parquet")]
    pub(super) fn rows_of(self, bytes: i64, rows: i64) -> usize {
        // A number of a dictionary has a few bits there, and a value some bytes in memory.
        const UNPACKED: i64 = 4;
        let row = (bytes * UNPACKED).checked_div(rows).unwrap_or_default().max(1);
        let fit = usize::try_from(self.bytes as i64 / row).unwrap_or_default();
        fit.clamp(self.least, self.rows)
    }
}

/// Longest row, in bytes. A quote that is never closed would else make one row of the rest of the file.
pub(super) const MOST_ROW: u64 = 1 << 20;

/// How far a job is, for whoever watches it.
#[derive(Debug, Default)]
pub struct Counters {
    /// Rows that were decided or rejected.
    pub rows: AtomicU64,
    /// How much was read: bytes, or rows of Parquet.
    pub read: AtomicU64,
    /// How much there is to read; 0 where nobody knows.
    pub total: AtomicU64,
}

/// What a job read.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InputFacts {
    /// SHA-256 of the whole file, in hexadecimal digits.
    pub sha256: String,
    /// Its length.
    pub bytes: u64,
    /// Its rows, those of other shards and the rejected ones included.
    pub rows: u64,
}

/// Some rows in their order.
#[derive(Debug)]
pub(super) struct Chunk {
    /// Number of the first row, from 0.
    pub(super) first: u64,
    pub(super) rows: Rows,
}

/// Rows as they were read, each with its line.
#[derive(Debug)]
pub(super) enum Rows {
    Csv(Block),
    /// `None` for a line that is too long.
    Json(Vec<(u64, Option<Vec<u8>>)>),
    #[cfg(feature = "parquet")]
    Parquet(arrow_array::RecordBatch),
}

/// A file that is being read.
pub(super) struct Input {
    kind: Kind,
    name: String,
    /// The columns; of JSON lines those of the first row.
    pub(super) columns: Vec<String>,
    next_row: u64,
    size: Size,
}

enum Kind {
    Csv(Blocks),
    Json {
        reader: BufReader<Tally>,
        line: u64,
    },
    #[cfg(feature = "parquet")]
    Parquet(Box<super::parquet::Reading>),
}

impl Input {
    /// Opens a file and reads its header, to be read in chunks of this size. JSON lines have no header, and
    /// are looked at for their columns only if somebody wants these.
    pub(super) fn open(
        path: &Path,
        format: Format,
        wants_columns: bool,
        size: Size,
        counters: &Arc<Counters>,
    ) -> Result<Self, JobError> {
        let name = path.display().to_string();
        counters.read.store(0, Ordering::Relaxed);
        #[cfg(feature = "parquet")]
        if format == Format::Parquet {
            let (reading, columns) = super::parquet::Reading::open(path, size, counters)?;
            let kind = Kind::Parquet(Box::new(reading));
            return Ok(Self { kind, name, columns, next_row: 0, size });
        }
        let tally = Tally::open(path, counters)?;
        let mut input = match format {
            Format::Csv => {
                let broken = |what| JobError::Input { place: format!("{name}:1"), what };
                let opened = Blocks::open(tally, size.bytes);
                let (blocks, columns) = opened.map_err(|error| broken(error.to_string()))?;
                if columns.is_empty() {
                    return Err(broken("the file is empty; a header is needed".to_owned()));
                }
                Self { kind: Kind::Csv(blocks), name, columns, next_row: 0, size }
            }
            Format::Jsonl | Format::Parquet => {
                let reader = BufReader::with_capacity(64 << 10, tally);
                let kind = Kind::Json { reader, line: 1 };
                Self { kind, name, columns: Vec::new(), next_row: 0, size }
            }
        };
        if wants_columns {
            input.learn_columns(path)?;
        }
        Ok(input)
    }

    /// Of JSON lines a file's first readable row tells the columns that a table of them has. A
    /// standard stream is not read twice: there the output must be JSON lines, too.
    fn learn_columns(&mut self, path: &Path) -> Result<(), JobError> {
        if !matches!(self.kind, Kind::Json { .. }) || is_standard(path) {
            return Ok(());
        }
        let tally = Tally::open(path, &Arc::default())?;
        let mut other = BufReader::new(tally);
        while let Some(line) = next_line(&mut other).map_err(|it| self.io(it))? {
            let members = line.as_deref().and_then(|line| Members::read(line).ok());
            if let Some(flat) = members.and_then(|members| members.flat().ok()) {
                self.columns = flat.into_iter().map(|(name, _)| name).collect();
                break;
            }
        }
        Ok(())
    }

    /// The next rows; `None` after the last.
    pub(super) fn next(&mut self) -> Result<Option<Chunk>, JobError> {
        let name = self.name.clone();
        let broken =
            |line: u64, what: String| JobError::Input { place: format!("{name}:{line}"), what };
        let rows = match &mut self.kind {
            Kind::Csv(blocks) => match blocks.next() {
                Ok(block) => Rows::Csv(block.unwrap_or_default()),
                Err(error) => return Err(broken(blocks.line, error.to_string())),
            },
            Kind::Json { reader, line } => {
                let rows = json_rows(reader, line, self.size);
                Rows::Json(rows.map_err(|error| broken(0, error.to_string()))?)
            }
            #[cfg(feature = "parquet")]
            Kind::Parquet(reading) => match reading.next(&name)? {
                Some(batch) => Rows::Parquet(batch),
                None => return Ok(None),
            },
        };
        let count = rows.len();
        let first = self.next_row;
        self.next_row += count;
        Ok((count != 0).then_some(Chunk { first, rows }))
    }

    /// What was read, at the end.
    pub(super) fn facts(self) -> Result<InputFacts, JobError> {
        let rows = self.next_row;
        let (sha256, bytes) = match self.kind {
            Kind::Csv(blocks) => blocks.into_inner().finish(),
            Kind::Json { reader, .. } => reader.into_inner().finish(),
            #[cfg(feature = "parquet")]
            Kind::Parquet(reading) => reading.hash()?,
        };
        Ok(InputFacts { sha256, bytes, rows })
    }

    fn io(&self, source: io::Error) -> JobError {
        JobError::io("reading", Path::new(&self.name), source)
    }

    #[cfg(feature = "parquet")]
    pub(super) fn schema(&self) -> Option<arrow_schema::SchemaRef> {
        match &self.kind {
            Kind::Parquet(reading) => Some(reading.schema()),
            Kind::Csv(_) | Kind::Json { .. } => None,
        }
    }
}

impl Rows {
    fn len(&self) -> u64 {
        match self {
            Self::Csv(block) => block.records,
            Self::Json(rows) => rows.len() as u64,
            #[cfg(feature = "parquet")]
            Self::Parquet(batch) => batch.num_rows() as u64,
        }
    }
}

type Lines = Vec<(u64, Option<Vec<u8>>)>;

fn json_rows(reader: &mut BufReader<Tally>, line: &mut u64, size: Size) -> io::Result<Lines> {
    let (mut rows, mut bytes) = (Vec::new(), 0);
    while rows.len() < size.rows && bytes < size.bytes {
        let Some(text) = next_line(reader)? else { break };
        bytes += text.as_ref().map_or(0, Vec::len);
        if text.as_ref().is_none_or(|text| !text.trim_ascii().is_empty()) {
            rows.push((*line, text));
        }
        *line += 1;
    }
    Ok(rows)
}

/// The next line without its end; `Some(None)` for one that is too long, which is passed over.
fn next_line(reader: &mut BufReader<Tally>) -> io::Result<Option<Option<Vec<u8>>>> {
    let mut line = Vec::new();
    if reader.by_ref().take(MOST_ROW).read_until(b'\n', &mut line)? == 0 {
        return Ok(None);
    }
    if line.last() == Some(&b'\n') || (line.len() as u64) < MOST_ROW {
        let text = line.trim_ascii_end();
        let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text).len();
        let start = line.trim_ascii_end().len() - text;
        return Ok(Some(Some(line.get(start..start + text).unwrap_or_default().to_vec())));
    }
    loop {
        line.clear();
        let read = reader.by_ref().take(MOST_ROW).read_until(b'\n', &mut line)?;
        if read == 0 || line.last() == Some(&b'\n') {
            return Ok(Some(None));
        }
    }
}

/// Hashes and counts what passes.
pub(super) struct Tally {
    from: Box<dyn Read + Send>,
    hash: Sha256,
    bytes: u64,
    counters: Arc<Counters>,
}

impl Tally {
    fn open(path: &Path, counters: &Arc<Counters>) -> Result<Self, JobError> {
        let from: Box<dyn Read + Send> = if is_standard(path) {
            Box::new(io::stdin())
        } else {
            let file = File::open(path).map_err(|error| JobError::io("reading", path, error))?;
            let length = file.metadata().map(|it| it.len()).unwrap_or_default();
            counters.total.store(length, Ordering::Relaxed);
            Box::new(file)
        };
        let counters = Arc::clone(counters);
        Ok(Self { from, hash: Sha256::new(), bytes: 0, counters })
    }

    /// What is in memory already.
    #[cfg(test)]
    pub(super) fn of(bytes: Vec<u8>) -> Self {
        let (from, counters) = (Box::new(io::Cursor::new(bytes)), Arc::default());
        Self { from, hash: Sha256::new(), bytes: 0, counters }
    }

    fn finish(self) -> (String, u64) {
        (hex(self.hash), self.bytes)
    }
}

impl Read for Tally {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.from.read(into)?;
        self.hash.update(into.get(..read).unwrap_or_default());
        self.bytes += read as u64;
        self.counters.read.store(self.bytes, Ordering::Relaxed);
        Ok(read)
    }
}

/// A hash in hexadecimal digits.
pub(super) fn hex(hash: Sha256) -> String {
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_becomes_of_a_chunk_is_no_larger_for_many_offers_than_for_one() {
        for output in [Format::Csv, Format::Jsonl, Format::Parquet] {
            let one = Size::of(output, 1);
            assert_eq!(Size::of(output, 0).bytes, one.bytes);
            for offers in [2, 3, 30] {
                let size = Size::of(output, offers);
                assert!(size.bytes * offers <= one.bytes && size.rows * offers <= one.rows);
            }
        }
        // Of very many, a chunk is as small as it may be, and far from what an offset of 32 bits reaches.
        let size = Size::of(Format::Parquet, 10_000);
        assert_eq!((size.bytes, size.rows), (32 << 10, 6));
        assert!(size.bytes * 10_000 < i32::MAX as usize);
    }

    #[cfg(feature = "parquet")]
    #[test]
    fn a_chunk_of_parquet_has_as_many_rows_as_fit_once_for_each_offer() {
        let rows = |offers: usize, each: i64| {
            Size::of(Format::Parquet, offers).rows_of(each * 1_000_000, 1_000_000)
        };
        // Small rows, rows of 12 KiB in memory, and rows of a megabyte.
        assert_eq!([rows(1, 10), rows(1, 3 << 10), rows(1, 1 << 18)], [65_536, 1_024, 1_024]);
        assert_eq!([rows(200, 10), rows(200, 3 << 10), rows(200, 1 << 18)], [327, 5, 5]);
    }
}
