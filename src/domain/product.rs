//! Products and the components inside them (R11).

use super::{ProductClass, ProductId, VendorId, Window};

/// What is supplied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Product {
    /// Stable id.
    pub id: ProductId,
    /// What customers know it as.
    pub name: String,
    /// Its kind, such as `ANTIVIRUS`.
    pub class: ProductClass,
    /// Who supplies it; at least one.
    pub vendors: Vec<VendorId>,
    /// Parts made by others.
    pub components: Components,
}

/// A product's component list. Unknown is not empty: a suspension that includes components cannot
/// be decided for a product whose components nobody knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Components {
    /// Nobody has said what is inside. The value of an absent list.
    Unknown,
    /// These parts and no others.
    Known(Vec<Component>),
}

/// A part of a product made by another vendor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Component {
    /// Who makes it.
    pub vendor: VendorId,
    /// What it is called, if it has a name.
    pub name: Option<String>,
    /// While it is part of the product.
    pub window: Window,
}
