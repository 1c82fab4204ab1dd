//! What waits to be taken by the receiver, in a SQLite file beside the store's: `PATH.events`.
//!
//! A file of its own and no table in the store: nothing that a receiver does can then fill, lock or grow
//! the file that rules depend on, and that one stays what auditors know. Whoever holds the lock on the
//! store has this file too.
//!
//! Invariants: events and the place up to which the log was read are written in one transaction. An event
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

/// How many events may wait. Then nothing more is put in until some were taken.
const MOST_WAITING: i64 = 10_000;

/// How long an event that was taken is remembered when nothing shows it any more.
const REMEMBERED: i64 = 30 * 86_400;

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
    /// Whether there was room for all.
    pub(super) is_whole: bool,
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

    /// Puts in what is new, and moves the cursor. Where there is no room, neither.
    pub(super) fn put(
        &mut self,
        events: &[(Event, String)],
        cursor: &Cursor,
    ) -> rusqlite::Result<Put> {
        let now = cursor.seen_until.as_second();
        let transaction =
            self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut put = Put { new: Vec::new(), is_whole: true };
        for (event, body) in events {
            let inserted = transaction.execute(
                "INSERT INTO events (id, body, put_at, seen_at) VALUES (?1, ?2, ?3, ?3)
                 ON CONFLICT (id) DO NOTHING",
                params![event.id, body, now],
            )?;
            if 0 < inserted {
                put.new.push(event.id.clone());
            } else {
                transaction.execute(
                    "UPDATE events SET seen_at = ?2 WHERE id = ?1 AND seen_at < ?2 - 3600",
                    params![event.id, now],
                )?;
            }
        }
        let waiting: i64 = transaction.query_row(
            "SELECT count(*) FROM events WHERE taken_at IS NULL",
            [],
            |row| row.get(0),
        )?;
        if MOST_WAITING < waiting && !put.new.is_empty() {
            transaction.rollback()?;
            return Ok(Put::default());
        }
        if let Some((lineage, revision, chain)) = &cursor.place {
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

    /// The first event that is due.
    pub(super) fn due(&mut self, now: Timestamp) -> rusqlite::Result<Option<Waiting>> {
        self.connection
            .query_row(
                "SELECT id, body, attempts FROM events
                 WHERE taken_at IS NULL AND due_ms <= ?1 ORDER BY number LIMIT 1",
                [now.as_millisecond()],
                |row| Ok(Waiting { id: row.get(0)?, body: row.get(1)?, attempts: row.get(2)? }),
            )
            .optional()
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
fn pause_after(attempts: u32) -> Duration {
    let doublings = attempts.min(20);
    FIRST_PAUSE.saturating_mul(1 << doublings).min(LONGEST_PAUSE)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::super::event::Kind;
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_600_000_000 + second).unwrap()
    }

    fn event(id: &str) -> (Event, String) {
        let event = Event {
            id: id.to_owned(),
            kind: Kind::Fork,
            at: at(0),
            subject: String::new(),
            data: serde_json::Value::Null,
        };
        (event, format!("about {id}"))
    }

    fn cursor(revision: u64, second: i64) -> Cursor {
        let lineage = Lineage::parse(&"a".repeat(32)).unwrap();
        let place = Some((lineage, Revision(revision), ChainHash([7; 32])));
        Cursor { since: at(0), place, seen_until: at(second) }
    }

    fn open(folder: &tempfile::TempDir) -> Outbox {
        Outbox::open(&folder.path().join("x.events"), at(0)).unwrap()
    }

    #[test]
    fn an_event_is_put_in_once_and_known_after_it_was_taken_and_the_file_opened_again() {
        let folder = tempfile::tempdir().unwrap();
        let mut outbox = open(&folder);
        assert_eq!(outbox.cursor().unwrap().place, None);
        let put = outbox.put(&[event("a"), event("b"), event("a")], &cursor(3, 1)).unwrap();
        assert_eq!((put.new, put.is_whole), (vec!["a".to_owned(), "b".to_owned()], true));
        assert_eq!(outbox.waiting(), (2, Some(at(1).as_second())));
        outbox.taken("a", at(2)).unwrap();
        drop(outbox);
        let mut outbox = open(&folder);
        assert_eq!(outbox.cursor().unwrap(), cursor(3, 1));
        assert!(outbox.put(&[event("a")], &cursor(4, 5)).unwrap().new.is_empty());
        let due = outbox.due(at(6)).unwrap().unwrap();
        assert_eq!((due.id.as_str(), due.body.as_str()), ("b", "about b"));
        outbox.taken("b", at(6)).unwrap();
        assert_eq!((outbox.due(at(9)).unwrap(), outbox.waiting()), (None, (0, None)));
        // Long after nothing shows it any more, it is forgotten; what goes on is not.
        let late = 2 * REMEMBERED;
        outbox.put(&[event("b")], &cursor(4, late)).unwrap();
        let again = outbox.put(&[event("a"), event("b")], &cursor(4, late + 1)).unwrap();
        assert_eq!(again.new, ["a"]);
    }

    #[test]
    fn a_full_outbox_takes_nothing_and_the_log_is_not_read_past_what_did_not_fit() {
        let folder = tempfile::tempdir().unwrap();
        let mut outbox = open(&folder);
        outbox.put(&[event("first")], &cursor(1, 1)).unwrap();
        let many: Vec<_> = (0..MOST_WAITING).map(|number| event(&number.to_string())).collect();
        let put = outbox.put(&many, &cursor(2, 2)).unwrap();
        assert!(put.new.is_empty() && !put.is_whole);
        assert_eq!((outbox.waiting().0, outbox.cursor().unwrap()), (1, cursor(1, 1)));
        outbox.taken("first", at(3)).unwrap();
        assert!(outbox.put(&many, &cursor(2, 4)).unwrap().is_whole);
    }

    fn due(outbox: &mut Outbox, second: i64) -> Option<String> {
        outbox.due(at(second)).unwrap().map(|waiting| waiting.id)
    }

    #[test]
    fn a_receiver_that_is_away_is_left_in_peace_and_one_that_refuses_an_event_gets_the_others() {
        let folder = tempfile::tempdir().unwrap();
        let mut outbox = open(&folder);
        outbox.put(&[event("a"), event("b")], &cursor(1, 0)).unwrap();
        assert_eq!(due(&mut outbox, 0).as_deref(), Some("a"));
        outbox.failed("a", 0, at(0), false).unwrap();
        assert_eq!(due(&mut outbox, 0).as_deref(), Some("b"), "only a was refused");
        outbox.failed("b", 3, at(0), true).unwrap();
        assert_eq!(
            (due(&mut outbox, 7), due(&mut outbox, 8).as_deref()),
            (None, Some("a")),
            "nobody is there"
        );
        drop(outbox);
        let mut outbox = open(&folder);
        assert_eq!(outbox.due(at(1)).unwrap().unwrap().attempts, 1, "a new process asks at once");
    }

    #[test]
    fn pauses_double_up_to_five_minutes() {
        let pauses =
            [0, 1, 2, 8, 9, 1_000, u32::MAX].map(|attempts| pause_after(attempts).as_secs());
        assert_eq!(pauses, [1, 2, 4, 256, 300, 300, 300]);
    }

    #[test]
    fn a_file_of_something_else_is_refused_and_left_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.events");
        std::fs::write(&path, "no database, and long enough to have a header of one".repeat(4))
            .unwrap();
        let before = std::fs::read(&path).unwrap();
        assert!(matches!(Outbox::open(&path, at(0)), Err(OutboxError::Other(_))));
        assert_eq!(std::fs::read(&path).unwrap(), before);
    }
}
