//! `decide` equals its slow and obvious twin, on random rules, customers and instants.

use crate::random::{self, Dice};
use offergate::decision::{Alike, Snapshot, decide, twin};
use offergate::domain::{Outcome, Revision};

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
