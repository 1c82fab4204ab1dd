//! The open segment: a file that grows by whole lines.
//!
//! Invariants: a write that failed half-way is cut off before the next one; what a reader sees is whole
//! lines and at most one torn one at the end. A new segment never takes the place of a file.

use crate::audit::decisions::folder::file_name;
use crate::clock::Clock;
use crate::domain::Timestamp;
use std::fs::{File, OpenOptions};
use std::io::{self, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A segment is closed when it has so many bytes.
const MOST_BYTES: u64 = 64 * 1024 * 1024;

/// Or when it is so old and there is something in it: what is in an open segment is not signed yet.
const MOST_AGE: Duration = Duration::from_secs(60);

/// How much may be written and not be forced to disk yet, in time and in bytes. Much at once would keep the core for
/// milliseconds, while which the checks on it wait.
const SYNC_EVERY: Duration = Duration::from_secs(1);
const SYNC_BYTES: u64 = 4 * 1024 * 1024;

/// A file that grows.
#[derive(Debug)]
pub(super) struct OpenSegment {
    pub(super) number: u64,
    pub(super) path: PathBuf,
    pub(super) records: u64,
    pub(super) dropped: u64,
    /// How many decisions had been left out of samples when it was begun.
    pub(super) sampled_out_before: u64,
    file: File,
    /// Up to here it is whole lines.
    length: u64,
    is_torn: bool,
    /// How much of it may not be on disk.
    unsynced: u64,
    begun: Duration,
    synced: Duration,
}

impl OpenSegment {
    /// Makes the file of a new segment.
    pub(super) fn create(
        folder: &Path,
        number: u64,
        at: Timestamp,
        clock: &dyn Clock,
    ) -> io::Result<Self> {
        let path = folder.join(file_name(at, number));
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        if let Err(error) = sync_folder(folder) {
            // A name that is not to be relied on must not stand in the way of the next attempt.
            let _ = std::fs::remove_file(&path);
            return Err(error);
        }
        Ok(Self::over(file, path, number, 0, clock))
    }

    /// Goes on with a file that ends with a whole line.
    pub(super) fn over(
        file: File,
        path: PathBuf,
        number: u64,
        length: u64,
        clock: &dyn Clock,
    ) -> Self {
        let now = clock.boot();
        Self {
            number,
            path,
            records: 0,
            dropped: 0,
            sampled_out_before: 0,
            file,
            length,
            // Wherever the file stands, the first write goes to the end of what is known.
            is_torn: true,
            unsynced: 0,
            begun: now,
            synced: now,
        }
    }

    /// Appends lines: all of them, or none that counts.
    pub(super) fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        if self.is_torn {
            self.file.set_len(self.length)?;
            self.file.seek(SeekFrom::Start(self.length))?;
            self.is_torn = false;
        }
        if let Err(error) = self.file.write_all(lines) {
            self.is_torn = true;
            // So that a reader sees no half line meanwhile; else the next write does it.
            let _ = self.file.set_len(self.length);
            return Err(error);
        }
        let added = u64::try_from(lines.len()).unwrap_or(u64::MAX);
        self.length += added;
        self.unsynced += added;
        Ok(())
    }

    /// Forces what was written to disk.
    pub(super) fn sync(&mut self, now: Duration) -> io::Result<()> {
        self.synced = now;
        if self.unsynced == 0 {
            return Ok(());
        }
        self.file.sync_data()?;
        self.unsynced = 0;
        Ok(())
    }

    pub(super) fn wants_sync(&self, now: Duration) -> bool {
        let is_late = 0 < self.unsynced && SYNC_EVERY <= now.saturating_sub(self.synced);
        is_late || SYNC_BYTES <= self.unsynced
    }

    pub(super) fn wants_to_end(&self, now: Duration) -> bool {
        let is_used = 0 < self.records + self.dropped;
        MOST_BYTES <= self.length || (is_used && MOST_AGE <= now.saturating_sub(self.begun))
    }
}

/// Makes sure that names in a folder outlive a power cut.
pub(super) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}
