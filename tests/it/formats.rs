//! The stored files of every version that wrote another format, as that version's own binary left them
//! (`tests/formats`): each opens, verifies, decides as it did, is brought up to date whole or not at all, and
//! goes on. What a later version wrote is refused by name, and left as it was.

use crate::server::{Server, in_repository, offergate};
use offergate::domain::ChainHash;
use serde::Deserialize;
use serde_json::{Value, json};
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// What was kept of each version, and the formats in it: of the store, and of its records.
const VERSIONS: [(&str, i64, u64); 3] =
    [("store-1-records-1", 1, 1), ("store-2-records-1", 2, 1), ("store-2-records-2", 2, 2)];

/// The format that this version writes.
const NEWEST: i64 = 3;

/// What a version's binary said about its own files.
#[derive(Debug, Deserialize)]
struct Told {
    answers: Vec<Answer>,
    revision: u64,
    token: String,
    export: String,
    journal_revision: Option<u64>,
}

#[derive(Debug, Deserialize)]
struct Answer {
    flags: Vec<String>,
    #[serde(flatten)]
    decision: Decision,
}

#[derive(Debug, PartialEq, Eq, Deserialize)]
struct Decision {
    outcome: String,
    reasons: Vec<String>,
    suspensions: Vec<String>,
    exemptions: Vec<String>,
}

/// A version's folder, and a copy of its files to work on.
struct Kept {
    told: Told,
    folder: PathBuf,
    copy: TempDir,
}

impl Kept {
    fn of(version: &str) -> Self {
        let folder = in_repository("tests/formats").join(version);
        let told = fs::read_to_string(folder.join("told.json")).unwrap();
        Self { told: serde_json::from_str(&told).unwrap(), folder, copy: TempDir::new().unwrap() }
    }

    /// A copy of one of its files.
    fn copy(&self, name: &str) -> PathBuf {
        let path = self.copy.path().join(name);
        fs::copy(self.folder.join(name), &path).unwrap();
        path
    }
}

/// All records, in words that no code of ours has read.
fn records(path: &Path) -> Vec<(i64, String, String, String)> {
    let file = rusqlite::Connection::open(path).unwrap();
    let mut select = file
        .prepare("SELECT revision, chain, request_id, entry FROM records ORDER BY revision")
        .unwrap();
    let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?));
    select.query_map([], row).unwrap().map(Result::unwrap).collect()
}

fn format_of(path: &Path) -> i64 {
    let file = rusqlite::Connection::open(path).unwrap();
    file.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap()
}

/// What `audit verify` says first of a file.
fn verdict(log: &Path, more: &[&Path]) -> String {
    let mut command = offergate();
    command.args(["audit", "verify", "--log"]).arg(log);
    match more {
        [key, checkpoint] => {
            command.arg("--key").arg(key).arg("--checkpoint").arg(checkpoint);
        }
        _ => {
            command.arg("--unsigned");
        }
    }
    let output = command.output().unwrap();
    let [told, said] = [output.stdout, output.stderr].map(|it| String::from_utf8(it).unwrap());
    told.lines().next().map_or(said, str::to_owned)
}

fn intact(count: u64) -> String {
    format!("INTACT: {count} records, ")
}

/// What a server answers to a question that was asked of the version before.
fn decision(server: &Server, flags: &[String], more: &[&str]) -> Decision {
    let flags = flags.iter().map(String::as_str);
    let told = server
        .json(&["check"].into_iter().chain(flags).chain(more.iter().copied()).collect::<Vec<_>>());
    let texts = |list: &Value, text: &dyn Fn(&Value) -> String| {
        list.as_array().unwrap().iter().map(text).collect::<Vec<_>>()
    };
    let reason = |reason: &Value| match reason["attribute"].as_str() {
        Some(attribute) => format!("{}:{attribute}", reason["code"].as_str().unwrap()),
        None => reason["code"].as_str().unwrap().to_owned(),
    };
    Decision {
        outcome: told["outcome"].as_str().unwrap().to_owned(),
        reasons: texts(&told["reasons"], &reason),
        suspensions: texts(&told["suspensions"], &|it| it["id"].as_str().unwrap().to_owned()),
        exemptions: texts(&told["exemptions"], &|it| it.as_str().unwrap().to_owned()),
    }
}

/// The server decides as its predecessor did.
fn decides_as_it_did(server: &Server, told: &Told) {
    for answer in &told.answers {
        let decision = decision(server, &answer.flags, &[]);
        assert_eq!(decision, answer.decision, "{:?}", answer.flags);
    }
}

/// The server decides as its predecessor did, and has the same rules.
fn is_as_it_was(server: &Server, told: &Told) {
    decides_as_it_did(server, told);
    let exported = server.offergate().arg("export").output().unwrap();
    assert_eq!(String::from_utf8(exported.stdout).unwrap(), told.export);
}

#[test]
fn every_version_that_is_listed_is_kept_and_no_other() {
    let folders = fs::read_dir(in_repository("tests/formats")).unwrap().map(Result::unwrap);
    let folders = folders.filter(|entry| entry.path().is_dir());
    let mut names: Vec<_> = folders.map(|entry| entry.file_name().into_string().unwrap()).collect();
    names.sort();
    assert_eq!(names, VERSIONS.map(|(name, ..)| name));
    for (name, store, of_records) in VERSIONS {
        let kept = Kept::of(name);
        let file = kept.copy("rules.db");
        assert_eq!(format_of(&file), store, "{name}");
        for (_, _, _, entry) in records(&file) {
            let entry: Value = serde_json::from_str(&entry).unwrap();
            assert_eq!(entry["format"], json!(of_records), "{name}");
        }
    }
}

#[test]
fn a_store_of_each_version_decides_as_it_did_and_goes_on_with_its_old_records_untouched() {
    for (name, store, _) in VERSIONS {
        let kept = Kept::of(name);
        for file in ["rules.db", "restored.db"] {
            let path = kept.copy(file);
            let before = records(&path);
            let count = u64::try_from(before.len()).unwrap();
            assert_eq!(count, kept.told.revision, "{name}/{file}");
            let said = verdict(&path, &[]);
            assert!(said.starts_with(&intact(count)), "{name}/{file}: {said}");

            let mut server = Server::start_on(&path, &[]);
            is_as_it_was(&server, &kept.told);
            // A token of then is one of this history; to what was restored it is one of another. With format 1
            // a restored store continued the history that it was taken from.
            let asked = &kept.told.answers[0].flags;
            let eligible = ["--holding=ACTIVE", "--action=USE"];
            let with =
                |flag: &String| !flag.starts_with("--holding") && !flag.starts_with("--action");
            let asked: Vec<String> = asked.iter().filter(|flag| with(flag)).cloned().collect();
            let more = [eligible[0], eligible[1], "--token", &kept.told.token];
            let outcome = decision(&server, &asked, &more).outcome;
            let continues = file == "rules.db" || store == 1;
            let expected = if continues { "ELIGIBLE" } else { "INDETERMINATE" };
            assert_eq!(outcome, expected, "{name}/{file}");

            let suspend =
                ["suspend", "offer", "avast-12m", "--id=s-new", "--reason=r", "--ticket=t"];
            server.by_two(&suspend);
            server.signal("TERM");
            assert_eq!(server.wait().code(), Some(0));
            assert_eq!(format_of(&path), NEWEST, "{name}/{file}");
            let after = records(&path);
            assert_eq!(after[..before.len()], before, "{name}/{file}");
            assert_eq!(after.len(), before.len() + 2);
            let said = verdict(&path, &[]);
            assert!(said.starts_with(&intact(count + 2)), "{name}/{file}: {said}");
        }
    }
}

#[test]
fn a_backup_of_each_version_restores_into_todays_store() {
    for (name, ..) in VERSIONS {
        let kept = Kept::of(name);
        let (backup, target) = (kept.copy("rules.db"), kept.copy.path().join("new.db"));
        let restored = offergate().arg("restore").arg(&backup).arg("--store").arg(&target).output();
        assert!(restored.unwrap().status.success(), "{name}");
        assert_eq!(fs::read(&backup).unwrap(), fs::read(kept.folder.join("rules.db")).unwrap());
        assert_eq!((format_of(&target), records(&target)), (NEWEST, records(&backup)), "{name}");
        is_as_it_was(&Server::start_on(&target, &[]), &kept.told);
    }
}

#[test]
fn a_journal_of_each_version_is_restored_and_a_replica_starts_from_it() {
    for (name, ..) in VERSIONS {
        let kept = Kept::of(name);
        let Some(revision) = kept.told.journal_revision else { continue };
        let (journal, target) = (kept.copy("journal.db"), kept.copy.path().join("new.db"));
        let said = verdict(&journal, &[]);
        assert!(said.starts_with(&intact(revision)), "{name}: {said}");
        let restored =
            offergate().arg("restore").arg(&journal).arg("--store").arg(&target).output();
        assert!(restored.unwrap().status.success(), "{name}");
        // Its changes were made at other instants than those of the store beside it.
        decides_as_it_did(&Server::start_on(&target, &[]), &kept.told);

        // Nobody listens on port 1: the store is away.
        let more = ["--replica", "r1", "--journal", journal.to_str().unwrap()];
        let replica = Server::start_on(Path::new("redis://127.0.0.1:1"), &more);
        for answer in &kept.told.answers {
            let now = decision(&replica, &answer.flags, &[]);
            match answer.decision.outcome.as_str() {
                "INELIGIBLE" => assert_eq!(now, answer.decision, "{name}"),
                _ if answer.decision.reasons == ["NOT_GATED"] => assert_eq!(now, answer.decision),
                _ => assert_eq!(now.outcome, "INDETERMINATE", "{name}: {answer:?}"),
            }
        }
    }
}

#[test]
fn a_decision_log_of_each_version_verifies_and_is_decided_again_with_no_difference() {
    let mut found = 0;
    for (name, ..) in VERSIONS {
        let kept = Kept::of(name);
        let (log, key) = (kept.folder.join("decisions"), kept.folder.join("audit.pub"));
        if !log.is_dir() {
            continue;
        }
        found += 1;
        let verify = ["audit", "decisions", "verify", "--key"];
        let output = offergate().args(verify).arg(&key).arg(&log).output().unwrap();
        let told = String::from_utf8(output.stdout).unwrap();
        let count = kept.told.answers.len();
        assert!(told.starts_with(&format!("INTACT: {count} records")), "{name}: {told}");
        let path = kept.copy("rules.db");
        let server = Server::start_on(&path, &[]);
        let output = server.offergate().args(["audit", "replay"]).arg(&log).output().unwrap();
        let told = String::from_utf8(output.stdout).unwrap();
        let same = format!("{count} decisions decided again: no difference");
        assert!(told.starts_with(&same), "{name}: {told}");
    }
    assert!(0 < found);
}

#[test]
fn what_each_version_signed_verifies_and_is_what_its_store_holds() {
    let mut found = 0;
    for (name, ..) in VERSIONS {
        let kept = Kept::of(name);
        let (key, checkpoint) = (kept.folder.join("audit.pub"), kept.folder.join("checkpoint"));
        if checkpoint.is_file() {
            found += 1;
            let signed = verdict(&kept.copy("rules.db"), &[&key, &checkpoint]);
            assert!(signed.starts_with(&intact(kept.told.revision)), "{name}: {signed}");
        }
    }
    assert_eq!(found, 2);
}

/// Kills the server at each write in turn, from its first to the one that it does not come to.
#[test]
fn an_upgrade_that_is_killed_at_any_write_has_happened_or_has_not() {
    if Command::new("strace").arg("-V").stdout(Stdio::null()).status().is_err() {
        // Not by a macro, whose words the harness would hide.
        let _ = writeln!(std::io::stderr(), "SKIPPED for want of strace: the killed upgrades");
        return;
    }
    let kept = Kept::of("store-1-records-1");
    let former = kept.copy("rules.db");
    let original = records(&former);
    let (mut kills, mut formats) = (0, [0, 0, 0]);
    for call in ["pwrite64", "fsync"] {
        for number in 1.. {
            assert!(number < 200, "it never comes to an end");
            let folder = TempDir::new().unwrap();
            let path = folder.path().join("rules.db");
            fs::copy(&former, &path).unwrap();
            if !killed_at(&path, call, number) {
                break;
            }
            kills += 1;
            let format = format_of(&path);
            formats[usize::try_from(format - 1).unwrap()] += 1;
            assert_eq!(records(&path), original, "{call} {number}");
            let said = verdict(&path, &[]);
            assert!(said.starts_with("INTACT"), "{call} {number}: {said}");
            is_as_it_was(&Server::start_on(&path, &[]), &kept.told);
            assert_eq!(format_of(&path), NEWEST);
        }
    }
    // Both sides of the one step were seen, and nothing between.
    let [before, between, after] = formats;
    assert!(0 < before && between == 0 && 0 < after, "{kills} kills: {formats:?}");
}

/// Starts a server on a store and kills it at its n-th call of this kind; whether it came to that before it
/// listened.
fn killed_at(path: &Path, call: &str, number: u32) -> bool {
    let inject = format!("inject={call}:signal=KILL:when={number}");
    let mut strace = Command::new("strace")
        .args(["-f", "-o", "/dev/null", "-e", &format!("trace={call}"), "-e", &inject])
        .arg(env!("CARGO_BIN_EXE_offergate"))
        .env("OFFERGATE_ANONYMOUS", "everything")
        .env("RUST_LOG", "off")
        .args(["serve", "--listen=127.0.0.1:0", "--management-listen=127.0.0.1:0", "--store"])
        .arg(path)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut stdout = std::io::BufReader::new(strace.stdout.take().unwrap());
    std::io::BufRead::read_line(&mut stdout, &mut line).unwrap();
    let listens = line.starts_with("listening on ");
    if listens {
        // strace ends when what it traces does.
        let children = format!("/proc/{0}/task/{0}/children", strace.id());
        let traced = fs::read_to_string(children).unwrap();
        let ended = Command::new("kill").arg("-KILL").arg(traced.trim()).status().unwrap();
        assert!(ended.success());
    }
    strace.wait().unwrap();
    !listens
}

#[test]
fn what_a_later_version_wrote_is_refused_by_its_format_and_left_as_it_was() {
    let kept = Kept::of("store-2-records-2");
    let store = kept.copy("rules.db");
    let file = rusqlite::Connection::open(&store).unwrap();
    file.pragma_update(None, "user_version", NEWEST + 1).unwrap();
    drop(file);
    is_refused(
        &store,
        "has format 4, and this version reads formats up to 3; use the version that wrote it",
    );

    // A record of a later format, chained as it should be.
    let store = kept.copy("restored.db");
    let file = rusqlite::Connection::open(&store).unwrap();
    let (revision, chain): (i64, String) = file
        .query_row("SELECT revision, chain FROM head", [], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap();
    let (next, entry) = (revision + 1, format!("{{\"format\":4,\"revision\":{}}}", revision + 1));
    let chain = hash_of(ChainHash::parse(&chain).unwrap(), &entry);
    file.execute("INSERT INTO records VALUES (?1, ?2, 'later', ?3)", (next, &chain, &entry))
        .unwrap();
    file.execute("UPDATE head SET revision = ?1, chain = ?2", (next, &chain)).unwrap();
    drop(file);
    is_refused(&store, "holds a record that a later version wrote, at revision");
    is_refused(&store, "entry has format 4; this version reads formats 1 to 3");

    let segment = fs::read_dir(kept.folder.join("decisions")).unwrap().next().unwrap().unwrap();
    let log = kept.copy.path().join(segment.file_name());
    let text = fs::read_to_string(segment.path()).unwrap();
    fs::write(&log, text.replacen("\"format\":1", "\"format\":2", 1)).unwrap();
    let verify = ["audit", "decisions", "verify", "--unsigned"];
    let output = offergate().args(verify).arg(&log).output().unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{told}");
    let later = "LATER_FORMAT: segment 1, line 1: the segment has format 2, and this version reads formats \
                 up to 1; use the version that wrote it";
    assert!(told.contains(later), "{told}");
}

/// The documented formula.
fn hash_of(before: ChainHash, entry: &str) -> String {
    use sha2::{Digest, Sha256};
    let mut bytes = before.0.to_vec();
    bytes.extend(u64::try_from(entry.len()).unwrap().to_be_bytes());
    bytes.extend(entry.as_bytes());
    Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// No server starts on it, and it is as it was.
fn is_refused(store: &Path, why: &str) {
    let before = fs::read(store).unwrap();
    let free = ["--listen=127.0.0.1:0", "--management-listen=127.0.0.1:0"];
    let mut command = offergate();
    command.env("OFFERGATE_ANONYMOUS", "everything").arg("serve").args(free);
    let output = command.arg("--store").arg(store).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(output.stdout.is_empty());
    // Long lines are folded at the terminal's width.
    let said: Vec<&str> = said.split_whitespace().filter(|word| *word != "│").collect();
    assert!(said.join(" ").contains(why), "{said:?}");
    assert_eq!(fs::read(store).unwrap(), before);
}
