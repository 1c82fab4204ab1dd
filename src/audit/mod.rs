//! What makes history provable: the record of what happened to a change, and the chain through all
//! records.
//!
//! A [`record`] says who did what; what [`waiting`] holds follows from all of them, and so does what the
//! rules are. A record's [`entry`] is the text that is hashed, stored and shown to auditors; the [`chain`] ties
//! each entry to all those before it. Over the same entries stands a Merkle [`tree`], which makes proofs
//! short; a [`checkpoint`] is its root, signed with a [`key`]; the [`auditor`] reads a whole log and says
//! which record is not what it was, with hashes that others may have worked out [`ahead`].
//!
//! An entry spells a change as rule files do, so this folder uses `rules` beside `domain`.

mod ahead;
mod auditor;
#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]
mod auditor_tests;
mod chain;
mod checkpoint;
pub mod decisions;
mod digest;
mod entry;
#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod entry_tests;
mod finding;
mod key;
mod mailing;
mod note;
mod party;
mod record;
mod steps;
mod tree;
#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]
mod tree_tests;
mod waiting;

pub use ahead::Ahead;
pub use auditor::{Auditor, Compared, Row, Verdict};
pub use chain::{Broken, Chain, Why, verify};
pub use checkpoint::{Checkpoint, InvalidCheckpoint, NotCosigned};
pub use digest::{Digest, Proposed};
pub use entry::{EntryError, Unreadable, Unrecordable};
pub use finding::{Finding, Wrong};
pub use key::{AuditKey, InvalidKey, KeyName, VerifierKey};
pub use note::InvalidNote;
pub use party::Party;
pub use record::{Act, ChangeKind, NewRecord, Record, RefusedRequest, RequestId};
pub use tree::{Frontier, Tree, TreeHash, WrongProof, verify_consistency, verify_inclusion};
pub use waiting::{Emergency, Proposal, Waiting};

#[cfg(test)]
pub(crate) use record::samples;
