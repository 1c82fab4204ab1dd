//! The files of a decision log: their names, and how they are read.
//!
//! A segment is `BEGUN-NUMBER.jsonl`, and `BEGUN-NUMBER.jsonl.zst` once it was compressed: the instant in
//! UTC without punctuation, and the number in eight digits. Whatever else lies in the folder is left alone.

use crate::domain::Timestamp;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use uuid::Uuid;

/// How the name of a segment ends, and that of a compressed one.
const PLAIN: &str = ".jsonl";
const COMPRESSED: &str = ".jsonl.zst";

/// How a record begins, and within how many bytes its id ends.
pub const RECORD: &[u8] = b"{\"seq\":";
const ID_ENDS: usize = 80;

/// What is read at once.
const BLOCK: usize = 1024 * 1024;

/// A segment's file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentFile {
    /// The segment's number.
    pub number: u64,
    /// When it was begun, to the second.
    pub begun: Timestamp,
    /// Whether it is compressed.
    pub is_compressed: bool,
    /// Where it is.
    pub path: PathBuf,
}

/// The name of a new segment.
#[must_use]
pub fn file_name(begun: Timestamp, number: u64) -> String {
    format!("{}-{number:08}{PLAIN}", begun.strftime("%Y%m%dT%H%M%SZ"))
}

/// The path of the same segment, compressed.
#[must_use]
pub fn compressed(plain: &Path) -> PathBuf {
    let mut name = plain.as_os_str().to_owned();
    name.push(".zst");
    name.into()
}

impl SegmentFile {
    /// What a path says of the segment that it leads to; `None` for the path of something else.
    #[must_use]
    pub fn of(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_str()?;
        let is_compressed = name.ends_with(COMPRESSED);
        let stem = name.strip_suffix(if is_compressed { COMPRESSED } else { PLAIN })?;
        let (begun, number) = stem.split_once('-')?;
        let civil = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", begun).ok()?;
        let begun = jiff::tz::TimeZone::UTC.to_timestamp(civil).ok()?;
        let number = number.parse().ok().filter(|number| 0 < *number)?;
        Some(Self { number, begun, is_compressed, path: path.to_owned() })
    }

    /// The lines, decompressed.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn open(&self) -> io::Result<Box<dyn BufRead>> {
        let (file, is_compressed) = match File::open(&self.path) {
            // It was compressed since its name was read.
            Err(error) if error.kind() == io::ErrorKind::NotFound && !self.is_compressed => {
                (File::open(compressed(&self.path))?, true)
            }
            opened => (opened?, self.is_compressed),
        };
        if is_compressed {
            let plain = zstd::stream::read::Decoder::new(file)?;
            return Ok(Box::new(BufReader::with_capacity(BLOCK, plain)));
        }
        Ok(Box::new(BufReader::with_capacity(BLOCK, file)))
    }
}

/// The segments in a folder, by their numbers. One that is there twice, because a process ended while it
/// compressed it, is named once.
///
/// # Errors
/// When the folder cannot be read.
pub fn segments(folder: &Path) -> io::Result<Vec<SegmentFile>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        found.extend(SegmentFile::of(&entry?.path()));
    }
    found.sort_by_key(|segment| (segment.number, !segment.is_compressed));
    found.dedup_by_key(|segment| segment.number);
    Ok(found)
}

/// The record of a decision, as a line.
///
/// # Errors
/// When a file cannot be read.
pub fn find_record(folder: &Path, id: Uuid) -> io::Result<Option<String>> {
    let wanted = format!("\"id\":\"{}\"", id.as_hyphenated());
    let mut segments = segments(folder)?;
    nearest_first(&mut segments, id);
    for segment in segments {
        let mut found = None;
        each_line(segment.open()?, |line, is_whole| {
            // The id stands near the beginning, and a number and an id are all that comes before it.
            let start = line.get(..line.len().min(ID_ENDS)).unwrap_or(line);
            let is_it = is_whole
                && line.starts_with(RECORD)
                && start.windows(wanted.len()).any(|part| part == wanted.as_bytes());
            if is_it {
                found = Some(String::from_utf8_lossy(line).into_owned());
            }
            Ok::<_, io::Error>(!is_it)
        })?;
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

/// Puts those segments first that were open when a decision was made, by the time in its id: the last one
/// that was begun before it, then those that it may have had to wait for, then all others.
fn nearest_first(segments: &mut [SegmentFile], id: Uuid) {
    let Some(made) = id.get_timestamp() else { return };
    let made = i64::try_from(made.to_unix().0).unwrap_or(i64::MAX);
    segments.sort_by_key(|segment| segment.begun.as_second().abs_diff(made));
}

/// Shows every line, without its break, and whether it had one; ends early when `take` says so.
///
/// # Errors
/// When the file cannot be read.
pub fn each_line<E: From<io::Error>>(
    mut lines: impl BufRead,
    mut take: impl FnMut(&[u8], bool) -> Result<bool, E>,
) -> Result<(), E> {
    let mut line = Vec::new();
    loop {
        line.clear();
        if lines.read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        let whole = line.strip_suffix(b"\n");
        if !take(whole.unwrap_or(&line), whole.is_some())? {
            return Ok(());
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn a_segment_is_found_by_its_name_once_and_in_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let begun: Timestamp = "2026-11-24T01:02:03.5Z".parse().unwrap();
        for number in [12, 2, 100_000_000] {
            let path = folder.path().join(file_name(begun, number));
            std::fs::write(&path, "x\ny").unwrap();
            if number == 12 {
                let twice = zstd::encode_all(&b"x\ny"[..], 1).unwrap();
                std::fs::write(compressed(&path), twice).unwrap();
            }
        }
        for other in ["lock", "x-1.jsonl", "20261124T010203Z-00000001.jsonl.zst.part"] {
            std::fs::write(folder.path().join(other), "").unwrap();
        }
        let found = segments(folder.path()).unwrap();
        let seen: Vec<_> = found.iter().map(|it| (it.number, it.is_compressed)).collect();
        assert_eq!(seen, [(2, false), (12, true), (100_000_000, false)]);
        for segment in found {
            assert_eq!(segment.begun, "2026-11-24T01:02:03Z".parse().unwrap());
            let mut lines = Vec::new();
            each_line(segment.open().unwrap(), |line, whole| {
                lines.push((String::from_utf8(line.to_vec()).unwrap(), whole));
                Ok::<_, io::Error>(true)
            })
            .unwrap();
            assert_eq!(lines, [("x".to_owned(), true), ("y".to_owned(), false)]);
        }
    }
}
