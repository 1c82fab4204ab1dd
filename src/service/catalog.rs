//! The catalogue: finds vendors, products and offers, and what hangs together.

use crate::domain::{Components, Offer, Product, RuleSet, Timestamp, Vendor, VendorId};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Something found by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Match {
    /// What was found.
    pub found: Found,
    /// The name that matched.
    pub matched: String,
}

/// A thing of the catalogue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// A vendor.
    Vendor(Arc<Vendor>),
    /// A product.
    Product(Arc<Product>),
    /// An offer.
    Offer(Arc<Offer>),
}

/// A vendor's relatives and what they have a part in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Family {
    /// The other vendors under common control, by id.
    pub vendors: Vec<Arc<Vendor>>,
    /// Products that one of them or the vendor supplies, or makes a component of, by id.
    pub products: Vec<Arc<Product>>,
    /// Offers of those products, by id.
    pub offers: Vec<Arc<Offer>>,
}

/// How well a name matches; the smaller, the better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fit {
    Whole,
    Start,
    StartOfWord,
    Inside,
}

/// Everything whose id or name, today's, former or other, contains `query`, whatever the case: best
/// matches first, then vendors, products, offers, each by id.
#[must_use]
pub fn search(rules: &RuleSet, query: &str) -> Vec<Match> {
    let query = query.trim().to_lowercase();
    let mut found: Vec<(Fit, Match)> = Vec::new();
    let mut add = |names: &[&str], thing: Found| {
        let fits = names.iter().filter_map(|name| Some((fit(name, &query)?, *name)));
        if let Some((fit, name)) = fits.min_by_key(|(fit, _)| *fit) {
            found.push((fit, Match { found: thing, matched: name.to_owned() }));
        }
    };
    for vendor in rules.vendors.values() {
        let former = vendor.former_names.iter().map(|former| former.name.as_str());
        let others = vendor.aliases.iter().map(String::as_str).chain(former);
        let names: Vec<_> =
            [vendor.name.as_str(), vendor.id.as_str()].into_iter().chain(others).collect();
        add(&names, Found::Vendor(Arc::clone(vendor)));
    }
    for product in rules.products.values() {
        add(&[product.name.as_str(), product.id.as_str()], Found::Product(Arc::clone(product)));
    }
    for offer in rules.offers.values() {
        let title = offer.title.as_deref().unwrap_or_default();
        add(&[title, offer.id.as_str()], Found::Offer(Arc::clone(offer)));
    }
    found.sort_by_key(|(fit, _)| *fit); // Stable: what fits equally well keeps its order.
    found.into_iter().map(|(_, found)| found).collect()
}

fn fit(name: &str, query: &str) -> Option<Fit> {
    let name = name.to_lowercase();
    let place = name.find(query)?;
    let before = name.get(..place)?.chars().next_back();
    Some(match before {
        _ if name == query => Fit::Whole,
        None => Fit::Start,
        Some(before) if !before.is_alphanumeric() => Fit::StartOfWord,
        Some(_) => Fit::Inside,
    })
}

/// What hangs together with a vendor at `now`: everything under common control with it (R12).
#[must_use]
pub fn family(rules: &RuleSet, vendor: &VendorId, now: Timestamp) -> Family {
    let mut members = BTreeSet::from([vendor.clone()]);
    let mut next = vec![vendor.clone()];
    while let Some(member) = next.pop() {
        let mut meet = |relative: &VendorId| {
            if members.insert(relative.clone()) {
                next.push(relative.clone());
            }
        };
        for other in rules.vendors.values() {
            for parent in other.parents.iter().filter(|parent| parent.window.contains(now)) {
                if parent.vendor == member {
                    meet(&other.id);
                } else if other.id == member {
                    meet(&parent.vendor);
                }
            }
        }
    }
    let involves = |product: &&Arc<Product>| {
        let parts = match &product.components {
            Components::Known(parts) => parts.as_slice(),
            Components::Unknown => &[],
        };
        product.vendors.iter().any(|vendor| members.contains(vendor))
            || parts.iter().any(|part| part.window.contains(now) && members.contains(&part.vendor))
    };
    let products: Vec<_> = rules.products.values().filter(involves).cloned().collect();
    let ids: BTreeSet<_> = products.iter().map(|product| &product.id).collect();
    let offers = rules.offers.values().filter(|offer| ids.contains(&offer.product)).cloned();
    let relatives = members.iter().filter(|member| *member != vendor);
    Family {
        vendors: relatives.filter_map(|member| rules.vendors.get(member)).cloned().collect(),
        offers: offers.collect(),
        products,
    }
}
