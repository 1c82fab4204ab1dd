//! A mailing that two people signed, and the program that sends it: over a ledger in a file, or in Redis.

use super::mail_server::MailServer;
use crate::ledger_conformance::place_in;
use crate::redis_server::{self, Flavour};
use crate::server::{LIMIT, Server};
use offergate::clock::{Clock as _, SystemClock};
use offergate::ledger::redis::RedisLedger;
use offergate::ledger::sqlite::SqliteLedger;
use offergate::ledger::{Ledger, State};
use serde_json::Value;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

pub(super) const TEMPLATE: &str = "
from: Example Bank <service@bank.example>
subject: About your antivirus, {{ first_name }}
text: |
  Dear {{ first_name }},
";

/// A server with rules, a mailing's files, and the mailing signed.
pub(super) struct Signed {
    pub(super) server: Server,
    /// Where the ledger is kept, unless it is a file.
    pub(super) redis: Option<redis_server::Server>,
}

impl Signed {
    pub(super) fn new(rows: usize, action: &str, more: &[&str]) -> Self {
        let signed = Self::proposed(rows, action, more);
        let change = signed.change.to_string();
        signed.it.server.json(&["approve", &change, "--author=zoe"]);
        signed.it
    }

    pub(super) fn proposed(rows: usize, action: &str, more: &[&str]) -> Proposed {
        let server = Server::with_barclays();
        let it = Self { server, redis: None };
        let row = |n: usize| {
            format!("c-{n},IE,RETAIL,true,1985-04-12,false,NONE,N{n},n{n}@d{}.example\n", n % 5)
        };
        let header = "id,country,segment,attributes.online_banking,date_of_birth,vulnerable,\
                      holdings.kis.status,first_name,email\n";
        let rows: String = (0..rows).map(row).collect();
        fs::write(it.path("in.people.csv"), format!("{header}{rows}")).unwrap();
        fs::write(it.path("in.t.yaml"), TEMPLATE).unwrap();
        let told = it.propose(action, more);
        let change = told["change"].as_u64().unwrap_or_default();
        Proposed { it, change, told }
    }

    /// Proposes it, for another person to approve.
    pub(super) fn propose(&self, action: &str, more: &[&str]) -> Value {
        let mut command = self.server.offergate();
        command.current_dir(self.server.folder()).args([
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
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// The same, with the ledger in Redis.
    pub(super) fn in_redis(rows: usize, action: &str, more: &[&str]) -> Self {
        let redis = redis_server::Server::start(Flavour::Redis);
        Self { redis: Some(redis), ..Self::new(rows, action, more) }
    }

    /// How the ledger is named, with the mailing where that is not known.
    fn ledger(&self, begun: bool) -> Vec<String> {
        let Some(redis) = &self.redis else { return vec!["--ledger=l.db".to_owned()] };
        let mut named = vec![format!("--ledger=redis://127.0.0.1:{}", redis.port)];
        named.push("--ledger-lease=1".to_owned());
        named.extend(begun.then(|| "--id=m-1".to_owned()));
        named
    }

    /// The arguments of a command on the mailing that was begun.
    pub(super) fn begun(&self, command: &str) -> Vec<String> {
        [vec![command.to_owned()], self.ledger(true)].concat()
    }

    /// What the name of a file beside the ledger is.
    pub(super) fn beside(&self, kind: &str) -> PathBuf {
        let ledger = if self.redis.is_some() { "m-1.ledger" } else { "l.db" };
        self.path(&format!("{ledger}.{kind}"))
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.server.folder().join(name)
    }

    /// `batch` with these arguments, in the server's folder.
    pub(super) fn batch<A: AsRef<OsStr>>(&self, arguments: &[A]) -> Output {
        let mut command = self.server.offergate();
        command.current_dir(self.server.folder()).arg("batch").args(arguments).output().unwrap()
    }

    pub(super) fn json(&self, arguments: &[String]) -> Value {
        let output = self.batch(&[arguments, &["-o=json".to_owned()]].concat());
        assert!(output.status.success(), "{}", stderr(&output));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// The arguments of a usual `send`.
    pub(super) fn sending(&self, more: &[&str]) -> Vec<String> {
        let usual = [
            "send",
            "--mailing=m-1.mailing.json",
            "--audience=in.people.csv",
            "--template=in.t.yaml",
        ];
        let rest = usual.iter().chain(more).map(ToString::to_string);
        rest.chain(self.ledger(false)).collect()
    }

    pub(super) fn send(&self, more: &[&str]) -> Output {
        self.batch(&self.sending(more))
    }

    /// Starts a command that goes on.
    pub(super) fn start(&self, arguments: &[String]) -> Running {
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

    pub(super) fn status(&self) -> Option<Value> {
        let output = self.batch(&[self.begun("status"), vec!["-o=json".to_owned()]].concat());
        serde_json::from_slice(&output.stdout).ok()
    }

    pub(super) fn recipients(&self, what: &str) -> u64 {
        self.status().map_or(0, |status| status["recipients"][what].as_u64().unwrap())
    }

    /// The states of everybody, by tag.
    pub(super) fn states(&self) -> BTreeMap<String, State> {
        let ledger: Box<dyn Ledger> = match &self.redis {
            Some(redis) => Box::new(RedisLedger::look(place_in(redis, "m-1")).unwrap()),
            None => Box::new(SqliteLedger::look(&self.path("l.db")).unwrap()),
        };
        let all = ledger.block(0).unwrap();
        all.into_iter().map(|(tag, state)| (tag.to_string(), state)).collect()
    }
}

pub(super) struct Proposed {
    pub(super) it: Signed,
    pub(super) change: u64,
    pub(super) told: Value,
}

/// A process, killed on drop.
pub(super) struct Running(pub(super) Child);

impl Running {
    pub(super) fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    pub(super) fn signal(&self, name: &str) {
        let id = self.0.id().to_string();
        assert!(Command::new("kill").arg(format!("-{name}")).arg(id).status().unwrap().success());
    }

    pub(super) fn code(&mut self) -> Option<i32> {
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

pub(super) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

pub(super) fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = SystemClock.boot() + LIMIT;
    while !is_so() {
        assert!(SystemClock.boot() < deadline, "{what}");
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
}

/// Sends it, is killed so often, and goes on each time: everybody has an outcome, and nobody was written to twice.
pub(super) fn killed_at(rounds: usize, it: &Signed) {
    let all = fs::read_to_string(it.path("in.people.csv")).unwrap().lines().count() - 1;
    let mail = MailServer::start(it.server.folder(), &["--delay", "0.003"]);
    let way = format!("--smtp=localhost:{}", mail.port);
    let sending = it.sending(&[&way, "--smtp-plaintext", "--connections=4"]);
    // Points that are everywhere: while it starts, right after the first messages, within many.
    let mut points = (0..rounds).map(|round| (round * 7_919) % 41);
    let mut running = it.start(&sending);
    for round in 0..rounds {
        let (before, more) = (mail.received().len(), points.next().unwrap());
        until("some are sent", || {
            running.0.try_wait().unwrap().is_some() || before + more <= mail.received().len()
        });
        running.kill();
        assert!(it.recipients("sent") < all as u64, "round {round}: it was over too soon");
        running = match it.status() {
            Some(_) => it.start(&it.begun("resume")),
            None => it.start(&sending), // It died before anything was begun.
        };
    }
    assert_eq!(running.code(), Some(0));
    let (states, received) = (it.states(), mail.received());
    let count = |wanted| states.values().filter(|state| **state == wanted).count();
    let (sent, in_doubt) = (count(State::Sent), count(State::InDoubt));
    assert_eq!((sent + in_doubt, states.len()), (all, all), "everybody has an outcome");
    assert!(in_doubt <= rounds * 4, "{in_doubt} in doubt: no more than were in hand");
    assert!(mail.by_addressee().values().all(|many| *many == 1), "nobody twice");
    let ids: Vec<_> = received.iter().map(|it| it.id[1..33].to_owned()).collect();
    for id in &ids {
        assert!(matches!(states[id], State::Sent | State::InDoubt), "{id}: {:?}", states[id]);
    }
    let sent_ids = states.iter().filter(|(_, state)| **state == State::Sent);
    assert!(sent_ids.into_iter().all(|(tag, _)| ids.contains(tag)), "nobody is missing");
    // Those in doubt are listed, and written to again by choice alone.
    let listed = fs::read_to_string(it.beside("in-doubt.csv")).unwrap_or_default();
    assert_eq!(listed.lines().count().saturating_sub(1), in_doubt);
}
