//! What this server saw of changes taking hold, in the same file as the log and beside it.
//!
//! Invariant: of each change there is one note at most, and the first one stays. A note that does not
//! read is an error, never left out.

use super::log::{corrupt, reading};
use super::trust::{not_committed, not_written};
use crate::domain::{ChainHash, Revision, Timestamp};
use crate::store::{BoxError, CountedFrom, ReplicaName, SeenEnforced, StoreError};
use rusqlite::{Connection, OptionalExtension, Row, TransactionBehavior, params};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A replica, as the column `replicas` lists it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ReplicaForm {
    name: String,
    /// Absent for one whose lease had run out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    after_us: Option<u64>,
}

/// Notes it, if nothing is noted of that change yet; tells whether it did.
pub(super) fn insert(connection: &mut Connection, seen: &SeenEnforced) -> Result<bool, StoreError> {
    const DOING: &str = "noting when a change was enforced";
    let form = |(name, after): &(ReplicaName, Option<Duration>)| ReplicaForm {
        name: name.as_str().to_owned(),
        after_us: after.map(micros),
    };
    let replicas: Vec<ReplicaForm> = seen.replicas.iter().map(form).collect();
    let replicas = serde_json::to_string(&replicas)
        .map_err(|error| StoreError::NotWritten { doing: DOING, source: error.into() })?;
    let transaction = connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(not_written(DOING))?;
    let chain = seen.chain.to_string();
    let is_noted: bool = transaction
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM enforcements WHERE chain = ?1)")
        .and_then(|mut select| select.query_row([&chain], |row| row.get(0)))
        .map_err(not_written(DOING))?;
    if is_noted {
        return Ok(false);
    }
    let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    transaction
        .prepare_cached(
            "INSERT INTO enforcements
             SELECT coalesce(max(number), 0) + 1, ?1, ?2, ?3, ?4, ?5, ?6, ?7 FROM enforcements",
        )
        .and_then(|mut insert| {
            insert.execute(params![
                number(seen.revision.0),
                chain,
                seen.at.to_string(),
                number(micros(seen.after)),
                seen.counted_from.name(),
                seen.observer.as_ref().map_or("", ReplicaName::as_str),
                replicas,
            ])
        })
        .map_err(not_written(DOING))?;
    transaction.commit().map_err(not_committed)?;
    Ok(true)
}

/// What is noted of these changes, in the order of the notes.
pub(super) fn select(
    connection: &Connection,
    changes: &[ChainHash],
) -> Result<Vec<SeenEnforced>, StoreError> {
    const PLACE: &str = "what was noted of enforcement";
    let mut found = Vec::new();
    for chain in changes {
        let row = connection
            .prepare_cached(
                "SELECT number, revision, seen_at, after_us, counted_from, observer, replicas
                 FROM enforcements WHERE chain = ?1",
            )
            .and_then(|mut select| {
                let read = |row: &Row<'_>| Ok(read(row, *chain));
                select.query_row([chain.to_string()], read).optional()
            })
            .map_err(reading(PLACE))?;
        found.extend(row.transpose().map_err(|error| corrupt(PLACE, error))?);
    }
    found.sort_by_key(|(number, _)| *number);
    Ok(found.into_iter().map(|(_, seen)| seen).collect())
}

fn read(row: &Row<'_>, chain: ChainHash) -> Result<(i64, SeenEnforced), BoxError> {
    let name = |text: &str| ReplicaName::parse(text).ok_or("a replica has no name");
    let counted_from: String = row.get(4)?;
    let observer: String = row.get(5)?;
    let replicas: Vec<ReplicaForm> = serde_json::from_str(row.get_ref(6)?.as_str()?)?;
    let replicas = replicas.into_iter().map(|form| {
        Ok::<_, BoxError>((name(&form.name)?, form.after_us.map(Duration::from_micros)))
    });
    let seen = SeenEnforced {
        revision: Revision(u64::try_from(row.get::<_, i64>(1)?)?),
        chain,
        at: row.get_ref(2)?.as_str()?.parse::<Timestamp>()?,
        after: Duration::from_micros(u64::try_from(row.get::<_, i64>(3)?)?),
        counted_from: CountedFrom::ALL
            .into_iter()
            .find(|from| from.name() == counted_from)
            .ok_or("nobody knows what its time is counted from")?,
        observer: (!observer.is_empty()).then(|| name(&observer)).transpose()?,
        replicas: replicas.collect::<Result<_, _>>()?,
    };
    Ok((row.get(0)?, seen))
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
