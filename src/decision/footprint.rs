//! Which products each vendor suspension hits, over all of time: for those who must hear when that changes
//! though nobody touched the suspension.

use super::compile::CompileError;
use super::ownership::{Ownership, hit_times};
use crate::domain::{ProductId, RuleSet, SuspensionId, Target, Timestamp, Window};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What all vendor suspensions of a rule set hit, and when.
#[derive(Debug)]
pub struct Footprints(BTreeMap<SuspensionId, Footprint>);

#[derive(Debug)]
struct Footprint {
    /// The suspension, to tell whether somebody touched it.
    suspension: Arc<crate::domain::Suspension>,
    hits: BTreeMap<ProductId, Vec<Window>>,
}

/// A suspension hits other products than before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moved {
    /// Which.
    pub suspension: SuspensionId,
    /// From when on.
    pub at: Timestamp,
    /// What it hits since.
    pub widened: Vec<ProductId>,
    /// What it does not hit any more.
    pub freed: Vec<ProductId>,
}

impl Footprints {
    /// Those of a rule set.
    ///
    /// # Errors
    /// When the rules name a vendor that they do not have.
    pub fn of(rules: &RuleSet) -> Result<Self, CompileError> {
        let ownership = Ownership::new(rules)?;
        let footprint = |suspension: &Arc<crate::domain::Suspension>| {
            let Target::Vendor(vendor) = &suspension.target else { return None };
            let reached = ownership.reached(vendor, suspension.reach);
            let hits = rules.products.values().filter_map(|product| {
                let times = hit_times(product, &reached, suspension.components);
                let windows: Vec<_> = times.into_iter().map(|(window, _)| window).collect();
                (!windows.is_empty()).then(|| (product.id.clone(), windows))
            });
            let hits = hits.collect();
            Some((suspension.id.clone(), Footprint { suspension: Arc::clone(suspension), hits }))
        };
        Ok(Self(rules.suspensions.values().filter_map(footprint).collect()))
    }

    /// What moves by itself after `since` and up to `until`: while a suspension is in force, not by its
    /// own beginning or end.
    #[must_use]
    pub fn moves(&self, since: Timestamp, until: Timestamp) -> Vec<Moved> {
        let mut moves = Vec::new();
        for footprint in self.0.values() {
            let edges = footprint.hits.values().flatten();
            let edges = edges.flat_map(|window| [window.from, window.until]).flatten();
            let edges: BTreeSet<_> = edges.filter(|at| since < *at && *at <= until).collect();
            for at in edges {
                // The last instant before it, as clocks tell instants.
                let Ok(before) = at.checked_sub(std::time::Duration::from_nanos(1)) else {
                    continue;
                };
                let holds = footprint.suspension.in_force();
                if holds.contains(before) && holds.contains(at) {
                    moves.extend(moved(footprint, &footprint.at(before), &footprint.at(at), at));
                }
            }
        }
        moves
    }

    /// What moves because these rules became `after` at `at`, of suspensions that are in force then, and
    /// the same in both, and of products that both have.
    #[must_use]
    pub fn moved_to(&self, after: &Self, at: Timestamp) -> Vec<Moved> {
        let mut moves = Vec::new();
        for (id, old) in &self.0 {
            let Some(new) = after.0.get(id) else { continue };
            if old.suspension == new.suspension && old.suspension.in_force().contains(at) {
                moves.extend(moved(old, &old.at(at), &new.at(at), at));
            }
        }
        moves
    }
}

impl Footprint {
    fn at(&self, at: Timestamp) -> BTreeSet<&ProductId> {
        let hit = |windows: &[Window]| windows.iter().any(|window| window.contains(at));
        self.hits.iter().filter(|(_, windows)| hit(windows)).map(|(id, _)| id).collect()
    }
}

fn moved(
    footprint: &Footprint,
    before: &BTreeSet<&ProductId>,
    after: &BTreeSet<&ProductId>,
    at: Timestamp,
) -> Option<Moved> {
    let without = |some: &BTreeSet<&ProductId>, others: &BTreeSet<&ProductId>| -> Vec<ProductId> {
        some.difference(others).map(|id| (*id).clone()).collect()
    };
    let (widened, freed) = (without(after, before), without(before, after));
    let suspension = footprint.suspension.id.clone();
    let is_new = !widened.is_empty() || !freed.is_empty();
    is_new.then_some(Moved { suspension, at, widened, freed })
}
