//! What makes history provable: the record of a change, and the chain through all records.
//!
//! A record's [`entry`] is the text that is hashed, stored and shown to auditors; the [`chain`] ties
//! each entry to all those before it. Proofs and signatures over the same entries come on top.
//!
//! An entry spells a change as rule files do, so this folder uses `rules` beside `domain`.

mod chain;
mod entry;
mod record;
mod steps;

pub use chain::{Broken, Chain, Why, verify};
pub use entry::{EntryError, Unreadable, Unrecordable};
pub use record::{ChangeKind, Proposal, Record, RequestId};

#[cfg(test)]
pub(crate) use record::samples;
