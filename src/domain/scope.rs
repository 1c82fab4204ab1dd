//! Scopes: the dimensions that a rule states (R3).

use super::{Channel, Country, CustomerId, Device, ProductClass, Relationship, Segment};
use thin_vec::ThinVec;

/// What is about to happen between the customer and the product.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// Show or send the offer.
    Offer,
    /// Turn an accepted offer into an entitlement.
    Activate,
    /// Take up again what has lapsed or was cancelled.
    Reactivate,
    /// Prolong an active holding.
    Renew,
    /// Let the product update itself.
    Update,
    /// Let the customer use the product.
    Use,
    /// Tell the customer something. Never gated (R10).
    Notify,
}

impl Action {
    /// All of them, in the order of a product's life.
    pub const ALL: [Self; 7] = [
        Self::Offer,
        Self::Activate,
        Self::Reactivate,
        Self::Renew,
        Self::Update,
        Self::Use,
        Self::Notify,
    ];

    /// The name, as rule files and RPCs spell it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Offer => "OFFER",
            Self::Activate => "ACTIVATE",
            Self::Reactivate => "REACTIVATE",
            Self::Renew => "RENEW",
            Self::Update => "UPDATE",
            Self::Use => "USE",
            Self::Notify => "NOTIFY",
        }
    }

    /// The action with this name, which is case-sensitive.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.name() == name)
    }

    /// Whether the action gives the product to somebody who does not hold it (R9).
    #[must_use]
    pub fn is_for_new_holders(self) -> bool {
        matches!(self, Self::Offer | Self::Activate | Self::Reactivate)
    }
}

/// Whether the customer holds the product: new to the *product*, whatever the years with the bank.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Holder {
    /// No active holding of this product (R8).
    New,
    /// An active holding of this product.
    Existing,
}

impl Holder {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::New, Self::Existing];

    /// The name, as rule files and RPCs spell it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::New => "NEW",
            Self::Existing => "EXISTING",
        }
    }
}

/// A tie between a person and a country's law that holds wherever the person lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PersonNexus {
    /// A US person in the sense of US export rules.
    UsPerson,
}

impl PersonNexus {
    /// All of them.
    pub const ALL: [Self; 1] = [Self::UsPerson];

    /// The name, as rule files and RPCs spell it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::UsPerson => "US_PERSON",
        }
    }
}

/// The dimensions that a rule states. An empty list is an unstated dimension and matches all;
/// `countries` and `person_nexus` together mean *either* (R3).
///
/// There may be ten thousand scopes, of ten lists each, most of them empty: hence one word a list.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Scope {
    /// Lifecycle actions.
    pub actions: ThinVec<Action>,
    /// Countries of residence.
    pub countries: ThinVec<Country>,
    /// Ties to a country's law, wherever the person lives.
    pub person_nexus: ThinVec<PersonNexus>,
    /// Customer segments.
    pub segments: ThinVec<Segment>,
    /// New or existing holders of the product.
    pub holders: ThinVec<Holder>,
    /// New or existing customers of the bank.
    pub relationships: ThinVec<Relationship>,
    /// Kinds of device.
    pub devices: ThinVec<Device>,
    /// Ways to reach the customer.
    pub channels: ThinVec<Channel>,
    /// Kinds of product.
    pub product_classes: ThinVec<ProductClass>,
    /// Named customers.
    pub customers: ThinVec<CustomerId>,
}
