//! What every store must do, as one suite that runs on each of them; and random histories, on which
//! all must agree.
//!
//! The one exception: a store in memory has no file, so it refuses to be copied.

use super::redis_store::{OnRedis, OnValkey};
use super::store_contents::{
    InFolder, StoreUnderTest, apply_next, block_on, chain_of, content, naming, removing,
};
use offergate::audit::{Act, ChangeKind, Digest, NewRecord, Party, RefusedRequest, verify};
use offergate::domain::{ChainHash, Direction, LedgerId, Revision, RuleChange, RuleSet};
use offergate::store::embedded::EmbeddedStore;
use offergate::store::memory::MemoryStore;
use offergate::store::{Loaded, RuleStore, StoreError};
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::sync::Arc;

macro_rules! every_store {
    ($($name:ident;)*) => {
        mod memory {
            $(#[tokio::test]
            async fn $name() {
                super::$name::<offergate::store::memory::MemoryStore>().await;
            })*
        }
        mod embedded {
            $(#[tokio::test]
            async fn $name() {
                super::$name::<super::InFolder>().await;
            })*
        }
        mod redis {
            $(#[tokio::test]
            async fn $name() {
                super::$name::<super::OnRedis>().await;
            })*
        }
        mod valkey {
            $(#[tokio::test]
            async fn $name() {
                super::$name::<super::OnValkey>().await;
            })*
        }
    };
}

every_store! {
    a_new_store_is_empty_at_revision_zero;
    revisions_have_no_gaps_and_each_answer_is_what_the_store_then_holds;
    a_change_on_an_old_revision_is_a_conflict_and_leaves_no_trace;
    the_same_request_again_answers_with_its_first_record_and_changes_nothing;
    a_request_id_cannot_be_used_for_another_change;
    the_state_at_every_revision_is_the_fold_of_the_records_up_to_it;
    records_come_in_pages_without_a_gap;
    of_writers_at_one_revision_exactly_one_wins;
    a_reopened_store_is_the_same_store;
    a_copy_holds_the_same_history_or_is_refused;
}

async fn a_new_store_is_empty_at_revision_zero<S: StoreUnderTest>() {
    let kind = S::fresh();
    let loaded = kind.store().load().await.unwrap();
    assert_eq!(loaded.rules, RuleSet::default());
    assert_eq!((loaded.head.revision, loaded.head.chain), (Revision::ZERO, ChainHash::ZERO));
    assert_eq!(kind.store().load_at(Revision::ZERO).await.unwrap(), Some(loaded));
    assert_eq!(kind.store().load_at(Revision(1)).await.unwrap(), None);
    assert_eq!(kind.store().records(Revision::ZERO, 10).await.unwrap(), []);
}

async fn revisions_have_no_gaps_and_each_answer_is_what_the_store_then_holds<S: StoreUnderTest>() {
    let kind = S::fresh();
    for number in 1..=20 {
        let content = content(&format!("r{number}"), number);
        let applied = kind.store().apply(&content, Revision(number - 1)).await.unwrap();
        assert!(!applied.repeated);
        assert_eq!(applied.record.revision, Revision(number));
        assert_eq!(applied.record.content, content);
        let head = kind.store().load().await.unwrap().head;
        assert_eq!((head.revision, head.chain), (applied.record.revision, applied.record.chain));
        let found = kind.store().record_of(&content.request_id).await.unwrap();
        assert_eq!(found, Some(applied.record));
    }
    let records = kind.store().records(Revision::ZERO, usize::MAX).await.unwrap();
    let end = verify(&records).unwrap();
    let head = kind.store().load().await.unwrap().head;
    assert_eq!((end.revision, end.hash), (head.revision, head.chain));
}

async fn a_change_on_an_old_revision_is_a_conflict_and_leaves_no_trace<S: StoreUnderTest>() {
    let kind = S::fresh();
    apply_next(kind.store(), &content("r1", 1)).await.unwrap();
    let before = kind.store().load().await.unwrap();
    for expected in [Revision(0), Revision(2), Revision(u64::MAX)] {
        let refused = kind.store().apply(&content("r2", 2), expected).await.unwrap_err();
        assert_eq!(refused.to_string(), format!("rules moved from revision {expected} to 1"));
    }
    assert_eq!(kind.store().load().await.unwrap(), before);
    assert_eq!(kind.store().record_of(&content("r2", 2).request_id).await.unwrap(), None);
    assert_eq!(kind.store().records(Revision(1), 10).await.unwrap(), []);
}

async fn the_same_request_again_answers_with_its_first_record_and_changes_nothing<
    S: StoreUnderTest,
>() {
    let kind = S::fresh();
    let first = apply_next(kind.store(), &content("r1", 1)).await.unwrap();
    apply_next(kind.store(), &content("r2", 2)).await.unwrap();
    let before = kind.store().load().await.unwrap();
    let later = NewRecord { at: "2030-01-01T00:00:00Z".parse().unwrap(), ..content("r1", 1) };
    for expected in [Revision(0), Revision(1), Revision(2)] {
        for retry in [&content("r1", 1), &later] {
            let again = kind.store().apply(retry, expected).await.unwrap();
            assert!(again.repeated);
            assert_eq!(again.record, first.record);
        }
    }
    assert_eq!(kind.store().load().await.unwrap(), before);
}

async fn a_request_id_cannot_be_used_for_another_change<S: StoreUnderTest>() {
    let kind = S::fresh();
    apply_next(kind.store(), &content("r1", 1)).await.unwrap();
    let before = kind.store().load().await.unwrap();
    for other in [
        content("r1", 2),
        NewRecord { author: Party::unverified("bob"), ..content("r1", 1) },
        NewRecord { approver: Some(Party::unverified("bob")), ..content("r1", 1) },
    ] {
        let refused = kind.store().apply(&other, Revision(1)).await.unwrap_err();
        let expected = "request id `r1` was used before for another change, at revision 1";
        assert_eq!(refused.to_string(), expected);
    }
    assert_eq!(kind.store().load().await.unwrap(), before);
}

async fn the_state_at_every_revision_is_the_fold_of_the_records_up_to_it<S: StoreUnderTest>() {
    let kind = S::fresh();
    let contents = [
        content("a", 1),
        content("b", 2),
        naming("c", 1, "Renamed"),
        removing("d", 2),
        removing("e", 3),
        content("f", 2),
    ];
    let mut rules = RuleSet::default();
    let mut states = vec![kind.store().load().await.unwrap()];
    for content in &contents {
        apply_next(kind.store(), content).await.unwrap();
        rules = rules.after(&content.change);
        let loaded = kind.store().load().await.unwrap();
        assert_eq!(loaded.rules, rules);
        states.push(loaded);
    }
    for (number, state) in (0..).zip(states) {
        assert_eq!(kind.store().load_at(Revision(number)).await.unwrap(), Some(state));
    }
    for none in [7, 1 << 63, u64::MAX] {
        assert_eq!(kind.store().load_at(Revision(none)).await.unwrap(), None);
    }
}

async fn records_come_in_pages_without_a_gap<S: StoreUnderTest>() {
    let kind = S::fresh();
    for number in 1..=10 {
        apply_next(kind.store(), &content(&format!("r{number}"), number)).await.unwrap();
    }
    let all = kind.store().records(Revision::ZERO, 100).await.unwrap();
    assert_eq!(all.len(), 10);
    for (after, limit, expected) in [
        (0, 0, 0..0),
        (0, 3, 0..3),
        (3, 3, 3..6),
        (9, 3, 9..10),
        (9, usize::MAX, 9..10),
        (10, 3, 0..0),
        (11, 3, 0..0),
        (u64::MAX, usize::MAX, 0..0),
    ] {
        let page = kind.store().records(Revision(after), limit).await.unwrap();
        assert_eq!(page, all[expected], "after {after}, limit {limit}");
    }
}

async fn of_writers_at_one_revision_exactly_one_wins<S: StoreUnderTest>() {
    let kind = Arc::new(S::fresh());
    for round in 0..10_u64 {
        let writers = (0..8_u64).map(|writer| {
            let kind = Arc::clone(&kind);
            async move {
                let content = content(&format!("r{round}-{writer}"), writer);
                kind.store().apply(&content, Revision(round)).await
            }
        });
        let results = futures_util::future::join_all(writers).await;
        let won = results.iter().filter(|result| result.is_ok()).count();
        assert_eq!(won, 1, "{results:?}");
        let next = Revision(round + 1);
        for lost in results.iter().filter_map(|result| result.as_ref().err()) {
            assert!(matches!(lost, StoreError::Conflict { actual, .. } if *actual == next));
        }
    }
    let records = kind.store().records(Revision::ZERO, 100).await.unwrap();
    assert_eq!(verify(&records).unwrap().revision, Revision(10));
}

async fn a_reopened_store_is_the_same_store<S: StoreUnderTest>() {
    let mut kind = S::fresh();
    for number in 1..=5 {
        let applied = apply_next(kind.store(), &content(&format!("r{number}"), number)).await;
        let before = kind.store().load().await.unwrap();
        let records = kind.store().records(Revision::ZERO, 100).await.unwrap();
        kind = kind.reopened();
        assert_eq!(kind.store().load().await.unwrap(), before);
        assert_eq!(kind.store().records(Revision::ZERO, 100).await.unwrap(), records);
        let again = kind.store().apply(&content(&format!("r{number}"), number), Revision(0)).await;
        assert_eq!(again.unwrap().record, applied.unwrap().record);
    }
}

async fn a_copy_holds_the_same_history_or_is_refused<S: StoreUnderTest>() {
    let kind = S::fresh();
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("copy.db");
    apply_next(kind.store(), &content("r1", 1)).await.unwrap();
    let copied = kind.store().backup(&target).await;
    if !S::CAN_BE_COPIED {
        let refused = chain_of(&copied.unwrap_err());
        assert!(refused.starts_with("nothing was written while writing a backup: "), "{refused}");
        assert!(!target.exists());
        return;
    }
    let loaded = kind.store().load().await.unwrap();
    assert_eq!(copied.unwrap(), loaded.head);
    let copy = EmbeddedStore::open(&target).unwrap();
    assert_eq!(copy.load().await.unwrap(), loaded);
    assert!(matches!(
        kind.store().backup(&target).await.unwrap_err(),
        StoreError::NotWritten { doing: "writing a backup", .. }
    ));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_while_writing_is_one_instant_and_writing_goes_on() {
    let kind = Arc::new(InFolder::fresh());
    let folder = tempfile::tempdir().unwrap();
    apply_next(kind.store(), &content("r0", 0)).await.unwrap();
    let writing = tokio::spawn({
        let kind = Arc::clone(&kind);
        async move {
            for number in 1..=300 {
                apply_next(kind.store(), &content(&format!("r{number}"), number)).await.unwrap();
            }
        }
    });
    let mut places = BTreeSet::new();
    while !writing.is_finished() {
        let target = folder.path().join(format!("copy-{}.db", places.len()));
        let head = kind.store().backup(&target).await.unwrap();
        let copy = EmbeddedStore::open(&target).unwrap().load().await.unwrap();
        assert_eq!(copy.head, head);
        assert_eq!(kind.store().load_at(head.revision).await.unwrap(), Some(copy));
        if !places.insert(head.revision) {
            std::fs::remove_file(target).unwrap();
        }
    }
    writing.await.unwrap();
    assert!(1 < places.len(), "copies were made at {places:?} only");
    assert_eq!(kind.store().load().await.unwrap().head.revision, Revision(301));
}

/// One call of [`RuleStore::apply`]: request ids and vendors from a small pool, so that they meet.
fn any_call() -> impl Strategy<Value = (NewRecord, u64)> {
    let content = (0..3_u64, prop_oneof![Just(None), "[A-Zé\"\\\\]{1,3}".prop_map(Some)]);
    let act = (prop::sample::select(&Act::ALL[..]), 1..8_u64);
    (0..12_u8, content, 0..4_u64, act).prop_map(|(request, (number, name), behind, act)| {
        let request = format!("r{request}");
        let content = match name {
            Some(name) => naming(&request, number, &name),
            None => removing(&request, number),
        };
        (acted(content, act.0, Revision(act.1)), behind)
    })
}

/// The same change as what people do with changes: about the proposal of a small number, if about any.
fn acted(content: NewRecord, act: Act, number: Revision) -> NewRecord {
    let acted = NewRecord {
        act,
        address: "192.0.2.1".parse().ok(),
        direction: Some(Direction::Loosening),
        digest: Digest::parse(&"0123456789abcdef".repeat(4)),
        ..content
    };
    let second = Some(Party::unverified("bob"));
    match act {
        Act::Make | Act::Propose | Act::Emergency => acted,
        Act::Edit => NewRecord { proposal: Some(number), ..acted },
        Act::Approve => NewRecord { proposal: Some(number), approver: second, ..acted },
        Act::Reject | Act::Withdraw | Act::Ratify => NewRecord {
            proposal: Some(number),
            approver: second.filter(|_| act == Act::Ratify),
            change: RuleChange::default(),
            ..acted
        },
        Act::Begin => NewRecord {
            kind: Some(ChangeKind::SendMailing),
            proposal: Some(number),
            change: RuleChange::default(),
            ledger: LedgerId::parse(&"0123456789abcdef".repeat(2)),
            ..acted
        },
        Act::Refuse => NewRecord {
            kind: None,
            change: RuleChange::default(),
            refused: Some(RefusedRequest {
                code: "SELF_APPROVAL".into(),
                asked: format!("approve change {number}"),
                unwritten: number.0,
            }),
            ..acted
        },
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn all_stores_answer_every_random_history_alike(
        calls in prop::collection::vec((any_call(), any::<bool>()), 1..30)
    ) {
        block_on(async {
            let memory = MemoryStore::fresh();
            let mut embedded = InFolder::fresh();
            let mut redis = OnRedis::fresh();
            for ((content, behind), reopen) in calls {
                let newest = memory.load().await.unwrap().head.revision.0;
                // Mostly the newest revision, else an older one.
                let expected = Revision(newest.saturating_sub(behind.saturating_sub(2)));
                let one = memory.apply(&content, expected).await;
                for other in [
                    embedded.store().apply(&content, expected).await,
                    redis.store().apply(&content, expected).await,
                ] {
                    match (&one, other) {
                        (Ok(one), Ok(other)) => prop_assert_eq!(one, &other),
                        (Err(one), Err(other)) => {
                            prop_assert_eq!(one.to_string(), other.to_string());
                        }
                        (one, other) => prop_assert!(false, "{:?} but {:?}", one, other),
                    }
                }
                if reopen {
                    embedded = embedded.reopened();
                    redis = redis.reopened();
                }
            }
            let one = memory.load().await.unwrap();
            for other in [
                embedded.store().load().await.unwrap(),
                redis.store().load().await.unwrap(),
            ] {
                prop_assert_eq!((&one.rules, one.head.chain), (&other.rules, other.head.chain));
                prop_assert_eq!((&one.waiting, one.rules_since), (&other.waiting, other.rules_since));
                prop_assert_eq!(one.changed_at, other.changed_at);
            }
            for number in 0..=one.head.revision.0 {
                let state = |at: Option<Loaded>| at.map(|at| (at.rules, at.waiting, at.rules_since));
                let one = state(memory.load_at(Revision(number)).await.unwrap());
                for other in [
                    embedded.store().load_at(Revision(number)).await.unwrap(),
                    redis.store().load_at(Revision(number)).await.unwrap(),
                ] {
                    prop_assert_eq!(&one, &state(other));
                }
            }
            Ok(())
        })?;
    }
}
