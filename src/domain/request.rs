//! What a caller asks, and what it says about the customer.
//!
//! A request borrows the text it came with, so that asking costs no allocation.
//!
//! Invariant: a value that the caller gave and that cannot be read stays visible as
//! [`Attribute::Invalid`]. It is never dropped and never turned into a default, since a rule that
//! would have matched it must not be missed (R6).

use super::{Action, Country, Token};
use jiff::Timestamp;
use jiff::civil::Date;
use smallvec::SmallVec;
use std::fmt;
use std::sync::Arc;

/// May this customer be offered, or keep using, this product, through this offer?
#[derive(Debug, Clone, PartialEq)]
pub struct CheckRequest<'a> {
    /// Who.
    pub customer: Customer<'a>,
    /// Through which offer. One that the rules do not know is `OFFER_UNKNOWN` (R14).
    pub offer: &'a str,
    /// To do what.
    pub action: Action,
    /// Where the customer is met, such as `EMAIL`.
    pub channel: Attribute<&'a str>,
    /// On what the product would run, such as `MOBILE`.
    pub device: Attribute<&'a str>,
}

/// How new the rules must be that an answer rests on.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Consistency {
    /// No older than the staleness limit.
    #[default]
    Leased,
    /// At least as new as this place in history, and of the same history.
    AtLeast(Token),
    /// The newest, looked up before answering.
    Strict,
}

/// What the caller says about a customer.
#[derive(Clone, PartialEq, Default)]
pub struct Customer<'a> {
    /// The bank's own id; one that [`CustomerId::allows`](super::CustomerId::allows).
    pub id: &'a str,
    /// New or existing customer of the bank.
    pub relationship: Attribute<Relationship>,
    /// Country of residence.
    pub country: Attribute<Country>,
    /// Segment; whether the vocabulary knows it is found when it is decided.
    pub segment: Attribute<&'a str>,
    /// Whether US law follows this person everywhere.
    pub us_person: Attribute<bool>,
    /// Born on.
    pub date_of_birth: Attribute<Date>,
    /// Whether the bank treats this customer as vulnerable.
    pub vulnerable: Attribute<bool>,
    /// The holding of the asked offer's product; nothing else speaks for it.
    pub holding: Attribute<Holding<'a>>,
    /// Holdings by product id, for alternates of another product and for the list of eligible offers.
    pub holdings: SmallVec<[(&'a str, Holding<'a>); 2]>,
    /// The bank's own attributes, each name once.
    pub attributes: SmallVec<[(&'a str, AttributeValue<'a>); 8]>,
}

impl fmt::Debug for Customer<'_> {
    /// Shows nothing: what a caller says about a customer belongs in no log line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Customer(..)")
    }
}

impl<'a> Customer<'a> {
    /// The same customer, borrowed for less long, so that it can be asked about together with
    /// something that lives shorter.
    #[must_use]
    pub fn shorter<'b>(&self) -> Customer<'b>
    where
        'a: 'b,
    {
        Customer {
            id: self.id,
            relationship: self.relationship,
            country: self.country,
            segment: self.segment,
            us_person: self.us_person,
            date_of_birth: self.date_of_birth,
            vulnerable: self.vulnerable,
            holding: self.holding,
            holdings: self.holdings.iter().copied().collect(),
            attributes: self.attributes.iter().copied().collect(),
        }
    }

    /// The bank's own attribute of this name.
    #[must_use]
    pub fn attribute(&self, name: &str) -> Option<AttributeValue<'a>> {
        let is_it = |given: &str| is_same(given.as_bytes(), name.as_bytes());
        self.attributes.iter().find(|(given, _)| is_it(given)).map(|(_, value)| *value)
    }

    /// The holding that the caller gave for a product in `holdings`.
    #[must_use]
    pub fn holding_of(&self, product: &str) -> Option<&Holding<'a>> {
        self.holdings.iter().find(|(given, _)| *given == product).map(|(_, holding)| holding)
    }
}

/// Whether two names are equal. Names are short, and calling `memcmp` for each would cost a sixth of a
/// decision.
pub(crate) fn is_same(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len()
        && match one.len() {
            0..4 => one.iter().eq(other),
            4..8 => ends::<4>(one, other),
            8..=16 => ends::<8>(one, other),
            _ => one == other,
        }
}

/// Whether the first bytes are the same, and the last, which may be some of the first.
fn ends<const N: usize>(one: &[u8], other: &[u8]) -> bool {
    match (one.first_chunk::<N>(), other.first_chunk(), one.last_chunk::<N>(), other.last_chunk()) {
        (Some(a), Some(b), Some(c), Some(d)) => a == b && c == d,
        _ => false,
    }
}

/// A thing the caller may have said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Attribute<T> {
    /// Not said.
    #[default]
    Missing,
    /// Said, but not readable as what it should be.
    Invalid,
    /// Said.
    Known(T),
}

impl<T> Attribute<T> {
    /// The value, if there is one to use.
    pub fn known(self) -> Option<T> {
        match self {
            Self::Known(value) => Some(value),
            Self::Missing | Self::Invalid => None,
        }
    }

    /// The same attribute, borrowed.
    pub fn as_ref(&self) -> Attribute<&T> {
        match self {
            Self::Known(value) => Attribute::Known(value),
            Self::Missing => Attribute::Missing,
            Self::Invalid => Attribute::Invalid,
        }
    }

    /// The same attribute with another value, where there is one.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Attribute<U> {
        match self {
            Self::Known(value) => Attribute::Known(change(value)),
            Self::Missing => Attribute::Missing,
            Self::Invalid => Attribute::Invalid,
        }
    }

    /// Reads a text that may be absent; text that `parse` refuses is invalid, not missing.
    pub fn read<S>(given: Option<S>, parse: impl FnOnce(S) -> Option<T>) -> Self {
        match given {
            None => Self::Missing,
            Some(text) => parse(text).map_or(Self::Invalid, Self::Known),
        }
    }
}

/// The customer's relation to a product, as the caller tells it. Fields that a status does not use
/// are ignored (R3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Holding<'a> {
    /// Where the holding stands.
    pub status: Attribute<HoldingStatus>,
    /// When the offer was accepted; used by `ACCEPTED`.
    pub accepted_at: Attribute<Timestamp>,
    /// First instant after the term; used by `ACTIVE`, where absence means open.
    pub term_end: Attribute<Timestamp>,
    /// The unit's holder through whom this person is covered; absence means nobody.
    pub covered_by: Attribute<&'a str>,
    /// How many this unit holds already; absence means 1 if active or covered, else 0.
    pub unit_count: Attribute<u32>,
}

impl Holding<'_> {
    /// Never had it.
    pub const NONE: Self = Self {
        status: Attribute::Known(HoldingStatus::None),
        accepted_at: Attribute::Missing,
        term_end: Attribute::Missing,
        covered_by: Attribute::Missing,
        unit_count: Attribute::Missing,
    };
}

/// Where a holding stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HoldingStatus {
    /// Never had it.
    None,
    /// Accepted and not yet activated.
    Accepted,
    /// Active, up to the end of its term.
    Active,
    /// Ran out.
    Lapsed,
    /// Given up.
    Cancelled,
}

impl HoldingStatus {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::None, Self::Accepted, Self::Active, Self::Lapsed, Self::Cancelled];

    /// The name, as files and RPCs spell it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "NONE",
            Self::Accepted => "ACCEPTED",
            Self::Active => "ACTIVE",
            Self::Lapsed => "LAPSED",
            Self::Cancelled => "CANCELLED",
        }
    }

    /// The status with this name, which is case-sensitive.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.name() == name)
    }
}

/// New or existing customer of the *bank*.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Relationship {
    /// Just joining.
    New,
    /// Already a customer.
    Existing,
}

impl Relationship {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::New, Self::Existing];

    /// The name, as files and RPCs spell it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::New => "NEW",
            Self::Existing => "EXISTING",
        }
    }

    /// The relationship with this name, which is case-sensitive.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|relationship| relationship.name() == name)
    }
}

/// A value of one of the bank's own attributes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum AttributeValue<'a> {
    /// True or false.
    Bool(bool),
    /// A finite number.
    Number(f64),
    /// A text.
    Text(&'a str),
    /// Neither: null, a list, a nested map, or a number that is not finite.
    Invalid,
}

/// The name of an attribute in a reason, as the request spells it: `country`, `holding.status`, or
/// the plain name of one of the bank's own attributes.
#[derive(Debug, Clone)]
pub enum AttributeName {
    /// One that every request can have.
    Standard(&'static str),
    /// One of the bank's own, named by an offer.
    Own(Arc<str>),
}

impl AttributeName {
    /// The name itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Standard(name) => name,
            Self::Own(name) => name,
        }
    }
}

impl PartialEq for AttributeName {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for AttributeName {}

impl PartialOrd for AttributeName {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for AttributeName {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.as_str().cmp(other.as_str())
    }
}

impl fmt::Display for AttributeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
