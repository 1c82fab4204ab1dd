//! Reads the log of records, and verifies whatever it reads: no record leaves here whose hash does
//! not follow from the one before.
//!
//! Writes nothing. Works the same on the store's own file and on a copy of it.

use crate::audit::{Broken, Chain, Record, RequestId};
use crate::domain::{ChainHash, Lineage, Revision};
use crate::store::{BoxError, Head, Loaded, StoreError};
use rusqlite::{Connection, OptionalExtension, Row, Transaction};

/// Begins to read: what is read in one transaction is said of one instant.
pub(super) fn snapshot(connection: &Connection) -> Result<Transaction<'_>, StoreError> {
    connection.unchecked_transaction().map_err(reading("the file"))
}

/// SQLite's number for what the file holds: another one after a commit of another connection, the
/// same one after a commit of this.
pub(super) fn version(connection: &Connection) -> Result<i64, StoreError> {
    connection
        .pragma_query_value(None, "data_version", |row| row.get(0))
        .map_err(reading("the file"))
}

/// Verifies everything: the file's structure, its tables, every record, and that the log ends where
/// the head says. Returns the state after the last record.
pub(super) fn verify_all(connection: &Connection) -> Result<Loaded, StoreError> {
    let snapshot = snapshot(connection)?;
    let structure = "the structure of the file";
    let verdict: String = snapshot
        .query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))
        .map_err(reading(structure))?;
    if verdict != "ok" {
        return Err(corrupt(structure, verdict));
    }
    if !super::schema::is_intact(&snapshot).map_err(reading("the tables"))? {
        return Err(corrupt("the tables", "tables or triggers are not those of this format"));
    }
    let head = head(&snapshot)?;
    let loaded = fold(&snapshot, head.lineage.clone(), Revision(u64::MAX))?;
    if loaded.head != head {
        let place = format!("revision {}", loaded.head.revision.min(head.revision).next());
        let why = format!(
            "the log ends at revision {} ({}), and the head is at revision {} ({})",
            loaded.head.revision, loaded.head.chain, head.revision, head.chain
        );
        return Err(corrupt(place, why));
    }
    if super::schema::has_origins(&snapshot).map_err(reading("the format"))? {
        super::origin::verify(&snapshot, &head)?;
    }
    Ok(Loaded { rules: loaded.rules.packed(), ..loaded })
}

/// The state after the records up to a revision, or to the end if that comes first.
pub(super) fn fold(
    log: &Transaction<'_>,
    lineage: Lineage,
    up_to: Revision,
) -> Result<Loaded, StoreError> {
    let mut loaded = Loaded::start(lineage);
    each_row(log, Chain::START, up_to.0, |chain, revision, hash, entry| {
        let content = chain.read(revision, hash, entry)?;
        loaded.take(*chain, &content);
        Ok(content.request_id)
    })?;
    Ok(loaded)
}

/// Up to `limit` records after a revision.
pub(super) fn records(
    log: &Transaction<'_>,
    after: Revision,
    limit: usize,
) -> Result<Vec<Record>, StoreError> {
    let mut records = Vec::new();
    let Some(start) = place_in_chain(log, after)? else { return Ok(records) };
    let limit = u64::try_from(limit).unwrap_or(u64::MAX);
    each_row(log, start, after.0.saturating_add(limit), |chain, revision, hash, entry| {
        let record = chain.follow(revision, hash, entry)?;
        let request_id = record.content.request_id.clone();
        records.push(record);
        Ok(request_id)
    })?;
    Ok(records)
}

/// The record that a request led to.
pub(super) fn record_of(
    log: &Transaction<'_>,
    request_id: &RequestId,
) -> Result<Option<Record>, StoreError> {
    let revision: Option<i64> = log
        .prepare_cached("SELECT revision FROM records WHERE request_id = ?1")
        .and_then(|mut select| select.query_row([request_id.as_str()], |row| row.get(0)).optional())
        .map_err(reading("the list of requests"))?;
    let Some(revision) = revision else { return Ok(None) };
    let before = u64::try_from(revision - 1).map_err(|error| corrupt("revision 0", error))?;
    let record = records(log, Revision(before), 1)?.pop();
    match record {
        Some(record) if record.content.request_id == *request_id => Ok(Some(record)),
        _ => Err(corrupt(format!("revision {revision}"), "its request id is not its entry's")),
    }
}

/// Where the log says it ends.
pub(super) fn head(log: &Transaction<'_>) -> Result<Head, StoreError> {
    let read = |row: &Row<'_>| -> rusqlite::Result<(String, i64, String)> {
        Ok((row.get(0)?, row.get(1)?, row.get(2)?))
    };
    let (lineage, revision, chain) = log
        .prepare_cached("SELECT lineage, revision, chain FROM head")
        .and_then(|mut select| select.query_row([], read))
        .map_err(reading("the head"))?;
    let lineage = Lineage::parse(&lineage);
    let chain = ChainHash::parse(&chain);
    match (lineage, u64::try_from(revision), chain) {
        (Some(lineage), Ok(revision), Some(chain)) => {
            Ok(Head { lineage, revision: Revision(revision), chain })
        }
        _ => Err(corrupt("the head", "it holds no lineage, revision and hash")),
    }
}

/// Follows the chain from a place in it, up to and with record `last`; returns where it ended. `pass`
/// moves the chain past a row's number, hash and entry, and returns its request id.
fn each_row(
    log: &Transaction<'_>,
    start: Chain,
    last: u64,
    mut pass: impl FnMut(&mut Chain, Revision, ChainHash, &str) -> Result<RequestId, Broken>,
) -> Result<Chain, StoreError> {
    let mut chain = start;
    let mut select = log
        .prepare_cached(
            "SELECT revision, chain, request_id, entry FROM records
             WHERE ?1 < revision AND revision <= ?2 ORDER BY revision",
        )
        .map_err(reading("the records"))?;
    let bounds = [start.revision.0, last].map(|number| i64::try_from(number).unwrap_or(i64::MAX));
    let mut rows = select.query(bounds).map_err(reading("the records"))?;
    loop {
        let next = format_args!("revision {}", chain.revision.next()).to_string();
        let row = rows.next().map_err(|error| reading(&next)(error))?;
        let Some(row) = row else { return Ok(chain) };
        let mut follow = || -> Result<(), BoxError> {
            let revision = Revision(u64::try_from(row.get::<_, i64>(0)?)?);
            let hash = ChainHash::parse(row.get_ref(1)?.as_str()?)
                .ok_or("its hash is not 64 hex digits")?;
            let request_id = pass(&mut chain, revision, hash, row.get_ref(3)?.as_str()?)?;
            if row.get_ref(2)?.as_str()? != request_id.as_str() {
                return Err("its request id is not its entry's".into());
            }
            Ok(())
        };
        follow().map_err(|error| corrupt(next, error))?;
    }
}

/// The place in the chain after a record; `None` if there is no such record.
fn place_in_chain(log: &Transaction<'_>, revision: Revision) -> Result<Option<Chain>, StoreError> {
    if revision == Revision::ZERO {
        return Ok(Some(Chain::START));
    }
    let Ok(number) = i64::try_from(revision.0) else { return Ok(None) };
    let hash: Option<String> = log
        .prepare_cached("SELECT chain FROM records WHERE revision = ?1")
        .and_then(|mut select| select.query_row([number], |row| row.get(0)).optional())
        .map_err(reading("the records"))?;
    let Some(hash) = hash else { return Ok(None) };
    match ChainHash::parse(&hash) {
        Some(hash) => Ok(Some(Chain { revision, hash })),
        None => Err(corrupt(format!("revision {revision}"), "its hash is not 64 hex digits")),
    }
}

pub(super) fn corrupt(place: impl Into<String>, why: impl Into<BoxError>) -> StoreError {
    StoreError::Corrupt { place: place.into(), source: why.into() }
}

/// What it means that SQLite cannot read something: damage, or a disk that does not answer.
pub(super) fn reading(place: &str) -> impl Fn(rusqlite::Error) -> StoreError + '_ {
    move |error| match error.sqlite_error_code() {
        Some(
            rusqlite::ErrorCode::SystemIoFailure
            | rusqlite::ErrorCode::CannotOpen
            | rusqlite::ErrorCode::OutOfMemory
            | rusqlite::ErrorCode::DatabaseBusy
            | rusqlite::ErrorCode::DatabaseLocked
            | rusqlite::ErrorCode::DiskFull,
        ) => StoreError::Unavailable { doing: "reading records", source: error.into() },
        _ => corrupt(place, error),
    }
}
