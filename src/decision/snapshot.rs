//! The compiled rules of one revision, as decisions read them.

use super::candidates::{Candidates, List, Lists};
use super::condition::Condition;
use super::criteria::StatedCriteria;
use super::edges::Edges;
use super::scope::{CompiledScope, CountrySet};
use super::terms::{Required, Terms};
use crate::domain::{Exemption, Offer, Product, Revision, Suspension};
use indexmap::IndexMap;
use rustc_hash::FxBuildHasher;
use smallvec::SmallVec;
use std::sync::Arc;

/// The compiled rules of one revision. Immutable: a change makes a new one, by
/// [`Snapshot::compile`].
#[derive(Debug)]
pub struct Snapshot {
    pub(super) revision: Revision,
    pub(super) terms: Arc<Terms>,
    pub(super) compiled: Arc<Compiled>,
}

/// What is compiled for decisions alone. Most of what a decision costs is memory that is in no near cache, so
/// whatever most of them read is small and lies together.
#[derive(Debug)]
pub(super) struct Compiled {
    /// By copies of their ids, which lie together, too.
    pub(super) offers: IndexMap<Box<str>, CompiledOffer, FxBuildHasher>,
    pub(super) lists: Lists,
    pub(super) edges: Edges,
}

/// An offer, with what decisions ask of it. The rest is behind a pointer that few follow.
#[derive(Debug)]
pub(super) struct CompiledOffer {
    pub(super) offer: Arc<Offer>,
    pub(super) product: Arc<CompiledProduct>,
    /// Suspensions of this very offer.
    pub(super) suspensions: List,
    /// The criteria that it states.
    pub(super) criteria: StatedCriteria,
    /// The attributes that it requires.
    pub(super) requires: SmallVec<[Required; 4]>,
    pub(super) max_per_unit: Option<u32>,
    pub(super) countries: Option<Box<CountrySet>>,
    pub(super) condition: Option<Box<Condition>>,
    pub(super) has_alternates: bool,
}

#[derive(Debug)]
pub(super) struct CompiledProduct {
    pub(super) product: Arc<Product>,
    /// Suspensions of the product and of vendors behind it; shared by all its offers.
    pub(super) suspensions: List,
}

/// An offer, and everything that can suspend it: by its product and vendors, and by itself.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked<'s> {
    pub(super) offer: &'s CompiledOffer,
    pub(super) candidates: [Candidates<'s>; 2],
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
        Self { revision, terms: Arc::clone(&self.terms), compiled: Arc::clone(&self.compiled) }
    }

    /// The product that an offer is of; nothing for an offer that the rules do not know.
    #[must_use]
    pub fn product_of(&self, offer: &str) -> Option<&str> {
        self.compiled.offers.get(offer).map(|offer| offer.offer.product.as_str())
    }

    /// An offer and its candidates. One whose lists are missing counts as unknown: it must not look as if
    /// nothing suspended it.
    pub(super) fn offer(&self, id: &str) -> Option<Asked<'_>> {
        let Compiled { offers, lists, .. } = &*self.compiled;
        let offer = offers.get(id)?;
        let candidates = [lists.get(offer.product.suspensions)?, lists.get(offer.suspensions)?];
        Some(Asked { offer, candidates })
    }
}
