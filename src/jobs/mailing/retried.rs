//! Who was in doubt and is tried again because a person said so.
//!
//! Invariant: somebody who may have been written to is never told as NOT_SENT, whatever keeps the second message
//! from them.

use super::control::unusable;
use crate::jobs::error::JobError;
use crate::ledger::{Fact, Ledger, Place, Tag};
use std::collections::HashSet;
use std::fmt::Write as _;

/// Makes everybody in doubt pending again, and keeps who they are. Tells how many.
///
/// # Errors
/// When the ledger cannot be read or written.
pub fn retry(ledger: &mut dyn Ledger) -> Result<u64, JobError> {
    let mut all = retried(ledger)?;
    all.extend(ledger.doubtful()?);
    let mut sorted: Vec<_> = all.into_iter().collect();
    sorted.sort_unstable();
    let mut text = String::new();
    for Place { block, tag } in sorted {
        // Writing to memory does not fail.
        let _ = writeln!(text, "{block} {tag}");
    }
    ledger.set_fact(Fact::Retried, &text)?;
    Ok(ledger.retry_doubtful()?)
}

/// Everybody who was in doubt once and tried again.
pub(super) fn retried(ledger: &dyn Ledger) -> Result<HashSet<Place>, JobError> {
    let text = ledger.fact(Fact::Retried)?.unwrap_or_default();
    let place = |line: &str| {
        let (block, tag) = line.split_once(' ')?;
        let tag = (tag.len() == 32).then(|| u128::from_str_radix(tag, 16).ok())??;
        Some(Place { block: block.parse().ok()?, tag: Tag(tag.to_be_bytes()) })
    };
    let places = text.lines().map(|line| place(line).ok_or_else(|| unusable(Fact::Retried, &line)));
    places.collect()
}
