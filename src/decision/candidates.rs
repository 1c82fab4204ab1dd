//! The suspensions that can hit one product or offer, and a quick way to drop those that a known
//! dimension rules out.
//!
//! Rows of bits (`rows.rs`) answer for 64 candidates at once, so that a decision costs about the same
//! with ten suspensions as with 10,000.
//!
//! Invariant: what is called settled is a candidate that [`CompiledScope::matches`] would answer `Yes`
//! for.
//!
//! [`CompiledScope::matches`]: super::scope::CompiledScope::matches

use super::ownership::Hit;
use super::rows::{RowPlan, Rows, Selected, stated_dimensions};
use super::snapshot::CompiledSuspension;
use crate::domain::Timestamp;
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
        Self {
            from,
            until,
            suspension: Arc::clone(suspension),
            place,
            hit,
            can_be_waived: has_clause || !suspension.exemptions.is_empty(),
            in_rows: scope.is_in_rows(),
            stated: stated_dimensions(scope),
        }
    }
}

/// Candidates in the order of their suspensions (`from`, then id), with their rows of bits.
#[derive(Debug, Default)]
pub(super) struct Candidates {
    all: Box<[Candidate]>,
    rows: Rows,
}

impl Candidates {
    pub(super) fn new(all: Vec<Candidate>, plan: &RowPlan) -> Self {
        if all.is_empty() {
            return Self::default();
        }
        let scopes: Vec<_> = all.iter().map(|candidate| &candidate.suspension.scope).collect();
        let rows = Rows::new(&scopes, plan);
        Self { all: all.into_boxed_slice(), rows }
    }

    /// Every candidate, whatever the request.
    pub(super) fn all(&self) -> &[Candidate] {
        &self.all
    }

    /// Calls `weigh` with each candidate that no known dimension rules out, in order, and whether
    /// its scope is thereby settled: it matches.
    pub(super) fn surviving<'s>(
        &'s self,
        selected: &Selected,
        mut weigh: impl FnMut(&'s Candidate, bool),
    ) {
        for (word, chunk) in self.all.chunks(64).enumerate() {
            let mut standing = self.rows.standing(selected, word);
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
