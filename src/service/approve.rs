//! Decides on what waits: approves, rejects, withdraws, edits and ratifies.
//!
//! Invariant: a change takes effect only by the approval of a hand that neither asked for nor edited it,
//! of just what that hand was shown, and over just the rules that it was made for. It begins at the
//! approval, never before it.

use super::change::{Changed, Requester, compile};
use super::documents::{RuleFile, application};
use super::record::Step;
use super::suspend::{amendment, creation, permission};
use super::{Refusal, Service, ServiceError};
use crate::audit::{Act, ChangeKind, Digest, NewRecord, Proposal, Proposed};
use crate::decision::direction;
use crate::domain::{
    Exemption, PrincipalKind, Revision, Role, RuleChange, RuleEdit, Suspension, Timestamp,
};
use crate::rules;
use crate::store::Loaded;
use std::sync::Arc;

impl Service {
    /// Puts a proposal in force, if it is still what `digest` says.
    ///
    /// # Errors
    /// As [`Refusal`] lists them; when there is no such proposal; and as for [`Service::change`].
    pub async fn approve(
        self: &Arc<Self>,
        requester: Requester,
        id: Revision,
        digest: Digest,
    ) -> Result<Changed, ServiceError> {
        let build = move |before: &Loaded, requester: &Requester, at| {
            approved(before, requester, at, id, digest).map(Some)
        };
        self.decide_on(requester, id, "approve", build).await
    }

    /// Turns a proposal down, or takes it back, if the requester asked for it; stops a mailing that was
    /// approved.
    ///
    /// # Errors
    /// When there is no such proposal, and as for [`Service::change`].
    pub async fn reject(
        self: &Arc<Self>,
        requester: Requester,
        id: Revision,
    ) -> Result<Changed, ServiceError> {
        let build = move |before: &Loaded, requester: &Requester, at| {
            if before.waiting.mailings.contains_key(&id) {
                return stopped(requester, at, id).map(Some);
            }
            let proposal = proposal(before, id)?;
            let is_own = proposal.author.is_same_hand(&requester.party());
            if !is_own {
                requester.needs(Role::Checker)?;
            }
            let author = requester.party();
            Ok(Some(NewRecord {
                act: if is_own { Act::Withdraw } else { Act::Reject },
                address: requester.address,
                reason: requester.reason.clone(),
                ticket: proposal.ticket.clone(),
                proposal: Some(id),
                ..nothing(requester, proposal.kind, author, at)
            }))
        };
        self.decide_on(requester, id, "reject", build).await
    }

    /// Makes another change of a proposal, under the same number. It waits anew, and whoever edits it
    /// approves it no more.
    ///
    /// # Errors
    /// When there is no such proposal, when it is not what `read` says any more, and as for
    /// [`Service::change`].
    pub async fn edit(
        self: &Arc<Self>,
        requester: Requester,
        id: Revision,
        edited: Edited,
        read: Option<Digest>,
    ) -> Result<Changed, ServiceError> {
        let kind = self.needs_rules()?.waiting.proposals.get(&id).map(|proposal| proposal.kind);
        let change = match edited {
            Edited::Suspension(suspension, _) if kind == Some(ChangeKind::AmendSuspension) => {
                amendment(suspension)
            }
            Edited::Suspension(suspension, starts_now) => creation(suspension, starts_now),
            Edited::Exemption(exemption, starts_now) => permission(exemption, starts_now),
            Edited::Document(file) => application(Arc::new(file.read().await?)),
        };
        let build = move |before: &Loaded, requester: &Requester, at| {
            let proposal = proposal(before, id)?;
            if proposal.kind != change.kind {
                return Err(ServiceError::OtherKind { id, kind: proposal.kind.name() });
            }
            if read.is_some_and(|read| read != proposal.digest) {
                return Err(ServiceError::EditedSince { id });
            }
            change.proposed(before, requester, at, Some(id))
        };
        self.decide_on(requester, id, "edit", build).await
    }

    /// Agrees to an emergency.
    ///
    /// # Errors
    /// As [`Refusal`] lists them; when there is no such emergency; and as for [`Service::change`].
    pub async fn ratify(
        self: &Arc<Self>,
        requester: Requester,
        id: Revision,
    ) -> Result<Changed, ServiceError> {
        let build = move |before: &Loaded, requester: &Requester, at| {
            let emergency = before.waiting.emergencies.get(&id);
            let emergency = emergency.ok_or_else(|| gone(before, id, "emergency that waits"))?;
            may_decide(requester)?;
            if emergency.author.is_same_hand(&requester.party()) {
                return Err(Refusal::SelfApproval { id }.into());
            }
            Ok(Some(NewRecord {
                act: Act::Ratify,
                address: requester.address,
                approver: Some(requester.party()),
                reason: requester.reason.clone(),
                ticket: emergency.ticket.clone(),
                proposal: Some(id),
                ..nothing(requester, emergency.kind, emergency.author.clone(), at)
            }))
        };
        self.decide_on(requester, id, "ratify", build).await
    }

    async fn decide_on(
        self: &Arc<Self>,
        requester: Requester,
        id: Revision,
        verb: &str,
        build: impl Fn(&Loaded, &Requester, Timestamp) -> Result<Option<NewRecord>, ServiceError>
        + Send
        + Sync
        + 'static,
    ) -> Result<Changed, ServiceError> {
        let (asked, build) = (format!("{verb} change {id}"), Box::new(build));
        self.record(requester, Step { asked, about: Some(id), build }).await
    }
}

/// What a proposal shall be, and whether that begins when it is approved.
#[derive(Debug)]
pub enum Edited {
    /// The suspension to create, or the new state of the one to amend.
    Suspension(Suspension, bool),
    /// The exemption to create.
    Exemption(Exemption, bool),
    /// The rule file to apply.
    Document(RuleFile),
}

/// The record that takes back the approval of a mailing.
fn stopped(requester: &Requester, at: Timestamp, id: Revision) -> Result<NewRecord, ServiceError> {
    super::mailings::may_stop(requester)?;
    Ok(NewRecord {
        act: Act::Withdraw,
        address: requester.address,
        reason: requester.reason.clone(),
        proposal: Some(id),
        ..nothing(requester, ChangeKind::SendMailing, requester.party(), at)
    })
}

/// The record that puts a proposal in force.
fn approved(
    before: &Loaded,
    requester: &Requester,
    at: Timestamp,
    id: Revision,
    digest: Digest,
) -> Result<NewRecord, ServiceError> {
    let proposal = proposal(before, id)?;
    may_decide(requester)?;
    if proposal.is_by(&requester.party()) {
        return Err(Refusal::SelfApproval { id }.into());
    }
    if proposal.has_lapsed(at) {
        return Err(Refusal::ProposalLapsed { id, since: proposal.lapses_at() }.into());
    }
    if proposal.digest != digest {
        let why = "it was edited since: read it again".to_owned();
        return Err(Refusal::ApprovalVoid { id, why }.into());
    }
    let change =
        still_good(before, proposal, at).map_err(|why| Refusal::ApprovalVoid { id, why })?;
    let direction = direction(&before.rules, &before.rules.after(&change));
    Ok(NewRecord {
        act: Act::Approve,
        address: requester.address,
        approver: Some(requester.party()),
        reason: proposal.reason.clone(),
        ticket: proposal.ticket.clone(),
        direction: Some(direction),
        proposal: Some(id),
        digest: Some(digest),
        starts_now: proposal.starts_now,
        change,
        mailing: proposal.mailing.clone(),
        ..nothing(requester, proposal.kind, proposal.author.clone(), at)
    })
}

/// Why a proposal cannot be approved as it is at `at`; `None` if it can.
pub(super) fn why_void(now: &Loaded, proposal: &Proposal, at: Timestamp) -> Option<String> {
    match still_good(now, proposal, at) {
        Err(why) => Some(why),
        Ok(change) => {
            let compiled = compile(&now.rules.after(&change), now.head.revision.next());
            compiled.err().map(|error| told(&error))
        }
    }
}

/// The refusal to approve what would make no sense any more.
pub(super) fn void(id: Revision, error: &ServiceError) -> ServiceError {
    Refusal::ApprovalVoid { id, why: told(error) }.into()
}

/// What a proposal does if it is approved at `at`, if the rules are still those that it was made for; else
/// what has moved. Whether the rules make sense with it, whoever writes it finds out.
fn still_good(before: &Loaded, proposal: &Proposal, at: Timestamp) -> Result<RuleChange, String> {
    let here = Proposed {
        base: proposal.base,
        change: &proposal.change,
        kind: proposal.kind,
        lineage: &before.head.lineage,
        mailing: proposal.mailing.clone(),
        reason: &proposal.reason,
        starts_now: proposal.starts_now,
        ticket: &proposal.ticket,
    };
    if here.digest() != proposal.digest {
        return Err("it was proposed in another history than this one: propose it anew".to_owned());
    }
    if let Some((what, revision)) = &proposal.moved {
        return Err(format!("revision {revision} has changed `{what}` since it was made: edit it"));
    }
    let change = dated(proposal, at);
    let problems = rules::check_change(&before.rules, &change, at);
    if !problems.is_empty() {
        return Err(told(&ServiceError::Rules(problems)));
    }
    Ok(change)
}

/// The change as of its approval: what starts now starts then, and a lift counts from then.
fn dated(proposal: &Proposal, at: Timestamp) -> RuleChange {
    let lifts = proposal.kind == ChangeKind::LiftSuspension;
    let date = |edit: &RuleEdit| match edit {
        RuleEdit::PutSuspension(found) if lifts => RuleEdit::PutSuspension(Arc::new(Suspension {
            lifted_at: Some(at),
            ..(**found).clone()
        })),
        RuleEdit::PutSuspension(found) if proposal.starts_now => {
            RuleEdit::PutSuspension(Arc::new(Suspension { from: at, ..(**found).clone() }))
        }
        RuleEdit::PutExemption(found) if proposal.starts_now => {
            RuleEdit::PutExemption(Arc::new(Exemption { from: at, ..(**found).clone() }))
        }
        other => other.clone(),
    };
    RuleChange { edits: proposal.change.edits.iter().map(date).collect() }
}

/// Whether the requester may say yes to anything at all.
fn may_decide(requester: &Requester) -> Result<(), ServiceError> {
    requester.needs(Role::Checker)?;
    let author = &requester.author;
    if author.kind == PrincipalKind::Service && author.owner.is_none() {
        // Nobody could say whose hand it is.
        let what = "approving, by an account that no person answers for,";
        return Err(Refusal::NotAPerson { what }.into());
    }
    Ok(())
}

fn proposal(before: &Loaded, id: Revision) -> Result<&Proposal, ServiceError> {
    before.waiting.proposals.get(&id).ok_or_else(|| gone(before, id, "change that waits"))
}

/// Why nothing of this number waits.
fn gone(before: &Loaded, id: Revision, kind: &'static str) -> ServiceError {
    match before.waiting.decided.get(&id) {
        Some(&(act, revision)) => ServiceError::Decided { id, act, revision },
        None => ServiceError::NotFound { kind, id: id.to_string() },
    }
}

/// A record without a change.
fn nothing(
    requester: &Requester,
    kind: ChangeKind,
    author: crate::audit::Party,
    at: Timestamp,
) -> NewRecord {
    NewRecord::made(requester.request_id.clone(), kind, author, at, RuleChange::default())
}

/// An error in one line: what stands in the way.
fn told(error: &ServiceError) -> String {
    match error {
        ServiceError::Rules(problems) => {
            let lines = problems.iter().map(|it| format!("{}: {}", it.path, it.message));
            lines.take(3).collect::<Vec<_>>().join("; ")
        }
        ServiceError::Compile(cause) => cause.to_string(),
        other => other.to_string(),
    }
}
