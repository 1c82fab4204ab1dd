//! Somebody who can write everything but signatures alters the log: `audit verify` names the record, and
//! what was done to it.

use super::audit::Bank;
use rusqlite::Connection;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::fs;
use std::path::{Path, PathBuf};

/// A log of nine records that was exported, and checkpoints of it that were kept elsewhere.
struct Kept {
    bank: Bank,
    log: PathBuf,
    fourth: PathBuf,
    fifth: PathBuf,
    ninth: PathBuf,
}

impl Kept {
    fn new() -> Self {
        let bank = Bank::with_records(9);
        let server = bank.serve("rules.db");
        let log = bank.save(&server, &["export"], "log.jsonl");
        let [fourth, fifth, ninth] = ["4", "5", "9"].map(|size| {
            bank.save(&server, &["checkpoint", "--size", size], &format!("{size}.checkpoint"))
        });
        Self { bank, log, fourth, fifth, ninth }
    }

    /// The lines of the export, the checkpoint first.
    fn lines(&self) -> Vec<String> {
        fs::read_to_string(&self.log).unwrap().lines().map(str::to_owned).collect()
    }

    /// What is found in these lines, as `KIND first-last`.
    fn findings(&self, lines: &[String], checkpoints: &[&Path]) -> Vec<String> {
        let path = self.bank.path("tampered.jsonl");
        fs::write(&path, lines.join("\n") + "\n").unwrap();
        self.findings_in(&path, checkpoints)
    }

    fn findings_in(&self, log: &Path, checkpoints: &[&Path]) -> Vec<String> {
        let (report, intact) = self.bank.verify(log, checkpoints);
        let findings = report["findings"].as_array().unwrap();
        assert_eq!(intact, findings.is_empty());
        assert_eq!(report["verdict"], if intact { "INTACT" } else { "TAMPERED" });
        let named =
            |it: &Value| format!("{} {}-{}", it["kind"].as_str().unwrap(), it["first"], it["last"]);
        findings.iter().map(named).collect()
    }
}

/// Chains the records of an export anew, from its first one, as the documented formula says.
fn rechain(lines: &mut [String]) {
    let mut hash = [0_u8; 32];
    for line in lines.iter_mut().filter(|line| !line.starts_with("{\"checkpoint\"")) {
        let (start, entry) = line.split_once(",\"entry\":").unwrap();
        let entry = entry.strip_suffix('}').unwrap();
        let mut hasher = Sha256::new();
        hasher.update(hash);
        hasher.update(u64::try_from(entry.len()).unwrap().to_be_bytes());
        hasher.update(entry);
        hash = hasher.finalize().into();
        let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        let (revision, _) = start.split_once(",\"chain\":").unwrap();
        *line = format!("{revision},\"chain\":\"{hex}\",\"entry\":{entry}}}");
    }
}

#[test]
fn an_untouched_export_is_intact_and_a_line_is_what_was_stored() {
    let kept = Kept::new();
    let (report, intact) = kept.bank.verify(&kept.log, &[&kept.fourth, &kept.ninth]);
    assert!(intact);
    assert_eq!((&report["records"], &report["signed_to"]), (&9.into(), &9.into()));
    let stored: String = Connection::open(kept.bank.path("rules.db"))
        .unwrap()
        .query_row("SELECT entry FROM records WHERE revision = 3", [], |row| row.get(0))
        .unwrap();
    assert!(kept.lines()[3].ends_with(&format!(",\"entry\":{stored}}}")));
    let mut lines = kept.lines();
    rechain(&mut lines);
    assert_eq!(lines, kept.lines(), "the test chains as the store does");
}

#[test]
fn every_way_to_alter_an_export_is_found_and_the_record_is_named() {
    type Tamper = fn(&mut Vec<String>);
    let kept = Kept::new();
    let cases: [(&str, &[&str], Tamper); 9] = [
        ("a byte flipped in an entry", &["ALTERED 3-3"], |lines| {
            lines[3] = lines[3].replace("Vendor 3", "Vendor 2");
        }),
        ("a byte flipped in a hash", &["HASH_ALTERED 3-3"], |lines| {
            let place = lines[3].find("\"chain\":\"").unwrap() + 9;
            let digit = if lines[3].as_bytes()[place] == b'0' { "1" } else { "0" };
            lines[3].replace_range(place..=place, digit);
        }),
        ("a brace flipped", &["UNREADABLE 3-3"], |lines| lines[3] = lines[3].replace('}', "]")),
        ("a record deleted", &["DELETED 6-6"], |lines| drop(lines.remove(6))),
        ("two records swapped", &["REORDERED 6-6"], |lines| lines.swap(6, 7)),
        ("a record doubled", &["DOUBLED 6-6"], |lines| lines.insert(8, lines[6].clone())),
        ("the tail cut off", &["TRUNCATED 8-9"], |lines| lines.truncate(8)),
        ("changed and chained anew", &["RECHAINED 5-5"], |lines| {
            lines[5] = lines[5].replace("\"name\":\"ann\"", "\"name\":\"eve\"");
            rechain(lines);
        }),
        ("an earlier export, with nothing signed in it", &["TRUNCATED 7-9"], |lines| {
            lines.truncate(7);
            lines.remove(0);
        }),
    ];
    let all: [&Path; 3] = [&kept.fourth, &kept.fifth, &kept.ninth];
    for (what, expected, tamper) in cases {
        let mut lines = kept.lines();
        tamper(&mut lines);
        assert_eq!(kept.findings(&lines, &all), expected, "{what}");
    }
}

#[test]
fn a_log_that_was_chained_anew_is_found_by_its_own_signature_and_by_an_older_one() {
    let kept = Kept::new();
    let mut lines = kept.lines();
    lines[5] = lines[5].replace("\"name\":\"ann\"", "\"name\":\"eve\"");
    rechain(&mut lines);
    assert_eq!(kept.findings(&lines, &[]), ["RECHAINED 1-9"]);
    assert_eq!(kept.findings(&lines, &[&kept.fourth]), ["RECHAINED 5-9"]);
    lines.remove(0);
    assert_eq!(kept.findings(&lines, &[&kept.fifth]), ["RECHAINED 1-5"]);
    assert_eq!(
        kept.findings(&lines, &[&kept.fourth]),
        [""; 0],
        "what was never signed shows nothing"
    );
}

#[test]
fn records_after_the_end_that_an_export_signs_are_found_and_an_empty_line_is_nothing() {
    let kept = Kept::new();
    let mut lines = kept.lines();
    let signed = fs::read_to_string(&kept.fifth).unwrap();
    lines[0] = serde_json::json!({ "checkpoint": signed }).to_string();
    assert_eq!(kept.findings(&lines, &[]), ["ADDED 6-9"]);
    let mut lines = kept.lines();
    lines.push(String::new());
    assert_eq!(kept.findings(&lines, &[]), [""; 0]);
}

#[test]
fn every_way_to_alter_a_store_file_is_found_without_a_server() {
    let kept = Kept::new();
    for (what, expected, sql) in [
        ("untouched", &[][..], ""),
        (
            "an entry altered",
            &["ALTERED 3-3"],
            "UPDATE records SET entry = replace(entry, 'ann', 'eve') WHERE revision = 3",
        ),
        ("a record gone", &["DELETED 6-6"], "DELETE FROM records WHERE revision = 6"),
        ("the tail gone", &["TRUNCATED 8-9"], "DELETE FROM records WHERE 7 < revision"),
        (
            "two records swapped",
            &["REORDERED 6-6", "REORDERED 7-7"],
            "UPDATE records SET revision = 99 WHERE revision = 6;
             UPDATE records SET revision = 6 WHERE revision = 7;
             UPDATE records SET revision = 7 WHERE revision = 99",
        ),
        (
            "the tail gone, and the head with it",
            &["ROLLED_BACK 8-9"],
            "DELETE FROM records WHERE 7 < revision;
             UPDATE head SET revision = 7, chain = (SELECT chain FROM records WHERE revision = 7)",
        ),
        (
            "the head altered",
            &["HEAD_ALTERED 9-9"],
            "UPDATE head SET chain = lower(hex(randomblob(32)))",
        ),
    ] {
        let path = kept.bank.path("tampered.db");
        fs::copy(kept.bank.path("rules.db"), &path).unwrap();
        tamper(&path, sql);
        assert_eq!(kept.findings_in(&path, &[&kept.ninth]), expected, "{what}");
    }
}

#[test]
fn a_signature_of_another_key_or_a_changed_checkpoint_is_refused() {
    let kept = Kept::new();
    let changed = kept.bank.path("changed.checkpoint");
    fs::write(&changed, fs::read_to_string(&kept.ninth).unwrap().replace("\n9\n", "\n8\n"))
        .unwrap();
    let other = Bank::with_records(0).public;
    for (key, checkpoint, said) in [
        (&kept.bank.public, &changed, "its signature does not hold"),
        (&other, &kept.ninth, "it is not signed with this key"),
    ] {
        let mut command = super::server::offergate();
        command.args(["audit", "verify", "--key", key, "--log"]).arg(&kept.log);
        let output = command.arg("--checkpoint").arg(checkpoint).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        assert!(stderr.contains(said), "{stderr}");
    }
}

#[test]
fn the_log_of_another_history_is_told_apart_from_a_changed_one() {
    let (kept, other) = (Kept::new(), Bank::with_records(9));
    let mut command = super::server::offergate();
    command.args(["audit", "verify", "--key", &kept.bank.public, "--checkpoint"]).arg(&kept.ninth);
    let output = command.arg("--log").arg(other.path("rules.db")).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("this log is of history"), "{stderr}");
}

/// Runs SQL on a store that nobody has open, with its guards taken away.
fn tamper(path: &Path, sql: &str) {
    let file = Connection::open(path).unwrap();
    let guards: Vec<String> = file
        .prepare("SELECT name FROM sqlite_schema WHERE type = 'trigger'")
        .unwrap()
        .query_map([], |row| row.get(0))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    guards.iter().for_each(|name| file.execute_batch(&format!("DROP TRIGGER {name}")).unwrap());
    file.execute_batch(sql).unwrap();
}
