//! Writes changes that take two people as messages: those that wait, and those that were decided on.

use super::rules::{lines, subject};
use crate::domain::{Direction, Revision, RuleEdit, Timestamp};
use crate::service::{Act, ChangeKind, Changed, Emergency, Proposal, Service, Shown, Standing};
use crate::wire::mailing::write_mailing;
use crate::wire::suspension::{write_exemption, write_suspension};
use crate::wire::{proto, time};

/// What waits after a request, if anything does, with what it would do; `with_lines` where the answer does
/// not say that elsewhere.
pub(super) async fn waits(
    service: &Service,
    changed: &Changed,
    with_lines: bool,
) -> Option<proto::ProposedChange> {
    let (id, proposal) = changed.proposal.as_ref()?;
    let mut written = write_proposal(*id, proposal, service.now());
    // It waits, whatever stands in the way of telling what it would do.
    if let Ok((plan, touched)) = service.effect_of(changed, proposal).await {
        written.lines = if with_lines { lines(&plan.differences) } else { Vec::new() };
        written.offers_changed = touched as u64;
    }
    Some(written)
}

pub(super) fn write_proposal(
    id: Revision,
    proposal: &Proposal,
    now: Timestamp,
) -> proto::ProposedChange {
    use proto::ChangeState::{Lapsed, Proposed};
    let state = if proposal.has_lapsed(now) { Lapsed } else { Proposed };
    let moved = proposal.moved.as_ref();
    proto::ProposedChange {
        id: id.0,
        state: state.into(),
        kind: kind(Some(proposal.kind)).into(),
        direction: direction(Some(proposal.direction)).into(),
        author: proposal.author.name.to_string(),
        editors: proposal.editors.iter().map(|editor| editor.name.to_string()).collect(),
        reason: proposal.reason.clone(),
        ticket: proposal.ticket.clone(),
        create_time: Some(time::write(proposal.proposed_at)),
        edit_time: Some(time::write(proposal.edited_at)),
        due_time: Some(time::write(proposal.lapses_at())),
        base_revision: proposal.base.0,
        digest: proposal.digest.to_string(),
        subjects: proposal.change.edits.iter().map(subject).collect(),
        mailing: proposal.mailing.as_deref().map(write_mailing),
        void_because: moved.map_or_else(String::new, |(what, revision)| {
            format!("revision {revision} has changed `{what}` since it was made")
        }),
        ..<_>::default()
    }
}

pub(super) fn write_emergency(id: Revision, emergency: &Emergency) -> proto::ProposedChange {
    proto::ProposedChange {
        id: id.0,
        state: proto::ChangeState::Unratified.into(),
        kind: kind(Some(emergency.kind)).into(),
        direction: proto::Direction::Tightening.into(),
        author: emergency.author.name.to_string(),
        reason: emergency.reason.clone(),
        ticket: emergency.ticket.clone(),
        create_time: Some(time::write(emergency.at)),
        edit_time: Some(time::write(emergency.at)),
        due_time: Some(time::write(emergency.due_at())),
        base_revision: id.0.saturating_sub(1),
        subjects: emergency.change.edits.iter().map(subject).collect(),
        ..<_>::default()
    }
}

pub(super) fn write_shown(shown: &Shown, now: Timestamp) -> proto::ProposedChange {
    let mut written = match &shown.standing {
        Standing::Proposed(proposal) => write_proposal(shown.id, proposal, now),
        Standing::Unratified(emergency) => write_emergency(shown.id, emergency),
        Standing::Decided(act, revision, record) => {
            use proto::ChangeState::{Approved, Ratified, Rejected, Unspecified, Withdrawn};
            let state = match act {
                Act::Approve => Approved,
                Act::Reject => Rejected,
                Act::Withdraw => Withdrawn,
                Act::Ratify => Ratified,
                Act::Make
                | Act::Propose
                | Act::Edit
                | Act::Emergency
                | Act::Refuse
                | Act::Begin => Unspecified,
            };
            let content = &record.content;
            proto::ProposedChange {
                id: shown.id.0,
                state: state.into(),
                kind: kind(content.kind).into(),
                direction: direction(content.direction).into(),
                author: content.author.name.to_string(),
                reason: content.reason.clone(),
                ticket: content.ticket.clone(),
                create_time: Some(time::write(content.at)),
                edit_time: Some(time::write(content.at)),
                base_revision: record.revision.0.saturating_sub(1),
                digest: content.digest.map(|digest| digest.to_string()).unwrap_or_default(),
                subjects: content.change.edits.iter().map(subject).collect(),
                mailing: content.mailing.as_deref().map(write_mailing),
                decided_revision: revision.0,
                ..<_>::default()
            }
        }
    };
    written.lines = lines(&shown.plan.differences);
    written.offers_changed = shown.offers_changed as u64;
    if let Some(why) = &shown.void_because {
        written.void_because.clone_from(why);
    }
    written
}

/// The suspension or exemption that a proposal is about, as it would be.
pub(super) fn write_thing(
    shown: &Shown,
    now: Timestamp,
) -> (Option<proto::Suspension>, Option<proto::Exemption>) {
    let Standing::Proposed(proposal) = &shown.standing else { return (None, None) };
    match (proposal.kind, proposal.change.edits.as_slice()) {
        (
            ChangeKind::CreateSuspension | ChangeKind::AmendSuspension,
            [RuleEdit::PutSuspension(found)],
        ) => (Some(as_proposed(write_suspension(found, now), proposal)), None),
        (ChangeKind::CreateExemption, [RuleEdit::PutExemption(found)]) => {
            let written = write_exemption(found);
            let from_time = written.from_time.filter(|_| !proposal.starts_now);
            (None, Some(proto::Exemption { from_time, ..written }))
        }
        _ => (None, None),
    }
}

/// A suspension as it is only proposed: not in force, whatever it says of instants, and without those that
/// the approval brings.
pub(super) fn as_proposed(would_be: proto::Suspension, proposal: &Proposal) -> proto::Suspension {
    let lifts = proposal.kind == ChangeKind::LiftSuspension;
    proto::Suspension {
        state: proto::SuspensionState::Proposed.into(),
        from_time: would_be.from_time.filter(|_| !proposal.starts_now),
        lifted_at: would_be.lifted_at.filter(|_| !lifts),
        ..would_be
    }
}

/// By name, so that what the proto does not know is visible as unspecified and nothing else.
pub(super) fn kind(kind: Option<ChangeKind>) -> proto::RevisionKind {
    let name = kind.map(|kind| format!("REVISION_KIND_{}", kind.name()));
    name.and_then(|name| proto::RevisionKind::from_str_name(&name)).unwrap_or_default()
}

pub(super) fn act(act: Act) -> proto::RevisionAct {
    proto::RevisionAct::from_str_name(&format!("REVISION_ACT_{}", act.name())).unwrap_or_default()
}

pub(super) fn direction(direction: Option<Direction>) -> proto::Direction {
    let name = direction.map(|direction| format!("DIRECTION_{}", direction.name()));
    name.and_then(|name| proto::Direction::from_str_name(&name)).unwrap_or_default()
}
