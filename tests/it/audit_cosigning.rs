//! Several servers sign one checkpoint, each with a key of its own, and whoever verifies asks for all of
//! them.

use super::audit::{Bank, report};
use super::server::{Server, offergate};
use super::store_contents::{apply_next, block_on, naming};
use offergate::audit::{Checkpoint, VerifierKey};
use offergate::domain::Revision;
use offergate::store::embedded::EmbeddedStore;
use serde_json::Value;
use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, Output, Stdio};

/// A second server with a key of its own, on a copy of the same log.
fn witness(bank: &Bank) -> String {
    let key = bank.path("witness.key");
    let made =
        offergate().args(["audit", "keygen", "--name", "r2", "--key-file"]).arg(&key).output();
    fs::copy(bank.path("rules.db"), bank.path("copy.db")).unwrap();
    String::from_utf8(made.unwrap().stdout).unwrap().trim_end().to_owned()
}

fn serve_witness(bank: &Bank) -> Server {
    let key = bank.path("witness.key");
    Server::start_on(&bank.path("copy.db"), &["--audit-key-file", key.to_str().unwrap()])
}

fn cosigned(first: &Server, second: &Server) -> Output {
    let mut command = first.offergate();
    command.args(["audit", "checkpoint", "--cosigner", &second.address]).output().unwrap()
}

#[test]
fn a_checkpoint_that_two_servers_signed_is_verified_with_both_keys_and_with_neither_missing() {
    let bank = Bank::with_records(5);
    let second_key = witness(&bank);
    let (first, second) = (bank.serve("rules.db"), serve_witness(&bank));
    let answer = cosigned(&first, &second);
    assert!(answer.status.success(), "{}", String::from_utf8_lossy(&answer.stderr));
    let (both, alone) = (bank.path("both.checkpoint"), bank.path("alone.checkpoint"));
    fs::write(&both, &answer.stdout).unwrap();
    bank.save(&first, &["checkpoint"], "alone.checkpoint");
    let log = bank.save(&first, &["export"], "log.jsonl");
    let verify = |checkpoint| {
        let mut command = offergate();
        command.args(["audit", "verify", "-o", "json", "--key", &bank.public]);
        command.args(["--key", &second_key, "--log"]).arg(&log).arg("--checkpoint");
        command.arg(checkpoint).output().unwrap()
    };
    let (verdict, intact) = report(&verify(&both));
    assert!(intact, "{verdict}");
    assert_eq!(verdict["signed_to"], 5);
    let refused = verify(&alone);
    assert_eq!(refused.status.code(), Some(1));
    let why = String::from_utf8(refused.stderr).unwrap();
    assert!(why.contains("not signed with this key"), "{why}");
}

#[test]
fn two_servers_that_hold_other_histories_do_not_cosign_and_both_notes_are_shown() {
    let bank = Bank::with_records(5);
    witness(&bank);
    bank.grow(6, 6);
    let store = EmbeddedStore::open(&bank.path("copy.db")).unwrap();
    block_on(apply_next(&store, &naming("request-6", 6, "Another vendor"))).unwrap();
    drop(store);
    let (first, second) = (bank.serve("rules.db"), serve_witness(&bank));
    let refused = cosigned(&first, &second);
    assert_eq!(refused.status.code(), Some(1));
    assert!(refused.stdout.is_empty());
    let why = String::from_utf8(refused.stderr).unwrap();
    assert!(why.contains("has signed another history of the same size"), "{why}");
    assert_eq!(why.matches("offergate/").count(), 2, "both notes are shown: {why}");
}

#[test]
fn the_ordinary_log_holds_a_checkpoint_that_verifies() {
    let bank = Bank::with_records(3);
    let key = VerifierKey::parse(&bank.public).unwrap();
    let mut server = Command::new(env!("CARGO_BIN_EXE_offergate"))
        .env_clear()
        .env("OFFERGATE_ANONYMOUS", "everything")
        .args(["serve", "--listen", "127.0.0.1:0", "--management-listen", "127.0.0.1:0"])
        .args(["--log-format", "json", "--store"])
        .arg(bank.path("rules.db"))
        .arg("--audit-key-file")
        .arg(bank.path("audit.key"))
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(server.stderr.take().unwrap()).lines();
    let lines = lines.map(|line| serde_json::from_str::<Value>(&line.unwrap()).unwrap());
    let mut told = lines.filter_map(|line| line["checkpoint"].as_str().map(str::to_owned));
    let checkpoint = Checkpoint::open(&told.next().unwrap(), &key).unwrap();
    server.kill().unwrap();
    server.wait().unwrap();
    assert_eq!(checkpoint.size, Revision(3));
}
