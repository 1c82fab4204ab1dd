//! A real server process for tests: its own store in its own folder, free ports, killed on drop.

use assert_cmd::Command;
use offergate::clock::{Clock, SystemClock};
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::Duration;
use tempfile::TempDir;

/// Long enough for a loaded machine; nobody waits for it when all is well.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);

/// The program under test, without anything of this machine's environment.
pub(crate) fn offergate() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_offergate"));
    command.env_clear().env("USER", "tester").env("HOME", "/nonexistent").env("NO_COLOR", "1");
    command.timeout(LIMIT);
    command
}

/// The path of a file of this repository.
pub(crate) fn in_repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// A server that is running.
pub(crate) struct Server {
    child: Child,
    /// `http://127.0.0.1:PORT` of the clients' port.
    pub(crate) address: String,
    /// The same of the management port.
    pub(crate) management: String,
    /// What it printed after its addresses; kept open, so that it can go on printing.
    _stdout: BufReader<ChildStdout>,
    folder: Option<TempDir>,
}

impl Server {
    /// Starts a server on a new, empty store.
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    fn start_with(more: &[&str]) -> Self {
        let folder = TempDir::new().unwrap();
        let store = folder.path().join("rules.db");
        let mut server = Self::start_on(&store, more);
        server.folder = Some(folder);
        server
    }

    /// Starts a server with the Barclays rules applied.
    pub(crate) fn with_barclays() -> Self {
        Self::with_barclays_and(&[])
    }

    /// The same, and clients may ask it for its services' descriptions.
    pub(crate) fn with_reflection() -> Self {
        Self::with_barclays_and(&["--reflection", "true"])
    }

    pub(crate) fn with_barclays_and(more: &[&str]) -> Self {
        let server = Self::start_with(more);
        server.apply(&in_repository("deploy/demo/barclays.rules.yaml"));
        server
    }

    /// Makes a rule file the rules.
    pub(crate) fn apply(&self, rules: &Path) {
        self.by_two(&["apply", rules.to_str().unwrap()]);
    }

    /// Starts a server that sends its telemetry to a collector.
    pub(crate) fn exporting_to(endpoint: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let variables = [("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)];
        let server = Self::launch(&folder.path().join("rules.db"), &[], &variables);
        let mut server = server.expect("it starts");
        server.folder = Some(folder);
        server
    }

    /// Starts a server on a store, with these variables in its environment.
    pub(crate) fn start_among(store: &str, variables: &[(&str, &str)]) -> Self {
        let started = Self::launch(Path::new(store), &[], variables);
        started.unwrap_or_else(|status| panic!("server ended with {status}"))
    }

    /// Starts a server on the store at `path`.
    pub(crate) fn start_on(path: &Path, more: &[&str]) -> Self {
        Self::try_start(path, more).unwrap_or_else(|status| panic!("server ended with {status}"))
    }

    /// The same; the way it ended, if it does not come to listen.
    pub(crate) fn try_start(path: &Path, more: &[&str]) -> Result<Self, ExitStatus> {
        Self::launch(path, more, &[])
    }

    /// The same, and it logs nothing: for a server that is to meet with trouble.
    pub(crate) fn try_start_quietly(path: &Path, more: &[&str]) -> Result<Self, ExitStatus> {
        Self::launch(path, more, &[("RUST_LOG", "off")])
    }

    /// Starts a server with variables of its own, and puts what it logs into a file.
    pub(crate) fn start_saying(
        path: &Path,
        said: &Path,
        more: &[&str],
        variables: &[(&str, &str)],
    ) -> Self {
        let said = std::fs::File::create(said).unwrap();
        let started = Self::launch_saying(path, more, variables, said.into());
        started.unwrap_or_else(|status| panic!("server ended with {status}"))
    }

    /// Starts a server that logs all that it can into a file.
    pub(crate) fn start_talking(path: &Path, said: &str, more: &[&str]) -> Self {
        let said = std::fs::File::create(said).unwrap();
        let started = Self::launch_saying(path, more, &[("RUST_LOG", "trace")], said.into());
        started.unwrap_or_else(|status| panic!("server ended with {status}"))
    }

    /// Starts a server that finds these variables too.
    pub(crate) fn start_told(path: &Path, more: &[&str], variables: &[(&str, &str)]) -> Self {
        let started = Self::launch(path, more, variables);
        started.unwrap_or_else(|status| panic!("server ended with {status}"))
    }

    fn launch(path: &Path, more: &[&str], variables: &[(&str, &str)]) -> Result<Self, ExitStatus> {
        Self::launch_saying(path, more, variables, Stdio::inherit())
    }

    fn launch_saying(
        path: &Path,
        more: &[&str],
        variables: &[(&str, &str)],
        said: Stdio,
    ) -> Result<Self, ExitStatus> {
        let free_port: &[_] = match more.contains(&"--listen") {
            true => &[],
            false => &["--listen", "127.0.0.1:0"],
        };
        let drain: &[_] = match more.contains(&"--drain-timeout") {
            true => &[],
            false => &["--drain-timeout", "2s"],
        };
        let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_offergate"))
            .env_clear()
            .env("RUST_LOG", "warn")
            .env("OFFERGATE_ANONYMOUS", "everything")
            .envs(variables.iter().copied())
            .args(["serve", "--management-listen", "127.0.0.1:0"])
            .args(free_port)
            .args(drain)
            .args(["--workers", "2", "--store"])
            .arg(path)
            .args(more)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(said)
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = |prefix: &str| {
            let mut line = String::new();
            stdout.read_line(&mut line).unwrap();
            line.trim_end().strip_prefix(prefix).map(str::to_owned)
        };
        let Some(address) = line("listening on ") else { return Err(child.wait().unwrap()) };
        let management = line("management on ").unwrap();
        Ok(Self { child, address, management, _stdout: stdout, folder: None })
    }

    /// The command line, told where this server is.
    pub(crate) fn offergate(&self) -> Command {
        let mut command = offergate();
        command.env("OFFERGATE_SERVER", &self.address);
        command
    }

    /// Runs a command line that must succeed, and reads its JSON.
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        let output = self.offergate().args(arguments).args(["-o", "json"]).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {stderr}");
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Runs a command line that proposes a change, and has another person approve it; reads what the
    /// first one printed, with the revision in which the change is in force. The attempt's name goes to
    /// the approval, which is what people wait for.
    pub(crate) fn by_two(&self, arguments: &[&str]) -> Value {
        self.by_two_waiting(arguments, &[])
    }

    /// The same, with more flags for the approval.
    pub(crate) fn by_two_waiting(&self, arguments: &[&str], more: &[&str]) -> Value {
        let named = arguments.iter().find_map(|it| it.strip_prefix("--request-id="));
        let proposing = named.map(|id| format!("--request-id={id}.proposed"));
        let proposed: Vec<&str> = arguments
            .iter()
            .filter(|it| !it.starts_with("--request-id="))
            .copied()
            .chain(proposing.as_deref())
            .collect();
        let mut told = self.json(&proposed);
        let Some(change) = told["proposal"]["id"].as_u64() else { return told };
        let (change, name) = (change.to_string(), named.map(|id| format!("--request-id={id}")));
        let mut approve = vec!["approve", &change, "--author=zoe"];
        approve.extend(name.as_deref());
        approve.extend(more);
        let approved = self.json(&approve);
        told["revision"] = approved["revision"].clone();
        told["enforcement"] = approved["enforcement"].clone();
        told
    }

    /// The file that this server's rules are in.
    pub(crate) fn store(&self) -> PathBuf {
        self.folder.as_ref().unwrap().path().join("rules.db")
    }

    /// A place for files of the test.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.as_ref().unwrap().path()
    }

    /// The process's number.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Ends the process as a power cut would.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Sends a signal by name, such as `TERM`.
    pub(crate) fn signal(&self, name: &str) {
        let mut kill = std::process::Command::new("kill");
        let status = kill.arg(format!("-{name}")).arg(self.id().to_string()).status().unwrap();
        assert!(status.success());
    }

    /// Waits for the process to end by itself.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let deadline = SystemClock.boot() + LIMIT;
        while SystemClock.boot() < deadline {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            std::thread::yield_now();
        }
        panic!("server did not end within {LIMIT:?}")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs `work` on a thread of its own, and fails when it takes too long.
pub(crate) fn within_limit<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let (send, receive) = mpsc::channel();
    std::thread::spawn(move || send.send(work()));
    receive.recv_timeout(LIMIT).expect("took too long")
}
