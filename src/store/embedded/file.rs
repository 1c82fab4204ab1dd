//! The file around the database: its lock, its folder, its modes, and new files that appear whole.
//!
//! Knows no SQL. Nothing here replaces or shortens a file that is there.
//!
//! Invariant: of the paths that lead to one store through links or `..`, all give one [`Place`], so
//! that two processes cannot hold two locks for one file. Hard links cannot be followed to one name,
//! so a file with two names is refused.

use super::OpenError;
use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, Metadata, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// How every SQLite file starts.
const MAGIC: &[u8; 16] = b"SQLite format 3\0";

/// A path that this process alone may use as a store, for as long as the value lives. The kernel
/// takes the claim back when the process dies, however it dies.
pub(super) struct Place {
    path: PathBuf,
    _lock: File,
}

impl Place {
    /// Claims `path`, and makes its folder if that is missing. The lock is on a file of its own
    /// beside it, `PATH.lock`, which stays: closing the database file would drop SQLite's own locks.
    pub(super) fn claim(path: &Path) -> Result<Self, OpenError> {
        let path = resolve(path)?;
        let lock_path = beside(&path, ".lock");
        let mut lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&lock_path)
            .map_err(|error| OpenError::io(&lock_path, "open the lock file", error))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                let read = lock.take(20).read_to_string(&mut holder);
                let pid = read.ok().and_then(|_| holder.trim().parse().ok());
                return Err(OpenError::InUse { path, pid });
            }
            Err(TryLockError::Error(error)) => {
                return Err(OpenError::io(&lock_path, "lock", error));
            }
        }
        // For whoever meets the lock. That it cannot be written is no reason not to start.
        let _ = lock.set_len(0).and_then(|()| lock.rewind());
        let _ = writeln!(lock, "{}", std::process::id());
        has_one_name(&path)?;
        Ok(Self { path, _lock: lock })
    }

    /// Which file is at the path: its device and number.
    pub(super) fn file(&self) -> io::Result<(u64, u64)> {
        fs::metadata(&self.path).map(|found| (found.dev(), found.ino()))
    }

    /// The path, without links.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether there is no store, so that one may be made. What SQLite leaves beside a database
    /// counts: without its database it holds changes that somebody was told of.
    pub(super) fn is_vacant(&self) -> Result<bool, OpenError> {
        if exists(&self.path)? {
            return Ok(false);
        }
        for suffix in ["-wal", "-journal"] {
            if exists(&beside(&self.path, suffix))? {
                return Err(OpenError::no_store(
                    &self.path,
                    "its main file is gone, but its `-wal` or `-journal` file is there",
                ));
            }
        }
        Ok(true)
    }
}

/// Refuses what is plainly no store, before SQLite could take it for an empty one.
pub(super) fn look_like_a_store(path: &Path) -> Result<(), OpenError> {
    let io = |error: io::Error| OpenError::io(path, "read", error);
    let metadata = fs::metadata(path).map_err(io)?;
    let refuse = |why| Err(OpenError::no_store(path, why));
    if metadata.is_dir() {
        return refuse("it is a folder");
    }
    if !metadata.is_file() {
        return refuse("it is no regular file");
    }
    if metadata.len() == 0 {
        return refuse("it is empty, and a store never is");
    }
    let mut start = [0; MAGIC.len()];
    let mut file = File::open(path).map_err(io)?;
    match file.read_exact(&mut start) {
        Ok(()) if start == *MAGIC => Ok(()),
        Ok(()) => refuse("it is no SQLite file"),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            refuse("it is too short for a SQLite file")
        }
        Err(error) => Err(io(error)),
    }
}

/// A new file under a passing name, which appears at its target whole or not at all.
pub(super) struct Draft {
    path: PathBuf,
    target: PathBuf,
}

impl Draft {
    /// Makes the file, empty and for its owner alone, beside `target`, which must not exist.
    pub(super) fn create(target: &Path) -> Result<Self, OpenError> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        if exists(target)? {
            return Err(OpenError::Exists { path: target.to_owned() });
        }
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = beside(target, &format!(".{}-{number}.part", std::process::id()));
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .map_err(|error| OpenError::io(&path, "make", error))?;
        Ok(Self { path, target: target.to_owned() })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Puts the file on disk under its target's name; fails if somebody else was there first.
    pub(super) fn publish(self) -> Result<(), OpenError> {
        let io = |error| OpenError::io(&self.target, "put on disk", error);
        File::open(&self.path).and_then(|file| file.sync_all()).map_err(io)?;
        // Unlike a rename, a link never replaces.
        match fs::hard_link(&self.path, &self.target) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                return Err(OpenError::Exists { path: self.target.clone() });
            }
            Err(error) => return Err(io(error)),
        }
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(io(error)),
            // Whoever has opened the target already may have tidied up.
            Ok(()) | Err(_) => sync_folder(folder_of(&self.target)),
        }
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // Published, it is gone already; else it is nobody's.
        for path in [self.path.clone(), beside(&self.path, "-journal")] {
            let _ = fs::remove_file(path);
        }
    }
}

/// Refuses a file with another name, under which another lock could be had. A draft's passing name
/// is left behind when its process dies between the two steps of [`Draft::publish`]; it goes.
fn has_one_name(path: &Path) -> Result<(), OpenError> {
    let io = |error| OpenError::io(path, "look at", error);
    let file = match fs::metadata(path) {
        Ok(file) if file.is_file() && 1 < file.nlink() => file,
        Ok(_) => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(io(error)),
    };
    let mut names = file.nlink();
    for entry in fs::read_dir(folder_of(path)).map_err(io)? {
        let entry = entry.map_err(io)?;
        let is_same = || entry.metadata().is_ok_and(|other| is_one_file(&file, &other));
        if is_draft_of(path, &entry.path()) && is_same() {
            fs::remove_file(entry.path()).map_err(io)?;
            names -= 1;
        }
    }
    match names {
        1 => Ok(()),
        _ => Err(OpenError::SeveralNames { path: path.to_owned(), names }),
    }
}

fn is_one_file(one: &Metadata, other: &Metadata) -> bool {
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

/// Whether `path` is the passing name of a draft for `target`.
fn is_draft_of(target: &Path, path: &Path) -> bool {
    let start = beside(target, ".");
    let rest =
        path.as_os_str().as_encoded_bytes().strip_prefix(start.as_os_str().as_encoded_bytes());
    rest.is_some_and(|rest| rest.ends_with(b".part"))
}

/// Whether anything is at `path`, a link to nowhere included.
pub(super) fn exists(path: &Path) -> Result<bool, OpenError> {
    match fs::symlink_metadata(path) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(OpenError::io(path, "look at", error)),
    }
}

/// Writes a folder's list of names to disk.
pub(super) fn sync_folder(folder: &Path) -> Result<(), OpenError> {
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(|error| OpenError::io(folder, "write the folder", error))
}

/// The folder that a file is in.
pub(super) fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// The one path of a store, however it was written. Makes missing folders, for their owner alone.
fn resolve(path: &Path) -> Result<PathBuf, OpenError> {
    if exists(path)? {
        return path.canonicalize().map_err(|error| OpenError::io(path, "find", error));
    }
    let Some(name) = path.file_name() else {
        return Err(OpenError::no_store(path, "it names no file"));
    };
    let folder = folder_of(path);
    make_folder(folder)?;
    let folder = folder.canonicalize().map_err(|error| OpenError::io(folder, "find", error))?;
    Ok(folder.join(name))
}

fn make_folder(folder: &Path) -> Result<(), OpenError> {
    if folder.is_dir() {
        return Ok(());
    }
    let parent = folder_of(folder);
    if parent != folder {
        make_folder(parent)?;
    }
    match DirBuilder::new().mode(0o700).create(folder) {
        Ok(()) => sync_folder(parent),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(OpenError::io(folder, "make the folder", error)),
    }
}

/// `path` with something added to its name.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}
