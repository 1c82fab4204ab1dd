//! Shows the log of a store file as it stands, to whoever looks for what is wrong with it.
//!
//! Everything else here refuses a log that does not verify, at the first record; an auditor wants to see
//! what comes after it. Nothing is changed, and a server may be using the file.

use super::{OpenError, file, log, schema};
use crate::domain::{ChainHash, Revision};
use crate::store::Head;
use std::path::Path;

/// What a row of the log holds: number, hash and entry, or why they cannot be told.
pub type StoredRow<'a> = Result<(Revision, ChainHash, &'a str), &'static str>;

/// Hands each row of the log to `take`, in the order of their numbers, unverified; returns where the file
/// says that its log ends.
///
/// # Errors
/// When the file is no store, or cannot be read as far as its rows.
pub fn each_stored(path: &Path, mut take: impl FnMut(StoredRow<'_>)) -> Result<Head, OpenError> {
    file::look_like_a_store(path)?;
    let connection = schema::open_to_read(path)?;
    let sqlite = |error| OpenError::sqlite(path, "read", error);
    let snapshot = log::snapshot(&connection).map_err(|error| error.at(path))?;
    let head = log::head(&snapshot).map_err(|error| error.at(path))?;
    let mut select = snapshot
        .prepare("SELECT revision, chain, entry FROM records ORDER BY revision")
        .map_err(sqlite)?;
    let mut rows = select.query([]).map_err(sqlite)?;
    while let Some(row) = rows.next().map_err(sqlite)? {
        let text = |column| row.get_ref(column).ok().and_then(|value| value.as_str().ok());
        let number = row.get::<_, i64>(0).ok().and_then(|number| u64::try_from(number).ok());
        take(match (number, text(1).and_then(ChainHash::parse), text(2)) {
            (Some(number), Some(chain), Some(entry)) => Ok((Revision(number), chain, entry)),
            (None, ..) => Err("its number is none"),
            (_, None, _) => Err("its hash is not 64 hex digits"),
            (.., None) => Err("its entry is no text"),
        });
    }
    Ok(head)
}
