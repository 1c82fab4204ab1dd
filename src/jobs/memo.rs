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
const MOST_KINDS: usize = 1 << 15;

/// Columns whose numbers fit into one.
const NARROW: usize = 8;

/// What one row says: the numbers of its columns.
#[derive(Debug)]
pub(super) struct Kind {
    /// Of so few columns that they fit, 16 bits each.
    narrow: u128,
    /// Of more.
    wide: Vec<u16>,
    is_wide: bool,
    is_alone: bool,
}

impl Kind {
    /// A row of these columns.
    pub(super) fn of(columns: &[Column<'_>]) -> Self {
        Self::new(columns.iter().filter(|column| column.reading != Reading::Id).count())
    }

    fn new(columns: usize) -> Self {
        Self { narrow: 0, wide: Vec::new(), is_wide: NARROW < columns, is_alone: false }
    }

    pub(super) fn clear(&mut self) {
        self.narrow = 0;
        self.wide.clear();
        self.is_alone = false;
    }

    /// Adds what the next column says. An id says nothing, unless it stands for itself alone.
    pub(super) fn add(&mut self, column: &Column<'_>, number: u32) {
        match column.reading {
            Reading::Id => self.is_alone |= number == ALONE,
            _ => self.push(number),
        }
    }

    fn push(&mut self, number: u32) {
        self.is_alone |= u32::from(u16::MAX) <= number;
        if self.is_wide {
            self.wide.push(number as u16);
        } else {
            self.narrow = self.narrow << 16 | u128::from(number as u16);
        }
    }

    /// Whether the row is to be decided by itself.
    pub(super) fn is_alone(&self) -> bool {
        self.is_alone
    }
}

/// What was decided for which kinds of rows; each by its place. All of them have the same columns.
#[derive(Debug, Default)]
pub(super) struct Memo {
    narrow: FxHashMap<u128, u32>,
    wide: FxHashMap<Box<[u16]>, u32>,
}

impl Memo {
    /// The answer of a kind of row, by its place.
    pub(super) fn answer(&self, kind: &Kind) -> Option<u32> {
        match kind.is_wide {
            true => self.wide.get(kind.wide.as_slice()).copied(),
            false => self.narrow.get(&kind.narrow).copied(),
        }
    }

    /// Keeps the answer of a kind of row, if there is room.
    pub(super) fn remember(&mut self, kind: &Kind, answer: u32) {
        if self.narrow.len() + self.wide.len() == MOST_KINDS {
            return;
        }
        match kind.is_wide {
            true => self.wide.insert(kind.wide.as_slice().into(), answer),
            false => self.narrow.insert(kind.narrow, answer),
        };
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
        self.text_in(text, text.len())
    }

    /// The number of the text that some bytes begin with; what follows it does not count.
    pub(super) fn text_in(&mut self, bytes: &[u8], length: usize) -> u32 {
        let text = bytes.get(..length).unwrap_or_default();
        match self.reading {
            Reading::Id => return self.of_id(text),
            Reading::Birth if self.grown.is_some_and(|grown| is_day_by(text, &grown)) => {
                return FIRST;
            }
            Reading::Birth | Reading::TermEnd | Reading::AcceptedAt | Reading::Exact => {}
        }
        let Some(packed) = packed_in(bytes, length) else { return self.learned(text) };
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
    pub(super) fn day(&mut self, at: Date) -> u32 {
        match self.reading {
            Reading::Birth => match self.of_birth(Attribute::Known(at)) {
                ALONE => self.text(at.to_string().as_bytes()),
                number => number,
            },
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
        let known = match (self.reading, said()) {
            (Reading::Birth, Ok(said)) => self.of_birth(said.read(day)),
            _ => ALONE,
        };
        let number = match known {
            // Equal texts are the same to the rules, whatever else is.
            ALONE => {
                self.next += 1;
                self.next
            }
            number => number,
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

/// [`packed`] of the text that some bytes begin with. Where 16 of them are there no length needs a branch.
fn packed_in(bytes: &[u8], length: usize) -> Option<u128> {
    match bytes.first_chunk() {
        Some(word) if length < 16 => {
            let text = u128::from_le_bytes(*word) & !(u128::MAX << (8 * length));
            Some(text | (length as u128) << 120)
        }
        Some(_) => None,
        None => packed(bytes.get(..length)?),
    }
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
            let expected = (length < 16).then(|| u128::from_le_bytes(bytes));
            assert_eq!((packed(text), packed_in(text, length)), (expected, expected));
            assert_eq!(packed_in(&long, length), expected, "whatever follows");
        }
    }

    #[test]
    fn kinds_are_the_same_only_if_all_their_numbers_are_however_many_there_are() {
        for columns in [0, 1, NARROW, NARROW + 1, 40] {
            let kind = |changed: Option<usize>| {
                let mut kind = Kind::new(columns);
                (0..columns).for_each(|at| kind.push(FIRST + u32::from(changed == Some(at))));
                kind
            };
            let mut memo = Memo::default();
            assert_eq!(memo.answer(&kind(None)), None);
            memo.remember(&kind(None), 7);
            assert_eq!(memo.answer(&kind(None)), Some(7));
            for changed in 0..columns {
                assert_eq!(memo.answer(&kind(Some(changed))), None, "{changed} of {columns}");
            }
        }
    }

    #[test]
    fn a_number_that_does_not_fit_stands_for_itself_alone() {
        for (number, is_alone) in [(FIRST, false), (65_534, false), (65_535, true), (ALONE, true)] {
            let mut kind = Kind::new(1);
            kind.push(number);
            assert_eq!(kind.is_alone(), is_alone);
            kind.clear();
            assert!(!kind.is_alone());
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
