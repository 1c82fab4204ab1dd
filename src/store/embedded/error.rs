//! Why a store file cannot be opened, made, copied or restored: what an operator reads at start.

use crate::audit::EntryError;
use crate::store::{BoxError, StoreError};
use std::error::Error;
use std::path::{Path, PathBuf};

/// Why a store file cannot be used. The file is left as it was.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it.
    #[error("store `{path}` is in use by another process{}; one server process may open it at a time", holder(*pid))]
    InUse {
        /// The file.
        path: PathBuf,
        /// Who holds it, as far as is known.
        pid: Option<u32>,
    },

    /// It has more than one name, and each would give a lock of its own: two servers could write.
    #[error("store `{path}` has {names} names (hard links), and may have one; remove the others")]
    SeveralNames {
        /// The file, under the name that was asked for.
        path: PathBuf,
        /// How many names it has.
        names: u64,
    },

    /// Something else is there.
    #[error("`{path}` is no store: {why}")]
    NotAStore {
        /// The file.
        path: PathBuf,
        /// What it is instead.
        why: &'static str,
    },

    /// A later version of the software wrote it.
    #[error(
        "store `{path}` has format {found}, and this version reads formats up to {newest}; use the version that wrote it, or a later one"
    )]
    LaterFormat {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: i64,
        /// The newest format that this version knows.
        newest: i64,
    },

    /// It is of a known format, and holds a record of one that is not.
    #[error("store `{path}` holds a record that a later version wrote, at {place}")]
    LaterRecord {
        /// The file.
        path: PathBuf,
        /// Where.
        place: String,
        /// What is not known about it.
        source: EntryError,
    },

    /// It does not verify. It is neither repaired nor replaced: restore a backup beside it.
    #[error("store `{path}` is damaged; restore a backup")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where, and what is wrong there.
        source: StoreError,
    },

    /// What was to be made is there already.
    #[error("`{path}` exists already, and is left as it is")]
    Exists {
        /// The file.
        path: PathBuf,
    },

    /// The file system, or SQLite below us, refused.
    #[error("cannot {doing} `{path}`")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// To which file or folder.
        path: PathBuf,
        /// The cause.
        source: BoxError,
    },
}

impl OpenError {
    pub(super) fn io(path: &Path, doing: &'static str, source: impl Into<BoxError>) -> Self {
        Self::Io { doing, path: path.to_owned(), source: source.into() }
    }

    pub(super) fn no_store(path: &Path, why: &'static str) -> Self {
        Self::NotAStore { path: path.to_owned(), why }
    }

    /// Says what SQLite's refusal means for the file at `path`.
    pub(super) fn sqlite(path: &Path, doing: &'static str, error: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode;
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                Self::InUse { path: path.to_owned(), pid: None }
            }
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Damaged {
                path: path.to_owned(),
                source: StoreError::Corrupt {
                    place: "the structure of the file".into(),
                    source: error.into(),
                },
            },
            _ => Self::io(path, doing, error),
        }
    }
}

impl StoreError {
    /// The same failure, met while opening `path`.
    pub(super) fn at(self, path: &Path) -> OpenError {
        match self {
            Self::Corrupt { ref place, ref source } => match later_format(&**source) {
                Some(found) => OpenError::LaterRecord {
                    path: path.to_owned(),
                    place: place.clone(),
                    source: EntryError::UnknownFormat { found },
                },
                None => OpenError::Damaged { path: path.to_owned(), source: self },
            },
            other => OpenError::io(path, "read", other),
        }
    }
}

/// The format that is not known, if that is what all the trouble comes from.
fn later_format(error: &(dyn Error + 'static)) -> Option<u64> {
    match error.downcast_ref::<EntryError>() {
        Some(EntryError::UnknownFormat { found }) => Some(*found),
        Some(_) | None => error.source().and_then(later_format),
    }
}

fn holder(pid: Option<u32>) -> String {
    pid.map(|pid| format!(" (process {pid})")).unwrap_or_default()
}
