//! The suspensions that can hit one product or offer, and a quick way to drop those that a known
//! dimension rules out.
//!
//! For each value of the dimensions that vary most between rules there is a row of bits, one bit a
//! candidate, that says whom the value leaves standing; the AND of a few words answers for 64
//! candidates at once. All rows of a list lie together, so that a decision touches little memory.
//! So it costs about the same with ten suspensions as with 10,000.
//!
//! Invariant: a row never drops a candidate that [`CompiledScope::matches`] would not answer `No`
//! for, and what is called settled is one that it would answer `Yes` for.

use super::facts::Facts;
use super::ownership::Hit;
use super::scope::CompiledScope;
use super::snapshot::CompiledSuspension;
use super::terms::Terms;
use crate::domain::{Action, Country, Timestamp};

/// One suspension against one product or offer, during one stretch of time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Candidate {
    /// First instant.
    pub(super) from: Timestamp,
    /// First instant no longer; open when `None`.
    pub(super) until: Option<Timestamp>,
    /// Place of the suspension in the snapshot.
    pub(super) suspension: u32,
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
        suspension: u32,
        compiled: &CompiledSuspension,
        hit: Hit,
        from: Timestamp,
        until: Option<Timestamp>,
    ) -> Self {
        let scope = &compiled.scope;
        let has_clause = compiled.suspension.grandfather.is_some();
        let stated = [
            scope.countries.is_some(),
            scope.segments.is_some(),
            scope.channels.is_some(),
            scope.devices.is_some(),
        ];
        Self {
            from,
            until,
            suspension,
            hit,
            can_be_waived: has_clause || !compiled.exemptions.is_empty(),
            in_rows: scope.is_in_rows(),
            stated: bits(stated),
        }
    }
}

fn bits(flags: [bool; 4]) -> u8 {
    flags.iter().enumerate().fold(0, |set, (place, flag)| set | u8::from(*flag) << place)
}

/// Candidates in the order of their suspensions (`from`, then id), with their rows of bits.
#[derive(Debug, Default)]
pub(super) struct Candidates {
    all: Box<[Candidate]>,
    /// The countries that some candidate states, one bit a country; a country's row is found by
    /// counting the bits before it.
    countries: [u64; COUNTRY_WORDS],
    /// Words in a row.
    words: usize,
    /// The first row of segments, channels, devices and countries; actions come first.
    starts: [u32; 4],
    rows: Box<[u64]>,
}

/// The set of terms that a scope states in one dimension.
type Stated = fn(&CompiledScope) -> Option<u64>;

const COUNTRY_WORDS: usize = Country::COUNT.div_ceil(64);

/// How many kinds of action there are.
const ACTIONS: usize = Action::ALL.len();

impl Candidates {
    pub(super) fn new<'s>(
        all: Vec<Candidate>,
        terms: &Terms,
        scope_of: impl Fn(&Candidate) -> Option<&'s CompiledScope>,
    ) -> Self {
        if all.is_empty() {
            return Self::default();
        }
        let scopes: Vec<_> = all.iter().map(scope_of).collect();
        let mut rows = Rows { words: all.len().div_ceil(64), all: Vec::new() };
        let mut countries = [0; COUNTRY_WORDS];
        for place in scopes.iter().flatten().filter_map(|scope| scope.row_countries()).flatten() {
            if let Some(word) = countries.get_mut(place / 64) {
                *word |= 1u64 << (place % 64);
            }
        }
        let listed: Vec<usize> = (0..Country::COUNT).filter(|&at| has(&countries, at)).collect();
        let set = |states: Stated| {
            let scopes = &scopes;
            move |value: usize, candidate: usize| {
                let scope = scopes.get(candidate).copied().flatten();
                scope.and_then(states).is_none_or(|set| set & (1u64 << value) != 0)
            }
        };
        rows.add(ACTIONS, set(|scope| scope.actions.map(u64::from)));
        let mut starts = [0; 4];
        let dimensions: [(usize, Stated); 3] = [
            (terms.count_segments(), |scope| scope.segments),
            (terms.count_channels(), |scope| scope.channels),
            (terms.count_devices(), |scope| scope.devices),
        ];
        for (start, (count, states)) in starts.iter_mut().zip(dimensions) {
            *start = rows.count();
            rows.add(count, set(states));
            rows.add_full(all.len());
        }
        if let Some(start) = starts.last_mut() {
            *start = rows.count();
        }
        let resident = |place: Option<usize>, candidate: usize| {
            let scope = scopes.get(candidate).copied().flatten();
            let stated = scope.and_then(CompiledScope::row_countries);
            stated.is_none_or(|mut stated| stated.any(|country| Some(country) == place))
        };
        rows.add(listed.len(), |row, candidate| resident(listed.get(row).copied(), candidate));
        rows.add(1, |_, candidate| resident(None, candidate));
        rows.add_full(all.len());
        Self {
            all: all.into_boxed_slice(),
            countries,
            words: rows.words,
            starts,
            rows: rows.all.into_boxed_slice(),
        }
    }

    /// Every candidate, whatever the request.
    pub(super) fn all(&self) -> &[Candidate] {
        &self.all
    }

    /// Calls `weigh` with each candidate that no known dimension rules out, in order, and whether
    /// its scope is thereby settled: it matches.
    pub(super) fn surviving(&self, facts: &Facts<'_, '_>, mut weigh: impl FnMut(&Candidate, bool)) {
        if self.all.is_empty() {
            return;
        }
        let terms = facts.terms;
        let [segments, channels, devices, countries] = self.starts;
        let term = |place: Option<u8>, count: usize| place.map_or(count, usize::from);
        let (country, segment) = (facts.country.known(), facts.segment.known());
        let (channel, device) = (facts.channel.known(), facts.device.known());
        let rows = [
            self.row(0, usize::from(facts.request.action as u8)),
            self.row(segments, term(segment, terms.count_segments())),
            self.row(channels, term(channel, terms.count_channels())),
            self.row(devices, term(device, terms.count_devices())),
            self.row(countries, self.country_row(country)),
        ];
        let known =
            bits([country.is_some(), segment.is_some(), channel.is_some(), device.is_some()]);
        let [a, s, ch, d, co] = rows;
        let words = a.iter().zip(s).zip(ch).zip(d).zip(co);
        for (((((a, s), ch), d), co), chunk) in words.zip(self.all.chunks(64)) {
            let mut standing = a & s & ch & d & co;
            while standing != 0 {
                if let Some(candidate) = chunk.get(standing.trailing_zeros() as usize) {
                    weigh(candidate, candidate.in_rows && candidate.stated & !known == 0);
                }
                standing &= standing - 1;
            }
        }
    }

    fn row(&self, start: u32, row: usize) -> &[u64] {
        let at = (start as usize + row) * self.words;
        self.rows.get(at..at + self.words).unwrap_or_default()
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
    words: usize,
    all: Vec<u64>,
}

impl Rows {
    /// Adds a row a value, with a bit for each candidate that the value leaves standing.
    fn add(&mut self, values: usize, keeps: impl Fn(usize, usize) -> bool) {
        for value in 0..values {
            for word in 0..self.words {
                let bits = (0..64).filter(|bit| keeps(value, word * 64 + bit));
                self.all.push(bits.fold(0, |word, bit| word | 1u64 << bit));
            }
        }
    }

    /// Adds the row of an unknown value, which rules nobody out.
    fn add_full(&mut self, candidates: usize) {
        self.add(1, |_, candidate| candidate < candidates);
    }

    fn count(&self) -> u32 {
        u32::try_from(self.all.len() / self.words.max(1)).unwrap_or(u32::MAX)
    }
}
