//! Offers: the bank's terms for giving a product (R7).

use super::{Country, OfferId, ProductId, Window};
use std::sync::Arc;

/// The bank's terms for giving a product to a customer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// Stable id.
    pub id: OfferId,
    /// What is given.
    pub product: ProductId,
    /// What the customer reads.
    pub title: Option<String>,
    /// What an entitlement counts for.
    pub unit: Unit,
    /// How many entitlements one unit may hold; no limit when `None`.
    pub max_per_unit: Option<u32>,
    /// Names of the customer's own boolean attributes that must be true.
    pub requires: Vec<Arc<str>>,
    /// Countries of residence served; all when empty.
    pub countries: Vec<Country>,
    /// Youngest age in full years, included.
    pub min_age: Option<u8>,
    /// Oldest age in full years, included.
    pub max_age: Option<u8>,
    /// While the offer is open.
    pub window: Window,
    /// Whether vulnerable customers are left out of outbound `OFFER`s.
    pub outbound_excludes_vulnerable: bool,
    /// Other offers to suggest, best first (R13).
    pub alternates: Vec<OfferId>,
    /// A condition in CEL over the customer's attributes, as written.
    pub condition: Option<Arc<str>>,
}

impl Offer {
    /// Most characters that a condition may have. Compiling one is not bounded otherwise.
    pub const LONGEST_CONDITION: usize = 1_000;
}

/// What an entitlement counts for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Unit {
    /// One person.
    Person,
    /// One account, however many people hold it.
    Account,
    /// One household.
    Household,
    /// One organisation.
    Organisation,
}

impl Unit {
    /// All of them, in the order of their names in the rule files' reference.
    pub const ALL: [Self; 4] = [Self::Person, Self::Account, Self::Household, Self::Organisation];

    /// The name, as rule files and RPCs spell it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Person => "PERSON",
            Self::Account => "ACCOUNT",
            Self::Household => "HOUSEHOLD",
            Self::Organisation => "ORGANISATION",
        }
    }
}
