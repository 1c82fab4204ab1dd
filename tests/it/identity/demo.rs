//! The two people of the demonstration, as the command line speaks for them.

use crate::redis_server::eventually;
use assert_cmd::Command;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use tempfile::TempDir;

/// A demonstration with a home of its own.
struct Demo {
    home: TempDir,
    process: Child,
    address: String,
}

impl Demo {
    fn start(home: TempDir) -> Self {
        let mut process = std::process::Command::new(env!("CARGO_BIN_EXE_offergate"))
            .args(["serve", "--demo", "--listen=127.0.0.1:0", "--management-listen=127.0.0.1:0"])
            .env_clear()
            .env("HOME", home.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let first = lines.next().unwrap().unwrap();
        let address = first.strip_prefix("listening on ").unwrap().to_owned();
        // It goes on printing, which somebody must read.
        std::thread::spawn(move || lines.for_each(drop));
        Self { home, process, address }
    }

    fn people(&self) -> PathBuf {
        self.home.path().join(".local/state/offergate/demo/people.tokens")
    }

    fn run(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let mut command: Command = crate::server::offergate();
        command.env("HOME", self.home.path()).env("OFFERGATE_SERVER", &self.address);
        let output = command.args(arguments).output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8_lossy(&said).into_owned())
    }

    fn stop(mut self) -> TempDir {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        self.home
    }
}

#[test]
fn the_command_line_speaks_for_ann_or_ben_and_checks_and_reads_need_nobody() {
    let demo = Demo::start(TempDir::new().unwrap());
    let tokens = fs::read_to_string(demo.people()).unwrap();
    assert_eq!(fs::metadata(demo.people()).unwrap().permissions().mode() & 0o777, 0o600);
    let (code, said) = demo.run(&["audit", "checkpoint"]);
    assert_eq!(code, Some(0), "ann is an auditor: {said}");
    let (code, said) = demo.run(&["audit", "checkpoint", "--as=ben"]);
    assert_eq!(code, Some(0), "so is ben: {said}");
    let (code, said) = demo.run(&["status", "--as=eve"]);
    assert_eq!((code, said.contains("its people are ann and ben")), (Some(2), true), "{said}");

    // Without the file nobody speaks for them.
    let hidden = demo.people().with_extension("hidden");
    fs::rename(demo.people(), &hidden).unwrap();
    for reads in [&["status"][..], &["find", "kaspersky"], &["history"]] {
        let (code, said) = demo.run(reads);
        assert_eq!(code, Some(0), "{reads:?}: {said}");
    }
    let (code, said) = demo.run(&["audit", "checkpoint"]);
    assert_eq!((code, said.contains("--as ann")), (Some(1), true), "{said}");
    let file = demo.home.path().join("token");
    fs::write(&file, "demo-0000\n").unwrap();
    let (code, said) = demo.run(&["status", "--token-file", file.to_str().unwrap()]);
    assert_eq!(code, Some(1), "a bad token is refused even where none is needed: {said}");
    assert!(!said.contains("demo-0000"), "{said}");

    fs::rename(&hidden, demo.people()).unwrap();
    let demo = Demo::start(demo.stop());
    eventually("it serves", || (demo.run(&["status"]).0 == Some(0)).then_some(()));
    assert_eq!(fs::read_to_string(demo.people()).unwrap(), tokens, "the people stay the same");
    fs::set_permissions(demo.people(), fs::Permissions::from_mode(0o644)).unwrap();
    let (code, said) = demo.run(&["status"]);
    assert_eq!((code, said.contains("mode 0644")), (Some(1), true), "{said}");
    demo.stop();
}
