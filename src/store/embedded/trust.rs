//! What the writer's memory of the file is worth.
//!
//! It is sound while every commit of ours told how it ended and nobody else committed. A commit that
//! ended unclear, or one of somebody else, makes it doubtful until the file was read anew. A file
//! that does not hold what was acknowledged, or a disk that failed, ends it for good: no later call
//! of this process can tell what the disk holds.

use super::log::corrupt;
use crate::domain::{ChainHash, Revision};
use crate::store::StoreError;
use rusqlite::ErrorCode;
use std::error::Error;

/// What the memory is worth.
#[derive(Debug)]
pub(super) enum Trust {
    /// It is what the file holds.
    Sound,
    /// The file has to be read anew. It may stand where memory does or, if a commit ended unclear,
    /// at the place that it led to; any other place is somebody else's work.
    Doubtful(Option<(Revision, ChainHash)>),
    /// The file holds something else than what this process wrote or verified.
    Damaged {
        /// Where.
        place: String,
        /// What is wrong there.
        why: String,
    },
    /// The disk failed while it was written to or read from.
    Broken,
}

impl Trust {
    /// Refuses what relies on memory once that is worth nothing for good.
    pub(super) fn usable(&self, doing: &'static str) -> Result<(), StoreError> {
        match self {
            Self::Sound | Self::Doubtful(_) => Ok(()),
            Self::Damaged { place, why } => Err(corrupt(place.as_str(), why.as_str())),
            Self::Broken => Err(StoreError::Unavailable {
                doing,
                source: "the disk failed earlier; only another process can tell what it holds"
                    .into(),
            }),
        }
    }
}

/// Whether the disk itself failed. The kernel may report a failed fsync once and then call the lost
/// pages clean, so that trying again would "succeed".
pub(super) fn is_of_the_disk(error: &StoreError) -> bool {
    let cause = error.source().and_then(|cause| cause.downcast_ref::<rusqlite::Error>());
    cause.is_some_and(is_io)
}

/// The same of an error of SQLite's.
pub(super) fn is_io(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::SystemIoFailure)
}

/// What it means that a transaction did not begin, or took no record: it is rolled back, and has
/// written nothing.
pub(super) fn not_written(doing: &'static str) -> impl Fn(rusqlite::Error) -> StoreError {
    move |error| match error.sqlite_error_code() {
        Some(
            ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase | ErrorCode::ConstraintViolation,
        ) => corrupt("the end of the log", error),
        _ => StoreError::NotWritten { doing, source: error.into() },
    }
}

/// What it means that a commit failed. SQLite writes the mark that commits last, and nothing counts
/// without it; so where there was no room or no right to write it, nothing was written.
pub(super) fn not_committed(error: rusqlite::Error) -> StoreError {
    let doing = "committing a record";
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull | ErrorCode::DatabaseBusy | ErrorCode::ReadOnly) => {
            StoreError::NotWritten { doing, source: error.into() }
        }
        Some(ErrorCode::DatabaseCorrupt) => corrupt("the end of the log", error),
        _ => StoreError::Unavailable { doing, source: error.into() },
    }
}
