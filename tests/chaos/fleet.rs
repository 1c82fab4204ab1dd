//! A fleet on this machine: three nodes of Redis with a sentinel, and three replicas that reach them over
//! links which can be made bad. Everything has a free port and a folder of its own, and is gone with the
//! value.
//!
//! Each replica finds the primary through a link to the sentinel that speaks of the replica's own links
//! in place of the nodes' ports, so that one replica can be cut off from a node that the others reach.

use super::dice::Dice;
use super::proxy::{Link, Translation, Weather};
use super::redis_server::{Flavour, Server, eventually, free_port, key};
use offergate::domain::{ChainHash, Revision};
use serde_json::Value;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tempfile::TempDir;

/// How many nodes, and how many replicas.
pub(crate) const SIZE: usize = 3;

const NAMESPACE: &str = "chaos";
const MASTER: &str = "main";

/// What a replica calls its journal.
pub(crate) const JOURNAL: &str = "journal.db";

pub(crate) struct Fleet {
    nodes: Vec<Mutex<Server>>,
    ports: Vec<u16>,
    sentinel: Server,
    pub(crate) replicas: Vec<Replica>,
}

/// One replica, and its ways to the store.
pub(crate) struct Replica {
    pub(crate) name: String,
    pub(crate) address: SocketAddr,
    links: Vec<Link>,
    folder: TempDir,
    arguments: Vec<String>,
    process: Mutex<Option<Child>>,
}

impl Fleet {
    /// Starts everything; the history begins empty.
    pub(crate) async fn start(dice: &Dice, limit_ms: u64, bug: Option<&str>) -> Self {
        let primary = Server::start(Flavour::Redis);
        let port = primary.port.to_string();
        let follow =
            || Server::start_with(Flavour::Redis, &["--replicaof", "127.0.0.1", &port], &[]);
        let nodes = vec![primary, follow(), follow()];
        let sentinel = Server::start_with(Flavour::Redis, &["--sentinel"], &[]);
        sentinel.cli(&["SENTINEL", "MONITOR", MASTER, "127.0.0.1", &port, "1"]);
        sentinel.cli(&["SENTINEL", "SET", MASTER, "down-after-milliseconds", "1000"]);
        sentinel.cli(&["SENTINEL", "SET", MASTER, "failover-timeout", "3000"]);
        eventually("the sentinel knows both followers", || {
            let known = sentinel.cli(&["SENTINEL", "REPLICAS", MASTER]);
            (known.matches("master-link-status").count() == SIZE - 1).then_some(())
        });
        let ports: Vec<u16> = nodes.iter().map(|node| node.port).collect();
        let mut replicas = Vec::new();
        for number in 1..=SIZE {
            let begins = (number == 1).then_some("--begin-history");
            let replica = Replica::new(number, &ports, sentinel.port, dice, limit_ms).await;
            replica.start(begins, bug);
            let log = key(NAMESPACE, "log");
            eventually("the history begins", || {
                (nodes[0].cli(&["EXISTS", &log]) == "1").then_some(())
            });
            replicas.push(replica);
        }
        Self { nodes: nodes.into_iter().map(Mutex::new).collect(), ports, sentinel, replicas }
    }

    /// A node, for as long as nobody else does something to it.
    pub(crate) fn node(&self, number: usize) -> MutexGuard<'_, Server> {
        self.nodes[number].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The node that the sentinel calls the primary.
    pub(crate) fn primary(&self) -> usize {
        let answer = self.sentinel.cli(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER]);
        let port: u16 = answer.lines().nth(1).and_then(|port| port.parse().ok()).unwrap();
        self.ports.iter().position(|known| *known == port).unwrap()
    }

    /// Has the sentinel promote another node, though nothing is wrong with the primary.
    pub(crate) fn take_over(&self) {
        let _ = self.sentinel.try_cli(&["SENTINEL", "FAILOVER", MASTER]);
    }

    /// Has all other nodes follow the primary, which the sentinel does in its own time.
    pub(crate) fn all_follow_the_primary(&self) {
        let primary = self.primary();
        let port = self.ports[primary].to_string();
        for follower in (0..SIZE).filter(|number| *number != primary) {
            self.node(follower).cli(&["REPLICAOF", "127.0.0.1", &port]);
        }
    }

    /// Whether one node is the primary and all others follow it.
    pub(crate) fn nodes_are_in_step(&self) -> bool {
        let primary = self.node(self.primary()).try_cli(&["INFO", "replication"]);
        primary.is_some_and(|info| {
            info.contains("role:master") && info.matches("state=online").count() == SIZE - 1
        })
    }

    /// Empties the store, until no node holds anything.
    pub(crate) fn empty(&self) {
        self.node(self.primary()).cli(&["FLUSHALL"]);
        eventually("no node holds anything", || {
            let is_empty = |number: usize| self.node(number).cli(&["DBSIZE"]) == "0";
            (0..SIZE).all(is_empty).then_some(())
        });
    }

    /// How people say which store they mean.
    pub(crate) fn way_of_people(&self) -> [String; 6] {
        let store = format!("redis+sentinel://127.0.0.1:{}/{MASTER}", self.sentinel.port);
        let (namespace, nodes) = (NAMESPACE.to_owned(), SIZE.to_string());
        let [on, of, all] = ["--store", "--store-namespace", "--store-nodes"].map(str::to_owned);
        [on, store, of, namespace, all, nodes]
    }

    /// The log as it stands, read without the code under test.
    pub(crate) fn log(&self) -> Vec<(Revision, ChainHash, String)> {
        let answer =
            self.node(self.primary()).cli(&["--json", "XRANGE", &key(NAMESPACE, "log"), "-", "+"]);
        let entries: Vec<Value> = serde_json::from_str(&answer).unwrap();
        let entry = |entry: &Value| {
            let revision = entry[0].as_str()?.strip_suffix("-0")?.parse().ok()?;
            let field = |at: usize| entry[1][at].as_str().map(str::to_owned);
            let (text, chain) = (field(1)?, field(3)?);
            Some((Revision(revision), ChainHash::parse(&chain)?, text))
        };
        entries.iter().map(|found| entry(found).unwrap_or_else(|| panic!("{found}"))).collect()
    }
}

impl Replica {
    async fn new(number: usize, nodes: &[u16], sentinel: u16, dice: &Dice, limit_ms: u64) -> Self {
        let name = format!("r{number}");
        let at = |port: u16| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let mut links = Vec::new();
        let mut words = Vec::new();
        for (place, port) in nodes.iter().enumerate() {
            let link =
                Link::open(&format!("{name}-n{place}"), at(*port), dice, Translation::default())
                    .await
                    .unwrap();
            let text = |port: u16| format!("$5\r\n{port}\r\n").into_bytes();
            words.push((text(*port), text(link.address.port())));
            links.push(link);
        }
        let to_sentinel = format!("{name}-sentinel");
        let words = Translation::new(words);
        let link = Link::open(&to_sentinel, at(sentinel), dice, words).await.unwrap();
        let store = format!("redis+sentinel://{}/{MASTER}", link.address);
        links.push(link);
        let folder = TempDir::new().unwrap();
        let address = at(free_port());
        let arguments = [
            ("--store", store),
            ("--store-nodes", SIZE.to_string()),
            ("--store-namespace", NAMESPACE.to_owned()),
            ("--replica", name.clone()),
            ("--journal", folder.path().join(JOURNAL).display().to_string()),
            ("--staleness-limit", format!("{limit_ms}ms")),
            ("--listen", address.to_string()),
            ("--management-listen", "127.0.0.1:0".to_owned()),
            ("--workers", "1".to_owned()),
            ("--drain-timeout", "1s".to_owned()),
        ];
        let arguments =
            arguments.into_iter().flat_map(|(flag, value)| [flag.to_owned(), value]).collect();
        Self { name, address, links, folder, arguments, process: Mutex::new(None) }
    }

    fn process(&self) -> MutexGuard<'_, Option<Child>> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts the process, which listens some time later. Its log goes to a file beside its journal.
    pub(crate) fn start(&self, more: Option<&str>, bug: Option<&str>) {
        let log = self.folder.path().join("log");
        let log = std::fs::OpenOptions::new().create(true).append(true).open(log).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_offergate"))
            .env_clear()
            .env("RUST_LOG", "info")
            .env("OFFERGATE_ANONYMOUS", "everything")
            .envs(bug.map(|bug| ("SEEDED_BUG", bug)))
            .arg("serve")
            .args(&self.arguments)
            .args(more)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        *self.process() = Some(child);
    }

    /// Ends the process as a crash would.
    pub(crate) fn kill(&self) {
        if let Some(mut child) = self.process().take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Sends a signal by name, such as `STOP`.
    pub(crate) fn signal(&self, name: &str) {
        if let Some(child) = &*self.process() {
            let id = child.id().to_string();
            assert!(
                Command::new("kill").args([&format!("-{name}"), &id]).status().unwrap().success()
            );
        }
    }

    /// Its ways to the store: one to each node, and one to the sentinel.
    pub(crate) fn links(&self) -> &[Link] {
        &self.links
    }

    /// The path of a file of this name in its folder.
    pub(crate) fn in_folder(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    pub(crate) fn set(&self, weather: Weather) {
        for link in &self.links {
            link.set(weather);
        }
    }

    /// The last lines of what it logged.
    pub(crate) fn last_words(&self, lines: usize) -> String {
        let log = std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
        let all: Vec<&str> = log.lines().collect();
        all[all.len().saturating_sub(lines)..].join("\n")
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        self.kill();
    }
}
