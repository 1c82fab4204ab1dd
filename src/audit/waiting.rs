//! What waits for people: proposals that nobody has decided on, and emergencies that nobody has
//! ratified. Folded from the log, like the rules, and so the same wherever the log is.
//!
//! Time passes without a record. So nothing here says that a proposal has lapsed: whoever looks asks
//! [`Proposal::has_lapsed`] with an instant.
//!
//! Invariant: every list here is bounded, and what is dropped from one could not be acted on any more.
//! An emergency is never dropped: it waits until it is ratified.

use super::{Act, ChangeKind, Digest, NewRecord, Party};
use crate::domain::{
    Direction, LedgerId, Mailing, MailingId, Revision, RuleChange, RuleEdit, SuspensionId,
    Timestamp,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// How long a proposal may be approved, from its last edit.
const LAPSES_AFTER: Duration = Duration::from_secs(72 * 3600);

/// How long a proposal that has lapsed is still listed.
const LISTED_AFTER: Duration = Duration::from_secs(7 * 24 * 3600);

/// How long an emergency may go without being ratified before it is overdue.
const RATIFIED_WITHIN: Duration = Duration::from_secs(24 * 3600);

/// How many approved mailings are remembered. One that is dropped may not be sent any more.
const MOST_MAILINGS: usize = 1_000;

/// Of how many that were decided on it is remembered how.
const MOST_DECIDED: usize = 1_000;

/// A change that waits for another person's approval. Its number is that of the revision that proposed
/// it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposal {
    /// What kind of change it is.
    pub kind: ChangeKind,
    /// Which way it goes.
    pub direction: Direction,
    /// Who asked for it.
    pub author: Party,
    /// Who edited it since.
    pub editors: Vec<Party>,
    /// Why.
    pub reason: String,
    /// The change ticket.
    pub ticket: String,
    /// When it was asked for.
    pub proposed_at: Timestamp,
    /// When it was last edited, or else proposed.
    pub edited_at: Timestamp,
    /// The revision that it was last made for.
    pub base: Revision,
    /// What an approval must name.
    pub digest: Digest,
    /// Whether it begins at the instant at which it is approved.
    pub starts_now: bool,
    /// What it would do.
    pub change: Arc<RuleChange>,
    /// The mailing that it would let be sent.
    pub mailing: Option<Arc<Mailing>>,
    /// The first thing it touches that has become another one since, and by which revision.
    pub moved: Option<(String, Revision)>,
}

impl Proposal {
    /// When it lapses.
    #[must_use]
    pub fn lapses_at(&self) -> Timestamp {
        later(self.edited_at, LAPSES_AFTER)
    }

    /// Whether it can be approved no more, for its age.
    #[must_use]
    pub fn has_lapsed(&self, now: Timestamp) -> bool {
        self.lapses_at() <= now
    }

    /// Whether one of those who made it what it is stands behind this party too.
    #[must_use]
    pub fn is_by(&self, party: &Party) -> bool {
        std::iter::once(&self.author).chain(&self.editors).any(|hand| hand.is_same_hand(party))
    }
}

/// A tightening that one person put in force alone, and that nobody has ratified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Emergency {
    /// What kind of change it is.
    pub kind: ChangeKind,
    /// Who did it.
    pub author: Party,
    /// Why.
    pub reason: String,
    /// The change ticket.
    pub ticket: String,
    /// Since when it is in force.
    pub at: Timestamp,
    /// What it does.
    pub change: Arc<RuleChange>,
}

impl Emergency {
    /// Until when it should be ratified. It stays in force if it is not.
    #[must_use]
    pub fn due_at(&self) -> Timestamp {
        Self::due_of(self.at)
    }

    /// The same, of one that begins at `at`.
    #[must_use]
    pub fn due_of(at: Timestamp) -> Timestamp {
        later(at, RATIFIED_WITHIN)
    }

    /// Whether somebody should have ratified it by now.
    #[must_use]
    pub fn is_overdue(&self, now: Timestamp) -> bool {
        self.due_at() <= now
    }
}

/// What waits, as of one revision.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Waiting {
    /// By their numbers.
    pub proposals: BTreeMap<Revision, Proposal>,
    /// By the revisions that they came with.
    pub emergencies: BTreeMap<Revision, Emergency>,
    /// How, and by which revision, the last ones were decided on.
    pub decided: BTreeMap<Revision, (Act, Revision)>,
    /// The last mailings that were approved, and by which revision; those are gone that were stopped.
    pub mailings: BTreeMap<Revision, (Arc<Mailing>, Revision)>,
    /// Through which ledger, and by which revision, those of them were begun that were.
    pub begun: BTreeMap<Revision, (LedgerId, Revision)>,
}

impl Waiting {
    /// What waits after a record.
    pub fn take(&mut self, revision: Revision, content: &NewRecord) {
        match content.act {
            Act::Propose | Act::Edit => self.put(revision, content),
            Act::Approve | Act::Reject | Act::Withdraw | Act::Ratify => {
                if let Some(number) = content.proposal {
                    self.proposals.remove(&number);
                    self.emergencies.remove(&number);
                    self.mailings.remove(&number);
                    if let (Act::Approve, Some(mailing)) = (content.act, &content.mailing) {
                        self.mailings.insert(number, (Arc::clone(mailing), revision));
                    }
                    self.decided.insert(number, (content.act, revision));
                }
            }
            Act::Emergency => self.break_glass(revision, content),
            Act::Begin => {
                if let (Some(number), Some(ledger)) = (content.proposal, &content.ledger) {
                    // The first one counts; whoever writes records sees to it that there is no other.
                    self.begun.entry(number).or_insert_with(|| (ledger.clone(), revision));
                }
            }
            Act::Make | Act::Refuse => {}
        }
        self.move_under(revision, content);
        self.proposals.retain(|_, proposal| content.at < later(proposal.lapses_at(), LISTED_AFTER));
        while MOST_MAILINGS < self.mailings.len() {
            self.mailings.pop_first();
        }
        self.begun.retain(|number, _| self.mailings.contains_key(number));
        while MOST_DECIDED < self.decided.len() {
            self.decided.pop_first();
        }
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.proposals.is_empty() && self.emergencies.is_empty()
    }

    /// The emergency that put a suspension in force, if nobody has ratified it.
    #[must_use]
    pub fn emergency_of(&self, suspension: &SuspensionId) -> Option<&Emergency> {
        let subject = ("suspensions", suspension.as_str());
        let puts = |it: &&Emergency| it.change.edits.iter().any(|edit| edit.subject() == subject);
        self.emergencies.values().find(puts)
    }

    /// The mailing of this name that waits or was approved: its number.
    #[must_use]
    pub fn mailing_of(&self, id: &MailingId) -> Option<Revision> {
        let is_it = |mailing: &Arc<Mailing>| mailing.id == *id;
        let mut waiting = self.proposals.iter();
        let waits = waiting.find(|(_, it)| it.mailing.as_ref().is_some_and(is_it));
        let approved = || self.mailings.iter().find(|(_, (mailing, _))| is_it(mailing));
        waits.map(|(number, _)| *number).or_else(|| approved().map(|(number, _)| *number))
    }

    fn put(&mut self, revision: Revision, content: &NewRecord) {
        let number = content.proposal.unwrap_or(revision);
        let (Some(kind), Some(direction), Some(digest)) =
            (content.kind, content.direction, content.digest)
        else {
            return; // Such an entry does not read.
        };
        let before = self.proposals.remove(&number);
        let (author, mut editors, proposed_at) = match before {
            Some(before) => (before.author, before.editors, before.proposed_at),
            None => (content.author.clone(), Vec::new(), content.at),
        };
        if content.act == Act::Edit && !editors.contains(&content.author) {
            editors.push(content.author.clone());
        }
        let proposal = Proposal {
            kind,
            direction,
            author,
            editors,
            reason: content.reason.clone(),
            ticket: content.ticket.clone(),
            proposed_at,
            edited_at: content.at,
            base: Revision(revision.0.saturating_sub(1)),
            digest,
            starts_now: content.starts_now,
            change: Arc::new(content.change.clone()),
            mailing: content.mailing.clone(),
            moved: None,
        };
        self.proposals.insert(number, proposal);
    }

    fn break_glass(&mut self, revision: Revision, content: &NewRecord) {
        let Some(kind) = content.kind else { return };
        let emergency = Emergency {
            kind,
            author: content.author.clone(),
            reason: content.reason.clone(),
            ticket: content.ticket.clone(),
            at: content.at,
            change: Arc::new(content.change.clone()),
        };
        self.emergencies.insert(revision, emergency);
    }

    /// Remembers of each proposal that what it touches is not what it was.
    fn move_under(&mut self, revision: Revision, content: &NewRecord) {
        let Some(effect) = content.effect() else { return };
        if self.proposals.is_empty() {
            return;
        }
        let changed: BTreeSet<_> = effect.edits.iter().map(RuleEdit::subject).collect();
        for proposal in self.proposals.values_mut().filter(|it| it.moved.is_none()) {
            let mut touched = proposal.change.edits.iter().map(RuleEdit::subject);
            let moved = touched.find(|touched| changed.contains(touched));
            proposal.moved = moved.map(|(section, id)| {
                let what =
                    if id.is_empty() { section.to_owned() } else { format!("{section}/{id}") };
                (what, revision)
            });
        }
    }
}

fn later(instant: Timestamp, by: Duration) -> Timestamp {
    instant.checked_add(by).unwrap_or(Timestamp::MAX)
}
