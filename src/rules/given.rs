//! A request as a test file gives it: read loosely, since a bad value is decided and not refused.
//!
//! Invariant: what is given and cannot be read becomes [`Attribute::Invalid`], or `None` for what
//! every request must have. It is never dropped and never becomes a default. `null` is the same as an
//! absent key where a key of ours may be absent; for an id, an offer or an action, and under a name of
//! the bank's own (a holding by product, an attribute), it is a value that cannot be read.

use super::fields::{Fields, Item};
use super::instant;
use super::tree::{Kind, Node};
use crate::domain::{
    Action, Attribute, AttributeValue, CheckRequest, Country, Customer, CustomerId, Date, Holding,
    HoldingStatus, Relationship, Timestamp,
};
use std::collections::BTreeMap;

/// A request that owns its text.
#[derive(Clone, PartialEq)]
pub struct GivenRequest {
    /// The customer's id; `None` for one that cannot be an id.
    pub customer_id: Option<String>,
    /// The offer's id as it was written; empty if it is no text.
    pub offer: String,
    /// The action; `None` for one that there is none of.
    pub action: Option<Action>,
    relationship: Attribute<Relationship>,
    country: Attribute<Country>,
    segment: Attribute<String>,
    us_person: Attribute<bool>,
    date_of_birth: Attribute<Date>,
    vulnerable: Attribute<bool>,
    channel: Attribute<String>,
    device: Attribute<String>,
    holding: Attribute<GivenHolding>,
    holdings: BTreeMap<String, GivenHolding>,
    attributes: BTreeMap<String, GivenValue>,
}

/// A holding that owns its text.
#[derive(Clone, PartialEq)]
struct GivenHolding {
    status: Attribute<HoldingStatus>,
    accepted_at: Attribute<Timestamp>,
    term_end: Attribute<Timestamp>,
    covered_by: Attribute<String>,
    unit_count: Attribute<u32>,
}

/// A value of one of the bank's own attributes, owning its text.
#[derive(Clone, PartialEq)]
enum GivenValue {
    Bool(bool),
    Number(f64),
    Text(String),
    Invalid,
}

const CUSTOMER: [&str; 10] = [
    "id",
    "relationship",
    "country",
    "segment",
    "us_person",
    "date_of_birth",
    "vulnerable",
    "holding",
    "holdings",
    "attributes",
];
const HOLDING: [&str; 5] = ["status", "accepted_at", "term_end", "covered_by", "unit_count"];

impl GivenRequest {
    /// Reads the request of a case. `None`, and noted, if a field that every request has is absent
    /// or a key is unknown; never for a bad value.
    pub(super) fn read(case: &Fields<'_>) -> Option<Self> {
        let offer = case.required("offer").map(|item| text(item.node).known().unwrap_or_default());
        let action = case.required("action").map(|item| named(item.node, Action::from_name));
        let customer = case.required("customer")?.fields(&CUSTOMER)?;
        let id = customer.required("id").map(|item| text(item.node).known());
        let given = |fields: &Fields<'_>, key: &str| fields.get(key).map(|item| item.node.clone());
        let value = |key| given(&customer, key);
        let holding = match customer.get("holding") {
            Some(item) => match item.node.kind {
                Kind::Null => Attribute::Missing,
                Kind::Map(_) => Attribute::Known(GivenHolding::read(&item)?),
                _ => Attribute::Invalid,
            },
            None => Attribute::Missing,
        };
        let holdings = customer.get("holdings").filter(|item| item.node.kind != Kind::Null);
        let holdings = holdings.map(|item| item.entries("holdings by product id"));
        let attributes = customer.get("attributes").filter(|item| item.node.kind != Kind::Null);
        let attributes = attributes.map(|item| item.entries("values by attribute name"));
        Some(Self {
            relationship: read(value("relationship"), |node| named(node, Relationship::from_name)),
            country: read(value("country"), |node| named(node, |text| Country::parse(text).ok())),
            segment: read(value("segment"), |node| text(node).known()),
            us_person: read(value("us_person"), boolean),
            date_of_birth: read(value("date_of_birth"), |node| {
                named(node, |text| instant::parse_day(text).ok())
            }),
            vulnerable: read(value("vulnerable"), boolean),
            channel: read(given(case, "channel"), |node| text(node).known()),
            device: read(given(case, "device"), |node| text(node).known()),
            holding,
            holdings: holdings
                .unwrap_or_default()
                .iter()
                .filter_map(|(id, item)| {
                    let holding = match item.node.kind {
                        Kind::Map(_) => GivenHolding::read(item)?,
                        _ => GivenHolding::INVALID,
                    };
                    Some(((*id).to_owned(), holding))
                })
                .collect(),
            attributes: attributes
                .unwrap_or_default()
                .iter()
                .map(|(name, item)| ((*name).to_owned(), GivenValue::read(item.node)))
                .collect(),
            customer_id: id?.filter(|id| CustomerId::allows(id)),
            offer: offer?,
            action: action?,
        })
    }

    /// The request for `action`, as it is decided. A customer without a readable id has none here.
    #[must_use]
    pub fn with_action(&self, action: Action) -> CheckRequest<'_> {
        CheckRequest {
            customer: Customer {
                id: self.customer_id.as_deref().unwrap_or_default(),
                relationship: self.relationship,
                country: self.country,
                segment: borrowed(&self.segment),
                us_person: self.us_person,
                date_of_birth: self.date_of_birth,
                vulnerable: self.vulnerable,
                holding: match &self.holding {
                    Attribute::Known(holding) => Attribute::Known(holding.borrow()),
                    Attribute::Missing => Attribute::Missing,
                    Attribute::Invalid => Attribute::Invalid,
                },
                holdings: self
                    .holdings
                    .iter()
                    .map(|(product, holding)| (product.as_str(), holding.borrow()))
                    .collect(),
                attributes: self
                    .attributes
                    .iter()
                    .map(|(name, value)| (name.as_str(), value.borrow()))
                    .collect(),
            },
            offer: &self.offer,
            action,
            channel: borrowed(&self.channel),
            device: borrowed(&self.device),
        }
    }
}

impl std::fmt::Debug for GivenRequest {
    /// Shows nothing of the customer, as [`Customer`] does not.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GivenRequest")
            .field("offer", &self.offer)
            .field("action", &self.action)
            .finish_non_exhaustive()
    }
}

impl GivenHolding {
    /// A holding of which nothing could be read.
    const INVALID: Self = Self {
        status: Attribute::Invalid,
        accepted_at: Attribute::Invalid,
        term_end: Attribute::Invalid,
        covered_by: Attribute::Invalid,
        unit_count: Attribute::Invalid,
    };

    fn read(item: &Item<'_>) -> Option<Self> {
        let fields = item.fields(&HOLDING)?;
        let value = |key| fields.get(key).map(|item| item.node.clone());
        let time = |node: &Node| named(node, |text| instant::parse(text, None).ok());
        Some(Self {
            status: read(value("status"), |node| named(node, HoldingStatus::from_name)),
            accepted_at: read(value("accepted_at"), time),
            term_end: read(value("term_end"), time),
            covered_by: read(value("covered_by"), |node| {
                text(node).known().filter(|id| CustomerId::allows(id))
            }),
            unit_count: read(value("unit_count"), |node| match &node.kind {
                Kind::Number(text) => text.parse().ok(),
                _ => None,
            }),
        })
    }

    fn borrow(&self) -> Holding<'_> {
        Holding {
            status: self.status,
            accepted_at: self.accepted_at,
            term_end: self.term_end,
            covered_by: borrowed(&self.covered_by),
            unit_count: self.unit_count,
        }
    }
}

impl GivenValue {
    fn read(node: &Node) -> Self {
        match &node.kind {
            Kind::Bool(value) => Self::Bool(*value),
            Kind::Text(text) => Self::Text(text.clone()),
            Kind::Number(text) => match text.parse::<f64>() {
                Ok(number) if number.is_finite() => Self::Number(number),
                _ => Self::Invalid,
            },
            Kind::Null | Kind::List(_) | Kind::Map(_) => Self::Invalid,
        }
    }

    fn borrow(&self) -> AttributeValue<'_> {
        match self {
            Self::Bool(value) => AttributeValue::Bool(*value),
            Self::Number(number) => AttributeValue::Number(*number),
            Self::Text(text) => AttributeValue::Text(text),
            Self::Invalid => AttributeValue::Invalid,
        }
    }
}

/// What is given, or missing, or invalid because `parse` makes nothing of it.
fn read<T>(given: Option<Node>, parse: impl FnOnce(&Node) -> Option<T>) -> Attribute<T> {
    let given = given.filter(|node| node.kind != Kind::Null);
    Attribute::read(given, |node| parse(&node))
}

/// A text; a plain number is one too, as it is spelled.
fn text(node: &Node) -> Attribute<String> {
    match &node.kind {
        Kind::Text(text) | Kind::Number(text) => Attribute::Known(text.clone()),
        Kind::Null | Kind::Bool(_) | Kind::List(_) | Kind::Map(_) => Attribute::Invalid,
    }
}

fn boolean(node: &Node) -> Option<bool> {
    match node.kind {
        Kind::Bool(value) => Some(value),
        _ => None,
    }
}

fn named<T>(node: &Node, parse: impl FnOnce(&str) -> Option<T>) -> Option<T> {
    parse(&text(node).known()?)
}

fn borrowed(text: &Attribute<String>) -> Attribute<&str> {
    match text {
        Attribute::Known(text) => Attribute::Known(text),
        Attribute::Missing => Attribute::Missing,
        Attribute::Invalid => Attribute::Invalid,
    }
}
