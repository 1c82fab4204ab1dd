//! Checks a rule set as a whole: what is well formed by itself and yet makes no sense together.
//!
//! The problems carry field paths, which lead into a rule file and into an RPC's request alike.
//! Whether a condition is CEL is asked when a snapshot is compiled, not here.
//!
//! Invariant: a rule set without problems has no dangling reference, no cycle of owners at any
//! instant, no empty window, and no suspension of nothing or of everything.

use super::catalogue::{MOST_PER_UNIT, OLDEST};
use super::fields::not_one_of;
use super::ownership::cycles;
use super::problem::{MOST_PROBLEMS, Problem};
use super::texts::is_language_tag;
use super::tree::{Kind, Node, quoted};
use crate::domain::{
    Components, CustomerMessage, Exemption, Offer, Product, ProductClass, RuleSet, Scope,
    Suspension, Target, Vendor, VendorId, Vocabularies, Window,
};
use std::collections::BTreeSet;

/// Everything that is wrong with `rules`, in the order of their sections and ids.
#[must_use]
pub fn check(rules: &RuleSet) -> Vec<Problem> {
    check_declared(rules, &Declared::of(rules))
}

/// What may be referred to. In a file this is more than what could be read, so that one broken
/// vendor is not told again for every product of it.
#[derive(Default)]
pub(super) struct Declared<'a> {
    vendors: BTreeSet<&'a str>,
    products: BTreeSet<&'a str>,
    offers: BTreeSet<&'a str>,
    advisories: BTreeSet<&'a str>,
    suspensions: BTreeSet<&'a str>,
    classes: BTreeSet<&'a str>,
}

impl<'a> Declared<'a> {
    /// What a rule set holds.
    fn of(rules: &'a RuleSet) -> Self {
        Self {
            vendors: rules.vendors.keys().map(|id| id.as_str()).collect(),
            products: rules.products.keys().map(|id| id.as_str()).collect(),
            offers: rules.offers.keys().map(|id| id.as_str()).collect(),
            advisories: rules.advisories.keys().map(|id| id.as_str()).collect(),
            suspensions: rules.suspensions.keys().map(|id| id.as_str()).collect(),
            classes: rules.products.values().map(|product| product.class.as_str()).collect(),
        }
    }

    /// What a file declares, whether or not it could be read.
    pub(super) fn in_file(root: &'a Node) -> Self {
        let keys = |section: &str| {
            root.get(section).map(|entry| entry.value.keys().collect()).unwrap_or_default()
        };
        let products = match root.get("products").map(|entry| &entry.value.kind) {
            Some(Kind::Map(products)) => products.as_slice(),
            _ => &[],
        };
        let class = |product: &'a Node| match &product.get("class")?.value.kind {
            Kind::Text(class) | Kind::Number(class) => Some(class.as_str()),
            _ => None,
        };
        Self {
            vendors: keys("vendors"),
            products: keys("products"),
            offers: keys("offers"),
            advisories: keys("advisories"),
            suspensions: keys("suspensions"),
            classes: products.iter().filter_map(|entry| class(&entry.value)).collect(),
        }
    }
}

/// The same, with what may be referred to given.
pub(super) fn check_declared(rules: &RuleSet, declared: &Declared<'_>) -> Vec<Problem> {
    let mut check = Check { rules, declared, problems: Vec::new() };
    check.vocabularies(&rules.vocabularies);
    rules.vendors.values().for_each(|vendor| check.vendor(vendor));
    check.problems.extend(cycles(rules));
    rules.products.values().for_each(|product| check.product(product));
    rules.offers.values().for_each(|offer| check.offer(offer));
    for (id, advisory) in &rules.advisories {
        let path = format!("advisories.{id}");
        check.line(&path, "issuer", &advisory.issuer);
        check.maybe_line(&path, "title", advisory.title.as_deref());
        check.url(&path, advisory.url.as_deref());
    }
    rules.suspensions.values().for_each(|suspension| check.suspension(suspension));
    rules.exemptions.values().for_each(|exemption| check.exemption(exemption));
    check.problems
}

/// The problems found so far; what is wrong with a text is found in `texts`.
pub(super) struct Check<'a> {
    rules: &'a RuleSet,
    declared: &'a Declared<'a>,
    problems: Vec<Problem>,
}

impl Check<'_> {
    pub(super) fn refuse(&mut self, path: impl Into<String>, message: impl Into<String>) {
        if self.problems.len() < MOST_PROBLEMS {
            self.problems.push(Problem::new(path, message));
        }
    }

    fn vocabularies(&mut self, terms: &Vocabularies) {
        let lists = [
            ("segments", terms.segments.iter().map(|term| term.as_str()).collect::<Vec<_>>()),
            ("devices", terms.devices.iter().map(|term| term.as_str()).collect()),
            ("channels", terms.channels.iter().map(|term| term.as_str()).collect()),
        ];
        for (key, terms) in lists {
            let path = format!("vocabularies.{key}");
            let mut seen = BTreeSet::new();
            if terms.is_empty() {
                self.refuse(&path, "is an empty list; name at least one term");
            }
            if Vocabularies::MOST_TERMS < terms.len() {
                let most = Vocabularies::MOST_TERMS;
                self.refuse(
                    &path,
                    format!("has {} terms, at most {most} are allowed", terms.len()),
                );
            }
            for (at, term) in terms.iter().enumerate() {
                if !seen.insert(term) {
                    self.refuse(format!("{path}[{at}]"), format!("`{term}` stands here twice"));
                }
            }
        }
    }

    fn vendor(&mut self, vendor: &Vendor) {
        let path = format!("vendors.{}", vendor.id);
        self.name(&format!("{path}.name"), &vendor.name);
        for (at, alias) in vendor.aliases.iter().enumerate() {
            self.name(&format!("{path}.aliases[{at}]"), alias);
        }
        for (at, former) in vendor.former_names.iter().enumerate() {
            self.name(&format!("{path}.former_names[{at}].name"), &former.name);
        }
        for (at, parent) in vendor.parents.iter().enumerate() {
            let path = format!("{path}.parents[{at}]");
            self.known_vendor(&format!("{path}.vendor"), &parent.vendor);
            self.window(&path, &parent.window);
        }
    }

    fn product(&mut self, product: &Product) {
        let path = format!("products.{}", product.id);
        self.name(&format!("{path}.name"), &product.name);
        if product.vendors.is_empty() {
            self.refuse(format!("{path}.vendors"), "is an empty list; a product has a vendor");
        }
        for (at, vendor) in product.vendors.iter().enumerate() {
            self.known_vendor(&format!("{path}.vendors[{at}]"), vendor);
        }
        let Components::Known(components) = &product.components else { return };
        for (at, component) in components.iter().enumerate() {
            let path = format!("{path}.components[{at}]");
            self.known_vendor(&format!("{path}.vendor"), &component.vendor);
            if let Some(name) = &component.name {
                self.name(&format!("{path}.name"), name);
            }
            self.window(&path, &component.window);
        }
    }

    fn offer(&mut self, offer: &Offer) {
        let path = format!("offers.{}", offer.id);
        let declared = self.declared;
        self.known(
            &format!("{path}.product"),
            "product",
            offer.product.as_str(),
            &declared.products,
        );
        self.maybe_line(&path, "title", offer.title.as_deref());
        self.window(&path, &offer.window);
        for (key, age) in [("min_age", offer.min_age), ("max_age", offer.max_age)] {
            if age.is_some_and(|age| OLDEST < u32::from(age)) {
                self.refuse(format!("{path}.{key}"), format!("must be an age from 0 to {OLDEST}"));
            }
        }
        if let (Some(youngest), Some(oldest)) = (offer.min_age, offer.max_age)
            && oldest < youngest
        {
            let message =
                format!("`{oldest}` is below `min_age` `{youngest}`, so that nobody fits");
            self.refuse(format!("{path}.max_age"), message);
        }
        if offer.max_per_unit.is_some_and(|most| !(1..=MOST_PER_UNIT).contains(&most)) {
            let message = format!("must be a whole number from 1 to {MOST_PER_UNIT}");
            self.refuse(format!("{path}.max_per_unit"), message);
        }
        for (at, name) in offer.requires.iter().enumerate() {
            if let Err(error) = ProductClass::parse(name) {
                let message = format!("{} names no attribute: {error}", quoted(name));
                self.refuse(format!("{path}.requires[{at}]"), message);
            }
        }
        for (at, other) in offer.alternates.iter().enumerate() {
            let path = format!("{path}.alternates[{at}]");
            if *other == offer.id {
                self.refuse(path, "an offer is no alternate to itself");
            } else {
                self.known(&path, "offer", other.as_str(), &declared.offers);
            }
        }
        if let Some(condition) = &offer.condition {
            let path = format!("{path}.condition");
            if condition.trim().is_empty() {
                self.refuse(path, "is empty; leave it out for no condition");
            } else if Offer::LONGEST_CONDITION < condition.chars().count() {
                let most = Offer::LONGEST_CONDITION;
                self.refuse(path, format!("is longer than {most} characters"));
            }
        }
    }

    fn suspension(&mut self, suspension: &Suspension) {
        let path = format!("suspensions.{}", suspension.id);
        let declared = self.declared;
        let (kind, id) = (suspension.target.kind(), suspension.target.id());
        let targets = match suspension.target {
            Target::Vendor(_) => &declared.vendors,
            Target::Product(_) => &declared.products,
            Target::Offer(_) => &declared.offers,
        };
        self.known(&format!("{path}.target.{kind}"), kind, id, targets);
        if suspension.scope.actions.is_empty() {
            self.refuse(format!("{path}.actions"), "is an empty list; name at least one action");
        }
        self.scope(&path, &suspension.scope);
        self.window(&path, &Window { from: Some(suspension.from), until: suspension.until });
        for (at, advisory) in suspension.advisories.iter().enumerate() {
            let path = format!("{path}.advisories[{at}]");
            self.known(&path, "advisory", advisory.as_str(), &declared.advisories);
        }
        self.line(&path, "ticket", &suspension.ticket);
        self.text(&format!("{path}.reason"), &suspension.reason);
        let path = format!("{path}.customer_message");
        match &suspension.customer_message {
            None => {}
            Some(CustomerMessage::Text(text)) => self.text(&path, text),
            Some(CustomerMessage::ByLanguage(texts)) => {
                if texts.is_empty() {
                    self.refuse(&path, "is an empty map; leave it out for no message");
                }
                for (tag, text) in texts {
                    let path = format!("{path}.{tag}");
                    if !is_language_tag(tag) {
                        let message = "is no language tag; write one such as `en` or `cy-GB`";
                        self.refuse(&path, format!("{} {message}", quoted(tag)));
                    }
                    self.text(&path, text);
                }
            }
        }
    }

    fn exemption(&mut self, exemption: &Exemption) {
        let path = format!("exemptions.{}", exemption.id);
        let declared = self.declared;
        if exemption.waives.is_empty() {
            self.refuse(format!("{path}.waives"), "is an empty list; name what it waives");
        }
        for (at, waived) in exemption.waives.iter().enumerate() {
            let path = format!("{path}.waives[{at}]");
            self.known(&path, "suspension", waived.as_str(), &declared.suspensions);
        }
        self.scope(&path, &exemption.scope);
        self.window(&path, &exemption.in_force());
        self.line(&path, "ticket", &exemption.ticket);
        self.text(&format!("{path}.reason"), &exemption.reason);
    }

    fn scope(&mut self, path: &str, scope: &Scope) {
        let terms = &self.rules.vocabularies;
        let known: Vec<_> = terms.segments.iter().map(|term| term.as_str()).collect();
        let used = scope.segments.iter().map(|term| term.as_str());
        self.terms(path, "segments", used, &known);
        let known: Vec<_> = terms.devices.iter().map(|term| term.as_str()).collect();
        let used = scope.devices.iter().map(|term| term.as_str());
        self.terms(path, "devices", used, &known);
        let known: Vec<_> = terms.channels.iter().map(|term| term.as_str()).collect();
        let used = scope.channels.iter().map(|term| term.as_str());
        self.terms(path, "channels", used, &known);
        let known: Vec<_> = self.declared.classes.iter().copied().collect();
        let used = scope.product_classes.iter().map(|term| term.as_str());
        self.terms(path, "product_classes", used, &known);
    }

    fn terms<'t>(
        &mut self,
        path: &str,
        key: &str,
        used: impl Iterator<Item = &'t str>,
        known: &[&str],
    ) {
        for (at, term) in used.enumerate().filter(|(_, term)| !known.contains(term)) {
            self.refuse(format!("{path}.{key}[{at}]"), not_one_of(term, known));
        }
    }

    fn known_vendor(&mut self, path: &str, id: &VendorId) {
        let declared = self.declared;
        self.known(path, "vendor", id.as_str(), &declared.vendors);
    }

    fn known(&mut self, path: &str, kind: &str, id: &str, declared: &BTreeSet<&str>) {
        if declared.contains(id) {
            return;
        }
        let declared: Vec<_> = declared.iter().copied().collect();
        let nearest = super::fields::nearest(id, &declared)
            .map_or_else(String::new, |id| format!("; did you mean `{id}`?"));
        self.refuse(path, format!("there is no {kind} `{id}`{nearest}"));
    }

    fn window(&mut self, path: &str, window: &Window) {
        if let (true, Some(from), Some(until)) = (window.is_empty(), window.from, window.until) {
            let message =
                format!("`{until}` is not after `from`, `{from}`, so that it never holds");
            self.refuse(format!("{path}.until"), message);
        }
    }
}
