//! Asks to suspend, amend, lift and exempt: each builds one step from the rules in force.

use super::change::{Change, Changed, Requester};
use super::{Service, ServiceError};
use crate::audit::ChangeKind;
use crate::domain::{
    Exemption, RuleChange, RuleEdit, RuleSet, Suspension, SuspensionId, Timestamp, Unalterable,
};
use std::sync::Arc;

impl Service {
    /// Proposes to suspend. With `starts_now` the suspension begins when it is approved.
    ///
    /// # Errors
    /// When the id is taken, and as for [`Service::change`].
    pub async fn suspend(
        self: &Arc<Self>,
        requester: Requester,
        suspension: Suspension,
        starts_now: bool,
    ) -> Result<Changed, ServiceError> {
        self.change(requester, creation(suspension, starts_now)).await
    }

    /// Proposes to replace a suspension by a whole new state. A lift stays.
    ///
    /// # Errors
    /// When there is no such suspension, when it may not become that any more, and as for [`Service::change`].
    pub async fn amend(
        self: &Arc<Self>,
        requester: Requester,
        suspension: Suspension,
    ) -> Result<Changed, ServiceError> {
        self.change(requester, amendment(suspension)).await
    }

    /// Proposes to end a suspension, at the instant at which that is approved.
    ///
    /// # Errors
    /// When there is no such suspension, or it has ended, and as for [`Service::change`].
    pub async fn lift(
        self: &Arc<Self>,
        requester: Requester,
        id: SuspensionId,
    ) -> Result<Changed, ServiceError> {
        let asked = format!("lift suspension `{id}`");
        let build = move |rules: &RuleSet, at| lift(rules, &id, at);
        self.change(requester, Change::new(ChangeKind::LiftSuspension, asked, build)).await
    }

    /// Proposes to permit, for a time, what named suspensions would stop. With `starts_now` the exemption
    /// begins when it is approved.
    ///
    /// # Errors
    /// When the id is taken, and as for [`Service::change`].
    pub async fn exempt(
        self: &Arc<Self>,
        requester: Requester,
        exemption: Exemption,
        starts_now: bool,
    ) -> Result<Changed, ServiceError> {
        self.change(requester, permission(exemption, starts_now)).await
    }
}

/// What somebody asks for, in one line.
pub(super) fn asked(verb: &str, suspension: &Suspension) -> String {
    let target = &suspension.target;
    format!("{verb} {} `{}` as `{}`", target.kind(), target.id(), suspension.id)
}

/// The change that creates a suspension.
pub(super) fn creation(suspension: Suspension, starts_now: bool) -> Change {
    let asked = asked("suspend", &suspension);
    let build = move |rules: &RuleSet, at| {
        if rules.suspensions.contains_key(&suspension.id) {
            let id = suspension.id.to_string();
            return Err(ServiceError::Exists { kind: "suspension", id });
        }
        let from = if starts_now { at } else { suspension.from };
        Ok(put_suspension(Suspension { from, ..suspension.clone() }))
    };
    Change::new(ChangeKind::CreateSuspension, asked, build).starting_now(starts_now)
}

/// The change that replaces a suspension by a whole new state.
pub(super) fn amendment(suspension: Suspension) -> Change {
    let asked = format!("amend suspension `{}`", suspension.id);
    let build =
        move |rules: &RuleSet, at| amend(suspension_in(rules, &suspension.id)?, &suspension, at);
    Change::new(ChangeKind::AmendSuspension, asked, build)
}

/// The change that creates an exemption.
pub(super) fn permission(exemption: Exemption, starts_now: bool) -> Change {
    let asked = format!("exempt as `{}`", exemption.id);
    let build = move |rules: &RuleSet, at| {
        if rules.exemptions.contains_key(&exemption.id) {
            let id = exemption.id.to_string();
            return Err(ServiceError::Exists { kind: "exemption", id });
        }
        let from = if starts_now { at } else { exemption.from };
        let exemption = Arc::new(Exemption { from, ..exemption.clone() });
        Ok(RuleChange { edits: vec![RuleEdit::PutExemption(exemption)] })
    };
    Change::new(ChangeKind::CreateExemption, asked, build).starting_now(starts_now)
}

/// The step that replaces, but for the lift; none when nothing differs.
pub(super) fn amend(
    held: &Suspension,
    wanted: &Suspension,
    at: Timestamp,
) -> Result<RuleChange, ServiceError> {
    let amended = Suspension { lifted_at: held.lifted_at, ..wanted.clone() };
    if *held == amended {
        return Ok(RuleChange::default());
    }
    held.may_become(&amended, at).map_err(|why| unalterable(held, why))?;
    Ok(put_suspension(amended))
}

/// The step that lifts.
pub(super) fn lift(
    rules: &RuleSet,
    id: &SuspensionId,
    at: Timestamp,
) -> Result<RuleChange, ServiceError> {
    let held = suspension_in(rules, id)?;
    if let Some((field, since)) = held.over_since(at) {
        return Err(unalterable(held, Unalterable::Over { field, since }));
    }
    Ok(put_suspension(Suspension { lifted_at: Some(at), ..(**held).clone() }))
}

fn unalterable(held: &Suspension, why: Unalterable) -> ServiceError {
    ServiceError::Unalterable { id: held.id.clone(), why }
}

/// The step that adds or replaces.
pub(super) fn put_suspension(suspension: Suspension) -> RuleChange {
    RuleChange { edits: vec![RuleEdit::PutSuspension(Arc::new(suspension))] }
}

fn suspension_in<'r>(
    rules: &'r RuleSet,
    id: &SuspensionId,
) -> Result<&'r Arc<Suspension>, ServiceError> {
    let none = || ServiceError::NotFound { kind: "suspension", id: id.to_string() };
    rules.suspensions.get(id).ok_or_else(none)
}
