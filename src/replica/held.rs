//! One revision as it is held: what decides, what people read, its place in history, and its lease.

use super::lease::Lease;
use crate::audit::Waiting;
use crate::decision::{CompileError, Snapshot};
use crate::domain::{Revision, RuleSet, Timestamp, Token};
use crate::store::{Head, Loaded};
use std::sync::Arc;

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
    /// The revision that changed the rules last.
    pub rules_since: Revision,
    /// What waits for people.
    pub waiting: Arc<Waiting>,
    /// When the last of the records that led here was made. No check is decided at an earlier
    /// instant: on a clock that runs behind, a suspension that was acknowledged would not have begun.
    pub changed_at: Option<Timestamp>,
    /// Until when these are known to be all the rules.
    pub lease: Lease,
}

impl Held {
    /// Puts a snapshot beside the rules that it was compiled from. It has no lease yet.
    #[must_use]
    pub fn new(loaded: Loaded, snapshot: Snapshot) -> Self {
        let Loaded { head, rules, rules_since, waiting, changed_at } = loaded;
        let (token, lease) = (head.token().to_string(), Lease::default());
        Self { head, token, rules, snapshot, rules_since, waiting, changed_at, lease }
    }

    /// Holds what comes after this. Rules that no record in between has changed are compiled already.
    ///
    /// # Errors
    /// When the rules do not compile.
    pub fn followed_by(&self, next: Loaded) -> Result<Self, CompileError> {
        let revision = next.head.revision;
        let snapshot = match next.rules_since == self.rules_since {
            true => self.snapshot.at(revision),
            false => Snapshot::compile(&next.rules, revision)?,
        };
        Ok(Self::new(next, snapshot))
    }

    /// The state that is held, to be moved on.
    #[must_use]
    pub fn loaded(&self) -> Loaded {
        Loaded {
            head: self.head.clone(),
            rules: self.rules.clone(),
            rules_since: self.rules_since,
            waiting: Arc::clone(&self.waiting),
            changed_at: self.changed_at,
        }
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
