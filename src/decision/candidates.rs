//! The suspensions that can hit one product or offer, and a quick way to drop those that a known
//! dimension rules out.
//!
//! For each value of the dimensions that vary most between rules there is a row of bits, one bit a
//! candidate, that says whom the value leaves standing; the AND of a few words answers for 64
//! candidates at once. So a decision costs about the same with ten suspensions as with 10,000.
//!
//! Invariant: a row never drops a candidate that [`CompiledScope::matches`] would not answer `No`
//! for. What survives is weighed again in full, so a row may keep too many but never too few.

use super::facts::Facts;
use super::ownership::Hit;
use super::scope::CompiledScope;
use crate::domain::{Action, Attribute, Timestamp};

/// One suspension against one product or offer, during one stretch of time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Candidate {
    /// Place of the suspension in the snapshot.
    pub(super) suspension: usize,
    /// How it hits.
    pub(super) hit: Hit,
    /// First instant.
    pub(super) from: Timestamp,
    /// First instant no longer; open when `None`.
    pub(super) until: Option<Timestamp>,
}

/// Candidates in the order of their suspensions (`from`, then id), with their rows of bits.
#[derive(Debug)]
pub(super) struct Candidates {
    all: Box<[Candidate]>,
    actions: Dimension,
    countries: Dimension,
    segments: Dimension,
    channels: Dimension,
    devices: Dimension,
}

impl Candidates {
    pub(super) fn new<'s>(
        all: Vec<Candidate>,
        scope_of: impl Fn(&Candidate) -> Option<&'s CompiledScope>,
    ) -> Self {
        let scopes: Vec<_> = all.iter().map(scope_of).collect();
        let dimension = |values: &dyn Fn(&CompiledScope) -> Option<Vec<usize>>| {
            Dimension::new(scopes.iter().map(|scope| scope.and_then(values)))
        };
        let bits = |set: u64| (0..64).filter(|place| set & (1u64 << place) != 0).collect();
        Self {
            actions: dimension(&|scope| scope.actions.map(|set| bits(u64::from(set)))),
            // A rule that also names US persons can match whatever the country.
            countries: dimension(&|scope| match &scope.countries {
                Some(set) if !scope.names_us_persons => Some(set.iter().collect()),
                _ => None,
            }),
            segments: dimension(&|scope| scope.segments.map(bits)),
            channels: dimension(&|scope| scope.channels.map(bits)),
            devices: dimension(&|scope| scope.devices.map(bits)),
            all: all.into_boxed_slice(),
        }
    }

    /// Every candidate, whatever the request.
    pub(super) fn all(&self) -> &[Candidate] {
        &self.all
    }

    /// Calls `weigh` with each candidate that no known dimension rules out, in order.
    pub(super) fn surviving(&self, facts: &Facts<'_, '_>, mut weigh: impl FnMut(&Candidate)) {
        if self.all.is_empty() {
            return;
        }
        let actions = self.actions.row(Some(action_place(facts.request.action)));
        let countries = self.countries.row(known(facts.country).map(|country| country.index()));
        let segments = self.segments.row(known(facts.segment).map(usize::from));
        let channels = self.channels.row(known(facts.channel).map(usize::from));
        let devices = self.devices.row(known(facts.device).map(usize::from));
        let rows = actions.iter().zip(countries).zip(segments).zip(channels).zip(devices);
        for (((((a, c), s), ch), d), chunk) in rows.zip(self.all.chunks(64)) {
            let mut standing = a & c & s & ch & d;
            while standing != 0 {
                if let Some(candidate) = chunk.get(standing.trailing_zeros() as usize) {
                    weigh(candidate);
                }
                standing &= standing - 1;
            }
        }
    }
}

fn action_place(action: Action) -> usize {
    usize::from(action as u8)
}

fn known<T: Copy>(attribute: Attribute<T>) -> Option<T> {
    attribute.known()
}

/// One dimension's rows.
#[derive(Debug)]
struct Dimension {
    words: usize,
    /// The values that some candidate states, in order.
    values: Box<[u16]>,
    /// A row for each of `values`, then one for every other value, then one for an unknown value.
    rows: Box<[u64]>,
}

impl Dimension {
    /// `stated` gives, for each candidate, the values that it states; `None` where it states none
    /// and so matches all.
    fn new(stated: impl Iterator<Item = Option<Vec<usize>>>) -> Self {
        let stated: Vec<_> = stated.collect();
        let mut values: Vec<usize> = stated.iter().flatten().flatten().copied().collect();
        values.sort_unstable();
        values.dedup();
        let words = stated.len().div_ceil(64);
        let mut rows = vec![0; words * (values.len() + 2)];
        let mut keep = |row: usize, candidate: usize| {
            if let Some(word) = rows.get_mut(row * words + candidate / 64) {
                *word |= 1u64 << (candidate % 64);
            }
        };
        for (candidate, stated) in stated.iter().enumerate() {
            match stated {
                None => (0..=values.len()).for_each(|row| keep(row, candidate)),
                Some(stated) => stated
                    .iter()
                    .filter_map(|value| values.binary_search(value).ok())
                    .for_each(|row| keep(row, candidate)),
            }
            keep(values.len() + 1, candidate);
        }
        let values = values.into_iter().filter_map(|value| u16::try_from(value).ok()).collect();
        Self { words, values, rows: rows.into_boxed_slice() }
    }

    fn row(&self, value: Option<usize>) -> &[u64] {
        let row = match value {
            Some(value) => self
                .values
                .iter()
                .position(|stated| usize::from(*stated) == value)
                .unwrap_or(self.values.len()),
            None => self.values.len() + 1,
        };
        let start = row * self.words;
        self.rows.get(start..start + self.words).unwrap_or_default()
    }
}
