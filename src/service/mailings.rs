//! Mailings: two people sign what is sent to whom, and anybody of them stops it.
//!
//! A mailing is a change like any other, except that it changes no rules: the log says who asked for it, who
//! approved just that, and who stopped it. Whoever sends asks here whether it may.
//!
//! Invariants: a mailing may be sent only while an approval of it is the last thing that people decided about
//! it; and through one ledger alone, which is recorded before anybody is written to: what one ledger says of a
//! recipient, no other one knows.

use super::change::{Changed, Requester, room_for_one_more};
use super::record::Step;
use super::{Service, ServiceError};
use crate::audit::{Act, ChangeKind, Digest, NewRecord, Party, Proposed, Record};
use crate::domain::{
    Direction, LedgerId, Mailing, MailingId, Revision, Role, RuleChange, Timestamp,
};
use crate::store::Loaded;
use std::sync::Arc;

/// Which mailing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MailingAsked {
    /// The one that this revision proposed.
    Number(Revision),
    /// The one that waits or was approved under this name.
    Id(MailingId),
}

/// A mailing, and what happened to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedMailing {
    /// Its number.
    pub number: Revision,
    /// What was signed.
    pub mailing: Arc<Mailing>,
    /// Where it stands.
    pub standing: MailingStanding,
    /// Who proposed it.
    pub author: Party,
    /// When.
    pub proposed_at: Timestamp,
    /// What an approval must name, or named.
    pub digest: Option<Digest>,
    /// Why.
    pub reason: String,
    /// The change ticket.
    pub ticket: String,
    /// Through which ledger it was begun, and by which revision, if it was and may be sent.
    pub begun: Option<(LedgerId, Revision)>,
}

/// Where a mailing stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MailingStanding {
    /// It waits for approval.
    Proposed,
    /// Nobody approved it in time.
    Lapsed,
    /// It was decided on: how, by whom, when, and by which revision. It may be sent after [`Act::Approve`].
    Decided(Act, Party, Timestamp, Revision),
}

impl Service {
    /// Proposes a mailing.
    ///
    /// # Errors
    /// When the offer is unknown, when another mailing has the id, and as for [`Service::change`].
    pub async fn propose_mailing(
        self: &Arc<Self>,
        requester: Requester,
        mailing: Mailing,
    ) -> Result<Changed, ServiceError> {
        let asked = format!("propose to send mailing {}", mailing.id);
        let mailing = Arc::new(mailing);
        let build = Box::new(move |before: &Loaded, requester: &Requester, at| {
            proposed(before, requester, at, &mailing).map(Some)
        });
        self.record(requester, Step { asked, about: None, build }).await
    }

    /// Binds an approved mailing to the ledger through which it is sent, before anybody is written to; or
    /// sees that it is bound to that one already. Returns the revision by which it was.
    ///
    /// # Errors
    /// When it is not approved, when it was begun through another ledger, and as for [`Service::change`].
    pub async fn begin_mailing(
        self: &Arc<Self>,
        requester: Requester,
        number: Revision,
        ledger: LedgerId,
    ) -> Result<Revision, ServiceError> {
        let asked = format!("begin to send mailing {number}");
        let known = ledger.clone();
        let build = Box::new(move |before: &Loaded, requester: &Requester, at| {
            begun(before, requester, at, number, &ledger)
        });
        let changed = self.record(requester, Step { asked, about: Some(number), build }).await?;
        if let Some(revised) = &changed.revised {
            return Ok(revised.record.revision);
        }
        // Nothing was to be recorded: it is bound to this ledger.
        let before = self.store.load().await?.waiting;
        match before.begun.get(&number) {
            Some((ledger, revision)) if *ledger == known => Ok(*revision),
            // It was stopped since.
            Some(_) | None => Err(ServiceError::MailingNotApproved { id: number }),
        }
    }

    /// What was signed, by whom, and whether it still holds.
    ///
    /// # Errors
    /// When there is no such mailing, and when the store does not answer.
    pub async fn mailing(&self, asked: MailingAsked) -> Result<SignedMailing, ServiceError> {
        let held = self.needs_rules()?;
        let waiting = &held.waiting;
        let none = |kind, id: String| ServiceError::NotFound { kind, id };
        let number = match &asked {
            MailingAsked::Number(number) => *number,
            MailingAsked::Id(id) => waiting
                .mailing_of(id)
                .ok_or_else(|| none("mailing that waits or is approved", id.to_string()))?,
        };
        let missing = || none("mailing", number.to_string());
        let proposal = self.mailing_record(number).await?.ok_or_else(missing)?;
        let mailing = proposal.content.mailing.clone().ok_or_else(missing)?;
        let standing = match (waiting.proposals.get(&number), waiting.mailings.get(&number)) {
            (Some(it), _) if it.has_lapsed(self.instants_after(held.changed_at).now) => {
                MailingStanding::Lapsed
            }
            (Some(_), _) => MailingStanding::Proposed,
            (None, Some(&(_, revision))) => self.decided(Act::Approve, revision).await?,
            (None, None) => {
                let &(act, revision) = waiting.decided.get(&number).ok_or_else(missing)?;
                // One that was approved, and is not remembered as such any more, is not to be sent.
                if act == Act::Approve {
                    return Err(missing());
                }
                self.decided(act, revision).await?
            }
        };
        let begun = waiting.begun.get(&number).cloned();
        let content = proposal.content;
        Ok(SignedMailing {
            begun,
            number,
            mailing,
            standing,
            author: content.author,
            proposed_at: content.at,
            digest: content.digest,
            reason: content.reason,
            ticket: content.ticket,
        })
    }

    async fn decided(&self, act: Act, revision: Revision) -> Result<MailingStanding, ServiceError> {
        let record = self.mailing_record(revision).await?.ok_or(ServiceError::BrokenOff)?;
        let content = record.content;
        let who = content.approver.unwrap_or(content.author);
        Ok(MailingStanding::Decided(act, who, content.at, revision))
    }

    /// The record of this revision, if it is about a mailing.
    async fn mailing_record(&self, revision: Revision) -> Result<Option<Record>, ServiceError> {
        let Some(before) = revision.0.checked_sub(1) else { return Ok(None) };
        let record = self.store.records(Revision(before), 1).await?.pop();
        Ok(record.filter(|it| it.content.kind == Some(ChangeKind::SendMailing)))
    }
}

fn proposed(
    before: &Loaded,
    requester: &Requester,
    at: Timestamp,
    mailing: &Arc<Mailing>,
) -> Result<NewRecord, ServiceError> {
    requester.needs(Role::Maker)?;
    if !before.rules.offers.contains_key(&mailing.offer) {
        let id = mailing.offer.to_string();
        return Err(ServiceError::NotFound { kind: "offer", id });
    }
    if let Some(taken) = before.waiting.mailing_of(&mailing.id) {
        let has_lapsed = before.waiting.proposals.get(&taken).is_some_and(|it| it.has_lapsed(at));
        if !has_lapsed {
            let id = mailing.id.to_string();
            return Err(ServiceError::Exists { kind: "mailing", id });
        }
    }
    room_for_one_more(before)?;
    let change = RuleChange::default();
    let digest = Proposed {
        base: before.head.revision,
        change: &change,
        kind: ChangeKind::SendMailing,
        lineage: &before.head.lineage,
        mailing: Some(Arc::clone(mailing)),
        reason: &requester.reason,
        starts_now: false,
        ticket: &requester.ticket,
    }
    .digest();
    let (request_id, author) = (requester.request_id.clone(), requester.party());
    Ok(NewRecord {
        act: Act::Propose,
        address: requester.address,
        reason: requester.reason.clone(),
        ticket: requester.ticket.clone(),
        // Something may happen by it that could not before, so it always takes two people.
        direction: Some(Direction::Loosening),
        digest: Some(digest),
        mailing: Some(Arc::clone(mailing)),
        ..NewRecord::made(request_id, ChangeKind::SendMailing, author, at, change)
    })
}

/// The record that binds a mailing to its ledger; `None` if it is bound to that one.
fn begun(
    before: &Loaded,
    requester: &Requester,
    at: Timestamp,
    number: Revision,
    ledger: &LedgerId,
) -> Result<Option<NewRecord>, ServiceError> {
    requester.needs(Role::Caller)?;
    if !before.waiting.mailings.contains_key(&number) {
        return Err(ServiceError::MailingNotApproved { id: number });
    }
    match before.waiting.begun.get(&number) {
        Some((bound, _)) if bound == ledger => return Ok(None),
        Some(&(_, revision)) => return Err(ServiceError::MailingBegun { id: number, revision }),
        None => {}
    }
    let (request_id, kind) = (requester.request_id.clone(), ChangeKind::SendMailing);
    let change = RuleChange::default();
    Ok(Some(NewRecord {
        act: Act::Begin,
        address: requester.address,
        proposal: Some(number),
        ledger: Some(ledger.clone()),
        ..NewRecord::made(request_id, kind, requester.party(), at, change)
    }))
}

/// Whether this requester may stop a mailing that was approved: stopping only tightens, so one person is
/// enough.
pub(super) fn may_stop(requester: &Requester) -> Result<(), ServiceError> {
    requester.needs(Role::Maker).or_else(|_| requester.needs(Role::Checker))
}
