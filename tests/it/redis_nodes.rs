//! Several nodes, and what is known of them: who leaves while it is counted, and who does not know where the
//! primary is. What happens between two commands is made to happen on the way.

use super::redis_failover::{follower_of, pair};
use super::redis_server::{Server, eventually, location_of, server_that_says, way_with_a_stop};
use super::store_contents::{apply_next, content};
use offergate::store::redis::{Address, Location, RedisStore, Servers};
use offergate::store::{RuleStore, SharedStore, Standing, StoreError};
use std::sync::Arc;
use std::time::Duration;

const NAMESPACE: &str = "nodes";

/// Whether a change is called durable, with two nodes in all, if `leaving` stops following between being
/// counted and being looked at, and `left` others go on.
async fn is_durable_if_one_leaves(primary: &Arc<Server>, leaving: &Arc<Server>, left: u32) -> bool {
    let (at, gone) = (Arc::downgrade(primary), Arc::downgrade(leaving));
    let way = way_with_a_stop(primary.port, "\r\nWAIT\r\n", move || {
        gone.upgrade().unwrap().cli(&["REPLICAOF", "NO", "ONE"]);
        let at = at.upgrade().unwrap();
        eventually("it is gone", || {
            let follow = at.cli(&["INFO", "replication"]);
            follow.contains(&format!("connected_slaves:{left}")).then_some(())
        });
    });
    let store = RedisStore::open(Location { nodes: 2, ..location_of(way, NAMESPACE) }).unwrap();
    store.initialise(None).await.unwrap();
    apply_next(&store, &content("r1", 1)).await.unwrap();
    let head = store.load().await.unwrap().head;
    let confirmed = store.confirm(&head, Duration::from_secs(10)).await.unwrap().is_durable();
    let info = primary.cli(&["INFO", "replication"]);
    assert!(info.contains(&format!("connected_slaves:{left}")), "nobody left: {info}");
    confirmed
}

#[tokio::test]
async fn a_node_that_leaves_before_it_was_looked_at_is_not_counted() {
    let (primary, follower) = pair();
    // It acknowledges what it has not on its disk, and nobody can see that any more.
    follower.cli(&["CONFIG", "SET", "appendfsync", "everysec"]);
    assert!(!is_durable_if_one_leaves(&Arc::new(primary), &Arc::new(follower), 0).await);
    // It may have acknowledged in place of the one that could be promoted.
    let (primary, _counted) = pair();
    let other = follower_of(&primary);
    assert!(!is_durable_if_one_leaves(&Arc::new(primary), &Arc::new(other), 1).await);
}

/// One that says, whatever it is asked, that the primary is at this server.
fn sentinel_that_names(server: &Server) -> Address {
    let port = server.port.to_string();
    let said = format!("*2\r\n$9\r\n127.0.0.1\r\n${}\r\n{port}\r\n", port.len());
    Address { host: "127.0.0.1".into(), port: server_that_says(said.leak().as_bytes()) }
}

#[tokio::test]
async fn sentinels_that_are_wrong_or_silent_lead_nobody_astray_while_one_is_right() {
    let (primary, follower) = pair();
    let head = primary.store(NAMESPACE).await.load().await.unwrap().head;
    let asking = |sentinels: &[&Address]| {
        let sentinels = sentinels.iter().map(|&one| one.clone()).collect();
        let servers = Servers::Sentinel { sentinels, master: "main".into() };
        RedisStore::open(Location { servers, ..primary.location(NAMESPACE) }).unwrap()
    };
    let (right, wrong, other) = (
        sentinel_that_names(&primary),
        sentinel_that_names(&follower),
        sentinel_that_names(&follower),
    );
    let silent = Address { host: "127.0.0.1".into(), port: server_that_says(b"") };
    for (what, sentinels) in [
        ("the first is wrong", &[&wrong, &right][..]),
        ("two of three are wrong", &[&wrong, &other, &right]),
        ("the others are silent", &[&silent, &silent, &silent, &right]),
        ("of each a kind", &[&wrong, &silent, &right]),
    ] {
        let store = asking(sentinels);
        let found = store.fleet(&head).await;
        assert!(found.is_ok_and(|fleet| fleet.standing == Standing::Newest), "{what}");
    }
    // Whoever was wrong may be right by now, and is asked again.
    let store = asking(&[&wrong]);
    assert!(matches!(store.fleet(&head).await, Err(StoreError::Unavailable { .. })));
    follower.cli(&["REPLICAOF", "NO", "ONE"]);
    assert_eq!(store.fleet(&head).await.unwrap().standing, Standing::Newest);
}
