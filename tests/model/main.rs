//! Tries everything that can happen to the suspension barrier, in a small world.
//!
//! The property: once `ENFORCED` was reported for a suspension, no replica answers `ELIGIBLE` against
//! it. Leases, reigns and the barrier are the product's own functions (`product.rs`), called with every
//! order of events that the world allows; a counter-example is printed in words.
//!
//! In the world: three store nodes that copy from their primary when they get to it; fail-overs to any
//! node, however far behind, of which the old primary hears late or never and may be promoted again
//! later; nodes that are told by hand to follow a deposed primary again; two replicas, each of
//! which may join at any time, stand still for any time, leave and come back; renewals and their answers
//! that are late or lost; a coordinator that writes one suspension, confirms, looks, and may stand still
//! in between, at any primary, deposed or not.
//!
//! Left out since it only helps: an answer to the coordinator that is late or lost (it counts from when
//! an answer came, so standing still afterwards is no better); a crash of a replica (its lease goes).
//!
//! Left out, and shown or left elsewhere: clocks that run unlike (the drift and the margin of `Terms`);
//! a node that loses its disk; two changes at once, a lift, and healing a fork; a primary that
//! restarts; the answer to a renewal that was given up on (a replica has one under way).
//!
//! A mailer that holds a permit in a shared store is a replica here, whose messages take longer. Where one server
//! keeps the list itself, `permits.rs` tries that out.
//!
//! Wrong variants must each give a counter-example: without them, "no violation" would say little.

#![expect(
    clippy::panic,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

mod forget;
mod permits;
mod product;
mod state;
mod system;
mod variant;
mod words;

use offergate::clock::{Clock, SystemClock};
use stateright::{Checker, Expectation, HasDiscoveries, Model};
use system::{SAFE, System};
use variant::Variant;

/// What is explored whole in seconds.
const SMALL: System =
    System { variant: Variant::Product, limit: 1, fail_overs: 1, returns: 0, replicas: 2 };

/// Explores the whole world, and asserts that it is safe and that what should happen can happen.
fn is_right(system: System) {
    let found = explore(system);
    if let Some(path) = found.discovery(SAFE) {
        // Replicas are alike, so that A and B may change their names in between.
        panic!("{system:?} is not safe:\n{}", words::tell(&system, path));
    }
    for property in system.properties() {
        if matches!(property.expectation, Expectation::Sometimes) {
            let name = property.name;
            assert!(found.discovery(name).is_some(), "{system:?}: never happens: {name}");
        }
    }
}

/// Finds and tells how it goes wrong.
fn is_wrong(system: System) {
    let path = explore(system).discovery(SAFE);
    let path = path.unwrap_or_else(|| panic!("{system:?} is wrong, and nothing shows it"));
    println!("{}", words::tell(&system, path));
}

/// Goes on until something is not safe, or until there is nothing left to explore.
fn explore(system: System) -> impl Checker<System> {
    let started = SystemClock.boot();
    let checker = system.checker().finish_when(HasDiscoveries::AllFailures).spawn_bfs().join();
    let (states, took) = (checker.unique_state_count(), SystemClock.boot() - started);
    println!("{system:?}: {states} states, {} deep, {took:.1?}", checker.max_depth());
    checker
}

#[test]
fn waiting_for_all_leases_to_run_out_is_safe() {
    let waiting = System { variant: Variant::TimeOnly, ..SMALL };
    is_right(waiting);
    is_right(System { limit: 2, ..waiting });
    is_right(System { fail_overs: 2, ..waiting });
}

#[test]
fn ending_the_wait_once_the_list_is_complete_is_safe() {
    is_right(SMALL);
}

#[test]
fn it_is_safe_through_two_fail_overs() {
    is_right(System { fail_overs: 2, replicas: 1, ..SMALL });
    is_right(System { fail_overs: 2, replicas: 1, limit: 2, ..SMALL });
}

#[test]
fn every_way_to_get_it_wrong_is_found_out_by_one_replica() {
    for (variant, fail_overs) in Variant::WRONG {
        is_wrong(System { variant, fail_overs, replicas: 1, ..SMALL });
    }
}

#[test]
fn a_reign_named_by_its_node_alone_is_enough_until_the_node_reigns_again() {
    let by_node = System { variant: Variant::ReignByNode, replicas: 1, ..SMALL };
    assert!(explore(by_node).discovery(SAFE).is_none());
    is_wrong(System { fail_overs: 2, ..by_node });
}

/// A primary that never heard that it was deposed has the reign that it had before, and a list that
/// knows nothing of the leases granted meanwhile. Waiting is not affected.
#[test]
fn nodes_that_return_to_a_deposed_primary_break_the_list_unless_a_reign_counts_syncs() {
    let returning = System { returns: 1, replicas: 1, ..SMALL };
    is_wrong(System { variant: Variant::ReignByPromotion, ..returning });
    is_right(returning);
    is_right(System { returns: 2, ..returning });
    is_right(System { variant: Variant::TimeOnly, returns: 2, replicas: 2, ..returning });
}

/// Minutes and gigabytes: `make model-large`.
#[test]
fn it_is_safe_in_a_larger_world() {
    if std::env::var_os("OFFERGATE_MODEL_LARGE").is_none() {
        return println!("skipped: OFFERGATE_MODEL_LARGE is not set");
    }
    is_right(System { variant: Variant::TimeOnly, limit: 2, fail_overs: 2, ..SMALL });
    is_right(System { limit: 2, ..SMALL });
    is_right(System { fail_overs: 2, ..SMALL });
}
