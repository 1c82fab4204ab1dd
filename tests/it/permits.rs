//! A program that acts by a server's rules in its own process, and what a suspension waits for: real
//! processes, which say what they did and when, and are frozen, killed and told to leave.
//!
//! Invariant tried: nothing is done by older rules after a change was said to be enforced.

use crate::redis_server::{Flavour, Server as Redis, eventually, free_port};
use crate::server::{LIMIT, Server, in_repository};
use offergate::client::Client;
use offergate::clock::{Clock, SystemClock};
use offergate::jobs::Permit;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tempfile::TempDir;

/// Where a holder's server is; names a process that is to be one.
const SERVER: &str = "OFFERGATE_TEST_HOLDER_OF";

/// How long what it does takes.
const TAKES: &str = "OFFERGATE_TEST_HOLDER_TAKES_MS";

/// One thing that a holder did: by which revision, and when it began, or ended.
#[derive(Debug, Clone, Copy)]
struct Act {
    revision: u64,
    has_ended: bool,
    at: Duration,
}

/// A process that acts by a server's rules, on and on.
struct Mailer {
    child: Child,
    stdin: ChildStdin,
    acts: Arc<Mutex<Vec<Act>>>,
}

impl Mailer {
    fn start(address: &str) -> Self {
        Self::start_slow(address, 0)
    }

    fn start_slow(address: &str, millis: u64) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "permits::a_holder_acts_under_its_permit_and_gives_it_back"])
            .arg("--nocapture")
            .env(SERVER, address)
            .env(TAKES, millis.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let acts: Arc<Mutex<Vec<Act>>> = Arc::default();
        let (said, stdout) = (Arc::clone(&acts), child.stdout.take().unwrap());
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let words: Vec<&str> = line.split(' ').collect();
                let [what @ ("began" | "ended"), "by", revision, "at", at] = words[..] else {
                    continue;
                };
                let at = Duration::from_nanos(at.parse().unwrap());
                let (revision, has_ended) = (revision.parse().unwrap(), what == "ended");
                said.lock().unwrap().push(Act { revision, has_ended, at });
            }
        });
        let mailer = Self { stdin: child.stdin.take().unwrap(), child, acts };
        eventually("the mailer acts", || mailer.last());
        mailer
    }

    fn last(&self) -> Option<Act> {
        self.acts.lock().unwrap().last().copied()
    }

    /// Waits until it acts by this revision.
    fn comes_to_act_by(&self, revision: u64) {
        let what = format!("the mailer acts by revision {revision}");
        eventually(&what, || self.last().filter(|act| act.revision == revision));
    }

    /// Nothing was begun at `at` or later by rules from before `revision`.
    fn never_acted_before(&self, revision: u64, at: Duration) {
        let acts = self.acts.lock().unwrap();
        let is_late = |act: &&Act| !act.has_ended && act.revision < revision && at <= act.at;
        let late = acts.iter().find(is_late);
        assert!(late.is_none(), "{late:?} after {at:?}");
    }

    /// All that was begun by rules from before `revision` had ended by `at`.
    fn had_ended_before(&self, revision: u64, at: Duration) {
        let acts = self.acts.lock().unwrap();
        let older = || acts.iter().filter(|act| act.revision < revision);
        assert_eq!(older().count() % 2, 0, "each has begun and ended");
        let late = older().find(|act| act.has_ended && at <= act.at);
        assert!(late.is_none(), "{late:?} after {at:?}");
    }

    fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args([&format!("-{name}"), &id]).status().unwrap().success());
    }

    fn leave(&mut self) {
        self.stdin.write_all(b"leave\n").unwrap();
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Mailer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What such a process does: it acts until its standard input says `leave`.
async fn act_on_and_on(address: &str) {
    let client = Client::connect(address, LIMIT).await.unwrap();
    let permit = Permit::hold(client, "kis-notice", Arc::new(SystemClock)).await.unwrap();
    let takes: u64 = std::env::var(TAKES).unwrap().parse().unwrap();
    let told = std::thread::spawn(|| std::io::stdin().read_line(&mut String::new()).unwrap());
    while !told.is_finished() {
        let Ok(guard) = permit.begin() else {
            permit.ready().await;
            continue;
        };
        let at = SystemClock.boot();
        // What was begun under a permit that had run out by then was not begun at all.
        if guard.still_holds() {
            println!("began by {} at {}", guard.revision(), at.as_nanos());
            tokio::time::sleep(Duration::from_millis(takes.max(1))).await;
            println!("ended by {} at {}", guard.revision(), SystemClock.boot().as_nanos());
        }
        drop(guard);
    }
    permit.leave().await;
}

/// A holder in this process; in a process that another test has started, one that goes on.
#[test]
fn a_holder_acts_under_its_permit_and_gives_it_back() {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(2).enable_all().build().unwrap();
    if let Ok(address) = std::env::var(SERVER) {
        return runtime.block_on(act_on_and_on(&address));
    }
    let server = Server::with_barclays();
    runtime.block_on(async {
        let client = Client::connect(&server.address, LIMIT).await.unwrap();
        let permit = Permit::hold(client, "kis-notice", Arc::new(SystemClock)).await.unwrap();
        assert_eq!(permit.limit(), Duration::from_secs(5));
        permit.ready().await;
        let guard = permit.begin().unwrap();
        assert_eq!((guard.revision().0, guard.still_holds()), (2, true));
        drop(guard);
        let listed = server.json(&["replicas"]);
        let name = listed["replicas"][0]["name"].as_str().unwrap();
        assert!(name.starts_with("kis-notice."), "{name}");
        assert_eq!(listed["replicas"][0]["holds_permit"], true);
        permit.leave().await;
        assert_eq!(server.json(&["replicas"])["replicas"], serde_json::json!([]));
    });
    assert!(!server.folder().join("rules.db.permits").exists(), "nobody can hold one");
}

/// Suspends in an emergency, and waits; says how that ended, and when that was known.
fn suspend(server: &Server, wait: &str) -> (Option<i32>, String, Duration) {
    let suspend = ["suspend", "offer", "avast-12m", "--id=stop", "--emergency", "--yes"];
    let why = ["--reason=Notice", "--ticket=CHG-9", wait];
    let ended = server.offergate().args(suspend).args(why).output().unwrap();
    let at = SystemClock.boot();
    (ended.status.code(), String::from_utf8(ended.stderr).unwrap(), at)
}

/// Waits for the change of this revision.
fn enforced(server: &Server, revision: u64) -> (String, Duration) {
    let revision = format!("--revision={revision}");
    let awaited = ["replicas", "await", "--wait=25s", &revision];
    let ended = server.offergate().args(awaited).output().unwrap();
    let at = SystemClock.boot();
    let said = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(0), "{said}");
    (said, at)
}

/// A server with rules on a store of its own, whose permits run for two seconds.
fn alone(folder: &TempDir, more: &[&str]) -> Server {
    alone_for(folder, "2s", more)
}

/// The same, and they run for `limit`.
fn alone_for(folder: &TempDir, limit: &str, more: &[&str]) -> Server {
    let flags = [&["--staleness-limit", limit][..], more].concat();
    let server = Server::start_on(&folder.path().join("rules.db"), &flags);
    server.apply(&in_repository("deploy/demo/barclays.rules.yaml"));
    server
}

#[test]
fn a_suspension_is_enforced_when_the_mailer_acts_by_it_and_nothing_is_done_from_before_it() {
    let folder = TempDir::new().unwrap();
    let server = alone(&folder, &[]);
    let mut mailer = Mailer::start(&server.address);
    let (code, said, at) = suspend(&server, "--wait=25s");
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("; obeyed by mailer kis-notice."), "{said}");
    mailer.comes_to_act_by(3);
    mailer.never_acted_before(3, at);
    // What changes no rules asks nothing of it.
    server.json(&["lift", "stop", "--reason=Over", "--ticket=CHG-9", "--yes"]);
    server.json(&["reject", "4", "--author=zoe", "--reason=No"]);
    enforced(&server, 5);
    assert_eq!(mailer.last().unwrap().revision, 3);
    mailer.leave();
    let (said, _) = enforced(&server, 3);
    assert!(!said.contains("mailer"), "{said}");
}

#[test]
fn what_is_under_way_by_the_older_rules_is_waited_for() {
    let folder = TempDir::new().unwrap();
    let server = alone_for(&folder, "10s", &[]);
    let mailer = Mailer::start_slow(&server.address, 1_000);
    let (code, said, at) = suspend(&server, "--wait=25s");
    assert_eq!(code, Some(0), "{said}");
    mailer.comes_to_act_by(3);
    mailer.never_acted_before(3, at);
    mailer.had_ended_before(3, at);
}

#[test]
fn a_mailer_that_stands_still_is_named_and_waited_for_until_its_permit_has_run_out() {
    let folder = TempDir::new().unwrap();
    let server = alone(&folder, &[]);
    let mailer = Mailer::start(&server.address);
    mailer.signal("STOP");
    let (code, said, _) = suspend(&server, "--wait=100ms");
    assert_eq!(code, Some(6), "{said}");
    assert!(said.contains("waiting for mailer kis-notice."), "{said}");
    let (said, at) = enforced(&server, 3);
    assert!(said.contains("no word from mailer kis-notice."), "{said}");
    mailer.signal("CONT");
    mailer.comes_to_act_by(3);
    mailer.never_acted_before(3, at);
}

#[test]
fn a_mailer_that_was_killed_costs_no_more_than_the_rest_of_its_permit() {
    let folder = TempDir::new().unwrap();
    let server = alone(&folder, &[]);
    let mailer = Mailer::start(&server.address);
    mailer.signal("KILL");
    let (code, said, _) = suspend(&server, "--wait=25s");
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("no word from mailer kis-notice."), "{said}");
    // The next change waits for nobody.
    server.json(&["lift", "stop", "--reason=Over", "--ticket=CHG-9", "--yes"]);
    server.json(&["approve", "4", "--author=zoe", "--yes"]);
    enforced(&server, 5);
    assert_eq!(server.json(&["replicas"])["replicas"], serde_json::json!([]));
}

#[test]
fn a_server_that_was_killed_waits_for_the_permits_that_it_cannot_know_of() {
    let folder = TempDir::new().unwrap();
    let port = format!("127.0.0.1:{}", free_port());
    let mut server = alone(&folder, &["--listen", &port]);
    let mailer = Mailer::start(&server.address);
    mailer.signal("STOP");
    server.kill();
    // It knows nobody, and yet somebody may act: the file beside the store says so.
    assert!(folder.path().join("rules.db.permits").exists());
    let flags = ["--staleness-limit", "2s", "--listen", &port];
    let server = Server::start_on(&folder.path().join("rules.db"), &flags);
    let (code, said, _) = suspend(&server, "--wait=100ms");
    assert_eq!(code, Some(6), "{said}");
    assert!(said.contains("waiting for mailer unknown-since-the-restart"), "{said}");
    let (_, at) = enforced(&server, 3);
    mailer.signal("CONT");
    mailer.comes_to_act_by(3);
    mailer.never_acted_before(3, at);
}

/// Two servers of one Redis, whose leases run for two seconds.
struct Pair {
    servers: Vec<Server>,
    _redis: Redis,
    _folder: TempDir,
}

impl Pair {
    fn start() -> Self {
        let (redis, folder) = (Redis::start(Flavour::Redis), TempDir::new().unwrap());
        let url = format!("redis://127.0.0.1:{}", redis.port);
        let start = |name: &str| {
            let journal = folder.path().join(name);
            let flags = ["--replica", name, "--journal", journal.to_str().unwrap()];
            let more = ["--begin-history", "--staleness-limit", "2s"];
            Server::start_on(Path::new(&url), &[&flags[..], &more].concat())
        };
        let servers = vec![start("r1"), start("r2")];
        servers[0].apply(&in_repository("deploy/demo/barclays.rules.yaml"));
        enforced(&servers[1], 2);
        Self { servers, _redis: redis, _folder: folder }
    }
}

#[test]
fn in_a_shared_store_a_mailer_of_one_server_is_waited_for_at_the_other() {
    let pair = Pair::start();
    let [one, two] = [&pair.servers[0], &pair.servers[1]];
    let mut mailer = Mailer::start(&one.address);
    let listed = two.json(&["replicas"]);
    let listed: Vec<_> = listed["replicas"].as_array().unwrap().iter().collect();
    assert_eq!(listed.len(), 3, "{listed:?}");
    assert_eq!(listed.iter().filter(|it| it["holds_permit"] == true).count(), 1, "{listed:?}");
    let (code, said, at) = suspend(two, "--wait=25s");
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("enforced on 2 of 2 replicas in "), "{said}");
    assert!(said.contains("; obeyed by mailer kis-notice."), "{said}");
    mailer.comes_to_act_by(3);
    mailer.never_acted_before(3, at);
    mailer.leave();
    assert_eq!(two.json(&["replicas"])["replicas"].as_array().unwrap().len(), 2);
}

#[test]
fn in_a_shared_store_a_mailer_that_stands_still_is_named_by_the_other_server() {
    let pair = Pair::start();
    let [one, two] = [&pair.servers[0], &pair.servers[1]];
    let mailer = Mailer::start(&one.address);
    mailer.signal("STOP");
    let (code, said, _) = suspend(two, "--wait=300ms");
    assert_eq!(code, Some(6), "{said}");
    assert!(said.contains("waiting for mailer kis-notice."), "{said}");
    assert!(!said.contains("no word from r"), "{said}");
    let (said, at) = enforced(two, 3);
    assert!(said.contains("no word from mailer kis-notice."), "{said}");
    mailer.signal("CONT");
    mailer.comes_to_act_by(3);
    mailer.never_acted_before(3, at);
}

#[test]
fn in_a_shared_store_a_mailer_whose_server_died_stops_before_anybody_is_told_that_it_has() {
    let mut pair = Pair::start();
    let mailer = Mailer::start(&pair.servers[0].address);
    pair.servers[0].kill();
    let (code, said, at) = suspend(&pair.servers[1], "--wait=25s");
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("no word from mailer kis-notice."), "{said}");
    // Nobody tells it of the change, and so it does nothing at all.
    std::thread::sleep(Duration::from_millis(200));
    mailer.never_acted_before(3, at);
}
