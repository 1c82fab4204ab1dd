//! Rows of bits: which of a list's candidates a known value leaves standing.
//!
//! For each value of the dimensions that vary most between rules there is a row, one bit a candidate; the
//! AND of a few words answers for 64 candidates at once. What costs time is memory that is not in the
//! processor's cache. So all rows of a list lie together, to the bit, and which ones are read is the same in
//! all lists of a snapshot: it is worked out once a decision ([`Selected`]), from a table that every decision
//! reads.
//!
//! Invariant: a row never drops a candidate that [`CompiledScope::matches`] would not answer `No` for.

use super::facts::Facts;
use super::scope::CompiledScope;
use crate::domain::{Action, Country, Holder, Relationship};

/// Segments, channels, devices, relationships, holders and countries, in this order.
const DIMENSIONS: usize = 6;

/// How many kinds of action there are; their rows come first.
const ACTIONS: usize = Action::ALL.len();

/// The set of terms that a scope states in one dimension.
type Stated = fn(&CompiledScope) -> Option<u64>;

/// Which dimensions with rows a scope states, one bit a dimension.
pub(super) fn stated_dimensions(scope: &CompiledScope) -> u8 {
    bits([
        scope.segments.is_some(),
        scope.channels.is_some(),
        scope.devices.is_some(),
        scope.relationships.is_some(),
        scope.holders.is_some(),
        scope.countries.is_some(),
    ])
}

fn bits(flags: [bool; DIMENSIONS]) -> u8 {
    flags.iter().enumerate().fold(0, |set, (place, flag)| set | u8::from(*flag) << place)
}

/// Where each dimension's rows begin; the same in all lists of a snapshot. The last row of a
/// dimension is that of an unknown value, which rules nobody out; the last but one of the countries is that
/// of every country that no rule states.
#[derive(Debug)]
pub(super) struct RowPlan {
    counts: [usize; DIMENSIONS],
    starts: [usize; DIMENSIONS],
    /// Each country's row among the rows of countries.
    countries: [u8; Country::COUNT],
    /// The countries with rows of their own, in the order of their rows.
    stated: Vec<Country>,
}

impl RowPlan {
    /// A plan for so many terms, and for the countries that any rule states.
    pub(super) fn new(
        segments: usize,
        channels: usize,
        devices: usize,
        countries: impl Iterator<Item = Country>,
    ) -> Self {
        let mut stated: Vec<Country> = countries.collect();
        stated.sort_unstable_by_key(|country| country.index());
        stated.dedup();
        // Fewer than 255, being countries, so that every row's number fits.
        let others = stated.len() as u8;
        let mut rows = [others; Country::COUNT];
        for (row, country) in (0..others).zip(&stated) {
            if let Some(place) = rows.get_mut(country.index()) {
                *place = row;
            }
        }
        let counts = [
            segments,
            channels,
            devices,
            Relationship::ALL.len(),
            Holder::ALL.len(),
            stated.len() + 1,
        ];
        let mut starts = [ACTIONS; DIMENSIONS];
        let mut start = ACTIONS;
        for (next, count) in starts.iter_mut().zip(counts) {
            *next = start;
            start += count + 1;
        }
        Self { counts, starts, countries: rows, stated }
    }

    fn country_row(&self, country: Country) -> Option<usize> {
        self.countries.get(country.index()).map(|row| usize::from(*row))
    }
}

/// The rows that one decision reads, in every list.
pub(super) struct Selected {
    rows: [usize; 1 + DIMENSIONS],
    /// The dimensions whose value is known, one bit a dimension.
    pub(super) known: u8,
}

impl Selected {
    pub(super) fn new(facts: &Facts<'_, '_>, plan: &RowPlan) -> Self {
        let places: [Option<usize>; DIMENSIONS] = [
            facts.segment.known().map(usize::from),
            facts.channel.known().map(usize::from),
            facts.device.known().map(usize::from),
            facts.relationship.known().map(|relationship| relationship as usize),
            facts.holder().map(|holder| holder as usize),
            facts.country.known().and_then(|country| plan.country_row(country)),
        ];
        let mut rows = [usize::from(facts.request.action as u8); 1 + DIMENSIONS];
        let [_, of_dimensions @ ..] = &mut rows;
        for (row, ((start, count), place)) in
            of_dimensions.iter_mut().zip(plan.starts.iter().zip(&plan.counts).zip(&places))
        {
            *row = start + place.unwrap_or(*count);
        }
        Self { rows, known: bits(places.map(|place| place.is_some())) }
    }
}

/// The rows of one list of candidates, in the order of [`RowPlan`].
#[derive(Debug, Clone, Copy)]
pub(super) struct Rows<'s>(&'s [u8]); // Theirs, and whatever follows: at least a word.

impl<'s> Rows<'s> {
    /// Those that begin at `start`.
    pub(super) fn get(bytes: &'s [u8], start: usize) -> Option<Self> {
        bytes.get(start..).map(Self)
    }

    /// Ends what holds the rows of many lists with bytes of no row, so that a whole word can be read from each. They
    /// rule nobody out, either.
    pub(super) fn end(bytes: &mut Vec<u8>) {
        bytes.extend([u8::MAX; size_of::<u64>()]);
    }

    /// How many bytes the rows of a list take.
    pub(super) fn length(plan: &RowPlan, candidates: usize) -> usize {
        let rows = ACTIONS + plan.counts.iter().map(|count| count + 1).sum::<usize>();
        (rows * stride(candidates)).div_ceil(8)
    }

    /// Which of 64 candidates the selected rows leave standing.
    pub(super) fn standing(self, candidates: usize, selected: &Selected, word: usize) -> u64 {
        let stride = stride(candidates);
        let start = word * 64;
        let standing =
            selected.rows.iter().fold(u64::MAX, |set, row| set & self.word(row * stride + start));
        match candidates.saturating_sub(start) {
            rest @ 0..64 => standing & ((1 << rest) - 1),
            _ => standing,
        }
    }

    /// Sixty-four bits of a row, or, of a row of fewer, these; those that are not the row's are anything.
    fn word(self, bit: usize) -> u64 {
        let bytes = self.0.get(bit / 8..).unwrap_or_default();
        // A row that is not there rules nobody out.
        bytes.first_chunk().map_or(u64::MAX, |bytes| u64::from_le_bytes(*bytes) >> (bit % 8))
    }
}

/// How many bits a row takes: one a candidate, as long as a word that is read from the byte in which the row
/// begins holds all of them; else whole words.
fn stride(candidates: usize) -> usize {
    if candidates <= 57 { candidates } else { candidates.next_multiple_of(64) }
}

/// Writes the rows of one list, from the next byte on.
pub(super) fn write_rows(scopes: &[&CompiledScope], plan: &RowPlan, bytes: &mut Vec<u8>) {
    let mut rows = NewRows { candidates: scopes.len(), next: bytes.len() * 8, bytes };
    let [sets @ .., _] = plan.counts;
    let states: [Stated; DIMENSIONS - 1] = [
        |scope| scope.segments.map(u64::from),
        |scope| scope.channels.map(u64::from),
        |scope| scope.devices.map(u64::from),
        |scope| scope.relationships.map(|set| set.get().into()),
        |scope| scope.holders.map(|set| set.get().into()),
    ];
    rows.add_values(scopes, ACTIONS, |scope| scope.actions.map(|set| set.get().into()));
    for (count, states) in sets.into_iter().zip(states) {
        rows.add_values(scopes, count, states);
        rows.add(|_| true);
    }
    let row_countries = |at: usize| scopes.get(at).and_then(|scope| scope.row_countries());
    for country in &plan.stated {
        rows.add(|at| row_countries(at).is_none_or(|set| set.contains(*country)));
    }
    rows.add(|at| row_countries(at).is_none());
    rows.add(|_| true);
}

/// Rows of bits under construction.
struct NewRows<'b> {
    candidates: usize,
    /// The bit at which the next row begins.
    next: usize,
    bytes: &'b mut Vec<u8>,
}

impl NewRows<'_> {
    /// Adds a row with a bit for each candidate that it leaves standing.
    fn add(&mut self, keeps: impl Fn(usize) -> bool) {
        let start = self.next;
        self.next += stride(self.candidates);
        self.bytes.resize(self.next.div_ceil(8), 0);
        for bit in (0..self.candidates).filter(|&at| keeps(at)).map(|at| start + at) {
            if let Some(byte) = self.bytes.get_mut(bit / 8) {
                *byte |= 1 << (bit % 8);
            }
        }
    }

    /// Adds a row for each of so many values.
    fn add_values(&mut self, scopes: &[&CompiledScope], values: usize, states: Stated) {
        for value in 0..values {
            let keeps =
                |scope: &&CompiledScope| states(scope).is_none_or(|set| set & (1u64 << value) != 0);
            self.add(|at| scopes.get(at).is_some_and(keeps));
        }
    }
}
