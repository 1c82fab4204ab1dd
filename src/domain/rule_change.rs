//! Changes: what turns one rule set into the next.

use super::{
    Advisory, AdvisoryId, Exemption, ExemptionId, Offer, OfferId, Product, ProductId, RuleSet,
    Suspension, Vendor, VendorId, Vocabularies,
};
use std::sync::Arc;

/// One step of a change: a whole new state of one thing, or its removal. A suspension has no
/// removal: it is lifted, never deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RuleEdit {
    /// Replaces the closed lists.
    SetVocabularies(Vocabularies),
    /// Adds or replaces a vendor.
    PutVendor(Arc<Vendor>),
    /// Takes a vendor out of the catalogue.
    RemoveVendor(VendorId),
    /// Adds or replaces a product.
    PutProduct(Arc<Product>),
    /// Takes a product out of the catalogue.
    RemoveProduct(ProductId),
    /// Adds or replaces an offer.
    PutOffer(Arc<Offer>),
    /// Takes an offer out of the catalogue.
    RemoveOffer(OfferId),
    /// Adds or replaces an advisory.
    PutAdvisory(Arc<Advisory>),
    /// Takes an advisory out.
    RemoveAdvisory(AdvisoryId),
    /// Adds or replaces a suspension.
    PutSuspension(Arc<Suspension>),
    /// Adds or replaces an exemption.
    PutExemption(Arc<Exemption>),
    /// Takes an exemption out.
    RemoveExemption(ExemptionId),
}

impl RuleEdit {
    /// What it touches: the section of a rule file and the id in it.
    #[must_use]
    pub fn subject(&self) -> (&'static str, &str) {
        match self {
            Self::SetVocabularies(_) => ("vocabularies", ""),
            Self::PutVendor(vendor) => ("vendors", vendor.id.as_str()),
            Self::RemoveVendor(id) => ("vendors", id.as_str()),
            Self::PutProduct(product) => ("products", product.id.as_str()),
            Self::RemoveProduct(id) => ("products", id.as_str()),
            Self::PutOffer(offer) => ("offers", offer.id.as_str()),
            Self::RemoveOffer(id) => ("offers", id.as_str()),
            Self::PutAdvisory(advisory) => ("advisories", advisory.id.as_str()),
            Self::RemoveAdvisory(id) => ("advisories", id.as_str()),
            Self::PutSuspension(suspension) => ("suspensions", suspension.id.as_str()),
            Self::PutExemption(exemption) => ("exemptions", exemption.id.as_str()),
            Self::RemoveExemption(id) => ("exemptions", id.as_str()),
        }
    }
}

/// What one revision does to the rule set before it, in order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RuleChange {
    /// The steps.
    pub edits: Vec<RuleEdit>,
}

impl RuleChange {
    /// Whether it changes nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.edits.is_empty()
    }
}

impl RuleSet {
    /// The rule set after `change`; `self` is left as it is, and what did not change is shared.
    #[must_use]
    pub fn after(&self, change: &RuleChange) -> Self {
        let mut next = self.clone();
        next.apply(change);
        next
    }

    /// Makes `change` in place: for a reader of a long history, who needs no state in between.
    pub fn apply(&mut self, change: &RuleChange) {
        for edit in &change.edits {
            self.edit(edit);
        }
    }

    fn edit(&mut self, edit: &RuleEdit) {
        match edit {
            RuleEdit::SetVocabularies(terms) => self.vocabularies = terms.clone(),
            RuleEdit::PutVendor(vendor) => {
                self.vendors.insert(vendor.id.clone(), Arc::clone(vendor));
            }
            RuleEdit::RemoveVendor(id) => {
                self.vendors.remove(id);
            }
            RuleEdit::PutProduct(product) => {
                self.products.insert(product.id.clone(), Arc::clone(product));
            }
            RuleEdit::RemoveProduct(id) => {
                self.products.remove(id);
            }
            RuleEdit::PutOffer(offer) => {
                self.offers.insert(offer.id.clone(), Arc::clone(offer));
            }
            RuleEdit::RemoveOffer(id) => {
                self.offers.remove(id);
            }
            RuleEdit::PutAdvisory(advisory) => {
                self.advisories.insert(advisory.id.clone(), Arc::clone(advisory));
            }
            RuleEdit::RemoveAdvisory(id) => {
                self.advisories.remove(id);
            }
            RuleEdit::PutSuspension(suspension) => {
                self.suspensions.insert(suspension.id.clone(), Arc::clone(suspension));
            }
            RuleEdit::PutExemption(exemption) => {
                self.exemptions.insert(exemption.id.clone(), Arc::clone(exemption));
            }
            RuleEdit::RemoveExemption(id) => {
                self.exemptions.remove(id);
            }
        }
    }
}
