//! The checker on histories made by hand: for each rule one that keeps it, ones that break it, and the
//! cases in between.

use super::checker::{Rule, Shown};
use super::history::{Answer, Await, Event, Need, Result, Target, What};
use super::scene::{Scene, answer, lineage, no, stale, suspend, yes};
use offergate::domain::{ChainHash, Revision, Token};

#[test]
fn a_history_that_keeps_every_rule_has_no_violation() {
    let mut scene = Scene::new();
    let before = scene.token();
    scene.check(1, 5..6, yes(&before));
    let suspended = scene.suspend(10..20, "s", "vendor-0");
    scene.check(1, 21..22, no(&["s"], &suspended));
    let lifted = scene.lift(30..40, "s");
    scene.check(1, 41..42, yes(&lifted));
    assert_eq!(scene.violations(), []);
}

#[test]
fn eligible_to_a_check_that_left_after_enforced_names_both() {
    let mut scene = Scene::new();
    let before = scene.token();
    scene.suspend(10..20, "s", "vendor-0");
    scene.check(1, 21..22, yes(&before));
    assert_eq!(scene.broken(), [(Rule::K1, vec![2, 1])]);
    let shown = Shown { events: &scene.events, violations: &scene.violations(), most: 5 };
    let text = shown.to_string();
    assert!(text.contains("K1: 1 violations"), "{text}");
    assert!(text.contains("line 3: {\"event\":\"check\""), "{text}");
    assert!(text.contains("line 2: {\"event\":\"change\""), "{text}");
}

#[test]
fn only_a_check_that_left_strictly_after_enforced_must_know_it() {
    for (sent, expected) in [(15, 0), (20, 0), (21, 1)] {
        let mut scene = Scene::new();
        let before = scene.token();
        scene.suspend(10..20, "s", "vendor-0");
        scene.check(1, sent..50, yes(&before));
        assert_eq!(scene.broken().len(), expected, "sent at {sent}");
    }
}

#[test]
fn a_lift_counts_from_when_it_was_sent_and_until_it_is_refused() {
    let lost = Result::Unknown { why: "connection closed".into() };
    let refused = Result::Refused { why: "NOT_FOUND".into() };
    for (sent, result, expected, why) in [
        (29, lost.clone(), 0, "a lift in flight may have been made"),
        (30, lost.clone(), 0, "sent at the instant of the answer"),
        (31, lost, 1, "sent after the answer"),
        (25, refused, 1, "a lift that was refused"),
    ] {
        let mut scene = Scene::new();
        let before = scene.token();
        scene.suspend(10..20, "s", "vendor-0");
        scene.change(sent..60, "lift-s", What::Lift { suspension: "s".into() }, result);
        scene.check(1, 24..30, yes(&before));
        let broken = scene.broken();
        assert_eq!(broken.iter().filter(|(rule, _)| *rule == Rule::K1).count(), expected, "{why}");
    }
}

#[test]
fn a_vendor_stays_suspended_until_the_last_of_its_suspensions_is_lifted() {
    let mut scene = Scene::new();
    scene.suspend(10..20, "long", "vendor-0");
    scene.suspend(22..25, "short", "vendor-0");
    let lifted = scene.lift(30..40, "short");
    // Not what the twin says either, and so K3 is broken too.
    scene.check(1, 50..51, yes(&lifted));
    assert_eq!(scene.broken(), [(Rule::K1, vec![4, 1]), (Rule::K3, vec![4])]);
}

#[test]
fn a_vendor_that_is_suspended_again_after_a_lift_is_held_to_the_second_suspension() {
    let mut scene = Scene::new();
    scene.suspend(10..20, "first", "vendor-0");
    let lifted = scene.lift(30..40, "first");
    scene.check(1, 41..42, yes(&lifted));
    scene.suspend(50..60, "second", "vendor-0");
    scene.check(2, 55..65, yes(&lifted));
    assert_eq!(scene.violations(), []);
    scene.check(3, 61..62, yes(&lifted));
    assert_eq!(scene.broken(), [(Rule::K1, vec![6, 4])]);
}

#[test]
fn a_suspension_that_was_not_reported_enforced_binds_nobody_until_an_await_says_so() {
    let mut scene = Scene::new();
    let before = scene.token();
    scene.suspensions.insert("s".into(), ("vendor-0".into(), false));
    let token = scene.write("s");
    scene.change(10..20, "s", suspend("s", "vendor-0"), Result::Committed { token });
    scene.check(1, 30..31, yes(&before));
    assert_eq!(scene.violations(), []);
    let wait = |sent, received, enforced| {
        let (replica, suspension) = ("r2".to_owned(), "s".to_owned());
        Event::Await(Await { client: 9, replica, sent, received, suspension, enforced })
    };
    scene.events.extend([wait(21, 29, false), wait(21, 40, true)]);
    scene.check(2, 35..36, yes(&before));
    assert_eq!(scene.violations(), []);
    scene.check(3, 41..42, yes(&before));
    assert_eq!(scene.broken(), [(Rule::K1, vec![6, 4])]);
}

#[test]
fn a_suspended_offer_binds_its_own_checks_and_no_others() {
    for (offer, expected) in [("offer-0", 1), ("offer-1", 0)] {
        let mut scene = Scene::new();
        let token = scene.write("s");
        let what = What::Suspend { suspension: "s".into(), target: Target::Offer(offer.into()) };
        scene.change(10..20, "s", what, Result::Enforced { token: token.clone() });
        scene.check(1, 21..22, yes(&token));
        assert_eq!(scene.broken().len(), expected, "{offer}");
    }
}

#[test]
fn a_client_that_one_replica_takes_back_is_a_violation_unless_the_calls_overlap() {
    let mut scene = Scene::new();
    let old = scene.token();
    let new = scene.suspend(10..90, "other", "vendor-1");
    scene.check(1, 20..30, yes(&new));
    scene.check(1, 30..40, yes(&old));
    assert_eq!(scene.violations(), [], "sent before the other was answered");
    scene.check(2, 31..40, yes(&old));
    assert_eq!(scene.violations(), [], "another client");
    scene.check(1, 41..50, yes(&old));
    assert_eq!(scene.broken(), [(Rule::K2, vec![5, 2])]);
}

#[test]
fn a_lineage_that_was_left_is_never_returned_to() {
    let mut scene = Scene::new();
    let (first, hash) = (scene.token(), scene.chain.hash);
    let second = Token::new(lineage('b'), Revision(1), &hash).to_string();
    scene.check(1, 10..11, yes(&first));
    scene.check(1, 12..13, yes(&second));
    assert_eq!(scene.violations(), []);
    scene.check(1, 14..15, yes(&first));
    assert_eq!(scene.broken(), [(Rule::K2, vec![3, 2])]);
}

#[test]
fn an_answer_from_below_the_token_that_was_sent_may_say_anything_but_yes() {
    let mut scene = Scene::new();
    let old = scene.token();
    let new = scene.suspend(10..20, "other", "vendor-1");
    scene.check_with(1, 30..31, Need::AtLeast(new.clone()), Some(stale(&old)));
    scene.check_with(2, 30..31, Need::AtLeast(new.clone()), Some(yes(&new)));
    assert_eq!(scene.violations(), []);
    scene.check_with(3, 30..31, Need::AtLeast(new), Some(yes(&old)));
    assert_eq!(scene.broken(), [(Rule::K2, vec![4])]);
}

#[test]
fn a_strict_check_is_answered_from_what_was_enforced_before_it_was_sent() {
    for (sent, expected) in [(20, vec![]), (21, vec![(Rule::K2, vec![2, 1])])] {
        let mut scene = Scene::new();
        let old = scene.token();
        scene.suspend(10..20, "other", "vendor-1");
        scene.check_with(1, sent..30, Need::Strict, Some(yes(&old)));
        assert_eq!(scene.broken(), expected, "sent at {sent}");
    }
}

#[test]
fn an_answer_that_the_twin_would_not_give_is_a_violation() {
    let mut scene = Scene::new();
    let before = scene.token();
    let suspended = scene.suspend(10..20, "s", "vendor-0");
    let early = answer("INELIGIBLE", "VENDOR_SUSPENDED", &["s"], 1, &before);
    for (given, expected) in [
        (no(&["s"], &suspended), 0),
        (Answer { as_of: "2026-01-01T00:30:00Z".into(), ..yes(&suspended) }, 0),
        (Answer { suspensions: vec![], ..no(&[], &suspended) }, 1),
        (Answer { reasons: vec!["OFFER_SUSPENDED".into()], ..no(&["s"], &suspended) }, 1),
        (early, 1),
    ] {
        let mut scene = Scene { events: scene.events.clone(), ..copy(&scene) };
        scene.check(1, 15..16, given.clone());
        let broken = scene.broken();
        assert_eq!(broken.len(), expected, "{given:?} {broken:?}");
        assert!(broken.iter().all(|(rule, events)| (*rule, events.as_slice()) == (Rule::K3, &[2])));
    }
}

fn copy(scene: &Scene) -> Scene {
    Scene {
        rules: scene.rules.clone(),
        suspensions: scene.suspensions.clone(),
        chain: scene.chain,
        entries: scene.entries.clone(),
        events: vec![],
    }
}

#[test]
fn stale_rules_may_take_back_a_yes_and_never_a_no() {
    let mut scene = Scene::new();
    let before = scene.token();
    scene.fault(0, 100, false);
    scene.check(1, 15..16, stale(&before));
    assert_eq!(scene.violations(), []);
    let suspended = scene.suspend(10..20, "s", "vendor-0");
    let taken = Answer { as_of: "2026-01-01T01:30:00Z".into(), ..stale(&suspended) };
    scene.check(1, 21..22, taken);
    assert_eq!(scene.broken(), [(Rule::K3, vec![4])]);
}

#[test]
fn a_place_that_is_not_in_the_log_is_a_violation_unless_histories_forked() {
    let mut scene = Scene::new();
    let other = Token::new(lineage('a'), Revision(1), &ChainHash([7; 32])).to_string();
    scene.check(1, 10..11, yes(&other));
    scene.check(2, 10..11, yes(""));
    assert_eq!(scene.broken(), [(Rule::K3, vec![1]), (Rule::K3, vec![2])]);
    scene.fault(5, 6, true);
    assert_eq!(scene.broken(), [(Rule::K3, vec![2])]);
}

#[test]
fn an_acknowledged_change_that_is_lost_or_elsewhere_is_a_violation() {
    let mut scene = Scene::new();
    let token = scene.suspend(10..20, "s", "vendor-0");
    scene.change(30..40, "gone", What::ApplyRules, Result::Durable { token: token.clone() });
    assert_eq!(scene.broken(), [(Rule::K4, vec![2])]);
    scene.events.pop();
    let moved = Token { revision: Revision(3), ..Token::parse(&token).unwrap() }.to_string();
    scene.change(30..40, "s", What::ApplyRules, Result::Durable { token: moved });
    assert_eq!(scene.broken(), [], "the first acknowledgement counts");
    scene.events.remove(1);
    assert_eq!(scene.broken(), [(Rule::K4, vec![1])]);
}

#[test]
fn a_change_whose_fate_nobody_was_told_may_be_there_or_not_and_a_refused_one_may_not() {
    let mut scene = Scene::new();
    let token = scene.write("landed");
    let unknown = Result::Unknown { why: "deadline".into() };
    let refused = Result::Refused { why: "ABORTED".into() };
    scene.change(10..20, "landed", What::ApplyRules, unknown.clone());
    scene.change(10..20, "vanished", What::ApplyRules, unknown);
    scene.change(10..20, "vanished-too", What::ApplyRules, Result::Committed { token });
    scene.change(21..30, "landed", What::ApplyRules, refused.clone());
    assert_eq!(scene.violations(), [], "another attempt was refused");
    scene.events.remove(1);
    assert_eq!(scene.broken(), [(Rule::K4, vec![3])]);
}

#[test]
fn a_change_that_nobody_sent_one_that_is_there_twice_and_a_broken_chain_are_violations() {
    let mut scene = Scene::new();
    scene.write("foreign");
    assert_eq!(scene.broken(), [(Rule::K4, vec![])]);
    scene.fault(0, 1, true);
    assert_eq!(scene.violations(), [], "healing a fork writes records of its own");
    scene.write("rules");
    assert!(scene.violations().iter().any(|found| found.what.contains("more than once")));
    let mut scene = Scene::new();
    scene.suspend(10..20, "s", "vendor-0");
    scene.entries.remove(0);
    let broken = scene.violations();
    assert!(broken.iter().any(|found| found.what.contains("broken at revision 1")), "{broken:?}");
    assert_eq!(broken.iter().filter(|found| found.what.ends_with("is lost")).count(), 2);
}

#[test]
fn cannot_tell_and_no_answer_are_violations_outside_of_faults_and_the_time_to_recover() {
    for (at, expected) in [
        (100..150, 0),
        (50..100, 0),
        (1_300..1_450, 0),
        (2_600..2_700, 0),
        (2_601..2_700, 1),
        (50..99, 1),
        (1_201..1_449, 1),
    ] {
        for given in [true, false] {
            let mut scene = Scene::new();
            let token = scene.token();
            scene.fault(1_450, 1_600, false);
            scene.fault(1_500, 1_550, false);
            scene.fault(100, 120, false);
            scene.fault(150, 200, false);
            scene.check_with(1, at.clone(), Need::Leased, given.then(|| stale(&token)));
            let expected: &[_] = if expected == 1 { &[(Rule::K5, vec![5])] } else { &[] };
            assert_eq!(scene.broken(), expected, "{at:?} {given}");
        }
    }
}

#[test]
fn a_store_that_was_emptied_and_restored_whole_breaks_nothing() {
    let mut scene = Scene::new();
    let suspended = scene.suspend(10..20, "s", "vendor-0");
    scene.fault(100, 3_000, false);
    scene.emptied(200, 2_000);
    scene.check(1, 21..22, no(&["s"], &suspended));
    scene.check(1, 1_500..1_501, no(&["s"], &suspended));
    let refused = Result::Refused { why: "the store holds no history".into() };
    scene.change(1_500..1_501, "lift-s", What::Lift { suspension: "s".into() }, refused);
    // What was restored is another lineage, and continues the log.
    let restored = Token { lineage: lineage('b'), ..Token::parse(&suspended).unwrap() };
    scene.check(1, 2_500..2_501, no(&["s"], &restored.to_string()));
    let lifted = Token::parse(&scene.lift(2_600..2_700, "s")).unwrap();
    scene.check(1, 2_800..2_801, yes(&Token { lineage: lineage('b'), ..lifted }.to_string()));
    assert_eq!(scene.violations(), []);
}

#[test]
fn nothing_is_eligible_while_a_store_is_empty_once_the_leases_from_before_are_over() {
    for (at, need, expected, why) in [
        (190..199, Need::Strict, 0, "before"),
        (201..210, Need::Leased, 0, "a lease from before"),
        (1_200..1_210, Need::Leased, 0, "the last instant of one"),
        (1_201..1_210, Need::Leased, 1, "leases are over"),
        (199..300, Need::Strict, 0, "it may have asked before"),
        (201..210, Need::Strict, 1, "it asked an empty store"),
        (1_990..2_000, Need::Strict, 0, "people have begun to fill it"),
    ] {
        let mut scene = Scene::new();
        let token = scene.token();
        scene.fault(100, 3_000, false);
        scene.emptied(200, 2_000);
        // Nothing is suspended: that is not what makes it wrong.
        scene.check_with(1, at, need, Some(yes(&token)));
        let expected: &[_] = if expected == 1 { &[(Rule::K1, vec![3, 2])] } else { &[] };
        assert_eq!(scene.broken(), expected, "{why}");
    }
}

#[test]
fn a_change_that_is_said_to_be_made_in_an_empty_store_is_a_violation_unless_it_was_sent_before() {
    for (first, expected) in [(150, 0), (201, 1)] {
        let mut scene = Scene::new();
        scene.emptied(200, 2_000);
        let token = scene.write("other");
        let unknown = Result::Unknown { why: "deadline".into() };
        scene.change(first..first + 1, "other", What::ApplyRules, unknown);
        scene.change(300..310, "other", What::ApplyRules, Result::Committed { token });
        let expected: &[_] = if expected == 1 { &[(Rule::K4, vec![3, 1])] } else { &[] };
        assert_eq!(scene.broken(), expected, "first sent at {first}");
    }
}

#[test]
fn a_store_that_was_restored_from_a_journal_which_lacks_a_suspension_is_caught() {
    let mut scene = Scene::new();
    let before = scene.token();
    let entries = scene.entries.clone();
    scene.suspend(10..20, "s", "vendor-0");
    scene.fault(100, 3_000, false);
    scene.emptied(200, 2_000);
    scene.entries = entries;
    let restored = Token { lineage: lineage('b'), ..Token::parse(&before).unwrap() };
    scene.check(1, 2_500..2_501, yes(&restored.to_string()));
    // It is offered against what was enforced, and what was acknowledged is lost.
    assert_eq!(scene.broken(), [(Rule::K1, vec![4, 1]), (Rule::K4, vec![1])]);
}

#[test]
fn a_replica_that_returns_to_the_lineage_of_before_a_restore_is_caught() {
    let mut scene = Scene::new();
    let before = scene.token();
    scene.fault(100, 3_000, false);
    scene.emptied(200, 2_000);
    scene.check(1, 50..51, yes(&before));
    let restored = Token { lineage: lineage('b'), ..Token::parse(&before).unwrap() };
    scene.check(1, 2_500..2_501, yes(&restored.to_string()));
    assert_eq!(scene.violations(), []);
    scene.check(1, 2_502..2_503, yes(&before));
    assert_eq!(scene.broken(), [(Rule::K2, vec![5, 4])]);
}
