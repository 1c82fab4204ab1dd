//! The decision log as files: which segments a path means, and the records in them.

use super::key_file::failed;
use crate::audit::decisions::folder::{RECORD, SegmentFile, each_line, find_record, segments};
use crate::cli::exit::{Exit, Failure};
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use uuid::Uuid;

/// The segments that paths mean: those in a folder, or a file's own.
pub(in crate::cli) fn segments_of(paths: &[PathBuf]) -> Result<Vec<SegmentFile>, Failure> {
    let mut found = Vec::new();
    for path in paths {
        if path.is_dir() {
            let all = segments(path).map_err(|error| failed(path, "cannot be read", error))?;
            if all.is_empty() {
                let what = format!("there is no segment in `{}`", path.display());
                return Err(Failure::new(Exit::NotFound, what));
            }
            found.extend(all);
        } else if path.exists() {
            let segment = SegmentFile::of(path).ok_or_else(|| {
                Failure::usage(format_args!("`{}` is not named as a segment", path.display()))
                    .help("a segment is BEGUN-NUMBER.jsonl or BEGUN-NUMBER.jsonl.zst")
            })?;
            found.push(segment);
        } else {
            return Err(failed(path, "cannot be read", io::ErrorKind::NotFound.into()));
        }
    }
    found.sort_by_key(|segment| segment.number);
    Ok(found)
}

/// Where a line is.
#[derive(Debug, Clone, Copy)]
pub(in crate::cli) struct LineAt<'a> {
    pub(in crate::cli) path: &'a Path,
    pub(in crate::cli) line: u64,
}

/// Shows the records in all files that paths mean, as lines, until `take` has seen enough. A file that is
/// no segment may hold records that somebody took out of one.
pub(in crate::cli) fn each_record(
    paths: &[PathBuf],
    mut take: impl FnMut(&str, LineAt<'_>) -> Result<bool, Failure>,
) -> Result<(), Failure> {
    for path in paths {
        if path.is_dir() || SegmentFile::of(path).is_some() {
            for segment in segments_of(std::slice::from_ref(path))? {
                if !records_in(&segment, &mut take)? {
                    return Ok(());
                }
            }
            continue;
        }
        let file = File::open(path).map_err(|error| failed(path, "cannot be read", error))?;
        if !records_of(BufReader::new(file), path, &mut take)? {
            return Ok(());
        }
    }
    Ok(())
}

/// The same of one segment; tells whether more is wanted.
pub(in crate::cli) fn records_in(
    segment: &SegmentFile,
    take: &mut impl FnMut(&str, LineAt<'_>) -> Result<bool, Failure>,
) -> Result<bool, Failure> {
    let lines = segment.open().map_err(|error| failed(&segment.path, "cannot be read", error))?;
    records_of(lines, &segment.path, take)
}

fn records_of(
    lines: impl BufRead,
    path: &Path,
    take: &mut impl FnMut(&str, LineAt<'_>) -> Result<bool, Failure>,
) -> Result<bool, Failure> {
    let mut wants_more = true;
    let mut number = 0;
    let read = each_line::<Broken>(lines, |line, is_whole| {
        number += 1;
        // The torn end of an open segment is no record yet.
        if !is_whole || !line.starts_with(RECORD) {
            return Ok(true);
        }
        let place = || format!("{}:{number}", path.display());
        let text = std::str::from_utf8(line)
            .map_err(|_| Failure::new(Exit::Failure, "the line is no UTF-8").at(&place()))?;
        wants_more =
            take(text, LineAt { path, line: number }).map_err(|failure| failure.at(&place()))?;
        Ok(wants_more)
    });
    match read {
        Ok(()) => Ok(wants_more),
        Err(Broken::Failure(failure)) => Err(failure),
        Err(Broken::Io(error)) => Err(failed(path, "cannot be read", error)),
    }
}

enum Broken {
    Failure(Failure),
    Io(io::Error),
}

impl From<Failure> for Broken {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

impl From<io::Error> for Broken {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// The record of a decision, as a line.
pub(in crate::cli) fn find(folder: &Path, id: Uuid) -> Result<String, Failure> {
    segments_of(&[folder.to_owned()])?;
    let found = find_record(folder, id).map_err(|error| failed(folder, "cannot be read", error))?;
    found.ok_or_else(|| {
        let what = format!("decision {id} is not in `{}`", folder.display());
        Failure::new(Exit::NotFound, what).help(
            "it was made by another server, left out of the sample, deleted by age, or is one of those \
             that a gap counts: see `offergate audit decisions verify`",
        )
    })
}
