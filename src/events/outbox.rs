//! What waits to be taken by the receiver, in a SQLite file beside the store's: `PATH.events`.
//!
//! A file of its own and no table in the store: nothing that a receiver does can then fill, lock or grow
//! the file that rules depend on, and that one stays what auditors know. Whoever holds the lock on the
//! store has this file too.
//!
//! Invariants: events and the place up to which the log was read are written in one transaction, and the
//! place does not move past an event that found no room and would not be found again. An event
//! that was taken is remembered for as long as the same thing could be seen anew. A file that was deleted
//! begins again at the newest revision: it holds no truth.

use super::Event;
use crate::domain::{ChainHash, Lineage, Revision, Timestamp};
use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Marks the file: `OFGE`.
const APPLICATION_ID: i64 = 0x4f46_4745;

/// The format that this version writes.
const FORMAT: i64 = 1;

/// How many events may wait. Then nothing more is put in until some were taken, but what is urgent.
pub(super) const MOST_WAITING: i64 = 10_000;

/// How many may, where what comes is urgent: a receiver that takes nothing else may yet take that.
const MOST_WITH_URGENT: i64 = 11_000;

/// How long an event that was taken is remembered when nothing shows it any more.
pub(super) const REMEMBERED: i64 = 30 * 86_400;

/// After the first failure, and at most; it doubles in between.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

const TABLES: &str = "
    CREATE TABLE events (
        number INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        body TEXT NOT NULL,
        put_at INTEGER NOT NULL,
        attempts INTEGER NOT NULL DEFAULT 0,
        due_ms INTEGER NOT NULL DEFAULT 0,
        taken_at INTEGER,
        seen_at INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX waiting ON events (number, due_ms) WHERE taken_at IS NULL;
    CREATE TABLE place (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        since TEXT NOT NULL,
        lineage TEXT,
        revision INTEGER NOT NULL,
        chain TEXT NOT NULL,
        seen_until TEXT NOT NULL
    ) STRICT;
";

/// Why the outbox cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OutboxError {
    /// Its file cannot be read or written.
    #[error("`{}`, which keeps events until they are taken, cannot be used", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// The cause.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// It is something else, or of a later version.
    #[error("`{}` is no outbox of events of this version; move it away to begin a new one", .0.display())]
    Other(PathBuf),
    /// Nothing can be sent.
    #[error("the sender of events cannot be set up")]
    Sender(#[source] reqwest::Error),
}

/// Up to where everything was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cursor {
    /// Since when events are told at all.
    pub(super) since: Timestamp,
    /// The place in the log; `None` to find out by the instants of its records.
    pub(super) place: Option<(Lineage, Revision, ChainHash)>,
    /// The instant.
    pub(super) seen_until: Timestamp,
}

/// An event that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Waiting {
    pub(super) id: String,
    pub(super) body: String,
    pub(super) attempts: u32,
}

/// What came of putting events in.
#[derive(Debug, Default)]
pub(super) struct Put {
    /// The ids of those that were new.
    pub(super) new: Vec<String>,
    /// How many found no room.
    pub(super) left: usize,
}

/// An open outbox.
pub(super) struct Outbox {
    connection: Connection,
    waiting: i64,
    /// When the first that waits was put in, in seconds since 1970.
    oldest: Option<i64>,
}

impl Outbox {
    pub(super) fn open(path: &Path, now: Timestamp) -> Result<Self, OutboxError> {
        let unusable = |source| OutboxError::File { path: path.to_owned(), source };
        let at = |error: rusqlite::Error| unusable(error.into());
        // SQLite gives a new file the mode of the process; this one is for its owner alone.
        let made = std::fs::OpenOptions::new().create(true).append(true).mode(0o600).open(path);
        made.map_err(|error| unusable(error.into()))?;
        let connection = Connection::open(path).map_err(at)?;
        let number = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
        let other = |error: rusqlite::Error| match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::NotADatabase) => OutboxError::Other(path.to_owned()),
            _ => at(error),
        };
        match (number("application_id").map_err(other)?, number("user_version").map_err(other)?) {
            (0, 0) => connection
                .execute_batch(&format!(
                    "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
                     BEGIN IMMEDIATE;
                     PRAGMA application_id = {APPLICATION_ID};
                     PRAGMA user_version = {FORMAT};
                     {TABLES}
                     INSERT INTO place VALUES (1, '{now}', NULL, 0, '{}', '{now}');
                     COMMIT;",
                    ChainHash::ZERO
                ))
                .map_err(at)?,
            (APPLICATION_ID, FORMAT) => connection
                .execute_batch(
                    // A new process asks the receiver at once, whatever the one before had met with.
                    "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
                     UPDATE events SET due_ms = 0 WHERE taken_at IS NULL;",
                )
                .map_err(at)?,
            (_, _) => return Err(OutboxError::Other(path.to_owned())),
        }
        let mut outbox = Self { connection, waiting: 0, oldest: None };
        outbox.count().map_err(at)?;
        Ok(outbox)
    }

    /// Events of a new outbox begin after this place in the log; without one, at the instant at which the
    /// outbox was made.
    pub(super) fn begin_at(
        &mut self,
        place: Option<(Lineage, Revision, ChainHash)>,
        path: &Path,
    ) -> Result<(), OutboxError> {
        let at = |error: rusqlite::Error| OutboxError::File {
            path: path.to_owned(),
            source: error.into(),
        };
        let cursor = self.cursor().map_err(at)?;
        if cursor.place.is_none() && place.is_some() {
            self.put(&[], &Cursor { place, ..cursor }).map_err(at)?;
        }
        Ok(())
    }

    /// How many wait, and since when the first does.
    pub(super) fn waiting(&self) -> (u64, Option<i64>) {
        (u64::try_from(self.waiting).unwrap_or_default(), self.oldest)
    }

    fn count(&mut self) -> rusqlite::Result<()> {
        (self.waiting, self.oldest) = self.connection.query_row(
            "SELECT count(*), min(put_at) FROM events WHERE taken_at IS NULL",
            [],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )?;
        Ok(())
    }

    pub(super) fn cursor(&mut self) -> rusqlite::Result<Cursor> {
        let select = "SELECT since, lineage, revision, chain, seen_until FROM place";
        let read = |row: &rusqlite::Row<'_>| {
            let texts: [String; 3] = [row.get(0)?, row.get(3)?, row.get(4)?];
            Ok((texts, row.get::<_, Option<String>>(1)?, row.get::<_, i64>(2)?))
        };
        let ([since, chain, seen_until], lineage, revision) =
            self.connection.query_row(select, [], read)?;
        let bad = || rusqlite::Error::InvalidQuery;
        let place = match lineage {
            None => None,
            Some(lineage) => Some((
                Lineage::parse(&lineage).ok_or_else(bad)?,
                Revision(u64::try_from(revision).map_err(|_| bad())?),
                ChainHash::parse(&chain).ok_or_else(bad)?,
            )),
        };
        let instant = |text: &str| text.parse().map_err(|_| bad());
        Ok(Cursor { since: instant(&since)?, place, seen_until: instant(&seen_until)? })
    }

    /// Puts in what is new, as much as there is room for and what is urgent first, and moves the cursor, if
    /// nothing is lost by that.
    pub(super) fn put(
        &mut self,
        events: &[(Event, String)],
        cursor: &Cursor,
    ) -> rusqlite::Result<Put> {
        let now = cursor.seen_until.as_second();
        let transaction =
            self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let (mut put, mut loses_something) = (Put::default(), false);
        let mut waiting: i64 = transaction.query_row(
            "SELECT count(*) FROM events WHERE taken_at IS NULL",
            [],
            |row| row.get(0),
        )?;
        let (urgent, others): (Vec<_>, Vec<_>) =
            events.iter().partition(|(event, _)| event.kind.is_urgent());
        for (event, body) in urgent.into_iter().chain(others) {
            let room = if event.kind.is_urgent() { MOST_WITH_URGENT } else { MOST_WAITING };
            let inserted = transaction.execute(
                "INSERT INTO events (id, body, put_at, seen_at) SELECT ?1, ?2, ?3, ?3 WHERE ?4
                 ON CONFLICT (id) DO NOTHING",
                params![event.id, body, now, waiting < room],
            )?;
            if 0 < inserted {
                put.new.push(event.id.clone());
                waiting += 1;
                continue;
            }
            let known = "SELECT seen_at FROM events WHERE id = ?1";
            let known = transaction.query_row(known, [&event.id], |row| row.get::<_, i64>(0));
            match known.optional()? {
                // Written now and then, and not at each look.
                Some(seen) if seen < now - 3600 => {
                    let seen = "UPDATE events SET seen_at = ?2 WHERE id = ?1";
                    transaction.execute(seen, params![event.id, now])?;
                }
                Some(_) => {}
                None => {
                    put.left += 1;
                    loses_something |= event.kind.is_passing();
                }
            }
        }
        if let Some((lineage, revision, chain)) = cursor.place.as_ref().filter(|_| !loses_something)
        {
            transaction.execute(
                "UPDATE place SET lineage = ?1, revision = ?2, chain = ?3, seen_until = ?4",
                params![
                    lineage.to_string(),
                    i64::try_from(revision.0).unwrap_or(i64::MAX),
                    chain.to_string(),
                    cursor.seen_until.to_string()
                ],
            )?;
        }
        transaction.execute(
            "DELETE FROM events WHERE taken_at < ?1 AND seen_at < ?1",
            [now.saturating_sub(REMEMBERED)],
        )?;
        transaction.commit()?;
        self.count()?;
        Ok(put)
    }

    /// The first event that is due: of emergencies, if there is one.
    pub(super) fn due(&mut self, now: Timestamp) -> rusqlite::Result<Option<Waiting>> {
        const OF_EMERGENCIES: &str = "SELECT id, body, attempts FROM events
             WHERE taken_at IS NULL AND due_ms <= ?1 AND id GLOB 'break-glass-*'
             ORDER BY number LIMIT 1";
        const OF_ALL: &str = "SELECT id, body, attempts FROM events
             WHERE taken_at IS NULL AND due_ms <= ?1 ORDER BY number LIMIT 1";
        for select in [OF_EMERGENCIES, OF_ALL] {
            let mut statement = self.connection.prepare_cached(select)?;
            let read = |row: &rusqlite::Row<'_>| {
                Ok(Waiting { id: row.get(0)?, body: row.get(1)?, attempts: row.get(2)? })
            };
            if let Some(waiting) = statement.query_row([now.as_millisecond()], read).optional()? {
                return Ok(Some(waiting));
            }
        }
        Ok(None)
    }

    /// The receiver has it.
    pub(super) fn taken(&mut self, id: &str, now: Timestamp) -> rusqlite::Result<()> {
        let taken = "UPDATE events SET taken_at = ?2, body = '' WHERE id = ?1";
        self.connection.execute(taken, params![id, now.as_second()])?;
        self.count()
    }

    /// The receiver did not take it; with `everybody`, it would take no other one either.
    pub(super) fn failed(
        &mut self,
        id: &str,
        attempts: u32,
        now: Timestamp,
        everybody: bool,
    ) -> rusqlite::Result<()> {
        let pause = pause_after(attempts);
        let due =
            now.as_millisecond().saturating_add(i64::try_from(pause.as_millis()).unwrap_or(0));
        let transaction =
            self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute(
            "UPDATE events SET attempts = attempts + 1, due_ms = ?2 WHERE id = ?1",
            params![id, due],
        )?;
        if everybody {
            transaction.execute(
                "UPDATE events SET due_ms = ?1 WHERE taken_at IS NULL AND due_ms < ?1",
                [due],
            )?;
        }
        transaction.commit()
    }
}

/// How long to wait after so many attempts and one more.
pub(super) fn pause_after(attempts: u32) -> Duration {
    let doublings = attempts.min(20);
    FIRST_PAUSE.saturating_mul(1 << doublings).min(LONGEST_PAUSE)
}
