//! `offergate audit replay` on one thread and on many: the same is printed, in the same order.

use crate::decision_log::{check, recording, records};
use crate::server::{Server, within_limit};
use offergate::client::Client;
use offergate::wire::proto;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;
use tempfile::TempDir;

/// Enough for several batches on each of several threads.
const RECORDS: usize = 4_000;

/// A log of many decisions, in a plain file and as it is; the server goes on.
async fn many(folder: &Path) -> (Server, PathBuf, Vec<String>) {
    let server = recording(folder);
    let log = folder.join("log");
    let client = Client::connect(&server.address, Duration::from_secs(20)).await.unwrap();
    for start in (0..RECORDS).step_by(1_000) {
        let requests = (start..start + 1_000).map(|number| check(&format!("c-{number}")));
        let requests = proto::BatchCheckEligibilityRequest { requests: requests.collect() };
        client.batch_check_eligibility(requests).await.unwrap();
    }
    let written = log.clone();
    let lines = tokio::task::spawn_blocking(move || {
        within_limit(move || {
            loop {
                let lines = records(&written);
                if lines.len() == RECORDS {
                    return lines;
                }
            }
        })
    });
    (server, log, lines.await.unwrap())
}

fn replay(server: &Server, what: &Path, more: &[&str]) -> Output {
    let arguments = ["audit", "replay", what.to_str().unwrap(), "-o", "json"];
    server.offergate().args(arguments).args(more).output().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_number_of_threads_prints_the_same_differences_in_the_order_of_the_records() {
    let folder = TempDir::new().unwrap();
    let (server, log, mut lines) = many(folder.path()).await;
    let alike = replay(&server, &log, &["--threads=3"]);
    assert_eq!(alike.status.code(), Some(0), "{}", String::from_utf8_lossy(&alike.stderr));
    let told: serde_json::Value = serde_json::from_slice(&alike.stdout).unwrap();
    assert_eq!((&told["replayed"], &told["differing"]), (&RECORDS.into(), &0.into()));

    let changed = folder.path().join("changed");
    for line in lines.iter_mut().step_by(37) {
        *line = line.replace("\"limit_ms\":5000", "\"limit_ms\":5001");
    }
    std::fs::write(&changed, lines.join("\n") + "\n").unwrap();
    let one = replay(&server, &changed, &["--threads=1"]);
    assert_eq!(one.status.code(), Some(1));
    let told: serde_json::Value = serde_json::from_slice(&one.stdout).unwrap();
    assert_eq!(told["differing"], RECORDS.div_ceil(37));
    let order: Vec<_> =
        told["differences"].as_array().unwrap().iter().map(|it| &it["seq"]).collect();
    assert!(order.is_sorted_by_key(|seq| seq.as_u64()), "{order:?}");
    for threads in ["--threads=2", "--threads=7"] {
        let several = replay(&server, &changed, &[threads]);
        assert_eq!(several.stdout, one.stdout, "{threads}");
    }

    // The first line that is none ends it, wherever others have got to.
    lines[1_234] = "{\"seq\":x}".to_owned();
    lines[2_345] = "{\"seq\":y}".to_owned();
    std::fs::write(&changed, lines.join("\n") + "\n").unwrap();
    for threads in ["--threads=1", "--threads=5"] {
        let broken = replay(&server, &changed, &[threads]);
        let said = String::from_utf8_lossy(&broken.stderr).into_owned();
        assert_eq!(broken.status.code(), Some(1), "{threads}");
        assert!(said.contains(":1235: the line is no record of a decision"), "{threads}: {said}");
    }
}
