//! Break-glass: one person suspends at once, and another one ratifies it later.
//!
//! Invariant: what one person can do alone only ever tightens, hits one vendor, product or offer, and is
//! bounded in number until somebody else has looked at it. Nothing that time does takes it back.

use super::change::{Change, Changed, Requester, compile};
use super::preview::standing;
use super::record::Step;
use super::{Refusal, Service, ServiceError};
use crate::audit::{Act, ChangeKind, NewRecord};
use crate::decision::direction;
use crate::domain::{Direction, PrincipalKind, Role, RuleSet, Suspension, SuspensionId, Timestamp};
use crate::store::Loaded;
use std::collections::BTreeSet;
use std::sync::Arc;

/// How many emergencies of one person may wait to be ratified.
const MOST_UNRATIFIED: usize = 3;

impl Service {
    /// Suspends at once, on the word of one person.
    ///
    /// # Errors
    /// As [`Refusal`] lists them, and as for [`Service::suspend`].
    pub async fn suspend_in_emergency(
        self: &Arc<Self>,
        requester: Requester,
        suspension: Suspension,
    ) -> Result<Changed, ServiceError> {
        let id = suspension.id.clone();
        let asked = super::suspend::asked("suspend in an emergency", &suspension);
        let change = super::suspend::creation(suspension, true);
        let build = Box::new(move |before: &Loaded, requester: &Requester, at| {
            emergency(before, requester, at, &change, &id).map(Some)
        });
        self.record(requester, Step { asked, about: None, build }).await
    }
}

fn emergency(
    before: &Loaded,
    requester: &Requester,
    at: Timestamp,
    change: &Change,
    id: &SuspensionId,
) -> Result<NewRecord, ServiceError> {
    requester.needs(Role::BreakGlass)?;
    if requester.author.kind != PrincipalKind::Person {
        return Err(Refusal::NotAPerson { what: "an emergency" }.into());
    }
    if let Some(lacks) = &requester.author.lacks {
        return Err(Refusal::TooWeakSignIn { lacks: Arc::clone(lacks) }.into());
    }
    if requester.ticket.trim().is_empty() {
        return Err(Refusal::TicketRequired.into());
    }
    let steps = change.steps(&before.rules, at)?;
    let after = before.rules.after(&steps);
    if direction(&before.rules, &after) == Direction::Loosening {
        return Err(Refusal::TwoPersonsRequired.into());
    }
    let author = requester.party();
    let emergencies = before.waiting.emergencies.values();
    let unratified = emergencies.filter(|it| it.author.is_same_hand(&author)).count();
    if MOST_UNRATIFIED <= unratified {
        let why = format!("{unratified} emergencies of this person wait to be ratified by another");
        return Err(Refusal::TooWide { why }.into());
    }
    if hits_everything(before, &after, id, at)? {
        let why = "this would stop every offer of every product".to_owned();
        return Err(Refusal::TooWide { why }.into());
    }
    let request_id = requester.request_id.clone();
    Ok(NewRecord {
        act: Act::Emergency,
        address: requester.address,
        reason: requester.reason.clone(),
        ticket: requester.ticket.clone(),
        direction: Some(Direction::Tightening),
        ..NewRecord::made(request_id, ChangeKind::CreateSuspension, author, at, steps)
    })
}

/// Whether a suspension hits all there is. Where there is but one product, all of it is one product.
fn hits_everything(
    before: &Loaded,
    after: &RuleSet,
    id: &SuspensionId,
    at: Timestamp,
) -> Result<bool, ServiceError> {
    let products: BTreeSet<_> = after.offers.values().map(|offer| &offer.product).collect();
    if products.len() < 2 {
        return Ok(false);
    }
    let snapshot = compile(after, before.head.revision.next())?;
    let is_hit = |offer| standing(&snapshot, offer, at).contains_key(id);
    Ok(after.offers.values().map(Arc::as_ref).all(is_hit))
}
