//! Suspends, amends, lifts and exempts: each builds one step from the rules in force.

use super::change::{Change, Changed, Requester};
use super::{Service, ServiceError};
use crate::audit::ChangeKind;
use crate::domain::{
    Exemption, RuleChange, RuleEdit, RuleSet, Suspension, SuspensionId, Timestamp,
};
use std::sync::Arc;

impl Service {
    /// Suspends. With `starts_now` the suspension's first instant is that of the request.
    ///
    /// # Errors
    /// When the id is taken, and as for [`Service::change`].
    pub async fn suspend(
        self: &Arc<Self>,
        requester: Requester,
        suspension: Suspension,
        starts_now: bool,
    ) -> Result<Changed, ServiceError> {
        let build = move |rules: &RuleSet, at| {
            if rules.suspensions.contains_key(&suspension.id) {
                let id = suspension.id.to_string();
                return Err(ServiceError::Exists { kind: "suspension", id });
            }
            let from = if starts_now { at } else { suspension.from };
            Ok(put_suspension(Suspension { from, ..suspension.clone() }))
        };
        self.change(requester, Change::new(ChangeKind::CreateSuspension, build)).await
    }

    /// Replaces a suspension by a whole new state. A lift stays.
    ///
    /// # Errors
    /// When there is no such suspension, and as for [`Service::change`].
    pub async fn amend(
        self: &Arc<Self>,
        requester: Requester,
        suspension: Suspension,
    ) -> Result<Changed, ServiceError> {
        let build = move |rules: &RuleSet, at| {
            let held = suspension_in(rules, &suspension.id)?;
            let amended = Suspension { lifted_at: held.lifted_at, ..suspension.clone() };
            if **held == amended {
                return Ok(RuleChange::default());
            }
            // What was in force was in force: people were told so, and decisions rest on it.
            if held.lifted_at.is_some() || held.in_force().until.is_some_and(|until| until <= at) {
                return Err(ServiceError::EndedAlready { id: amended.id });
            }
            if held.from <= at && amended.from != held.from {
                return Err(ServiceError::BegunAlready { id: amended.id, from: held.from });
            }
            Ok(put_suspension(amended))
        };
        self.change(requester, Change::new(ChangeKind::AmendSuspension, build)).await
    }

    /// Ends a suspension at the instant of the request.
    ///
    /// # Errors
    /// When there is no such suspension, or it has ended, and as for [`Service::change`].
    pub async fn lift(
        self: &Arc<Self>,
        requester: Requester,
        id: SuspensionId,
    ) -> Result<Changed, ServiceError> {
        let build = move |rules: &RuleSet, at| lift(rules, &id, at);
        self.change(requester, Change::new(ChangeKind::LiftSuspension, build)).await
    }

    /// Permits, for a time, what named suspensions would stop. With `starts_now` the exemption's
    /// first instant is that of the request.
    ///
    /// # Errors
    /// When the id is taken, and as for [`Service::change`].
    pub async fn exempt(
        self: &Arc<Self>,
        requester: Requester,
        exemption: Exemption,
        starts_now: bool,
    ) -> Result<Changed, ServiceError> {
        let build = move |rules: &RuleSet, at| {
            if rules.exemptions.contains_key(&exemption.id) {
                let id = exemption.id.to_string();
                return Err(ServiceError::Exists { kind: "exemption", id });
            }
            let from = if starts_now { at } else { exemption.from };
            let exemption = Arc::new(Exemption { from, ..exemption.clone() });
            Ok(RuleChange { edits: vec![RuleEdit::PutExemption(exemption)] })
        };
        self.change(requester, Change::new(ChangeKind::CreateExemption, build)).await
    }
}

/// The step that lifts.
pub(super) fn lift(
    rules: &RuleSet,
    id: &SuspensionId,
    at: Timestamp,
) -> Result<RuleChange, ServiceError> {
    let suspension = suspension_in(rules, id)?;
    let ended = suspension.in_force().until.is_some_and(|until| until <= at);
    if suspension.lifted_at.is_some() || ended {
        return Err(ServiceError::EndedAlready { id: id.clone() });
    }
    Ok(put_suspension(Suspension { lifted_at: Some(at), ..(**suspension).clone() }))
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
