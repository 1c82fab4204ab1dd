//! The compiled rules of one revision, as decisions read them.

use super::candidates::Candidates;
use super::condition::Condition;
use super::scope::{CompiledScope, CountrySet};
use super::terms::Terms;
use crate::domain::{
    Exemption, Offer, OfferId, Product, ReasonCode, ReportedSuspension, Revision, Suspension,
};
use rustc_hash::FxHashMap;
use std::borrow::Cow;
use std::sync::Arc;

/// The compiled rules of one revision. Immutable: a change makes a new one, by
/// [`Snapshot::compile`].
#[derive(Debug)]
pub struct Snapshot {
    pub(super) revision: Revision,
    pub(super) terms: Terms,
    pub(super) offers: FxHashMap<OfferId, CompiledOffer>,
    /// In the order in which decisions report them: by `from`, then id.
    pub(super) suspensions: Box<[CompiledSuspension]>,
    pub(super) exemptions: Box<[CompiledExemption]>,
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
    /// Places of the exemptions that name it.
    pub(super) exemptions: Box<[usize]>,
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

    /// Whether the rules know this offer.
    #[must_use]
    pub fn knows_offer(&self, id: &str) -> bool {
        self.offers.contains_key(id)
    }

    pub(super) fn offer(&self, id: &str) -> Option<&CompiledOffer> {
        self.offers.get(id)
    }

    pub(super) fn suspension(&self, place: u32) -> Option<&CompiledSuspension> {
        self.suspensions.get(place as usize)
    }

    /// A suspension as a decision reports it.
    pub(super) fn reported(&self, place: u32, code: ReasonCode) -> Option<ReportedSuspension<'_>> {
        let suspension = Cow::Borrowed(&self.suspension(place)?.suspension);
        Some(ReportedSuspension { suspension, code })
    }

    pub(super) fn exemptions_of(
        &self,
        suspension: &CompiledSuspension,
    ) -> impl Iterator<Item = &CompiledExemption> {
        suspension.exemptions.iter().filter_map(|place| self.exemptions.get(*place))
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
