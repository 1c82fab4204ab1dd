//! The record of one change: who, what, why, and its place in the chain.

use crate::domain::{ChainHash, Revision, RuleChange, Timestamp};
use std::sync::Arc;

/// A caller's name for one attempt to change something, so that a retry is recognised: 1 to 128
/// printable ASCII characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(Arc<str>); // INVARIANT: 1 to 128 printable ASCII characters, no space.

impl RequestId {
    /// The only way in.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let printable =
            (1..=128).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
        printable.then(|| Self(text.into()))
    }

    /// The id as the caller wrote it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What kind of change a record is about, for people who read the history.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ChangeKind {
    /// A whole rule file was applied.
    ApplyRules,
    /// A suspension was created.
    CreateSuspension,
    /// A suspension was changed.
    AmendSuspension,
    /// A suspension was ended.
    LiftSuspension,
    /// An exemption was created.
    CreateExemption,
    /// A suspension that the store had lost was proposed again by a replica that holds it.
    HealFork,
    /// People decided that the store's history goes on as it is, after histories had disagreed.
    AcceptHistory,
}

impl ChangeKind {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::ApplyRules,
        Self::CreateSuspension,
        Self::AmendSuspension,
        Self::LiftSuspension,
        Self::CreateExemption,
        Self::HealFork,
        Self::AcceptHistory,
    ];

    /// The name, as records and RPCs spell it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::ApplyRules => "APPLY_RULES",
            Self::CreateSuspension => "CREATE_SUSPENSION",
            Self::AmendSuspension => "AMEND_SUSPENSION",
            Self::LiftSuspension => "LIFT_SUSPENSION",
            Self::CreateExemption => "CREATE_EXEMPTION",
            Self::HealFork => "HEAL_FORK",
            Self::AcceptHistory => "ACCEPT_HISTORY",
        }
    }

    /// The kind with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// A change that somebody wants made, before it has a revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposal {
    /// The caller's name for this attempt.
    pub request_id: RequestId,
    /// What kind of change it is.
    pub kind: ChangeKind,
    /// Who asks.
    pub author: String,
    /// Who approved, where a second person did.
    pub approver: Option<String>,
    /// Why.
    pub reason: String,
    /// The change ticket; may be empty for a whole rule file.
    pub ticket: String,
    /// When it was asked for.
    pub at: Timestamp,
    /// What it does. Never empty.
    pub change: RuleChange,
}

impl Proposal {
    /// Whether both ask for the same. When they ask is no part of it, so that a retry which reads
    /// the clock again is still a retry.
    #[must_use]
    pub fn asks_the_same_as(&self, other: &Self) -> bool {
        let Self { request_id, kind, author, approver, reason, ticket, at: _, change } = self;
        *request_id == other.request_id
            && *kind == other.kind
            && *author == other.author
            && *approver == other.approver
            && *reason == other.reason
            && *ticket == other.ticket
            && *change == other.change
    }
}

/// A change that was made: written in the same atomic step as its effect, and never altered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The revision that the change led to.
    pub revision: Revision,
    /// The chain hash at that revision: over the one before, and everything below.
    pub chain: ChainHash,
    /// The change itself, with who and why.
    pub proposal: Proposal,
    /// The exact text that was hashed and stored.
    pub entry: Arc<str>,
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
pub(crate) mod samples {
    use super::*;
    use crate::domain::{RuleEdit, Vendor, VendorId};

    /// A proposal that adds the vendor `vendor-NUMBER`.
    pub(crate) fn proposal(number: u64) -> Proposal {
        let vendor = Vendor {
            id: VendorId::parse(&format!("vendor-{number}")).unwrap(),
            name: format!("Vendor {number}"),
            country: None,
            aliases: vec![],
            former_names: vec![],
            parents: vec![],
        };
        Proposal {
            request_id: RequestId::parse(&format!("request-{number}")).unwrap(),
            kind: ChangeKind::ApplyRules,
            author: "ann".into(),
            approver: None,
            reason: "because".into(),
            ticket: "CHG-1".into(),
            at: format!("2017-12-02T00:00:{number:02}Z").parse().unwrap(),
            change: RuleChange { edits: vec![RuleEdit::PutVendor(Arc::new(vendor))] },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::samples::proposal;
    use super::*;

    #[test]
    fn a_retry_at_a_later_time_asks_the_same_and_any_other_difference_does_not() {
        let first = proposal(1);
        assert!(Proposal { at: proposal(2).at, ..first.clone() }.asks_the_same_as(&first));
        for other in [
            Proposal { request_id: proposal(2).request_id, ..first.clone() },
            Proposal { kind: ChangeKind::LiftSuspension, ..first.clone() },
            Proposal { author: "bob".into(), ..first.clone() },
            Proposal { approver: Some("bob".into()), ..first.clone() },
            Proposal { reason: String::new(), ..first.clone() },
            Proposal { ticket: String::new(), ..first.clone() },
            Proposal { change: proposal(2).change, ..first.clone() },
        ] {
            assert!(!other.asks_the_same_as(&first), "{other:?}");
        }
    }
}
