//! A backend of `deploy/clients`, as a process of its own.

use crate::server::{LIMIT, Server, in_repository};
use offergate::clock::{Clock as _, SystemClock};
use serde::Deserialize;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::NamedTempFile;

/// In which language it is written.
#[derive(Debug, Clone, Copy)]
pub(super) enum Language {
    Rust,
    Python,
}

impl Language {
    fn command(self, servers: &[&Server]) -> Command {
        match self {
            Self::Rust => {
                let mut command = Command::new(example());
                for server in servers {
                    command.arg("--server").arg(&server.address);
                }
                command
            }
            Self::Python => {
                let mut command = Command::new(crate::cli_clients::tool("python/bin/python"));
                let address = |server: &&Server| {
                    let (_, address) = server.address.split_once("://").unwrap();
                    address.to_owned()
                };
                let servers: Vec<_> = servers.iter().map(address).collect();
                command.arg(in_repository("deploy/clients/python/backend.py"));
                command.arg("--server").arg(servers.join(","));
                command
            }
        }
    }
}

/// The Rust one, which cargo builds with the tests unless it was told to build some of them alone.
fn example() -> PathBuf {
    let path = Path::new(env!("CARGO_BIN_EXE_offergate")).with_file_name("examples/backend");
    assert!(path.exists(), "{} is missing: cargo build --example backend", path.display());
    path
}

/// What a page says about an offer.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Page {
    #[serde(rename = "offer")]
    _offer: String,
    pub(super) show: bool,
    pub(super) why: String,
    pub(super) source: String,
}

/// A backend that is running, gone with the value.
pub(super) struct Backend {
    child: Child,
    address: String,
    log: NamedTempFile,
}

impl Backend {
    pub(super) fn start(language: Language, servers: &[&Server], more: &[&str]) -> Self {
        let log = NamedTempFile::new().unwrap();
        let mut child = language
            .command(servers)
            .args(["--listen", "127.0.0.1:0"])
            .args(more)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log.reopen().unwrap())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim_end().strip_prefix("listening on http://").map(str::to_owned);
        let said = || std::fs::read_to_string(log.path()).unwrap();
        let address = address.unwrap_or_else(|| panic!("it does not listen: {}", said()));
        Self { child, address, log }
    }

    /// The whole answer to a request.
    pub(super) fn get(&self, path: &str, token: Option<&str>) -> String {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        let token = token.map_or_else(String::new, |it| format!("Offergate-Token: {it}\r\n"));
        let head = format!("GET {path} HTTP/1.1\r\nHost: x\r\n{token}Connection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    /// What a customer's page says about an offer, which it must, whatever happens.
    pub(super) fn page(&self, offer: &str, customer: &str, token: Option<&str>) -> Page {
        let answer = self.get(&format!("/offers/{offer}?customer={customer}"), token);
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}\n{}", self.log());
        assert!(
            answer.to_ascii_lowercase().contains("\r\ncache-control: no-store\r\n"),
            "{answer}"
        );
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        serde_json::from_str(body).unwrap()
    }

    /// Asks until the answer is this one.
    pub(super) fn becomes(&self, offer: &str, customer: &str, why: &str) -> Page {
        let start = SystemClock.boot();
        loop {
            let page = self.page(offer, customer, None);
            if page.why == why {
                return page;
            }
            assert!(SystemClock.boot() - start < LIMIT, "not {why}, but {page:?}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// What it logged.
    pub(super) fn log(&self) -> String {
        std::fs::read_to_string(self.log.path()).unwrap()
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
