//! New store files: an empty one, a backup, a restored one. Each appears under its name whole and
//! verified, or not at all, and none takes the place of another.
//!
//! A backup is a store of its own in one file, without a write-ahead log beside it, so that it can be
//! carried away and read on its own. It keeps lineage and format. A store that was restored from it
//! begins a lineage of its own and remembers the backup's (see `origin`): every token of before the
//! restore is then of another history, which its bearer sees as rules that are too old.

use super::file::{self, Draft, Place};
use super::{OpenError, log, origin, schema};
use crate::domain::Lineage;
use crate::store::{Head, StoreError};
use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags};
use std::fs;
use std::path::Path;

/// Makes a new store, with the lineage given or one of its own. The caller holds the place.
pub(super) fn create(target: &Path, lineage: Option<&Lineage>) -> Result<(), OpenError> {
    let draft = Draft::create(target)?;
    let sqlite = |error| OpenError::sqlite(target, "make", error);
    let connection = open_draft(&draft).map_err(sqlite)?;
    schema::create(&connection, lineage).map_err(sqlite)?;
    close(connection).map_err(sqlite)?;
    draft.publish()
}

/// Copies the store at `source`, in use or not, to the new file `target`.
pub(super) fn backup(source: &Path, target: &Path) -> Result<Head, StoreError> {
    copy(source, target, |_, head| Ok(head))
        .map_err(|error| StoreError::NotWritten { doing: "writing a backup", source: error.into() })
}

/// Copies the store at `source` to the new file `target`, whether a server runs on it or not, and
/// returns where in history the copy stands.
///
/// # Errors
/// When the source is no store or is damaged, or when anything is at `target` already.
pub fn backup_file(source: &Path, target: &Path) -> Result<Head, OpenError> {
    file::look_like_a_store(source)?;
    copy(source, target, |_, head| Ok(head))
}

/// A store that was made from a backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// Where it stands: at the backup's place, in a history that begins there.
    pub head: Head,
    /// Where the backup stands, in the history that it was taken from.
    pub origin: Head,
}

/// Makes the store `target` from a backup, in a new lineage. The backup is verified first, and left
/// as it is.
///
/// # Errors
/// When the backup is no store or is damaged, when `target` is in use, or when anything but an
/// empty file is there already.
pub fn restore(backup: &Path, target: &Path) -> Result<Restored, OpenError> {
    file::look_like_a_store(backup)?;
    let place = Place::claim(target)?;
    let path = place.path();
    if !place.is_vacant()? {
        let empty = fs::symlink_metadata(path).is_ok_and(|at| at.is_file() && at.len() == 0);
        if !empty {
            return Err(OpenError::Exists { path: path.to_owned() });
        }
        fs::remove_file(path).map_err(|error| OpenError::io(path, "replace", error))?;
    }
    copy(backup, path, |store, origin| {
        schema::migrate(store, path)?;
        origin::begin_new_lineage(store)
            .map_err(|error| OpenError::sqlite(path, "begin a history in", error))?;
        let head = log::verify_all(store).map_err(|error| error.at(backup))?.head;
        Ok(Restored { head, origin })
    })
}

/// Copies one instant of `source`, verifies the copy, finishes it, and publishes it.
fn copy<T>(
    source: &Path,
    target: &Path,
    finish: impl FnOnce(&mut Connection, Head) -> Result<T, OpenError>,
) -> Result<T, OpenError> {
    let from = schema::open_to_read(source)?;
    let draft = Draft::create(target)?;
    let sqlite = |error| OpenError::sqlite(target, "write", error);
    let mut to = open_draft(&draft).map_err(sqlite)?;
    copy_pages(&from, &mut to).map_err(|error| OpenError::sqlite(source, "copy", error))?;
    // One file that needs no other; also, the copy's own fsync.
    to.execute_batch("PRAGMA journal_mode = DELETE").map_err(sqlite)?;
    let head = log::verify_all(&to).map_err(|error| error.at(source))?.head;
    let finished = finish(&mut to, head)?;
    close(to).map_err(sqlite)?;
    draft.publish()?;
    Ok(finished)
}

/// All pages in one step: in smaller ones, each write to the source would begin the copy anew.
fn copy_pages(from: &Connection, to: &mut Connection) -> rusqlite::Result<()> {
    const EVERY_PAGE: i32 = -1;
    let busy = || rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY);
    match Backup::new(from, to)?.step(EVERY_PAGE)? {
        StepResult::Done => Ok(()),
        _ => Err(rusqlite::Error::SqliteFailure(busy(), None)),
    }
}

fn open_draft(draft: &Draft) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    Connection::open_with_flags(draft.path(), flags)
}

fn close(connection: Connection) -> rusqlite::Result<()> {
    connection.close().map_err(|(_, error)| error)
}
