//! Decides one recipient, at one instant, by one revision.
//!
//! Invariants: marketing goes to nobody who is not `ELIGIBLE`. A row that says something that no request can
//! say is not written to. What is decided is an e-mail, wherever the row says that the customer was met. Nothing
//! is decided before the rules were made: a suspension that was acknowledged
//! is in force, whatever the clock here says.

use crate::decision::Instants;
use crate::domain::{Attribute, CheckRequest, Outcome, Timestamp};
use crate::jobs::error::JobError;
use crate::jobs::field::Field;
use crate::jobs::mailing::audience::{Recipient, Values};
use crate::jobs::mailing::gate::Rules;
use crate::jobs::mailing::plan::Plan;
use crate::jobs::mapping::Mapping;
use crate::ledger::Why;
use std::sync::Arc;

/// The channel of every mailing.
const CHANNEL: &str = "EMAIL";

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
            channel: Attribute::Known(CHANNEL),
            device: row.device,
        })
    }
}

/// Refuses an audience that says on which channel its customers are met: it could only contradict.
pub(super) fn check_channel(mapping: &Mapping, columns: &[String]) -> Result<(), JobError> {
    let is_channel = |name: &str| Field::of(name) == Ok(Some(Field::Channel));
    let mut named = columns.iter().filter(|column| mapping.name(column).is_some_and(is_channel));
    if let Some(column) = named.next() {
        return Err(JobError::Usage(format!(
            "the audience has a column `{column}`, and a mailing is decided for {CHANNEL}: leave it unread with \
             `columns: {{{column}: null}}` in a mapping file"
        )));
    }
    let constants = mapping.constants();
    let mut other =
        constants.iter().filter(|(name, cell)| is_channel(name) && cell.text() != Some(CHANNEL));
    match other.next() {
        Some((name, _)) => Err(JobError::Usage(format!(
            "the mapping file says another `{name}` than {CHANNEL}, for which a mailing is decided"
        ))),
        None => Ok(()),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use crate::jobs::mailing::fixture::{Fixture, at, rules};

    #[test]
    fn a_mailing_is_decided_for_email_wherever_its_customers_were_met() {
        let now = "2026-12-01T12:00:00Z";
        let rules = rules(Some(now));
        for (columns, row) in
            [("", "c-1,NONE,a@x.example"), (",channel", "c-1,NONE,a@x.example,APP")]
        {
            let fixture = Fixture::new(columns, &format!("{row}\n"));
            let judge = fixture.judge();
            let [recipient] = fixture.recipients().try_into().unwrap();
            let denied = judge.judge(&recipient, &rules, at(now)).unwrap_err();
            assert_eq!(denied.why.reason, "VENDOR_SUSPENDED", "{row}");
        }
    }

    #[test]
    fn an_audience_does_not_say_on_which_channel_its_customers_are_met() {
        for (mapping, columns, is_refused) in [
            ("{}", vec!["id", "email"], false),
            ("{}", vec!["id", "channel"], true),
            ("columns: {met: channel}", vec!["id", "met"], true),
            ("columns: {channel: null}", vec!["id", "channel"], false),
            ("constants: {channel: EMAIL}", vec!["id"], false),
            ("constants: {channel: APP}", vec!["id"], true),
        ] {
            let columns: Vec<_> = columns.into_iter().map(str::to_owned).collect();
            let checked = check_channel(&Mapping::read(mapping).unwrap(), &columns);
            assert_eq!(checked.is_err(), is_refused, "{mapping} {columns:?}");
        }
    }
}
