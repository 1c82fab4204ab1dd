//! The tables of a store file, its format number, and how a connection to it is set up.
//!
//! ```sh
//! sqlite3 "file:COPY?mode=ro" "SELECT revision, entry FROM records"
//! ```
//! shows an auditor everything. Use a backup for that: another program must not touch a store in use.
//!
//! Invariant: what is in `records` is never changed. Triggers stop mistakes; the chain shows the rest.

use super::OpenError;
use crate::domain::Lineage;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use std::path::Path;
use std::time::Duration;

/// Marks a SQLite file as a store: `OFGT`.
const APPLICATION_ID: i64 = 0x4f46_4754;

/// The format that this version writes. Another set of tables is another number, a row in [`tables`]
/// and a step in [`migrate`].
const FORMAT: i64 = 3;

/// How long to wait for somebody who should not be there, such as a person with a SQLite shell.
const BUSY_TIMEOUT: Duration = Duration::from_secs(2);

/// What all formats have. `head` is one row: it shows a tail that was cut off, which a chain by
/// itself cannot.
const LOG: &str = "
    CREATE TABLE head (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        lineage TEXT NOT NULL,
        revision INTEGER NOT NULL CHECK (revision >= 0),
        chain TEXT NOT NULL
    ) STRICT;
    CREATE TABLE records (
        revision INTEGER PRIMARY KEY CHECK (revision >= 1),
        chain TEXT NOT NULL,
        request_id TEXT NOT NULL UNIQUE,
        entry TEXT NOT NULL
    ) STRICT;
    CREATE TRIGGER records_come_in_order BEFORE INSERT ON records
        WHEN NEW.revision IS NOT (SELECT revision + 1 FROM head)
        BEGIN SELECT RAISE(ABORT, 'a record comes right after the head'); END;
    CREATE TRIGGER requests_are_never_replaced BEFORE INSERT ON records
        WHEN EXISTS (SELECT 1 FROM records WHERE request_id = NEW.request_id)
        BEGIN SELECT RAISE(ABORT, 'a request leads to one record'); END;
    CREATE TRIGGER records_never_change BEFORE UPDATE ON records
        BEGIN SELECT RAISE(ABORT, 'records are never changed'); END;
    CREATE TRIGGER records_never_go BEFORE DELETE ON records
        BEGIN SELECT RAISE(ABORT, 'records are never deleted'); END;
    CREATE TRIGGER head_never_goes BEFORE DELETE ON head
        BEGIN SELECT RAISE(ABORT, 'the head is never deleted'); END;
";

/// How the head may move in format 1.
const HEAD_OF_FORMAT_1: &str = "
    CREATE TRIGGER head_moves_by_one BEFORE UPDATE ON head
        WHEN NEW.revision IS NOT OLD.revision + 1 OR NEW.lineage IS NOT OLD.lineage
        BEGIN SELECT RAISE(ABORT, 'the head moves one record at a time'); END;
";

/// Format 2 remembers where the history of a restored store came from: a place in a history that is
/// not its own. The head takes a new lineage only where it has just been written down.
const ORIGINS: &str = "
    CREATE TABLE origins (
        number INTEGER PRIMARY KEY CHECK (number >= 1),
        lineage TEXT NOT NULL,
        revision INTEGER NOT NULL CHECK (revision >= 0),
        chain TEXT NOT NULL
    ) STRICT;
    CREATE TRIGGER origins_are_the_head BEFORE INSERT ON origins
        WHEN NEW.number IS NOT (SELECT count(*) + 1 FROM origins)
            OR (NEW.lineage, NEW.revision, NEW.chain)
                IS NOT (SELECT lineage, revision, chain FROM head)
        BEGIN SELECT RAISE(ABORT, 'an origin is where the head was'); END;
    CREATE TRIGGER origins_never_change BEFORE UPDATE ON origins
        BEGIN SELECT RAISE(ABORT, 'origins are never changed'); END;
    CREATE TRIGGER origins_never_go BEFORE DELETE ON origins
        BEGIN SELECT RAISE(ABORT, 'origins are never deleted'); END;
    CREATE TRIGGER head_moves_by_one BEFORE UPDATE ON head
        WHEN NOT (
            (NEW.lineage IS OLD.lineage AND NEW.revision IS OLD.revision + 1)
            OR (NEW.lineage IS NOT OLD.lineage
                AND (NEW.revision, NEW.chain) IS (OLD.revision, OLD.chain)
                AND (OLD.lineage, OLD.revision, OLD.chain) IS (
                    SELECT lineage, revision, chain FROM origins ORDER BY number DESC LIMIT 1)))
        BEGIN SELECT RAISE(ABORT, 'the head moves one record at a time'); END;
";

/// Format 3 keeps what this server saw of changes being enforced: beside the log, and no part of it.
const ENFORCEMENTS: &str = "
    CREATE TABLE enforcements (
        number INTEGER PRIMARY KEY CHECK (number >= 1),
        revision INTEGER NOT NULL CHECK (revision >= 1),
        chain TEXT NOT NULL UNIQUE,
        seen_at TEXT NOT NULL,
        after_us INTEGER NOT NULL CHECK (after_us >= 0),
        counted_from TEXT NOT NULL,
        observer TEXT NOT NULL,
        replicas TEXT NOT NULL
    ) STRICT;
    CREATE TRIGGER enforcements_come_in_order BEFORE INSERT ON enforcements
        WHEN NEW.number IS NOT (SELECT coalesce(max(number), 0) + 1 FROM enforcements)
            OR EXISTS (SELECT 1 FROM enforcements WHERE chain = NEW.chain)
        BEGIN SELECT RAISE(ABORT, 'the first note of a change stays'); END;
    CREATE TRIGGER enforcements_never_change BEFORE UPDATE ON enforcements
        BEGIN SELECT RAISE(ABORT, 'what was seen is never changed'); END;
    CREATE TRIGGER enforcements_never_go BEFORE DELETE ON enforcements
        BEGIN SELECT RAISE(ABORT, 'what was seen is never deleted'); END;
";

/// The tables of a format.
fn tables(format: i64) -> [&'static str; 3] {
    match format {
        1 => [LOG, HEAD_OF_FORMAT_1, ""],
        2 => [LOG, ORIGINS, ""],
        _ => [LOG, ORIGINS, ENFORCEMENTS],
    }
}

/// Makes the tables in an empty file, with the lineage given or a new one.
pub(super) fn create(connection: &Connection, lineage: Option<&Lineage>) -> rusqlite::Result<()> {
    let lineage = lineage.map_or("lower(hex(randomblob(16)))".to_owned(), |it| format!("'{it}'"));
    set_limits(connection)?;
    connection.execute_batch(&format!(
        "PRAGMA synchronous = FULL;
         BEGIN IMMEDIATE;
         PRAGMA application_id = {APPLICATION_ID};
         PRAGMA user_version = {FORMAT};
         {LOG} {ORIGINS} {ENFORCEMENTS}
         INSERT INTO head VALUES (1, {lineage}, 0, '{}');
         COMMIT;",
        crate::domain::ChainHash::ZERO
    ))
}

/// Opens a store file for its one writer. Whether its content is whole is not known yet.
pub(super) fn open_writable(path: &Path) -> Result<Connection, OpenError> {
    if std::fs::metadata(path).is_ok_and(|metadata| metadata.permissions().readonly()) {
        return Err(OpenError::io(path, "write", "the file is read-only"));
    }
    let connection = open(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    let sqlite = |error| OpenError::sqlite(path, "open", error);
    if connection.is_readonly("main").map_err(sqlite)? {
        return Err(OpenError::io(path, "write", "the file is read-only"));
    }
    format_of(&connection, path)?;
    Ok(connection)
}

/// Opens a store file or a copy of one without the means to change it.
pub(super) fn open_to_read(path: &Path) -> Result<Connection, OpenError> {
    let connection = open(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    format_of(&connection, path)?;
    Ok(connection)
}

/// Sets up the writing of a verified file: every commit is on disk when it returns. The writer
/// decides when the log of changes moves into the main file, since an error there must not be lost.
pub(super) fn prepare_to_write(connection: &Connection, path: &Path) -> Result<(), OpenError> {
    let set = || -> rusqlite::Result<(String, i64)> {
        connection.execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0;",
        )?;
        Ok((
            connection.pragma_query_value(None, "journal_mode", |row| row.get(0))?,
            connection.pragma_query_value(None, "synchronous", |row| row.get(0))?,
        ))
    };
    match set().map_err(|error| OpenError::sqlite(path, "set up", error))? {
        (mode, 2) if mode == "wal" => Ok(()),
        (mode, level) => Err(OpenError::io(
            path,
            "set up",
            format!("the file system allows no write-ahead log (`{mode}`, {level})"),
        )),
    }
}

/// Whether tables, triggers and indexes are those of the file's format, to the letter.
pub(super) fn is_intact(connection: &Connection) -> rusqlite::Result<bool> {
    let listing = |connection: &Connection| -> rusqlite::Result<Vec<(String, String)>> {
        connection
            .prepare(
                "SELECT name, coalesce(sql, '') FROM sqlite_schema
                 WHERE name NOT LIKE 'sqlite_stat%' ORDER BY name",
            )?
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect()
    };
    let model = Connection::open_in_memory()?;
    model.execute_batch(&tables(number(connection)?).concat())?;
    Ok(listing(connection)? == listing(&model)?)
}

/// Takes a verified file from each older format to the next, in one transaction: it has the one or
/// the other, whenever the process dies.
pub(super) fn migrate(connection: &Connection, path: &Path) -> Result<(), OpenError> {
    let steps = match format_of(connection, path)? {
        FORMAT => return Ok(()),
        1 => ["DROP TRIGGER head_moves_by_one;", ORIGINS, ENFORCEMENTS],
        _ => [ENFORCEMENTS, "", ""],
    };
    connection
        .execute_batch(&format!(
            "BEGIN IMMEDIATE; {} PRAGMA user_version = {FORMAT}; COMMIT;",
            steps.concat()
        ))
        .map_err(|error| OpenError::sqlite(path, "bring to the newest format", error))?;
    tracing::info!(
        "Brought the store to format {FORMAT}; earlier versions do not read it any more"
    );
    Ok(())
}

/// Whether the file has a list of origins.
pub(super) fn has_origins(connection: &Connection) -> rusqlite::Result<bool> {
    number(connection).map(|format| 1 < format)
}

fn number(connection: &Connection) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

fn open(path: &Path, access: OpenFlags) -> Result<Connection, OpenError> {
    let sqlite = |error| OpenError::sqlite(path, "open", error);
    // No URI and no creation: a name with `?` is a name, and a missing file an error.
    let connection = Connection::open_with_flags(path, access | OpenFlags::SQLITE_OPEN_NO_MUTEX)
        .map_err(sqlite)?;
    set_limits(&connection).map_err(sqlite)?;
    Ok(connection)
}

/// Distrusts the file: nothing in it is run, and cells are checked as pages are read.
fn set_limits(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    connection.execute_batch(
        // A small cache: the log is read once, at the start, and the rules are held compiled.
        "PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON; PRAGMA foreign_keys = ON;
         PRAGMA cache_size = -256;",
    )
}

fn format_of(connection: &Connection, path: &Path) -> Result<i64, OpenError> {
    let number = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let read = |name| number(name).map_err(|error| OpenError::sqlite(path, "read", error));
    if read("application_id")? != APPLICATION_ID {
        return Err(OpenError::no_store(path, "it is a SQLite file of something else"));
    }
    match read("user_version")? {
        found @ 1..=FORMAT => Ok(found),
        found if FORMAT < found => {
            Err(OpenError::LaterFormat { path: path.to_owned(), found, newest: FORMAT })
        }
        _ => Err(OpenError::no_store(path, "its format number is none that ever was")),
    }
}
