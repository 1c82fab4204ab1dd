//! Why a use case could not be carried out. "Not eligible" is an answer and never here.

use super::Refusal;
use crate::audit::Act;
use crate::decision::CompileError;
use crate::domain::{Revision, SuspensionId, Unalterable};
use crate::replica::FollowError;
use crate::rules::{Problem, RuleErrors};
use crate::store::StoreError;
use std::time::Duration;

/// Why a use case could not be carried out. A variant is something a caller can act on.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// A rule file does not read, or makes no sense. Correct it at the places told.
    #[error("rule file cannot be used")]
    Document(#[source] RuleErrors),

    /// The rules would make no sense after the change. Correct the fields told.
    #[error("rules would make no sense after this change")]
    Rules(Vec<Problem>),

    /// The rules would not compile after the change. Correct the rule told.
    #[error("rules would not compile after this change")]
    Compile(#[source] CompileError),

    /// There is no such thing.
    #[error("no {kind} has the id `{id}`")]
    NotFound {
        /// What was looked for.
        kind: &'static str,
        /// Under which id.
        id: String,
    },

    /// The id is taken. Take another, or amend what is there.
    #[error("{kind} `{id}` exists already")]
    Exists {
        /// What was to be made.
        kind: &'static str,
        /// Under which id.
        id: String,
    },

    /// A suspension may not become what was asked for: it has begun, or is over, or would have ended
    /// before it was said. Correct the field told, lift it, or make another.
    #[error("suspension `{id}`: {why}")]
    Unalterable {
        /// The suspension.
        id: SuspensionId,
        /// What stands in the way.
        why: Unalterable,
    },

    /// A revision that is not there yet.
    #[error("revision {asked} is not there yet: the newest is {newest}")]
    RevisionAhead {
        /// What was asked for.
        asked: Revision,
        /// What there is.
        newest: Revision,
    },

    /// More work in one request than a server that also answers checks should take on.
    #[error("{what}: {given} were asked for, and {most} are allowed in one request")]
    TooMuch {
        /// What there is too much of.
        what: &'static str,
        /// How much.
        given: usize,
        /// How much is allowed.
        most: usize,
    },

    /// So many changes are under way that this one would wait for too long. Nothing was written: try
    /// again.
    #[error("{most} changes are under way or waiting, which is as many as are let in")]
    Overloaded {
        /// How many are let in.
        most: usize,
    },

    /// No rules are held, so there is nothing to look at.
    #[error("no rules are loaded")]
    NotLoaded,

    /// The change is stored and not in effect here. Nothing is answered `ELIGIBLE` until it is.
    #[error("revision {revision} is stored, and not yet in effect")]
    NotInEffect {
        /// The revision.
        revision: Revision,
        /// Why not.
        source: FollowError,
    },

    /// The change is not, or not any more, part of the store's history.
    #[error("revision {revision} as it was told is not part of the store's history")]
    Lost {
        /// Its number.
        revision: Revision,
    },

    /// What the caller knows belongs to a history that another one took the place of. Read the rules
    /// anew, and go on from there.
    #[error("revision {revision} as the caller knows it is not part of this history")]
    HistoryChanged {
        /// Its number.
        revision: Revision,
    },

    /// As many wait for changes to be enforced as may. The change is made: ask again.
    #[error("too many wait for changes to be enforced")]
    TooManyWaits,

    /// As many hold permits as may. Nothing was granted: try again when one has ended.
    #[error("too many hold permits")]
    TooManyPermits,

    /// There is nothing to decide: histories agree.
    #[error("the store's history has not forked")]
    NotForked,

    /// No key was set, so nothing can be signed.
    #[error("this server has no key to sign checkpoints with: set `audit_key_file`")]
    NoAuditKey,

    /// The log is long, and not read for proofs yet, as after a start. It is being read: ask again.
    #[error("the log of changes is being read for proofs: {read} of {all} records so far")]
    LogBeingRead {
        /// How many records were read.
        read: Revision,
        /// How many there are.
        all: Revision,
        /// When it may be done.
        retry_after: Duration,
    },

    /// This replica's journal does not hold all that is in effect yet, as after another history has taken the
    /// place of the one in it. It is being written, and nothing else was: try again, or another replica.
    #[error("the journal of this replica is being written: it holds {written} of {all} records")]
    JournalBehind {
        /// How many records it holds.
        written: Revision,
        /// How many there are.
        all: Revision,
    },

    /// Nobody may do this, or not alone, or not any more.
    #[error(transparent)]
    Refused(#[from] Refusal),

    /// Somebody has decided on this change before.
    #[error("change {id} was decided on before: {} by revision {revision}", past(*.act))]
    Decided {
        /// The change.
        id: Revision,
        /// How.
        act: Act,
        /// By which revision.
        revision: Revision,
    },

    /// It waits for approval, so that there is nothing to be enforced. Wait for the approval's revision.
    #[error(
        "change {id} is only proposed: nothing of it is in force before another person approves it"
    )]
    OnlyProposed {
        /// The change.
        id: Revision,
    },

    /// Somebody has edited the proposal since it was read. Read it again.
    #[error("change {id} was edited since it was read: read it again")]
    EditedSince {
        /// The change.
        id: Revision,
    },
    /// A proposal stays what kind of change it is. Withdraw it, and propose the other.
    #[error("change {id} is of the kind {kind}, and stays one")]
    OtherKind {
        /// The change.
        id: Revision,
        /// What it is.
        kind: &'static str,
    },
    /// It was begun elsewhere, and what became of that is in another ledger. Go on there; or stop it, and
    /// propose another one for whoever was not written to.
    #[error(
        "mailing {id} was begun through another ledger, by revision {revision}: go on with that one \
         (`batch resume`). If it is lost, nobody knows who was written to: stop the mailing \
         (`reject {id}`), and have another one approved"
    )]
    MailingBegun {
        /// The mailing.
        id: Revision,
        /// By which revision.
        revision: Revision,
    },

    /// It may not be sent: it waits for approval, or was stopped.
    #[error("mailing {id} is not approved, so that nothing of it may be sent")]
    MailingNotApproved {
        /// The mailing.
        id: Revision,
    },

    /// Decisions are not recorded here.
    #[error("this server records no decisions: set `decision_log`")]
    NoDecisionLog,

    /// The decision log does not read.
    #[error("the decision log cannot be read")]
    DecisionLog(#[source] std::io::Error),

    /// A line of the decision log is none.
    #[error("a line of the decision log does not read: verify it")]
    DecisionLogDamaged,

    /// A decision cannot be decided again.
    #[error("the decision cannot be decided again: {0}")]
    NotReplayed(#[from] super::NotReplayed),

    /// The store said no, or nothing.
    #[error("rule store refused")]
    Store(#[from] StoreError),

    /// A part of this server broke off in the middle. A change may have landed: send it again.
    #[error("work was broken off")]
    BrokenOff,
}

fn past(act: Act) -> &'static str {
    match act {
        Act::Approve => "approved",
        Act::Reject => "rejected",
        Act::Withdraw => "withdrawn",
        Act::Ratify => "ratified",
        Act::Make | Act::Propose | Act::Edit | Act::Emergency | Act::Refuse | Act::Begin => {
            "superseded"
        }
    }
}
