//! Hashes of a chain that are worked out before their turn.
//!
//! A chain has to be followed record after record, and hashing is most of what that takes. But the hash that is
//! *stored* with each record is there from the beginning: whether a record follows from the one that is stored
//! before it can be worked out for all of them at once, on as many cores as there are. Who follows the chain
//! then only compares.
//!
//! Invariant: such a hash is taken for that of a record only if what it was worked out from is what came before.
//! That it is the hash of *that* record is what its maker has to make sure of.

use super::chain::Chain;
use crate::domain::{ChainHash, Revision};

/// The hash of a record, if the one before it has the hash that it was worked out from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ahead {
    /// What it was worked out from.
    pub(super) before: ChainHash,
    /// The hash.
    pub(super) hash: ChainHash,
}

impl Ahead {
    /// That of a record of the change log, should `before` be what comes before it.
    #[must_use]
    pub fn of(before: ChainHash, entry: &[u8]) -> Self {
        let hash = Chain { revision: Revision::ZERO, hash: before }.hash_with(entry);
        Self { before, hash }
    }

    /// Whether it is the one that is stored with the record.
    #[must_use]
    pub fn leads_to(&self, stored: ChainHash) -> bool {
        self.hash == stored
    }

    /// The record's hash after `before`; `compute` works it out anew where nobody did, or from another one.
    pub(super) fn or_compute(
        ahead: Option<Self>,
        before: ChainHash,
        compute: impl FnOnce() -> ChainHash,
    ) -> ChainHash {
        match ahead {
            Some(ahead) if ahead.before == before => ahead.hash,
            _ => compute(),
        }
    }
}
