//! An emptied store, and what people do then: the steps of `deploy/runbooks/disaster.md`, with the program
//! that they have.

use super::faults::Faults;
use super::fleet::{Fleet, JOURNAL, SIZE};
use super::history::{Emptied, Event};
use super::load::now;
use serde_json::Value;
use std::process::Command;
use std::time::Duration;

/// How often people try again what did not work.
const ATTEMPTS: usize = 100;
const PAUSE: Duration = Duration::from_millis(100);

impl Faults<'_> {
    /// Empties the store for longer than any lease, and fills it again from the journal of the replica
    /// that got furthest. The one that is `apart` hears of none of it.
    pub(crate) async fn empty_and_restore(
        &self,
        number: u64,
        apart: Option<usize>,
        empty: Duration,
    ) {
        tokio::task::block_in_place(|| self.fleet.empty());
        let from = now();
        tokio::time::sleep(empty).await;
        for replica in (0..SIZE).filter(|replica| Some(*replica) != apart) {
            self.until_it_says_that_all_is_lost(replica).await;
        }
        let until = tokio::task::block_in_place(|| {
            let copy = copy_of_the_furthest(self.fleet, number);
            let until = now();
            restore(self.fleet, &copy, self.limit);
            until
        });
        self.run.note(Event::Emptied(Emptied { from, until }));
    }

    async fn until_it_says_that_all_is_lost(&self, replica: usize) {
        let mut said = None;
        for _ in 0..ATTEMPTS {
            said = self.run.trouble(replica).await;
            if said.as_ref().is_some_and(|said| said.contains("holds no history")) {
                return;
            }
            tokio::time::sleep(PAUSE).await;
        }
        panic!("the store is empty, and {} says {said:?}", self.fleet.replicas[replica].name);
    }
}

/// Copies the journal of the replica with the newest rules in effect, again while what was last in effect is
/// still on its way to the disk. Returns the copy's path.
fn copy_of_the_furthest(fleet: &Fleet, number: u64) -> String {
    let standing = fleet.replicas.iter().map(|replica| {
        let status = told(&["status", "--server", &format!("http://{}", replica.address)], &[]);
        (status.expect("a status")["in_effect"].as_u64().unwrap(), replica)
    });
    let (revision, furthest) = standing.max_by_key(|(revision, _)| *revision).unwrap();
    for attempt in 0..ATTEMPTS {
        let copy = furthest.in_folder(&format!("copy-{number}-{attempt}.db"));
        let copied = told(&["backup", &copy, "--store", &furthest.in_folder(JOURNAL)], &[]);
        if copied.is_ok_and(|copied| copied["revision"] == revision) {
            return copy;
        }
        std::thread::sleep(PAUSE);
    }
    panic!("the journal of {} does not come to revision {revision}", furthest.name);
}

/// Fills the store. A restore that breaks off is begun again.
fn restore(fleet: &Fleet, copy: &str, limit: Duration) {
    let mut said = String::new();
    let (limit, way) = (format!("{}ms", limit.as_millis()), fleet.way_of_people());
    for _ in 0..ATTEMPTS {
        let mut command = vec!["restore", copy];
        command.extend(way.iter().map(String::as_str));
        match told(&command, &[("OFFERGATE_STALENESS_LIMIT", &limit)]) {
            Ok(_) => return,
            Err(why) => said = why,
        }
        std::thread::sleep(PAUSE);
    }
    panic!("the store cannot be restored: {said}");
}

/// What the program tells, or what it says when it fails.
fn told(command: &[&str], environment: &[(&str, &str)]) -> Result<Value, String> {
    let output = Command::new(env!("CARGO_BIN_EXE_offergate"))
        .env_clear()
        .env("USER", "chaos")
        .envs(environment.iter().copied())
        .args(command)
        .args(["-o", "json"])
        .output()
        .unwrap();
    match output.status.success() {
        true => Ok(serde_json::from_slice(&output.stdout).unwrap()),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}
