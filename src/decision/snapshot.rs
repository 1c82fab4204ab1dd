//! The compiled rules of one revision, as decisions read them.

use super::candidates::{Candidates, Lists};
use super::edges::Edges;
use super::offers::{Demands, OfferDetails, Offers};
use super::scope::CompiledScope;
use super::terms::Terms;
use crate::domain::{Exemption, Revision, Suspension};
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
    pub(super) offers: Offers,
    pub(super) lists: Lists,
    /// In the order in which decisions report them.
    pub(super) suspensions: Box<[CompiledSuspension]>,
    pub(super) edges: Edges,
}

/// An offer, and everything that can suspend it: by its product and vendors, and by itself.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked<'s> {
    pub(super) details: &'s OfferDetails,
    pub(super) demands: &'s Demands,
    pub(super) has_alternates: bool,
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
        self.compiled.offers.get(offer).map(|offer| offer.details.offer.product.as_str())
    }

    /// An offer and its candidates. One whose lists are missing counts as unknown: it must not look as if
    /// nothing suspended it.
    pub(super) fn offer(&self, id: &str) -> Option<Asked<'_>> {
        let Compiled { offers, lists, .. } = &*self.compiled;
        let found = offers.get(id)?;
        let [of_product, own] = found.suspensions;
        Some(Asked {
            details: found.details,
            demands: found.demands,
            has_alternates: found.has_alternates,
            candidates: [lists.get(of_product)?, lists.get(own)?],
        })
    }
}
