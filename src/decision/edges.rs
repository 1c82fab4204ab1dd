//! The instants at which suspensions begin or end to hit, as small numbers.
//!
//! A decision asks of many suspensions whether an instant has come. All such instants of a snapshot stand in
//! one list, in order; a decision looks up once how many of them have come, and then compares places.
//!
//! Invariant: the instant of an edge has come if and only if the edge is before [`Edges::next`].

use crate::domain::Timestamp;

/// All edges of a snapshot, in order, each once.
#[derive(Debug, Default)]
pub(super) struct Edges(Box<[Timestamp]>);

/// An instant, by its place among all edges.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Edge(u32);

/// None found so far: every other edge is earlier.
impl Default for Edge {
    fn default() -> Self {
        Self::NEVER
    }
}

impl Edge {
    /// What never comes.
    pub(super) const NEVER: Self = Self(u32::MAX);
}

impl Edges {
    pub(super) fn new(instants: impl Iterator<Item = Timestamp>) -> Self {
        let mut all: Vec<_> = instants.collect();
        all.sort_unstable();
        all.dedup();
        Self(all.into_boxed_slice())
    }

    /// The edge at an instant; `None` for one at which nothing begins or ends.
    pub(super) fn edge(&self, at: Timestamp) -> Option<Edge> {
        self.0.binary_search(&at).ok().and_then(|place| u32::try_from(place).ok()).map(Edge)
    }

    /// The first edge that has not come at `now`.
    pub(super) fn next(&self, now: Timestamp) -> Edge {
        let come = self.0.partition_point(|edge| *edge <= now);
        u32::try_from(come).map_or(Edge::NEVER, Edge)
    }

    /// When an edge comes; `None` for one that never does.
    pub(super) fn at(&self, edge: Edge) -> Option<Timestamp> {
        self.0.get(edge.0 as usize).copied()
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn an_edge_has_come_from_its_own_instant_on() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let edges = Edges::new([30, 10, 20, 10].map(at).into_iter());
        for second in 0..40 {
            for edge in [10, 20, 30] {
                let has_come = edges.edge(at(edge)).unwrap() < edges.next(at(second));
                assert_eq!(has_come, edge <= second, "{edge} at {second}");
            }
            assert!(edges.next(at(second)) <= Edge::NEVER);
        }
        assert_eq!(edges.edge(at(10)).and_then(|edge| edges.at(edge)), Some(at(10)));
        assert_eq!(edges.edge(at(15)), None);
        assert_eq!(edges.at(Edge::NEVER), None);
    }
}
