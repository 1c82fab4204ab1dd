//! Runs a fleet of real processes through faults under load, and holds everything that its clients saw
//! against what is promised.
//!
//! `make chaos` runs it; `CHAOS_SECONDS` says for how long, `CHAOS_SEED` with which chance. Equal seeds
//! break the same things in the same order; when each process gets to run is the machine's choice, so a
//! seed that failed may have to be run more than once.
//!
//! With `CHAOS_BUG` the server has one bug on purpose (see `src/replica/bugs.rs`), and the run fails
//! unless it is caught.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

mod checker;
mod dice;
mod disaster;
mod emptied;
mod faults;
mod fleet;
mod history;
mod load;
mod log;
mod order;
mod proxy;
#[path = "../it/redis_server.rs"]
#[expect(dead_code, reason = "other tests use the rest")]
mod redis_server;
mod replay;
mod summary;
mod world;

use dice::Dice;
use faults::Faults;
use fleet::Fleet;
use load::{Run, check_on_and_on, suspend_on_and_on};
use log::Log;
use std::process::ExitCode;
use std::time::Duration;

/// The staleness limit of the fleet, where `CHAOS_LIMIT_MS` is not set: short, so that a run sees many
/// leases end.
const LIMIT_MS: u64 = 2000;

/// How many clients check, and how many suspend and lift.
const CHECKING: u32 = 4;
const SUSPENDING: u32 = 2;

fn setting(name: &str, default: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")),
        Err(_) => default,
    }
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> ExitCode {
    let (seconds, seed) = (setting("CHAOS_SECONDS", 60), setting("CHAOS_SEED", 1));
    let bug = std::env::var("CHAOS_BUG").ok();
    let with = bug.as_ref().map_or_else(String::new, |bug| format!(", bug {bug}"));
    println!("chaos: seed {seed}, {seconds} s{with}");
    let dice = Dice::new(seed);
    let limit_ms = setting("CHAOS_LIMIT_MS", LIMIT_MS);
    let limit = Duration::from_millis(limit_ms);
    let fleet = Fleet::start(&dice, limit_ms, bug.as_deref()).await;
    let addresses: Vec<_> =
        fleet.replicas.iter().map(|replica| (replica.name.clone(), replica.address)).collect();
    let run = Run::new(&addresses);
    until_all_answer(&run, &fleet).await;
    run.apply_rules().await;
    until_all_know(&run).await;

    let checking = (1..=CHECKING).map(|client| {
        tokio::spawn(check_on_and_on(run.clone(), client, dice.part(&format!("check {client}"))))
    });
    let suspending = (0..SUSPENDING).map(|client| {
        let vendors = (0..world::VENDORS)
            .filter(|number| number % SUSPENDING as usize == client as usize)
            .collect();
        let dice = dice.part(&format!("suspend {client}"));
        tokio::spawn(suspend_on_and_on(run.clone(), 100 + client, vendors, dice))
    });
    let clients: Vec<_> = checking.chain(suspending).collect();
    let time = Duration::from_secs(seconds);
    let (bugged, dice) = (bug.as_deref(), dice.part("faults"));
    let mut faults = Faults { fleet: &fleet, run: &run, limit, bug: bugged, dice };
    faults.go_on_for(time).await;
    run.stop();
    for client in clients {
        client.await.unwrap();
    }
    report(&run, &fleet, &Asked { seed, seconds, limit, bug })
}

/// Until every replica answers a check at all.
async fn until_all_answer(run: &Run, fleet: &Fleet) {
    for replica in 0..fleet::SIZE {
        let mut tries = 0;
        while run.asks(replica, &world::offer(0)).await.is_none() {
            tries += 1;
            assert!(tries < 200, "no answer:\n{}", fleet.replicas[replica].last_words(20));
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

/// Until every replica has the rules in effect.
async fn until_all_know(run: &Run) {
    for replica in 0..fleet::SIZE {
        let mut tries = 0;
        while run.asks(replica, &world::offer(0)).await.is_none_or(|answer| !answer.is_eligible()) {
            tries += 1;
            assert!(tries < 200, "a replica never learns the rules");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// What was asked for.
struct Asked {
    seed: u64,
    seconds: u64,
    limit: Duration,
    bug: Option<String>,
}

fn report(run: &Run, fleet: &Fleet, asked: &Asked) -> ExitCode {
    let Asked { seed, seconds, limit, bug } = asked;
    let events = run.events();
    let log = Log::of(fleet.log());
    let limit = u64::try_from(limit.as_nanos()).unwrap();
    let violations = checker::check(&events, &log, limit);
    println!("{}", summary::Summary::of(&events, &log));
    print!("{}", checker::Shown { events: &events, violations: &violations, most: 3 });
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"));
    let path = folder.join(format!("chaos-{seed}.jsonl"));
    std::fs::write(&path, history::to_lines(&events).unwrap()).unwrap();
    println!("history: {}", path.display());
    let caught = violations.iter().any(|found| found.rule != checker::Rule::K5);
    match (bug, violations.is_empty()) {
        (Some(bug), _) if caught => {
            println!("chaos: ok, the bug {bug} was caught");
            ExitCode::SUCCESS
        }
        (Some(bug), _) => {
            println!("chaos: FAILED, the bug {bug} was not caught");
            ExitCode::FAILURE
        }
        (None, true) => {
            println!("chaos: ok");
            ExitCode::SUCCESS
        }
        (None, false) => {
            for replica in &fleet.replicas {
                println!("{} said last:\n{}", replica.name, replica.last_words(15));
            }
            println!("chaos: FAILED; again: make chaos CHAOS_SECONDS={seconds} CHAOS_SEED={seed}");
            ExitCode::FAILURE
        }
    }
}
