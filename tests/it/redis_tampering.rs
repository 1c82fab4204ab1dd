//! Somebody, or a fail-over that lost changes, alters what a server holds: it is refused with its place, or
//! known for a fork, and never taken for the history.

use super::redis_faults::{NAMESPACE, reopened, store_of};
use super::redis_replicas::report;
use super::redis_server::key;
use super::store_contents::{apply_next, chain_of, content};
use offergate::audit::{ChangeKind, NewRecord};
use offergate::domain::Revision;
use offergate::store::{RuleStore, SharedStore, Standing, StoreError};

#[tokio::test]
async fn whatever_is_altered_by_hand_is_refused_and_the_place_named() {
    let meta = key(NAMESPACE, "meta");
    let log = key(NAMESPACE, "log");
    let idem = key(NAMESPACE, "idem");
    let (chain, short) = ("c".repeat(64), "c".repeat(63));
    let nobody = format!("{},,{}", "a".repeat(32), "b".repeat(32));
    let head = "the head: it holds no lineage, revision and hash";
    let leases = "the head: it does not say how long leases may run";
    for (what, commands, place) in [
        ("a revision with a zero before it", vec![vec!["HSET", &meta, "rev", "06"]], head),
        ("a revision with a space", vec![vec!["HSET", &meta, "rev", " 6"]], head),
        ("a revision in another spelling", vec![vec!["HSET", &meta, "rev", "1e3"]], head),
        ("a number too large to count", vec![vec!["HSET", &meta, "rev", "9007199254740993"]], head),
        ("a negative revision", vec![vec!["HSET", &meta, "rev", "-6"]], head),
        ("a hash of 63 digits", vec![vec!["HSET", &meta, "chain", &short]], head),
        ("a lineage that is none", vec![vec!["HSET", &meta, "gen", "x"]], head),
        ("an ancestor that is none", vec![vec!["HSET", &meta, "ancestors", "x"]], head),
        ("an ancestor without a name", vec![vec!["HSET", &meta, "ancestors", &nobody]], head),
        ("ancestors that are gone", vec![vec!["HDEL", &meta, "ancestors"]], head),
        ("a mark that is none", vec![vec!["HSET", &meta, "fork", "maybe"]], head),
        ("a head without a hash", vec![vec!["HDEL", &meta, "chain"]], head),
        ("leases of no length", vec![vec!["HSET", &meta, "limit", "0"]], leases),
        ("leases of half a second and a bit", vec![vec!["HSET", &meta, "limit", "500.5"]], leases),
        ("leases of any length", vec![vec!["HDEL", &meta, "limit"]], leases),
        (
            "a later format",
            vec![vec!["HSET", &meta, "fmt", "2"]],
            "the head: its format is `2`; this version reads format 1",
        ),
        (
            "a head of another type",
            vec![vec!["DEL", &meta], vec!["SET", &meta, "x"]],
            "key `{offergate",
        ),
        ("a log that is gone", vec![vec!["DEL", &log]], "key `{offergate:faults}:log`: it is gone"),
        (
            "requests of another type",
            vec![vec!["DEL", &idem], vec!["RPUSH", &idem, "x"]],
            "key `{offergate:faults}:idem`: it is a list and no hash",
        ),
        ("a record gone", vec![vec!["XDEL", &log, "4-0"]], "revision 4: "),
        ("the first record gone", vec![vec!["XDEL", &log, "1-0"]], "revision 1: "),
        ("the last record gone", vec![vec!["XDEL", &log, "6-0"]], "revision 6: the log ends at"),
        ("a record added", vec![vec!["XADD", &log, "7-0", "e", "x", "c", &chain]], "revision 7: "),
        (
            "a record between",
            vec![vec!["XADD", &log, "6-1", "e", "x", "c", &chain]],
            "revision 7: a record `6-1`",
        ),
        (
            "a record without its fields",
            vec![vec!["XADD", &log, "7-0", "x", "y"]],
            "record 7-0: it has not the fields `e` and `c`",
        ),
        ("the head moved back", vec![vec!["HSET", &meta, "rev", "5"]], "revision 6: "),
        ("the head moved on", vec![vec!["HSET", &meta, "rev", "8"]], "revision 7: "),
        ("the head's hash altered", vec![vec!["HSET", &meta, "chain", &chain]], "revision 7: "),
    ] {
        let (server, _) = store_of(6).await;
        for command in &commands {
            server.cli(command);
        }
        let refused = reopened(&server).load().await.unwrap_err();
        let said = chain_of(&refused);
        let expected = format!("stored data is corrupt at {place}");
        assert!(said.starts_with(&expected), "{what}: {said}");
        let applied = reopened(&server).apply(&content("new", 9), Revision(6)).await;
        assert!(applied.is_err(), "{what}: {applied:?}");
    }
}

#[tokio::test]
async fn an_entry_that_was_altered_or_that_a_later_version_wrote_is_refused_at_the_next_start() {
    let log = key(NAMESPACE, "log");
    for (from, to, said) in [
        ("\"name\":\"ann\"", "\"name\":\"eve\"", "the hash stored with the record does not follow"),
        ("\"format\":2", "\"format\":3", "the hash stored with the record does not follow"),
    ] {
        let (server, _) = store_of(1).await;
        let stored = server.cli(&["--json", "XRANGE", &log, "-", "+"]);
        let stored: serde_json::Value = serde_json::from_str(&stored).unwrap();
        let entry = stored[0][1][1].as_str().unwrap();
        let altered = entry.replace(from, to);
        assert_ne!(altered, entry);
        let chain = stored[0][1][3].as_str().unwrap();
        server.cli(&["DEL", &log]);
        server.cli(&["XADD", &log, "1-0", "e", &altered, "c", chain]);
        let refused = chain_of(&reopened(&server).load().await.unwrap_err());
        assert!(refused.contains("corrupt at revision 1: ") && refused.contains(said), "{refused}");
    }
    // The same with a hash that fits: only the format tells.
    let (server, _) = store_of(1).await;
    let stored = server.cli(&["--json", "XRANGE", &log, "-", "+"]);
    let stored: serde_json::Value = serde_json::from_str(&stored).unwrap();
    let later = stored[0][1][1].as_str().unwrap().replace("\"format\":2", "\"format\":4");
    let chain = hash_of(&later);
    server.cli(&["DEL", &log]);
    server.cli(&["XADD", &log, "1-0", "e", &later, "c", &chain]);
    server.cli(&["HSET", &key(NAMESPACE, "meta"), "chain", &chain]);
    let refused = chain_of(&reopened(&server).load().await.unwrap_err());
    assert!(refused.contains("entry has format 4; this version reads formats 1 to 3"), "{refused}");
}

/// The documented formula, for a first record.
fn hash_of(entry: &str) -> String {
    use sha2::{Digest, Sha256};
    let mut bytes = vec![0; 32];
    bytes.extend(u64::try_from(entry.len()).unwrap().to_be_bytes());
    bytes.extend(entry.as_bytes());
    Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test]
async fn a_history_that_grew_again_from_an_earlier_place_is_a_fork_for_everybody() {
    let (server, store) = store_of(3).await;
    let ahead = store.load().await.unwrap().head;
    let third: NewRecord = content("other-3", 33);
    // As after a fail-over to a node that lacked revision 3.
    let second = store.records(Revision(1), 1).await.unwrap().pop().unwrap();
    let (log, meta) = (key(NAMESPACE, "log"), key(NAMESPACE, "meta"));
    server.cli(&["XDEL", &log, "3-0"]);
    server.cli(&["XSETID", &log, "2-0"]);
    server.cli(&["HDEL", &key(NAMESPACE, "idem"), "request-3"]);
    server.cli(&["HSET", &meta, "rev", "2", "chain", &second.chain.to_string()]);
    let other = reopened(&server);
    let behind = other.load().await.unwrap().head;
    apply_next(&other, &third).await.unwrap();
    // The number is the same, and the chain is not.
    let renewal = store.renew(&report("r1", '1', ahead.clone())).await.unwrap();
    assert_eq!(renewal.standing, Standing::Forked { part: false });
    let renewal = store.renew(&report("r2", '2', behind.clone())).await.unwrap();
    assert_eq!(renewal.standing, Standing::Forked { part: true });
    let refused = apply_next(&other, &content("r4", 4)).await;
    assert!(matches!(refused, Err(StoreError::Forked)), "{refused:?}");
    assert!(matches!(other.head().await, Err(StoreError::Forked)));
    // A suspension may be proposed again meanwhile; people's word ends it, in another lineage.
    let heal = NewRecord { kind: Some(ChangeKind::HealFork), ..content("heal", 3) };
    apply_next(&other, &heal).await.unwrap();
    let accept = NewRecord { kind: Some(ChangeKind::AcceptHistory), ..content("accept", 5) };
    apply_next(&other, &accept).await.unwrap();
    let renewal = store.renew(&report("r1", '1', ahead)).await.unwrap();
    let Standing::OtherLineage { lineage, ancestors } = renewal.standing else {
        panic!("{renewal:?}")
    };
    assert_eq!(ancestors, [behind.lineage]);
    assert_eq!(store.load().await.unwrap().head.lineage, lineage);
    apply_next(&store, &content("r6", 6)).await.unwrap();
    assert_eq!(store.load().await.unwrap(), reopened(&server).load().await.unwrap());
}

#[tokio::test]
async fn a_stale_reader_marks_the_fork_itself_before_it_writes_on_the_other_history() {
    let (server, store) = store_of(2).await;
    let (log, meta) = (key(NAMESPACE, "log"), key(NAMESPACE, "meta"));
    let first = store.records(Revision::ZERO, 1).await.unwrap().pop().unwrap();
    server.cli(&["XDEL", &log, "2-0"]);
    server.cli(&["XSETID", &log, "1-0"]);
    server.cli(&["HDEL", &key(NAMESPACE, "idem"), "request-2"]);
    server.cli(&["HSET", &meta, "rev", "1", "chain", &first.chain.to_string()]);
    apply_next(&reopened(&server), &content("other-2", 22)).await.unwrap();
    let refused = store.apply(&content("r3", 3), Revision(2)).await;
    assert!(matches!(refused, Err(StoreError::Forked)), "{refused:?}");
    assert_eq!(reopened(&server).load().await.unwrap().head.revision, Revision(2));
}
