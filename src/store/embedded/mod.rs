//! The store in one SQLite file: nothing to install, and one server process a file.
//!
//! The log of records is all there is: the state is its fold, made at start while every record is
//! verified, held in memory, and moved on after each commit. There is no second copy to disagree.
//!
//! - `file`: the lock, new files, folders and their modes.
//! - `schema`: the tables, the format number, the settings of a connection.
//! - `log`: reads records, and verifies whatever it reads.
//! - `writer`: the one connection that writes.
//! - `worker`: a thread that owns a connection.
//! - `copy`: backup and restore.
//!
//! Invariants: a change is on disk before anybody can see it. An I/O error while writing ends the
//! process, since after a failed fsync nobody can tell what the disk holds. A damaged file is refused,
//! never repaired and never replaced by an empty store.

mod copy;
mod error;
mod file;
mod log;
mod schema;
mod worker;
mod writer;

pub use copy::{backup_file, restore};
pub use error::OpenError;

use super::{Applied, Head, Loaded, RuleStore, StoreError};
use crate::audit::{Proposal, Record, RequestId};
use crate::domain::Revision;
use arc_swap::ArcSwap;
use futures_util::future::BoxFuture;
use rusqlite::Connection;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use worker::Worker;
use writer::Writer;

/// An open store. Dropping it waits for writes that were begun, and then gives up the file.
pub struct EmbeddedStore {
    path: PathBuf,
    newest: Arc<ArcSwap<Loaded>>,
    // The writer goes last: it holds the lock, which must outlive every connection of ours.
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
            copy::create(place.path())?;
        }
        file::look_like_a_store(place.path())?;
        let connection = schema::open_writable(place.path())?;
        let loaded = log::verify_all(&connection).map_err(|error| error.at(place.path()))?;
        schema::prepare_to_write(&connection, place.path())?;
        let reader = schema::open_to_read(place.path())?;

        let path = place.path().to_owned();
        let newest = Arc::new(ArcSwap::from_pointee(loaded));
        let writer = Writer::new(connection, place, Arc::clone(&newest));
        let start = |error| OpenError::io(&path, "start a thread for", error);
        Ok(Self {
            reader: Worker::start("store-reader", reader).map_err(start)?,
            writer: Worker::start("store-writer", writer).map_err(start)?,
            newest,
            path,
        })
    }

    fn newest(&self) -> Loaded {
        Loaded::clone(&self.newest.load())
    }
}

impl RuleStore for EmbeddedStore {
    fn load(&self) -> BoxFuture<'_, Result<Loaded, StoreError>> {
        Box::pin(async { Ok(self.newest()) })
    }

    fn load_at(&self, revision: Revision) -> BoxFuture<'_, Result<Option<Loaded>, StoreError>> {
        Box::pin(async move {
            let newest = self.newest.load_full();
            if newest.head.revision < revision {
                return Ok(None);
            }
            let lineage = newest.head.lineage.clone();
            self.reader
                .run("loading an earlier revision", move |connection| {
                    log::fold(&log::snapshot(connection)?, lineage, revision).map(Some)
                })
                .await
        })
    }

    fn apply<'a>(
        &'a self,
        proposal: &'a Proposal,
        expected: Revision,
    ) -> BoxFuture<'a, Result<Applied, StoreError>> {
        let proposal = proposal.clone();
        Box::pin(
            self.writer.run("applying a change", move |writer| writer.apply(&proposal, expected)),
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
        Box::pin(self.reader.run("looking up a request", move |connection| {
            log::record_of(&log::snapshot(connection)?, &request_id)
        }))
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
}
