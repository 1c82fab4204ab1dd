//! Reads a batch file in chunks, in bounded memory, and hashes it on the way.
//!
//! Not here: what a row says. A chunk is as it was read, and is taken apart by whoever decides it, so
//! that the one thread that reads does as little as it can.
//!
//! Invariant: every row is in exactly one chunk, with its number; a row that cannot be read is in it too.

use super::error::JobError;
use super::format::{Format, is_standard};
use super::json::Members;
use csv::ByteRecord;
use sha2::{Digest as _, Sha256};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Most rows of a chunk: enough that handing one over costs nothing, few enough to be all of a small file.
pub(super) const MOST_ROWS: usize = 4096;

/// A chunk ends when it has so many bytes, however few rows these are.
const MOST_CHUNK: usize = 4 << 20;

/// Longest row, in bytes. A quote that is never closed would else make one row of the rest of the file.
const MOST_ROW: u64 = 1 << 20;

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
    Csv(Vec<(u64, ByteRecord)>),
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
}

enum Kind {
    Csv {
        reader: Box<csv::Reader<Tally>>,
        lines: LineEnds,
    },
    Json {
        reader: BufReader<Tally>,
        line: u64,
    },
    #[cfg(feature = "parquet")]
    Parquet(Box<super::parquet::Reading>),
}

impl Input {
    /// Opens a file and reads its header. JSON lines have none, and are looked at for their columns only
    /// if somebody wants these.
    pub(super) fn open(
        path: &Path,
        format: Format,
        wants_columns: bool,
        counters: &Arc<Counters>,
    ) -> Result<Self, JobError> {
        let name = path.display().to_string();
        counters.read.store(0, Ordering::Relaxed);
        #[cfg(feature = "parquet")]
        if format == Format::Parquet {
            let (reading, columns) = super::parquet::Reading::open(path, counters)?;
            return Ok(Self { kind: Kind::Parquet(Box::new(reading)), name, columns, next_row: 0 });
        }
        let tally = Tally::open(path, counters)?;
        let mut input = match format {
            Format::Csv => {
                let mut builder = csv::ReaderBuilder::new();
                let mut reader =
                    builder.flexible(true).buffer_capacity(64 << 10).from_reader(tally);
                let broken = |what| JobError::Input { place: format!("{name}:1"), what };
                let header = reader.headers().map_err(|error| broken(error.to_string()))?;
                let columns: Vec<_> = header.iter().map(str::to_owned).collect();
                if columns.is_empty() {
                    return Err(broken("the file is empty; a header is needed".to_owned()));
                }
                let embedded = columns.iter().flat_map(|it| it.bytes()).filter(|it| *it == b'\n');
                let after = reader.position().line();
                let lines = LineEnds { are_cr: after == 1 + embedded.count() as u64 };
                Self {
                    kind: Kind::Csv { reader: Box::new(reader), lines },
                    name,
                    columns,
                    next_row: 0,
                }
            }
            Format::Jsonl | Format::Parquet => {
                let reader = BufReader::with_capacity(64 << 10, tally);
                let kind = Kind::Json { reader, line: 1 };
                Self { kind, name, columns: Vec::new(), next_row: 0 }
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
            Kind::Csv { reader, lines } => Rows::Csv(csv_rows(reader, lines, broken)?),
            Kind::Json { reader, line } => {
                let rows = json_rows(reader, line);
                Rows::Json(rows.map_err(|error| broken(0, error.to_string()))?)
            }
            #[cfg(feature = "parquet")]
            Kind::Parquet(reading) => match reading.next(&name)? {
                Some(batch) => Rows::Parquet(batch),
                None => return Ok(None),
            },
        };
        let count = rows.len() as u64;
        let first = self.next_row;
        self.next_row += count;
        Ok((count != 0).then_some(Chunk { first, rows }))
    }

    /// What was read, at the end.
    pub(super) fn facts(self) -> Result<InputFacts, JobError> {
        let rows = self.next_row;
        let (sha256, bytes) = match self.kind {
            Kind::Csv { reader, .. } => reader.into_inner().finish(),
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
            Kind::Csv { .. } | Kind::Json { .. } => None,
        }
    }
}

impl Rows {
    fn len(&self) -> usize {
        match self {
            Self::Csv(rows) => rows.len(),
            Self::Json(rows) => rows.len(),
            #[cfg(feature = "parquet")]
            Self::Parquet(batch) => batch.num_rows(),
        }
    }
}

/// How the lines of a CSV file end, as far as it can be told from the first one.
struct LineEnds {
    /// In CR LF, so that the reader takes a record for ended, and its line not yet.
    are_cr: bool,
}

impl LineEnds {
    /// The line that a record began on. The reader itself names that of the empty lines before it.
    fn line_of(&self, record: &ByteRecord, before: u64, after: u64) -> u64 {
        let embedded = record.as_slice().iter().filter(|byte| **byte == b'\n').count() as u64;
        let own = embedded + u64::from(!self.are_cr);
        after.saturating_sub(own).max(before)
    }
}

fn csv_rows(
    reader: &mut csv::Reader<Tally>,
    lines: &LineEnds,
    broken: impl Fn(u64, String) -> JobError,
) -> Result<Vec<(u64, ByteRecord)>, JobError> {
    let (mut rows, mut bytes) = (Vec::new(), 0);
    while rows.len() < MOST_ROWS && bytes < MOST_CHUNK {
        let at = reader.position().line();
        reader.get_mut().since = 0;
        let mut record = ByteRecord::new();
        match reader.read_byte_record(&mut record) {
            Ok(false) => break,
            Ok(true) => {
                bytes += record.as_slice().len();
                let line = lines.line_of(&record, at, reader.position().line());
                rows.push((line, record));
            }
            Err(error) => return Err(broken(at, error.to_string())),
        }
    }
    Ok(rows)
}

type Lines = Vec<(u64, Option<Vec<u8>>)>;

fn json_rows(reader: &mut BufReader<Tally>, line: &mut u64) -> io::Result<Lines> {
    let (mut rows, mut bytes) = (Vec::new(), 0);
    while rows.len() < MOST_ROWS && bytes < MOST_CHUNK {
        reader.get_mut().since = 0;
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
        reader.get_mut().since = 0;
        let read = reader.by_ref().take(MOST_ROW).read_until(b'\n', &mut line)?;
        if read == 0 || line.last() == Some(&b'\n') {
            return Ok(Some(None));
        }
    }
}

/// Hashes and counts what passes, and ends a row that does not end.
pub(super) struct Tally {
    from: Box<dyn Read + Send>,
    hash: Sha256,
    bytes: u64,
    /// Bytes since the last row began.
    since: u64,
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
        Ok(Self { from, hash: Sha256::new(), bytes: 0, since: 0, counters })
    }

    fn finish(self) -> (String, u64) {
        (hex(self.hash), self.bytes)
    }
}

impl Read for Tally {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        // Room for what was read ahead of the row.
        if 2 * MOST_ROW < self.since {
            return Err(io::Error::other("a row is longer than 1 MiB; is a quote left open?"));
        }
        let read = self.from.read(into)?;
        self.hash.update(into.get(..read).unwrap_or_default());
        self.bytes += read as u64;
        self.since += read as u64;
        self.counters.read.store(self.bytes, Ordering::Relaxed);
        Ok(read)
    }
}

/// A hash in hexadecimal digits.
pub(super) fn hex(hash: Sha256) -> String {
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
