//! What goes wrong with a real server, and what the store says then: killed, emptied, full,
//! asked by the wrong user. What no server says on demand is said by a small one of the tests' own.

use super::redis_replicas::report;
use super::redis_server::{Flavour, Server, location_of, server_that_says};
use super::store_contents::{apply_next, block_on, chain_of, content, naming};
use offergate::audit::verify;
use offergate::domain::Revision;
use offergate::store::redis::{Location, Login, RedisStore, Secret, forbidding};
use offergate::store::{RuleStore, SharedStore, Standing, StoreError};
use std::time::Duration;

pub(crate) const NAMESPACE: &str = "faults";

/// A server, and a store on it with vendors 1 to `length`, one a revision.
pub(crate) async fn store_of(length: u64) -> (Server, RedisStore) {
    let server = Server::start(Flavour::Redis);
    let store = server.store(NAMESPACE).await;
    for number in 1..=length {
        apply_next(&store, &content(&format!("request-{number}"), number)).await.unwrap();
    }
    (server, store)
}

/// The same server as another process meets it.
pub(crate) fn reopened(server: &Server) -> RedisStore {
    RedisStore::open(server.location(NAMESPACE)).unwrap()
}

#[test]
fn kill_9_in_the_middle_of_commits_loses_nothing_acknowledged_and_doubles_nothing() {
    let mut server = Server::start(Flavour::Redis);
    let store = block_on(server.store(NAMESPACE));
    let mut acknowledged = Vec::new();
    let mut doubtful = 0;
    for number in 1..=200_u64 {
        let wanted = naming(&format!("r{number}"), number % 7, &format!("Vendor {number}"));
        let apply = || block_on(apply_next(&store, &wanted));
        let mut result = match number % 5 {
            0 => std::thread::scope(|scope| {
                let killer = scope.spawn(|| {
                    // The moment itself: in no state that this test could name.
                    std::thread::sleep(Duration::from_micros(number * 137 % 3000));
                    server.kill();
                    server.restart();
                });
                let result = apply();
                killer.join().unwrap();
                result
            }),
            _ => apply(),
        };
        // Asked again until it is answered, under the same name.
        let applied = loop {
            match result {
                Ok(applied) => break applied,
                Err(StoreError::Unavailable { .. } | StoreError::Conflict { .. }) => doubtful += 1,
                Err(other) => panic!("{}", chain_of(&other)),
            }
            result = apply();
        };
        acknowledged.push(applied.record);
    }
    let records = block_on(reopened(&server).records(Revision::ZERO, usize::MAX)).unwrap();
    assert_eq!(records, acknowledged);
    assert_eq!(verify(&records).unwrap().revision, Revision(200));
    assert!(0 < doubtful, "no kill came while a change was on its way");
}

#[tokio::test]
async fn a_server_that_forgets_its_scripts_all_the_time_is_taught_them_again() {
    let (server, store) = store_of(0).await;
    for number in 1..=30 {
        server.cli(&["SCRIPT", "FLUSH"]);
        let applied = apply_next(&store, &content(&format!("r{number}"), number)).await.unwrap();
        assert_eq!((applied.record.revision, applied.repeated), (Revision(number), false));
        server.cli(&["SCRIPT", "FLUSH"]);
        let head = store.head().await.unwrap().unwrap();
        let renewal = store.renew(&report("r1", '1', head)).await.unwrap();
        assert_eq!(renewal.standing, Standing::Newest);
    }
}

#[tokio::test]
async fn an_emptied_server_holds_no_history_and_begins_none_by_itself() {
    let (server, store) = store_of(3).await;
    let before = store.load().await.unwrap().head;
    server.cli(&["FLUSHALL"]);
    assert!(matches!(store.load().await, Err(StoreError::Empty)));
    let refused = store.apply(&content("r4", 4), Revision(3)).await;
    assert!(matches!(refused, Err(StoreError::Empty)), "{refused:?}");
    assert_eq!(store.head().await.unwrap(), None);
    let renewal = store.renew(&report("r1", '1', before.clone())).await.unwrap();
    assert_eq!(renewal.standing, Standing::Empty);
    assert_eq!(store.fleet(&before).await.unwrap().standing, Standing::Empty);
    let confirmation = store.confirm(&before, Duration::from_millis(100)).await.unwrap();
    assert!(!confirmation.is_durable(), "{confirmation:?}");
    assert_eq!(server.cli(&["DBSIZE"]), "0", "something was written");
    // Another history is another lineage, so that nothing of before is taken for it.
    store.initialise(None).await.unwrap();
    let renewal = store.renew(&report("r1", '1', before)).await.unwrap();
    assert!(
        matches!(renewal.standing, Standing::OtherLineage { ref ancestors, .. } if ancestors.is_empty())
    );
}

#[tokio::test]
async fn a_history_that_is_there_is_never_begun_anew() {
    let (_server, store) = store_of(1).await;
    let before = store.load().await.unwrap();
    let refused = store.initialise(None).await.unwrap_err();
    assert!(chain_of(&refused).contains("there is one already"), "{refused:?}");
    assert_eq!(store.load().await.unwrap(), before);
}

#[tokio::test]
async fn a_change_is_on_disk_where_the_server_writes_before_it_answers_and_nowhere_else() {
    let (server, store) = store_of(1).await;
    let head = store.load().await.unwrap().head;
    let limit = Duration::from_millis(200);
    assert!(store.confirm(&head, limit).await.unwrap().is_durable());
    assert_eq!(store.shortfalls().await.unwrap(), []);
    for (setting, value, wanted, good) in [
        ("appendfsync", "everysec", "always", "always"),
        ("appendonly", "no", "yes", "yes"),
        ("no-appendfsync-on-rewrite", "yes", "no", "no"),
        ("maxmemory-policy", "allkeys-lru", "noeviction", "noeviction"),
    ] {
        server.cli(&["CONFIG", "SET", setting, value]);
        let shortfalls = store.shortfalls().await.unwrap();
        assert_eq!(shortfalls.len(), 1, "{shortfalls:?}");
        let shortfall = &shortfalls[0];
        assert_eq!((shortfall.setting.as_str(), shortfall.found.as_str()), (setting, value));
        assert_eq!((shortfall.wanted.as_str(), shortfall.cost.is_empty()), (wanted, false));
        let of_eviction = setting == "maxmemory-policy";
        assert_eq!(forbidding(&shortfalls).is_some(), of_eviction);
        assert_eq!(shortfall.durable, of_eviction);
        let durable = store.confirm(&head, limit).await.unwrap().is_durable();
        assert_eq!(durable, of_eviction, "{setting}");
        server.cli(&["CONFIG", "SET", setting, good]);
    }
    // With a node that does not follow, nothing is durable either.
    let two = RedisStore::open(Location { nodes: 2, ..server.location(NAMESPACE) }).unwrap();
    let confirmation = two.confirm(&head, limit).await.unwrap();
    assert_eq!((confirmation.copies, confirmation.nodes), (1, 2));
    assert!(!confirmation.is_durable());
    assert_eq!(two.shortfalls().await.unwrap()[0].setting, "connected replicas");
}

#[tokio::test]
async fn a_restart_of_the_server_is_another_reign() {
    let (mut server, store) = store_of(1).await;
    let head = store.load().await.unwrap().head;
    let before = store.fleet(&head).await.unwrap().reign;
    assert_eq!(store.fleet(&head).await.unwrap().reign, before);
    server.kill();
    let refused = store.fleet(&head).await;
    assert!(matches!(refused, Err(StoreError::Unavailable { .. })), "{refused:?}");
    server.restart();
    let fleet = store.fleet(&head).await.unwrap();
    assert_eq!(fleet.standing, Standing::Newest);
    assert_ne!(fleet.reign, before);
}

#[tokio::test]
async fn a_change_wakes_who_waits_for_it_and_silence_lasts_no_longer_than_asked() {
    let (_server, store) = store_of(1).await;
    store.next_change(Revision(1), Duration::from_millis(50)).await.unwrap();
    let (long, next) = (Duration::from_secs(60), content("r2", 2));
    let (woken, applied) = tokio::join!(
        tokio::time::timeout(Duration::from_secs(20), store.next_change(Revision(1), long)),
        apply_next(&store, &next),
    );
    applied.unwrap();
    woken.expect("nobody was woken").unwrap();
}

#[tokio::test]
async fn a_server_that_is_full_or_frozen_or_follows_another_writes_nothing() {
    let (server, store) = store_of(1).await;
    let before = store.load().await.unwrap();
    server.cli(&["CONFIG", "SET", "maxmemory", "1"]);
    let refused = store.apply(&content("r2", 2), Revision(1)).await.unwrap_err();
    assert!(matches!(refused, StoreError::NotWritten { .. }), "{}", chain_of(&refused));
    assert_eq!(store.load().await.unwrap(), before);
    server.cli(&["CONFIG", "SET", "maxmemory", "0"]);

    server.freeze();
    let refused = store.apply(&content("r3", 3), Revision(1)).await.unwrap_err();
    assert!(matches!(refused, StoreError::Unavailable { .. }), "{}", chain_of(&refused));
    server.thaw();
    assert!(store.record_of(&content("r3", 3).request_id).await.unwrap().is_none());

    let leader = Server::start(Flavour::Redis);
    server.cli(&["REPLICAOF", "127.0.0.1", &leader.port.to_string()]);
    let refused = store.apply(&content("r4", 4), Revision(1)).await.unwrap_err();
    assert!(matches!(refused, StoreError::Unavailable { .. }), "{}", chain_of(&refused));
}

#[tokio::test]
async fn a_user_with_the_documented_rights_can_do_everything_and_others_are_told_what_is_wrong() {
    let server = Server::start(Flavour::Redis);
    let rights = "on >hunter2 resetkeys ~{offergate:*}* resetchannels -@all +ping +eval +evalsha \
                  +info +wait +config|get +select +time +type +exists +hset +hget +hmget +hgetall \
                  +hdel +xadd +xdel +xlen +xrange +xread +del";
    let mut set = vec!["ACL", "SETUSER", "offergate"];
    set.extend(rights.split_whitespace());
    server.cli(&set);
    let login = |password: &str| Login {
        user: Some("offergate".into()),
        password: Some(Secret::new(password.into())),
    };
    let open = |login| RedisStore::open(Location { login, ..server.location(NAMESPACE) }).unwrap();
    let store = open(login("hunter2"));
    store.initialise(None).await.unwrap();
    apply_next(&store, &content("r1", 1)).await.unwrap();
    let head = store.head().await.unwrap().unwrap();
    let mine = report("r1", '1', head.clone());
    assert_eq!(store.renew(&mine).await.unwrap().standing, Standing::Newest);
    assert!(store.confirm(&head, Duration::from_millis(100)).await.unwrap().is_durable());
    store.next_change(Revision::ZERO, Duration::from_millis(10)).await.unwrap();
    store.leave(&mine.incarnation).await.unwrap();
    assert_eq!(store.shortfalls().await.unwrap(), []);

    // Without the right to read settings, what cannot be read is said, and nothing is durable.
    server.cli(&["ACL", "SETUSER", "offergate", "-config|get"]);
    let shortfalls = store.shortfalls().await.unwrap();
    let said: Vec<_> =
        shortfalls.iter().map(|one| (one.setting.as_str(), one.found.as_str())).collect();
    let unread = "cannot be read: CONFIG GET is refused to this user";
    assert_eq!(said, [("appendfsync", unread), ("no-appendfsync-on-rewrite", unread)]);
    assert!(!store.confirm(&head, Duration::from_millis(100)).await.unwrap().is_durable());

    let wrong = open(login("hunter3"));
    let refused = chain_of(&wrong.load().await.unwrap_err());
    assert!(refused.contains("WRONGPASS") || refused.contains("uthentication"), "{refused}");
    assert!(!refused.contains("hunter"), "{refused}");
    assert!(!format!("{:?}", login("hunter2")).contains("hunter"));
    server.cli(&["ACL", "SETUSER", "default", "off"]);
    let refused = open(Login::default()).apply(&content("r2", 2), Revision(1)).await.unwrap_err();
    assert!(chain_of(&refused).contains("uthentication required"), "{}", chain_of(&refused));
}

#[tokio::test]
async fn whatever_else_answers_on_the_port_is_an_error_and_never_a_history() {
    for (what, said, expected) in [
        (
            "a server that loads",
            &b"-LOADING Redis is loading the dataset in memory\r\n"[..],
            "oading",
        ),
        (
            "a replica",
            b"-READONLY You can't write against a read only replica.\r\n",
            "read only replica",
        ),
        (
            "a replica alone",
            b"-MASTERDOWN Link with MASTER is down\r\n",
            "Link with MASTER is down",
        ),
        ("a disk that is full", b"-MISCONF Redis is configured to save\r\n", "configured to save"),
        ("a slot that moves", b"-TRYAGAIN Multiple keys request\r\n", "Multiple keys"),
        ("a web server", b"HTTP/1.1 400 Bad Request\r\n\r\n", ""),
        ("half a reply", b"*2\r\n$4\r\nHE", ""),
        ("silence", b"", ""),
        ("a number", b":1\r\n", "none of ours"),
        ("an empty list", b"*0\r\n", "none of ours"),
        ("words that mean nothing", b"*1\r\n$5\r\nHELLO\r\n", "means nothing here"),
        ("a head cut short", b"*2\r\n$4\r\nHEAD\r\n$1\r\nx\r\n", ""),
    ] {
        let store = RedisStore::open(location_of(server_that_says(said), NAMESPACE)).unwrap();
        let refused = store.load().await.unwrap_err();
        let chain = chain_of(&refused);
        assert!(matches!(refused, StoreError::Unavailable { .. }), "{what}: {chain}");
        assert!(chain.contains(expected), "{what}: {chain}");
        let refused = store.head().await;
        assert!(matches!(refused, Err(StoreError::Unavailable { .. })), "{what}: {refused:?}");
    }
}
