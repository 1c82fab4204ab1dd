//! The offer's own criteria (R7) and the entitlement that an action needs (R9).

use super::condition::Condition;
use super::facts::Facts;
use super::findings::Findings;
use super::scope::CountrySet;
use super::snapshot::CompiledOffer;
use super::terms::Terms;
use super::truth::{Gaps, Standard, Truth};
use crate::domain::{
    Action, Attribute, AttributeName, AttributeValue, Date, HoldingStatus, Offer, Reason,
    ReasonCode, Timestamp,
};
use jiff::tz::TimeZone;

/// An offer's countries served, compiled; `None` serves all.
pub(super) fn countries_served(offer: &Offer) -> Option<CountrySet> {
    (!offer.countries.is_empty()).then(|| CountrySet::new(&offer.countries))
}

/// Window, already held and unit limit concern `OFFER`, `ACTIVATE` and `REACTIVATE`; the other
/// criteria these and `RENEW`; none of them `USE` and `UPDATE`.
pub(super) fn check(
    compiled: &CompiledOffer,
    terms: &Terms,
    facts: &Facts<'_, '_>,
    findings: &mut Findings,
) {
    let offer = &*compiled.offer;
    let action = facts.request.action;
    if action.is_for_new_holders() {
        check_window(offer, facts.now, findings);
        findings.deny_if(facts.is_active(), ReasonCode::AlreadyHeld);
        if let Some(most) = offer.max_per_unit {
            findings.deny_if(is_at_limit(facts, most), ReasonCode::UnitLimitReached);
        }
    }
    if action.is_for_new_holders() || action == Action::Renew {
        if let Some(served) = &compiled.countries {
            let lives_there =
                Truth::when(facts.country, Standard::Country, |country| served.contains(country));
            findings.deny_if(lives_there.not(), ReasonCode::CountryNotServed);
        }
        check_requirements(offer, facts, findings);
        check_age(offer, facts, findings);
        if let Some(condition) = &compiled.condition {
            check_condition(condition, facts, findings);
        }
    }
    if action == Action::Offer && offer.outbound_excludes_vulnerable {
        let outbound =
            Truth::when(facts.channel, Standard::Channel, |channel| terms.is_outbound(channel));
        let vulnerable = || {
            Truth::when(facts.request.customer.vulnerable, Standard::Vulnerable, |is_one| is_one)
        };
        findings.deny_if(outbound.and(vulnerable), ReasonCode::OutboundSuppressed);
    }
}

/// `RENEW`, `UPDATE` and `USE` need an active holding; a person covered through the unit's holder
/// may `USE` without one.
pub(super) fn check_entitlement(facts: &Facts<'_, '_>, findings: &mut Findings) {
    let entitled = match facts.request.action {
        Action::Use => facts.is_active().or(|| facts.is_covered()),
        Action::Renew | Action::Update => facts.is_active(),
        Action::Offer | Action::Activate | Action::Reactivate | Action::Notify => return,
    };
    match entitled {
        Truth::Yes => {}
        Truth::Unknown(gaps) => findings.lack(gaps),
        Truth::No => {
            let had_it = facts
                .status(|status| !matches!(status, HoldingStatus::None | HoldingStatus::Accepted));
            findings.deny(if had_it == Truth::Yes {
                ReasonCode::EntitlementEnded
            } else {
                ReasonCode::EntitlementNotFound
            });
        }
    }
}

fn check_window(offer: &Offer, now: Timestamp, findings: &mut Findings) {
    if !offer.window.contains(now) {
        findings.deny(ReasonCode::OfferNotOpen);
    }
    if let Some(edge) = offer.window.next_edge(now) {
        findings.touch(edge);
    }
}

fn check_requirements(offer: &Offer, facts: &Facts<'_, '_>, findings: &mut Findings) {
    for name in &offer.requires {
        let about = |code| Reason::about(code, AttributeName::Own(name.clone()));
        match facts.request.customer.attribute(name) {
            Some(AttributeValue::Bool(true)) => {}
            Some(AttributeValue::Bool(false)) => {
                findings.deny_for(about(ReasonCode::RequirementNotMet));
            }
            Some(_) => findings.lack_own(about(ReasonCode::AttributeInvalid)),
            None => findings.lack_own(about(ReasonCode::AttributeMissing)),
        }
    }
}

/// Whether the unit holds as many as it may. Being covered counts as one, and so does an active
/// holding whose count nobody gave.
fn is_at_limit(facts: &Facts<'_, '_>, most: u32) -> Truth {
    let at_least = |count: u32| Truth::of(most <= count);
    if most == 0 {
        return Truth::Yes;
    }
    let holding = match facts.holding {
        Attribute::Known(holding) => holding,
        Attribute::Missing => return Truth::Unknown(Gaps::missing(Standard::Holding)),
        Attribute::Invalid => return Truth::Unknown(Gaps::invalid(Standard::Holding)),
    };
    let holds_one = || facts.is_covered().or(|| facts.is_active()).and(|| at_least(1));
    match holding.unit_count {
        Attribute::Known(count) => at_least(count).or(|| facts.is_covered().and(|| at_least(1))),
        Attribute::Missing => at_least(1).and(holds_one),
        Attribute::Invalid => {
            holds_one().or(|| Truth::Unknown(Gaps::invalid(Standard::HoldingUnitCount)))
        }
    }
}

fn check_condition(condition: &Condition, facts: &Facts<'_, '_>, findings: &mut Findings) {
    let given = facts.given();
    match condition.verdict(&given) {
        Ok(true) => {}
        Ok(false) => findings.deny(ReasonCode::ConditionNotMet),
        Err(gaps) => gaps.into_iter().for_each(|gap| findings.lack_own(gap)),
    }
    if let Some(change) = condition.next_change(&given) {
        findings.touch(change);
    }
}

/// Ages count birthdays in UTC. Somebody born on 29 February has their birthday on 1 March in
/// years that have none.
fn check_age(offer: &Offer, facts: &Facts<'_, '_>, findings: &mut Findings) {
    if offer.min_age.is_none() && offer.max_age.is_none() {
        return;
    }
    let today = TimeZone::UTC.to_datetime(facts.now).date();
    let born = match facts.request.customer.date_of_birth {
        Attribute::Known(born) if born <= today => born,
        Attribute::Known(unborn) => {
            findings.lack(Gaps::invalid(Standard::DateOfBirth));
            return touch_day(unborn, findings);
        }
        Attribute::Invalid => return findings.lack(Gaps::invalid(Standard::DateOfBirth)),
        Attribute::Missing => return findings.lack(Gaps::missing(Standard::DateOfBirth)),
    };
    // The days on which the customer becomes old enough, and too old. A day beyond the end of the
    // calendar never comes.
    let opens = offer.min_age.map(|age| birthday(born, i16::from(age)));
    let closes = offer.max_age.map(|age| birthday(born, i16::from(age).saturating_add(1)));
    let has_come = |day: Option<Date>| day.is_some_and(|day| day <= today);
    if opens.is_some_and(|day| !has_come(day)) || closes.is_some_and(has_come) {
        findings.deny(ReasonCode::AgeOutOfRange);
    }
    for day in [opens, closes].into_iter().flatten().flatten().filter(|day| today < *day) {
        touch_day(day, findings);
    }
}

fn touch_day(day: Date, findings: &mut Findings) {
    if let Some(midnight) = midnight(day) {
        findings.touch(midnight);
    }
}

/// The instant at which a day begins in UTC.
pub(super) fn midnight(day: Date) -> Option<Timestamp> {
    Some(day.to_zoned_datetime(TimeZone::UTC).ok()?.timestamp())
}

/// The day on which somebody becomes so many years old; `None` beyond the end of the calendar.
pub(super) fn birthday(born: Date, age: i16) -> Option<Date> {
    let year = born.year().checked_add(age)?;
    Date::new(year, born.month(), born.day()).or_else(|_| Date::new(year, 3, 1)).ok()
}
