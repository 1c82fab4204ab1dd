//! All the rules of one revision.

use super::{
    Advisory, AdvisoryId, Channel, Device, Exemption, ExemptionId, Offer, OfferId, Product,
    ProductId, Segment, Suspension, SuspensionId, Vendor, VendorId,
};
use std::collections::BTreeMap;
use std::sync::Arc;

/// All the rules of one revision: what is known, what is offered, and what is suspended.
///
/// Whether its parts fit together is told by [`rules::check`](crate::rules::check).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RuleSet {
    /// The closed lists that scopes and requests draw from.
    pub vocabularies: Vocabularies,
    /// Vendors by id.
    pub vendors: BTreeMap<VendorId, Arc<Vendor>>,
    /// Products by id.
    pub products: BTreeMap<ProductId, Arc<Product>>,
    /// Offers by id.
    pub offers: BTreeMap<OfferId, Arc<Offer>>,
    /// Advisories by id.
    pub advisories: BTreeMap<AdvisoryId, Arc<Advisory>>,
    /// Suspensions by id: those to come and those that are over included.
    pub suspensions: BTreeMap<SuspensionId, Arc<Suspension>>,
    /// Exemptions by id.
    pub exemptions: BTreeMap<ExemptionId, Arc<Exemption>>,
}

impl RuleSet {
    /// The same rules in maps that are full: those that grew one by one, in order, take nearly twice the memory.
    #[must_use]
    pub fn packed(self) -> Self {
        Self {
            vocabularies: self.vocabularies,
            vendors: self.vendors.into_iter().collect(),
            products: self.products.into_iter().collect(),
            offers: self.offers.into_iter().collect(),
            advisories: self.advisories.into_iter().collect(),
            suspensions: self.suspensions.into_iter().collect(),
            exemptions: self.exemptions.into_iter().collect(),
        }
    }
}

/// Closed lists of segments, devices and channels. A value outside them is invalid, not a value
/// that nothing matches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vocabularies {
    /// Customer segments, at most 64.
    pub segments: Vec<Segment>,
    /// Kinds of device, at most 64.
    pub devices: Vec<Device>,
    /// Ways to reach the customer, at most 64.
    pub channels: Vec<Channel>,
}

impl Vocabularies {
    /// Most terms that one list may have.
    pub const MOST_TERMS: usize = 64;

    /// Channels on which the bank approaches the customer, by name, whatever else is in the list.
    pub const OUTBOUND: [&'static str; 3] = ["EMAIL", "SMS", "POST"];
}

/// The terms of rule sets that bring no lists of their own.
const SEGMENTS: [&str; 7] =
    ["RETAIL", "BUSINESS", "CNI", "GOV_CENTRAL", "GOV_FEDERAL", "GOV_NATSEC", "GOV_OTHER"];
const DEVICES: [&str; 2] = ["DESKTOP", "MOBILE"];
const CHANNELS: [&str; 7] = ["WEB", "APP", "BRANCH", "PHONE", "EMAIL", "SMS", "POST"];

impl Default for Vocabularies {
    fn default() -> Self {
        fn terms<T>(names: &[&str], parse: fn(&str) -> Result<T, super::InvalidId>) -> Vec<T> {
            names.iter().filter_map(|name| parse(name).ok()).collect()
        }
        Self {
            segments: terms(&SEGMENTS, Segment::parse),
            devices: terms(&DEVICES, Device::parse),
            channels: terms(&CHANNELS, Channel::parse),
        }
    }
}
