//! Compiles a rule set to a snapshot, and decides over it. Pure: no I/O, no clock, no log.

use crate::domain::{CheckRequest, Decision, Revision, RuleSet, Timestamp};

/// The compiled rules of one revision. Immutable.
#[derive(Debug)]
pub struct Snapshot {
    revision: Revision,
}

/// Why a rule set cannot be compiled.
#[derive(Debug, thiserror::Error)]
#[error("rules cannot be compiled: {what}")]
pub struct CompileError {
    /// What is wrong, with the path of the rule.
    pub what: String,
}

impl Snapshot {
    /// Compiles; a rule that cannot be compiled refuses the whole snapshot (R17).
    ///
    /// # Errors
    /// When a rule names what does not exist, or a condition is no CEL.
    pub fn compile(_rules: &RuleSet, revision: Revision) -> Result<Self, CompileError> {
        Ok(Self { revision })
    }

    /// The revision compiled.
    #[must_use]
    pub fn revision(&self) -> Revision {
        self.revision
    }
}

/// Decides. Total and pure.
#[must_use]
pub fn decide(_request: &CheckRequest<'_>, snapshot: &Snapshot, now: Timestamp) -> Decision {
    Decision::because(
        crate::domain::Reason::plain(crate::domain::ReasonCode::RulesUnavailable),
        snapshot.revision,
        now,
    )
}
