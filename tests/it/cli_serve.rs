//! Starting and stopping the real server: what it prints, what it refuses, how it ends.

use crate::server::{LIMIT, Server, in_repository, offergate, within_limit};
use serde_json::json;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// The answer of the management port to a plain request.
pub(crate) fn get(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address.trim_start_matches("http://")).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn a_server_is_ready_only_once_it_has_rules_and_counts_its_decisions() {
    let server = Server::start();
    assert!(get(&server.management, "/livez").starts_with("HTTP/1.1 200"));
    assert!(get(&server.management, "/readyz").starts_with("HTTP/1.1 503"));
    let nothing = server.json(&["check", "--customer=c", "--offer=o", "--action=OFFER"]);
    assert_eq!(nothing["outcome"], "INDETERMINATE");
    assert_eq!(nothing["reasons"], json!([{"code": "RULES_UNAVAILABLE", "attribute": null}]));

    let rules = in_repository("deploy/demo/barclays.rules.yaml");
    server.by_two(&["apply", rules.to_str().unwrap()]);
    assert!(get(&server.management, "/readyz").starts_with("HTTP/1.1 200"));
    let use_it = [
        "check",
        "--customer=c",
        "--offer=kis-12m",
        "--action=USE",
        "--holding=ACTIVE",
        "--country=GB",
    ];
    assert_eq!(server.json(&use_it)["outcome"], "ELIGIBLE");
    let metrics = get(&server.management, "/metrics");
    let eligible = metrics.lines().find(|line| {
        line.starts_with("offergate_decisions_total") && line.contains("outcome=\"ELIGIBLE\"")
    });
    assert!(eligible.is_some_and(|line| line.ends_with(" 1")), "{metrics}");
    assert!(!metrics.contains("--customer") && !metrics.contains("\"c\""), "{metrics}");
}

#[test]
fn a_server_that_is_told_to_stop_ends_well_and_keeps_its_rules() {
    let folder = TempDir::new().unwrap();
    let store = folder.path().join("rules.db");
    for (signal, revision) in [("TERM", 2), ("INT", 2)] {
        let mut server = Server::start_on(&store, &[]);
        let rules = in_repository("deploy/demo/barclays.rules.yaml");
        server.by_two(&["apply", rules.to_str().unwrap()]);
        server.signal(signal);
        assert_eq!(server.wait().code(), Some(0));
        let server = Server::start_on(&store, &[]);
        assert_eq!(server.json(&["status"])["revision"]["revision"], revision);
    }
}

#[test]
fn a_watcher_does_not_keep_a_server_from_stopping_and_goes_on_with_the_next_one() {
    let folder = TempDir::new().unwrap();
    let store = folder.path().join("rules.db");
    let mut server = Server::start_on(&store, &[]);
    let address = server.address.trim_start_matches("http://").to_owned();
    let mut watcher = Command::new(env!("CARGO_BIN_EXE_offergate"))
        .args(["watch", "--after=0", "--count=4", "-o", "jsonl", "--server", &address])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(watcher.stdout.take().unwrap()).lines();
    let rules = in_repository("deploy/demo/barclays.rules.yaml");
    server.by_two(&["apply", rules.to_str().unwrap()]);
    let (first, lines) = within_limit(move || {
        let _proposed = lines.next().unwrap().unwrap();
        (lines.next().unwrap().unwrap(), lines)
    });
    assert!(first.contains("\"revision\":2"), "{first}");
    server.signal("TERM");
    assert_eq!(server.wait().code(), Some(0));

    let server = Server::start_on(&store, &["--listen", &address]);
    let suspend = ["suspend", "product", "kis", "--reason=r", "--ticket=t"];
    server.by_two(&suspend);
    let second = within_limit(move || {
        let mut lines = lines;
        let _proposed = lines.next().unwrap().unwrap();
        lines.next().unwrap().unwrap()
    });
    assert!(second.contains("\"revision\":4"), "{second}");
    assert!(watcher.wait().unwrap().success());
}

#[test]
fn what_is_wrong_at_the_start_is_told_and_no_port_opens() {
    let server = Server::start();
    let store = server.store();
    let store = store.to_str().unwrap();
    let other = server.folder().join("other.db");
    let other = other.to_str().unwrap();
    let address = server.address.trim_start_matches("http://");
    let free = ["--listen=127.0.0.1:0", "--management-listen=127.0.0.1:0"];
    let no_store = server.folder().join("notes.txt");
    std::fs::write(&no_store, "no store").unwrap();
    for (arguments, code, told) in [
        ([&free[..], &["--store", store]].concat(), 4, "in use by another process"),
        (vec!["--listen", address, free[1], "--store", other], 1, "another process listens there"),
        ([&free[..], &["--store", no_store.to_str().unwrap()]].concat(), 1, "is no store"),
        ([&free[..], &["--staleness-limit=5"]].concat(), 2, "staleness"),
        (vec!["--demo", "--listen=0.0.0.0:0"], 2, "loopback only"),
        (vec!["--config", "/nonexistent.toml"], 3, "/nonexistent.toml"),
        ([&free[..], &["--anonymous=none"]].concat(), 2, "OFFERGATE_ANONYMOUS=everything"),
        ([&free[..], &["--oidc-issuer=https://id"]].concat(), 2, "without `oidc_audience`"),
        (
            [&free[..], &["--oidc-issuer=http://id.example", "--oidc-audience=a"]].concat(),
            2,
            "write an https URL",
        ),
        ([&free[..], &["--client-ca-file=ca.pem"]].concat(), 2, "without `trust_domain`"),
        (
            [&free[..], &["--demo", "--oidc-issuer=https://i", "--oidc-audience=a"]].concat(),
            2,
            "own people",
        ),
    ] {
        let mut command = offergate();
        command.env("OFFERGATE_ANONYMOUS", "everything").arg("serve").args(&arguments);
        let output = command.output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {stderr}");
        assert!(stderr.contains(told), "{arguments:?}: {stderr}");
        assert!(output.stdout.is_empty(), "{arguments:?}");
    }
}

#[test]
fn the_demonstration_prints_calls_that_do_what_it_says() {
    let home = TempDir::new().unwrap();
    let mut demo = Command::new(env!("CARGO_BIN_EXE_offergate"))
        .args(["serve", "--demo", "--listen=127.0.0.1:0", "--management-listen=127.0.0.1:0"])
        .env_clear()
        .env("HOME", home.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let stdout = BufReader::new(demo.stdout.take().unwrap());
    let banner = within_limit(move || {
        let lines = stdout.lines().map(Result::unwrap);
        lines.take_while(|line| !line.starts_with("More:")).collect::<Vec<_>>()
    });
    let banner = banner.join("\n").replace("\\\n", " ");
    let checks: Vec<_> = banner.lines().filter(|line| line.contains(" check ")).collect();
    assert_eq!(checks.len(), 2, "{banner}");
    for (line, outcome) in checks.into_iter().zip(["INELIGIBLE", "ELIGIBLE"]) {
        let output = Command::new("sh").arg("-c").arg(line).output().unwrap();
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(told.split_whitespace().next(), Some(outcome), "{line}: {told}");
    }
    demo.kill().unwrap();
    demo.wait().unwrap();
}
