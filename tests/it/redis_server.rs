//! Starts real servers for the tests of the shared store: Redis or Valkey, on a free port, in a folder of
//! their own, gone with the value. They never touch a server that is there already.
//!
//! `OFFERGATE_TEST_REDIS_BIN` picks another binary. A missing one is an error with a hint, never a test
//! that passes unseen.

use offergate::clock::{Clock, SystemClock};
use offergate::store::redis::{Address, Location, Login, Namespace, RedisStore, Servers};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tempfile::TempDir;

/// What is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flavour {
    Redis,
    Valkey,
}

impl Flavour {
    /// The program, or what to do about its absence.
    fn program(self) -> PathBuf {
        let found = match self {
            Self::Redis => std::env::var_os("OFFERGATE_TEST_REDIS_BIN")
                .map(PathBuf::from)
                .or_else(|| on_path("redis-server")),
            Self::Valkey => installed_valkey().or_else(|| on_path("valkey-server")),
        };
        found.unwrap_or_else(|| {
            panic!("no server for {self:?} is installed; run `tests/tools/setup.sh redis`")
        })
    }
}

fn on_path(name: &str) -> Option<PathBuf> {
    let folders = std::env::var_os("PATH")?;
    std::env::split_paths(&folders).map(|folder| folder.join(name)).find(|path| path.is_file())
}

/// Where `tests/tools/setup.sh redis` puts it.
fn installed_valkey() -> Option<PathBuf> {
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("target"), PathBuf::from);
    let link = target.join("tools/valkey-server");
    link.is_file().then_some(link)
}

/// A port that nobody has at the moment.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Waits for a condition, and fails the test when it does not come.
pub(crate) fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let start = SystemClock.boot();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(SystemClock.boot() - start < Duration::from_secs(30), "never came: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A running server, and the folder that it keeps its data in.
pub(crate) struct Server {
    flavour: Flavour,
    options: Vec<String>,
    process: Option<Child>,
    folder: TempDir,
    pub(crate) port: u16,
    /// What `redis-cli` needs beside the port to be let in.
    login: Vec<String>,
}

impl Server {
    /// One that writes to disk before it answers.
    pub(crate) fn start(flavour: Flavour) -> Self {
        Self::start_with(flavour, &[], &[])
    }

    /// The same, with more options and, for a server that asks for it, with a password.
    pub(crate) fn start_with(flavour: Flavour, options: &[&str], login: &[&str]) -> Self {
        for _ in 0..5 {
            let mut server = Self {
                flavour,
                options: options.iter().map(ToString::to_string).collect(),
                process: None,
                folder: TempDir::new().unwrap(),
                port: free_port(),
                login: login.iter().map(ToString::to_string).collect(),
            };
            server.run();
            if server.answers() {
                return server;
            }
            // Somebody else took the port in between.
        }
        panic!("no server came up");
    }

    fn run(&mut self) {
        let mut command = Command::new(self.flavour.program());
        if self.options.iter().any(|option| option == "--sentinel") {
            // It keeps what it learns in its settings file, and will not start without one.
            let file = self.folder.path().join("sentinel.conf");
            std::fs::OpenOptions::new().create(true).append(true).open(&file).unwrap();
            command.arg(file);
        } else {
            command
                .args(["--save", "", "--appendonly", "yes", "--appendfsync", "always"])
                .args(["--maxmemory-policy", "noeviction", "--enable-debug-command", "yes"])
                .args(["--repl-diskless-sync-delay", "0"]);
        }
        command
            .args(["--port", &self.port.to_string(), "--bind", "127.0.0.1"])
            .args(["--dir", self.folder.path().to_str().unwrap(), "--logfile", "log"])
            .args(&self.options)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        self.process = Some(command.spawn().unwrap());
    }

    /// Whether it is up, and is the one that was started.
    fn answers(&mut self) -> bool {
        let start = SystemClock.boot();
        while SystemClock.boot() - start < Duration::from_secs(20) {
            let Some(process) = &mut self.process else { return false };
            if process.try_wait().unwrap().is_some() {
                return false;
            }
            if self.try_cli(&["PING"]).is_some_and(|answer| answer == "PONG") {
                return true;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        false
    }

    fn pid(&self) -> String {
        self.process.as_ref().unwrap().id().to_string()
    }

    fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args([signal, &self.pid()]).status().unwrap();
        assert!(sent.success());
    }

    /// Ends it as a crash would.
    pub(crate) fn kill(&mut self) {
        let mut process = self.process.take().unwrap();
        process.kill().unwrap();
        process.wait().unwrap();
    }

    /// Starts it again on what it left.
    pub(crate) fn restart(&mut self) {
        self.run();
        assert!(self.answers(), "the server does not come up again");
    }

    /// Stands still, connections open.
    pub(crate) fn freeze(&self) {
        self.signal("-STOP");
    }

    pub(crate) fn thaw(&self) {
        self.signal("-CONT");
    }

    /// What `redis-cli` prints for a command. One that is refused fails the test.
    #[track_caller]
    pub(crate) fn cli(&self, command: &[&str]) -> String {
        let answer = self.try_cli(command);
        let answer = answer.unwrap_or_else(|| panic!("{command:?}: no answer at {}", self.port));
        assert!(!answer.starts_with("ERR "), "{command:?}: {answer}");
        answer
    }

    pub(crate) fn try_cli(&self, command: &[&str]) -> Option<String> {
        let output = Command::new("redis-cli")
            .args(["-p", &self.port.to_string()])
            .args(&self.login)
            .args(command)
            .env_remove("REDISCLI_AUTH")
            .output()
            .expect("redis-cli is missing; run `tests/tools/setup.sh redis`");
        output.status.success().then(|| String::from_utf8(output.stdout).unwrap().trim().to_owned())
    }

    pub(crate) fn address(&self) -> Address {
        Address { host: "127.0.0.1".into(), port: self.port }
    }

    pub(crate) fn location(&self, namespace: &str) -> Location {
        location_of(self.port, namespace)
    }

    /// A store on it, with a history begun.
    pub(crate) async fn store(&self, namespace: &str) -> RedisStore {
        let store = RedisStore::open(self.location(namespace)).unwrap();
        store.initialise(None).await.unwrap();
        store
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.process.is_some() {
            self.kill();
        }
    }
}

/// A single server on this machine.
pub(crate) fn location_of(port: u16, namespace: &str) -> Location {
    Location {
        servers: Servers::Single(Address { host: "127.0.0.1".into(), port }),
        login: Login::default(),
        tls: None,
        database: 0,
        namespace: Namespace::parse(namespace).unwrap(),
        nodes: 1,
        staleness_limit: Duration::from_secs(30),
    }
}

/// The name of one of a namespace's keys.
pub(crate) fn key(namespace: &str, part: &str) -> String {
    format!("{{offergate:{namespace}}}:{part}")
}

/// A way to a server. When `word` has passed to it for the first time, `stop` runs before the answer passes
/// back: for what happens between two of our commands.
pub(crate) fn way_with_a_stop(
    server: u16,
    word: &'static str,
    stop: impl FnOnce() + Send + 'static,
) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let stop = Arc::new(Mutex::new(Some(stop)));
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let (Ok(client), Ok(server)) = (client, TcpStream::connect(("127.0.0.1", server)))
            else {
                return;
            };
            let (up, down) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            let said = Arc::new(AtomicBool::new(false));
            let (hears, stop) = (Arc::clone(&said), Arc::clone(&stop));
            std::thread::spawn(move || {
                carry(up, server, |piece| {
                    let hit = piece.windows(word.len()).any(|part| part == word.as_bytes());
                    said.fetch_or(hit, Ordering::SeqCst);
                });
            });
            std::thread::spawn(move || {
                carry(down, client, |_| {
                    let stop = hears.load(Ordering::SeqCst).then(|| stop.lock().unwrap().take());
                    stop.flatten().into_iter().for_each(|stop| stop());
                });
            });
        }
    });
    port
}

fn carry(mut from: TcpStream, mut to: TcpStream, mut look: impl FnMut(&[u8])) {
    let mut piece = [0; 4096];
    while let Ok(length @ 1..) = from.read(&mut piece) {
        look(&piece[..length]);
        if to.write_all(&piece[..length]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
}

/// Says what it is told to whoever connects, whatever they say: for what a real server cannot be made to
/// say on demand.
pub(crate) fn server_that_says(said: &'static [u8]) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(stream) = stream else { return };
            std::thread::spawn(move || answer(stream, said));
        }
    });
    port
}

/// Once for each command: `*3`, and then three texts.
fn answer(stream: TcpStream, said: &[u8]) {
    let mut lines = BufReader::new(stream.try_clone().unwrap()).split(b'\n');
    let mut stream = stream;
    while let Some(Ok(line)) = lines.next() {
        if line.starts_with(b"*") && stream.write_all(said).is_err() {
            return;
        }
    }
}
