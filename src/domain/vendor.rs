//! Vendors: legal entities with dated names and dated ownership (R12).

use super::{Country, VendorId, Window};
use jiff::Timestamp;

/// A legal entity that supplies a product or a component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vendor {
    /// Stable: survives renames and takeovers.
    pub id: VendorId,
    /// Today's name.
    pub name: String,
    /// Where the entity is registered.
    pub country: Option<Country>,
    /// Other names that people look for. For search only: rules match by id.
    pub aliases: Vec<String>,
    /// Names it used to have. For search only.
    pub former_names: Vec<FormerName>,
    /// Who owns it, and when. Several at once is a joint venture.
    pub parents: Vec<Parent>,
}

/// A name that a vendor had until some instant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FormerName {
    /// The name.
    pub name: String,
    /// When it was given up, if known.
    pub until: Option<Timestamp>,
}

/// A dated ownership: `vendor` owns the entity during `window`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parent {
    /// The owner.
    pub vendor: VendorId,
    /// While it owns.
    pub window: Window,
}
