//! `decide` equals its slow and obvious twin, on random rules, customers and instants.

use crate::random::{self, Dice};
use offergate::decision::{Alike, Snapshot, decide, twin};
use offergate::domain::{Outcome, Revision, Suspension, Target};
use std::sync::Arc;

/// Requests tried on each random rule set, since a rule set costs more to make than a request.
const REQUESTS: usize = 50;

#[test]
fn decide_equals_its_twin() {
    let seed = random::first_seed();
    let rule_sets = random::cases(100_000).div_ceil(REQUESTS) as u64;
    let mut outcomes = [0; 3];
    for seed in seed..seed + rule_sets {
        let mut dice = Dice::new(seed);
        let rules = random::rules(&mut dice);
        let snapshot = Snapshot::compile(&rules, Revision(seed)).expect("every name is known");
        for number in 0..REQUESTS {
            let (request, now) = (random::request(&mut dice), dice.instant());
            let fast = decide(&request, &snapshot, now);
            let slow = twin::decide(&request, &rules, Revision(seed), now);
            outcomes[fast.outcome as usize] += 1;
            assert_eq!(
                fast, slow,
                "OFFERGATE_SEED={seed}, request {number}: {request:#?}\n{:?}\n{rules:#?}",
                request.customer.attributes
            );
        }
    }
    for (outcome, count) in Outcome::ALL.into_iter().zip(outcomes) {
        assert!(rule_sets / 2 < count, "{outcome:?} came up only {count} times");
    }
}

#[test]
fn a_request_is_decided_as_the_one_that_stands_for_it() {
    let seed = random::first_seed();
    let rule_sets = random::cases(50_000).div_ceil(REQUESTS) as u64;
    let mut others = 0;
    for seed in seed..seed + rule_sets {
        let mut dice = Dice::new(seed);
        let rules = random::rules(&mut dice);
        let snapshot = Snapshot::compile(&rules, Revision(seed)).expect("every name is known");
        for number in 0..REQUESTS {
            let (request, now) = (random::request(&mut dice), dice.instant());
            let same = Alike::new(&rules, &[request.offer], now).of(&request);
            others += usize::from(same != request);
            assert_eq!(
                decide(&request, &snapshot, now),
                decide(&same, &snapshot, now),
                "OFFERGATE_SEED={seed}, request {number}: {request:#?}\n{rules:#?}"
            );
        }
    }
    assert!(rule_sets as usize * REQUESTS / 2 < others, "only {others} had another one for them");
}

/// Rows of bits are packed as long as a word holds one, and take whole words then.
#[test]
fn whatever_can_be_hit_by_any_number_of_suspensions_is_decided_as_by_the_twin() {
    let seed = random::first_seed();
    let (mut past_a_row, mut past_a_word) = (0, 0);
    for length in (1..=66).chain([127, 128, 129]) {
        let mut dice = Dice::new(seed + length as u64);
        let mut rules = random::rules(&mut dice);
        rules.exemptions.clear();
        rules.suspensions.clear();
        let products = rules.products.keys().cloned().map(Target::Product);
        let targets: Vec<_> =
            products.chain(rules.offers.keys().cloned().map(Target::Offer)).collect();
        for (number, target) in std::iter::repeat_n(targets, length).flatten().enumerate() {
            // Never lifted, so that each can hit at some time.
            let suspension = Suspension {
                target,
                until: None,
                lifted_at: None,
                ..random::suspension(&mut dice, number)
            };
            rules.suspensions.insert(suspension.id.clone(), Arc::new(suspension));
        }
        let snapshot = Snapshot::compile(&rules, Revision(1)).expect("every name is known");
        for _ in 0..40 {
            let (request, now) = (random::request(&mut dice), dice.instant());
            let fast = decide(&request, &snapshot, now);
            assert_eq!(
                fast,
                twin::decide(&request, &rules, Revision(1), now),
                "{length}: {request:#?}"
            );
            for reported in &fast.suspensions {
                let reported = &*reported.suspension;
                let place = rules.suspensions.values().filter(|it| {
                    it.target == reported.target
                        && (it.from, &it.id) < (reported.from, &reported.id)
                });
                let place = place.count();
                past_a_row += usize::from(57 <= place);
                past_a_word += usize::from(64 <= place);
            }
        }
    }
    assert!(0 < past_a_word && past_a_word < past_a_row, "{past_a_row} and {past_a_word}");
}
