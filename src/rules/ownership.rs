//! Finds vendors that own each other in a cycle, at any instant.
//!
//! Two companies may own each other one after the other; what cannot be is a cycle at one instant,
//! since reach would then have no top to start from.

use super::problem::Problem;
use crate::domain::{RuleSet, Timestamp, VendorId, Window};
use std::collections::BTreeSet;

/// A problem for every cycle, told once, at the first instant at which it exists.
pub(super) fn cycles(rules: &RuleSet) -> Vec<Problem> {
    // Almost always there is none even if all owners count at once, and no date matters.
    if cycles_of(rules, |_| true).is_empty() {
        return Vec::new();
    }
    // Owners change only where some window starts or ends, so those instants, and one before all of
    // them, are enough to look at.
    let parents = rules.vendors.values().flat_map(|vendor| &vendor.parents);
    let edges = parents.flat_map(|parent| [parent.window.from, parent.window.until]);
    let mut instants: BTreeSet<Timestamp> = edges.flatten().collect();
    instants.insert(Timestamp::MIN);
    let mut told = BTreeSet::new();
    let mut problems = Vec::new();
    for now in instants {
        for cycle in cycles_of(rules, |window| window.contains(now)) {
            let Some(first) = cycle.first() else { continue };
            let names: Vec<_> = cycle.iter().map(|id| id.as_str()).collect();
            let when = if now == Timestamp::MIN { String::new() } else { format!(" at {now}") };
            let message = format!("own each other in a cycle{when}: {}", names.join(" -> "));
            if told.insert(names.join(" ")) {
                problems.push(Problem::new(format!("vendors.{first}.parents"), message));
            }
        }
    }
    problems
}

/// Cycles of owners among those that count, each from its smallest id back to that id.
fn cycles_of(rules: &RuleSet, counts: impl Fn(&Window) -> bool) -> Vec<Vec<&VendorId>> {
    let owners = |id: &VendorId| {
        let parents = rules.vendors.get(id).map_or(&[][..], |vendor| vendor.parents.as_slice());
        parents.iter().filter(|parent| counts(&parent.window)).map(|parent| &parent.vendor)
    };
    let mut done = BTreeSet::new();
    let mut found = Vec::new();
    for start in rules.vendors.keys() {
        // Depth first; the path is kept by hand, since a chain of owners may be any length.
        let mut path: Vec<&VendorId> = Vec::new();
        let mut todo = vec![(start, 0)];
        while let Some((vendor, depth)) = todo.pop() {
            path.truncate(depth);
            if let Some(at) = path.iter().position(|owner| *owner == vendor) {
                found.push(from_smallest(path.get(at..).unwrap_or_default()));
            } else if done.insert(vendor) {
                path.push(vendor);
                todo.extend(owners(vendor).map(|owner| (owner, depth + 1)));
            }
        }
    }
    found
}

/// A cycle, turned so that it starts and ends with its smallest id.
fn from_smallest<'a>(cycle: &[&'a VendorId]) -> Vec<&'a VendorId> {
    let smallest = (0..cycle.len()).min_by_key(|at| cycle.get(*at)).unwrap_or_default();
    cycle.iter().cycle().skip(smallest).take(cycle.len() + 1).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::super::read;

    /// What is wrong with vendors that have these parents.
    fn told(parents: &[(&str, &str)]) -> String {
        let vendors = parents
            .iter()
            .map(|(id, parents)| format!("  {id}: {{name: X, parents: {parents}}}\n"));
        read(&format!("vendors:\n{}", vendors.collect::<String>()))
            .map_or_else(|errors| errors.to_string(), |_| "nothing".to_owned())
    }

    #[test]
    fn owners_may_change_places_as_long_as_they_never_own_each_other_at_once() {
        let until = "[{vendor: b, until: \"2020-01-01T00:00:00Z\"}]";
        let from = "[{vendor: a, from: \"2020-01-01T00:00:00Z\"}]";
        assert_eq!(told(&[("a", until), ("b", from)]), "nothing");
    }

    #[test]
    fn a_cycle_is_told_once_with_its_members_and_when_it_begins() {
        let until = "[{vendor: b, until: \"2020-01-01T00:00:01Z\"}]";
        let from = "[{vendor: a, from: \"2020-01-01T00:00:00Z\"}]";
        assert_eq!(
            told(&[("a", until), ("b", from)]),
            "2:25: vendors.a.parents: own each other in a cycle at 2020-01-01T00:00:00Z: a -> b -> a"
        );
        assert_eq!(
            told(&[
                ("d", "[{vendor: c}]"),
                ("c", "[{vendor: b}]"),
                ("b", "[{vendor: d}, {vendor: x}]"),
                ("x", "[]")
            ]),
            "4:25: vendors.b.parents: own each other in a cycle: b -> d -> c -> b"
        );
    }

    #[test]
    fn two_owners_with_one_owner_are_no_cycle() {
        let joint = [
            ("a", "[{vendor: b}, {vendor: c}]"),
            ("b", "[{vendor: d}]"),
            ("c", "[{vendor: d}]"),
            ("d", "[]"),
        ];
        assert_eq!(told(&joint), "nothing");
    }
}
