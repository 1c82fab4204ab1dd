//! The process dies, or its disk fails, while it writes: what was acknowledged is there at the next
//! start, and nothing else but at most the one change whose answer was lost.
//!
//! The process that dies is this test binary again, told by a variable to write and do nothing else.

use super::store_contents::{apply_next, block_on, chain_of, naming};
use offergate::audit::RequestId;
use offergate::domain::{ChainHash, Revision};
use offergate::store::RuleStore;
use offergate::store::embedded::EmbeddedStore;
use proptest::prelude::RngExt;
use proptest::test_runner::{Config, TestRng, TestRunner};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const PATH: &str = "OFFERGATE_TEST_WRITER_PATH";
const NAME: &str = "OFFERGATE_TEST_WRITER_NAME";

/// How often the writer is killed, and how often on one file.
const KILLS: u32 = 200;
const KILLS_A_FILE: u32 = 15;

/// Not a test of its own: without its variables it does nothing. With them it applies changes until
/// it is killed or refused, and prints each one that the store acknowledged.
#[test]
fn the_writer_that_is_killed() {
    let (Ok(path), Ok(name)) = (std::env::var(PATH), std::env::var(NAME)) else { return };
    let store = EmbeddedStore::open(Path::new(&path)).unwrap();
    let mut out = std::io::stdout(); // The test harness does not capture this one.
    block_on(async {
        for number in 0.. {
            // Now and then a large one: many pages a commit, and soon a full write-ahead log.
            let long = "long ".repeat(if number % 7 == 6 { 20_000 } else { 1 });
            let content = naming(&format!("{name}-{number}"), number % 5, &long);
            match apply_next(&store, &content).await {
                Ok(applied) => {
                    let (request, record) = (content.request_id.as_str(), applied.record);
                    writeln!(out, "done {request} {} {}", record.revision, record.chain).unwrap();
                }
                Err(error) => {
                    writeln!(out, "refused {}", chain_of(&error)).unwrap();
                    let again = chain_of(&store.load().await.unwrap_err());
                    writeln!(out, "and then {again}").unwrap();
                    let broken = futures_util::poll!(std::pin::pin!(store.broken()));
                    assert!(broken.is_ready());
                    return;
                }
            }
        }
    });
}

/// One acknowledged change.
#[derive(Debug, Clone)]
struct Done {
    request: RequestId,
    revision: Revision,
    chain: ChainHash,
}

impl Done {
    /// Reads a line of the writer; `None` for what the test harness prints, and for half a line.
    fn parse(line: &str) -> Option<Self> {
        // The harness may have begun the line with words of its own.
        let (_, rest) = line.split_once("done ")?;
        let mut words = rest.split(' ');
        let (request, revision, chain) = (words.next()?, words.next()?, words.next()?);
        Some(Self {
            request: RequestId::parse(request)?,
            revision: Revision(revision.parse().ok()?),
            chain: ChainHash::parse(chain)?,
        })
    }
}

/// Starts the writer, by way of a shell command that ends in `exec "$0" "$@"`.
fn start(shell: &str, path: &Path, name: &str) -> Child {
    Command::new("sh")
        .args(["-c", shell])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "store_kill::the_writer_that_is_killed", "--nocapture"])
        .env(PATH, path)
        .env(NAME, name)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Opens the store, which verifies all of it, and looks for everything that was acknowledged.
/// Returns how many changes it holds.
fn everything_acknowledged_is_in(path: &Path, done: &[Done]) -> u64 {
    let store = EmbeddedStore::open(path).unwrap();
    block_on(async {
        for Done { request, revision, chain } in done {
            let record = store.record_of(request).await.unwrap();
            let record = record.unwrap_or_else(|| panic!("{request:?} of {revision} is lost"));
            assert_eq!((record.revision, record.chain), (*revision, *chain), "{request:?}");
        }
        store.load().await.unwrap().head.revision.0
    })
}

#[test]
fn kill_9_at_any_moment_loses_nothing_that_was_acknowledged() {
    let mut random: TestRng = TestRunner::new(Config::default()).new_rng();
    let (mut acknowledged, mut unanswered) = (0, 0);
    for file in 0..KILLS / KILLS_A_FILE {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rules.db");
        let (mut done, mut revision) = (Vec::new(), 0);
        for round in 0..KILLS_A_FILE {
            let mut writer = start("exec \"$0\" \"$@\"", &path, &format!("w{round}"));
            let mut lines = BufReader::new(writer.stdout.take().unwrap()).lines();
            let mut seen: Vec<Done> = Vec::new();
            let enough = random.random_range(0..20);
            while seen.len() < enough {
                seen.extend(Done::parse(&lines.next().unwrap().unwrap()));
            }
            // The moment itself: at rest in no state that this test could name.
            let longest = if enough == 0 { 40_000 } else { 3_000 };
            std::thread::sleep(Duration::from_micros(random.random_range(0..longest)));
            writer.kill().unwrap();
            assert_eq!(writer.wait().unwrap().signal(), Some(9));
            seen.extend(lines.map_while(Result::ok).filter_map(|line| Done::parse(&line)));
            let new = u64::try_from(seen.len()).unwrap();
            let now = everything_acknowledged_is_in(&path, &seen);
            done.extend(seen);
            let surplus = now - revision - new;
            assert!(surplus <= 1, "file {file}, round {round}: {surplus} changes nobody asked for");
            unanswered += surplus;
            acknowledged += new;
            revision = now;
        }
        assert_eq!(everything_acknowledged_is_in(&path, &done), revision);
    }
    assert!(u64::from(KILLS) * 5 < acknowledged, "only {acknowledged} changes were acknowledged");
    assert!(0 < unanswered, "no kill came between a commit and its answer");
}

#[test]
fn a_failed_write_breaks_the_store_for_good_and_loses_nothing_that_was_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rules.db");
    // A file that may not grow fails to be written, as on a failing disk: the kernel says EFBIG,
    // which SQLite reports as an I/O error.
    let shell = "trap '' XFSZ; ulimit -f 2000; exec \"$0\" \"$@\"";
    let writer = start(shell, &path, "w").wait_with_output().unwrap();
    assert!(writer.status.success(), "{writer:?}");
    let lines = String::from_utf8(writer.stdout).unwrap();
    let words = ["refused ", "disk", "and then rule store is unavailable while loading"];
    for words in words {
        assert!(lines.contains(words), "{words}: {lines}");
    }
    let done: Vec<_> = lines.lines().filter_map(Done::parse).collect();
    assert!(!done.is_empty());
    let revision = everything_acknowledged_is_in(&path, &done);
    let acknowledged = u64::try_from(done.len()).unwrap();
    assert!((acknowledged..=acknowledged + 1).contains(&revision));
}
