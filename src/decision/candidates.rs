//! The suspensions that can hit one product or offer, and a quick way to drop those that a known
//! dimension rules out.
//!
//! Rows of bits (`rows.rs`) answer for 64 candidates at once, so that a decision costs about the same
//! with ten suspensions as with 10,000. What it costs beyond that is memory that is in no near cache, so
//! candidates are small, and all lists of a snapshot lie in the same two pieces of memory.
//!
//! Invariant: what is called settled is a candidate that [`CompiledScope::matches`] would answer `Yes`
//! for.
//!
//! [`CompiledScope::matches`]: super::scope::CompiledScope::matches

use super::edges::{Edge, Edges};
use super::ownership::Hit;
use super::rows::{RowPlan, Rows, Selected, stated_dimensions, write_rows};
use super::snapshot::CompiledSuspension;
use crate::domain::Timestamp;
use std::sync::Arc;

/// One suspension against one product or offer, during one stretch of time.
#[derive(Debug)]
pub(super) struct Stretch {
    pub(super) suspension: Arc<CompiledSuspension>,
    /// The suspension's place among all, in the order in which decisions report them.
    pub(super) place: u32,
    /// How it hits.
    pub(super) hit: Hit,
    /// First instant.
    pub(super) from: Timestamp,
    /// First instant no longer; open when `None`.
    pub(super) until: Option<Timestamp>,
}

/// A [`Stretch`] as decisions read it.
#[derive(Debug)]
pub(super) struct Candidate {
    pub(super) suspension: Arc<CompiledSuspension>,
    /// When it begins.
    pub(super) from: Edge,
    /// When it ends.
    pub(super) until: Edge,
    /// The suspension's place among all, in the order in which decisions report them.
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
    /// `None` when it begins or ends at an instant that is no edge.
    fn new(stretch: Stretch, edges: &Edges) -> Option<Self> {
        let Stretch { suspension, place, hit, from, until } = stretch;
        let scope = &suspension.scope;
        let has_clause = suspension.suspension.grandfather.is_some();
        Some(Self {
            from: edges.edge(from)?,
            until: until.map_or(Some(Edge::NEVER), |until| edges.edge(until))?,
            place,
            hit,
            can_be_waived: has_clause || !suspension.exemptions.is_empty(),
            in_rows: scope.is_in_rows(),
            stated: stated_dimensions(scope),
            suspension,
        })
    }
}

/// All lists of candidates of a snapshot, one after another.
#[derive(Debug, Default)]
pub(super) struct Lists {
    candidates: Vec<Candidate>,
    rows: Vec<u8>,
    /// How many rows each list has.
    rows_each: usize,
}

/// Where a list stands among all.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct List {
    start: u32,
    count: u32,
    rows: u32,
}

impl Lists {
    /// Adds the list of one product or offer, in the order of its suspensions (`from`, then id); `None` when
    /// there are more than can be numbered, or one begins or ends at no edge.
    pub(super) fn add(
        &mut self,
        stretches: Vec<Stretch>,
        edges: &Edges,
        plan: &RowPlan,
    ) -> Option<List> {
        if stretches.is_empty() {
            return Some(List::default());
        }
        let (start, rows) = (self.candidates.len(), self.rows.len());
        for stretch in stretches {
            self.candidates.push(Candidate::new(stretch, edges)?);
        }
        let added = self.candidates.get(start..)?;
        let scopes: Vec<_> = added.iter().map(|candidate| &candidate.suspension.scope).collect();
        self.rows_each = write_rows(&scopes, plan, &mut self.rows);
        let [start, count, rows] = [start, scopes.len(), rows].map(u32::try_from);
        Some(List { start: start.ok()?, count: count.ok()?, rows: rows.ok()? })
    }

    /// Ends, once all lists were added.
    pub(super) fn finish(&mut self) {
        Rows::end(&mut self.rows);
        self.rows.shrink_to_fit();
        self.candidates.shrink_to_fit();
    }

    /// What stands in a place; `None` for one that is in no list of this snapshot.
    pub(super) fn get(&self, list: List) -> Option<Candidates<'_>> {
        let all = self.candidates.get(list.start as usize..)?.get(..list.count as usize)?;
        let rows = Rows::get(&self.rows, list.rows as usize, self.rows_each, all.len())?;
        Some(Candidates { all, rows })
    }
}

/// The candidates of one product or offer, with their rows of bits.
#[derive(Debug, Clone, Copy)]
pub(super) struct Candidates<'s> {
    /// Every one, whatever the request.
    pub(super) all: &'s [Candidate],
    rows: Rows<'s>,
}

/// Calls `weigh` with each candidate that no known dimension rules out, in the order of each list, and
/// whether its scope is thereby settled: it matches.
pub(super) fn surviving<'s>(
    lists: [Candidates<'s>; 2],
    selected: &Selected,
    mut weigh: impl FnMut(&'s Candidate, bool),
) {
    // Of both lists before anything is weighed, so that their memory is fetched at once.
    let first = lists.map(|list| list.rows.standing(selected, 0));
    for (Candidates { all, rows }, first) in lists.into_iter().zip(first) {
        for (word, chunk) in all.chunks(64).enumerate() {
            let mut standing = if word == 0 { first } else { rows.standing(selected, word) };
            while standing != 0 {
                if let Some(candidate) = chunk.get(standing.trailing_zeros() as usize) {
                    let is_known = candidate.stated & !selected.known == 0;
                    weigh(candidate, candidate.in_rows && is_known);
                }
                standing &= standing - 1;
            }
        }
    }
}
