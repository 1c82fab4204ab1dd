//! Scopes, compiled: whether a rule concerns a customer, an action and a place (R3, R6).

use super::facts::Facts;
use super::terms::{Terms, contains};
use super::truth::{Standard, Truth};
use crate::domain::{Action, Country, CustomerId, Holder, PersonNexus, ProductClass, Scope};
use std::num::{NonZeroU8, NonZeroU64};

/// A scope with its lists turned into sets. `None` is an unstated dimension: it matches all.
///
/// Small, since there may be ten thousand: what few rules state is kept elsewhere.
#[derive(Debug)]
pub(super) struct CompiledScope {
    pub(super) segments: Option<NonZeroU64>,
    pub(super) devices: Option<NonZeroU64>,
    pub(super) channels: Option<NonZeroU64>,
    pub(super) countries: Option<Box<CountrySet>>,
    named: Option<Box<Named>>,
    pub(super) actions: Option<NonZeroU8>,
    /// One bit a [`Holder`].
    pub(super) holders: Option<NonZeroU8>,
    /// One bit a relationship.
    pub(super) relationships: Option<NonZeroU8>,
    pub(super) names_us_persons: bool,
}

/// What a scope names one by one; an empty list is unstated.
#[derive(Debug)]
struct Named {
    classes: Box<[ProductClass]>,
    /// Sorted.
    customers: Box<[CustomerId]>,
}

impl CompiledScope {
    pub(super) fn new(scope: &Scope, terms: &Terms) -> Self {
        let mut customers = scope.customers.clone();
        customers.sort();
        let named =
            Named { classes: scope.product_classes.as_slice().into(), customers: customers.into() };
        let names_some = !named.classes.is_empty() || !named.customers.is_empty();
        let countries = &scope.countries;
        // A list that is stated has a term, and every term is known: see `Terms::first_unknown`.
        Self {
            segments: NonZeroU64::new(terms.segments(&scope.segments)),
            devices: NonZeroU64::new(terms.devices(&scope.devices)),
            channels: NonZeroU64::new(terms.channels(&scope.channels)),
            countries: (!countries.is_empty()).then(|| Box::new(CountrySet::new(countries))),
            named: names_some.then(|| Box::new(named)),
            actions: set(scope.actions.iter().map(|it| *it as u8)),
            holders: set(scope.holders.iter().map(|it| *it as u8)),
            relationships: set(scope.relationships.iter().map(|it| *it as u8)),
            names_us_persons: scope.person_nexus.contains(&PersonNexus::UsPerson),
        }
    }

    /// Whether every stated dimension matches. What needs no attribute is asked first, though the
    /// answer does not depend on the order.
    pub(super) fn matches(&self, facts: &Facts<'_, '_>) -> Truth {
        self.concerns_action(facts.request.action)
            .and(|| self.concerns_class(facts.product_class()))
            .and(|| self.concerns_customer(facts.request.customer.id))
            .and(|| self.concerns_segment(facts))
            .and(|| self.concerns_place(facts))
            .and(|| self.concerns_device(facts))
            .and(|| self.concerns_channel(facts))
            .and(|| self.concerns_relationship(facts))
            .and(|| self.concerns_holder(facts))
    }

    /// Whether `candidates` has rows for every dimension that this scope states.
    pub(super) fn is_in_rows(&self) -> bool {
        !self.names_us_persons && self.named.is_none()
    }

    /// The countries outside which this scope cannot match. A scope that also names US persons can
    /// match whatever the country.
    pub(super) fn row_countries(&self) -> Option<&CountrySet> {
        self.countries.as_deref().filter(|_| !self.names_us_persons)
    }

    /// What each stated dimension says, for people who ask why.
    pub(super) fn stated(&self, facts: &Facts<'_, '_>) -> Vec<(&'static str, Truth)> {
        let place = match (self.countries.is_some(), self.names_us_persons) {
            (true, true) => "countries or person_nexus",
            (true, false) => "countries",
            (false, _) => "person_nexus",
        };
        let has_place = self.countries.is_some() || self.names_us_persons;
        [
            ("actions", self.actions.is_some(), self.concerns_action(facts.request.action)),
            (place, has_place, self.concerns_place(facts)),
            ("segments", self.segments.is_some(), self.concerns_segment(facts)),
            ("holders", self.holders.is_some(), self.concerns_holder(facts)),
            ("relationships", self.relationships.is_some(), self.concerns_relationship(facts)),
            ("devices", self.devices.is_some(), self.concerns_device(facts)),
            ("channels", self.channels.is_some(), self.concerns_channel(facts)),
            (
                "product_classes",
                self.named.as_ref().is_some_and(|named| !named.classes.is_empty()),
                self.concerns_class(facts.product_class()),
            ),
            (
                "customers",
                self.named.as_ref().is_some_and(|named| !named.customers.is_empty()),
                self.concerns_customer(facts.request.customer.id),
            ),
        ]
        .into_iter()
        .filter(|(_, is_stated, _)| *is_stated)
        .map(|(name, _, truth)| (name, truth))
        .collect()
    }

    fn concerns_action(&self, action: Action) -> Truth {
        Truth::of(self.actions.is_none_or(|set| has(set, action as u8)))
    }

    fn concerns_class(&self, class: &ProductClass) -> Truth {
        Truth::of(
            self.named
                .as_deref()
                .is_none_or(|Named { classes, .. }| classes.is_empty() || classes.contains(class)),
        )
    }

    fn concerns_customer(&self, id: &str) -> Truth {
        Truth::of(self.named.as_deref().is_none_or(|Named { customers, .. }| {
            let of_id = |customer: &CustomerId| customer.as_str().cmp(id);
            customers.is_empty() || customers.binary_search_by(of_id).is_ok()
        }))
    }

    fn concerns_segment(&self, facts: &Facts<'_, '_>) -> Truth {
        self.segments.map_or(Truth::Yes, |set| {
            Truth::when(facts.segment, Standard::Segment, |term| contains(set.get(), term))
        })
    }

    fn concerns_device(&self, facts: &Facts<'_, '_>) -> Truth {
        self.devices.map_or(Truth::Yes, |set| {
            Truth::when(facts.device, Standard::Device, |term| contains(set.get(), term))
        })
    }

    fn concerns_channel(&self, facts: &Facts<'_, '_>) -> Truth {
        self.channels.map_or(Truth::Yes, |set| {
            Truth::when(facts.channel, Standard::Channel, |term| contains(set.get(), term))
        })
    }

    fn concerns_relationship(&self, facts: &Facts<'_, '_>) -> Truth {
        self.relationships.map_or(Truth::Yes, |set| {
            Truth::when(facts.relationship, Standard::Relationship, |it| has(set, it as u8))
        })
    }

    fn concerns_holder(&self, facts: &Facts<'_, '_>) -> Truth {
        let Some(set) = self.holders else { return Truth::Yes };
        match (has(set, Holder::Existing as u8), has(set, Holder::New as u8)) {
            (true, true) => Truth::Yes,
            (true, false) => facts.is_active(),
            (false, _) => facts.is_active().not(),
        }
    }

    /// Countries and person nexus together mean *either*: resident there, or such a person anywhere.
    fn concerns_place(&self, facts: &Facts<'_, '_>) -> Truth {
        let resident = self.countries.as_ref().map(|set| {
            Truth::when(facts.country, Standard::Country, |country| set.contains(country))
        });
        let us_person = || Truth::when(facts.us_person, Standard::UsPerson, |is_one| is_one);
        match (resident, self.names_us_persons) {
            (None, false) => Truth::Yes,
            (None, true) => us_person(),
            (Some(resident), false) => resident,
            (Some(resident), true) => resident.or(us_person),
        }
    }
}

fn set(places: impl Iterator<Item = u8>) -> Option<NonZeroU8> {
    NonZeroU8::new(places.fold(0, |set, place| set | 1 << place))
}

fn has(set: NonZeroU8, place: u8) -> bool {
    set.get() & 1 << place != 0
}

/// A set of countries, one bit a country.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct CountrySet([u64; Country::COUNT.div_ceil(64)]);

impl CountrySet {
    pub(super) fn new(countries: &[Country]) -> Self {
        let mut words = [0; Country::COUNT.div_ceil(64)];
        for country in countries {
            if let Some(word) = words.get_mut(country.index() / 64) {
                *word |= 1u64 << (country.index() % 64);
            }
        }
        Self(words)
    }

    pub(super) fn contains(&self, country: Country) -> bool {
        self.0
            .get(country.index() / 64)
            .is_some_and(|word| word & (1u64 << (country.index() % 64)) != 0)
    }
}
