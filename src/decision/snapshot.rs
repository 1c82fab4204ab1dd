//! The compiled rules of one revision, as decisions read them.

use super::candidates::Candidates;
use super::condition::Condition;
use super::scope::{CompiledScope, CountrySet};
use super::terms::Terms;
use crate::domain::{Exemption, Offer, OfferId, Product, Revision, Suspension};
use rustc_hash::FxHashMap;
use std::sync::Arc;

/// The compiled rules of one revision. Immutable: a change makes a new one, by
/// [`Snapshot::compile`].
#[derive(Debug)]
pub struct Snapshot {
    pub(super) revision: Revision,
    pub(super) terms: Arc<Terms>,
    /// Boxed, so that the free places of the map are small.
    pub(super) offers: Arc<FxHashMap<OfferId, Box<CompiledOffer>>>,
}

#[derive(Debug)]
pub(super) struct CompiledOffer {
    pub(super) offer: Arc<Offer>,
    pub(super) countries: Option<CountrySet>,
    pub(super) condition: Option<Box<Condition>>,
    pub(super) product: Arc<CompiledProduct>,
    /// Suspensions of this very offer.
    pub(super) candidates: Candidates,
}

#[derive(Debug)]
pub(super) struct CompiledProduct {
    pub(super) product: Arc<Product>,
    /// Suspensions of the product and of vendors behind it; shared by all its offers.
    pub(super) candidates: Candidates,
}

#[derive(Debug)]
pub(super) struct CompiledSuspension {
    pub(super) suspension: Arc<Suspension>,
    pub(super) scope: CompiledScope,
    /// The exemptions that name it.
    pub(super) exemptions: Box<[Arc<CompiledExemption>]>,
}

#[derive(Debug)]
pub(super) struct CompiledExemption {
    pub(super) exemption: Arc<Exemption>,
    pub(super) scope: CompiledScope,
}

impl Snapshot {
    /// The revision that was compiled.
    #[must_use]
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// The same rules, as a later revision that left them as they are.
    #[must_use]
    pub fn at(&self, revision: Revision) -> Self {
        Self { revision, terms: Arc::clone(&self.terms), offers: Arc::clone(&self.offers) }
    }

    /// The product that an offer is of; nothing for an offer that the rules do not know.
    #[must_use]
    pub fn product_of(&self, offer: &str) -> Option<&str> {
        self.offer(offer).map(|offer| offer.product().id.as_str())
    }

    pub(super) fn offer(&self, id: &str) -> Option<&CompiledOffer> {
        self.offers.get(id).map(|offer| &**offer)
    }
}

impl CompiledOffer {
    pub(super) fn product(&self) -> &Product {
        &self.product.product
    }

    /// Everything that can suspend the offer: by its product and vendors, and by itself.
    pub(super) fn candidates(&self) -> [&Candidates; 2] {
        [&self.product.candidates, &self.candidates]
    }
}
