//! A ledger in a SQLite file of its own.
//!
//! Recipients of one block stand beside each other and are sorted by their tags in it: so a group of them
//! touches few pages, however long the ledger is, and their order tells nothing without the key. A small
//! index holds those that have begun or are in doubt. Totals are kept with every step, in the same
//! transaction.
//!
//! Invariants: one sender at a time, by locks on `LEDGER.lock` and on the file itself, whatever it is called by then,
//! that die with their process; anybody may look, and give orders. What [`Ledger::write`] has returned from is on
//! disk. A file that was moved without the journal of a sender that died is refused.

mod guard;

use self::guard::{Locks, OPEN, has_journal, lock, lock_file, to_the_file};
use super::{
    Fact, KeyError, Ledger, LedgerError, LedgerKey, PROOFS, Place, State, Step, Tag, Totals, What,
    Why, died, failed, refuse_erased,
};
use rusqlite::config::DbConfig;
use rusqlite::{
    Connection, ErrorCode, OpenFlags, OptionalExtension as _, Transaction, TransactionBehavior,
    params,
};
use std::collections::HashMap;
use std::fs::{OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Marks the file as a ledger: "OGLG".
const APPLICATION: i32 = 0x4f47_4c47;

/// The layout below.
const VERSION: i32 = 1;

/// The fact that tells the ledger's own key from others: an id, and what the key makes of it. Earlier programs of this
/// version wrote none, and read ledgers that have one.
const PROOF: &str = "proof";

/// How long a writer waits for another process: who gives an order holds the file for an instant.
const PATIENCE: Duration = Duration::from_secs(10);

const LAYOUT: &str = "
CREATE TABLE recipient (
    block INTEGER NOT NULL, tag BLOB NOT NULL, state INTEGER NOT NULL, reason INTEGER NOT NULL,
    revision INTEGER NOT NULL, at INTEGER NOT NULL, PRIMARY KEY (block, tag)
) STRICT, WITHOUT ROWID;
CREATE INDEX open ON recipient (state) WHERE state IN (0, 4);
CREATE TABLE reason (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE) STRICT;
CREATE TABLE total (
    state INTEGER NOT NULL, reason INTEGER NOT NULL, revision INTEGER NOT NULL, recipients INTEGER NOT NULL,
    PRIMARY KEY (state, reason, revision)
) STRICT, WITHOUT ROWID;
CREATE TABLE fact (name TEXT PRIMARY KEY, text TEXT NOT NULL) STRICT, WITHOUT ROWID;
";

/// A ledger that is open.
pub struct SqliteLedger {
    connection: Connection,
    reasons: HashMap<String, i64>,
    _locks: Option<Locks>,
}

impl SqliteLedger {
    /// Makes a new ledger and its key, to send through.
    ///
    /// # Errors
    /// When there is one already, or the system refuses.
    pub fn create(path: &Path) -> Result<(Self, LedgerKey), LedgerError> {
        let lock = lock(path)?;
        if path.exists() {
            return Err(LedgerError::Exists(shown(path)));
        }
        let key = LedgerKey::open_or_create(&LedgerKey::path_of(path))?;
        lay_out(path, &key)?;
        let locks = Locks::take(lock, path)?;
        let connection = connect(path)?;
        let ledger = Self { connection, reasons: HashMap::new(), _locks: Some(locks) };
        ledger.mark()?;
        Ok((ledger, key))
    }

    /// Opens a ledger to send through. No other process can while this value lives.
    ///
    /// # Errors
    /// When there is none, another process sends through it, or its key is gone or another one.
    pub fn open(path: &Path) -> Result<(Self, LedgerKey), LedgerError> {
        if !path.exists() {
            return Err(LedgerError::Missing(shown(path)));
        }
        let lock = lock(path)?;
        let key_path = LedgerKey::path_of(path);
        let key = LedgerKey::open(&key_path)?;
        let locks = Locks::take(lock, path)?;
        let ledger = Self::with(path, Some(locks))?;
        refuse_erased(&ledger, &key_path)?;
        ledger.mark()?;
        if !ledger.is_named_by(&key)? {
            return Err(KeyError::Other(key_path).into());
        }
        // One of an earlier version has no proof: its key is believed once.
        let sql = "INSERT INTO fact (name, text) VALUES (?1, ?2) ON CONFLICT (name) DO NOTHING";
        let written = ledger.connection.execute(sql, [PROOF, &new_proof(&key)]);
        written.map_err(failed("writing what its key makes of its id"))?;
        Ok((ledger, key))
    }

    /// Opens a ledger to look at it and to give orders.
    ///
    /// # Errors
    /// When there is none, or it is something else.
    pub fn look(path: &Path) -> Result<Self, LedgerError> {
        if !path.exists() {
            return Err(LedgerError::Missing(shown(path)));
        }
        Self::with(path, None)
    }

    /// Whether a process sends through the ledger now.
    ///
    /// # Errors
    /// When the lock cannot be tried.
    pub fn has_sender(path: &Path) -> Result<bool, LedgerError> {
        match lock_file(path)?.try_lock_shared() {
            Ok(()) => Ok(false),
            Err(TryLockError::WouldBlock) => Ok(true),
            Err(TryLockError::Error(error)) => Err(failed("trying its lock")(error)),
        }
    }

    /// Says in the file itself that its last steps may be beside it.
    fn mark(&self) -> Result<(), LedgerError> {
        let sql = "INSERT INTO fact (name, text) VALUES (?1, '') ON CONFLICT (name) DO NOTHING";
        let marked =
            self.connection.execute(sql, [OPEN]).and_then(|_| to_the_file(&self.connection));
        marked.map_err(failed("marking it as open"))
    }

    fn with(path: &Path, locks: Option<Locks>) -> Result<Self, LedgerError> {
        let foreign = |_| LedgerError::Foreign(shown(path));
        let connection = connect(path)?;
        if locks.is_none() {
            // Who only looks leaves beside it what a sender left there.
            let config = DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE;
            connection.set_db_config(config, true).map_err(failed("opening it"))?;
        }
        let pragma =
            |name: &str| connection.query_row(&format!("PRAGMA {name}"), [], |row| row.get(0));
        let (application, version): (i32, i32) =
            (pragma("application_id").map_err(foreign)?, pragma("user_version").map_err(foreign)?);
        if (application, version) != (APPLICATION, VERSION) {
            return Err(LedgerError::Foreign(shown(path)));
        }
        let reasons = {
            let doing = failed("reading reasons");
            let mut all = connection.prepare("SELECT text, id FROM reason").map_err(&doing)?;
            let rows = all.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).map_err(&doing)?;
            rows.collect::<Result<_, _>>().map_err(&doing)?
        };
        // Before there is a ledger, whose end takes the mark away; and after the mark was read, since a sender that begins
        // meanwhile writes its journal first.
        if text(&connection, OPEN)?.is_some() && !has_journal(path) {
            return Err(LedgerError::Torn(shown(path)));
        }
        Ok(Self { connection, reasons, _locks: locks })
    }
}

fn text(connection: &Connection, fact: &str) -> Result<Option<String>, LedgerError> {
    let sql = "SELECT text FROM fact WHERE name = ?1";
    let mut row = connection.prepare_cached(sql).map_err(failed("reading a fact"))?;
    row.query_row([fact], |row| row.get(0)).optional().map_err(failed("reading a fact"))
}

impl Drop for SqliteLedger {
    fn drop(&mut self) {
        if self._locks.is_some() {
            // Where it cannot be said that all is in the file, the mark stays, and what is beside it too.
            let _ = to_the_file(&self.connection)
                .and_then(|()| self.connection.execute("DELETE FROM fact WHERE name = ?1", [OPEN]));
        }
    }
}

impl Ledger for SqliteLedger {
    fn write(&mut self, steps: &[Step]) -> Result<(), LedgerError> {
        if steps.is_empty() {
            return Ok(());
        }
        let doing = failed("writing steps");
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(&doing)?;
        let mut reasons = self.reasons.clone();
        // Sorted, so that a group goes through the tree once.
        let mut sorted: Vec<&Step> = steps.iter().collect();
        sorted.sort_by_key(|step| step.place);
        let mut totals: HashMap<(State, i64, u64), i64> = HashMap::new();
        for step in sorted {
            take(&transaction, step, &mut reasons, &mut totals)?;
        }
        for ((state, reason, revision), more) in totals {
            add(&transaction, state, reason, revision, more).map_err(&doing)?;
        }
        transaction.commit().map_err(&doing)?;
        self.reasons = reasons;
        Ok(())
    }

    fn block(&self, block: i64) -> Result<Vec<(Tag, State)>, LedgerError> {
        let doing = failed("reading a block");
        let sql = "SELECT tag, state FROM recipient WHERE block = ?1";
        let mut rows = self.connection.prepare_cached(sql).map_err(&doing)?;
        let rows = rows.query_map([block], |row| Ok((Tag(row.get(0)?), state(row.get(1)?))));
        rows.map_err(&doing)?.collect::<Result<_, _>>().map_err(&doing)
    }

    fn totals(&self) -> Result<Totals, LedgerError> {
        let doing = failed("reading totals");
        let sql = "SELECT total.state, coalesce(reason.text, ''), total.revision, recipients FROM total \
                   LEFT JOIN reason ON reason.id = total.reason WHERE recipients <> 0";
        let mut rows = self.connection.prepare_cached(sql).map_err(&doing)?;
        let rows = rows.query_map([], |row| {
            let why = Why { reason: row.get(1)?, revision: unsigned(row.get(2)?) };
            Ok(((state(row.get(0)?), why), unsigned(row.get(3)?)))
        });
        rows.map_err(&doing)?.collect::<Result<_, _>>().map_err(&doing)
    }

    fn doubt(&mut self, at: i64) -> Result<u64, LedgerError> {
        let doing = failed("finding who is in doubt");
        let places = {
            let sql = "SELECT block, tag FROM recipient WHERE state = 0";
            let mut rows = self.connection.prepare(sql).map_err(&doing)?;
            let rows =
                rows.query_map([], |row| Ok(Place { block: row.get(0)?, tag: Tag(row.get(1)?) }));
            rows.map_err(&doing)?.collect::<Result<Vec<_>, _>>().map_err(&doing)?
        };
        let steps: Vec<_> = places.into_iter().map(|place| died(place, at)).collect();
        self.write(&steps)?;
        Ok(steps.len() as u64)
    }

    fn retry_doubtful(&mut self) -> Result<u64, LedgerError> {
        let doing = failed("making who is in doubt pending again");
        let transaction = self.connection.transaction().map_err(&doing)?;
        let deleted = transaction
            .execute("DELETE FROM recipient WHERE state = 4", [])
            .and_then(|count| {
                transaction.execute("DELETE FROM total WHERE state = 4", [])?;
                Ok(count)
            })
            .map_err(&doing)?;
        transaction.commit().map_err(&doing)?;
        Ok(deleted as u64)
    }

    fn doubtful(&self) -> Result<Vec<Place>, LedgerError> {
        let doing = failed("reading who is in doubt");
        let sql = "SELECT block, tag FROM recipient WHERE state = 4 ORDER BY block, tag";
        let mut rows = self.connection.prepare(sql).map_err(&doing)?;
        let rows =
            rows.query_map([], |row| Ok(Place { block: row.get(0)?, tag: Tag(row.get(1)?) }));
        rows.map_err(&doing)?.collect::<Result<_, _>>().map_err(&doing)
    }

    fn fact(&self, fact: Fact) -> Result<Option<String>, LedgerError> {
        text(&self.connection, fact.name())
    }

    fn set_fact(&mut self, fact: Fact, text: &str) -> Result<(), LedgerError> {
        let sql = "INSERT INTO fact (name, text) VALUES (?1, ?2) \
                   ON CONFLICT (name) DO UPDATE SET text = excluded.text";
        let set = self.connection.execute(sql, [fact.name(), text]);
        set.map(drop).map_err(failed("writing a fact"))
    }

    fn replace_fact(
        &mut self,
        fact: Fact,
        seen: Option<&str>,
        text: &str,
    ) -> Result<bool, LedgerError> {
        // One statement each, so that nobody comes between.
        let replaced = match seen {
            None => self.connection.execute(
                "INSERT INTO fact (name, text) VALUES (?1, ?2) \
                 ON CONFLICT (name) DO UPDATE SET text = ?2 WHERE text = ?2",
                [fact.name(), text],
            ),
            Some(seen) => self.connection.execute(
                "UPDATE fact SET text = ?2 WHERE name = ?1 AND text IN (?2, ?3)",
                [fact.name(), text, seen],
            ),
        };
        replaced.map(|many| many == 1).map_err(failed("replacing a fact"))
    }

    fn is_named_by(&self, key: &LedgerKey) -> Result<bool, LedgerError> {
        let Some(kept) = text(&self.connection, PROOF)? else { return Ok(true) };
        Ok(kept.split_once(' ').is_some_and(|(id, proof)| key.proof(id) == proof))
    }
}

/// Takes one step, if it follows from what is written.
fn take(
    transaction: &Transaction<'_>,
    step: &Step,
    reasons: &mut HashMap<String, i64>,
    totals: &mut HashMap<(State, i64, u64), i64>,
) -> Result<(), LedgerError> {
    let doing = failed("writing a step");
    let Place { block, tag } = step.place;
    let run = |sql: &str, values: &[&dyn rusqlite::ToSql]| {
        let mut statement = transaction.prepare_cached(sql).map_err(&doing)?;
        statement.execute(values).map_err(&doing)
    };
    const INSERT: &str = "INSERT INTO recipient (block, tag, state, reason, revision, at) \
                          VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO NOTHING";
    let mut number = |text: &str| -> Result<i64, LedgerError> {
        if text.is_empty() {
            return Ok(0);
        }
        if let Some(id) = reasons.get(text) {
            return Ok(*id);
        }
        run("INSERT INTO reason (text) VALUES (?1)", &[&text])?;
        let id = transaction.last_insert_rowid();
        reasons.insert(text.to_owned(), id);
        Ok(id)
    };
    let mut count = |state, reason, revision, more| {
        if block != PROOFS {
            *totals.entry((state, reason, revision)).or_default() += more;
        }
    };
    let changed = match &step.what {
        What::Begin => {
            count(State::Begun, 0, 0, 1);
            run(INSERT, &[&block, &tag.0, &code(State::Begun), &0, &0, &step.at])?
        }
        What::Leave(why) => {
            let reason = number(&why.reason)?;
            count(State::NotSent, reason, why.revision, 1);
            let (state, revision) = (code(State::NotSent), signed(why.revision));
            run(INSERT, &[&block, &tag.0, &state, &reason, &revision, &step.at])?
        }
        What::End(state, why) => {
            let reason = number(&why.reason)?;
            count(State::Begun, 0, 0, -1);
            count(*state, reason, why.revision, 1);
            let sql = "UPDATE recipient SET state = ?3, reason = ?4, revision = ?5, at = ?6 \
                       WHERE block = ?1 AND tag = ?2 AND state = 0";
            let (state, revision) = (code(*state), signed(why.revision));
            run(sql, &[&block, &tag.0, &state, &reason, &revision, &step.at])?
        }
        What::Withdraw => {
            count(State::Begun, 0, 0, -1);
            let sql = "DELETE FROM recipient WHERE block = ?1 AND tag = ?2 AND state = 0";
            run(sql, &[&block, &tag.0])?
        }
    };
    if changed == 1 { Ok(()) } else { Err(LedgerError::Contradiction { block }) }
}

fn add(
    transaction: &Transaction<'_>,
    state: State,
    reason: i64,
    revision: u64,
    more: i64,
) -> Result<(), rusqlite::Error> {
    let sql = "INSERT INTO total (state, reason, revision, recipients) VALUES (?1, ?2, ?3, ?4) \
               ON CONFLICT (state, reason, revision) DO UPDATE SET recipients = recipients + excluded.recipients";
    let mut statement = transaction.prepare_cached(sql)?;
    statement.execute(params![code(state), reason, signed(revision), more]).map(drop)
}

fn connect(path: &Path) -> Result<Connection, LedgerError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let doing = failed("opening it");
    let connection = Connection::open_with_flags(path, flags).map_err(&doing)?;
    connection.busy_timeout(PATIENCE).map_err(&doing)?;
    connection
        .execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = -65536; \
             PRAGMA wal_autocheckpoint = 4000; PRAGMA temp_store = MEMORY;",
        )
        .map_err(|error| match error.sqlite_error_code() {
            Some(ErrorCode::NotADatabase) => LedgerError::Foreign(shown(path)),
            _ => doing(error),
        })?;
    connection.set_prepared_statement_cache_capacity(32);
    Ok(connection)
}

/// Makes a ledger that stands under its name whole, or not at all.
fn lay_out(path: &Path, key: &LedgerKey) -> Result<(), LedgerError> {
    let mut other = path.to_owned().into_os_string();
    other.push(".new");
    let other = PathBuf::from(other);
    let _ = std::fs::remove_file(&other);
    let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&other);
    made.map_err(failed("making the file"))?;
    let doing = failed("making the ledger");
    let proof = new_proof(key);
    let connection = Connection::open(&other).map_err(&doing)?;
    connection
        .execute_batch(&format!(
            "BEGIN IMMEDIATE; {LAYOUT} PRAGMA application_id = {APPLICATION}; \
             PRAGMA user_version = {VERSION}; \
             INSERT INTO fact (name, text) VALUES ('{PROOF}', '{proof}'); COMMIT;"
        ))
        .map_err(&doing)?;
    drop(connection);
    std::fs::rename(&other, path)
        .and_then(|()| crate::ledger::key::sync_folder(path))
        .map_err(failed("putting the ledger under its name"))
}

/// A new id, and what the key makes of it.
fn new_proof(key: &LedgerKey) -> String {
    let id = uuid::Uuid::new_v4().simple().to_string();
    let proof = key.proof(&id);
    format!("{id} {proof}")
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

fn code(state: State) -> i64 {
    state as i64
}

/// The state of a code; an unknown one is in doubt.
fn state(code: i64) -> State {
    State::ALL.into_iter().find(|state| *state as i64 == code).unwrap_or(State::InDoubt)
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}
