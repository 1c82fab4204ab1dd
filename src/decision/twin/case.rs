//! One customer and one offer: scopes and holdings (R3, R8, R9).

use super::answer::{Answer, No, Yes, all, any, ask, invalid, missing, not, yes_if};
use crate::domain::{
    Attribute, CheckRequest, Country, Holder, Holding, HoldingStatus, Offer, Product, RuleSet,
    Scope, Suspension, Timestamp,
};

/// One customer, one product, one instant.
pub(super) struct Case<'a, 't> {
    pub(super) request: &'a CheckRequest<'t>,
    pub(super) rules: &'a RuleSet,
    pub(super) offer: &'a Offer,
    pub(super) product: &'a Product,
    pub(super) holding: Attribute<Holding<'t>>,
    pub(super) now: Timestamp,
}

impl<'t> Case<'_, 't> {
    /// R3: every stated dimension; countries and person nexus together mean either.
    pub(super) fn in_scope(&self, scope: &Scope) -> Answer {
        let customer = &self.request.customer;
        let mut stated = Vec::new();
        if !scope.actions.is_empty() {
            stated.push(yes_if(scope.actions.contains(&self.request.action)));
        }
        if !scope.product_classes.is_empty() {
            stated.push(yes_if(scope.product_classes.contains(&self.product.class)));
        }
        if !scope.customers.is_empty() {
            stated.push(yes_if(scope.customers.iter().any(|id| id.as_str() == customer.id)));
        }
        let mut place = Vec::new();
        if !scope.countries.is_empty() {
            place.push(ask(customer.country, "country", |country: Country| {
                scope.countries.contains(&country)
            }));
        }
        if !scope.person_nexus.is_empty() {
            place.push(ask(customer.us_person, "us_person", |is_one| is_one));
        }
        if !place.is_empty() {
            stated.push(any(place));
        }
        if !scope.segments.is_empty() {
            stated.push(ask(self.segment(), "segment", |segment| {
                scope.segments.iter().any(|term| term.as_str() == segment)
            }));
        }
        if !scope.devices.is_empty() {
            stated.push(ask(self.device(), "device", |device| {
                scope.devices.iter().any(|term| term.as_str() == device)
            }));
        }
        if !scope.channels.is_empty() {
            stated.push(ask(self.channel(), "channel", |channel| {
                scope.channels.iter().any(|term| term.as_str() == channel)
            }));
        }
        if !scope.relationships.is_empty() {
            stated.push(ask(customer.relationship, "relationship", |relationship| {
                scope.relationships.contains(&relationship)
            }));
        }
        // R8
        if scope.holders == [Holder::Existing] {
            stated.push(self.holds());
        } else if scope.holders == [Holder::New] {
            stated.push(not(self.holds()));
        }
        all(stated)
    }

    // The closed lists: a term outside them is invalid.
    pub(super) fn segment(&self) -> Attribute<&'t str> {
        let terms = &self.rules.vocabularies.segments;
        known_term(self.request.customer.segment, |text| terms.iter().any(|t| t.as_str() == text))
    }

    pub(super) fn device(&self) -> Attribute<&'t str> {
        let terms = &self.rules.vocabularies.devices;
        known_term(self.request.device, |text| terms.iter().any(|t| t.as_str() == text))
    }

    pub(super) fn channel(&self) -> Attribute<&'t str> {
        let terms = &self.rules.vocabularies.channels;
        known_term(self.request.channel, |text| terms.iter().any(|t| t.as_str() == text))
    }

    pub(super) fn of_holding<T>(
        &self,
        name: &'static str,
        field: impl FnOnce(Holding<'t>) -> Attribute<T>,
        test: impl FnOnce(T) -> bool,
    ) -> Answer {
        match self.holding {
            Attribute::Known(holding) => ask(field(holding), name, test),
            Attribute::Missing => missing("holding"),
            Attribute::Invalid => invalid("holding"),
        }
    }

    pub(super) fn status_is(&self, statuses: &[HoldingStatus]) -> Answer {
        self.of_holding("holding.status", |holding| holding.status, |it| statuses.contains(&it))
    }

    /// R3: status `ACTIVE`, and before the end of the term if it has one.
    pub(super) fn holds(&self) -> Answer {
        match self.status_is(&[HoldingStatus::Active]) {
            Yes => match self.holding.known().map(|holding| holding.term_end) {
                None | Some(Attribute::Missing) => Yes,
                Some(end) => ask(end, "holding.term_end", |end| self.now < end),
            },
            other => other,
        }
    }

    pub(super) fn is_covered(&self) -> Answer {
        match self.holding {
            Attribute::Known(Holding { covered_by: Attribute::Missing, .. }) => No,
            Attribute::Known(holding) => ask(holding.covered_by, "holding.covered_by", |_| true),
            Attribute::Missing => missing("holding"),
            Attribute::Invalid => invalid("holding"),
        }
    }

    /// R9: accepted and not yet activated, strictly before the clause's date, while it lasts.
    pub(super) fn grandfathered(&self, suspension: &Suspension) -> Answer {
        let Some(clause) = &suspension.grandfather else { return No };
        all([
            yes_if(self.now < clause.until),
            self.status_is(&[HoldingStatus::Accepted]),
            self.of_holding(
                "holding.accepted_at",
                |holding| holding.accepted_at,
                |accepted_at| accepted_at < clause.accepted_before,
            ),
        ])
    }
}

fn known_term(given: Attribute<&str>, is_known: impl Fn(&str) -> bool) -> Attribute<&str> {
    match given {
        Attribute::Known(text) if !is_known(text) => Attribute::Invalid,
        given => given,
    }
}
