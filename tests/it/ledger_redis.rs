//! A ledger in Redis, where it differs from one in a file: a lock that runs out, answers that are lost, servers that
//! forget, keys of other ledgers, and how little room it takes.

use crate::ledger_conformance::place_in;
use crate::redis_failover::follower_of;
use crate::redis_server::{
    Flavour, Server, eventually, free_port, server_that_says, way_with_a_stop,
};
use offergate::jobs::mailing::{Order, Wanted, give};
use offergate::ledger::redis::{RedisLedger, RedisPlace};
use offergate::ledger::{
    Fact, KeyError, Ledger, LedgerError, LedgerKey, Place, State, Step, Tag, What, Why,
};
use offergate::redis::{Access, Address, Login, Secret, Servers};
use std::path::Path;
use std::sync::{Arc, Mutex};
use tempfile::TempDir;

const MAILING: &str = "m";

fn step(number: u8, what: What) -> Step {
    Step { place: Place { block: 0, tag: Tag([number; 16]) }, what, at: 1_700_000_000 }
}

fn leave(number: u8, reason: &str) -> Step {
    step(number, What::Leave(Why { reason: reason.to_owned(), revision: 0 }))
}

fn key(folder: &TempDir) -> std::path::PathBuf {
    folder.path().join("key")
}

fn create(server: &Server, folder: &TempDir) -> RedisLedger {
    RedisLedger::create(place_in(server, MAILING), &key(folder)).unwrap().0
}

fn refusal<T>(opened: Result<T, LedgerError>) -> LedgerError {
    opened.err().unwrap()
}

/// Lets the lock run out, as it would if its sender stood still for long enough.
fn run_out(server: &Server) {
    server.cli(&["HSET", "{offergate-ledger:m}:head", "until", "1"]);
}

#[test]
fn a_second_sender_is_refused_while_the_first_one_lives_and_anybody_may_look() {
    let (server, folder) = (Server::start(Flavour::Redis), TempDir::new().unwrap());
    let place = || place_in(&server, MAILING);
    let ledger = create(&server, &folder);
    let told = refusal(RedisLedger::open(place(), &key(&folder))).to_string();
    assert!(told.contains(&format!("process {} on ", std::process::id())), "{told}");
    let mut looker = RedisLedger::look(place()).unwrap();
    looker.set_fact(Fact::Order, "pause").unwrap();
    assert_eq!(ledger.fact(Fact::Order).unwrap().as_deref(), Some("pause"));
    assert!(looker.write(&[leave(1, "X")]).is_err(), "who looks is no sender");
    assert!(RedisLedger::has_sender(place()).unwrap() && (ledger.still_ours())());
    drop(ledger);
    assert!(!RedisLedger::has_sender(place()).unwrap(), "it was given up, and did not run out");
    assert!(RedisLedger::open(place(), &key(&folder)).is_ok());
}

#[test]
fn who_was_taken_over_writes_nothing_more() {
    let (server, folder) = (Server::start(Flavour::Redis), TempDir::new().unwrap());
    let mut slow = create(&server, &folder);
    slow.write(&[step(1, What::Begin)]).unwrap();
    // The lock has run out, but nobody has taken it: it is still this one's.
    run_out(&server);
    slow.write(&[step(2, What::Begin)]).unwrap();
    let next = eventually("it is taken over", || {
        run_out(&server);
        RedisLedger::open(place_in(&server, MAILING), &key(&folder)).ok()
    });
    let (mut next, _) = next;
    assert_eq!(next.doubt(1_700_000_001).unwrap(), 2);
    let sent = step(1, What::End(State::Sent, Why::default()));
    for wrong in [step(3, What::Begin), sent] {
        let refused = refusal(slow.write(&[wrong]));
        assert!(matches!(refused, LedgerError::TakenOver(_)), "{refused}");
    }
    assert!(matches!(refusal(slow.set_fact(Fact::Standing, "x")), LedgerError::TakenOver(_)));
    assert!(!(slow.still_ours())() && (next.still_ours())());
    drop(slow);
    next.write(&[step(3, What::Begin)]).unwrap();
    assert_eq!((next.block(0).unwrap().len(), next.doubtful().unwrap().len()), (3, 2));
    assert_eq!(next.fact(Fact::Standing).unwrap(), None);
}

#[test]
fn a_group_whose_answer_is_lost_is_taken_once() {
    let (server, folder) = (Server::start(Flavour::Redis), TempDir::new().unwrap());
    let port = server.port;
    let server = Arc::new(Mutex::new(server));
    // Not kept alive by the thread below, which outlives the test.
    let dies = Arc::downgrade(&server);
    // It has the group on disk, and dies before it can say so: the answer never passes.
    let way = way_with_a_stop(port, "THE_ANSWER_IS_LOST", move || {
        if let Some(server) = dies.upgrade() {
            let mut server = server.lock().unwrap();
            server.kill();
            server.restart();
        }
        loop {
            std::thread::park();
        }
    });
    let at = Servers::Single(Address { host: "127.0.0.1".into(), port: way });
    let place = reached_by(at);
    let (mut ledger, _) = RedisLedger::create(place, &key(&folder)).unwrap();
    ledger.write(&[leave(1, "X")]).unwrap();
    ledger.write(&[leave(2, "THE_ANSWER_IS_LOST")]).unwrap();
    ledger.write(&[leave(3, "X")]).unwrap();
    let counts: Vec<_> = ledger.totals().unwrap().into_iter().collect();
    let why = |reason: &str| (State::NotSent, Why { reason: reason.to_owned(), revision: 0 });
    assert_eq!(counts, [(why("THE_ANSWER_IS_LOST"), 1), (why("X"), 2)]);
    let again = refusal(ledger.write(&[leave(2, "X")]));
    assert!(matches!(again, LedgerError::Contradiction { block: 0 }), "{again}");
    ledger.write(&[leave(4, "X")]).unwrap();
}

fn reached_by(servers: Servers) -> RedisPlace {
    let access = Access { servers, login: Login::default(), tls: None, database: 0 };
    RedisPlace::new(access, MAILING, "redis://test".to_owned()).unwrap()
}

#[test]
fn a_ledger_is_made_once_and_of_no_use_without_its_own_key() {
    let (server, folder) = (Server::start(Flavour::Redis), TempDir::new().unwrap());
    let place = || place_in(&server, MAILING);
    let path = key(&folder);
    let open = |path: &Path| RedisLedger::open(place(), path);
    assert!(matches!(refusal(open(&path)), LedgerError::Missing(_)));
    drop(create(&server, &folder));
    let elsewhere = folder.path().join("elsewhere");
    let again = refusal(RedisLedger::create(place(), &elsewhere));
    assert!(matches!(again, LedgerError::Exists(_)) && !elsewhere.exists(), "{again}");
    // The key is not beside the names that it gives.
    let secret = std::fs::read_to_string(&path).unwrap();
    let head = server.cli(&["HGETALL", "{offergate-ledger:m}:head"]);
    assert!(head.contains("proof") && !head.contains(secret.trim()), "{head}");
    LedgerKey::create(&elsewhere).unwrap();
    let other = refusal(open(&elsewhere));
    assert!(matches!(other, LedgerError::Key(KeyError::Other(_))), "{other}");
    assert!(open(&path).is_ok(), "who was refused does not hold it");
    assert!(LedgerKey::destroy(&path).unwrap());
    let gone = refusal(open(&path));
    assert!(matches!(gone, LedgerError::Key(KeyError::Destroyed(_))), "{gone}");
    assert!(RedisLedger::look(place()).is_ok(), "what was counted can still be seen");
    server.cli(&["HSET", "{offergate-ledger:m}:head", "format", "9"]);
    assert!(matches!(refusal(RedisLedger::look(place())), LedgerError::Foreign(_)));
}

#[test]
fn a_server_that_could_forget_is_refused() {
    let (server, folder) = (Server::start(Flavour::Redis), TempDir::new().unwrap());
    let refused = |expected: &str| {
        let told = refusal(RedisLedger::create(place_in(&server, MAILING), &key(&folder)));
        assert!(told.to_string().contains(expected), "{expected}: {told}");
        assert!(!key(&folder).exists() && server.cli(&["DBSIZE"]) == "0", "nothing is begun");
    };
    for (setting, wrong, right) in [
        ("appendfsync", "everysec", "always"),
        ("no-appendfsync-on-rewrite", "yes", "no"),
        ("maxmemory-policy", "allkeys-lru", "noeviction"),
        ("appendonly", "no", "yes"),
    ] {
        server.cli(&["CONFIG", "SET", setting, wrong]);
        refused(&format!("`{setting}` is `{wrong}`, and has to be `{right}`"));
        server.cli(&["CONFIG", "SET", setting, right]);
    }
    let primary = server.port.to_string();
    let options = ["--replicaof", "127.0.0.1", &primary];
    let follower = Server::start_with(Flavour::Redis, &options, &[]);
    eventually("it follows", || {
        let told = server.cli(&["INFO", "replication"]);
        (told.contains("connected_slaves:1") && told.contains("state=online")).then_some(())
    });
    refused("`connected replicas` is `1`, and has to be `0`");
    // With both counted, what was written is on both when it was written.
    let both = || {
        let mut place = place_in(&server, MAILING);
        place.nodes = 2;
        place
    };
    let (mut ledger, _) = RedisLedger::create(both(), &key(&folder)).unwrap();
    ledger.write(&[step(1, What::Begin)]).unwrap();
    assert_eq!(follower.cli(&["SCARD", "{offergate-ledger:m}:open"]), "1");
    drop(ledger);
    drop(follower);
    eventually("it is gone", || {
        server.cli(&["INFO", "replication"]).contains("connected_slaves:0").then_some(())
    });
    let told = refusal(RedisLedger::open(both(), &key(&folder))).to_string();
    assert!(told.contains("`connected replicas` is `0`, and has to be `1`"), "{told}");
}

#[test]
fn an_order_is_given_once_all_nodes_have_it_and_not_before() {
    let (server, folder) = (Server::start(Flavour::Redis), TempDir::new().unwrap());
    let primary = server.port.to_string();
    let options = ["--replicaof", "127.0.0.1", &primary];
    let follower = Server::start_with(Flavour::Redis, &options, &[]);
    eventually("it follows", || {
        server.cli(&["INFO", "replication"]).contains("state=online").then_some(())
    });
    let mut place = place_in(&server, MAILING);
    place.nodes = 2;
    drop(RedisLedger::create(place.clone(), &key(&folder)).unwrap());
    let cancel = || {
        let (by, at) = ("ann".to_owned(), "2026-12-01T12:00:00Z".parse().unwrap());
        let order = Order { wanted: Wanted::Cancel, by, at };
        give(&mut RedisLedger::look(place.clone()).unwrap(), order)
    };
    follower.freeze();
    for again in 0..2 {
        assert!(cancel().is_err(), "{again}: it could be lost");
    }
    follower.thaw();
    assert_eq!(cancel().unwrap().wanted, Wanted::Cancel);
    let kept = follower.cli(&["HGET", "{offergate-ledger:m}:facts", "order"]);
    assert!(kept.contains("CANCEL"), "{kept}");
}

/// A sentinel that always names this server.
fn sentinel_that_names(port: u16) -> Address {
    let length = port.to_string().len();
    let said = format!("*2\r\n$9\r\n127.0.0.1\r\n${length}\r\n{port}\r\n");
    let port = server_that_says(Box::leak(said.into_bytes().into_boxed_slice()));
    Address { host: "127.0.0.1".into(), port }
}

#[test]
fn a_primary_that_is_replaced_while_a_step_is_written_is_left_for_the_new_one() {
    for is_demoted in [false, true] {
        let first = Arc::new(Server::start(Flavour::Redis));
        let second = Arc::new(follower_of(&first));
        let _third = follower_of(&second);
        let (old, new) = (Arc::clone(&first), Arc::clone(&second));
        let way = way_with_a_stop(first.port, "THE_NEW_ONE_HAS_IT", move || {
            new.cli(&["REPLICAOF", "NO", "ONE"]);
            if is_demoted {
                old.cli(&["REPLICAOF", "127.0.0.1", &new.port.to_string()]);
            }
        });
        let sentinels = vec![sentinel_that_names(way), sentinel_that_names(second.port)];
        let mut place = reached_by(Servers::Sentinel { sentinels, master: "main".into() });
        place.nodes = 2;
        let folder = TempDir::new().unwrap();
        let (mut ledger, _) = RedisLedger::create(place, &key(&folder)).unwrap();
        ledger.write(&[leave(1, "THE_NEW_ONE_HAS_IT")]).unwrap();
        assert_eq!(second.cli(&["HGET", "{offergate-ledger:m}:head", "seq"]), "1", "{is_demoted}");
    }
}

#[test]
fn a_server_that_could_forget_from_now_on_is_written_to_no_more() {
    type Change = fn(&Server) -> Option<Server>;
    let more: Change = |server| Some(follower_of(server));
    let lazy: Change = |server| {
        server.cli(&["CONFIG", "SET", "appendfsync", "everysec"]);
        None
    };
    for (change, expected) in [(more, "connected replicas"), (lazy, "appendfsync")] {
        let (server, folder) = (Server::start(Flavour::Redis), TempDir::new().unwrap());
        let mut ledger = create(&server, &folder);
        ledger.write(&[step(1, What::Begin)]).unwrap();
        let _other = change(&server);
        let refused = eventually("it is found out", || ledger.fact(Fact::Order).err());
        assert!(matches!(refused, LedgerError::Unfit { .. }), "{refused}");
        assert!(refused.to_string().contains(expected), "{expected}: {refused}");
        assert!(ledger.write(&[step(2, What::Begin)]).is_err());
    }
}

#[test]
fn a_mailing_is_in_one_slot_of_a_cluster() {
    let node = Server::start_with(Flavour::Redis, &["--cluster-enabled", "yes"], &[]);
    node.cli(&["CLUSTER", "ADDSLOTSRANGE", "0", "16383"]);
    eventually("it is a cluster", || {
        node.cli(&["CLUSTER", "INFO"]).contains("cluster_state:ok").then_some(())
    });
    let folder = TempDir::new().unwrap();
    let nobody = Address { host: "127.0.0.1".into(), port: free_port() };
    let place = reached_by(Servers::Cluster(vec![nobody, node.address()]));
    let (mut ledger, _) = RedisLedger::create(place, &key(&folder)).unwrap();
    let steps: Vec<_> = (0..100).map(|number| step(number, What::Begin)).collect();
    ledger.write(&steps).unwrap();
    assert_eq!(ledger.block(0).unwrap().len(), 100);
    assert_eq!(ledger.doubt(1_700_000_001).unwrap(), 100);
}

#[test]
fn a_recipient_takes_some_thirty_bytes() {
    for flavour in [Flavour::Redis, Flavour::Valkey] {
        let (server, folder) = (Server::start(flavour), TempDir::new().unwrap());
        let (mut ledger, key) =
            RedisLedger::create(place_in(&server, MAILING), &key(&folder)).unwrap();
        let places: Vec<_> = (0..4096_u64)
            .map(|number| Place { block: 0, tag: key.name(1, &[&number.to_be_bytes()]) })
            .collect();
        let steps = |what: What| -> Vec<_> {
            places
                .iter()
                .map(|place| Step { place: *place, what: what.clone(), at: 1_700_000_000 })
                .collect()
        };
        ledger.write(&steps(What::Begin)).unwrap();
        ledger.write(&steps(What::End(State::Sent, Why::default()))).unwrap();
        let number = |command: &[&str]| server.cli(command).parse::<u64>().unwrap();
        let (mut bytes, mut recipients) = (0, 0);
        for bucket in 0..64 {
            let name = format!("{{offergate-ledger:m}}:0:{bucket}");
            assert_eq!(server.cli(&["OBJECT", "ENCODING", &name]), "listpack", "{flavour:?}");
            bytes += number(&["MEMORY", "USAGE", &name]);
            recipients += number(&["HLEN", &name]);
        }
        assert_eq!(recipients, 4096);
        assert!(bytes <= 36 * recipients, "{flavour:?}: {bytes} bytes for {recipients}");
    }
}

#[test]
fn the_rights_that_the_readme_lists_are_enough() {
    let readme = std::fs::read_to_string(crate::server::in_repository("README.md")).unwrap();
    let listed = &readme[readme.find("ACL SETUSER mailer").unwrap()..];
    let listed = &listed[..listed.find("```").unwrap()];
    let (server, folder) = (Server::start(Flavour::Redis), TempDir::new().unwrap());
    assert_eq!(server.cli(&listed.split_whitespace().collect::<Vec<_>>()), "OK");
    let login =
        Login { user: Some("mailer".into()), password: Some(Secret::new("PASSWORD".into())) };
    let servers = Servers::Single(server.address());
    let access = Access { servers, login, tls: None, database: 0 };
    let place = || RedisPlace::new(access.clone(), MAILING, "redis://test".to_owned()).unwrap();
    let (mut ledger, _) = RedisLedger::create(place(), &key(&folder)).unwrap();
    assert!(ledger.untold().is_empty(), "{:?}", ledger.untold());
    ledger.write(&[step(1, What::Begin), step(2, What::Begin), leave(3, "X")]).unwrap();
    ledger.write(&[step(1, What::Withdraw)]).unwrap();
    ledger.set_fact(Fact::Order, "x").unwrap();
    assert_eq!((ledger.doubt(1_700_000_001).unwrap(), ledger.retry_doubtful().unwrap()), (1, 1));
    assert_eq!((ledger.block(0).unwrap().len(), ledger.totals().unwrap().len()), (1, 1));
    drop(ledger);
    assert!(!RedisLedger::has_sender(place()).unwrap());
    assert!(RedisLedger::open(place(), &key(&folder)).is_ok());
}

#[test]
fn what_is_no_key_is_not_taken_for_one_that_is_gone() {
    let (server, folder) = (Server::start(Flavour::Redis), TempDir::new().unwrap());
    drop(create(&server, &folder));
    let hold = |name: &str, text: Option<&str>| {
        let path = folder.path().join(name);
        text.into_iter().for_each(|text| std::fs::write(&path, text).unwrap());
        RedisLedger::hold(place_in(&server, MAILING), &path).err()
    };
    for text in ["", "precious", &"7".repeat(63)] {
        let refused = hold("other", Some(text));
        let is_malformed = matches!(refused, Some(LedgerError::Key(KeyError::Malformed(_))));
        assert!(is_malformed, "{text}: {refused:?}");
    }
    assert!(hold("gone", None).is_none() && hold("half", Some(&"-".repeat(64))).is_none());
    let mut ledger = RedisLedger::open(place_in(&server, MAILING), &key(&folder)).unwrap().0;
    ledger.set_fact(Fact::Erased, "2026-12-01T12:00:00Z").unwrap();
    drop(ledger);
    let refused = refusal(RedisLedger::open(place_in(&server, MAILING), &key(&folder)));
    assert!(matches!(refused, LedgerError::Key(KeyError::Destroyed(_))), "{refused}");
}
