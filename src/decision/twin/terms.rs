//! The offer's own terms and the entitlement that an action needs (R7, R9).

use super::answer::{Answer, No, Unknown, Yes, all, any, ask, invalid, missing, not, yes_if};
use super::case::Case;
use crate::decision::condition::{Condition, Given};
use crate::domain::{
    Action, Attribute, AttributeName, AttributeValue, Date, Holding, HoldingStatus, Reason,
    ReasonCode, Timestamp, Vocabularies,
};
use std::collections::BTreeSet;
use std::sync::Arc;

impl<'t> Case<'_, 't> {
    /// R7 and R9: everything in the offer's terms and the entitlement that may stand against it.
    pub(super) fn objections(&self) -> Vec<(Answer, Reason)> {
        let (action, customer) = (self.request.action, &self.request.customer);
        let starts = matches!(action, Action::Offer | Action::Activate | Action::Reactivate);
        let mut found = Vec::new();
        let mut object = |answer, code| found.push((answer, Reason::plain(code)));
        if starts {
            object(not(yes_if(self.offer.window.contains(self.now))), ReasonCode::OfferNotOpen);
            object(self.holds(), ReasonCode::AlreadyHeld);
            object(self.at_limit(), ReasonCode::UnitLimitReached);
        }
        if starts || action == Action::Renew {
            if !self.offer.countries.is_empty() {
                let served = ask(customer.country, "country", |country| {
                    self.offer.countries.contains(&country)
                });
                object(not(served), ReasonCode::CountryNotServed);
            }
            object(self.wrong_age(), ReasonCode::AgeOutOfRange);
            if let Some(source) = &self.offer.condition {
                object(not(self.condition(source)), ReasonCode::ConditionNotMet);
            }
        }
        if action == Action::Offer && self.offer.outbound_excludes_vulnerable {
            let outbound =
                ask(self.channel(), "channel", |channel| Vocabularies::OUTBOUND.contains(&channel));
            let vulnerable = ask(customer.vulnerable, "vulnerable", |is_one| is_one);
            object(all([outbound, vulnerable]), ReasonCode::OutboundSuppressed);
        }
        let entitled = match action {
            Action::Use => any([self.holds(), self.is_covered()]),
            Action::Renew | Action::Update => self.holds(),
            _ => Yes,
        };
        let never = self.status_is(&[HoldingStatus::None, HoldingStatus::Accepted]) == Yes;
        let why =
            if never { ReasonCode::EntitlementNotFound } else { ReasonCode::EntitlementEnded };
        object(not(entitled), why);
        if starts || action == Action::Renew {
            for name in &self.offer.requires {
                let about = |code| Reason::about(code, AttributeName::Own(Arc::clone(name)));
                let gap = |code| Unknown(BTreeSet::from([about(code)]));
                let fails = match customer.attribute(name) {
                    Some(AttributeValue::Bool(is_so)) => yes_if(!is_so),
                    Some(_) => gap(ReasonCode::AttributeInvalid),
                    None => gap(ReasonCode::AttributeMissing),
                };
                found.push((fails, about(ReasonCode::RequirementNotMet)));
            }
        }
        found
    }

    pub(super) fn at_limit(&self) -> Answer {
        let Some(most) = self.offer.max_per_unit else { return No };
        if most == 0 {
            return Yes;
        }
        let Attribute::Known(holding) = self.holding else {
            return self.of_holding("holding", |holding| holding.status, |_| true);
        };
        let one = all([yes_if(most == 1), any([self.holds(), self.is_covered()])]);
        match holding.unit_count {
            Attribute::Known(count) => {
                any([yes_if(most <= count), all([yes_if(most == 1), self.is_covered()])])
            }
            Attribute::Missing => one,
            Attribute::Invalid => any([one, invalid("holding.unit_count")]),
        }
    }

    pub(super) fn wrong_age(&self) -> Answer {
        if self.offer.min_age.is_none() && self.offer.max_age.is_none() {
            return No;
        }
        let born = match self.request.customer.date_of_birth {
            Attribute::Known(born) => born,
            Attribute::Missing => return missing("date_of_birth"),
            Attribute::Invalid => return invalid("date_of_birth"),
        };
        match age(born, self.today()) {
            None => invalid("date_of_birth"),
            Some(age) => yes_if(
                self.offer.min_age.is_some_and(|least| age < i32::from(least))
                    || self.offer.max_age.is_some_and(|most| i32::from(most) < age),
            ),
        }
    }

    pub(super) fn today(&self) -> Date {
        jiff::tz::TimeZone::UTC.to_datetime(self.now).date()
    }

    pub(super) fn given(&self) -> Given<'_, 't> {
        Given {
            customer: &self.request.customer,
            segment: self.segment(),
            channel: self.channel(),
            device: self.device(),
            action: self.request.action,
            now: self.now,
        }
    }

    pub(super) fn condition(&self, source: &str) -> Answer {
        match Condition::compile(source).map(|condition| condition.verdict(&self.given())) {
            Ok(Ok(holds)) => yes_if(holds),
            Ok(Err(gaps)) => Unknown(gaps.into_iter().collect()),
            Err(_) => invalid("condition"),
        }
    }

    /// Instants at which what the offer or the holding say can change by themselves.
    pub(super) fn coming_instants(&self) -> Vec<Timestamp> {
        let mut instants = Vec::new();
        let starts =
            matches!(self.request.action, Action::Offer | Action::Activate | Action::Reactivate);
        if starts && !self.offer.window.is_empty() {
            instants.extend(self.offer.window.from);
            instants.extend(self.offer.window.until);
        }
        if let Attribute::Known(Holding {
            status: Attribute::Known(HoldingStatus::Active),
            term_end: Attribute::Known(end),
            ..
        }) = self.holding
        {
            instants.push(end);
        }
        if starts || self.request.action == Action::Renew {
            let has_ages = self.offer.min_age.is_some() || self.offer.max_age.is_some();
            if let Attribute::Known(born) = self.request.customer.date_of_birth
                && has_ages
            {
                // Somebody turns `age` on the first day on which they are that old.
                let turns = |age: i32| {
                    let year = i32::from(born.year()).checked_add(age)?;
                    let mut day = Date::new(i16::try_from(year).ok()?, born.month(), 1).ok()?;
                    while self::age(born, day).is_none_or(|had| had < age) {
                        day = day.tomorrow().ok()?;
                    }
                    Some(day)
                };
                // Before birth the date is invalid, and nothing else can be said.
                let days = if self.today() < born {
                    [turns(0), None]
                } else {
                    let least = self.offer.min_age.and_then(|age| turns(i32::from(age)));
                    [least, self.offer.max_age.and_then(|age| turns(i32::from(age) + 1))]
                };
                let midnight = |day: Date| day.to_zoned_datetime(jiff::tz::TimeZone::UTC).ok();
                instants.extend(
                    days.into_iter().flatten().filter_map(midnight).map(|it| it.timestamp()),
                );
            }
            if let Some(Ok(condition)) = self.offer.condition.as_deref().map(Condition::compile) {
                instants.extend(condition.next_change(&self.given()));
            }
        }
        instants
    }
}

/// Birthdays had; `None` before birth.
fn age(born: Date, today: Date) -> Option<i32> {
    if today < born {
        return None;
    }
    let years = i32::from(today.year()) - i32::from(born.year());
    let before_birthday = (today.month(), today.day()) < (born.month(), born.day());
    Some(years - i32::from(before_birthday))
}
