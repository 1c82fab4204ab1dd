//! Which way a change goes: whether it can make anything eligible that was not.
//!
//! Eligible is what passes every criterion of its offer and what no suspension denies. Each of these is
//! weighed by itself, so a change that makes none of them milder makes nothing eligible. The rules are
//! compared piece by piece, as they stand at any instant; what time does to them later was approved with
//! them.
//!
//! Invariant: [`direction`] is on the safe side. Tightening is said only of what is shown here to make
//! nothing milder; whatever these few comparisons do not understand loosens. `tests/it/laws.rs` tries that
//! with the decisions themselves.

use crate::domain::{
    ComponentReach, Components, Direction, Exemption, Grandfather, Offer, Product, Reach, RuleSet,
    Scope, Suspension, Vendor, Window,
};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Which way the change from `before` to `after` goes.
#[must_use]
pub fn direction(before: &RuleSet, after: &RuleSet) -> Direction {
    let tightens = before.vocabularies == after.vocabularies
        && each(&before.vendors, &after.vendors, vendor)
        && each(&before.products, &after.products, product)
        && each(&before.offers, &after.offers, offer)
        && each(&before.suspensions, &after.suspensions, suspension)
        && each(&before.exemptions, &after.exemptions, exemption);
    match tightens {
        true => Direction::Tightening,
        false => Direction::Loosening,
    }
}

/// Whether no thing that is new, gone or another one is milder than what was there.
fn each<I: Ord, T: PartialEq>(
    before: &BTreeMap<I, Arc<T>>,
    after: &BTreeMap<I, Arc<T>>,
    tightens: impl Fn(Option<&T>, Option<&T>) -> bool,
) -> bool {
    let gone = before.iter().filter(|(id, _)| !after.contains_key(id));
    gone.into_iter().all(|(_, old)| tightens(Some(old), None))
        && after.iter().all(|(id, new)| match before.get(id) {
            Some(old) => Arc::ptr_eq(old, new) || old == new || tightens(Some(old), Some(new)),
            None => tightens(None, Some(new)),
        })
}

/// More ownership only ever lets suspensions reach further.
fn vendor(before: Option<&Vendor>, after: Option<&Vendor>) -> bool {
    let parents = |vendor: Option<&Vendor>| vendor.map_or(vec![], |it| it.parents.clone());
    let after = parents(after);
    parents(before).iter().all(|old| {
        after.iter().any(|new| new.vendor == old.vendor && covers(&new.window, &old.window))
    })
}

/// More vendors and components only ever let more suspensions hit.
fn product(before: Option<&Product>, after: Option<&Product>) -> bool {
    let (Some(before), Some(after)) = (before, after) else {
        return true; // What is offered of it is weighed by itself.
    };
    let components = match (&before.components, &after.components) {
        (_, Components::Unknown) => true,
        (Components::Unknown, Components::Known(_)) => false,
        (Components::Known(before), Components::Known(after)) => before.iter().all(|old| {
            after.iter().any(|new| new.vendor == old.vendor && covers(&new.window, &old.window))
        }),
    };
    before.class == after.class
        && before.vendors.iter().all(|vendor| after.vendors.contains(vendor))
        && components
}

/// Stricter criteria; what is not offered any more is eligible for nobody. The alternates of an offer
/// are eligible by themselves.
fn offer(before: Option<&Offer>, after: Option<&Offer>) -> bool {
    let Some(after) = after else { return true };
    let Some(before) = before else { return false };
    let at_most = |before: Option<u32>, after: Option<u32>| match (before, after) {
        (None, _) => true,
        (Some(before), Some(after)) => after <= before,
        (Some(_), None) => false,
    };
    let at_least = |before: Option<u8>, after: Option<u8>| match (before, after) {
        (None, _) => true,
        (Some(before), Some(after)) => before <= after,
        (Some(_), None) => false,
    };
    before.product == after.product
        && before.unit == after.unit
        && at_most(before.max_per_unit, after.max_per_unit)
        && before.requires.iter().all(|name| after.requires.contains(name))
        && covers_list(&before.countries, &after.countries)
        && at_least(before.min_age, after.min_age)
        && at_most(before.max_age.map(u32::from), after.max_age.map(u32::from))
        && covers(&before.window, &after.window)
        && (after.outbound_excludes_vulnerable || !before.outbound_excludes_vulnerable)
        && (before.condition.is_none() || before.condition == after.condition)
}

/// Wider, longer, further, and with no more of a way out.
fn suspension(before: Option<&Suspension>, after: Option<&Suspension>) -> bool {
    let Some(before) = before.filter(|before| !before.in_force().is_empty()) else {
        return true; // It is new, or never held anybody back.
    };
    let Some(after) = after else { return false };
    let reach = |reach: Reach| match reach {
        Reach::EntityOnly => 0,
        Reach::Descendants => 1,
        Reach::Group => 2,
    };
    let components = |components: ComponentReach| components == ComponentReach::Include;
    before.target == after.target
        && reach(before.reach) <= reach(after.reach)
        && components(before.components) <= components(after.components)
        && is_wider(&after.scope, &before.scope)
        && covers(&after.in_force(), &before.in_force())
        && helps_no_more(before.grandfather.as_deref(), after.grandfather.as_deref())
}

fn helps_no_more(before: Option<&Grandfather>, after: Option<&Grandfather>) -> bool {
    match (before, after) {
        (_, None) => true,
        (None, Some(_)) => false,
        (Some(before), Some(after)) => {
            after.accepted_before <= before.accepted_before && after.until <= before.until
        }
    }
}

/// An exemption waives less, for fewer people, for a shorter time.
fn exemption(before: Option<&Exemption>, after: Option<&Exemption>) -> bool {
    let Some(after) = after else { return true };
    let Some(before) = before else { return false };
    after.waives.iter().all(|waived| before.waives.contains(waived))
        && is_wider(&before.scope, &after.scope)
        && covers(&before.in_force(), &after.in_force())
}

/// Whether `wide` matches whatever `narrow` does.
fn is_wider(wide: &Scope, narrow: &Scope) -> bool {
    // Countries and ties are one dimension: either of them is enough.
    let anywhere = wide.countries.is_empty() && wide.person_nexus.is_empty();
    let somewhere = !narrow.countries.is_empty() || !narrow.person_nexus.is_empty();
    let place = anywhere
        || (somewhere
            && narrow.countries.iter().all(|country| wide.countries.contains(country))
            && narrow.person_nexus.iter().all(|tie| wide.person_nexus.contains(tie)));
    place
        && covers_list(&wide.actions, &narrow.actions)
        && covers_list(&wide.segments, &narrow.segments)
        && covers_list(&wide.holders, &narrow.holders)
        && covers_list(&wide.relationships, &narrow.relationships)
        && covers_list(&wide.devices, &narrow.devices)
        && covers_list(&wide.channels, &narrow.channels)
        && covers_list(&wide.product_classes, &narrow.product_classes)
        && covers_list(&wide.customers, &narrow.customers)
}

/// Whether one list has all that the other one has. An empty list has everything.
fn covers_list<T: PartialEq>(wide: &[T], narrow: &[T]) -> bool {
    wide.is_empty() || (!narrow.is_empty() && narrow.iter().all(|one| wide.contains(one)))
}

/// Whether every instant of one window is in the other.
fn covers(wide: &Window, narrow: &Window) -> bool {
    let from = wide.from.is_none_or(|wide| narrow.from.is_some_and(|narrow| wide <= narrow));
    let until = wide.until.is_none_or(|wide| narrow.until.is_some_and(|narrow| narrow <= wide));
    narrow.is_empty() || (from && until)
}
