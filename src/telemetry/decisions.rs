//! Counts decisions by outcome and first reason, on the hottest path there is.
//!
//! Each thread adds to cells of its own, and a scrape sums them: no lock, no label lookup and no
//! cache line that two cores fight over.
//!
//! Invariant: a count never goes down, and a decision once recorded is in every later sum.

use opentelemetry::KeyValue;
use opentelemetry::metrics::Meter;
use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// More threads than this share cells, which costs time and no count.
const SHARDS: usize = 16;

/// Cells are laid out in steps of this many, 128 bytes, so that two shards never share the pair of
/// cache lines that a processor fetches at once.
const STEP: usize = 16;

thread_local! {
    /// Which shard this thread adds to.
    static SHARD: Cell<Option<usize>> = const { Cell::new(None) };
}

/// The next thread's shard.
static NEXT: AtomicUsize = AtomicUsize::new(0);

/// Decisions taken so far, by outcome and first reason.
#[derive(Debug)]
pub struct Decisions {
    outcomes: &'static [&'static str],
    reasons: &'static [&'static str],
    stride: usize,
    cells: Box<[AtomicU64]>,
}

impl Decisions {
    /// Starts at zero and shows itself as `offergate_decisions_total{outcome, reason}`.
    pub(super) fn register(
        meter: &Meter,
        outcomes: &'static [&'static str],
        reasons: &'static [&'static str],
    ) -> Arc<Self> {
        let decisions = Arc::new(Self::new(outcomes, reasons));
        let seen = Arc::clone(&decisions);
        meter
            .u64_observable_counter("offergate.decisions")
            .with_description("Decisions taken, by outcome and first reason.")
            .with_unit("{decision}")
            .with_callback(move |observer| {
                seen.each(|outcome, reason, count| {
                    let labels =
                        [KeyValue::new("outcome", outcome), KeyValue::new("reason", reason)];
                    observer.observe(count, &labels);
                });
            })
            .build();
        decisions
    }

    fn new(outcomes: &'static [&'static str], reasons: &'static [&'static str]) -> Self {
        let stride = (outcomes.len() * reasons.len()).next_multiple_of(STEP);
        let cells = (0..stride * SHARDS).map(|_| AtomicU64::new(0)).collect();
        Self { outcomes, reasons, stride, cells }
    }

    /// Counts one decision. The arguments are places in the lists given at the start; a place
    /// outside them counts nothing.
    pub fn record(&self, outcome: usize, reason: usize) {
        if self.outcomes.len() <= outcome || self.reasons.len() <= reason {
            return;
        }
        let place = shard() * self.stride + outcome * self.reasons.len() + reason;
        if let Some(cell) = self.cells.get(place) {
            cell.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Visits every pair that was counted at least once.
    fn each(&self, mut visit: impl FnMut(&'static str, &'static str, u64)) {
        for (outcome, outcome_name) in self.outcomes.iter().enumerate() {
            for (reason, reason_name) in self.reasons.iter().enumerate() {
                let first = outcome * self.reasons.len() + reason;
                let cells = self.cells.iter().skip(first).step_by(self.stride);
                let count: u64 = cells.map(|cell| cell.load(Ordering::Relaxed)).sum();
                if 0 < count {
                    visit(outcome_name, reason_name, count);
                }
            }
        }
    }
}

/// This thread's shard, given out in turn.
fn shard() -> usize {
    SHARD.with(|shard| {
        shard.get().unwrap_or_else(|| {
            let next = NEXT.fetch_add(1, Ordering::Relaxed) % SHARDS;
            shard.set(Some(next));
            next
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTCOMES: &[&str] = &["YES", "NO"];
    const REASONS: &[&str] = &["A", "B", "C"];

    #[test]
    fn what_many_threads_count_at_once_adds_up() {
        let decisions = Decisions::new(OUTCOMES, REASONS);
        std::thread::scope(|scope| {
            for _ in 0..SHARDS + 3 {
                scope.spawn(|| {
                    for turn in 0..6_000 {
                        decisions.record(turn % 2, turn % 3);
                    }
                });
            }
        });
        let mut seen = Vec::new();
        decisions.each(|outcome, reason, count| seen.push((outcome, reason, count)));
        let each = 1_000 * (SHARDS as u64 + 3);
        let expected: Vec<_> = OUTCOMES
            .iter()
            .flat_map(|outcome| REASONS.iter().map(move |reason| (*outcome, *reason, each)))
            .collect();
        assert_eq!(seen, expected);
    }

    #[test]
    fn a_place_outside_the_lists_counts_nothing_for_its_neighbours() {
        let decisions = Decisions::new(OUTCOMES, REASONS);
        decisions.record(0, 3);
        decisions.record(2, 0);
        let mut seen = 0;
        decisions.each(|_, _, _| seen += 1);
        assert_eq!(seen, 0);
    }
}
