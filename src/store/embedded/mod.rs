//! The store in one SQLite file: nothing to install, and one server process a file.
//!
//! The log of records is all there is: the state is its fold, made at start while every record is
//! verified, held in memory, and moved on after each commit. Memory is trusted for as long as nothing
//! speaks against it; then the file is read anew, or nothing more is said.
//!
//! - `file`: the lock, new files, folders and their modes.
//! - `schema`: the tables, the format number, the settings of a connection.
//! - `log`: reads records, and verifies whatever it reads.
//! - `writer`: the one connection that writes; `trust`: what its memory of the file is worth.
//! - `origin`: where the history of a restored store came from.
//! - `permits`: that others may act by the rules, remembered beside the file.
//! - `worker`: a thread that owns a connection.
//! - `stored`: the log as it stands, for auditors.
//! - `seen`: what this server saw of changes being enforced, which is no part of the log.
//! - `copy`: backup and restore. `journal`: the same file as a replica of a shared store keeps it.
//!
//! Invariants: a change is on disk before anybody can see it. An I/O error of the writer breaks the
//! store for good, since after a failed fsync nobody can tell what the disk holds: see
//! [`EmbeddedStore::broken`]. A damaged file is refused, never repaired and never replaced by an empty
//! store.

mod copy;
mod error;
mod file;
mod journal;
mod log;
mod origin;
mod permits;
mod schema;
mod seen;
mod stored;
mod trust;
mod worker;
mod writer;

pub use copy::{Restored, backup_file, restore};
pub use error::OpenError;
pub use journal::FileJournal;
pub use stored::{StoredRow, each_stored};

use super::{Applied, Head, Loaded, RuleStore, Seen, SeenEnforced, StoreError};
use crate::audit::{NewRecord, Record, RequestId};
use crate::domain::{ChainHash, Lineage, Revision};
use futures_util::future::BoxFuture;
use rusqlite::Connection;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use worker::Worker;
use writer::Writer;

/// An open store. Dropping it waits for writes that were begun, and then gives up the file.
pub struct EmbeddedStore {
    path: PathBuf,
    lineage: Lineage,
    broken: CancellationToken,
    // Whole histories are folded on a thread of their own, so that nothing short waits for one. The
    // writer goes last: it holds the lock, which must outlive every connection of ours.
    folder: Worker<Connection>,
    reader: Worker<Connection>,
    writer: Worker<Writer>,
}

impl EmbeddedStore {
    /// Opens the store at `path`, or makes a new one where there is no file; verifies all of it.
    ///
    /// Blocks for as long as that takes: about a second for 100,000 records. What it makes is
    /// readable by its owner alone.
    ///
    /// # Errors
    /// When the file is in use, is no store, is of a later format or is damaged. Nothing is changed.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        let place = file::Place::claim(path)?;
        if place.is_vacant()? {
            copy::create(place.path(), None)?;
        }
        file::look_like_a_store(place.path())?;
        let connection = schema::open_writable(place.path())?;
        let at = |error: StoreError| error.at(place.path());
        let loaded = log::verify_all(&connection).map_err(at)?;
        schema::prepare_to_write(&connection, place.path())?;
        schema::migrate(&connection, place.path())?;
        let (folder, reader) =
            (schema::open_to_read(place.path())?, schema::open_to_read(place.path())?);

        let path = place.path().to_owned();
        let lineage = loaded.head.lineage.clone();
        let broken = CancellationToken::new();
        let writer = Writer::new(connection, place, loaded, broken.clone());
        let writer = writer.map_err(|error| error.at(&path))?;
        let start = |error| OpenError::io(&path, "start a thread for", error);
        Ok(Self {
            folder: Worker::start("store-folder", folder, &broken).map_err(start)?,
            reader: Worker::start("store-reader", reader, &broken).map_err(start)?,
            writer: Worker::start("store-writer", writer, &broken).map_err(start)?,
            broken,
            lineage,
            path,
        })
    }

    /// Done when this store can never be relied on again: the disk failed, so that only another
    /// process can tell what it holds, or a thread of the store died. End the process then.
    pub fn broken(&self) -> impl Future<Output = ()> + Send + use<> {
        self.broken.clone().cancelled_owned()
    }
}

impl RuleStore for EmbeddedStore {
    fn load(&self) -> BoxFuture<'_, Result<Loaded, StoreError>> {
        Box::pin(self.writer.run("loading the rules", Writer::load))
    }

    fn load_at(&self, revision: Revision) -> BoxFuture<'_, Result<Option<Loaded>, StoreError>> {
        let lineage = self.lineage.clone();
        Box::pin(self.folder.run("loading an earlier revision", move |connection| {
            let log = log::snapshot(connection)?;
            if log::head(&log)?.revision < revision {
                return Ok(None);
            }
            log::fold(&log, lineage, revision).map(Some)
        }))
    }

    fn apply<'a>(
        &'a self,
        content: &'a NewRecord,
        expected: Revision,
    ) -> BoxFuture<'a, Result<Applied, StoreError>> {
        let content = content.clone();
        Box::pin(
            self.writer.run("applying a change", move |writer| writer.apply(&content, expected)),
        )
    }

    fn records(
        &self,
        after: Revision,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<Record>, StoreError>> {
        Box::pin(self.reader.run("reading records", move |connection| {
            log::records(&log::snapshot(connection)?, after, limit)
        }))
    }

    fn record_of<'a>(
        &'a self,
        request_id: &'a RequestId,
    ) -> BoxFuture<'a, Result<Option<Record>, StoreError>> {
        let request_id = request_id.clone();
        Box::pin(
            self.writer.run("looking up a request", move |writer| writer.record_of(&request_id)),
        )
    }

    fn backup<'a>(&'a self, path: &'a Path) -> BoxFuture<'a, Result<Head, StoreError>> {
        let (source, target) = (self.path.clone(), path.to_owned());
        Box::pin(async move {
            // A thread and a connection of its own: neither reads nor writes wait for it.
            let (answer, done) = tokio::sync::oneshot::channel();
            std::thread::Builder::new()
                .name("store-backup".into())
                .spawn(move || answer.send(copy::backup(&source, &target)))
                .map_err(|error| StoreError::NotWritten {
                    doing: "starting a backup",
                    source: error.into(),
                })?;
            done.await.map_err(|error| StoreError::Unavailable {
                doing: "writing a backup",
                source: error.into(),
            })?
        })
    }

    fn note_permits(&self, longest: Option<Duration>) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(permits::note(self.path.clone(), longest))
    }

    fn noted_permits(&self) -> BoxFuture<'_, Result<Option<Duration>, StoreError>> {
        Box::pin(permits::noted(self.path.clone()))
    }
}

impl Seen for EmbeddedStore {
    fn note(&self, seen: SeenEnforced) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(self.writer.run("noting an enforcement", move |writer| writer.note(&seen)))
    }

    fn noted(
        &self,
        changes: Vec<ChainHash>,
    ) -> BoxFuture<'_, Result<Vec<SeenEnforced>, StoreError>> {
        Box::pin(self.reader.run("reading enforcements", move |connection| {
            seen::select(&*log::snapshot(connection)?, &changes)
        }))
    }
}
