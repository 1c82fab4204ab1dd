//! Clocks that run fast, slow, backwards or not at all, answers that come late, and what one replica does
//! about its store and its journal: in virtual time, to the millisecond.

use super::virtual_fleet::{Member, Mood, Notes, comes, requester, store};
use offergate::audit::{ChangeKind, NewRecord, Party};
use offergate::domain::{Consistency, Outcome, Revision, RuleChange, RuleEdit};
use offergate::replica::Contact;
use offergate::service::{Progress, ServiceError};
use offergate::store::{Journal, RuleStore, Standing, StoreError};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

/// The length of a lease at a staleness limit of one second: a hundredth and the margin are off.
const LEASE: Duration = Duration::from_millis(970);

#[tokio::test(start_paused = true)]
async fn f10_an_answer_that_comes_late_extends_a_lease_from_before_its_question() {
    let member = Member::of(&store('a').await, "r1", 1000, SECOND).await;
    member.comes_to_say(Outcome::Eligible).await;
    let delay = Duration::from_millis(400);
    member.set(Mood::Slow(delay));
    tokio::time::sleep(2 * SECOND).await;
    let mut longest = Duration::ZERO;
    for _ in 0..2000 {
        longest = longest.max(member.follower.lease_left());
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!(longest <= LEASE - delay, "{longest:?}");
    assert!(LEASE - delay - Duration::from_millis(5) <= longest, "{longest:?}");
    // What comes later than half a lease proves next to nothing, and counts for nothing.
    member.set(Mood::Slow(Duration::from_millis(600)));
    tokio::time::sleep(2 * SECOND).await;
    for _ in 0..2000 {
        assert_eq!(member.follower.lease_left(), Duration::ZERO);
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(member.says_leased().await, Outcome::Indeterminate);
    member.set(Mood::Well);
    member.comes_to_say(Outcome::Eligible).await;
}

#[tokio::test(start_paused = true)]
async fn renewals_that_fail_let_the_lease_run_out_when_it_was_to_and_not_before() {
    let member = Member::of(&store('a').await, "r1", 1000, SECOND).await;
    member.comes_to_say(Outcome::Eligible).await;
    member.set(Mood::Away);
    let left = member.follower.lease_left();
    assert!(LEASE - Duration::from_millis(60) < left && left <= LEASE, "{left:?}");
    let slack = Duration::from_millis(2);
    tokio::time::sleep(left - slack).await;
    assert_eq!(member.says_leased().await, Outcome::Eligible);
    tokio::time::sleep(2 * slack).await;
    assert_eq!(member.says_leased().await, Outcome::Indeterminate);
    assert_eq!(member.follower.contact(), Contact::Unreachable);
}

#[tokio::test(start_paused = true)]
async fn f19_whoever_sets_a_wall_clock_moves_no_lease_and_hides_no_suspension() {
    for (own, other) in [(1, 0), (-1, 0), (0, 24), (0, -24), (24, -24), (-24, 24)] {
        let store = store('a').await;
        let one = Member::of(&store, "r1", 1000, SECOND).await;
        let two = Member::of(&store, "r2", 1000, SECOND).await;
        two.comes_to_say(Outcome::Eligible).await;
        let before = two.follower.lease_left();
        one.clock.set_wall(own);
        two.clock.set_wall(other);
        assert_eq!(two.follower.lease_left(), before);
        assert_eq!(two.says_leased().await, Outcome::Eligible, "{own} h, {other} h");
        one.suspend("s").await.unwrap();
        one.enforced("s").await;
        for member in [&one, &two] {
            assert_eq!(member.says_leased().await, Outcome::Ineligible, "{own} h, {other} h");
        }
        // Set right again, it stays so.
        one.clock.set_wall(0);
        two.clock.set_wall(0);
        tokio::time::sleep(SECOND).await;
        for member in [&one, &two] {
            assert_eq!(member.says_leased().await, Outcome::Ineligible, "{own} h, {other} h");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn f20_clocks_within_the_drift_never_leave_a_yes_after_a_suspension_was_enforced() {
    // Long leases, so that drift counts for more than the margin.
    let limit = 30 * SECOND;
    for (waiting, leased) in [(1000, 1000), (1010, 990), (990, 1010), (1010, 1000), (1000, 990)] {
        let store = store('a').await;
        store.allow(limit);
        let one = Member::of(&store, "r1", waiting, limit).await;
        let two = Member::of(&store, "r2", leased, limit).await;
        two.comes_to_say(Outcome::Eligible).await;
        comes("a lease was just renewed", async || limit * 98 / 100 < two.follower.lease_left())
            .await;
        two.set(Mood::Away);
        one.suspend("s").await.unwrap();
        assert_eq!(two.says_leased().await, Outcome::Eligible, "it cannot know yet");
        let enforcement = one.enforced("s").await;
        let expired = |(_, progress): &&(_, Progress)| *progress == Progress::Expired;
        assert_eq!(enforcement.replicas.iter().filter(expired).count(), 1);
        assert_eq!(two.says_leased().await, Outcome::Indeterminate, "rates {waiting}, {leased}");
    }
}

#[tokio::test(start_paused = true)]
async fn f21_where_a_machines_clock_stood_still_tokens_and_strict_checks_are_right_all_the_same() {
    let store = store('a').await;
    let one = Member::of(&store, "r1", 1000, SECOND).await;
    let two = Member::of(&store, "r2", 1000, SECOND).await;
    two.comes_to_say(Outcome::Eligible).await;
    // A virtual machine that is paused, and its clock with it.
    two.clock.run_at(0);
    two.set(Mood::Away);
    one.suspend("s").await.unwrap();
    let token = one.enforced("s").await.token;
    // No lease can cover this, and the documents say so.
    assert_eq!(two.says_leased().await, Outcome::Eligible);
    assert_eq!(two.says(&Consistency::AtLeast(token.clone())).await, Outcome::Indeterminate);
    assert_eq!(two.says(&Consistency::Strict).await, Outcome::Indeterminate);
    two.set(Mood::Well);
    assert_eq!(two.says(&Consistency::AtLeast(token)).await, Outcome::Ineligible);
    assert_eq!(two.says(&Consistency::Strict).await, Outcome::Ineligible);
    assert_eq!(two.says_leased().await, Outcome::Ineligible);
}

#[tokio::test(start_paused = true)]
async fn f25_while_what_is_newer_is_not_in_effect_yet_it_is_not_reported_and_the_lease_runs_out() {
    let store = store('a').await;
    let one = Member::of(&store, "r1", 1000, SECOND).await;
    let two = Member::of(&store, "r2", 1000, SECOND).await;
    two.comes_to_say(Outcome::Eligible).await;
    two.set(Mood::KeepsRecords);
    one.suspend("s").await.unwrap();
    assert_eq!(
        two.says_leased().await,
        Outcome::Eligible,
        "the rules from before have a lease yet"
    );
    let enforcement = one.enforced("s").await;
    let expired = |(_, progress): &&(_, Progress)| *progress == Progress::Expired;
    assert_eq!(enforcement.replicas.iter().filter(expired).count(), 1);
    assert_eq!(two.says_leased().await, Outcome::Indeterminate);
    tokio::time::sleep(10 * SECOND).await;
    assert_eq!(one.reports(&store).await, 3);
    assert!(two.reports(&store).await < 3, "what it cannot decide by yet it does not report");
    two.set(Mood::Well);
    comes("it reports the suspension", async || {
        let reported = two.reports(&store).await;
        // Never before it decides checks.
        assert!(reported < 3 || two.says_leased().await == Outcome::Ineligible);
        reported == 3
    })
    .await;
}

/// A change that nobody could have made through a replica, by hand.
async fn write(store: &impl RuleStore, request: &str, edit: RuleEdit) {
    let requester = requester(request);
    let head = store.load().await.unwrap().head;
    let at = "2026-01-01T00:00:00Z".parse().unwrap();
    let (kind, author) = (ChangeKind::ApplyRules, Party::from(&*requester.author));
    let change = RuleChange { edits: vec![edit] };
    let content = NewRecord {
        reason: requester.reason,
        ticket: requester.ticket,
        ..NewRecord::made(requester.request_id, kind, author, at, change)
    };
    store.apply(&content, head.revision).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn f25_rules_that_do_not_compile_leave_the_held_ones_without_a_lease_and_are_never_reported()
{
    let store = store('a').await;
    let member = Member::of(&store, "r1", 1000, SECOND).await;
    member.comes_to_say(Outcome::Eligible).await;
    let rules = store.load().await.unwrap().rules;
    let product = rules.products.values().next().unwrap();
    write(&store, "broken", RuleEdit::RemoveProduct(product.id.clone())).await;
    tokio::time::sleep(10 * SECOND).await;
    assert_eq!(member.says_leased().await, Outcome::Indeterminate);
    assert!(matches!(member.follower.contact(), Contact::Stuck(why) if why.contains("shield")));
    assert_eq!(member.reports(&store).await, 1);
    write(&store, "mended", RuleEdit::PutProduct(Arc::clone(product))).await;
    member.comes_to_say(Outcome::Eligible).await;
    assert_eq!(member.reports(&store).await, 3);
}

#[tokio::test(start_paused = true)]
async fn a_history_that_people_decided_on_is_taken_over_once_it_has_the_suspensions_that_were_lost()
{
    let store = store('a').await;
    let one = Member::of(&store, "r1", 1000, SECOND).await;
    let two = Member::of(&store, "r2", 1000, SECOND).await;
    two.comes_to_say(Outcome::Eligible).await;
    one.set(Mood::Away);
    two.suspend("lost").await.unwrap();
    two.set(Mood::Away);
    // A node that was behind is promoted; whoever is with it sees nothing of what was lost.
    store.lose_after(Revision(1));
    store.fork();
    one.set(Mood::Well);
    comes("the fork is told", async || {
        matches!(one.follower.contact(), Contact::Apart(Standing::Forked { part: true }))
    })
    .await;
    one.service.accept_history(requester("accept")).await.unwrap();
    // It can be awaited at once, by a replica that has yet to move over.
    one.enforced("accept").await;
    one.comes_to_say(Outcome::Eligible).await;
    // Whoever was away all the time still has the suspension: it comes with it.
    assert_eq!(two.says_leased().await, Outcome::Ineligible);
    two.set(Mood::Well);
    comes("it has moved over", async || !two.journal.aside.lock().unwrap().is_empty()).await;
    two.comes_to_say(Outcome::Ineligible).await;
    one.comes_to_say(Outcome::Ineligible).await;
    comes("both are in step", async || {
        one.reports(&store).await == 3 && two.reports(&store).await == 3
    })
    .await;
    let loaded = store.load().await.unwrap();
    assert_eq!(loaded.head.revision, Revision(3));
    let record = store.records(Revision(2), 1).await.unwrap().remove(0);
    assert_eq!(record.content.kind, Some(ChangeKind::HealFork));
    // It remembers the new history, and can make changes.
    assert_eq!(two.journal.last(), 3);
    two.suspend("new").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_one_person_suspended_alone_waits_to_be_ratified_in_the_history_that_it_was_brought_to()
 {
    let store = store('a').await;
    let one = Member::of(&store, "r1", 1000, SECOND).await;
    let two = Member::of(&store, "r2", 1000, SECOND).await;
    two.comes_to_say(Outcome::Eligible).await;
    one.set(Mood::Away);
    two.suspend_alone("alone").await.unwrap();
    store.lose_after(Revision(1));
    store.fork();
    comes("it is proposed again", async || store.load().await.unwrap().head.revision.0 == 2).await;
    let waiting = store.load().await.unwrap().waiting;
    let authors: Vec<_> = waiting.emergencies.values().map(|it| &*it.author.name).collect();
    assert_eq!(authors, ["ann"], "whose emergency it was");
    let record = store.records(Revision(1), 1).await.unwrap().remove(0);
    assert_eq!(record.content.kind, Some(ChangeKind::HealFork));
}

#[tokio::test(start_paused = true)]
async fn a_replica_that_has_left_is_waited_for_by_nobody_and_comes_back_on_no_list() {
    let store = store('a').await;
    let one = Member::of(&store, "r1", 1000, SECOND).await;
    let two = Member::of(&store, "r2", 1000, SECOND).await;
    two.comes_to_say(Outcome::Eligible).await;
    // So that one of its renewals is on its way.
    two.set(Mood::Slow(Duration::from_millis(100)));
    tokio::time::sleep(SECOND).await;
    two.follower.leave().await.unwrap();
    tokio::time::sleep(SECOND).await;
    assert_eq!(two.reports(&store).await, 0);
    assert_eq!(two.says_leased().await, Outcome::Indeterminate);
    one.suspend("s").await.unwrap();
    let names: Vec<String> =
        one.enforced("s").await.replicas.iter().map(|(name, _)| name.to_string()).collect();
    assert_eq!(names, ["r1"]);
}

#[tokio::test(start_paused = true)]
async fn another_history_that_took_nobodys_place_is_never_taken_over() {
    let journal = Arc::new(Notes::default());
    let own = store('a').await;
    let records = own.records(Revision::ZERO, 10).await.unwrap();
    let lineage = own.load().await.unwrap().head.lineage;
    journal.follow(&lineage, &records).await.unwrap();
    let stranger = store('b').await;
    let member = Member::with_journal(&stranger, "r1", 1000, SECOND, Arc::clone(&journal)).await;
    tokio::time::sleep(10 * SECOND).await;
    let contact = member.follower.contact();
    let apart = Contact::Apart(Standing::OtherLineage {
        lineage: stranger.load().await.unwrap().head.lineage,
        ancestors: Vec::new(),
    });
    assert_eq!(contact, apart);
    assert_eq!(member.says_leased().await, Outcome::Indeterminate);
    assert_eq!(member.says(&Consistency::Strict).await, Outcome::Indeterminate);
    assert_eq!(member.reports(&stranger).await, 0, "it is on nobody's list");
    assert!(journal.aside.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn f23_a_journal_that_cannot_be_written_stops_changes_here_and_no_check() {
    let store = store('a').await;
    let one = Member::of(&store, "r1", 1000, SECOND).await;
    let two = Member::of(&store, "r2", 1000, SECOND).await;
    two.comes_to_say(Outcome::Eligible).await;
    two.journal.full.store(true, Ordering::SeqCst);
    one.suspend("s").await.unwrap();
    one.enforced("s").await;
    assert_eq!(two.says_leased().await, Outcome::Ineligible, "a suspension waits for no disk");
    let refused = two.suspend("t").await;
    assert!(
        matches!(&refused, Err(ServiceError::Store(StoreError::NotWritten { .. }))),
        "{refused:?}"
    );
    assert_eq!(one.suspend("u").await.unwrap(), 5, "others make changes");
    two.journal.full.store(false, Ordering::SeqCst);
    comes("the journal is complete", async || two.journal.last() == 5).await;
    assert_eq!(two.suspend("t").await.unwrap(), 7);
}

#[tokio::test(start_paused = true)]
async fn f23_a_journal_that_is_still_being_written_says_how_far_it_is_until_changes_are_made_again()
{
    let store = store('a').await;
    let one = Member::of(&store, "r1", 1000, SECOND).await;
    let two = Member::of(&store, "r2", 1000, SECOND).await;
    two.comes_to_say(Outcome::Eligible).await;
    comes("the journal holds the rules", async || two.journal.last() == 1).await;
    two.journal.slow.store(true, Ordering::SeqCst);
    one.suspend("s").await.unwrap();
    two.comes_to_say(Outcome::Ineligible).await;
    let refused = two.suspend("t").await;
    let told = "the journal of this replica is being written: it holds 1 of 3 records";
    assert!(
        matches!(&refused, Err(error @ ServiceError::JournalBehind { .. }) if error.to_string() == told),
        "{refused:?}"
    );
    comes("the journal is complete", async || two.journal.last() == 3).await;
    two.journal.slow.store(false, Ordering::SeqCst);
    assert_eq!(two.suspend("t").await.unwrap(), 5);
}
