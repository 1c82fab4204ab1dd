//! The one connection that writes: each change is one transaction of record and head.
//!
//! Invariants: whoever is told of a change can rely on it, since its commit has returned, so that it
//! is on disk, before anybody sees it. Memory is answered from only while nothing speaks against it
//! (see `trust`); when the disk fails, whoever waits for [`Writer`]'s token is told, and nothing is
//! tried again: the next process reads what is really there, and a retry under the same request id
//! finds out.

use super::file::Place;
use super::log::{self, corrupt};
use super::seen;
use super::trust::{Trust, is_io, is_of_the_disk, not_committed, not_written};
use crate::audit::{Chain, NewRecord, Record, RequestId};
use crate::domain::{ChainHash, Revision};
use crate::store::{Applied, Head, Loaded, SeenEnforced, StoreError};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, Transaction, TransactionBehavior, params};
use tokio_util::sync::CancellationToken;

/// How much may gather in the write-ahead log before it moves into the main file: little enough
/// that reading stays fast and a start after a crash short.
const MOST_BYTES_AHEAD: usize = 4 << 20;

/// What one commit adds to the write-ahead log beside its entry: a few pages.
const BYTES_A_COMMIT: usize = 16 << 10;

/// What the writing thread owns.
pub(super) struct Writer {
    // The lock goes last: nobody else may have the file before our connection is closed.
    connection: Connection,
    place: Place,
    /// Which file was opened.
    file: (u64, u64),
    newest: Loaded,
    trust: Trust,
    /// Tells a commit of another connection: SQLite's number for what the file held last.
    version: i64,
    broken: CancellationToken,
    bytes_ahead: usize,
}

impl Writer {
    /// `newest` is what the verified file holds; `broken` is cancelled when the disk fails.
    pub(super) fn new(
        connection: Connection,
        place: Place,
        newest: Loaded,
        broken: CancellationToken,
    ) -> Result<Self, StoreError> {
        let version = log::version(&connection)?;
        let file = place.file().map_err(|error| StoreError::Unavailable {
            doing: "looking at the file",
            source: error.into(),
        })?;
        // As if full: the first commit moves what a crash may have left in the log.
        let bytes_ahead = MOST_BYTES_AHEAD;
        let trust = Trust::Sound;
        Ok(Self { connection, place, file, newest, trust, version, broken, bytes_ahead })
    }

    /// The newest state: from memory, or read anew if memory is in doubt.
    pub(super) fn load(&mut self) -> Result<Loaded, StoreError> {
        self.settle("loading the rules")?;
        Ok(self.newest.clone())
    }

    /// The record that a request led to. Asked here, so that it comes after every write that was
    /// begun before, and waits for none of the long reads.
    pub(super) fn record_of(&mut self, request: &RequestId) -> Result<Option<Record>, StoreError> {
        self.trust.usable("looking up a request")?;
        let found = log::snapshot(&self.connection).and_then(|log| log::record_of(&log, request));
        found.map_err(|error| self.judge(error, None))
    }

    /// Makes the change the next revision; see [`RuleStore::apply`](crate::store::RuleStore::apply).
    pub(super) fn apply(
        &mut self,
        content: &NewRecord,
        expected: Revision,
    ) -> Result<Applied, StoreError> {
        let doing = "applying a change";
        self.settle(doing)?;
        self.look_for_others(doing)?;
        let mut step = Step { at: &self.newest.head, led_to: None };
        match step.append(&mut self.connection, content, expected) {
            Ok((applied, _)) if applied.repeated => Ok(applied),
            Ok((applied, size)) => {
                self.newest.take(applied.record.place(), &applied.record.content);
                self.bytes_ahead += size + BYTES_A_COMMIT;
                self.move_into_main_file();
                Ok(applied)
            }
            Err(error) => {
                let led_to = step.led_to;
                Err(self.judge(error, led_to))
            }
        }
    }

    /// Notes when a change was seen to be enforced, beside the log.
    pub(super) fn note(&mut self, seen: &SeenEnforced) -> Result<(), StoreError> {
        let doing = "noting an enforcement";
        self.settle(doing)?;
        self.look_for_others(doing)?;
        match seen::insert(&mut self.connection, seen) {
            Ok(is_new) => {
                self.bytes_ahead += if is_new { BYTES_A_COMMIT } else { 0 };
                self.move_into_main_file();
                Ok(())
            }
            // The log stands where it did, however this commit ended.
            Err(error) => Err(self.judge(error, None)),
        }
    }

    /// Notices what others did to the file since we last looked. Writes to a file that was moved away
    /// would be acknowledged, and gone at the next start.
    fn look_for_others(&mut self, doing: &'static str) -> Result<(), StoreError> {
        if self.place.file().ok() != Some(self.file) {
            let moved = corrupt("the path", "the file that was opened is there no more");
            return Err(self.judge(moved, None));
        }
        match log::version(&self.connection) {
            Ok(version) if version == self.version => Ok(()),
            Ok(_) => {
                self.trust = Trust::Doubtful(None);
                self.settle(doing)
            }
            Err(error) => Err(self.judge(error, None)),
        }
    }

    /// Removes doubt by reading the file anew, all of it.
    fn settle(&mut self, doing: &'static str) -> Result<(), StoreError> {
        self.trust.usable(doing)?;
        let Trust::Doubtful(led_to) = self.trust else { return Ok(()) };
        match self.reread(led_to) {
            Ok((loaded, version)) => {
                (self.newest, self.version, self.trust) = (loaded, version, Trust::Sound);
                Ok(())
            }
            Err(error) => Err(self.judge(error, led_to)),
        }
    }

    /// What the file holds, if that is what memory holds, or also the commit that ended unclear.
    fn reread(&self, led_to: Option<(Revision, ChainHash)>) -> Result<(Loaded, i64), StoreError> {
        // First: a commit in between shows at the next look.
        let version = log::version(&self.connection)?;
        let loaded = log::verify_all(&self.connection)?;
        let unclear = led_to.map(|(revision, chain)| {
            let lineage = self.newest.head.lineage.clone();
            Head { lineage, revision, chain }
        });
        if loaded.head != self.newest.head && Some(&loaded.head) != unclear.as_ref() {
            return Err(somebody_else());
        }
        Ok((loaded, version))
    }

    /// Draws the conclusion from a failure: what is memory worth now?
    fn judge(&mut self, error: StoreError, led_to: Option<(Revision, ChainHash)>) -> StoreError {
        if is_of_the_disk(&error) || !self.connection.is_autocommit() {
            self.give_up(&error);
            return error;
        }
        match &error {
            StoreError::Conflict { .. }
            | StoreError::RequestReused { .. }
            | StoreError::Forked
            | StoreError::Empty
            | StoreError::NotWritten { .. } => {}
            StoreError::Unavailable { .. } => self.trust = Trust::Doubtful(led_to),
            StoreError::Corrupt { place, source } => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "The store takes no more changes: its file is not what was written to it"
                );
                self.trust = Trust::Damaged { place: place.clone(), why: source.to_string() };
            }
        }
        error
    }

    /// The disk failed. Nothing is tried again, at the end neither: moving the log into the main
    /// file could move what never reached the disk.
    fn give_up(&mut self, error: &(dyn std::error::Error + 'static)) {
        tracing::error!(error, "The disk failed under the store, and what it holds is unknown");
        let _ = self.connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
        self.trust = Trust::Broken;
        self.broken.cancel();
    }

    /// Moves the write-ahead log into the main file, when enough has gathered. What is not moved
    /// stays in the log, which is as good; so only a failing disk matters.
    fn move_into_main_file(&mut self) {
        if self.bytes_ahead < MOST_BYTES_AHEAD {
            return;
        }
        self.bytes_ahead = 0;
        let moved = self.connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
        match moved {
            Ok(()) => {}
            Err(error) if is_io(&error) => self.give_up(&error),
            Err(error) => tracing::warn!(
                error = &error as &dyn std::error::Error,
                "Recent changes stay in the write-ahead log of the store"
            ),
        }
    }
}

/// One change on its way into the file.
struct Step<'a> {
    /// Where the log ends before it.
    at: &'a Head,
    /// Where the log ends after it, once it may be there.
    led_to: Option<(Revision, ChainHash)>,
}

impl Step<'_> {
    /// Appends the change, or finds it there. Also tells how large its entry is.
    fn append(
        &mut self,
        connection: &mut Connection,
        content: &NewRecord,
        expected: Revision,
    ) -> Result<(Applied, usize), StoreError> {
        let transaction = connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(not_written("beginning a transaction"))?;
        if let Some(record) = log::record_of(&transaction, &content.request_id)? {
            if record.content.asks_the_same_as(content) {
                return Ok((Applied { record, repeated: true }, 0));
            }
            let (request_id, revision) = (content.request_id.clone(), record.revision);
            return Err(StoreError::RequestReused { request_id, revision });
        }
        let Head { revision: actual, chain: hash, .. } = *self.at;
        if actual != expected {
            return Err(StoreError::Conflict { expected, actual });
        }
        if log::head(&transaction)? != *self.at {
            return Err(somebody_else());
        }
        let chain = Chain { revision: actual, hash };
        let (record, entry) = chain.next(content).map_err(|error| StoreError::NotWritten {
            doing: "recording a change",
            source: error.into(),
        })?;
        insert(&transaction, &record).map_err(not_written("writing a record"))?;
        self.led_to = Some((record.revision, record.chain));
        transaction.commit().map_err(not_committed)?;
        Ok((Applied { record, repeated: false }, entry.len()))
    }
}

pub(super) fn insert(transaction: &Transaction<'_>, record: &Record) -> rusqlite::Result<()> {
    let revision = i64::try_from(record.revision.0).unwrap_or(i64::MAX);
    let chain = record.chain.to_string();
    transaction
        .prepare_cached(
            "INSERT INTO records (revision, chain, request_id, entry) VALUES (?, ?, ?, ?)",
        )?
        .execute(params![revision, chain, record.content.request_id.as_str(), &*record.entry])?;
    transaction
        .prepare_cached("UPDATE head SET revision = ?, chain = ?")?
        .execute(params![revision, chain])?;
    Ok(())
}

fn somebody_else() -> StoreError {
    corrupt("the head", "somebody else has written to the file")
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use crate::audit::samples::content;
    use crate::domain::{
        ComponentReach, Reach, RuleEdit, Scope, Suspension, SuspensionId, Target, VendorId,
    };
    use crate::store::RuleStore;
    use crate::store::embedded::EmbeddedStore;
    use std::path::Path;

    #[tokio::test]
    async fn a_full_disk_refuses_the_change_keeps_the_rest_and_takes_it_when_there_is_room() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rules.db");
        let store = EmbeddedStore::open(&path).unwrap();
        store.apply(&content(1), Revision(0)).await.unwrap();
        let before = store.load().await.unwrap();
        let set_room = |pages: i64| {
            store.writer.run("setting the room", move |writer| {
                let set = writer.connection.query_row(
                    &format!("PRAGMA max_page_count = {pages}"),
                    [],
                    |row| row.get::<_, i64>(0),
                );
                Ok(set.unwrap())
            })
        };
        set_room(1).await.unwrap(); // SQLite takes it for: no more than there are.

        let mut large = content(2);
        large.reason = "long ".repeat(20_000);
        for _ in 0..2 {
            let refused = store.apply(&large, Revision(1)).await.unwrap_err();
            assert!(matches!(refused, StoreError::NotWritten { .. }), "{refused:?}");
            assert_eq!(store.load().await.unwrap(), before);
            assert_eq!(store.record_of(&large.request_id).await.unwrap(), None);
        }
        set_room(1_000_000).await.unwrap();
        let applied = store.apply(&large, Revision(1)).await.unwrap();
        assert!(!applied.repeated);
        drop(store);
        let reopened = EmbeddedStore::open(&path).unwrap();
        assert_eq!(reopened.load().await.unwrap().head.revision, applied.record.revision);
    }

    /// Appends `content` the way this software does, over a connection of its own.
    fn append_from_outside(path: &Path, at: &Head, content: &NewRecord) -> (Revision, ChainHash) {
        let mut outside = Connection::open(path).unwrap();
        let mut step = Step { at, led_to: None };
        step.append(&mut outside, content, at.revision).unwrap();
        step.led_to.unwrap()
    }

    #[tokio::test]
    async fn a_commit_that_ended_unclear_is_looked_up_in_the_file() {
        for has_landed in [true, false] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("rules.db");
            let store = EmbeddedStore::open(&path).unwrap();
            store.apply(&content(1), Revision(0)).await.unwrap();
            let before = store.load().await.unwrap();
            let lands = has_landed.then(|| append_from_outside(&path, &before.head, &content(2)));
            let elsewhere = (Revision(2), ChainHash::ZERO);
            let in_doubt = move |writer: &mut Writer| {
                writer.trust = Trust::Doubtful(Some(lands.unwrap_or(elsewhere)));
                Ok(())
            };
            store.writer.run("losing an answer", in_doubt).await.unwrap();

            let after = store.load().await.unwrap();
            let expected = if has_landed { Revision(2) } else { Revision(1) };
            assert_eq!(after.head.revision, expected);
            assert_eq!(after == before, !has_landed);
            assert_eq!(store.load_at(expected).await.unwrap().as_ref(), Some(&after));
            let next = store.apply(&content(3), expected).await.unwrap();
            assert_eq!(next.record.revision, expected.next());
        }
    }

    #[tokio::test]
    async fn a_change_that_somebody_else_made_is_never_taken_for_ours() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rules.db");
        let store = EmbeddedStore::open(&path).unwrap();
        let before = store.load().await.unwrap();
        append_from_outside(&path, &before.head, &content(1));
        for _ in 0..2 {
            let refused = store.apply(&content(2), Revision(0)).await.unwrap_err();
            assert!(matches!(&refused, StoreError::Corrupt { place, .. } if place == "the head"));
            let refused = store.load().await.unwrap_err();
            assert!(matches!(refused, StoreError::Corrupt { .. }), "{refused:?}");
        }
    }

    #[tokio::test]
    async fn a_change_that_would_not_read_back_is_not_written() {
        let folder = tempfile::tempdir().unwrap();
        let store = EmbeddedStore::open(&folder.path().join("rules.db")).unwrap();
        let suspension = Suspension {
            id: SuspensionId::parse("s").unwrap(),
            target: Target::Vendor(VendorId::parse("v").unwrap()),
            reach: Reach::Group,
            components: ComponentReach::Include,
            scope: Scope::default(), // No actions: a suspension of nothing cannot be written.
            from: content(1).at,
            until: None,
            lifted_at: None,
            grandfather: None,
            review_by: None,
            advisories: [].into(),
            ticket: "CHG-1".into(),
            reason: "because".into(),
            customer_message: None,
        };
        let mut unreadable = content(1);
        unreadable.change.edits = vec![RuleEdit::PutSuspension(suspension.into())];
        let refused = store.apply(&unreadable, Revision(0)).await.unwrap_err();
        assert_eq!(refused.to_string(), "nothing was written while recording a change");
        assert_eq!(store.load().await.unwrap().head.revision, Revision(0));
    }
}
