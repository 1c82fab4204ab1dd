//! The log of changes as auditors and witnesses see it: keys, checkpoints, proofs, exports.

use super::server::{LIMIT, Server, in_repository, offergate};
use super::store_contents::{apply_next, block_on, content, store_of};
use offergate::audit::{Checkpoint, TreeHash, VerifierKey, verify_consistency, verify_inclusion};
use offergate::client::{Client, ClientError, ErrorKind};
use offergate::clock::{Clock, SystemClock};
use offergate::store::embedded::{EmbeddedStore, OpenError};
use offergate::wire::proto;
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;
use tempfile::TempDir;

/// A folder with a key and a store of some records.
pub(crate) struct Bank {
    folder: TempDir,
    /// The verifier key.
    pub(crate) public: String,
}

impl Bank {
    pub(crate) fn with_records(count: u64) -> Self {
        let folder = TempDir::new().unwrap();
        let key = folder.path().join("audit.key");
        let made = offergate().args(["audit", "keygen", "--key-file"]).arg(&key).output().unwrap();
        assert!(made.status.success());
        store_of(&folder.path().join("rules.db"), count);
        let public = String::from_utf8(made.stdout).unwrap().trim_end().to_owned();
        Self { folder, public }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Starts a server on the store, or on another file.
    pub(crate) fn serve(&self, store: &str) -> Server {
        let key = self.path("audit.key");
        Server::start_on(&self.path(store), &["--audit-key-file", key.to_str().unwrap()])
    }

    /// Adds records to the store, which no server may have.
    pub(crate) fn grow(&self, from: u64, to: u64) {
        // Another test may have forked while the file was open: see `InFolder`.
        let (path, start) = (self.path("rules.db"), SystemClock.boot());
        let store = loop {
            match EmbeddedStore::open(&path) {
                Ok(store) => break store,
                Err(OpenError::InUse { .. }) if SystemClock.boot() - start < LIMIT => {
                    std::thread::yield_now();
                }
                Err(error) => panic!("cannot be opened: {error}"),
            }
        };
        for number in from..=to {
            let content = content(&format!("request-{number}"), number);
            block_on(apply_next(&store, &content)).unwrap();
        }
    }

    /// Runs `audit ...` against a server; its output goes to a file of this name.
    pub(crate) fn save(&self, server: &Server, arguments: &[&str], name: &str) -> PathBuf {
        let output = server.offergate().arg("audit").args(arguments).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        fs::write(self.path(name), output.stdout).unwrap();
        self.path(name)
    }

    /// Verifies a log file with checkpoints; the report and whether it said that all is well.
    pub(crate) fn verify(&self, log: &Path, checkpoints: &[&Path]) -> (Value, bool) {
        let mut command = offergate();
        command.args(["audit", "verify", "--key", &self.public, "-o", "json", "--log"]).arg(log);
        for path in checkpoints {
            command.arg("--checkpoint").arg(path);
        }
        report(&command.output().unwrap())
    }
}

/// The report of `audit verify`, and whether it ended well.
pub(crate) fn report(output: &Output) -> (Value, bool) {
    let report = serde_json::from_slice(&output.stdout);
    let report = report.unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    match output.status.code() {
        Some(0) => (report, true),
        Some(1) => (report, false),
        other => panic!("ended with {other:?}: {report}"),
    }
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Asks a server, with a client of its own.
fn ask<T>(
    server: &Server,
    work: impl AsyncFnOnce(Client) -> Result<T, ClientError>,
) -> Result<T, ClientError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let client = Client::connect(&server.address, Duration::from_secs(30)).await.unwrap();
        work(client).await
    })
}

fn hash(bytes: &[u8]) -> TreeHash {
    TreeHash(bytes.try_into().unwrap())
}

fn hashes(list: &[Vec<u8>]) -> Vec<TreeHash> {
    list.iter().map(|bytes| hash(bytes)).collect()
}

#[test]
fn every_record_is_proven_in_the_checkpoint_of_every_size_and_sizes_in_one_another() {
    let bank = Bank::with_records(9);
    let server = bank.serve("rules.db");
    let key = VerifierKey::parse(&bank.public).unwrap();
    ask(&server, async |client| {
        let request = proto::ListRecordsRequest { page_size: 5, page_token: String::new() };
        let first = client.list_records(request).await?;
        assert_eq!((first.records.len(), first.next_page_token.as_str()), (5, "5"));
        let request = proto::ListRecordsRequest { page_size: 5, page_token: first.next_page_token };
        let rest = client.list_records(request).await?;
        assert_eq!((rest.records.len(), rest.next_page_token.as_str()), (4, ""));
        let records = [first.records, rest.records].concat();

        let mut roots = Vec::new();
        for size in 0..=9 {
            let response =
                client.get_checkpoint(proto::GetCheckpointRequest { size: Some(size) }).await?;
            let checkpoint = Checkpoint::open(&response.checkpoint, &key).unwrap();
            assert_eq!(checkpoint.size.0, size);
            if let Some(last) = usize::try_from(size).unwrap().checked_sub(1) {
                assert_eq!(checkpoint.chain.to_string(), records[last].chain);
            }
            for record in &records[..usize::try_from(size).unwrap()] {
                let (revision, size) = (record.revision, Some(size));
                let request = proto::GetInclusionProofRequest { revision, size };
                let proof = client.get_inclusion_proof(request).await?;
                let leaf = TreeHash::leaf(&record.entry);
                assert_eq!((hash(&proof.leaf), hash(&proof.root)), (leaf, checkpoint.root));
                let path = hashes(&proof.hashes);
                let verified =
                    verify_inclusion(leaf, revision - 1, proof.size, checkpoint.root, &path);
                assert_eq!(verified, Ok(()));
            }
            roots.push(checkpoint.root);
        }
        for (from, to) in (0..10).flat_map(|to| (0..=to).map(move |from| (from, to))) {
            let request = proto::GetConsistencyProofRequest {
                from_size: u64::try_from(from).unwrap(),
                to_size: Some(u64::try_from(to).unwrap()),
            };
            let (from_size, to_size) = (request.from_size, request.to_size.unwrap());
            let proof = client.get_consistency_proof(request).await?;
            let path = hashes(&proof.hashes);
            let verified = verify_consistency(from_size, to_size, roots[from], roots[to], &path);
            assert_eq!(verified, Ok(()), "{from} to {to}");
        }
        Ok(())
    })
    .unwrap();
}

#[test]
fn the_tree_grows_with_each_change_and_what_was_signed_before_is_its_beginning() {
    let bank = Bank::with_records(3);
    let server = bank.serve("rules.db");
    let before = bank.save(&server, &["checkpoint"], "before");
    let rules = in_repository("deploy/demo/barclays.rules.yaml");
    server.by_two(&["apply", rules.to_str().unwrap()]);
    let witness = bank.path("witness");
    fs::copy(&before, &witness).unwrap();
    let watch = || {
        let mut command = server.offergate();
        command.args(["audit", "watch", "--once", "--lag", "0s", "--key", &bank.public]);
        command.arg("--checkpoint-file").arg(&witness).output().unwrap()
    };
    let seen = watch();
    assert!(seen.status.success(), "{}", stderr(&seen));
    let said = String::from_utf8(seen.stdout).unwrap();
    assert!(said.starts_with("size 5 continues size 3"), "{said}");
    assert!(watch().stdout.is_empty(), "nothing is new the second time");
    let verified = server
        .offergate()
        .args(["audit", "verify", "--key", &bank.public, "-o", "json"])
        .arg("--checkpoint")
        .arg(&before)
        .output()
        .unwrap();
    let (report, intact) = report(&verified);
    assert!(intact);
    assert_eq!((&report["signed_to"], &report["verdict"]), (&5.into(), &"INTACT".into()));
}

#[test]
fn a_witness_refuses_a_log_that_went_back_and_keeps_the_proof() {
    let bank = Bank::with_records(6);
    fs::copy(bank.path("rules.db"), bank.path("old.db")).unwrap();
    bank.grow(7, 9);
    let witness = bank.path("witness");
    let watch = |server: &Server| {
        let mut command = server.offergate();
        command.args(["audit", "watch", "--once", "--lag", "0s", "--key", &bank.public]);
        command.arg("--checkpoint-file").arg(&witness).output().unwrap()
    };
    assert!(watch(&bank.serve("rules.db")).status.success());
    let kept = fs::read_to_string(&witness).unwrap();

    let rolled_back = bank.serve("old.db");
    let refused = watch(&rolled_back);
    assert_eq!(refused.status.code(), Some(1));
    assert!(stderr(&refused).contains("it went back from size 9 to 6"), "{}", stderr(&refused));
    assert_eq!(fs::read_to_string(&witness).unwrap(), kept);
    assert!(fs::read_to_string(bank.path("witness.refused")).unwrap().contains("\n6\n"));

    let verified = rolled_back
        .offergate()
        .args(["audit", "verify", "--key", &bank.public, "-o", "json"])
        .arg("--checkpoint")
        .arg(&witness)
        .output()
        .unwrap();
    let (report, intact) = report(&verified);
    assert!(!intact);
    assert_eq!(report["findings"][0]["kind"], "ROLLED_BACK");
    assert_eq!(
        (&report["findings"][0]["first"], &report["findings"][0]["last"]),
        (&7.into(), &9.into())
    );
}

#[test]
fn without_a_key_nothing_is_signed_and_the_reason_says_what_to_set() {
    let folder = TempDir::new().unwrap();
    store_of(&folder.path().join("rules.db"), 2);
    let server = Server::start_on(&folder.path().join("rules.db"), &[]);
    let refused = ask(&server, async |client| {
        client.get_checkpoint(proto::GetCheckpointRequest { size: None }).await
    });
    let refused = refused.unwrap_err();
    assert_eq!(refused.reason.as_deref(), Some("AUDIT_KEY_UNSET"));
    assert!(refused.to_string().contains("audit_key_file"), "{refused}");
    let unsigned = |arguments: &[&str]| {
        server.offergate().args(["audit", "verify"]).args(arguments).output().unwrap()
    };
    let key = Bank::with_records(0).public;
    let nothing = unsigned(&["--key", &key]);
    assert_eq!(
        nothing.status.code(),
        Some(2),
        "a key alone proves nothing of a log without signature"
    );
    let chained = unsigned(&["--unsigned"]);
    assert!(chained.status.success(), "{}", stderr(&chained));
    let said = String::from_utf8(chained.stdout).unwrap();
    assert!(said.contains("nobody signed them"), "{said}");
}

#[test]
fn what_is_not_there_is_out_of_range_and_what_makes_no_sense_is_refused() {
    let bank = Bank::with_records(3);
    let server = bank.serve("rules.db");
    let inclusion = |revision, size| {
        let request = proto::GetInclusionProofRequest { revision, size };
        ask(&server, async |client| client.get_inclusion_proof(request).await).unwrap_err()
    };
    let consistency = |from_size, to_size| {
        let request = proto::GetConsistencyProofRequest { from_size, to_size };
        ask(&server, async |client| client.get_consistency_proof(request).await).unwrap_err()
    };
    for ahead in
        [inclusion(4, None), inclusion(1, Some(4)), consistency(4, None), consistency(1, Some(4))]
    {
        assert_eq!(ahead.reason.as_deref(), Some("REVISION_AHEAD"), "{ahead}");
    }
    for invalid in [inclusion(0, None), inclusion(3, Some(2)), consistency(3, Some(2))] {
        assert_eq!(invalid.kind, ErrorKind::Invalid, "{invalid}");
    }
}

#[test]
fn a_key_that_others_can_read_or_that_is_none_stops_the_start_and_one_is_never_written_over() {
    let bank = Bank::with_records(0);
    let key = bank.path("audit.key");
    let store = bank.path("rules.db");
    let start = || {
        let mut command = offergate();
        command.env("OFFERGATE_ANONYMOUS", "everything");
        command.args(["serve", "--listen", "127.0.0.1:0", "--management-listen", "127.0.0.1:0"]);
        command.arg("--store").arg(&store).arg("--audit-key-file").arg(&key).output().unwrap()
    };
    let mode = fs::metadata(&key).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
    fs::set_permissions(&key, fs::Permissions::from_mode(0o640)).unwrap();
    let refused = start();
    assert_eq!(refused.status.code(), Some(1));
    assert!(stderr(&refused).contains("mode 0640"), "{}", stderr(&refused));

    let before = fs::read_to_string(&key).unwrap();
    let again = offergate().args(["audit", "keygen", "--key-file"]).arg(&key).output().unwrap();
    assert_eq!(again.status.code(), Some(4));
    assert_eq!(fs::read_to_string(&key).unwrap(), before);

    fs::write(&key, before.replace("PRIVATE", "PRIVATF")).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    let refused = start();
    assert_eq!(refused.status.code(), Some(1));
    let secret = before.trim_end().rsplit('+').next().unwrap();
    assert!(!stderr(&refused).contains(secret), "the key is not in the message");
}

#[test]
fn the_demonstration_makes_itself_a_key_and_keeps_it() {
    let folder = TempDir::new().unwrap();
    let store = folder.path().join("demo/rules.db");
    let checkpoint = || {
        let server = Server::start_on(&store, &["--demo"]);
        let answer = server.json(&["audit", "checkpoint"]);
        answer["verifier_key"].as_str().unwrap().to_owned()
    };
    let first = checkpoint();
    assert_eq!(checkpoint(), first);
    let mode = fs::metadata(folder.path().join("demo/audit.key")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}
