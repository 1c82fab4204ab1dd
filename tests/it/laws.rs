//! What must hold whatever the rules are.

use crate::random::{self, Dice};
use offergate::decision::{Effect, Snapshot, Verdict, decide, explain};
use offergate::domain::{
    Attribute, CheckRequest, Decision, Outcome, Revision, RuleSet, SuspensionId, Timestamp,
};
use std::sync::Arc;

fn decided(request: &CheckRequest<'_>, rules: &RuleSet, now: Timestamp) -> Decision<'static> {
    let snapshot = Snapshot::compile(rules, Revision(1)).expect("every name is known");
    decide(request, &snapshot, now).into_owned()
}

/// Tries a law on random rules, requests and instants.
fn hold(cases: usize, law: impl Fn(&mut Dice, &RuleSet, &CheckRequest<'_>, Timestamp)) {
    let first = random::first_seed();
    for seed in first..first + random::cases(cases) as u64 {
        let mut dice = Dice::new(seed ^ 0xabcd_ef01);
        let rules = random::rules(&mut dice);
        let (request, now) = (random::request(&mut dice), dice.instant());
        let law = std::panic::AssertUnwindSafe(|| law(&mut dice, &rules, &request, now));
        if let Err(failure) = std::panic::catch_unwind(law) {
            eprintln!("OFFERGATE_SEED={seed}");
            std::panic::resume_unwind(failure);
        }
    }
}

#[test]
fn adding_a_suspension_never_makes_anything_eligible() {
    hold(20_000, |dice, rules, request, now| {
        let before = decided(request, rules, now);
        let mut more = rules.clone();
        let added = random::suspension(dice, 99);
        more.suspensions.insert(added.id.clone(), Arc::new(added));
        let after = decided(request, &more, now);
        if after.outcome == Outcome::Eligible {
            assert_eq!(before.outcome, Outcome::Eligible);
        }
    });
}

#[test]
fn removing_an_attribute_whose_absence_is_no_statement_never_makes_anything_eligible() {
    hold(20_000, |dice, rules, request, now| {
        let before = decided(request, rules, now);
        let mut less = request.clone();
        match dice.below(11) {
            0 => less.customer.relationship = Attribute::Missing,
            1 => less.customer.country = Attribute::Missing,
            2 => less.customer.segment = Attribute::Missing,
            3 => less.customer.us_person = Attribute::Missing,
            4 => less.customer.date_of_birth = Attribute::Missing,
            5 => less.customer.vulnerable = Attribute::Missing,
            6 => less.customer.holding = Attribute::Missing,
            7 => {
                if let Attribute::Known(holding) = &mut less.customer.holding {
                    holding.status = Attribute::Missing;
                }
            }
            8 => {
                if let Attribute::Known(holding) = &mut less.customer.holding {
                    holding.accepted_at = Attribute::Missing;
                }
            }
            9 => less.customer.attributes.truncate(dice.below(4)),
            _ => {
                less.channel = Attribute::Missing;
                less.device = Attribute::Missing;
            }
        }
        let after = decided(&less, rules, now);
        if after.outcome == Outcome::Eligible {
            assert_eq!(before.outcome, Outcome::Eligible, "{:?}", before.reasons);
        }
    });
}

#[test]
fn what_the_list_of_holdings_says_of_the_asked_product_changes_nothing() {
    hold(20_000, |dice, rules, request, now| {
        let Some(offer) = rules.offers.get(request.offer) else { return };
        let mut customer = request.customer.shorter();
        customer.holdings.retain(|(product, _)| *product != offer.product.as_str());
        if dice.chance(50) {
            customer.holdings.push((offer.product.as_str(), random::holding(dice)));
        }
        let CheckRequest { offer, action, channel, device, .. } = *request;
        let other = CheckRequest { customer, offer, action, channel, device };
        assert_eq!(decided(request, rules, now), decided(&other, rules, now));
    });
}

#[test]
fn making_an_attribute_invalid_never_makes_anything_eligible() {
    hold(10_000, |dice, rules, request, now| {
        let before = decided(request, rules, now);
        let mut worse = request.clone();
        match dice.below(8) {
            0 => worse.customer.country = Attribute::Invalid,
            1 => worse.customer.segment = Attribute::Invalid,
            2 => worse.customer.us_person = Attribute::Invalid,
            3 => worse.customer.date_of_birth = Attribute::Invalid,
            4 => worse.customer.holding = Attribute::Invalid,
            5 => {
                if let Attribute::Known(holding) = &mut worse.customer.holding {
                    holding.term_end = Attribute::Invalid;
                }
            }
            6 => {
                if let Attribute::Known(holding) = &mut worse.customer.holding {
                    holding.unit_count = Attribute::Invalid;
                }
            }
            _ => worse.channel = Attribute::Invalid,
        }
        let after = decided(&worse, rules, now);
        if after.outcome == Outcome::Eligible {
            assert_eq!(before.outcome, Outcome::Eligible, "{:?}", before.reasons);
        }
    });
}

#[test]
fn an_exemption_touches_only_what_it_names() {
    hold(20_000, |dice, rules, request, now| {
        if rules.suspensions.is_empty() {
            return;
        }
        let before = decided(request, rules, now);
        let mut more = rules.clone();
        let added = Arc::new(random::exemption(dice, 99, rules));
        more.exemptions.insert(added.id.clone(), Arc::clone(&added));
        let after = decided(request, &more, now);
        let of_others = |decision: &Decision<'_>| -> Vec<_> {
            let named = |id: &SuspensionId| added.waives.contains(id);
            let ids = decision.suspensions.iter().map(|reported| reported.suspension.id.clone());
            ids.filter(|id| !named(id)).collect()
        };
        assert_eq!(of_others(&before), of_others(&after));
        let used = after.exemptions.iter().filter(|used| used.id != added.id);
        assert!(used.eq(before.exemptions.iter()), "it changed which others were used");
        if before.outcome == Outcome::Eligible {
            assert_eq!(after.outcome, Outcome::Eligible, "an exemption took something away");
        }
    });
}

#[test]
fn the_order_and_the_names_of_rules_decide_nothing_but_the_order_of_equals() {
    // Rule sets are kept by id, so another order is another naming: s0..s9 become z9..z0.
    hold(10_000, |_, rules, request, now| {
        let renamed = |id: &str| -> String {
            let number: u32 = id[1..].parse().unwrap();
            format!("z{}", 999 - number)
        };
        let mut other = rules.clone();
        other.suspensions.clear();
        for suspension in rules.suspensions.values() {
            let mut suspension = (**suspension).clone();
            suspension.id = renamed(suspension.id.as_str()).parse().unwrap();
            other.suspensions.insert(suspension.id.clone(), Arc::new(suspension));
        }
        for exemption in other.exemptions.values_mut() {
            for id in &mut Arc::make_mut(exemption).waives {
                *id = renamed(id.as_str()).parse().unwrap();
            }
        }
        let (before, after) = (decided(request, rules, now), decided(request, &other, now));
        assert_eq!((before.outcome, &before.reasons), (after.outcome, &after.reasons));
        assert_eq!(before.valid_until, after.valid_until);
        let mut ids: Vec<_> =
            before.suspensions.iter().map(|it| renamed(it.suspension.id.as_str())).collect();
        let mut others: Vec<_> =
            after.suspensions.iter().map(|it| it.suspension.id.as_str().to_owned()).collect();
        ids.sort();
        others.sort();
        assert_eq!(ids, others);
    });
}

#[test]
fn nothing_changes_before_valid_until() {
    hold(20_000, |dice, rules, request, now| {
        let first = decided(request, rules, now);
        let later = dice.instant();
        if later <= now || first.valid_until.is_some_and(|until| until <= later) {
            return;
        }
        let second = decided(request, rules, later);
        let timeless = |decision: Decision<'static>| Decision { as_of: now, ..decision };
        assert_eq!(timeless(first), timeless(second));
    });
}

#[test]
fn equal_arguments_give_equal_decisions_and_a_request_cannot_unlock_another() {
    hold(2_000, |_, rules, request, now| {
        let snapshot = Snapshot::compile(rules, Revision(1)).unwrap();
        let first = decide(request, &snapshot, now);
        let again = decide(&request.clone(), &snapshot, now);
        assert_eq!(first, again);
    });
}

#[test]
fn a_trace_shows_what_the_decision_says() {
    hold(10_000, |_, rules, request, now| {
        let snapshot = Snapshot::compile(rules, Revision(1)).unwrap();
        let trace = explain(request, &snapshot, now);
        assert_eq!(trace.decision, decide(request, &snapshot, now));
        let with = |effect: Effect| -> Vec<_> {
            let traces = trace.suspensions.iter().filter(|it| it.effect == effect);
            traces.map(|it| it.suspension.id.clone()).collect()
        };
        let reported: Vec<_> =
            trace.decision.suspensions.iter().map(|it| it.suspension.id.clone()).collect();
        let (denying, unsure) = (with(Effect::Denies), with(Effect::CouldDeny));
        assert!(denying.iter().all(|id| reported.contains(id)), "denies, and is not reported");
        assert!(
            reported.iter().all(|id| denying.contains(id) || unsure.contains(id)),
            "is reported, and does nothing"
        );
        if trace.decision.outcome == Outcome::Eligible {
            assert!(denying.is_empty() && unsure.is_empty());
            assert!(trace.criteria.iter().all(|it| it.met == Verdict::Yes));
        }
        for criterion in trace.criteria.iter().filter(|it| it.met == Verdict::No) {
            assert!(trace.decision.reasons.iter().any(|it| it.code == criterion.code));
        }
    });
}
