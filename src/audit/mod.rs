//! What makes history provable: the record of a change, and the chain through all records.
//!
//! A record's [`entry`] is the text that is hashed, stored and shown to auditors; the [`chain`] ties
//! each entry to all those before it. Over the same entries stands a Merkle [`tree`], which makes proofs
//! short; a [`checkpoint`] is its root, signed with a [`key`]; the [`auditor`] reads a whole log and says
//! which record is not what it was.
//!
//! An entry spells a change as rule files do, so this folder uses `rules` beside `domain`.

mod auditor;
#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]
mod auditor_tests;
mod chain;
mod checkpoint;
pub mod decisions;
mod entry;
mod finding;
mod key;
mod note;
mod record;
mod steps;
mod tree;
#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]
mod tree_tests;

pub use auditor::{Auditor, Compared, Row, Verdict};
pub use chain::{Broken, Chain, Why, verify};
pub use checkpoint::{Checkpoint, InvalidCheckpoint};
pub use entry::{EntryError, Unreadable, Unrecordable};
pub use finding::{Finding, Wrong};
pub use key::{AuditKey, InvalidKey, KeyName, VerifierKey};
pub use note::InvalidNote;
pub use record::{ChangeKind, Proposal, Record, RequestId};
pub use tree::{Frontier, Tree, TreeHash, WrongProof, verify_consistency, verify_inclusion};

#[cfg(test)]
pub(crate) use record::samples;
