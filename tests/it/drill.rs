//! The drill of `make drill`, in its short form: Redis is lost whole, and everything comes back from a
//! journal.

use crate::server::in_repository;
use std::process::Command;

/// What the drill promises.
const PROMISES: [&str; 8] = [
    "the copy has all that was in effect",
    "nothing in it was altered",
    "the store stands where the replica stood",
    "what was enforced before the loss holds on every replica",
    "a change is enforced on all three",
    "it is intact, and signed",
    "what is suspended was never answered ELIGIBLE",
    "nothing was, while nobody knew the newest rules",
];

#[test]
fn a_redis_that_is_lost_whole_is_restored_from_a_replicas_journal() {
    let output = Command::new(crate::cli_clients::tool("python/bin/python"))
        .arg(in_repository("deploy/demo/drill.py"))
        .arg(env!("CARGO_BIN_EXE_offergate"))
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    let kept: Vec<&str> =
        told.lines().filter_map(|line| line.split_once("as promised: ")).map(|it| it.1).collect();
    let is_kept = kept == PROMISES && output.status.success();
    assert!(is_kept, "{told}{}", String::from_utf8_lossy(&output.stderr));
}
