//! The record of one thing that happened to a change: who, what, why, and its place in the chain.

use super::{Chain, Digest, Party};
use crate::domain::{ChainHash, Direction, LedgerId, Mailing, Revision, RuleChange, Timestamp};
use std::net::IpAddr;
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
    /// A mailing. It changes no rules: it may be sent once it was approved.
    SendMailing,
}

impl ChangeKind {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::ApplyRules,
        Self::CreateSuspension,
        Self::AmendSuspension,
        Self::LiftSuspension,
        Self::CreateExemption,
        Self::HealFork,
        Self::AcceptHistory,
        Self::SendMailing,
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
            Self::SendMailing => "SEND_MAILING",
        }
    }

    /// The kind with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// What happened to a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Act {
    /// It was made, and nobody was asked to approve it: by this service itself, by an operator who
    /// decided between histories, or before changes took two people.
    Make,
    /// Somebody asked for it. It waits for another person, and is not in force.
    Propose,
    /// What waits was changed. It is another proposal from then on, under the same number.
    Edit,
    /// Another person approved it, and it is in force.
    Approve,
    /// Another person turned it down.
    Reject,
    /// Whoever asked for it took it back.
    Withdraw,
    /// One person put it in force in an emergency. It waits for another one to ratify it.
    Emergency,
    /// Another person agreed to an emergency.
    Ratify,
    /// Somebody was refused what they asked for.
    Refuse,
    /// An approved mailing was begun: it is sent through one ledger from then on, and through no other.
    Begin,
}

impl Act {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Make,
        Self::Propose,
        Self::Edit,
        Self::Approve,
        Self::Reject,
        Self::Withdraw,
        Self::Emergency,
        Self::Ratify,
        Self::Refuse,
        Self::Begin,
    ];

    /// The name, as records and RPCs spell it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Make => "MAKE",
            Self::Propose => "PROPOSE",
            Self::Edit => "EDIT",
            Self::Approve => "APPROVE",
            Self::Reject => "REJECT",
            Self::Withdraw => "WITHDRAW",
            Self::Emergency => "EMERGENCY",
            Self::Ratify => "RATIFY",
            Self::Refuse => "REFUSE",
            Self::Begin => "BEGIN",
        }
    }

    /// The act with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|act| act.name() == name)
    }

    /// Whether the change that a record of it holds is in force from it on.
    #[must_use]
    pub fn is_in_force(self) -> bool {
        match self {
            Self::Make | Self::Approve | Self::Emergency => true,
            Self::Propose
            | Self::Edit
            | Self::Reject
            | Self::Withdraw
            | Self::Ratify
            | Self::Refuse
            | Self::Begin => false,
        }
    }
}

/// What was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedRequest {
    /// The reason's stable name, such as `SELF_APPROVAL`.
    pub code: String,
    /// What was asked, in one line.
    pub asked: String,
    /// How many refusals before this one were not written singly, since there were too many.
    pub unwritten: u64,
}

/// Something that happened, before it has a revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRecord {
    /// The caller's name for this attempt.
    pub request_id: RequestId,
    /// What happened.
    pub act: Act,
    /// What kind of change it is about; `None` for a refusal.
    pub kind: Option<ChangeKind>,
    /// Who asked for the change; in an edit, a rejection, a withdrawal and a refusal, who did that.
    pub author: Party,
    /// Who approved or ratified it, where a second person did.
    pub approver: Option<Party>,
    /// Where the call came from, where that is known.
    pub address: Option<IpAddr>,
    /// Why.
    pub reason: String,
    /// The change ticket; may be empty for a whole rule file.
    pub ticket: String,
    /// When it was asked for.
    pub at: Timestamp,
    /// Which way the change goes, from the rules before it.
    pub direction: Option<Direction>,
    /// The proposal or the emergency that it is about, by the revision that it came with.
    pub proposal: Option<Revision>,
    /// Of what is proposed, or of what was approved.
    pub digest: Option<Digest>,
    /// Whether what is proposed begins at the instant at which it is approved.
    pub starts_now: bool,
    /// What it does, or would do; which of both, [`Act::is_in_force`] says.
    pub change: RuleChange,
    /// What was refused, in a refusal.
    pub refused: Option<RefusedRequest>,
    /// The mailing that is proposed, or was approved.
    pub mailing: Option<Arc<Mailing>>,
    /// The ledger through which a mailing was begun.
    pub ledger: Option<LedgerId>,
}

impl NewRecord {
    /// A change that is made without anybody's approval.
    #[must_use]
    pub fn made(
        request_id: RequestId,
        kind: ChangeKind,
        author: Party,
        at: Timestamp,
        change: RuleChange,
    ) -> Self {
        Self {
            request_id,
            act: Act::Make,
            kind: Some(kind),
            author,
            approver: None,
            address: None,
            reason: String::new(),
            ticket: String::new(),
            at,
            direction: None,
            proposal: None,
            digest: None,
            starts_now: false,
            change,
            refused: None,
            mailing: None,
            ledger: None,
        }
    }

    /// What it does to the rules; nothing while it only waits.
    #[must_use]
    pub fn effect(&self) -> Option<&RuleChange> {
        (self.act.is_in_force() && !self.change.is_empty()).then_some(&self.change)
    }

    /// Whether both ask for the same. When and from where they ask is no part of it, so that a retry
    /// which reads the clock again is still a retry; nor what follows from what the rules were then.
    #[must_use]
    pub fn asks_the_same_as(&self, other: &Self) -> bool {
        let Self { request_id, act, kind, author, approver, reason, ticket, .. } = self;
        let Self { proposal, starts_now, change, refused, mailing, ledger, .. } = self;
        // What is proposed gets its digest from where it is proposed; who approves sends one.
        let sends_digest = !matches!(act, Act::Propose | Act::Edit);
        let of = |approver: &Option<Party>| approver.as_ref().map(|party| party.id.clone());
        *request_id == other.request_id
            && *act == other.act
            && *kind == other.kind
            && author.id == other.author.id
            && of(approver) == of(&other.approver)
            && *reason == other.reason
            && *ticket == other.ticket
            && *proposal == other.proposal
            && *starts_now == other.starts_now
            && *change == other.change
            && *refused == other.refused
            && *mailing == other.mailing
            && *ledger == other.ledger
            && (!sends_digest || self.digest == other.digest)
    }
}

/// Something that happened: written in the same atomic step as its effect, and never altered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The revision that it led to.
    pub revision: Revision,
    /// The chain hash at that revision: over the one before, and everything below.
    pub chain: ChainHash,
    /// What happened, with who and why.
    pub content: NewRecord,
    /// The exact text that was hashed and stored.
    pub entry: Arc<str>,
}

impl Record {
    /// Its place in the chain.
    #[must_use]
    pub fn place(&self) -> Chain {
        Chain { revision: self.revision, hash: self.chain }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
pub(crate) mod samples {
    use super::*;
    use crate::domain::{RuleEdit, Vendor, VendorId};

    /// What adds the vendor `vendor-NUMBER`.
    pub(crate) fn content(number: u64) -> NewRecord {
        let vendor = Vendor {
            id: VendorId::parse(&format!("vendor-{number}")).unwrap(),
            name: format!("Vendor {number}"),
            country: None,
            aliases: vec![],
            former_names: vec![],
            parents: vec![],
        };
        let request_id = RequestId::parse(&format!("request-{number}")).unwrap();
        let at = format!("2017-12-02T00:00:{number:02}Z").parse().unwrap();
        let change = RuleChange { edits: vec![RuleEdit::PutVendor(Arc::new(vendor))] };
        NewRecord {
            reason: "because".into(),
            ticket: "CHG-1".into(),
            ..NewRecord::made(
                request_id,
                ChangeKind::ApplyRules,
                Party::unverified("ann"),
                at,
                change,
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::samples::content;
    use super::*;

    #[test]
    fn a_retry_at_a_later_time_asks_the_same_and_any_other_difference_does_not() {
        let first = content(1);
        assert!(NewRecord { at: content(2).at, ..first.clone() }.asks_the_same_as(&first));
        for other in [
            NewRecord { request_id: content(2).request_id, ..first.clone() },
            NewRecord { kind: Some(ChangeKind::LiftSuspension), ..first.clone() },
            NewRecord { act: Act::Propose, ..first.clone() },
            NewRecord { proposal: Some(Revision(3)), ..first.clone() },
            NewRecord { author: Party::unverified("bob"), ..first.clone() },
            NewRecord { approver: Some(Party::unverified("bob")), ..first.clone() },
            NewRecord { reason: String::new(), ..first.clone() },
            NewRecord { ticket: String::new(), ..first.clone() },
            NewRecord { change: content(2).change, ..first.clone() },
        ] {
            assert!(!other.asks_the_same_as(&first), "{other:?}");
        }
    }
}
