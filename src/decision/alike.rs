//! Customers whom the rules cannot tell apart: they get the same decision, to the last reason.
//!
//! For whoever decides many: a day of birth has tens of thousands of values, and all that most rules ask of it
//! is whether an age was reached. [`Alike`] names, for such a value, one that stands for all that are decided
//! the same, so that a decision can be made once and used again.
//!
//! Invariant: the representative of a request is decided as the request itself, everything included. A test
//! tries that on random rules. Where in doubt a value stands for itself alone.

use crate::domain::{
    Attribute, CheckRequest, CustomerId, Date, Holding, Offer, RuleSet, Scope, Timestamp,
};
use jiff::tz::TimeZone;

/// What of some offers' customers the rules can tell apart, at one instant.
#[derive(Debug)]
pub struct Alike {
    now: Timestamp,
    /// Who was born on this day or before has reached every age that any of the offers asks for.
    grown: Option<Date>,
    /// The ids that some rule names, in order.
    named: Vec<CustomerId>,
    /// The instants before which some rule wants a product to be accepted, in order.
    accepted: Vec<Timestamp>,
    /// Whether an offer has a condition, which may read anything.
    has_condition: bool,
}

impl Alike {
    /// Looks at the rules that can have a say in these offers: theirs, and their alternates'.
    #[must_use]
    pub fn new(rules: &RuleSet, offers: &[&str], now: Timestamp) -> Self {
        let asked = offers.iter().filter_map(|id| rules.offers.get(*id));
        let others = asked.clone().flat_map(|offer| &offer.alternates);
        let others = others.filter_map(|id| rules.offers.get(id));
        let offers: Vec<&Offer> = asked.chain(others).map(|offer| &**offer).collect();
        let ages = offers.iter().flat_map(|offer| {
            let too_old = offer.max_age.map(|age| i16::from(age).saturating_add(1));
            offer.min_age.map(i16::from).into_iter().chain(too_old)
        });
        let suspensions = rules.suspensions.values();
        let scopes = suspensions.clone().map(|suspension| &suspension.scope);
        let scopes = scopes.chain(rules.exemptions.values().map(|exemption| &exemption.scope));
        let mut named: Vec<_> =
            scopes.flat_map(|Scope { customers, .. }| customers.clone()).collect();
        named.sort_unstable();
        let clauses = suspensions.filter_map(|suspension| suspension.grandfather.as_deref());
        let mut accepted: Vec<_> = clauses.map(|clause| clause.accepted_before).collect();
        accepted.sort_unstable();
        let today = TimeZone::UTC.to_datetime(now).date();
        Self {
            now,
            grown: born_by(today, ages.max().unwrap_or_default()),
            named,
            accepted,
            has_condition: offers.iter().any(|offer| offer.condition.is_some()),
        }
    }

    /// The id that stands for all that no rule names; `None` for one that stands for itself alone.
    #[must_use]
    pub fn id(&self, id: &str) -> Option<&'static str> {
        let is_plain = |id| !self.names(id);
        (!self.has_condition && is_plain(id) && is_plain(ANYBODY)).then_some(ANYBODY)
    }

    /// Whether every id is one of those whom no rule names.
    #[must_use]
    pub fn names_nobody(&self) -> bool {
        self.named.is_empty() && !self.has_condition
    }

    fn names(&self, id: &str) -> bool {
        self.named.binary_search_by(|named| named.as_str().cmp(id)).is_ok()
    }

    /// The day that stands for all on which somebody was born who has reached every age that is asked for.
    #[must_use]
    pub fn date_of_birth(&self, born: Attribute<Date>) -> Option<Attribute<Date>> {
        let Attribute::Known(born) = born else { return Some(born) };
        self.grown().is_some_and(|grown| born <= grown).then_some(Attribute::Known(Date::MIN))
    }

    /// The last of the days of birth that [`Alike::date_of_birth`] gives one that stands for all.
    #[must_use]
    pub fn grown(&self) -> Option<Date> {
        self.grown.filter(|_| !self.has_condition)
    }

    /// The instant that stands for all at which a term ended that is over.
    #[must_use]
    pub fn term_end(&self, end: Attribute<Timestamp>) -> Option<Attribute<Timestamp>> {
        let Attribute::Known(end) = end else { return Some(end) };
        (end <= self.now).then_some(Attribute::Known(Timestamp::MIN))
    }

    /// The instant that stands for all that no rule can tell from it.
    #[must_use]
    pub fn accepted_at(&self, at: Attribute<Timestamp>) -> Option<Attribute<Timestamp>> {
        let Attribute::Known(at) = at else { return Some(at) };
        // Between two clauses it matters only which ones are later.
        let later = self.accepted.partition_point(|before| *before <= at);
        let floor = later.checked_sub(1).and_then(|place| self.accepted.get(place));
        Some(Attribute::Known(floor.copied().unwrap_or(Timestamp::MIN)))
    }

    /// The request that stands for all that are decided as this one.
    #[must_use]
    pub fn of<'t>(&self, request: &CheckRequest<'t>) -> CheckRequest<'t> {
        let mut same = request.clone();
        let customer = &mut same.customer;
        customer.id = self.id(customer.id).unwrap_or(customer.id);
        let born = customer.date_of_birth;
        customer.date_of_birth = self.date_of_birth(born).unwrap_or(born);
        if let Attribute::Known(holding) = &mut customer.holding {
            self.replace(holding);
        }
        customer.holdings.iter_mut().for_each(|(_, holding)| self.replace(holding));
        same
    }

    fn replace(&self, holding: &mut Holding<'_>) {
        holding.term_end = self.term_end(holding.term_end).unwrap_or(holding.term_end);
        holding.accepted_at = self.accepted_at(holding.accepted_at).unwrap_or(holding.accepted_at);
    }
}

/// The last day on which somebody was born who is so many years old on a day. Who was born on 29 February has
/// their birthday on 1 March of other years, so that the day before the last of February is never skipped.
fn born_by(today: Date, age: i16) -> Option<Date> {
    let year = today.year().checked_sub(age)?;
    Date::new(year, today.month(), today.day()).or_else(|_| Date::new(year, 2, 28)).ok()
}

/// Stands for every customer whom no rule names.
const ANYBODY: &str = "anybody";

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use crate::decision::criteria::birthday;
    use jiff::ToSpan as _;

    #[test]
    fn who_was_born_by_a_day_has_had_that_birthday_and_nobody_else_has() {
        for today in Date::constant(2023, 12, 30).series(1.day()).take(900) {
            for age in [0, 1, 4, 16, 18, 25, 123] {
                let last = born_by(today, age).unwrap();
                for born in last.checked_sub(3.days()).unwrap().series(1.day()).take(7) {
                    let has_had_it = birthday(born, age).is_some_and(|day| day <= today);
                    assert_eq!(has_had_it, born <= last, "{born} is {age} on {today}");
                }
            }
        }
    }
}
