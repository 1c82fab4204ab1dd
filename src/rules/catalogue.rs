//! Vendors, products, offers and advisories as a rule file writes them.
//!
//! For each noun the keys, a reader and a writer, side by side: what the one writes the other reads
//! back as the same value. What an absent key means is left out by the writer.

use super::fields::{Fields, Item};
use super::tree::{Entry, Kind, Node};
use crate::domain::{
    Advisory, AdvisoryId, AdvisoryStatus, Component, Components, Country, Force, FormerName, Offer,
    OfferId, Parent, Product, ProductClass, ProductId, Timestamp, Unit, Vendor, VendorId, Window,
};
use std::sync::Arc;

/// The oldest age that a rule may speak of.
pub(super) const OLDEST: u32 = 150;

/// Most entitlements that a rule may grant to one unit.
pub(super) const MOST_PER_UNIT: u32 = 1_000_000;

const VENDOR: [&str; 6] = ["name", "country", "aliases", "former_names", "parent", "parents"];
const PRODUCT: [&str; 4] = ["name", "class", "vendors", "components"];
const OFFER: [&str; 13] = [
    "product",
    "title",
    "unit",
    "max_per_unit",
    "requires",
    "countries",
    "min_age",
    "max_age",
    "from",
    "until",
    "outbound_excludes_vulnerable",
    "alternates",
    "condition",
];
const ADVISORY: [&str; 6] = ["issuer", "force", "status", "issued", "title", "url"];

/// The keys of a map that is being written, in the order in which people read them.
#[derive(Default)]
pub(super) struct Written(Vec<Entry>);

impl Written {
    /// Adds a key, if there is something to say.
    pub(super) fn put(mut self, key: &str, value: Option<Node>) -> Self {
        if let Some(value) = value {
            self.0.push(Entry { key: key.to_owned(), key_place: None, value });
        }
        self
    }

    /// Adds a text.
    pub(super) fn text(self, key: &str, text: impl ToString) -> Self {
        self.put(key, Some(Node::text(&text)))
    }

    /// Adds a text, if there is one.
    pub(super) fn maybe<T: ToString>(self, key: &str, text: Option<T>) -> Self {
        self.put(key, text.map(|text| Node::text(&text)))
    }

    /// Adds a number, if there is one.
    fn number(self, key: &str, number: Option<u32>) -> Self {
        self.put(key, number.map(|number| Kind::Number(number.to_string()).into()))
    }

    /// Adds a list, unless it is empty.
    pub(super) fn list<T>(self, key: &str, items: &[T], write: impl Fn(&T) -> Node) -> Self {
        let list = || Kind::List(items.iter().map(write).collect()).into();
        self.put(key, (!items.is_empty()).then(list))
    }

    /// Adds the ends of a window, where it has them.
    fn window(self, window: &Window) -> Self {
        self.maybe("from", window.from).maybe("until", window.until)
    }

    /// The map.
    pub(super) fn map(self) -> Node {
        Kind::Map(self.0).into()
    }
}

impl Fields<'_> {
    /// The window of `from` and `until`, both of which may be absent.
    fn window(&self) -> Window {
        let end = |key| self.get(key).and_then(|item| item.instant());
        Window { from: end("from"), until: end("until") }
    }

    /// A text that may be absent.
    pub(super) fn maybe_text(&self, key: &str) -> Option<String> {
        Some(self.get(key)?.text()?.to_owned())
    }

    /// A text that must be there.
    pub(super) fn required_text(&self, key: &str) -> Option<String> {
        Some(self.required(key)?.text()?.to_owned())
    }

    /// An instant that may be absent.
    pub(super) fn maybe_instant(&self, key: &str) -> Option<Timestamp> {
        self.get(key)?.instant()
    }
}

/// Reads an item of a list of countries.
pub(super) fn country(item: &Item<'_>) -> Option<Country> {
    item.parsed(Country::parse)
}

pub(super) fn read_vendor(id: &VendorId, item: &Item<'_>) -> Option<Vendor> {
    let fields = item.fields(&VENDOR)?;
    let texts = |item: Item<'_>| item.list("texts", |alias| alias.text().map(str::to_owned));
    let parents = match (fields.get("parent"), fields.get("parents")) {
        (Some(_), Some(_)) => fields
            .refuse("`parent` is short for `parents` with one item; state one of the two")
            .unwrap_or_default(),
        (Some(parent), None) => parent
            .parsed(VendorId::parse)
            .map(|vendor| Parent { vendor, window: Window::ALWAYS })
            .into_iter()
            .collect(),
        (None, Some(parents)) => parents.list("owners", read_parent),
        (None, None) => Vec::new(),
    };
    let name = fields.required_text("name");
    Some(Vendor {
        id: id.clone(),
        country: fields.get("country").as_ref().and_then(country),
        aliases: fields.get("aliases").map(texts).unwrap_or_default(),
        former_names: fields
            .get("former_names")
            .map(|names| names.list("names", read_former_name))
            .unwrap_or_default(),
        parents,
        name: name?,
    })
}

fn read_parent(item: &Item<'_>) -> Option<Parent> {
    let fields = item.fields(&["vendor", "from", "until"])?;
    let vendor = fields.required("vendor").and_then(|item| item.parsed(VendorId::parse));
    let window = fields.window();
    Some(Parent { vendor: vendor?, window })
}

fn read_former_name(item: &Item<'_>) -> Option<FormerName> {
    let fields = item.fields(&["name", "until"])?;
    let name = fields.required_text("name");
    let until = fields.maybe_instant("until");
    Some(FormerName { name: name?, until })
}

pub(super) fn write_vendor(vendor: &Vendor) -> Node {
    let parent = match vendor.parents.as_slice() {
        [Parent { vendor, window: Window::ALWAYS }] => Some(vendor),
        _ => None,
    };
    let parents = if parent.is_some() { &[] } else { vendor.parents.as_slice() };
    Written::default()
        .text("name", &vendor.name)
        .maybe("country", vendor.country)
        .list("aliases", &vendor.aliases, Node::text)
        .list("former_names", &vendor.former_names, |former| {
            Written::default().text("name", &former.name).maybe("until", former.until).map()
        })
        .maybe("parent", parent)
        .list("parents", parents, |parent| {
            Written::default().text("vendor", &parent.vendor).window(&parent.window).map()
        })
        .map()
}

pub(super) fn read_product(id: &ProductId, item: &Item<'_>) -> Option<Product> {
    let fields = item.fields(&PRODUCT)?;
    let name = fields.required_text("name");
    let class = fields.required("class").and_then(|item| item.parsed(ProductClass::parse));
    let vendors = fields.required("vendors").map(|item| {
        item.filled_list("vendor ids", "a product has a vendor", |id| id.parsed(VendorId::parse))
    });
    let components = fields.get("components").map_or(Components::Unknown, |item| {
        if matches!(&item.node.kind, Kind::Text(text) if text == "unknown") {
            return Components::Unknown;
        }
        Components::Known(item.list("components, or `unknown`", read_component))
    });
    Some(Product { id: id.clone(), name: name?, class: class?, vendors: vendors?, components })
}

fn read_component(item: &Item<'_>) -> Option<Component> {
    let fields = item.fields(&["vendor", "name", "from", "until"])?;
    let vendor = fields.required("vendor").and_then(|item| item.parsed(VendorId::parse));
    let (name, window) = (fields.maybe_text("name"), fields.window());
    Some(Component { vendor: vendor?, name, window })
}

pub(super) fn write_product(product: &Product) -> Node {
    let component = |component: &Component| {
        Written::default()
            .text("vendor", &component.vendor)
            .maybe("name", component.name.as_ref())
            .window(&component.window)
            .map()
    };
    let components = match &product.components {
        // Written out, since nobody should have to know what an absent list means.
        Components::Unknown => Node::text("unknown"),
        Components::Known(known) => Kind::List(known.iter().map(component).collect()).into(),
    };
    Written::default()
        .text("name", &product.name)
        .text("class", &product.class)
        .list("vendors", &product.vendors, Node::text)
        .put("components", Some(components))
        .map()
}

pub(super) fn read_offer(id: &OfferId, item: &Item<'_>) -> Option<Offer> {
    let fields = item.fields(&OFFER)?;
    let product = fields.required("product").and_then(|item| item.parsed(ProductId::parse));
    let age = |key| {
        let years = fields.get(key)?.whole_number(0, OLDEST)?;
        u8::try_from(years).ok()
    };
    // Attributes are named as everything else is, so that a reason can carry the name.
    let attribute = |item: &Item<'_>| item.parsed(ProductClass::parse).map(|name| name.shared());
    Some(Offer {
        id: id.clone(),
        title: fields.maybe_text("title"),
        unit: fields
            .get("unit")
            .and_then(|item| item.one_of(&Unit::ALL, Unit::name))
            .unwrap_or(Unit::Person),
        max_per_unit: fields
            .get("max_per_unit")
            .and_then(|item| item.whole_number(1, MOST_PER_UNIT)),
        requires: fields
            .get("requires")
            .map(|item| item.list("attribute names", attribute))
            .unwrap_or_default(),
        countries: fields
            .get("countries")
            .map(|item| item.filled_list("countries", "leave it out to serve everybody", country))
            .unwrap_or_default(),
        min_age: age("min_age"),
        max_age: age("max_age"),
        window: fields.window(),
        outbound_excludes_vulnerable: fields
            .get("outbound_excludes_vulnerable")
            .and_then(|item| item.boolean())
            .unwrap_or(false),
        alternates: fields
            .get("alternates")
            .map(|item| item.list("offer ids", |id| id.parsed(OfferId::parse)))
            .unwrap_or_default(),
        condition: fields.maybe_text("condition").map(Arc::from),
        product: product?,
    })
}

pub(super) fn write_offer(offer: &Offer) -> Node {
    let unit = (offer.unit != Unit::Person).then(|| offer.unit.name());
    let excludes = offer.outbound_excludes_vulnerable.then(|| Kind::Bool(true).into());
    Written::default()
        .text("product", &offer.product)
        .maybe("title", offer.title.as_ref())
        .maybe("unit", unit)
        .number("max_per_unit", offer.max_per_unit)
        .list("requires", &offer.requires, Node::text)
        .list("countries", &offer.countries, Node::text)
        .number("min_age", offer.min_age.map(u32::from))
        .number("max_age", offer.max_age.map(u32::from))
        .window(&offer.window)
        .put("outbound_excludes_vulnerable", excludes)
        .list("alternates", &offer.alternates, Node::text)
        .maybe("condition", offer.condition.as_ref())
        .map()
}

pub(super) fn read_advisory(id: &AdvisoryId, item: &Item<'_>) -> Option<Advisory> {
    let fields = item.fields(&ADVISORY)?;
    let issuer = fields.required_text("issuer");
    let force = fields.required("force").and_then(|item| item.one_of(&Force::ALL, Force::name));
    let issued = fields.required("issued").and_then(|item| item.day());
    let status = fields
        .get("status")
        .and_then(|item| item.one_of(&AdvisoryStatus::ALL, AdvisoryStatus::name))
        .unwrap_or_default();
    let (title, url) = (fields.maybe_text("title"), fields.maybe_text("url"));
    Some(Advisory {
        id: id.clone(),
        issuer: issuer?,
        force: force?,
        status,
        issued: issued?,
        title,
        url,
    })
}

pub(super) fn write_advisory(advisory: &Advisory) -> Node {
    let status = (advisory.status != AdvisoryStatus::default()).then(|| advisory.status.name());
    Written::default()
        .text("issuer", &advisory.issuer)
        .text("force", advisory.force.name())
        .maybe("status", status)
        .text("issued", advisory.issued)
        .maybe("title", advisory.title.as_ref())
        .maybe("url", advisory.url.as_ref())
        .map()
}
