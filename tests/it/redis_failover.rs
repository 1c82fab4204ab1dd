//! Several nodes: a primary that is lost, sentinels that promote another, a cluster whose slot moves, and
//! TLS. Real servers, each started here.

use super::redis_server::{Flavour, Server, eventually, free_port, key};
use super::store_contents::{apply_next, chain_of, content};
use offergate::domain::Revision;
use offergate::store::redis::{Address, Location, RedisStore, Servers, Tls};
use offergate::store::{RuleStore, SharedStore, Standing, StoreError};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const NAMESPACE: &str = "failover";
const LIMIT: Duration = Duration::from_millis(500);

/// A primary and a node that follows it.
pub(crate) fn pair() -> (Server, Server) {
    let primary = Server::start(Flavour::Redis);
    let follower = follower_of(&primary);
    (primary, follower)
}

pub(crate) fn follower_of(primary: &Server) -> Server {
    let port = primary.port.to_string();
    let follower = Server::start_with(Flavour::Redis, &["--replicaof", "127.0.0.1", &port], &[]);
    eventually("the follower is in step", || {
        follower.cli(&["INFO", "replication"]).contains("master_link_status:up").then_some(())
    });
    follower
}

#[tokio::test]
async fn a_change_is_durable_once_every_node_has_it_and_not_while_one_stands_still() {
    let (primary, follower) = pair();
    let location = Location { nodes: 2, ..primary.location(NAMESPACE) };
    let store = RedisStore::open(location).unwrap();
    store.initialise(None).await.unwrap();
    apply_next(&store, &content("r1", 1)).await.unwrap();
    let head = store.load().await.unwrap().head;
    let confirmation = store.confirm(&head, Duration::from_secs(10)).await.unwrap();
    assert_eq!((confirmation.copies, confirmation.nodes), (2, 2));
    assert_eq!(store.shortfalls().await.unwrap(), []);
    follower.freeze();
    apply_next(&store, &content("r2", 2)).await.unwrap();
    let head = store.load().await.unwrap().head;
    let confirmation = store.confirm(&head, LIMIT).await.unwrap();
    assert_eq!((confirmation.copies, confirmation.is_durable()), (1, false));
    follower.thaw();
    let confirmation = store.confirm(&head, Duration::from_secs(10)).await.unwrap();
    assert!(confirmation.is_durable(), "{confirmation:?}");
    // A follower that does not write before it answers holds nothing on its disk for certain.
    follower.cli(&["CONFIG", "SET", "appendfsync", "everysec"]);
    assert!(!store.confirm(&head, LIMIT).await.unwrap().is_durable());
    let shortfalls = store.shortfalls().await.unwrap();
    let expected = format!("appendfsync of {}", follower.address());
    assert_eq!((shortfalls[0].setting.as_str(), shortfalls[0].durable), (expected.as_str(), false));
    follower.cli(&["CONFIG", "SET", "appendfsync", "always"]);
    assert!(store.confirm(&head, LIMIT).await.unwrap().is_durable());
    // A node that was not counted could be promoted without a change.
    let one = RedisStore::open(primary.location(NAMESPACE)).unwrap();
    assert!(!one.confirm(&head, LIMIT).await.unwrap().is_durable());
    assert_eq!(one.shortfalls().await.unwrap()[0].setting, "connected replicas");
}

#[tokio::test]
async fn a_primary_that_was_demoted_and_promoted_again_reigns_anew() {
    let (primary, follower) = pair();
    let store = primary.store(NAMESPACE).await;
    apply_next(&store, &content("r1", 1)).await.unwrap();
    let head = store.load().await.unwrap().head;
    let before = store.fleet(&head).await.unwrap().reign;
    primary.cli(&["REPLICAOF", "127.0.0.1", "1"]);
    assert!(store.fleet(&head).await.is_err());
    primary.cli(&["REPLICAOF", "NO", "ONE"]);
    assert_ne!(store.fleet(&head).await.unwrap().reign, before);
    drop(follower);
}

/// Three sentinels that agree by two, and give up a primary after half a second.
fn sentinels(primary: &Server) -> Vec<Server> {
    let port = primary.port.to_string();
    let start = || {
        let sentinel = Server::start_with(Flavour::Redis, &["--sentinel"], &[]);
        sentinel.cli(&["SENTINEL", "MONITOR", "main", "127.0.0.1", &port, "2"]);
        sentinel.cli(&["SENTINEL", "SET", "main", "down-after-milliseconds", "500"]);
        sentinel.cli(&["SENTINEL", "SET", "main", "failover-timeout", "3000"]);
        sentinel
    };
    let sentinels = vec![start(), start(), start()];
    for sentinel in &sentinels {
        eventually("the sentinels know each other and the follower", || {
            let known = sentinel.cli(&["SENTINEL", "MASTER", "main"]);
            let lines: Vec<&str> = known.lines().collect();
            let value = |name| lines.iter().position(|line| *line == name).map(|at| lines[at + 1]);
            (value("num-slaves") == Some("1") && value("num-other-sentinels") == Some("2"))
                .then_some(())
        });
    }
    sentinels
}

#[tokio::test]
async fn after_a_fail_over_by_sentinels_the_same_store_goes_on_at_the_new_primary() {
    let (mut primary, follower) = pair();
    let sentinels = sentinels(&primary);
    let location = Location {
        servers: Servers::Sentinel {
            sentinels: sentinels.iter().map(Server::address).collect(),
            master: "main".into(),
        },
        nodes: 2,
        ..primary.location(NAMESPACE)
    };
    let store = RedisStore::open(location.clone()).unwrap();
    store.initialise(None).await.unwrap();
    for number in 1..=5 {
        apply_next(&store, &content(&format!("r{number}"), number)).await.unwrap();
    }
    let head = store.load().await.unwrap().head;
    let before = store.confirm(&head, Duration::from_secs(10)).await.unwrap();
    assert!(before.is_durable(), "{before:?}");
    primary.kill();
    eventually("the follower is promoted", || {
        follower.cli(&["INFO", "replication"]).contains("role:master").then_some(())
    });
    let after = loop {
        match store.fleet(&head).await {
            Ok(fleet) => break fleet,
            Err(StoreError::Unavailable { .. }) => {}
            Err(other) => panic!("{}", chain_of(&other)),
        }
    };
    assert_eq!(after.standing, Standing::Newest, "what was durable is there");
    assert_ne!(after.reign, before.reign);
    let applied = apply_next(&store, &content("r6", 6)).await.unwrap();
    assert_eq!(applied.record.revision, Revision(6));
    let again = store.apply(&content("r3", 3), Revision(2)).await.unwrap();
    assert!(again.repeated);
    let unknown = Servers::Sentinel {
        sentinels: sentinels.iter().map(Server::address).collect(),
        master: "nobody".into(),
    };
    let stray = RedisStore::open(Location { servers: unknown, ..location }).unwrap();
    let refused = chain_of(&stray.load().await.unwrap_err());
    assert!(refused.contains("knows no master `nobody`"), "{refused}");
}

#[tokio::test]
async fn a_fail_over_to_a_node_that_was_behind_is_a_fork_and_no_lease_is_granted() {
    let (mut primary, follower) = pair();
    let store = primary.store(NAMESPACE).await;
    apply_next(&store, &content("r1", 1)).await.unwrap();
    let head = store.load().await.unwrap().head;
    let two = RedisStore::open(Location { nodes: 2, ..primary.location(NAMESPACE) }).unwrap();
    assert!(two.confirm(&head, Duration::from_secs(10)).await.unwrap().is_durable());
    // It follows nobody who is there, so that nothing of what comes next can be on its way to it.
    follower.cli(&["REPLICAOF", "127.0.0.1", "1"]);
    apply_next(&store, &content("r2", 2)).await.unwrap();
    let lost = store.load().await.unwrap().head;
    assert_eq!(lost.revision, Revision(2));
    assert!(!two.confirm(&lost, LIMIT).await.unwrap().is_durable());
    primary.kill();
    follower.cli(&["REPLICAOF", "NO", "ONE"]);
    let promoted = RedisStore::open(follower.location(NAMESPACE)).unwrap();
    assert_eq!(promoted.load().await.unwrap().head, head);
    assert_eq!(promoted.fleet(&lost).await.unwrap().standing, Standing::Forked { part: false });
    // The new history reaches the same number with another change.
    apply_next(&promoted, &content("other", 9)).await.unwrap();
    assert_eq!(promoted.fleet(&lost).await.unwrap().standing, Standing::Forked { part: false });
}

/// Three nodes that share the slots among them.
fn cluster(flavour: Flavour) -> Vec<Server> {
    let start = || {
        let bus = free_port().to_string();
        let options = ["--cluster-enabled", "yes", "--cluster-port", &bus];
        Server::start_with(flavour, &options, &[])
    };
    let nodes = vec![start(), start(), start()];
    let addresses: Vec<String> = nodes.iter().map(|node| node.address().to_string()).collect();
    let mut create = vec!["--cluster", "create"];
    create.extend(addresses.iter().map(String::as_str));
    create.push("--cluster-yes");
    nodes[0].cli(&create);
    for node in &nodes {
        eventually("the cluster is whole", || {
            node.cli(&["CLUSTER", "INFO"]).contains("cluster_state:ok").then_some(())
        });
    }
    nodes
}

#[tokio::test]
async fn in_a_cluster_the_one_slot_is_found_and_followed_while_it_moves() {
    for flavour in [Flavour::Redis, Flavour::Valkey] {
        let nodes = cluster(flavour);
        let addresses: Vec<Address> = nodes.iter().map(Server::address).collect();
        let location =
            Location { servers: Servers::Cluster(addresses), ..nodes[0].location(NAMESPACE) };
        let store = RedisStore::open(location.clone()).unwrap();
        store.initialise(None).await.unwrap();
        for number in 1..=5 {
            apply_next(&store, &content(&format!("r{number}"), number)).await.unwrap();
        }
        let keys = ["meta", "log", "reps", "idem"].map(|part| key(NAMESPACE, part));
        let slot = nodes[0].cli(&["CLUSTER", "KEYSLOT", &keys[0]]);
        let has = |node: &Server| node.try_cli(&["EXISTS", &keys[0]]).is_some_and(|it| it == "1");
        let at = nodes.iter().position(has).unwrap();
        let (source, target) = (&nodes[at], &nodes[(at + 1) % 3]);
        let id = |node: &Server| node.cli(&["CLUSTER", "MYID"]);
        target.cli(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", &id(source)]);
        source.cli(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", &id(target)]);
        // All keys are there still: the store does not notice.
        apply_next(&store, &content("r6", 6)).await.unwrap();
        let port = target.port.to_string();
        let move_key = |key: &String| {
            source.cli(&["MIGRATE", "127.0.0.1", &port, key, "0", "5000"]);
        };
        move_key(&keys[0]);
        // Between the first key and the last, nothing is written and nothing read by halves.
        let refused = store.apply(&content("r7", 7), Revision(6)).await;
        assert!(matches!(refused, Err(StoreError::Unavailable { .. })), "{refused:?}");
        keys[1..].iter().for_each(move_key);
        for node in [target, source, &nodes[(at + 2) % 3]] {
            node.cli(&["CLUSTER", "SETSLOT", &slot, "NODE", &id(target)]);
        }
        let applied = apply_next(&store, &content("r7", 7)).await.unwrap();
        assert_eq!((applied.record.revision, applied.repeated), (Revision(7), false));
        let loaded = RedisStore::open(location).unwrap().load().await.unwrap();
        assert_eq!(loaded, store.load().await.unwrap());
    }
}

/// Makes an authority, and certificates for a server and a client, with the machine's openssl.
fn certificates(folder: &Path) -> impl Fn(&str) -> PathBuf + use<> {
    let script = "
        set -e
        openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=ca -keyout ca.key -out ca.pem
        for name in server client; do
            openssl req -newkey rsa:2048 -nodes -subj /CN=$name -keyout $name.key -out $name.csr
            printf 'subjectAltName=IP:127.0.0.1\\nbasicConstraints=CA:FALSE\\n' > $name.ext
            openssl x509 -req -in $name.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 \
                -extfile $name.ext -out $name.pem
        done";
    let made = Command::new("sh").args(["-c", script]).current_dir(folder).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let folder = folder.to_owned();
    move |name| folder.join(name)
}

#[tokio::test]
async fn over_tls_both_sides_show_certificates_and_a_stranger_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = certificates(folder.path());
    let text = |name: &str| file(name).to_str().unwrap().to_owned();
    let (ca, cert, tls_key) = (text("ca.pem"), text("server.pem"), text("server.key"));
    let tls_port = free_port();
    let port = tls_port.to_string();
    let options = [
        "--tls-port",
        &port,
        "--tls-ca-cert-file",
        &ca,
        "--tls-cert-file",
        &cert,
        "--tls-key-file",
        &tls_key,
        "--tls-auth-clients",
        "yes",
    ];
    let server = Server::start_with(Flavour::Redis, &options, &[]);
    let location = |tls| Location {
        servers: Servers::Single(Address { host: "127.0.0.1".into(), port: tls_port }),
        tls,
        ..server.location(NAMESPACE)
    };
    let (authority, client) =
        (Some(file("ca.pem")), Some((file("client.pem"), file("client.key"))));
    let good = Tls { authority: authority.clone(), client: client.clone() };
    let store = RedisStore::open(location(Some(good))).unwrap();
    store.initialise(None).await.unwrap();
    apply_next(&store, &content("r1", 1)).await.unwrap();
    assert_eq!(store.load().await.unwrap().head.revision, Revision(1));
    for (what, tls, said) in [
        ("no certificate of ours", Some(Tls { authority, client: None }), ""),
        ("an authority that signed nothing here", Some(Tls { authority: None, client }), ""),
        ("no TLS at all", None, ""),
        (
            "a file that is not there",
            Some(Tls { authority: Some("/no/such/ca.pem".into()), client: None }),
            "cannot read `/no/such/ca.pem`",
        ),
    ] {
        let refused = RedisStore::open(location(tls)).unwrap().load().await.unwrap_err();
        let chain = chain_of(&refused);
        assert!(matches!(refused, StoreError::Unavailable { .. }), "{what}: {chain}");
        assert!(chain.contains(said), "{what}: {chain}");
    }
}

#[tokio::test]
async fn certificates_that_are_replaced_are_used_by_the_next_connection_without_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let file = certificates(folder.path());
    let text = |name: &str| file(name).to_str().unwrap().to_owned();
    let (ca, cert, tls_key) = (text("ca.pem"), text("server.pem"), text("server.key"));
    let tls_port = free_port();
    let port = tls_port.to_string();
    let files = ["--tls-ca-cert-file", &ca, "--tls-cert-file", &cert, "--tls-key-file", &tls_key];
    let options = [&["--tls-port", &port, "--tls-auth-clients", "yes"][..], &files].concat();
    let mut server = Server::start_with(Flavour::Redis, &options, &[]);
    let open = |authority| {
        let client = Some((file("client.pem"), file("client.key")));
        let location = Location {
            servers: Servers::Single(Address { host: "127.0.0.1".into(), port: tls_port }),
            tls: Some(Tls { authority: Some(authority), client }),
            ..server.location(NAMESPACE)
        };
        RedisStore::open(location).unwrap()
    };
    let old = file("old.pem");
    std::fs::copy(file("ca.pem"), &old).unwrap();
    let (store, left_behind) = (open(file("ca.pem")), open(old));
    store.initialise(None).await.unwrap();
    left_behind.load().await.unwrap();
    // Another authority, another server, another client, under the same names.
    let _ = certificates(folder.path());
    server.kill();
    server.restart();
    apply_next(&store, &content("r1", 1)).await.unwrap();
    let refused = left_behind.load().await.unwrap_err();
    assert!(matches!(refused, StoreError::Unavailable { .. }), "{}", chain_of(&refused));
}

#[tokio::test]
async fn a_copy_fills_an_empty_namespace_under_a_lineage_of_its_own_and_no_other() {
    let server = Server::start(Flavour::Redis);
    let source = server.store("source").await;
    for number in 1..=600 {
        apply_next(&source, &content(&format!("r{number}"), number % 9)).await.unwrap();
    }
    let from = source.load().await.unwrap();
    let target = RedisStore::open(server.location("target")).unwrap();
    let head = target.fill_from(&source).await.unwrap();
    assert_ne!(head.lineage, from.head.lineage);
    let loaded = target.load().await.unwrap();
    assert_eq!((&loaded.head, &loaded.rules), (&head, &from.rules));
    let standing = target.fleet(&from.head).await.unwrap().standing;
    let ancestors = vec![from.head.lineage.clone()];
    assert_eq!(standing, Standing::OtherLineage { lineage: head.lineage.clone(), ancestors });
    let again = target.apply(&content("r600", 600 % 9), Revision(0)).await.unwrap();
    assert!(again.repeated, "requests were copied too");
    let refused = target.fill_from(&source).await.unwrap_err();
    assert!(chain_of(&refused).contains("holds a history already"), "{}", chain_of(&refused));
    // A fill that broke off is nobody's history, and can be begun anew.
    let half = RedisStore::open(server.location("half")).unwrap();
    half.initialise(None).await.unwrap();
    server.cli(&["HSET", &key("half", "meta"), "fmt", "filling"]);
    let refused = chain_of(&half.load().await.unwrap_err());
    assert!(refused.contains("its format is `filling`"), "{refused}");
    half.fill_from(&source).await.unwrap();
    assert_eq!(half.load().await.unwrap().rules, from.rules);
}
