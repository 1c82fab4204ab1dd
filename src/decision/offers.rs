//! The offers of a snapshot, found by id.
//!
//! Thousands of offers are asked for in any order, so most of what a decision waits for is memory that is in no
//! near cache. What is read of an offer whenever it is asked for is therefore small and lies apart from the rest, ids
//! lie together, and what offers demand is kept once for all that demand the same.
//!
//! Invariant: an offer is found under its own id, compared to the last byte, and under no other; what is missing of
//! one makes it unknown.

use super::candidates::List;
use super::condition::Condition;
use super::criteria::StatedCriteria;
use super::scope::CountrySet;
use super::terms::Required;
use crate::domain::{Offer, OfferId, Product, is_same};
use hashbrown::HashTable;
use rustc_hash::{FxBuildHasher, FxHashMap};
use smallvec::SmallVec;
use std::hash::BuildHasher as _;
use std::sync::Arc;

/// An offer to be looked for.
#[derive(Debug)]
pub(super) struct CompiledOffer {
    pub(super) details: OfferDetails,
    pub(super) demands: Demands,
    pub(super) has_alternates: bool,
    /// Of its product and the vendors behind it, and of this very offer.
    pub(super) suspensions: [List; 2],
}

/// What few decisions read of an offer.
#[derive(Debug)]
pub(super) struct OfferDetails {
    pub(super) offer: Arc<Offer>,
    pub(super) product: Arc<Product>,
    pub(super) condition: Option<Condition>,
}

/// What an offer demands of a customer, but for what few demand: see [`OfferDetails`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Demands {
    /// The criteria that it states.
    pub(super) criteria: StatedCriteria,
    /// The attributes that it requires.
    pub(super) requires: SmallVec<[Required; 4]>,
    pub(super) max_per_unit: Option<u32>,
    pub(super) countries: Option<Box<CountrySet>>,
}

/// All offers. Where one stands in a list is its place.
#[derive(Debug)]
pub(super) struct Offers {
    /// Places, by the hash of the id.
    index: HashTable<u32>,
    /// All ids, one after another.
    ids: Box<[u8]>,
    entries: Box<[Entry]>,
    details: Box<[OfferDetails]>,
    /// Each once.
    demands: Box<[Demands]>,
}

/// What is read of an offer whenever it is asked for.
#[derive(Debug)]
struct Entry {
    /// Where its id begins and ends among all.
    id: [u32; 2],
    suspensions: [List; 2],
    /// Where its demands stand among all.
    demands: u32,
    has_alternates: bool,
}

// Five thousand of them are to stay in a near cache.
const _: () = assert!(size_of::<Entry>() == 40);

/// An offer that was found.
#[derive(Debug, Clone, Copy)]
pub(super) struct FoundOffer<'s> {
    pub(super) details: &'s OfferDetails,
    pub(super) demands: &'s Demands,
    pub(super) has_alternates: bool,
    pub(super) suspensions: [List; 2],
}

impl Offers {
    /// Takes each under its id, which no other has; `None` when there are more than can be numbered.
    pub(super) fn new(all: Vec<(&OfferId, CompiledOffer)>) -> Option<Self> {
        let mut index = HashTable::new();
        let mut ids = Vec::new();
        let (mut entries, mut details) = (Vec::new(), Vec::new());
        let mut places = FxHashMap::default();
        let mut demands = Vec::new();
        for (id, offer) in all {
            let start = u32::try_from(ids.len()).ok()?;
            ids.extend_from_slice(id.as_str().as_bytes());
            let next = u32::try_from(demands.len()).ok()?;
            let place = *places.entry(offer.demands).or_insert_with_key(|new: &Demands| {
                demands.push(new.clone());
                next
            });
            index.insert_unique(
                hash(id.as_str().as_bytes()),
                u32::try_from(entries.len()).ok()?,
                |place| hash_at(*place, &entries, &ids),
            );
            entries.push(Entry {
                id: [start, u32::try_from(ids.len()).ok()?],
                suspensions: offer.suspensions,
                demands: place,
                has_alternates: offer.has_alternates,
            });
            details.push(offer.details);
        }
        Some(Self {
            index,
            ids: ids.into(),
            entries: entries.into(),
            details: details.into(),
            demands: demands.into(),
        })
    }

    pub(super) fn get(&self, id: &str) -> Option<FoundOffer<'_>> {
        let id = id.as_bytes();
        let has_id = |place: &u32| {
            let entry = self.entries.get(*place as usize);
            entry.and_then(|entry| entry.id(&self.ids)).is_some_and(|known| is_same(known, id))
        };
        let place = *self.index.find(hash(id), has_id)? as usize;
        let entry = self.entries.get(place)?;
        Some(FoundOffer {
            details: self.details.get(place)?,
            demands: self.demands.get(entry.demands as usize)?,
            has_alternates: entry.has_alternates,
            suspensions: entry.suspensions,
        })
    }
}

impl Entry {
    fn id<'i>(&self, ids: &'i [u8]) -> Option<&'i [u8]> {
        let [start, end] = self.id;
        ids.get(start as usize..end as usize)
    }
}

fn hash(id: &[u8]) -> u64 {
    FxBuildHasher.hash_one(id)
}

fn hash_at(place: u32, entries: &[Entry], ids: &[u8]) -> u64 {
    hash(entries.get(place as usize).and_then(|entry| entry.id(ids)).unwrap_or_default())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use crate::decision::Snapshot;
    use crate::domain::{
        Components, ProductClass, ProductId, Revision, RuleSet, Unit, Vendor, VendorId, Window,
    };

    /// One product, and an offer of it under each id; every third asks for one attribute, the rest for another.
    fn rules<'i>(ids: impl Iterator<Item = &'i str>) -> RuleSet {
        let (vendor, product) =
            (VendorId::parse("maker").unwrap(), ProductId::parse("thing").unwrap());
        let mut rules = RuleSet::default();
        let made = Vendor {
            id: vendor.clone(),
            name: "Maker".to_owned(),
            country: None,
            aliases: Vec::new(),
            former_names: Vec::new(),
            parents: Vec::new(),
        };
        rules.vendors.insert(vendor.clone(), Arc::new(made));
        let thing = Product {
            id: product.clone(),
            name: "Thing".to_owned(),
            class: ProductClass::parse("ANTIVIRUS").unwrap(),
            vendors: vec![vendor],
            components: Components::Known(Vec::new()),
        };
        rules.products.insert(product.clone(), Arc::new(thing));
        for (number, id) in ids.enumerate() {
            let id = OfferId::parse(id).unwrap();
            let required = if number % 3 == 0 { "paperless" } else { "kyc_complete" };
            let offer = Offer {
                id: id.clone(),
                product: product.clone(),
                title: None,
                unit: Unit::Person,
                max_per_unit: None,
                requires: vec![required.into()],
                countries: Vec::new(),
                min_age: None,
                max_age: None,
                window: Window::ALWAYS,
                outbound_excludes_vulnerable: false,
                alternates: Vec::new(),
                condition: None,
            };
            rules.offers.insert(id, Arc::new(offer));
        }
        rules
    }

    #[test]
    fn an_offer_is_found_under_its_id_and_under_no_other() {
        // Each is the beginning of all that follow.
        let ids: Vec<String> = (1..=64).map(|length| "kiss".repeat(16)[..length].into()).collect();
        let snapshot = Snapshot::compile(&rules(ids.iter().map(String::as_str)), Revision(1));
        let snapshot = snapshot.unwrap();
        for id in &ids {
            let found = snapshot.compiled.offers.get(id).unwrap();
            assert_eq!(found.details.offer.id.as_str(), id);
            assert_eq!(found.demands.requires.len(), 1);
        }
        let long = "kiss".repeat(16) + "k";
        for unknown in ["", "i", "Kiss", "kisk", "kiss ", long.as_str()] {
            assert!(snapshot.compiled.offers.get(unknown).is_none(), "{unknown:?}");
        }
    }

    #[test]
    fn offers_that_demand_the_same_share_it() {
        let ids: Vec<String> = (0..300).map(|number| format!("offer-{number}")).collect();
        let rules = rules(ids.iter().map(String::as_str));
        let snapshot = Snapshot::compile(&rules, Revision(1)).unwrap();
        assert_eq!(snapshot.compiled.offers.demands.len(), 2);
        for (id, offer) in &rules.offers {
            let found = snapshot.compiled.offers.get(id.as_str()).unwrap();
            let required = found.demands.requires.first().unwrap();
            let (name, _) = snapshot.terms.name_and_look(*required).unwrap();
            assert_eq!(Some(name), offer.requires.first());
        }
    }
}
