//! What is decided for one row, made ready to be written after as many rows as get the same.

use super::encode::Verdict;
use super::format::Format;
use super::summary::OfferCounts;
use rustc_hash::FxHashMap;
use std::rc::Rc;

/// What is decided for a row, for each offer that was asked for.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Answer {
    pub(super) verdicts: Vec<Ready>,
}

/// What is decided for one offer.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Ready {
    outcome: &'static str,
    reasons: Vec<String>,
    /// The added columns as text: what follows the columns that are carried.
    pub(super) tail: Vec<u8>,
    /// The added columns but `revision`, in their order, where the output is Parquet.
    pub(super) cells: [Option<String>; 8],
}

impl Answer {
    pub(super) fn of(verdicts: Vec<Verdict<'_>>, format: Format) -> Self {
        let ready = verdicts.into_iter().map(|verdict| Ready {
            outcome: verdict.outcome,
            tail: match format {
                Format::Csv => verdict.csv(),
                Format::Jsonl => verdict.json(),
                Format::Parquet => Vec::new(),
            },
            cells: match format {
                Format::Parquet => verdict.cells(),
                Format::Csv | Format::Jsonl => Default::default(),
            },
            reasons: verdict.reasons,
        });
        Self { verdicts: ready.collect() }
    }

    /// Counts it for so many rows.
    pub(super) fn count(&self, rows: u64, counts: &mut [OfferCounts]) {
        if rows != 0 {
            for (ready, counts) in self.verdicts.iter().zip(counts) {
                counts.count(ready.outcome, &ready.reasons, rows);
            }
        }
    }
}

/// The answers of one thread, each once: those that are kept, and those of single rows of a chunk for which
/// there was no room.
#[derive(Debug, Default)]
pub(super) struct Answers {
    kept: Vec<Rc<Answer>>,
    places: FxHashMap<Rc<Answer>, u32>,
    single: Vec<Answer>,
    /// How many rows of the chunk have which of those that are kept.
    hits: Vec<u64>,
}

/// Most answers that are kept.
const MOST_KEPT: usize = 1 << 14;

/// Marks the place of a single answer.
const SINGLE: u32 = 1 << 31;

impl Answers {
    /// Adds an answer; tells its place.
    pub(super) fn add(&mut self, answer: Answer) -> u32 {
        if let Some(place) = self.places.get(&answer) {
            return *place;
        }
        if self.kept.len() == MOST_KEPT {
            return self.once(answer);
        }
        let answer = Rc::new(answer);
        self.kept.push(Rc::clone(&answer));
        self.hits.push(0);
        let place = last(self.kept.len());
        self.places.insert(answer, place);
        place
    }

    /// Adds an answer that is not looked for again; tells its place in this chunk.
    pub(super) fn once(&mut self, answer: Answer) -> u32 {
        self.single.push(answer);
        last(self.single.len()) | SINGLE
    }

    /// Whether the place holds in other chunks, too.
    pub(super) fn is_kept(place: u32) -> bool {
        place & SINGLE == 0
    }

    /// The answer at a place, which a row gets.
    pub(super) fn hit(&mut self, place: u32) -> Option<&Answer> {
        let index = (place & !SINGLE) as usize;
        if place & SINGLE != 0 {
            return self.single.get(index);
        }
        if let Some(hits) = self.hits.get_mut(index) {
            *hits += 1;
        }
        self.kept.get(index).map(AsRef::as_ref)
    }

    /// Ends a chunk: counts its answers, and gives them with their places.
    pub(super) fn end(&mut self, counts: &mut [OfferCounts]) {
        for (answer, hits) in self.kept.iter().zip(&mut self.hits) {
            answer.count(std::mem::take(hits), counts);
        }
        self.single.drain(..).for_each(|answer| answer.count(1, counts));
    }

    /// The answers that rows of the chunk have: each with its place.
    #[cfg(feature = "parquet")]
    pub(super) fn used(&self) -> impl Iterator<Item = (u32, &Answer)> {
        let kept = (0..).zip(&self.kept).zip(&self.hits).filter(|(_, hits)| **hits != 0);
        let kept = kept.map(|((place, answer), _)| (place, answer.as_ref()));
        kept.chain((SINGLE..).zip(&self.single))
    }
}

/// The place of the last of so many.
fn last(count: usize) -> u32 {
    u32::try_from(count - 1).unwrap_or(u32::MAX)
}
