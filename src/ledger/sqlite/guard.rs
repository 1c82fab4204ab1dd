//! One sender at a time, whatever the file is called; and no file without what was written last.
//!
//! SQLite keeps its newest steps in a journal beside the file, under the file's name. Who moves a ledger of a sender
//! that died and leaves the journal behind would have a whole and older ledger, and everybody since would be written
//! to again. So an open ledger says in the file itself that it is.
//!
//! Invariant: a ledger that says so and has no journal beside it is not sent through.

use super::shown;
use crate::ledger::{LedgerError, failed};
use rusqlite::Connection;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The fact that a sender has not closed it: its last steps may be in the journal beside it, and nowhere else.
pub(super) const OPEN: &str = "open";

/// How often, and after which pause a sender tries for the lock.
const TRIES: usize = 10;
const PAUSE: Duration = Duration::from_millis(20);

/// What keeps other senders away: under this name, and under whatever name the file has by now. Goes last, since
/// closing the file would drop the database's own locks.
pub(super) struct Locks {
    _name: File,
    _file: File,
}

impl Locks {
    /// Takes the second one, where the first one is held.
    pub(super) fn take(name: File, path: &Path) -> Result<Self, LedgerError> {
        Ok(Self { _name: name, _file: lock_itself(path)? })
    }
}

/// Copies what is beside the file into it; what is beside it stays there, and is more than nothing.
pub(super) fn to_the_file(connection: &Connection) -> Result<(), rusqlite::Error> {
    connection.query_row("PRAGMA wal_checkpoint(FULL)", [], |_| Ok(()))
}

/// Whether what was written last is beside the file. Whoever opens it makes an empty journal where there is none.
pub(super) fn has_journal(path: &Path) -> bool {
    let mut beside = path.to_owned().into_os_string();
    beside.push("-wal");
    std::fs::metadata(PathBuf::from(beside)).is_ok_and(|found| 0 < found.len())
}

/// The lock of a ledger: `LEDGER.lock`, a file of its own, since closing the database would drop SQLite's.
pub(super) fn lock_file(path: &Path) -> Result<File, LedgerError> {
    let mut beside = path.to_owned().into_os_string();
    beside.push(".lock");
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    options.open(PathBuf::from(beside)).map_err(failed("opening its lock"))
}

/// Locks the file itself, which another name leads to as well.
fn lock_itself(path: &Path) -> Result<File, LedgerError> {
    let file = File::open(path).map_err(failed("opening it"))?;
    if 1 < file.metadata().map_err(failed("looking at it"))?.nlink() {
        return Err(LedgerError::SeveralNames(shown(path)));
    }
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(LedgerError::InUse {
            ledger: shown(path),
            holder: "not known: it has the file under another name".to_owned(),
        }),
        Err(TryLockError::Error(error)) => Err(failed("locking it")(error)),
    }
}

/// Takes the lock. Who only looks whether there is a sender holds it for an instant, and is waited for.
pub(super) fn lock(path: &Path) -> Result<File, LedgerError> {
    let mut file = lock_file(path)?;
    for _ in 0..TRIES {
        match file.try_lock() {
            Ok(()) => {
                // For whoever meets the lock. That it cannot be written is no reason not to start.
                let _ = file.set_len(0).and_then(|()| file.rewind());
                let _ = writeln!(file, "{}", std::process::id());
                return Ok(file);
            }
            Err(TryLockError::WouldBlock) => std::thread::sleep(PAUSE),
            Err(TryLockError::Error(error)) => return Err(failed("locking it")(error)),
        }
    }
    let mut holder = String::new();
    let _ = file.take(20).read_to_string(&mut holder);
    Err(LedgerError::InUse { ledger: shown(path), holder: holder.trim().to_owned() })
}
