//! Reads a check from its wire bytes, or steps aside.

use crate::domain::{
    Action, Attribute, AttributeValue, CheckRequest, Consistency, Country, Customer, CustomerId,
    Holding, HoldingStatus, Relationship, Timestamp, Token,
};
use crate::wire::field_errors::MOST_TEXT;
use crate::wire::request::{MOST_ATTRIBUTE_NAME, MOST_ATTRIBUTES, date, is_id};
use crate::wire::time;
use smallvec::SmallVec;

/// Reads a check in its usual shape; `None` says nothing about the message but that the long way
/// has to be taken.
#[must_use]
pub fn read_check(bytes: &[u8]) -> Option<(CheckRequest<'_>, Consistency)> {
    let mut customer = None;
    let (mut offer, mut action, mut channel, mut device) = (None, None, None, None);
    let mut given = Consistency::Leased;
    let mut fields = Fields::of(bytes);
    while let Some((number, field)) = fields.next()? {
        match number {
            1 => customer = Some(read_customer(field.bytes()?)?),
            2 => offer = Some(field.text()?).filter(|text| is_id(text)),
            3 => action = Some(read_action(field.number()?)?),
            4 => channel = Some(field.text()?),
            5 => device = Some(field.text()?),
            6 => given = read_consistency(field.bytes()?)?,
            _ => return None,
        }
    }
    let request = CheckRequest {
        customer: customer?,
        offer: offer?,
        action: action?,
        channel: said(channel),
        device: said(device),
    };
    Some((request, given))
}

fn said<T>(given: Option<T>) -> Attribute<T> {
    given.map_or(Attribute::Missing, Attribute::Known)
}

fn read_action(number: u64) -> Option<Action> {
    Some(match number {
        1 => Action::Offer,
        2 => Action::Activate,
        3 => Action::Reactivate,
        4 => Action::Renew,
        5 => Action::Update,
        6 => Action::Use,
        7 => Action::Notify,
        _ => return None,
    })
}

fn read_consistency(bytes: &[u8]) -> Option<Consistency> {
    let mut given = Consistency::Leased;
    let mut fields = Fields::of(bytes);
    while let Some((number, field)) = fields.next()? {
        given = match number {
            // The two are alternatives, and the later one counts: leave such a message alone.
            _ if given != Consistency::Leased => return None,
            1 => Consistency::AtLeast(Token::parse(field.text()?).ok()?),
            2 if field.flag()? => Consistency::Strict,
            2 => Consistency::Leased,
            _ => return None,
        };
    }
    Some(given)
}

fn read_customer(bytes: &[u8]) -> Option<Customer<'_>> {
    let mut customer = Customer::default();
    let mut fields = Fields::repeating(bytes, &[9, 10]);
    while let Some((number, field)) = fields.next()? {
        match number {
            1 => customer.id = field.text()?,
            2 => customer.relationship = read_relationship(field.number()?)?,
            3 => {
                customer.country =
                    Attribute::read(Some(field.text()?), |text| Country::parse(text).ok())
            }
            4 => customer.segment = Attribute::Known(field.text()?),
            5 => customer.us_person = Attribute::Known(field.flag()?),
            6 => customer.date_of_birth = Attribute::read(Some(field.text()?), date),
            7 => customer.vulnerable = Attribute::Known(field.flag()?),
            8 => customer.holding = Attribute::Known(read_holding(field.bytes()?)?),
            9 => read_attribute(field.bytes()?, &mut customer.attributes)?,
            10 => read_listed_holding(field.bytes()?, &mut customer.holdings)?,
            _ => return None,
        }
    }
    CustomerId::allows(customer.id).then_some(customer)
}

fn read_relationship(number: u64) -> Option<Attribute<Relationship>> {
    Some(match number {
        0 => Attribute::Missing,
        1 => Attribute::Known(Relationship::New),
        2 => Attribute::Known(Relationship::Existing),
        _ => return None,
    })
}

fn read_holding(bytes: &[u8]) -> Option<Holding<'_>> {
    let mut holding = Holding::default();
    let mut fields = Fields::of(bytes);
    while let Some((number, field)) = fields.next()? {
        match number {
            1 => holding.status = read_status(field.number()?)?,
            2 => holding.accepted_at = read_instant(field.bytes()?)?,
            3 => holding.term_end = read_instant(field.bytes()?)?,
            4 => {
                holding.covered_by =
                    Attribute::read(Some(field.text()?), |id| CustomerId::allows(id).then_some(id))
            }
            5 => holding.unit_count = Attribute::Known(u32::try_from(field.number()?).ok()?),
            _ => return None,
        }
    }
    Some(holding)
}

fn read_status(number: u64) -> Option<Attribute<HoldingStatus>> {
    Some(match number {
        0 => Attribute::Missing,
        1 => Attribute::Known(HoldingStatus::None),
        2 => Attribute::Known(HoldingStatus::Accepted),
        3 => Attribute::Known(HoldingStatus::Active),
        4 => Attribute::Known(HoldingStatus::Lapsed),
        5 => Attribute::Known(HoldingStatus::Cancelled),
        _ => return None,
    })
}

fn read_instant(bytes: &[u8]) -> Option<Attribute<Timestamp>> {
    let mut given = prost_types::Timestamp::default();
    let mut fields = Fields::of(bytes);
    while let Some((number, field)) = fields.next()? {
        match number {
            // Two's complement on the wire.
            1 => given.seconds = field.number()?.cast_signed(),
            2 => given.nanos = i32::try_from(field.number()?).ok()?,
            _ => return None,
        }
    }
    Some(Attribute::read(Some(&given), time::read))
}

fn read_attribute<'a>(
    bytes: &'a [u8],
    attributes: &mut SmallVec<[(&'a str, AttributeValue<'a>); 8]>,
) -> Option<()> {
    let (name, value) = read_entry(bytes)?;
    let known = attributes.iter().any(|(known, _)| *known == name);
    let is_name = !name.is_empty() && name.len() <= MOST_ATTRIBUTE_NAME;
    if known || !is_name || MOST_ATTRIBUTES <= attributes.len() {
        return None;
    }
    let mut fields = Fields::of(value);
    let (number, field) = fields.next()??;
    let value = match number {
        2 => AttributeValue::Number(field.double().filter(|number| number.is_finite())?),
        3 => AttributeValue::Text(field.text()?),
        4 => AttributeValue::Bool(field.flag()?),
        _ => return None,
    };
    attributes.push((name, value));
    fields.next()?.is_none().then_some(())
}

fn read_listed_holding<'a>(
    bytes: &'a [u8],
    holdings: &mut SmallVec<[(&'a str, Holding<'a>); 2]>,
) -> Option<()> {
    let (product, value) = read_entry(bytes)?;
    let known = holdings.iter().any(|(known, _)| *known == product);
    if known || !is_id(product) || MOST_ATTRIBUTES <= holdings.len() {
        return None;
    }
    holdings.push((product, read_holding(value)?));
    Some(())
}

/// A map's entry: its key, and the bytes of its value.
fn read_entry(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let (mut key, mut value) = (None, None);
    let mut fields = Fields::of(bytes);
    while let Some((number, field)) = fields.next()? {
        match number {
            1 => key = Some(field.text()?),
            2 => value = Some(field.bytes()?),
            _ => return None,
        }
    }
    Some((key?, value?))
}

/// The fields of one message, in the order of the wire.
struct Fields<'a> {
    rest: &'a [u8],
    seen: u32,
    repeating: &'static [u32],
}

/// A field's value by wire type.
enum Field<'a> {
    Number(u64),
    Double(f64),
    Bytes(&'a [u8]),
}

impl<'a> Fields<'a> {
    fn of(bytes: &'a [u8]) -> Self {
        Self::repeating(bytes, &[])
    }

    /// All fields but these may stand once.
    fn repeating(bytes: &'a [u8], repeating: &'static [u32]) -> Self {
        Self { rest: bytes, seen: 0, repeating }
    }

    /// `None` steps aside; `Some(None)` is the end of the message.
    #[expect(clippy::option_option, reason = "stepping aside and ending are different")]
    fn next(&mut self) -> Option<Option<(u32, Field<'a>)>> {
        if self.rest.is_empty() {
            return Some(None);
        }
        let key = self.varint()?;
        let number = u32::try_from(key >> 3).ok().filter(|number| (1..32).contains(number))?;
        let bit = 1u32 << number;
        if self.seen & bit != 0 && !self.repeating.contains(&number) {
            return None;
        }
        self.seen |= bit;
        let field = match key & 7 {
            0 => Field::Number(self.varint()?),
            1 => {
                let (bytes, rest) = self.rest.split_first_chunk::<8>()?;
                self.rest = rest;
                Field::Double(f64::from_le_bytes(*bytes))
            }
            2 => {
                let length = usize::try_from(self.varint()?).ok()?;
                let (bytes, rest) = self.rest.split_at_checked(length)?;
                self.rest = rest;
                Field::Bytes(bytes)
            }
            _ => return None,
        };
        Some(Some((number, field)))
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for (place, byte) in self.rest.iter().enumerate().take(10) {
            // The tenth byte has room for one bit.
            if place == 9 && 1 < *byte {
                return None;
            }
            value |= u64::from(byte & 0x7f) << (7 * place);
            if byte & 0x80 == 0 {
                self.rest = self.rest.get(place + 1..)?;
                return Some(value);
            }
        }
        None
    }
}

impl<'a> Field<'a> {
    fn number(self) -> Option<u64> {
        match self {
            Self::Number(number) => Some(number),
            Self::Double(_) | Self::Bytes(_) => None,
        }
    }

    fn flag(self) -> Option<bool> {
        match self.number()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    fn double(self) -> Option<f64> {
        match self {
            Self::Double(number) => Some(number),
            Self::Number(_) | Self::Bytes(_) => None,
        }
    }

    fn bytes(self) -> Option<&'a [u8]> {
        match self {
            Self::Bytes(bytes) => Some(bytes),
            Self::Number(_) | Self::Double(_) => None,
        }
    }

    /// UTF-8 of a length that needs no error message.
    fn text(self) -> Option<&'a str> {
        let bytes = self.bytes().filter(|bytes| bytes.len() <= MOST_TEXT)?;
        std::str::from_utf8(bytes).ok()
    }
}
