//! Events of what seldom happens, each from a real server to a real receiver: a fork, an emergency that nobody
//! has ratified in a day, a gap in the decision log of a server that goes on.

use crate::bank::{self, SetClock, by, person};
use crate::events::{Got, RULES, Receiver, SECRET, apply, break_glass, replica, start};
use crate::redis_server::{self, Flavour, eventually};
use offergate::clock::{Clock as _, SystemClock};
use offergate::domain::Timestamp;
use offergate::service::{RuleFile, Service};
use offergate::store::embedded::EmbeddedStore;
use serde_json::Value;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

const DAY: Duration = Duration::from_secs(86_400);

/// All requests about such a thing.
fn all(receiver: &Receiver, kind: &str) -> Vec<Got> {
    receiver.got().into_iter().filter(|got| got.kind() == kind).collect()
}

#[test]
fn a_store_that_lost_its_newest_changes_is_told_as_a_fork_by_every_replica_under_one_id() {
    let (folder, receiver) = (TempDir::new().unwrap(), Receiver::start(200));
    let redis = redis_server::Server::start(Flavour::Redis);
    let replica = |name: &str| replica(folder.path(), &redis, &receiver, name);
    let (one, two) = (replica("r1"), replica("r2"));
    apply(&one, folder.path(), RULES);
    for key in redis.cli(&["KEYS", "*"]).lines() {
        redis.cli(&["COPY", key, &format!("{key}.before")]);
    }
    break_glass(&one, "now");
    let in_effect = one.json(&["status"])["in_effect"].as_u64().unwrap();
    eventually("both hold it", || {
        (two.json(&["status"])["in_effect"].as_u64() == Some(in_effect)).then_some(())
    });
    assert!(all(&receiver, "fork").is_empty());
    // The store is what it was before, as after a fail-over to a node that was behind.
    let back = "for _, key in ipairs(redis.call('KEYS', '*.before')) do \
                redis.call('RENAME', key, string.sub(key, 1, -8)) end";
    redis.cli(&["EVAL", back, "0"]);
    let told = eventually("a fork, by both", || {
        let told = all(&receiver, "fork");
        let by = |name: &str| told.iter().any(|got| got.event()["offergateserver"] == name);
        (by("r1") && by("r2")).then_some(told)
    });
    for got in &told {
        assert_eq!(got.id, told[0].id);
        assert!(got.is_signed_with(SECRET), "{got:?}");
        let event = got.event();
        assert_eq!(event["data"]["held_revision"], in_effect, "{event}");
        assert!(event["subject"].as_str().unwrap().starts_with("histories/"), "{event}");
        let chain = event["data"]["held_chain"].as_str().unwrap();
        assert_eq!(got.id, format!("fork-{in_effect}-{chain}"));
    }
}

/// A store as a server left it whose people did something alone at that time. One suspension was ratified, and
/// one was not.
fn leave_emergencies(path: &Path, at: Timestamp) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (store, clock) = (EmbeddedStore::open(path).unwrap(), Arc::new(SetClock::at(at)));
        let limit = Service::STALENESS_LIMIT;
        let service = Service::start(Arc::new(store), clock, limit, None).await.unwrap();
        let file = RuleFile { text: bank::RULES.to_owned(), name: "rules.yaml".to_owned() };
        let (proposed, _) = service.apply(by(person("ann"), "rules"), file).await.unwrap();
        let (id, proposal) = proposed.proposal.unwrap();
        service.approve(by(person("ben"), "rules-2"), id, proposal.digest).await.unwrap();
        for (name, offer) in [("kept", "offer: lock-12m"), ("now", "offer: shield-12m")] {
            let suspension = bank::suspension(name, offer);
            let requester = by(person("ann"), name);
            let made = service.suspend_in_emergency(requester, suspension).await.unwrap();
            if name == "kept" {
                let number = made.revised.unwrap().record.revision;
                service.ratify(by(person("ben"), "ratify"), number).await.unwrap();
            }
        }
    });
}

#[test]
fn an_emergency_becomes_overdue_while_a_server_runs_and_is_told_and_a_ratified_one_is_not() {
    let (folder, receiver) = (TempDir::new().unwrap(), Receiver::start(200));
    // A moment less than a day ago: no clock is moved, and it is due soon.
    let due = SystemClock.wall().checked_add(Duration::from_secs(3)).unwrap();
    let at = due.checked_sub(DAY).unwrap();
    leave_emergencies(&folder.path().join("rules.db"), at);
    let server = start(folder.path(), &receiver.url(), &[]);
    let told = receiver.first("break_glass_overdue");
    assert!(told.is_signed_with(SECRET), "{told:?}");
    let sent: i64 = told.at.parse().unwrap();
    assert!(due.as_second() <= sent, "sent at {sent}, and due at {due}");
    let event = told.event();
    let instant = |value: &Value| value.as_str().unwrap().parse::<Timestamp>().unwrap();
    assert_eq!(instant(&event["time"]), due, "{event}");
    let data = &event["data"];
    assert_eq!(instant(&data["in_force_since"]), at, "{event}");
    assert_eq!((&event["subject"], &data["author"]), (&"suspensions/now".into(), &"ann".into()));
    assert_eq!(data["ticket"], "CHG-1");
    let number = data["change"].as_u64().unwrap();
    server.json(&["ratify", &number.to_string(), "--author=ben"]);
    // What comes after it is the next thing that is told, and nothing is told twice.
    server.json(&[
        "suspend",
        "offer",
        "lock-12m",
        "--id=later",
        "--emergency",
        "--author=eve",
        "--ticket=CHG-9",
        "--reason=Again",
    ]);
    let later = receiver.first("break_glass").event();
    assert_eq!(later["subject"], "suspensions/later", "what is older than the outbox is no news");
    assert_eq!(all(&receiver, "break_glass_overdue").len(), 1);
}

/// Makes the next `fdatasync` of a server fail, as a disk does that is about to die. Only the decision log
/// makes that call; the store makes another one.
struct FailingDisk(Child);

impl FailingDisk {
    fn under(server: u32) -> Self {
        let mut strace = Command::new("strace")
            .args(["-f", "-o", "/dev/null", "-e", "trace=fdatasync"])
            .args(["-e", "inject=fdatasync:error=EIO:when=1", "-p", &server.to_string()])
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(strace.stderr.take().unwrap());
        let mut line = String::new();
        said.read_line(&mut line).unwrap();
        assert!(line.contains("attached"), "{line}");
        Self(strace)
    }
}

impl Drop for FailingDisk {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_gap_in_the_decision_log_is_told_by_the_server_that_it_happened_to() {
    if Command::new("strace").arg("-V").stdout(Stdio::null()).status().is_err() {
        // Not by a macro, whose words the harness would hide.
        let _ = writeln!(std::io::stderr(), "SKIPPED for want of strace: a gap of a living server");
        return;
    }
    let (folder, receiver) = (TempDir::new().unwrap(), Receiver::start(200));
    let log = folder.path().join("decisions");
    let more = ["--decision-log=complete", "--decision-log-dir", log.to_str().unwrap()];
    let server = start(folder.path(), &receiver.url(), &more);
    apply(&server, folder.path(), RULES);
    let check = ["check", "--offer=q-12m", "--customer=c-1", "--action=OFFER"];
    let is_answered = || server.offergate().args(check).output().unwrap().status.success();
    let disk = FailingDisk::under(server.id());
    assert!(is_answered());
    let told = receiver.first("decision_log_gap");
    drop(disk);
    assert!(told.is_signed_with(SECRET), "{told:?}");
    let event = told.event();
    let name = event["offergateserver"].as_str().unwrap();
    assert_eq!(event["subject"], format!("servers/{name}"));
    assert_eq!(event["data"], serde_json::json!({"server": name, "gaps": 1}));
    // It goes on once the disk takes what waits, and tells the same gap no second time.
    eventually("decisions are recorded again", || is_answered().then_some(()));
    break_glass(&server, "now");
    receiver.first("break_glass");
    assert_eq!(all(&receiver, "decision_log_gap").len(), 1);
}
