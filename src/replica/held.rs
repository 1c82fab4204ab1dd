//! One revision as it is held: what decides, what people read, its place in history, and its lease.

use super::lease::Lease;
use crate::decision::Snapshot;
use crate::domain::{RuleSet, Timestamp, Token};
use crate::store::{Head, Loaded};

/// The rules of one revision, compiled.
#[derive(Debug)]
pub struct Held {
    /// Its place in history.
    pub head: Head,
    /// The place, as answers carry it.
    pub token: String,
    /// The rules as people wrote them.
    pub rules: RuleSet,
    /// The same, as decisions read them.
    pub snapshot: Snapshot,
    /// When the last of the changes that led here was made. No check is decided at an earlier
    /// instant: on a clock that runs behind, a suspension that was acknowledged would not have begun.
    pub changed_at: Option<Timestamp>,
    /// Until when these are known to be all the rules.
    pub lease: Lease,
}

impl Held {
    /// Puts a snapshot beside the rules that it was compiled from. It has no lease yet.
    #[must_use]
    pub fn new(loaded: Loaded, snapshot: Snapshot) -> Self {
        let Loaded { head, rules, changed_at } = loaded;
        let (token, lease) = (head.token().to_string(), Lease::default());
        Self { head, token, rules, snapshot, changed_at, lease }
    }

    /// Whether these rules are at least as new as `token`, in the same history. Within one lineage a
    /// lower revision is always of the same past: whatever goes back gets another lineage.
    #[must_use]
    pub fn reaches(&self, token: &Token) -> bool {
        let head = &self.head;
        let same_past =
            token.revision < head.revision || *token.chain_prefix == *head.chain.prefix();
        token.lineage == head.lineage && token.revision <= head.revision && same_past
    }
}
