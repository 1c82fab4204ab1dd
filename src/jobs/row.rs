//! From the values of one row to the customer that is decided.
//!
//! Invariant: what is given and cannot be read becomes [`Attribute::Invalid`], and is decided; it is
//! never dropped and never becomes a default. Only a row that has no usable `customer.id`, or says
//! one thing twice, is no request at all.

use super::field::{Field, Part};
use crate::domain::{
    Attribute, AttributeValue, Country, Customer, CustomerId, Date, Holding, HoldingStatus,
    Relationship, Timestamp,
};
use crate::rules::instant;
use serde_json::Value;
use std::borrow::Cow;

/// Longest text of an attribute that is used, in bytes; as for a single check.
const MOST_TEXT: usize = 1024;

/// One value, as its file types it.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Cell<'a> {
    /// Not said: an empty cell of CSV, a null of Parquet.
    Absent,
    /// A JSON null: the same as not said, but under a name of the bank's own.
    Null,
    /// A text of a file without types.
    Plain(Cow<'a, str>),
    /// A text.
    Text(Cow<'a, str>),
    /// A number, and how it is spelled.
    Number(f64, Cow<'a, str>),
    /// True or false.
    Bool(bool),
    /// A list or a map, as JSON.
    Other(Cow<'a, str>),
}

/// A row in the making.
#[derive(Debug, Default)]
pub(super) struct Row<'a> {
    /// The customer.
    pub(super) customer: Customer<'a>,
    /// Where the customer is met.
    pub(super) channel: Attribute<&'a str>,
    /// On what the product would run.
    pub(super) device: Attribute<&'a str>,
    seen: u32,
    /// What was given of the holdings by product.
    held: Vec<(&'a str, u32)>,
}

impl<'a> Row<'a> {
    /// Takes one value.
    ///
    /// # Errors
    /// When the row says the same thing twice, or something that makes it no request.
    pub(super) fn set(&mut self, field: Field<'a>, cell: &'a Cell<'a>) -> Result<(), String> {
        self.note(field, cell)?;
        let customer = &mut self.customer;
        match field {
            Field::Id => customer.id = id(cell)?,
            Field::Relationship => customer.relationship = cell.read(Relationship::from_name),
            Field::Country => customer.country = cell.read(|text| Country::parse(text).ok()),
            Field::Segment => customer.segment = cell.read(Some),
            Field::UsPerson => customer.us_person = cell.truth(),
            Field::DateOfBirth => customer.date_of_birth = cell.read(day),
            Field::Vulnerable => customer.vulnerable = cell.truth(),
            Field::Channel => self.channel = cell.read(Some),
            Field::Device => self.device = cell.read(Some),
            Field::Holding(part) => {
                let mut holding = match customer.holding {
                    Attribute::Known(holding) => holding,
                    Attribute::Missing | Attribute::Invalid => Holding::default(),
                };
                match (part, cell.is_said()) {
                    (_, false) => {}
                    (Part::Whole, true) => customer.holding = Attribute::Invalid,
                    (part, true) => {
                        set_part(&mut holding, part, cell);
                        customer.holding = Attribute::Known(holding);
                    }
                }
            }
            // `null` under a product's id is a value that cannot be read, as everywhere.
            Field::Holdings(product, part) if *cell != Cell::Absent => {
                let place = customer.holdings.iter().position(|(given, _)| *given == product);
                let place = place.unwrap_or_else(|| {
                    customer.holdings.push((product, Holding::default()));
                    customer.holdings.len() - 1
                });
                if let Some((_, holding)) = customer.holdings.get_mut(place) {
                    set_part(holding, part, cell);
                }
            }
            Field::Holdings(..) => {}
            Field::Attribute(name) => {
                if let Some(value) = cell.value() {
                    customer.attributes.push((name, value));
                }
            }
            Field::Group(_) if !cell.is_said() => {}
            Field::Group(name) => return Err(format!("`{name}` is no object")),
        }
        Ok(())
    }

    /// The row's own customer, once every value was taken.
    ///
    /// # Errors
    /// When it has no id.
    pub(super) fn finish(self) -> Result<Self, String> {
        if self.customer.id.is_empty() {
            return Err("`customer.id` is missing".to_owned());
        }
        Ok(self)
    }

    /// Notes that a field was given, and refuses it the second time.
    fn note(&mut self, field: Field<'a>, cell: &Cell<'_>) -> Result<(), String> {
        let bits = match field {
            Field::Id => 1,
            Field::Relationship => 1 << 1,
            Field::Country => 1 << 2,
            Field::Segment => 1 << 3,
            Field::UsPerson => 1 << 4,
            Field::DateOfBirth => 1 << 5,
            Field::Vulnerable => 1 << 6,
            Field::Channel => 1 << 7,
            Field::Device => 1 << 8,
            Field::Holding(part) => part.says(cell.is_said()) << 9,
            Field::Attribute(name) => {
                return match self.customer.attribute(name) {
                    Some(_) => Err(format!("attribute `{name}` is given twice")),
                    None => Ok(()),
                };
            }
            Field::Holdings(product, part) if *cell != Cell::Absent => {
                return self.note_part(product, part);
            }
            Field::Holdings(..) | Field::Group(_) => return Ok(()),
        };
        if self.seen & bits != 0 {
            return Err(format!("{field:?} is given twice"));
        }
        self.seen |= bits;
        Ok(())
    }

    /// The same for a part of a product's holding.
    fn note_part(&mut self, product: &'a str, part: Part) -> Result<(), String> {
        let bits = part.says(true);
        let place = self.held.iter().position(|(given, _)| *given == product);
        match place.and_then(|place| self.held.get_mut(place)) {
            None => self.held.push((product, bits)),
            Some((_, given)) if *given & bits == 0 => *given |= bits,
            Some(_) => return Err(format!("{part:?} of `holdings.{product}` is given twice")),
        }
        Ok(())
    }
}

impl<'a> Cell<'a> {
    /// The same value, for longer than the file's bytes are held.
    #[cfg(feature = "mail")]
    pub(super) fn into_owned(self) -> Cell<'static> {
        let owned = |text: Cow<'a, str>| Cow::Owned(text.into_owned());
        match self {
            Self::Absent => Cell::Absent,
            Self::Null => Cell::Null,
            Self::Plain(text) => Cell::Plain(owned(text)),
            Self::Text(text) => Cell::Text(owned(text)),
            Self::Number(number, text) => Cell::Number(number, owned(text)),
            Self::Bool(value) => Cell::Bool(value),
            Self::Other(text) => Cell::Other(owned(text)),
        }
    }

    fn is_said(&self) -> bool {
        !matches!(self, Self::Absent | Self::Null)
    }

    /// The text, a number as it is spelled.
    #[must_use]
    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Self::Plain(text) | Self::Text(text) | Self::Number(_, text) => Some(text),
            Self::Absent | Self::Null | Self::Bool(_) | Self::Other(_) => None,
        }
    }

    pub(super) fn read<T>(&'a self, parse: impl FnOnce(&'a str) -> Option<T>) -> Attribute<T> {
        if !self.is_said() {
            return Attribute::Missing;
        }
        Attribute::read(Some(()), |()| parse(self.text()?))
    }

    fn truth(&self) -> Attribute<bool> {
        match self {
            Self::Absent | Self::Null => Attribute::Missing,
            Self::Bool(value) => Attribute::Known(*value),
            Self::Plain(text) if text == "true" => Attribute::Known(true),
            Self::Plain(text) if text == "false" => Attribute::Known(false),
            Self::Plain(_) | Self::Text(_) | Self::Number(..) | Self::Other(_) => {
                Attribute::Invalid
            }
        }
    }

    fn count(&self) -> Attribute<u32> {
        match self {
            Self::Absent | Self::Null => Attribute::Missing,
            Self::Plain(text) | Self::Number(_, text) => {
                Attribute::read(Some(text), |text| text.parse().ok())
            }
            Self::Text(_) | Self::Bool(_) | Self::Other(_) => Attribute::Invalid,
        }
    }

    /// The value of an attribute; `None` for one that is not said.
    fn value(&'a self) -> Option<AttributeValue<'a>> {
        let text = |text: &'a str| match text.len() {
            0..=MOST_TEXT => AttributeValue::Text(text),
            _ => AttributeValue::Invalid,
        };
        Some(match self {
            Self::Absent => return None,
            Self::Null | Self::Other(_) => AttributeValue::Invalid,
            Self::Bool(value) => AttributeValue::Bool(*value),
            Self::Number(number, _) if number.is_finite() => AttributeValue::Number(*number),
            Self::Number(..) => AttributeValue::Invalid,
            Self::Text(given) => text(given),
            Self::Plain(given) => untyped(given).unwrap_or_else(|| text(given)),
        })
    }
}

/// What a text without a type says, if it is written as JSON writes a truth value or a number; every
/// other text is a text.
fn untyped(text: &str) -> Option<AttributeValue<'_>> {
    let first = text.as_bytes().first()?;
    if !matches!(first, b't' | b'f' | b'-' | b'0'..=b'9') {
        return None;
    }
    match serde_json::from_str(text).ok()? {
        Value::Bool(value) => Some(AttributeValue::Bool(value)),
        Value::Number(number) => number.as_f64().map(AttributeValue::Number),
        Value::Null | Value::String(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

fn id<'a>(cell: &'a Cell<'a>) -> Result<&'a str, String> {
    match cell.text() {
        Some(text) if CustomerId::allows(text) => Ok(text),
        Some("") | None if !matches!(cell, Cell::Bool(_) | Cell::Other(_)) => Ok(""),
        Some(_) | None => Err(format!("`customer.id`: {}", crate::domain::InvalidCustomerId)),
    }
}

fn set_part<'a>(holding: &mut Holding<'a>, part: Part, cell: &'a Cell<'a>) {
    match part {
        Part::Whole => {
            *holding = Holding {
                status: Attribute::Invalid,
                accepted_at: Attribute::Invalid,
                term_end: Attribute::Invalid,
                covered_by: Attribute::Invalid,
                unit_count: Attribute::Invalid,
            }
        }
        Part::Status => holding.status = cell.read(HoldingStatus::from_name),
        Part::AcceptedAt => holding.accepted_at = cell.read(time),
        Part::TermEnd => holding.term_end = cell.read(time),
        Part::CoveredBy => {
            holding.covered_by = cell.read(|text| CustomerId::allows(text).then_some(text));
        }
        Part::UnitCount => holding.unit_count = cell.count(),
    }
}

/// A day, as a request spells it.
pub(super) fn day(text: &str) -> Option<Date> {
    instant::parse_day(text).ok()
}

/// An instant, as a request spells it.
pub(super) fn time(text: &str) -> Option<Timestamp> {
    instant::parse(text, None).ok()
}
