//! Remembers what was decided for rows that say the same, so that it is decided once.
//!
//! Each column that is read gives its values small numbers; equal numbers mean that the rules cannot tell the
//! values apart ([`Alike`]). A row is then a few numbers, and is looked up. A row with a value that stands
//! for itself alone, such as a term that is still to end, is decided by itself.
//!
//! Invariant: two rows of equal numbers are decided the same; nothing is ever evicted in between. The memory
//! is bounded: a column with too many values, and rows of too many kinds, are decided one by one.

use super::field::{Field, Part};
use super::row::{Cell, day, time};
use crate::decision::Alike;
use crate::domain::{Attribute, CustomerId, Date, Timestamp};
use rustc_hash::FxHashMap;
use smallvec::SmallVec;

/// The number of a value that stands for itself alone.
pub(super) const ALONE: u32 = u32::MAX;

/// The numbers that every column gives alike.
const ABSENT: u32 = 0;
const INVALID: u32 = 1;
const FIRST: u32 = 2;

/// Most values of a column that are told apart.
const MOST_VALUES: usize = 1 << 15;

/// Values of a column that are found without looking into its table, each in its own slot.
const RECENT: usize = 64;

/// Most kinds of rows that are remembered.
const MOST_KINDS: usize = 1 << 14;

/// What was decided for which kinds of rows.
#[derive(Debug, Default)]
pub(super) struct Memo {
    answers: FxHashMap<SmallVec<[u32; USUAL_COLUMNS]>, u32>,
    /// The answer of every row, where no column is read.
    of_all: Option<u32>,
}

/// Columns whose numbers stand in the map itself.
const USUAL_COLUMNS: usize = 12;

impl Memo {
    /// The answer of a kind of row, by its place.
    pub(super) fn answer(&self, kind: &[u32]) -> Option<u32> {
        if kind.is_empty() { self.of_all } else { self.answers.get(kind).copied() }
    }

    /// Whether another kind may be remembered.
    pub(super) fn has_room(&self) -> bool {
        self.answers.len() < MOST_KINDS
    }

    pub(super) fn remember(&mut self, kind: &[u32], answer: u32) {
        if kind.is_empty() {
            self.of_all = Some(answer);
        } else {
            self.answers.insert(kind.into(), answer);
        }
    }
}

/// The numbers of one column's values.
#[derive(Debug)]
pub(super) struct Column<'q> {
    /// Its place in the input.
    pub(super) place: usize,
    reading: Reading,
    alike: &'q Alike,
    short: FxHashMap<u128, u32>,
    long: FxHashMap<Box<[u8]>, u32>,
    next: u32,
    /// Values that were seen lately, which come again at once in most columns.
    recent: [(u128, u32); RECENT],
    /// Where a date was accepted, as far as rules tell them apart.
    instants: Vec<Timestamp>,
    /// The last day of birth that no rule can tell from earlier ones, as it is written.
    grown: Option<[u8; 10]>,
    /// Whether every id that can be one is as good as any other.
    names_nobody: bool,
}

/// What a column's values are to the rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reading {
    Id,
    Birth,
    TermEnd,
    AcceptedAt,
    /// Equal values are the same to them, and no others.
    Exact,
}

impl<'q> Column<'q> {
    pub(super) fn new(place: usize, field: Field<'_>, alike: &'q Alike) -> Self {
        let reading = match field {
            Field::Id => Reading::Id,
            Field::DateOfBirth => Reading::Birth,
            Field::Holding(Part::TermEnd) | Field::Holdings(_, Part::TermEnd) => Reading::TermEnd,
            Field::Holding(Part::AcceptedAt) | Field::Holdings(_, Part::AcceptedAt) => {
                Reading::AcceptedAt
            }
            Field::Relationship
            | Field::Country
            | Field::Segment
            | Field::UsPerson
            | Field::Vulnerable
            | Field::Channel
            | Field::Device
            | Field::Holding(_)
            | Field::Holdings(..)
            | Field::Attribute(_)
            | Field::Group(_) => Reading::Exact,
        };
        let grown = alike.grown().and_then(|day| day.to_string().into_bytes().try_into().ok());
        Self {
            place,
            reading,
            alike,
            short: FxHashMap::default(),
            long: FxHashMap::default(),
            next: FIRST,
            recent: [(u128::MAX, ALONE); RECENT], // No text is that number.
            instants: Vec::new(),
            grown,
            names_nobody: alike.names_nobody(),
        }
    }

    /// The number of a text, or of a number as it is spelled.
    pub(super) fn text(&mut self, text: &[u8]) -> u32 {
        match self.reading {
            Reading::Id => return self.of_id(text),
            Reading::Birth if self.grown.is_some_and(|grown| is_day_by(text, &grown)) => {
                return FIRST;
            }
            Reading::Birth | Reading::TermEnd | Reading::AcceptedAt | Reading::Exact => {}
        }
        let Some(packed) = packed(text) else { return self.learned(text) };
        let slot = slot(packed);
        if let Some((seen, number)) = self.recent.get(slot)
            && *seen == packed
        {
            return *number;
        }
        let known = self.short.get(&packed).copied();
        let number = known.unwrap_or_else(|| self.learned(text));
        if let Some(recent) = self.recent.get_mut(slot) {
            *recent = (packed, number);
        }
        number
    }

    fn of_id(&self, text: &[u8]) -> u32 {
        if self.names_nobody && CustomerId::is_plain(text) {
            return FIRST;
        }
        // One that is none is refused by whoever decides its row alone.
        let id = str::from_utf8(text).ok().filter(|id| CustomerId::allows(id));
        if id.and_then(|id| self.alike.id(id)).is_some() { FIRST } else { ALONE }
    }

    /// The number of a value that is not there.
    pub(super) fn absent(&self) -> u32 {
        if self.reading == Reading::Id { ALONE } else { ABSENT }
    }

    /// The number of a truth value, in a column that has no other values.
    #[cfg_attr(not(feature = "parquet"), expect(dead_code, reason = "text has no types"))]
    pub(super) fn truth(&mut self, truth: bool) -> u32 {
        match self.reading {
            Reading::Exact => self.text(if truth { b"true" } else { b"false" }),
            Reading::Id | Reading::Birth | Reading::TermEnd | Reading::AcceptedAt => ALONE,
        }
    }

    /// The number of an instant.
    #[cfg_attr(not(feature = "parquet"), expect(dead_code, reason = "text has no types"))]
    pub(super) fn instant(&mut self, at: Timestamp) -> u32 {
        match self.reading {
            Reading::TermEnd | Reading::AcceptedAt => self.of_instant(Attribute::Known(at)),
            Reading::Id | Reading::Birth | Reading::Exact => ALONE,
        }
    }

    /// The number of a day.
    #[cfg_attr(not(feature = "parquet"), expect(dead_code, reason = "text has no types"))]
    pub(super) fn day(&self, at: Date) -> u32 {
        match self.reading {
            Reading::Birth => self.of_birth(Attribute::Known(at)),
            Reading::Id | Reading::TermEnd | Reading::AcceptedAt | Reading::Exact => ALONE,
        }
    }

    fn learned(&mut self, text: &[u8]) -> u32 {
        let said = || str::from_utf8(text).map(|text| Cell::Plain(text.into()));
        if matches!(self.reading, Reading::TermEnd | Reading::AcceptedAt) {
            let Ok(said) = said() else { return ALONE };
            return self.of_instant(said.read(time));
        }
        if let Some(number) = self.long.get(text) {
            return *number;
        }
        if self.short.len() + self.long.len() == MOST_VALUES {
            return ALONE;
        }
        let number = match (self.reading, said()) {
            (Reading::Birth, Ok(said)) => self.of_birth(said.read(day)),
            (Reading::Birth, Err(_)) => ALONE,
            _ => {
                self.next += 1;
                self.next
            }
        };
        match packed(text) {
            Some(packed) => self.short.insert(packed, number),
            None => self.long.insert(text.into(), number),
        };
        number
    }

    fn of_birth(&self, born: Attribute<Date>) -> u32 {
        match self.alike.date_of_birth(born) {
            None => ALONE,
            Some(Attribute::Missing) => ABSENT,
            Some(Attribute::Invalid) => INVALID,
            Some(Attribute::Known(_)) => FIRST,
        }
    }

    fn of_instant(&mut self, at: Attribute<Timestamp>) -> u32 {
        let same = match self.reading {
            Reading::TermEnd => self.alike.term_end(at),
            _ => self.alike.accepted_at(at),
        };
        match same {
            None => ALONE,
            Some(Attribute::Missing) => ABSENT,
            Some(Attribute::Invalid) => INVALID,
            Some(Attribute::Known(same)) => {
                let known = self.instants.iter().position(|known| *known == same);
                let place = known.unwrap_or_else(|| {
                    self.instants.push(same);
                    self.instants.len() - 1
                });
                u32::try_from(place).map_or(ALONE, |place| FIRST.saturating_add(place))
            }
        }
    }
}

/// Whether a text is a day that is not after `last`, as far as that can be seen at once: not on the 29th of a
/// month or later.
fn is_day_by(text: &[u8], last: &[u8; 10]) -> bool {
    let Ok([year @ .., b'-', m1, m2, b'-', d1, d2]) = <[u8; 10]>::try_from(text) else {
        return false;
    };
    let has_month = matches!((m1, m2), (b'0', b'1'..=b'9') | (b'1', b'0'..=b'2'));
    let has_day =
        matches!((d1, d2), (b'0', b'1'..=b'9') | (b'1', b'0'..=b'9') | (b'2', b'0'..=b'8'));
    let has_year = year.iter().all(u8::is_ascii_digit) && year != *b"0000";
    has_month && has_day && has_year && text <= last.as_slice()
}

/// The slot of a short text among those seen lately.
fn slot(packed: u128) -> usize {
    let folded = (packed as u64) ^ (packed >> 64) as u64;
    (folded.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 58) as usize
}

/// A short text and its length as one number, which is compared at once; most values are short.
///
/// Read in two words that overlap, so that no length needs a loop.
fn packed(text: &[u8]) -> Option<u128> {
    let length = text.len();
    let tag = (length as u128) << 120;
    let joined = |first: u64, last: u64, width: usize| {
        // What the first word has already goes.
        let rest = u128::from(last) >> (8 * (2 * width - length));
        u128::from(first) | rest << (8 * width)
    };
    let bytes = match length {
        16.. => return None,
        8.. => joined(
            u64::from_le_bytes(*text.first_chunk()?),
            u64::from_le_bytes(*text.last_chunk()?),
            8,
        ),
        4.. => joined(
            u32::from_le_bytes(*text.first_chunk()?).into(),
            u32::from_le_bytes(*text.last_chunk()?).into(),
            4,
        ),
        _ => text.iter().rev().fold(0, |all, byte| all << 8 | u128::from(*byte)),
    };
    Some(bytes | tag)
}

#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "a test may panic")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn short_texts_are_the_same_as_one_number_only_if_they_are_the_same() {
        let long: Vec<u8> = (1..=20).collect();
        for length in 0..=20 {
            let text = &long[..length];
            let mut bytes = [0; 16];
            if length < 16 {
                bytes[..length].copy_from_slice(text);
                bytes[15] = length as u8;
            }
            assert_eq!(packed(text), (length < 16).then(|| u128::from_le_bytes(bytes)));
        }
    }

    proptest! {
        #[test]
        fn a_day_that_is_seen_at_once_is_read_as_a_day_that_is_not_later(
            text in "[0-2][0-9]{3}-[0-3][0-9]-[0-3][0-9]|[-0-9]{10}|0000-01-01|[0-9-]{0,12}",
        ) {
            let last = b"1999-12-02";
            let read = day(&text).filter(|day| day.to_string().as_bytes() <= last.as_slice());
            let is_late = read.is_some_and(|day| 28 < day.day());
            prop_assert_eq!(is_day_by(text.as_bytes(), last), read.is_some() && !is_late);
        }
    }
}
