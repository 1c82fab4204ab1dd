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

/// One suspension against one product or offer, during one stretch of time.
#[derive(Debug)]
pub(super) struct Stretch {
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
    /// Whether its scope is settled once it survived: it matches.
    pub(super) fn is_settled(&self, selected: &Selected) -> bool {
        self.in_rows && self.stated & !selected.known == 0
    }

    /// `None` when it begins or ends at an instant that is no edge.
    fn new(stretch: Stretch, suspension: &CompiledSuspension, edges: &Edges) -> Option<Self> {
        let Stretch { place, hit, from, until } = stretch;
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
        })
    }
}

/// All lists of candidates of a snapshot, one after another.
#[derive(Debug, Default)]
pub(super) struct Lists {
    candidates: Vec<Candidate>,
    rows: Vec<u8>,
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
    /// there are more than can be numbered, one begins or ends at no edge or is of no suspension, or the rows are not
    /// those of the plan.
    pub(super) fn add(
        &mut self,
        stretches: Vec<Stretch>,
        suspensions: &[CompiledSuspension],
        edges: &Edges,
        plan: &RowPlan,
    ) -> Option<List> {
        if stretches.is_empty() {
            return Some(List::default());
        }
        let (start, rows) = (self.candidates.len(), self.rows.len());
        let mut scopes = Vec::new();
        for stretch in stretches {
            let suspension = suspensions.get(stretch.place as usize)?;
            scopes.push(&suspension.scope);
            self.candidates.push(Candidate::new(stretch, suspension, edges)?);
        }
        write_rows(&scopes, plan, &mut self.rows);
        if self.rows.len() - rows != Rows::length(plan, scopes.len()) {
            return None;
        }
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
        let rows = Rows::get(&self.rows, list.rows as usize)?;
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

/// Those of one list that no known dimension rules out, in its order.
struct Standing<'s, 'r> {
    list: &'r Candidates<'s>,
    selected: &'r Selected,
    /// Which of the current 64 are left, one bit each.
    left: u64,
    /// Where the current 64 begin.
    start: usize,
}

impl<'s, 'r> Standing<'s, 'r> {
    fn new(list: &'r Candidates<'s>, selected: &'r Selected) -> Self {
        let left = match list.all.len() {
            0 => 0,
            candidates => list.rows.standing(candidates, selected, 0),
        };
        Self { list, selected, left, start: 0 }
    }

    /// Goes on to the next 64 of which any is left, if there are such. Few lists are that long.
    #[cold]
    #[inline(never)]
    fn refill(&mut self) -> bool {
        let candidates = self.list.all.len();
        while self.left == 0 && self.start + 64 < candidates {
            self.start += 64;
            self.left = self.list.rows.standing(candidates, self.selected, self.start / 64);
        }
        self.left != 0
    }
}

impl<'s> Iterator for Standing<'s, '_> {
    type Item = &'s Candidate;

    #[inline]
    fn next(&mut self) -> Option<&'s Candidate> {
        loop {
            if self.left == 0 && (self.list.all.len() <= self.start + 64 || !self.refill()) {
                return None;
            }
            let place = self.start + self.left.trailing_zeros() as usize;
            self.left &= self.left - 1;
            // Always, since no bit stands for more than there are; and if one did, those after it would count.
            if let Some(candidate) = self.list.all.get(place) {
                return Some(candidate);
            }
        }
    }
}

/// The candidates of two lists that no known dimension rules out, in the order of their suspensions.
///
/// The next of each list is looked at ahead of time, so that it is on its way from memory while the caller does
/// something else.
pub(super) struct Survivors<'s, 'r> {
    one: Standing<'s, 'r>,
    other: Standing<'s, 'r>,
    heads: [Option<Head<'s>>; 2],
}

/// The next candidate of a list, and its suspension's place.
type Head<'s> = (u32, &'s Candidate);

fn head<'s>(list: &mut Standing<'s, '_>) -> Option<Head<'s>> {
    list.next().map(|candidate| (candidate.place, candidate))
}

impl<'s, 'r> Survivors<'s, 'r> {
    #[inline]
    pub(super) fn new([one, other]: &'r [Candidates<'s>; 2], selected: &'r Selected) -> Self {
        // Of both lists before anything is looked at, so that their memory is fetched at once.
        let (mut one, mut other) = (Standing::new(one, selected), Standing::new(other, selected));
        let heads = [head(&mut one), head(&mut other)];
        Self { one, other, heads }
    }
}

impl<'s> Iterator for Survivors<'s, '_> {
    type Item = &'s Candidate;

    #[inline]
    fn next(&mut self) -> Option<&'s Candidate> {
        let [first, second] = self.heads;
        match (first, second) {
            (None, None) => None,
            (Some((_, candidate)), None) => {
                self.heads = [head(&mut self.one), None];
                Some(candidate)
            }
            (Some((place, candidate)), Some((later, _))) if place <= later => {
                self.heads = [head(&mut self.one), second];
                Some(candidate)
            }
            (_, Some((_, candidate))) => {
                self.heads = [first, head(&mut self.other)];
                Some(candidate)
            }
        }
    }
}
