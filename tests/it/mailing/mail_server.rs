//! A real mail server, which other people wrote, made to misbehave (`tests/tools/smtp_server.py`).

use serde::Deserialize;
use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A message that the server has wholly received.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Received {
    pub(super) to: String,
    /// The `Message-ID`.
    pub(super) id: String,
    /// Whether the server lived to say so.
    pub(super) answered: bool,
}

/// The server, killed on drop.
pub(super) struct MailServer {
    child: Child,
    pub(super) port: u16,
    log: PathBuf,
}

impl MailServer {
    pub(super) fn start(folder: &Path, more: &[&str]) -> Self {
        let target = std::env::var_os("CARGO_TARGET_DIR")
            .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("target"), PathBuf::from);
        let python = target.join("tools/python/bin/python");
        assert!(
            target.join("tools/python/bin/aiosmtpd").exists(),
            "no mail server is installed; run `tests/tools/setup.sh smtp`"
        );
        let log = folder.join("received.jsonl");
        let mut child = Command::new(python)
            .arg(crate::server::in_repository("tests/tools/smtp_server.py"))
            .arg(&log)
            .args(more)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let port = line.trim().rsplit(' ').next().unwrap().parse().unwrap();
        Self { child, port, log }
    }

    /// All messages, in the order in which they came.
    pub(super) fn received(&self) -> Vec<Received> {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        // The last line may be half written.
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        whole.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// How many messages each addressee got.
    pub(super) fn by_addressee(&self) -> BTreeMap<String, usize> {
        let mut all = BTreeMap::new();
        self.received().into_iter().for_each(|it| *all.entry(it.to).or_default() += 1);
        all
    }
}

impl Drop for MailServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
