//! The program against a real server and a real mail server: what two people signed, processes that are
//! killed and that meet, rules that move, and what people are told.

use super::mail_server::MailServer;
use super::received_in;
use crate::server::{LIMIT, Server};
use offergate::clock::{Clock as _, SystemClock};
use offergate::ledger::sqlite::SqliteLedger;
use offergate::ledger::{Ledger as _, State};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

const TEMPLATE: &str = "
from: Example Bank <service@bank.example>
subject: About your antivirus, {{ first_name }}
text: |
  Dear {{ first_name }},
";

/// A server with rules, a mailing's files, and the mailing signed.
struct Signed {
    server: Server,
}

impl Signed {
    fn new(rows: usize, action: &str, more: &[&str]) -> Self {
        let signed = Self::proposed(rows, action, more);
        let change = signed.change.to_string();
        signed.it.server.json(&["approve", &change, "--author=zoe"]);
        signed.it
    }

    fn proposed(rows: usize, action: &str, more: &[&str]) -> Proposed {
        let server = Server::with_barclays();
        let it = Self { server };
        let row = |n: usize| {
            format!("c-{n},IE,RETAIL,true,1985-04-12,false,NONE,N{n},n{n}@d{}.example\n", n % 5)
        };
        let header = "id,country,segment,attributes.online_banking,date_of_birth,vulnerable,\
                      holdings.kis.status,first_name,email\n";
        let rows: String = (0..rows).map(row).collect();
        fs::write(it.path("in.people.csv"), format!("{header}{rows}")).unwrap();
        fs::write(it.path("in.t.yaml"), TEMPLATE).unwrap();
        let mut command = it.server.offergate();
        command.current_dir(it.server.folder()).args([
            "batch",
            "propose",
            "--id=m-1",
            "--audience=in.people.csv",
            "--template=in.t.yaml",
            "--offer=kis-12m",
            "--until=2099-01-01T00:00:00Z",
            "--reason=r",
            "--ticket=T-1",
            "--author=ann",
            "-o=json",
        ]);
        let output = command.args(["--action", action]).args(more).output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        let told: Value = serde_json::from_slice(&output.stdout).unwrap();
        let change = told["change"].as_u64().unwrap_or_default();
        Proposed { it, change, told }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.server.folder().join(name)
    }

    /// `batch` with these arguments, in the server's folder.
    fn batch(&self, arguments: &[&str]) -> Output {
        let mut command = self.server.offergate();
        command.current_dir(self.server.folder()).arg("batch").args(arguments).output().unwrap()
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let output = self.batch(&[arguments, &["-o=json"]].concat());
        assert!(output.status.success(), "{}", stderr(&output));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// The arguments of a usual `send`.
    fn sending<'a>(&self, more: &[&'a str]) -> Vec<&'a str> {
        let usual = [
            "send",
            "--mailing=m-1.mailing.json",
            "--audience=in.people.csv",
            "--template=in.t.yaml",
            "--ledger=l.db",
        ];
        [&usual[..], more].concat()
    }

    fn send(&self, more: &[&str]) -> Output {
        self.batch(&self.sending(more))
    }

    /// Starts a command that goes on.
    fn start(&self, arguments: &[&str]) -> Running {
        let child = Command::new(env!("CARGO_BIN_EXE_offergate"))
            .env_clear()
            .env("OFFERGATE_SERVER", &self.server.address)
            .env("HOME", "/nonexistent")
            .env("USER", "tester")
            .current_dir(self.server.folder())
            .arg("batch")
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Running(child)
    }

    fn status(&self) -> Option<Value> {
        let output = self.batch(&["status", "--ledger=l.db", "-o=json"]);
        serde_json::from_slice(&output.stdout).ok()
    }

    fn recipients(&self, what: &str) -> u64 {
        self.status().map_or(0, |status| status["recipients"][what].as_u64().unwrap())
    }

    /// The states of everybody, by tag.
    fn states(&self) -> BTreeMap<String, State> {
        let ledger = SqliteLedger::look(&self.path("l.db")).unwrap();
        let all = ledger.block(0).unwrap();
        all.into_iter().map(|(tag, state)| (tag.to_string(), state)).collect()
    }
}

struct Proposed {
    it: Signed,
    change: u64,
    told: Value,
}

/// A process, killed on drop.
struct Running(Child);

impl Running {
    fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    fn signal(&self, name: &str) {
        let id = self.0.id().to_string();
        assert!(Command::new("kill").arg(format!("-{name}")).arg(id).status().unwrap().success());
    }

    fn code(&mut self) -> Option<i32> {
        let mut code = None;
        until("it ends", || {
            code = self.0.try_wait().unwrap().map(|status| status.code());
            code.is_some()
        });
        code.flatten()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = SystemClock.boot() + LIMIT;
    while !is_so() {
        assert!(SystemClock.boot() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn what_two_people_signed_is_sent_once_and_reported() {
    let it = Signed::new(30, "OFFER", &["--rate=1000000"]);
    let output = it.send(&["--dry-run=out"]);
    let told = stderr(&output);
    assert!(output.status.success(), "{told}");
    assert!(told.contains("can leave after a suspension is made"), "{told}");
    assert!(told.contains("30 recipients: 30 sent, 0 not sent, 0 failed, 0 in doubt"), "{told}");
    assert_eq!(received_in(&it.path("out")).len(), 30);
    let report = it.json(&["report", "--ledger=l.db"]);
    assert_eq!(report["signed"]["author"], "ann");
    assert_eq!(report["signed"]["approver"], "zoe");
    assert_eq!(report["recipients"]["sent"], 30);
    assert_eq!(report["standing"]["doing"], "FINISHED");
    assert_eq!(report["report_sha256"].as_str().unwrap().len(), 64);
    assert_eq!(it.json(&["report", "--ledger=l.db"]), report, "the same again");
    // It is over: nothing can be asked of it, and it is not sent again.
    for arguments in [&["pause", "--ledger=l.db"][..], &["resume", "--ledger=l.db"]] {
        let output = it.batch(arguments);
        assert_eq!(output.status.code(), Some(4), "{}", stderr(&output));
    }
    let output = it.send(&["--dry-run=out"]);
    assert_eq!(output.status.code(), Some(4), "{}", stderr(&output));
    // Without the key nobody can tell who they were; how many they were stays.
    let lists = ["l.db.in-doubt.csv", "l.db.rejects.csv"];
    lists.iter().for_each(|list| fs::write(it.path(list), "line,id\n2,c-1\n").unwrap());
    assert!(it.batch(&["erase", "--ledger=l.db", "--if-due"]).status.success());
    assert!(it.path("l.db.key").exists(), "it is not due");
    // Whoever takes over right then keeps the key.
    let sender = SqliteLedger::open(&it.path("l.db")).unwrap();
    assert_eq!(it.batch(&["erase", "--ledger=l.db"]).status.code(), Some(4));
    assert!(it.path("l.db.key").exists() && it.path(lists[0]).exists(), "it is being sent");
    drop(sender);
    assert!(it.batch(&["erase", "--ledger=l.db"]).status.success());
    assert!(!it.path("l.db.key").exists());
    assert!(lists.iter().all(|list| !it.path(list).exists()), "a list tells who they were, too");
    let report = it.json(&["report", "--ledger=l.db"]);
    assert!(report["erased"].is_string() && report["recipients"]["sent"] == 30);
}

#[test]
fn nothing_is_sent_that_is_not_what_two_people_signed() {
    let Proposed { it, change, told } = Signed::proposed(3, "OFFER", &[]);
    assert_eq!(told["mailing"]["audience"]["rows"], 3);
    assert!(told["message"].as_str().unwrap().contains("Dear N0,"), "{told}");
    let refused = |what: &str, code: i32| {
        let output = it.send(&["--dry-run=out"]);
        let told = stderr(&output);
        assert!(told.contains(what) && output.status.code() == Some(code), "{what}: {told}");
        assert!(received_in(&it.path("out")).is_empty());
        let _ = fs::remove_file(it.path("l.db"));
        let _ = fs::remove_file(it.path("l.db.key"));
    };
    refused("not approved", 4);
    it.server.json(&["approve", &change.to_string(), "--author=zoe"]);
    let kept = |name: &str| fs::read_to_string(it.path(name)).unwrap();
    let (people, template, plan) =
        (kept("in.people.csv"), kept("in.t.yaml"), kept("m-1.mailing.json"));
    fs::write(it.path("in.people.csv"), format!("{people}c-9,GB,,,,,,X,x@x.example\n")).unwrap();
    refused("the audience is not the one that was signed", 4);
    fs::write(it.path("in.people.csv"), people).unwrap();
    fs::write(it.path("in.t.yaml"), template.replace("Dear", "Hello")).unwrap();
    refused("the template is not the one that was signed", 4);
    fs::write(it.path("in.t.yaml"), template).unwrap();
    fs::write(
        it.path("m-1.mailing.json"),
        plan.replace("\"per_second\": 50", "\"per_second\": 5000"),
    )
    .unwrap();
    refused("is not what was signed", 4);
    fs::write(it.path("m-1.mailing.json"), plan.replace("m-1", "m-2")).unwrap();
    refused("m-2", 3);
}

#[test]
fn a_template_that_cannot_be_rendered_is_not_even_proposed() {
    let it = Signed::proposed(3, "NOTIFY", &["--dry-run"]).it;
    assert!(!it.path("m-1.mailing.json").exists(), "a dry run writes nothing");
    for (template, code, expected) in [
        (TEMPLATE.replace("first_name", "frist_name"), 2, "the audience has no such column"),
        (format!("{TEMPLATE}unsubscribe: https://x.example\n"), 2, "nobody can unsubscribe"),
        (TEMPLATE.replace("text: |", "body: |"), 1, "body"),
        (
            TEMPLATE.replace("Dear {{ first_name }}", "{{ first_name / 2 }}"),
            1,
            "cannot be rendered",
        ),
    ] {
        fs::write(it.path("in.t.yaml"), template).unwrap();
        let output = it.batch(&[
            "propose",
            "--id=m-1",
            "--audience=in.people.csv",
            "--template=in.t.yaml",
            "--offer=kis-12m",
            "--action=NOTIFY",
            "--until=2099-01-01T00:00:00Z",
            "--reason=r",
            "--ticket=T-1",
        ]);
        let told = stderr(&output);
        assert!(
            told.contains(expected) && output.status.code() == Some(code),
            "{expected}: {told}"
        );
    }
}

#[test]
fn killed_at_twenty_points_it_writes_to_nobody_twice_and_misses_nobody() {
    let it = Signed::new(1_500, "OFFER", &["--rate=1000000"]);
    let mail = MailServer::start(it.server.folder(), &["--delay", "0.003"]);
    let way = format!("--smtp=localhost:{}", mail.port);
    let sending = it.sending(&[&way, "--smtp-plaintext", "--connections=4"]);
    // Points that are everywhere: while it starts, right after the first messages, within many.
    let mut points = (0..20_usize).map(|round| (round * 7_919) % 41);
    let mut running = it.start(&sending);
    for round in 0..20 {
        let (before, more) = (mail.received().len(), points.next().unwrap());
        until("some are sent", || {
            running.0.try_wait().unwrap().is_some() || before + more <= mail.received().len()
        });
        running.kill();
        assert!(it.recipients("sent") < 1_500, "round {round}: it was over too soon");
        running = match it.status() {
            Some(_) => it.start(&["resume", "--ledger=l.db"]),
            None => it.start(&sending), // It died before anything was begun.
        };
    }
    assert_eq!(running.code(), Some(0));
    let (states, received) = (it.states(), mail.received());
    let count = |wanted| states.values().filter(|state| **state == wanted).count();
    let (sent, in_doubt) = (count(State::Sent), count(State::InDoubt));
    assert_eq!((sent + in_doubt, states.len()), (1_500, 1_500), "everybody has an outcome");
    assert!(in_doubt <= 20 * 4, "{in_doubt} in doubt: no more than were in hand");
    assert!(mail.by_addressee().values().all(|many| *many == 1), "nobody twice");
    let ids: Vec<_> = received.iter().map(|it| it.id[1..33].to_owned()).collect();
    for id in &ids {
        assert!(matches!(states[id], State::Sent | State::InDoubt), "{id}: {:?}", states[id]);
    }
    let sent_ids = states.iter().filter(|(_, state)| **state == State::Sent);
    assert!(sent_ids.into_iter().all(|(tag, _)| ids.contains(tag)), "nobody is missing");
    // Those in doubt are listed, and written to again by choice alone.
    let listed = fs::read_to_string(it.path("l.db.in-doubt.csv")).unwrap_or_default();
    assert_eq!(listed.lines().count().saturating_sub(1), in_doubt);
}

#[test]
fn who_is_in_doubt_is_written_to_again_by_choice_alone() {
    let it = Signed::new(40, "NOTIFY", &["--rate=1000000"]);
    let mail = MailServer::start(it.server.folder(), &["--delay", "0.2"]);
    let way = format!("--smtp=localhost:{}", mail.port);
    let mut running = it.start(&it.sending(&[&way, "--smtp-plaintext", "--connections=4"]));
    until("some are sent", || 4 <= mail.received().len());
    running.kill();
    // Nobody needs the server of the rules for a service message that was signed.
    let output =
        it.batch(&["resume", "--ledger=l.db", "--retry-in-doubt", "--server=http://127.0.0.1:1"]);
    let told = stderr(&output);
    assert!(output.status.success() && told.contains("in doubt are tried again"), "{told}");
    assert_eq!((it.recipients("sent"), it.recipients("in_doubt")), (40, 0));
    let twice = mail.by_addressee().values().filter(|many| 1 < **many).count();
    assert!(mail.by_addressee().len() == 40 && (1..=4).contains(&twice), "{twice} got it twice");
}

#[test]
fn a_second_sender_is_refused_and_orders_come_from_other_processes() {
    let it = Signed::new(2_000, "OFFER", &["--rate=100"]);
    let mut running = it.start(&it.sending(&["--dry-run=out"]));
    until("some are sent", || 3 <= it.recipients("sent"));
    let output = it.send(&["--dry-run=other"]);
    let told = stderr(&output);
    let process = format!("process {}", running.0.id());
    assert!(output.status.code() == Some(4) && told.contains(&process), "{told}");
    assert!(it.batch(&["pause", "--ledger=l.db"]).status.success());
    until("it pauses", || it.status().is_some_and(|it| it["standing"]["doing"] == "PAUSED"));
    let sent = it.recipients("sent");
    assert_eq!(it.recipients("sent"), sent);
    assert!(it.batch(&["resume", "--ledger=l.db"]).status.success());
    until("it goes on", || sent < it.recipients("sent"));
    running.signal("TERM");
    assert_eq!(running.code(), Some(130));
    let status = it.status().unwrap();
    assert!(status["standing"]["doing"] == "PAUSED" && status["has_sender"] == false, "{status}");
    assert_eq!((status["recipients"]["begun"].as_u64(), it.recipients("in_doubt")), (Some(0), 0));
    // Nobody sends: who cancels it settles the rest.
    let output = it.batch(&["cancel", "--ledger=l.db"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let status = it.status().unwrap();
    assert_eq!(status["standing"]["doing"], "CANCELLED");
    let (sent, not_sent) = (it.recipients("sent"), it.recipients("not_sent"));
    assert_eq!(sent + not_sent, 2_000);
    assert_eq!(received_in(&it.path("out")).len() as u64, sent);
}

#[test]
fn once_a_suspension_is_enforced_no_marketing_leaves_any_more() {
    let it = Signed::new(4_000, "OFFER", &["--rate=200"]);
    let mail = MailServer::start(it.server.folder(), &["--delay", "0.01"]);
    let way = format!("--smtp=localhost:{}", mail.port);
    let mut running = it.start(&it.sending(&[&way, "--smtp-plaintext"]));
    until("some are sent", || 20 <= mail.received().len());
    let told = it.server.by_two_waiting(
        &["suspend", "offer", "kis-12m", "--reason=r", "--ticket=T-2", "--author=ann"],
        &["--wait=20s"],
    );
    assert_eq!(told["enforcement"]["state"], "ENFORCED", "{told}");
    let at_that_instant = mail.received().len();
    assert_eq!(running.code(), Some(4), "stopped by a rule");
    assert_eq!(mail.received().len(), at_that_instant, "none after it was enforced");
    let report = it.json(&["report", "--ledger=l.db"]);
    assert_eq!(report["standing"]["doing"], "STOPPED_BY_RULE");
    assert_eq!(report["recipients"]["sent"], at_that_instant);
    assert_eq!(report["recipients"]["not_sent"], 4_000 - at_that_instant);
    let line = report["lines"].as_array().unwrap().iter().find(|it| it["outcome"] == "NOT_SENT");
    let line = line.unwrap();
    assert_eq!(line["reason"], "OFFER_SUSPENDED");
    assert_eq!(line["revision"], told["revision"]["revision"], "{told}");
}

#[test]
fn who_takes_a_mailing_back_is_heard_by_a_sender_that_began_without_the_server() {
    let Proposed { mut it, change, .. } = Signed::proposed(3_000, "NOTIFY", &["--rate=100"]);
    let change = change.to_string();
    it.server.json(&["approve", &change, "--author=zoe"]);
    let mut running = it.start(&it.sending(&["--dry-run=out"]));
    until("some are sent", || 3 <= it.recipients("sent"));
    running.signal("TERM");
    assert_eq!(running.code(), Some(130));
    it.server.json(&["reject", &change, "--author=zoe", "--reason=stop"]);
    it.server.kill();
    let (sent, port) = (it.recipients("sent"), crate::redis_server::free_port());
    let address = format!("127.0.0.1:{port}");
    let server = format!("--server=http://{address}");
    let mut running = it.start(&["resume", "--ledger=l.db", &server]);
    until("it goes on", || sent < it.recipients("sent"));
    let _server = Server::start_on(&it.server.store(), &["--listen", &address]);
    assert_eq!(running.code(), Some(4));
    let status = it.status().unwrap();
    assert_eq!(status["standing"]["doing"], "CANCELLED");
    assert!(status["standing"]["why"].as_str().unwrap().contains("zoe"), "{status}");
}

#[test]
fn one_person_stops_a_mailing_that_was_approved() {
    let Proposed { it, change, .. } = Signed::proposed(3_000, "NOTIFY", &["--rate=100"]);
    let change = change.to_string();
    it.server.json(&["approve", &change, "--author=zoe"]);
    let mut running = it.start(&it.sending(&["--dry-run=out"]));
    until("some are sent", || 3 <= it.recipients("sent"));
    it.server.json(&["reject", &change, "--author=zoe", "--reason=stop"]);
    assert_eq!(running.code(), Some(4));
    let status = it.status().unwrap();
    assert_eq!(status["standing"]["doing"], "CANCELLED");
    assert!(status["standing"]["why"].as_str().unwrap().contains("zoe"), "{status}");
    assert_eq!(it.recipients("sent") + it.recipients("not_sent"), 3_000);
}

#[test]
fn one_approval_is_for_one_ledger_and_a_dry_run_uses_it_up_by_nothing() {
    let it = Signed::new(5, "NOTIFY", &[]);
    let mail = MailServer::start(it.server.folder(), &[]);
    let nobody = format!("--smtp=localhost:{}", crate::redis_server::free_port());
    let way = format!("--smtp=localhost:{}", mail.port);
    let other = |ledger: &'static str, out: &str| {
        let mut arguments = it.sending(&[out, "--smtp-plaintext"]);
        arguments[4] = ledger;
        it.batch(&arguments)
    };
    let mut dry = it.sending(&["--dry-run=out"]);
    dry[4] = "--ledger=dry.db";
    assert!(it.batch(&dry).status.success());
    // Nor does one that never reaches a mail server.
    let mut running = it.start(&{
        let mut arguments = it.sending(&[&nobody, "--smtp-plaintext"]);
        arguments[4] = "--ledger=wrong.db";
        arguments
    });
    until("it waits", || {
        let status = it.batch(&["status", "--ledger=wrong.db", "-o=json"]);
        String::from_utf8(status.stdout).unwrap().contains("WAITING")
    });
    running.signal("TERM");
    assert_eq!(running.code(), Some(130));
    let sent = it.send(&[&way, "--smtp-plaintext"]);
    assert!(sent.status.success(), "{}", stderr(&sent));
    assert_eq!(mail.received().len(), 5);
    let again = other("--ledger=other.db", &way);
    assert_eq!(again.status.code(), Some(4));
    let said = stderr(&again);
    assert!(said.contains("was begun through another ledger, by revision "), "{said}");
    assert!(!it.path("other.db").exists(), "no ledger is left behind");
    let resumed = it.batch(&["resume", "--ledger=wrong.db"]);
    assert_eq!(resumed.status.code(), Some(4), "{}", stderr(&resumed));
    assert_eq!(mail.received().len(), 5);
}
