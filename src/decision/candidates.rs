//! The suspensions that can hit one product or offer, and a quick way to drop those that a known
//! dimension rules out.
//!
//! For each value of the dimensions that vary most between rules there is a row of bits, one bit a
//! candidate, that says whom the value leaves standing; the AND of a few words answers for 64
//! candidates at once. What costs time is memory that is not in the processor's cache, so all rows of
//! a list lie together, and those of a short list are as short. So a decision costs about the same
//! with ten suspensions as with 10,000.
//!
//! Invariant: a row never drops a candidate that [`CompiledScope::matches`] would not answer `No`
//! for, and what is called settled is one that it would answer `Yes` for.

use super::facts::Facts;
use super::ownership::Hit;
use super::scope::CompiledScope;
use super::snapshot::CompiledSuspension;
use crate::domain::{Action, Country, Holder, Relationship, Timestamp};
use std::sync::Arc;

/// One suspension against one product or offer, during one stretch of time.
#[derive(Debug)]
pub(super) struct Candidate {
    /// First instant.
    pub(super) from: Timestamp,
    /// First instant no longer; open when `None`.
    pub(super) until: Option<Timestamp>,
    pub(super) suspension: Arc<CompiledSuspension>,
    /// Its place among all suspensions, in the order in which decisions report them.
    pub(super) place: u32,
    /// How it hits.
    pub(super) hit: Hit,
    /// Whether an exemption names it, or it has a grandfather clause.
    pub(super) can_be_waived: bool,
    /// Whether the rows say all about its scope, once the dimensions it states are known.
    in_rows: bool,
    /// The dimensions with rows that it states, one bit a dimension.
    stated: u8,
}

impl Candidate {
    pub(super) fn new(
        place: u32,
        suspension: &Arc<CompiledSuspension>,
        hit: Hit,
        from: Timestamp,
        until: Option<Timestamp>,
    ) -> Self {
        let scope = &suspension.scope;
        let has_clause = suspension.suspension.grandfather.is_some();
        let stated = [
            scope.segments.is_some(),
            scope.channels.is_some(),
            scope.devices.is_some(),
            scope.relationships.is_some(),
            scope.holders.is_some(),
            scope.countries.is_some(),
        ];
        Self {
            from,
            until,
            suspension: Arc::clone(suspension),
            place,
            hit,
            can_be_waived: has_clause || !suspension.exemptions.is_empty(),
            in_rows: scope.is_in_rows(),
            stated: bits(stated),
        }
    }
}

fn bits(flags: [bool; DIMENSIONS]) -> u8 {
    flags.iter().enumerate().fold(0, |set, (place, flag)| set | u8::from(*flag) << place)
}

/// Candidates in the order of their suspensions (`from`, then id), with their rows of bits.
///
/// Rows lie in the order of [`RowPlan`]: those of the dimensions with few values, then one for each
/// country that some candidate states, one for every other country, one for an unknown country.
#[derive(Debug, Default)]
pub(super) struct Candidates {
    all: Box<[Candidate]>,
    /// Bytes in a row: as few as it takes up to 8, then as many times 8.
    width: usize,
    /// The bits of a word that belong to a row.
    mask: u64,
    /// Ends in bytes of no row, so that a whole word can be read from each.
    rows: Box<[u8]>,
    /// The countries that some candidate states, one bit a country; a country's row is found by
    /// counting the bits before it.
    countries: [u64; COUNTRY_WORDS],
}

/// Segments, channels, devices, relationships, holders and countries, in this order.
const DIMENSIONS: usize = 6;

/// The set of terms that a scope states in one dimension.
type Stated = fn(&CompiledScope) -> Option<u64>;

const COUNTRY_WORDS: usize = Country::COUNT.div_ceil(64);

/// How many kinds of action there are; their rows come first.
const ACTIONS: usize = Action::ALL.len();

/// Where each dimension's rows begin; the same in all lists of a snapshot. The last row of a
/// dimension is that of an unknown value, which rules nobody out.
#[derive(Debug, Clone, Copy)]
pub(super) struct RowPlan {
    counts: [usize; DIMENSIONS - 1],
    starts: [usize; DIMENSIONS],
}

impl RowPlan {
    pub(super) fn new(segments: usize, channels: usize, devices: usize) -> Self {
        let counts = [segments, channels, devices, Relationship::ALL.len(), Holder::ALL.len()];
        let mut starts = [ACTIONS; DIMENSIONS];
        let mut start = ACTIONS;
        for (place, next) in starts.iter_mut().enumerate() {
            *next = start;
            start += counts.get(place).map_or(0, |count| count + 1);
        }
        Self { counts, starts }
    }
}

impl Candidates {
    pub(super) fn new(all: Vec<Candidate>, plan: &RowPlan) -> Self {
        if all.is_empty() {
            return Self::default();
        }
        let scopes: Vec<_> = all.iter().map(|candidate| &candidate.suspension.scope).collect();
        let mut rows = Rows::of(scopes.len());
        let states: [Stated; DIMENSIONS - 1] = [
            |scope| scope.segments,
            |scope| scope.channels,
            |scope| scope.devices,
            |scope| scope.relationships,
            |scope| scope.holders,
        ];
        rows.add_values(&scopes, ACTIONS, |scope| scope.actions.map(u64::from));
        for (count, states) in plan.counts.into_iter().zip(states) {
            rows.add_values(&scopes, count, states);
            rows.add(|_| true);
        }
        let mut countries = [0; COUNTRY_WORDS];
        for set in scopes.iter().filter_map(|scope| scope.row_countries()) {
            countries.iter_mut().zip(set.words()).for_each(|(word, more)| *word |= more);
        }
        for place in (0..Country::COUNT).filter(|&place| has(&countries, place)) {
            rows.add(|at| {
                let set = scopes.get(at).and_then(|scope| scope.row_countries());
                set.is_none_or(|set| has(set.words(), place))
            });
        }
        rows.add(|at| scopes.get(at).is_some_and(|scope| scope.row_countries().is_none()));
        rows.add(|_| true);
        rows.bytes.extend([0; size_of::<u64>()]);
        Self {
            all: all.into_boxed_slice(),
            width: rows.width,
            mask: if rows.width < 8 { (1 << (8 * rows.width)) - 1 } else { u64::MAX },
            rows: rows.bytes.into_boxed_slice(),
            countries,
        }
    }

    /// Every candidate, whatever the request.
    pub(super) fn all(&self) -> &[Candidate] {
        &self.all
    }

    /// Calls `weigh` with each candidate that no known dimension rules out, in order, and whether
    /// its scope is thereby settled: it matches.
    pub(super) fn surviving<'s>(
        &'s self,
        facts: &Facts<'_, '_>,
        plan: &RowPlan,
        mut weigh: impl FnMut(&'s Candidate, bool),
    ) {
        if self.all.is_empty() {
            return;
        }
        let country = facts.country.known();
        let places: [Option<usize>; DIMENSIONS - 1] = [
            facts.segment.known().map(usize::from),
            facts.channel.known().map(usize::from),
            facts.device.known().map(usize::from),
            facts.relationship.known().map(|relationship| relationship as usize),
            facts.holder().map(|holder| holder as usize),
        ];
        let of = |dimension: usize| {
            let [start, count] =
                [&plan.starts[..], &plan.counts[..]].map(|list| list.get(dimension).copied());
            let place = places.get(dimension).copied().flatten();
            start.unwrap_or_default() + place.or(count).unwrap_or_default()
        };
        let [.., countries] = plan.starts;
        let rows = [
            usize::from(facts.request.action as u8),
            of(0),
            of(1),
            of(2),
            of(3),
            of(4),
            countries + self.country_row(country),
        ];
        let [a, b, c, d, e] = places.map(|place| place.is_some());
        let known = bits([a, b, c, d, e, country.is_some()]);
        for (word, chunk) in self.all.chunks(64).enumerate() {
            let mut standing = rows.iter().fold(u64::MAX, |set, row| set & self.word(*row, word));
            while standing != 0 {
                if let Some(candidate) = chunk.get(standing.trailing_zeros() as usize) {
                    weigh(candidate, candidate.in_rows && candidate.stated & !known == 0);
                }
                standing &= standing - 1;
            }
        }
    }

    /// Sixty-four bits of a row, or as many as it has.
    fn word(&self, row: usize, word: usize) -> u64 {
        let bytes = self.rows.get(row * self.width + word * 8..).unwrap_or_default();
        // A row that is not there rules nobody out.
        bytes.first_chunk().map_or(u64::MAX, |bytes| u64::from_le_bytes(*bytes) & self.mask)
    }

    /// The row of a country: its own, or that of countries that nobody states, or that of an
    /// unknown one.
    fn country_row(&self, country: Option<Country>) -> usize {
        let stated: u32 = self.countries.iter().map(|word| word.count_ones()).sum();
        let Some(place) = country.map(Country::index) else { return stated as usize + 1 };
        if !has(&self.countries, place) {
            return stated as usize;
        }
        let mut before = 0;
        for (at, word) in self.countries.iter().enumerate().take(place / 64 + 1) {
            let mask = if at == place / 64 { (1u64 << (place % 64)) - 1 } else { u64::MAX };
            before += (word & mask).count_ones();
        }
        before as usize
    }
}

fn has(countries: &[u64; COUNTRY_WORDS], place: usize) -> bool {
    countries.get(place / 64).is_some_and(|word| word & (1u64 << (place % 64)) != 0)
}

/// Rows of bits under construction.
struct Rows {
    candidates: usize,
    width: usize,
    bytes: Vec<u8>,
}

impl Rows {
    fn of(candidates: usize) -> Self {
        let width = match candidates.div_ceil(8) {
            short @ 0..8 => short,
            long => long.next_multiple_of(8),
        };
        Self { candidates, width, bytes: Vec::new() }
    }

    /// Adds a row with a bit for each candidate that it leaves standing.
    fn add(&mut self, keeps: impl Fn(usize) -> bool) {
        let start = self.bytes.len();
        self.bytes.resize(start + self.width, 0);
        for at in (0..self.candidates).filter(|&at| keeps(at)) {
            if let Some(byte) = self.bytes.get_mut(start + at / 8) {
                *byte |= 1 << (at % 8);
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
