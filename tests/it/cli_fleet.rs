//! Several real servers over one real Redis, worked by the command line: what it says is enforced is, and
//! what it cannot know it does not say.

use crate::redis_server::{Flavour, Server as Redis, eventually, key};
use crate::server::{Server, in_repository};
use serde_json::{Value, json};
use std::path::Path;
use tempfile::TempDir;

/// Replicas of one store, called r1, r2 and so on.
pub(crate) struct Fleet {
    redis: Redis,
    replicas: Vec<Server>,
    more: Vec<&'static str>,
    folder: TempDir,
}

impl Fleet {
    /// Starts so many, and has the Barclays rules enforced on them.
    pub(crate) fn start(count: usize, limit: &'static str) -> Self {
        Self::over(Redis::start(Flavour::Redis), count, vec!["--staleness-limit", limit])
    }

    /// The same, over a server that is there and with these settings.
    fn over(redis: Redis, count: usize, more: Vec<&'static str>) -> Self {
        let folder = TempDir::new().unwrap();
        let mut fleet = Self { redis, replicas: vec![], more, folder };
        fleet.replicas = (1..=count).map(|number| fleet.replica(number)).collect();
        let rules = in_repository("deploy/demo/barclays.rules.yaml");
        let applied = fleet.by_two(1, &["apply", rules.to_str().unwrap(), "--wait=30s"]);
        assert_eq!(applied.code, 0, "{}", applied.stderr);
        fleet
    }

    fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.redis.port)
    }

    fn journal(&self, number: usize) -> String {
        self.folder.path().join(format!("r{number}.journal")).to_str().unwrap().to_owned()
    }

    fn replica(&self, number: usize) -> Server {
        let (name, journal) = (format!("r{number}"), self.journal(number));
        let more = ["--replica", &name, "--journal", &journal, "--begin-history"];
        let more = [&more[..], &self.more].concat();
        Server::start_on(Path::new(&self.url()), &more)
    }

    pub(crate) fn at(&self, number: usize) -> &Server {
        &self.replicas[number - 1]
    }

    /// Runs a command line against one replica.
    pub(crate) fn run(&self, number: usize, arguments: &[&str]) -> Ended {
        run(self.at(number), arguments)
    }

    /// Has two people make a change at one replica: see [`by_two`].
    pub(crate) fn by_two(&self, number: usize, arguments: &[&str]) -> Ended {
        by_two(self.at(number), arguments)
    }

    /// What a replica answers a customer who is new to avast-12m, with more flags.
    pub(crate) fn offered(&self, number: usize, more: &[&str]) -> Value {
        self.check(number, "avast-12m", "OFFER", "NONE", more)
    }

    fn check(
        &self,
        number: usize,
        offer: &str,
        action: &str,
        holding: &str,
        more: &[&str],
    ) -> Value {
        let flags = ["check", "--customer=c", "--offer", offer, "--action", action];
        let about = ["--holding", holding, "--country=GB", "--date-of-birth=1985-04-12"];
        let rest = ["--attribute=online_banking=true", "--channel=WEB"];
        self.at(number).json(&[&flags[..], &about, &rest, more].concat())
    }

    fn becomes(&self, number: usize, outcome: &str) {
        let what = format!("r{number} answers {outcome}");
        eventually(&what, || (self.offered(number, &[])["outcome"] == outcome).then_some(()));
    }
}

/// How a command line ended.
pub(crate) struct Ended {
    pub(crate) code: i32,
    stdout: String,
    pub(crate) stderr: String,
}

fn run(server: &Server, arguments: &[&str]) -> Ended {
    let output = server.offergate().args(arguments).output().unwrap();
    let [stdout, stderr] = [output.stdout, output.stderr].map(|it| String::from_utf8(it).unwrap());
    Ended { code: output.status.code().unwrap(), stdout, stderr }
}

/// Proposes by a command line, and has another person approve that; says how the approval ended, which
/// gets the flags about waiting and output and the attempt's name, or else the proposal.
fn by_two(server: &Server, arguments: &[&str]) -> Ended {
    let of_approval = |it: &str| {
        ["--wait", "-o", "--request-id"].iter().any(|flag| it.split('=').next() == Some(flag))
    };
    let (later, first): (Vec<&str>, Vec<&str>) =
        arguments.iter().copied().partition(|it| of_approval(it));
    let proposed = run(server, &[&first[..], &["-o=json"]].concat());
    if proposed.code != 0 {
        return proposed;
    }
    let told: Value = serde_json::from_str(&proposed.stdout).unwrap();
    let change = told["proposal"]["id"].as_u64().unwrap().to_string();
    run(server, &[&["approve", &change, "--author=zoe"][..], &later].concat())
}

fn why(id: &str) -> [&str; 3] {
    ["--reason=r", "--ticket=T-1", id]
}

pub(crate) fn suspend<'a>(id: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["suspend", "vendor", "avast-software"][..], &why(id), more].concat()
}

const STALE: &str = "RULES_STALE";

fn reason(decision: &Value) -> &Value {
    &decision["reasons"][0]["code"]
}

#[test]
fn a_suspension_is_enforced_on_every_replica_before_the_command_says_so() {
    let fleet = Fleet::start(3, "1s");
    for number in 1..=3 {
        assert_eq!(fleet.offered(number, &[])["outcome"], "ELIGIBLE");
    }
    let made =
        fleet.by_two(1, &suspend("--id=s-1", &["--wait=30s", "-o=json", "--request-id=req-1"]));
    assert_eq!(made.code, 0, "{}", made.stderr);
    for number in 1..=3 {
        assert_eq!(fleet.offered(number, &[])["outcome"], "INELIGIBLE", "r{number}");
    }
    assert!(made.stderr.contains("enforced on 3 of 3 replicas in "), "{}", made.stderr);
    assert!(made.stderr.contains("(slowest: r"), "{}", made.stderr);
    let made: Value = serde_json::from_str(&made.stdout).unwrap();
    let enforcement = &made["enforcement"];
    assert_eq!((&enforcement["state"], &enforcement["revision"]), (&json!("ENFORCED"), &json!(4)));
    let replicas = enforcement["replicas"].as_array().unwrap();
    let replicas: Vec<_> = replicas.iter().map(|it| (&it["name"], &it["progress"])).collect();
    let confirmed = json!("CONFIRMED");
    let names = [json!("r1"), json!("r2"), json!("r3")];
    assert_eq!(replicas, names.each_ref().map(|name| (name, &confirmed)));

    // Anybody can ask again, anywhere, by whatever they know it by.
    let token = made["revision"]["token"].as_str().unwrap();
    for by in [["--token", token], ["--request-id", "req-1"], ["--revision", "4"]] {
        let asked = fleet.run(3, &[&["replicas", "await"], &by[..]].concat());
        assert_eq!(asked.code, 0, "{by:?}: {}", asked.stderr);
        assert!(asked.stderr.contains("enforced on 3 of 3 replicas"), "{}", asked.stderr);
    }
    let unknown = fleet.run(2, &["replicas", "await", "--request-id=nobody"]);
    assert_eq!(unknown.code, 3, "{}", unknown.stderr);

    let listed = fleet.at(2).json(&["replicas"]);
    assert_eq!((&listed["newest_revision"], &listed["trouble"]), (&json!(4), &Value::Null));
    let replicas = listed["replicas"].as_array().unwrap();
    let replicas: Vec<_> =
        replicas.iter().map(|it| (&it["name"], &it["behind"], &it["answering"])).collect();
    let (yes, no) = (json!(true), json!(false));
    let expected = [(&names[0], &no, &no), (&names[1], &no, &yes), (&names[2], &no, &no)];
    assert_eq!(replicas, expected);

    // Who does not wait is told how to.
    let lifted = fleet.by_two(1, &["lift", "s-1", "--reason=r", "--ticket=T-2"]);
    let told = "to wait until it is enforced: offergate replicas await --token ";
    assert!(lifted.stdout.contains(told), "{}", lifted.stdout);
}

#[test]
fn a_replica_that_stands_still_is_named_and_the_wait_can_be_taken_up_later() {
    let fleet = Fleet::start(3, "5s");
    fleet.at(3).signal("STOP");
    let made = fleet.by_two(1, &suspend("--id=s-1", &["--wait=500ms", "-o=json"]));
    assert_eq!(made.code, 6, "{}", made.stderr);
    assert!(made.stderr.contains("no word from r3"), "{}", made.stderr);
    assert!(made.stderr.contains("offergate replicas await --token "), "{}", made.stderr);
    let made: Value = serde_json::from_str(&made.stdout).unwrap();
    assert_eq!(made["enforcement"]["state"], "PENDING");
    let token = made["revision"]["token"].as_str().unwrap();
    let listed = fleet.at(1).json(&["replicas"]);
    let r3 = &listed["replicas"][2];
    assert_eq!((&r3["name"], &r3["behind"]), (&json!("r3"), &json!(true)));
    fleet.at(3).signal("CONT");
    let asked = fleet.run(2, &["replicas", "await", "--token", token, "--wait=30s"]);
    assert_eq!(asked.code, 0, "{}", asked.stderr);
    assert!(asked.stderr.contains("enforced on 3 of 3 replicas"), "{}", asked.stderr);
    assert_eq!(fleet.offered(3, &[])["outcome"], "INELIGIBLE");
}

#[test]
fn a_replica_whose_proof_has_run_out_keeps_nobody_waiting_and_says_no_yes_when_it_wakes() {
    let fleet = Fleet::start(2, "1s");
    fleet.at(2).signal("STOP");
    let made = fleet.by_two(1, &suspend("--id=s-1", &["--wait=30s"]));
    assert_eq!(made.code, 0, "{}", made.stderr);
    assert!(made.stderr.contains("enforced on 1 of 2 replicas"), "{}", made.stderr);
    assert!(made.stderr.contains("no word from r2, whose proof has run out"), "{}", made.stderr);
    fleet.at(2).signal("CONT");
    assert_ne!(fleet.offered(2, &[])["outcome"], "ELIGIBLE");
    fleet.becomes(2, "INELIGIBLE");
}

#[test]
fn without_its_store_a_replica_says_no_never_yes_and_tells_why() {
    let mut fleet = Fleet::start(2, "1s");
    let unsuspended = || fleet.offered(1, &[]);
    assert_eq!(unsuspended()["outcome"], "ELIGIBLE");
    fleet.redis.kill();
    fleet.becomes(1, "INDETERMINATE");
    assert_eq!(reason(&fleet.offered(1, &[])), STALE);
    assert_eq!(reason(&fleet.offered(1, &["--strict"])), STALE);
    let suspended = fleet.check(1, "kis-12m", "OFFER", "NONE", &[]);
    assert_eq!(suspended["outcome"], "INELIGIBLE");
    let notice = fleet.check(1, "kis-12m", "NOTIFY", "ACTIVE", &[]);
    assert_eq!((&notice["outcome"], reason(&notice)), (&json!("ELIGIBLE"), &json!("NOT_GATED")));

    assert_eq!(fleet.run(1, &["health"]).code, 0, "it is as ready as any other");
    assert_eq!(fleet.run(1, &["health", "--service=freshness"]).code, 1);
    let status = fleet.at(1).json(&["status"]);
    assert_eq!((&status["fresh"], &status["in_effect"]), (&json!(false), &json!(2)));
    assert!(status["trouble"].is_string(), "{status}");
    let refused = fleet.by_two(1, &suspend("--id=s-1", &["--wait=1s"]));
    assert_eq!(refused.code, 5, "{}", refused.stderr);
    assert!(refused.stderr.contains("its store does not answer"), "{}", refused.stderr);

    // One that starts meanwhile knows what its journal holds, and no more.
    fleet.replicas[1].kill();
    fleet.replicas[1] = fleet.replica(2);
    assert_eq!(reason(&fleet.offered(2, &[])), STALE);
    let suspended = fleet.check(2, "kis-12m", "OFFER", "NONE", &[]);
    assert_eq!(suspended["outcome"], "INELIGIBLE");

    fleet.redis.restart();
    fleet.becomes(1, "ELIGIBLE");
    fleet.becomes(2, "ELIGIBLE");
    assert_eq!(fleet.run(1, &["health", "--service=freshness"]).code, 0);
}

#[test]
fn what_one_replica_wrote_another_obeys_when_the_caller_asks_for_it() {
    let fleet = Fleet::start(2, "1s");
    for number in 0..10 {
        let id = format!("--id=s-{number}");
        let made = fleet.at(1).by_two(&suspend(&id, &[]));
        assert_eq!(fleet.offered(2, &["--strict"])["outcome"], "INELIGIBLE", "strict {number}");
        let token = made["revision"]["token"].as_str().unwrap();
        assert_ne!(fleet.offered(2, &["--token", token])["outcome"], "ELIGIBLE", "{number}");
        eventually("the replica has what the token stands for", || {
            let decision = fleet.offered(2, &["--token", token]);
            (decision["outcome"] == "INELIGIBLE").then_some(())
        });
        let id = format!("s-{number}");
        fleet.at(1).by_two(&["lift", &id, "--reason=r", "--ticket=T-1"]);
        assert_eq!(fleet.offered(2, &["--strict"])["outcome"], "ELIGIBLE", "strict {number}");
    }
}

#[test]
fn a_store_that_may_forget_a_change_never_gets_it_called_enforced() {
    let fleet = Fleet::start(1, "1s");
    fleet.redis.cli(&["CONFIG", "SET", "appendfsync", "everysec"]);
    let made = fleet.by_two(1, &suspend("--id=s-1", &["--wait=1500ms"]));
    assert_eq!(made.code, 6, "{}", made.stderr);
    assert!(
        made.stderr.contains("`appendfsync` is `everysec` and not `always`"),
        "{}",
        made.stderr
    );
    fleet.redis.cli(&["CONFIG", "SET", "appendfsync", "always"]);
    let asked = fleet.run(1, &["replicas", "await", "--revision=4", "--wait=30s"]);
    assert_eq!(asked.code, 0, "{}", asked.stderr);
}

#[test]
fn a_change_that_a_store_node_lacks_is_pending_and_in_effect_all_the_same() {
    let primary = Redis::start(Flavour::Redis);
    let port = primary.port.to_string();
    let follower =
        Redis::start_with(Flavour::Redis, &["--replicaof", "127.0.0.1", port.as_str()], &[]);
    eventually("the follower is in step", || {
        follower.cli(&["INFO", "replication"]).contains("master_link_status:up").then_some(())
    });
    let fleet = Fleet::over(primary, 2, vec!["--staleness-limit", "1s", "--store-nodes", "2"]);
    follower.freeze();
    let made = fleet.by_two(1, &suspend("--id=s-1", &["--wait=1s"]));
    assert_eq!(made.code, 6, "{}", made.stderr);
    assert!(made.stderr.contains("1 of 2 store nodes have it"), "{}", made.stderr);
    fleet.becomes(2, "INELIGIBLE");
    follower.thaw();
    let asked = fleet.run(2, &["replicas", "await", "--revision=4", "--wait=30s"]);
    assert_eq!(asked.code, 0, "{}", asked.stderr);
}

#[test]
fn an_emptied_store_is_filled_from_a_journal_and_replicas_move_over_by_themselves() {
    let fleet = Fleet::start(2, "1s");
    let folder = fleet.folder.path();
    let copy = folder.join("copy.db").to_str().unwrap().to_owned();
    let url = fleet.url();
    let copied = fleet.run(1, &["backup", &copy, "--store", &url, "-o=json"]);
    assert_eq!(copied.code, 0, "{}", copied.stderr);
    let copied: Value = serde_json::from_str(&copied.stdout).unwrap();
    assert_eq!(copied["token"], fleet.at(1).json(&["status"])["token"]);
    fleet.by_two(1, &suspend("--id=s-1", &["--wait=30s"]));
    let (held, journal) = (fleet.at(1).json(&["status"])["token"].clone(), fleet.journal(1));
    let refused = fleet.run(1, &["restore", &journal, "--store", &url]);
    assert_eq!(refused.code, 1, "{}", refused.stderr);
    assert!(refused.stderr.contains("holds a history already"), "{}", refused.stderr);

    fleet.redis.cli(&["FLUSHALL"]);
    eventually("the replicas know that their store was emptied", || {
        let status = fleet.at(2).json(&["status"]);
        status["trouble"].as_str()?.contains("holds no history").then_some(())
    });
    assert_eq!(fleet.offered(2, &[])["outcome"], "INELIGIBLE");
    // The journal is in use, and stays as it is.
    let restored = fleet.run(1, &["restore", &journal, "--store", &url, "-o=json"]);
    assert_eq!(restored.code, 0, "{}", restored.stderr);
    let restored: Value = serde_json::from_str(&restored.stdout).unwrap();
    assert_ne!(restored["token"], held);
    for number in 1..=2 {
        eventually("the replica has moved over", || {
            (fleet.at(number).json(&["status"])["token"] == restored["token"]).then_some(())
        });
    }
    let enforced = fleet.run(2, &["replicas", "await", "--revision=4", "--wait=30s"]);
    assert_eq!(enforced.code, 0, "{}", enforced.stderr);
    assert_eq!(fleet.offered(1, &[])["outcome"], "INELIGIBLE");
    fleet.by_two(1, &["lift", "s-1", "--reason=r", "--ticket=T-1", "--wait=30s"]);
    assert_eq!(fleet.offered(2, &[])["outcome"], "ELIGIBLE");

    // A backup goes into a file as well, and into another namespace of the same server.
    let other = ["restore", &copy, "--store", &url, "--store-namespace=other", "-o=json"];
    assert_eq!(fleet.run(1, &other).code, 0);
    let again = fleet.run(1, &other);
    assert_eq!(again.code, 1, "{}", again.stderr);
    let missing = fleet.run(1, &["restore", "/nonexistent.db", "--store", &url]);
    assert_eq!(missing.code, 3, "{}", missing.stderr);
}

#[test]
fn a_store_that_lost_a_change_is_a_fork_until_a_person_accepts_what_it_has() {
    let fleet = Fleet::start(2, "1s");
    let forked = || {
        eventually("the fork is known", || {
            let status = fleet.at(2).json(&["status"]);
            status["trouble"].as_str()?.contains("forked").then_some(())
        });
    };
    let early = fleet.run(1, &["replicas", "accept-history", "--reason=r", "--ticket=T-1"]);
    assert_eq!(early.code, 4, "{}", early.stderr);
    let made = fleet.by_two(1, &suspend("--id=s-1", &["--wait=30s"]));
    assert_eq!(made.code, 0, "{}", made.stderr);
    // As after a fail-over to a node that was behind.
    let (meta, log) = (key("default", "meta"), key("default", "log"));
    let first = fleet.redis.cli(&["XRANGE", &log, "2-0", "2-0"]);
    let chain = first.lines().last().unwrap().to_owned();
    let lost = format!(
        "redis.call('XDEL', KEYS[2], '3-0', '4-0') redis.call('XSETID', KEYS[2], '2-0') \
         redis.call('HSET', KEYS[1], 'rev', '2', 'chain', '{chain}') return 'LOST'"
    );
    assert_eq!(fleet.redis.cli(&["EVAL", &lost, "2", &meta, &log]), "LOST");
    forked();
    assert_eq!(fleet.offered(2, &[])["outcome"], "INELIGIBLE");
    assert_ne!(fleet.check(2, "avast-12m", "USE", "ACTIVE", &[])["outcome"], "ELIGIBLE");
    let refused = fleet.by_two(1, &["lift", "s-1", "--reason=r", "--ticket=T-1"]);
    assert_eq!(refused.code, 4, "{}", refused.stderr);
    assert!(refused.stderr.contains("forked"), "{}", refused.stderr);

    let accept = ["replicas", "accept-history", "--reason=lost", "--ticket=T-2", "--wait=30s"];
    let accepted = fleet.run(1, &accept);
    assert_eq!(accepted.code, 0, "{}", accepted.stderr);
    assert!(accepted.stderr.contains("have to be made again"), "{}", accepted.stderr);
    for number in 1..=2 {
        eventually("the replica is in step with the new history", || {
            (fleet.at(number).json(&["status"])["fresh"] == true).then_some(())
        });
        assert_eq!(
            fleet.offered(number, &[])["outcome"],
            "INELIGIBLE",
            "the lost suspension holds"
        );
        let used = fleet.check(number, "avast-12m", "USE", "ACTIVE", &[]);
        assert_eq!(used["outcome"], "ELIGIBLE");
    }
}

#[test]
fn a_server_with_a_store_of_its_own_enforces_what_it_acknowledges() {
    let server = Server::with_barclays();
    let made = by_two(&server, &suspend("--id=s-1", &["--wait", "-o=json"]));
    assert_eq!(made.code, 0, "{}", made.stderr);
    assert!(made.stderr.contains("enforced on this server"), "{}", made.stderr);
    let made: Value = serde_json::from_str(&made.stdout).unwrap();
    assert_eq!(made["enforcement"]["state"], "ENFORCED");
    let listed = run(&server, &["replicas"]);
    assert!(listed.stdout.contains("a store of its own"), "{}", listed.stdout);
    let accept = ["replicas", "accept-history", "--reason=r", "--ticket=T-1"];
    assert_eq!(run(&server, &accept).code, 4);
    for (wrong, said) in [
        (vec!["replicas", "await"], "--token"),
        (vec!["replicas", "await", "--revision=1", "--token=x"], "cannot be used with"),
        (vec!["replicas", "await", "--revision=1", "--wait=5"], "units missing"),
        (suspend("--id=s-2", &["--wait=0s"]), "not from"),
        (suspend("--id=s-2", &["--wait", "--dry-run"]), "cannot be used with"),
    ] {
        let refused = run(&server, &wrong);
        assert_eq!(refused.code, 2, "{wrong:?}: {}", refused.stderr);
        assert!(refused.stderr.contains(said), "{wrong:?}: {}", refused.stderr);
    }
}
