//! The offer's own criteria (R7) and the entitlement that an action needs (R9).
//!
//! All decisions go through one function, into which the compiler would copy whatever it calls. What few decisions
//! need is kept out of it (`inline(never)`), so that the others find it small and its registers free.

use super::facts::Facts;
use super::findings::Findings;
use super::names::{AT_ONCE, Looks};
use super::scope::CountrySet;
use super::truth::{Gaps, Standard, Truth};
use crate::domain::{
    Action, Attribute, AttributeName, AttributeValue, Date, HoldingStatus, Offer, Reason,
    ReasonCode, Timestamp, Window, is_same,
};
use jiff::tz::TimeZone;
use std::sync::Arc;

/// An offer's countries served, compiled; `None` serves all.
pub(super) fn countries_served(offer: &Offer) -> Option<CountrySet> {
    (!offer.countries.is_empty()).then(|| CountrySet::new(&offer.countries))
}

/// The criteria that an offer states.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct StatedCriteria(u32); // One bit a code.

impl StatedCriteria {
    pub(super) fn of(offer: &Offer) -> Self {
        let stated = CRITERIA.iter().filter(|criterion| (criterion.is_stated)(offer));
        Self(stated.fold(0, |set, criterion| set | criterion.bit()))
    }

    fn has(self, criterion: &Criterion) -> bool {
        self.0 & criterion.bit() != 0
    }
}

/// Something that an offer may demand.
pub(super) struct Criterion {
    /// What is said of a customer who does not meet it.
    pub(super) code: ReasonCode,
    /// Which actions it concerns; none of them `USE`, `UPDATE` or `NOTIFY`.
    concerns: fn(Action) -> bool,
    /// Whether the offer demands it at all.
    is_stated: fn(&Offer) -> bool,
    check: fn(&Facts<'_, '_>, &mut Findings<'_>),
}

impl Criterion {
    /// Notes in `findings` what stands against the customer, if the criterion is asked about.
    pub(super) fn check(&self, facts: &Facts<'_, '_>, findings: &mut Findings<'_>) {
        if self.is_asked(facts) {
            (self.check)(facts, findings);
        }
    }

    /// Whether the action is concerned and the offer demands it.
    pub(super) fn is_asked(&self, facts: &Facts<'_, '_>) -> bool {
        facts.demands.criteria.has(self) && (self.concerns)(facts.request.action)
    }

    fn bit(&self) -> u32 {
        1 << (self.code as u32)
    }
}

/// All criteria, in the order of their reasons.
pub(super) const CRITERIA: [Criterion; 8] = [
    Criterion {
        code: ReasonCode::OfferNotOpen,
        concerns: Action::is_for_new_holders,
        is_stated: |offer| offer.window != Window::ALWAYS,
        check: check_window,
    },
    Criterion {
        code: ReasonCode::CountryNotServed,
        concerns: starts_or_renews,
        is_stated: |offer| !offer.countries.is_empty(),
        check: check_country,
    },
    Criterion {
        code: ReasonCode::RequirementNotMet,
        concerns: starts_or_renews,
        is_stated: |offer| !offer.requires.is_empty(),
        check: check_requirements,
    },
    Criterion {
        code: ReasonCode::AgeOutOfRange,
        concerns: starts_or_renews,
        is_stated: |offer| offer.min_age.is_some() || offer.max_age.is_some(),
        check: check_age,
    },
    Criterion {
        code: ReasonCode::AlreadyHeld,
        concerns: Action::is_for_new_holders,
        is_stated: |_| true,
        check: |facts, findings| {
            findings.deny_if(facts.is_active(), ReasonCode::AlreadyHeld);
        },
    },
    Criterion {
        code: ReasonCode::UnitLimitReached,
        concerns: Action::is_for_new_holders,
        is_stated: |offer| offer.max_per_unit.is_some(),
        check: check_unit_limit,
    },
    Criterion {
        code: ReasonCode::OutboundSuppressed,
        concerns: |action| action == Action::Offer,
        is_stated: |offer| offer.outbound_excludes_vulnerable,
        check: check_outbound,
    },
    Criterion {
        code: ReasonCode::ConditionNotMet,
        concerns: starts_or_renews,
        is_stated: |offer| offer.condition.is_some(),
        check: check_condition,
    },
];

fn starts_or_renews(action: Action) -> bool {
    action.is_for_new_holders() || action == Action::Renew
}

#[inline(never)]
fn check_country(facts: &Facts<'_, '_>, findings: &mut Findings<'_>) {
    let Some(served) = &facts.demands.countries else { return };
    let lives_there =
        Truth::when(facts.country, Standard::Country, |country| served.contains(country));
    findings.deny_if(lives_there.not(), ReasonCode::CountryNotServed);
}

fn check_unit_limit(facts: &Facts<'_, '_>, findings: &mut Findings<'_>) {
    if let Some(most) = facts.demands.max_per_unit {
        findings.deny_if(is_at_limit(facts, most), ReasonCode::UnitLimitReached);
    }
}

#[inline(never)]
fn check_outbound(facts: &Facts<'_, '_>, findings: &mut Findings<'_>) {
    let outbound =
        Truth::when(facts.channel, Standard::Channel, |channel| facts.terms.is_outbound(channel));
    let vulnerable = || {
        let said = facts.request.customer.vulnerable;
        Truth::when(said, Standard::Vulnerable, |is_one| is_one)
    };
    findings.deny_if(outbound.and(vulnerable), ReasonCode::OutboundSuppressed);
}

/// `RENEW`, `UPDATE` and `USE` need an active holding; a person covered through the unit's holder
/// may `USE` without one.
pub(super) fn check_entitlement(facts: &Facts<'_, '_>, findings: &mut Findings<'_>) {
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

#[inline(never)]
fn check_window(facts: &Facts<'_, '_>, findings: &mut Findings<'_>) {
    let (window, now) = (facts.details.offer.window, facts.now);
    if !window.contains(now) {
        findings.deny(ReasonCode::OfferNotOpen);
    }
    if let Some(edge) = window.next_edge(now) {
        findings.touch(edge);
    }
}

fn check_requirements(facts: &Facts<'_, '_>, findings: &mut Findings<'_>) {
    let given = &*facts.request.customer.attributes;
    let looks = Looks::of(given, |(name, _)| name);
    for required in &facts.demands.requires {
        let Some((name, look)) = facts.terms.name_and_look(*required) else {
            findings.deny(ReasonCode::RequirementNotMet);
            continue;
        };
        let about = |code| Reason::about(code, AttributeName::Own(Arc::clone(name)));
        let is_it = |place: usize| {
            let given = given.get(place);
            given.is_some_and(|(given, _)| is_same(given.as_bytes(), name.as_bytes()))
        };
        let beyond = || (AT_ONCE..given.len()).find(|place| is_it(*place));
        let place = looks.find(look, is_it).or_else(beyond);
        match place.and_then(|place| given.get(place)).map(|(_, value)| value) {
            Some(AttributeValue::Bool(true)) => {}
            Some(AttributeValue::Bool(false)) => {
                findings.deny_own(about(ReasonCode::RequirementNotMet));
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

#[inline(never)]
fn check_condition(facts: &Facts<'_, '_>, findings: &mut Findings<'_>) {
    let Some(condition) = &facts.details.condition else { return };
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
#[inline(never)]
fn check_age(facts: &Facts<'_, '_>, findings: &mut Findings<'_>) {
    let offer = &facts.details.offer;
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

fn touch_day(day: Date, findings: &mut Findings<'_>) {
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
