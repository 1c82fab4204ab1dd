//! Scopes, compiled: whether a rule concerns a customer, an action and a place (R3, R6).

use super::facts::Facts;
use super::terms::{Terms, contains};
use super::truth::{Standard, Truth};
use crate::domain::{Action, Country, CustomerId, Holder, PersonNexus, ProductClass, Scope};

/// A scope with its lists turned into sets. `None` is an unstated dimension: it matches all.
#[derive(Debug)]
pub(super) struct CompiledScope {
    pub(super) actions: Option<u8>,
    pub(super) countries: Option<CountrySet>,
    pub(super) names_us_persons: bool,
    pub(super) segments: Option<u64>,
    pub(super) devices: Option<u64>,
    pub(super) channels: Option<u64>,
    /// One bit a [`Holder`].
    pub(super) holders: Option<u64>,
    /// One bit a relationship.
    pub(super) relationships: Option<u64>,
    classes: Option<Vec<ProductClass>>,
    /// Sorted.
    customers: Option<Vec<CustomerId>>,
}

impl CompiledScope {
    pub(super) fn new(scope: &Scope, terms: &Terms) -> Self {
        fn stated<T, S>(list: &[T], compile: impl FnOnce(&[T]) -> S) -> Option<S> {
            (!list.is_empty()).then(|| compile(list))
        }
        Self {
            actions: stated(&scope.actions, |list| list.iter().fold(0, |set, &a| set | bit(a))),
            countries: stated(&scope.countries, CountrySet::new),
            names_us_persons: scope.person_nexus.contains(&PersonNexus::UsPerson),
            segments: stated(&scope.segments, |list| terms.segments(list)),
            devices: stated(&scope.devices, |list| terms.devices(list)),
            channels: stated(&scope.channels, |list| terms.channels(list)),
            holders: stated(&scope.holders, |list| set(list.iter().map(|it| *it as u8))),
            relationships: stated(&scope.relationships, |list| {
                set(list.iter().map(|it| *it as u8))
            }),
            classes: stated(&scope.product_classes, <[_]>::to_vec),
            customers: stated(&scope.customers, |list| {
                let mut sorted = list.to_vec();
                sorted.sort();
                sorted
            }),
        }
    }

    /// Whether every stated dimension matches. What needs no attribute is asked first, though the
    /// answer does not depend on the order.
    pub(super) fn matches(&self, facts: &Facts<'_, '_>) -> Truth {
        self.concerns_action(facts.request.action)
            .and(|| self.concerns_class(&facts.offer.product().class))
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
        !self.names_us_persons && self.classes.is_none() && self.customers.is_none()
    }

    /// The countries outside which this scope cannot match. A scope that also names US persons can
    /// match whatever the country.
    pub(super) fn row_countries(&self) -> Option<&CountrySet> {
        self.countries.as_ref().filter(|_| !self.names_us_persons)
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
                self.classes.is_some(),
                self.concerns_class(&facts.offer.product().class),
            ),
            (
                "customers",
                self.customers.is_some(),
                self.concerns_customer(facts.request.customer.id),
            ),
        ]
        .into_iter()
        .filter(|(_, is_stated, _)| *is_stated)
        .map(|(name, _, truth)| (name, truth))
        .collect()
    }

    fn concerns_action(&self, action: Action) -> Truth {
        Truth::of(self.actions.is_none_or(|set| set & bit(action) != 0))
    }

    fn concerns_class(&self, class: &ProductClass) -> Truth {
        Truth::of(self.classes.as_ref().is_none_or(|list| list.contains(class)))
    }

    fn concerns_customer(&self, id: &str) -> Truth {
        Truth::of(self.customers.as_ref().is_none_or(|sorted| {
            sorted.binary_search_by(|customer| customer.as_str().cmp(id)).is_ok()
        }))
    }

    fn concerns_segment(&self, facts: &Facts<'_, '_>) -> Truth {
        self.segments.map_or(Truth::Yes, |set| {
            Truth::when(facts.segment, Standard::Segment, |term| contains(set, term))
        })
    }

    fn concerns_device(&self, facts: &Facts<'_, '_>) -> Truth {
        self.devices.map_or(Truth::Yes, |set| {
            Truth::when(facts.device, Standard::Device, |term| contains(set, term))
        })
    }

    fn concerns_channel(&self, facts: &Facts<'_, '_>) -> Truth {
        self.channels.map_or(Truth::Yes, |set| {
            Truth::when(facts.channel, Standard::Channel, |term| contains(set, term))
        })
    }

    fn concerns_relationship(&self, facts: &Facts<'_, '_>) -> Truth {
        self.relationships.map_or(Truth::Yes, |set| {
            Truth::when(facts.relationship, Standard::Relationship, |it| contains(set, it as u8))
        })
    }

    fn concerns_holder(&self, facts: &Facts<'_, '_>) -> Truth {
        let Some(set) = self.holders else { return Truth::Yes };
        match (contains(set, Holder::Existing as u8), contains(set, Holder::New as u8)) {
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

fn set(places: impl Iterator<Item = u8>) -> u64 {
    places.fold(0, |set, place| set | 1u64 << place)
}

fn bit(action: Action) -> u8 {
    1 << (action as u8)
}

/// A set of countries, one bit a country.
#[derive(Debug)]
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

    /// The set, one bit a country's place.
    pub(super) fn words(&self) -> &[u64; Country::COUNT.div_ceil(64)] {
        &self.0
    }
}
