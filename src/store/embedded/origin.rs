//! Where the history of a restored store came from.
//!
//! A store that was restored goes on from an earlier place, and changes that were acknowledged after
//! it are lost. It takes a lineage of its own, so that a token of such a change can never be taken
//! for one that was reached, however high the numbers climb; and it keeps the place where it left the
//! other history, for whoever asks what happened.

use super::log::{corrupt, reading};
use crate::domain::{ChainHash, Lineage, Revision};
use crate::store::{Head, StoreError};
use rusqlite::{Connection, OptionalExtension, Row, Transaction};

/// Gives the store a new lineage at the place where it stands, and writes the old one down.
pub(super) fn begin_new_lineage(connection: &mut Connection) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    transaction.execute_batch(
        "INSERT INTO origins SELECT (SELECT count(*) + 1 FROM origins), lineage, revision, chain
             FROM head;
         UPDATE head SET lineage = lower(hex(randomblob(16)));",
    )?;
    transaction.commit()
}

/// Verifies that every origin is a place in the log, none before the one it came after, and none of
/// the store's own lineage.
pub(super) fn verify(log: &Transaction<'_>, head: &Head) -> Result<(), StoreError> {
    let place = "the list of origins";
    let mut origins = log
        .prepare("SELECT number, lineage, revision, chain FROM origins ORDER BY number")
        .map_err(reading(place))?;
    let mut rows = origins.query([]).map_err(reading(place))?;
    let (mut expected, mut earliest) = (1, Revision::ZERO);
    while let Some(row) = rows.next().map_err(reading(place))? {
        let number: i64 = row.get(0).map_err(reading(place))?;
        let wrong = |why: &str| corrupt(format!("origin {number}"), why);
        let origin = read(row).map_err(reading(place))?;
        let origin = origin.ok_or_else(|| wrong("it holds no lineage, revision and hash"))?;
        if number != expected || origin.revision < earliest || origin.lineage == head.lineage {
            return Err(wrong("it does not follow from the one before"));
        }
        if !is_in(log, &origin).map_err(reading(place))? {
            return Err(wrong("it is no place in the log"));
        }
        (expected, earliest) = (number + 1, origin.revision);
    }
    Ok(())
}

fn read(row: &Row<'_>) -> rusqlite::Result<Option<Head>> {
    let (lineage, chain) = (row.get_ref(1)?.as_str()?, row.get_ref(3)?.as_str()?);
    let revision = u64::try_from(row.get::<_, i64>(2)?).ok().map(Revision);
    Ok((|| {
        let (lineage, chain) = (Lineage::parse(lineage)?, ChainHash::parse(chain)?);
        Some(Head { lineage, revision: revision?, chain })
    })())
}

fn is_in(log: &Transaction<'_>, origin: &Head) -> rusqlite::Result<bool> {
    if origin.revision == Revision::ZERO {
        return Ok(origin.chain == ChainHash::ZERO);
    }
    let revision = i64::try_from(origin.revision.0).unwrap_or(i64::MAX);
    let chain: Option<String> = log
        .query_row("SELECT chain FROM records WHERE revision = ?1", [revision], |row| row.get(0))
        .optional()?;
    Ok(chain == Some(origin.chain.to_string()))
}
