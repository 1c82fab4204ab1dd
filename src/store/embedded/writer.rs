//! The one connection that writes: each change is one transaction of record and head.
//!
//! Invariant: whoever is told of a change can rely on it. Its commit has returned, so it is on disk;
//! only then is it shown to readers and to its caller. When an I/O error leaves open what the disk
//! holds, the process ends at once: the next start reads what is really there, and a retry under
//! the same request id finds out.

use super::file::Place;
use super::log::{self, corrupt};
use crate::audit::{Chain, Proposal};
use crate::domain::Revision;
use crate::store::{Applied, Head, Loaded, StoreError};
use arc_swap::ArcSwap;
use rusqlite::{Connection, ErrorCode, Transaction, TransactionBehavior, params};
use std::sync::Arc;

/// How much may gather in the write-ahead log before it moves into the main file: little enough
/// that reading stays fast and a start after a crash short.
const MOST_BYTES_AHEAD: usize = 4 << 20;

/// What one commit adds to the write-ahead log beside its entry: a few pages.
const BYTES_A_COMMIT: usize = 16 << 10;

/// What the writing thread owns.
pub(super) struct Writer {
    // The lock goes last: nobody else may have the file before our connection is closed.
    connection: Connection,
    _place: Place,
    newest: Arc<ArcSwap<Loaded>>,
    bytes_ahead: usize,
}

impl Writer {
    /// `newest` is what the verified file holds.
    pub(super) fn new(connection: Connection, place: Place, newest: Arc<ArcSwap<Loaded>>) -> Self {
        // As if full: the first commit moves what a crash may have left in the log.
        Self { connection, _place: place, newest, bytes_ahead: MOST_BYTES_AHEAD }
    }

    /// Makes the change the next revision; see [`RuleStore::apply`](crate::store::RuleStore::apply).
    pub(super) fn apply(
        &mut self,
        proposal: &Proposal,
        expected: Revision,
    ) -> Result<Applied, StoreError> {
        let newest = self.newest.load_full();
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(not_begun)?;
        if let Some(record) = log::record_of(&transaction, &proposal.request_id)? {
            if record.proposal.asks_the_same_as(proposal) {
                return Ok(Applied { record, repeated: true });
            }
            let (request_id, revision) = (proposal.request_id.clone(), record.revision);
            return Err(StoreError::RequestReused { request_id, revision });
        }
        let actual = newest.head.revision;
        if actual != expected {
            return Err(StoreError::Conflict { expected, actual });
        }
        if log::head(&transaction)? != newest.head {
            return Err(corrupt("the head", "somebody else has written to the file"));
        }
        let chain = Chain { revision: actual, hash: newest.head.chain };
        let (record, entry) = chain.next(proposal).map_err(|error| StoreError::NotWritten {
            doing: "recording a change",
            source: error.into(),
        })?;
        let head = Head { revision: record.revision, chain: record.chain, ..newest.head.clone() };
        insert(&transaction, &head, proposal, &entry).map_err(not_inserted)?;
        transaction.commit().map_err(not_committed)?;

        let rules = newest.rules.after(&proposal.change);
        self.newest.store(Arc::new(Loaded { head, rules }));
        self.bytes_ahead += entry.len() + BYTES_A_COMMIT;
        self.move_into_main_file();
        Ok(Applied { record, repeated: false })
    }

    /// Moves the write-ahead log into the main file, when enough has gathered. What is not moved
    /// stays in the log, which is as good; so only an I/O error matters.
    fn move_into_main_file(&mut self) {
        if self.bytes_ahead < MOST_BYTES_AHEAD {
            return;
        }
        self.bytes_ahead = 0;
        let moved = self.connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
        if let Err(error) = moved {
            end_if_in_doubt(&error);
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "Recent changes stay in the write-ahead log of the store"
            );
        }
    }
}

fn insert(
    transaction: &Transaction<'_>,
    head: &Head,
    proposal: &Proposal,
    entry: &str,
) -> rusqlite::Result<()> {
    let revision = i64::try_from(head.revision.0).unwrap_or(i64::MAX);
    let chain = head.chain.to_string();
    transaction
        .prepare_cached(
            "INSERT INTO records (revision, chain, request_id, entry) VALUES (?, ?, ?, ?)",
        )?
        .execute(params![revision, chain, proposal.request_id.as_str(), entry])?;
    transaction
        .prepare_cached("UPDATE head SET revision = ?, chain = ?")?
        .execute(params![revision, chain])?;
    Ok(())
}

/// A transaction that did not begin, or that is rolled back, has written nothing.
fn not_begun(error: rusqlite::Error) -> StoreError {
    end_if_in_doubt(&error);
    StoreError::NotWritten { doing: "beginning a transaction", source: error.into() }
}

fn not_inserted(error: rusqlite::Error) -> StoreError {
    end_if_in_doubt(&error);
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::ConstraintViolation) => {
            corrupt("the end of the log", error)
        }
        _ => StoreError::NotWritten { doing: "writing a record", source: error.into() },
    }
}

fn not_committed(error: rusqlite::Error) -> StoreError {
    end_if_in_doubt(&error);
    match error.sqlite_error_code() {
        // SQLite writes the mark that commits last, and nothing counts without it.
        Some(ErrorCode::DiskFull | ErrorCode::DatabaseBusy) => {
            StoreError::NotWritten { doing: "committing a record", source: error.into() }
        }
        _ => StoreError::Unavailable { doing: "committing a record", source: error.into() },
    }
}

/// Ends the process after an I/O error. The kernel may report a failed fsync once and then call the
/// lost pages clean, so that trying again would "succeed": only reading the disk anew is honest.
fn end_if_in_doubt(error: &rusqlite::Error) {
    if error.sqlite_error_code() != Some(ErrorCode::SystemIoFailure) {
        return;
    }
    tracing::error!(
        error = error as &dyn std::error::Error,
        "Ending the process: the disk failed while the store was writing, and what it holds is unknown"
    );
    std::process::abort();
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use crate::audit::samples::proposal;
    use crate::domain::{
        ComponentReach, Reach, Revision, RuleEdit, Scope, Suspension, SuspensionId, Target,
        VendorId,
    };
    use crate::store::embedded::EmbeddedStore;
    use crate::store::{RuleStore, StoreError};

    #[tokio::test]
    async fn a_full_disk_refuses_the_change_keeps_the_rest_and_takes_it_when_there_is_room() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rules.db");
        let store = EmbeddedStore::open(&path).unwrap();
        store.apply(&proposal(1), Revision(0)).await.unwrap();
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

        let mut large = proposal(2);
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
            from: proposal(1).at,
            until: None,
            lifted_at: None,
            grandfather: None,
            review_by: None,
            advisories: vec![],
            ticket: "CHG-1".into(),
            reason: "because".into(),
            customer_message: None,
        };
        let mut unreadable = proposal(1);
        unreadable.change.edits = vec![RuleEdit::PutSuspension(suspension.into())];
        let refused = store.apply(&unreadable, Revision(0)).await.unwrap_err();
        assert_eq!(refused.to_string(), "nothing was written while recording a change");
        assert_eq!(store.load().await.unwrap().head.revision, Revision(0));
    }
}
