//! Decides one recipient, at one instant, by one revision.
//!
//! Invariants: marketing goes to nobody who is not `ELIGIBLE`. A row that says something that no request can
//! say is not written to. Nothing is decided before the rules were made: a suspension that was acknowledged
//! is in force, whatever the clock here says.

use crate::decision::Instants;
use crate::domain::{Attribute, CheckRequest, Outcome, Timestamp};
use crate::jobs::mailing::audience::{Recipient, Values};
use crate::jobs::mailing::gate::Rules;
use crate::jobs::mailing::plan::Plan;
use crate::jobs::mapping::Mapping;
use crate::ledger::Why;
use std::sync::Arc;

/// What decides.
pub(super) struct Judge<'j> {
    pub(super) plan: &'j Plan,
    pub(super) mapping: &'j Mapping,
    /// The rules that the mailing began by, and when.
    pub(super) start: Option<(Arc<Rules>, Timestamp)>,
}

/// Why somebody is not written to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Denied {
    pub(super) why: Why,
    /// Whether a suspension denies that did not when the mailing began.
    pub(super) is_by_later_rule: bool,
}

impl Judge<'_> {
    /// Refuses whom the rules refuse when the clock says `wall`.
    pub(super) fn judge(
        &self,
        recipient: &Recipient,
        rules: &Rules,
        wall: Timestamp,
    ) -> Result<(), Denied> {
        let unreadable = || Denied {
            why: Why { reason: "ROW_UNREADABLE".to_owned(), revision: rules.revision },
            is_by_later_rule: false,
        };
        let Ok(values) = &recipient.values else { return Err(unreadable()) };
        let constants = self.mapping.constants();
        // Why not, and by which suspensions; nothing for who may be written to.
        let asked = |rules: &Rules, wall| {
            let request = self.request(values, &constants, rules)?;
            let instants = Instants::after(rules.made_at, wall);
            let decision = instants.decide(&request, &rules.snapshot);
            if decision.outcome == Outcome::Eligible {
                return Ok(None);
            }
            let names = decision.suspensions.iter();
            let names: Vec<_> = names.map(|it| it.suspension.id.to_string()).collect();
            let reasons: Vec<_> = decision.reasons.iter().map(ToString::to_string).collect();
            Ok::<_, String>(Some((reasons.join(" "), names)))
        };
        let Ok(answer) = asked(rules, wall) else { return Err(unreadable()) };
        let Some((reason, suspensions)) = answer else { return Ok(()) };
        let was_suspended = match &self.start {
            Some((start, at)) if !suspensions.is_empty() => match asked(start, *at) {
                Ok(Some((_, before))) => suspensions.iter().all(|name| before.contains(name)),
                Ok(None) => false,
                Err(_) => true,
            },
            _ => true,
        };
        let why = Why { reason, revision: rules.revision };
        Err(Denied { why, is_by_later_rule: !was_suspended })
    }

    fn request<'r>(
        &'r self,
        values: &'r Values,
        constants: &'r [(&'r str, crate::jobs::row::Cell<'r>)],
        rules: &Rules,
    ) -> Result<CheckRequest<'r>, String> {
        let mut row = values.row(self.mapping, constants)?;
        let product = rules.snapshot.product_of(&self.plan.offer);
        if let (Attribute::Missing, Some(product)) = (row.customer.holding, product) {
            let listed = row.customer.holding_of(product).copied();
            row.customer.holding = listed.map_or(Attribute::Missing, Attribute::Known);
        }
        Ok(CheckRequest {
            customer: row.customer,
            offer: &self.plan.offer,
            action: self.plan.kind.action(),
            channel: row.channel,
            device: row.device,
        })
    }
}
