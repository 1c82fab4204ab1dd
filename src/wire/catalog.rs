//! Vendors, products and offers, as people read them.

use super::{proto, time};
use crate::domain::{Components, Offer, Product, Unit, Vendor, Window};

/// Writes a vendor.
#[must_use]
pub fn write_vendor(vendor: &Vendor) -> proto::Vendor {
    proto::Vendor {
        id: vendor.id.to_string(),
        name: vendor.name.clone(),
        country: vendor.country.map(|country| country.to_string()),
        aliases: vendor.aliases.clone(),
        former_names: (vendor.former_names.iter())
            .map(|former| proto::FormerName {
                name: former.name.clone(),
                until_time: former.until.map(time::write),
            })
            .collect(),
        parents: (vendor.parents.iter())
            .map(|parent| proto::Parent {
                vendor: parent.vendor.to_string(),
                window: Some(window(parent.window)),
            })
            .collect(),
    }
}

/// Writes a product.
#[must_use]
pub fn write_product(product: &Product) -> proto::Product {
    let (components, components_known) = match &product.components {
        Components::Unknown => (&[][..], false),
        Components::Known(components) => (components.as_slice(), true),
    };
    proto::Product {
        id: product.id.to_string(),
        name: product.name.clone(),
        product_class: product.class.to_string(),
        vendors: product.vendors.iter().map(ToString::to_string).collect(),
        components: (components.iter())
            .map(|component| proto::Component {
                vendor: component.vendor.to_string(),
                name: component.name.clone().unwrap_or_default(),
                window: Some(window(component.window)),
            })
            .collect(),
        components_known,
    }
}

/// Writes an offer.
#[must_use]
pub fn write_offer(offer: &Offer) -> proto::Offer {
    let unit = match offer.unit {
        Unit::Person => proto::Unit::Person,
        Unit::Account => proto::Unit::Account,
        Unit::Household => proto::Unit::Household,
        Unit::Organisation => proto::Unit::Organisation,
    };
    proto::Offer {
        id: offer.id.to_string(),
        product: offer.product.to_string(),
        title: offer.title.clone().unwrap_or_default(),
        unit: unit.into(),
        max_per_unit: offer.max_per_unit,
        requires: offer.requires.iter().map(ToString::to_string).collect(),
        countries: offer.countries.iter().map(ToString::to_string).collect(),
        min_age: offer.min_age.map(u32::from),
        max_age: offer.max_age.map(u32::from),
        window: Some(window(offer.window)),
        outbound_excludes_vulnerable: offer.outbound_excludes_vulnerable,
        alternates: offer.alternates.iter().map(ToString::to_string).collect(),
        condition: offer.condition.as_ref().map(ToString::to_string).unwrap_or_default(),
    }
}

fn window(window: Window) -> proto::Window {
    proto::Window {
        from_time: window.from.map(time::write),
        until_time: window.until.map(time::write),
    }
}
