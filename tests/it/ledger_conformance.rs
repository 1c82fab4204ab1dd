//! One suite for every ledger: what each step may follow, what is counted, and what a sender that died
//! leaves behind.

use crate::redis_server::{Flavour, Server};
use offergate::ledger::redis::{RedisLedger, RedisPlace};
use offergate::ledger::sqlite::SqliteLedger;
use offergate::ledger::{
    Fact, KeyError, Ledger, LedgerError, LedgerKey, PROOFS, Place, State, Step, Tag, What, Why,
};
use offergate::redis::{Access, Login, Servers};
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;

/// Makes an empty ledger, and opens it again as the next sender would.
trait Kind {
    fn create(&self, folder: &Path) -> Box<dyn Ledger>;
    fn again(&self, folder: &Path) -> Box<dyn Ledger>;
}

struct Sqlite;

impl Kind for Sqlite {
    fn create(&self, folder: &Path) -> Box<dyn Ledger> {
        Box::new(SqliteLedger::create(&folder.join("l.db")).unwrap().0)
    }

    fn again(&self, folder: &Path) -> Box<dyn Ledger> {
        Box::new(SqliteLedger::open(&folder.join("l.db")).unwrap().0)
    }
}

/// The ledger of a mailing that is called as the test's folder is.
impl Kind for Server {
    fn create(&self, folder: &Path) -> Box<dyn Ledger> {
        Box::new(RedisLedger::create(named(self, folder), &folder.join("key")).unwrap().0)
    }

    fn again(&self, folder: &Path) -> Box<dyn Ledger> {
        Box::new(RedisLedger::open(named(self, folder), &folder.join("key")).unwrap().0)
    }
}

fn named(server: &Server, folder: &Path) -> RedisPlace {
    let name = folder.file_name().unwrap().to_str().unwrap().replace('.', "t");
    place_in(server, &name)
}

/// A ledger in a Redis, with a lease that a test can wait for.
pub(crate) fn place_in(server: &Server, mailing: &str) -> RedisPlace {
    let servers = Servers::Single(server.address());
    let access = Access { servers, login: Login::default(), tls: None, database: 0 };
    let mut place = RedisPlace::new(access, mailing, "redis://test".to_owned()).unwrap();
    place.lease = Duration::from_secs(1);
    place
}

/// Every kind of ledger.
fn kinds() -> Vec<Box<dyn Kind>> {
    let (redis, valkey) = (Server::start(Flavour::Redis), Server::start(Flavour::Valkey));
    vec![Box::new(Sqlite), Box::new(redis), Box::new(valkey)]
}

/// Runs a test on each.
fn each(kinds: &[Box<dyn Kind>], test: impl Fn(&dyn Kind, &Path)) {
    for kind in kinds {
        let folder = TempDir::new().unwrap();
        test(&**kind, folder.path());
    }
}

fn place(block: i64, number: u8) -> Place {
    Place { block, tag: Tag([number; 16]) }
}

fn step(block: i64, number: u8, what: What) -> Step {
    Step { place: place(block, number), what, at: 1_700_000_000 }
}

fn why(reason: &str, revision: u64) -> Why {
    Why { reason: reason.to_owned(), revision }
}

fn leave(block: i64, number: u8, reason: &str) -> Step {
    step(block, number, What::Leave(why(reason, 7)))
}

fn end(block: i64, number: u8, state: State, reason: &str) -> Step {
    step(block, number, What::End(state, why(reason, 7)))
}

#[test]
fn steps_that_follow_are_taken_and_counted() {
    each(&kinds(), |kind, folder| {
        let mut ledger = kind.create(folder);
        let begun = (1..=4).map(|number| step(0, number, What::Begin)).collect::<Vec<_>>();
        ledger.write(&begun).unwrap();
        let ended = [
            end(0, 1, State::Sent, ""),
            end(0, 2, State::Failed, "SMTP_550"),
            end(0, 3, State::InDoubt, "SMTP_NO_ANSWER"),
            step(0, 4, What::Withdraw),
            leave(1, 1, "DUPLICATE"),
            leave(1, 2, "DUPLICATE"),
            step(PROOFS, 9, What::Begin),
            end(PROOFS, 9, State::Sent, ""),
        ];
        ledger.write(&ended).unwrap();
        let expected = [
            ((State::Sent, why("", 7)), 1),
            ((State::NotSent, why("DUPLICATE", 7)), 2),
            ((State::Failed, why("SMTP_550", 7)), 1),
            ((State::InDoubt, why("SMTP_NO_ANSWER", 7)), 1),
        ];
        assert_eq!(ledger.totals().unwrap(), expected.into());
        let mut block = ledger.block(0).unwrap();
        block.sort();
        let states = [State::Sent, State::Failed, State::InDoubt];
        let tags = (1..=3).map(|number| Tag([number; 16]));
        assert_eq!(block, tags.zip(states).collect::<Vec<_>>(), "who was withdrawn is pending");
        assert_eq!(ledger.block(PROOFS).unwrap(), [(Tag([9; 16]), State::Sent)]);
        // Who is pending again may begin again.
        ledger.write(&[step(0, 4, What::Begin)]).unwrap();
    });
}

#[test]
fn a_step_that_does_not_follow_is_refused_with_its_whole_group() {
    let kinds = kinds();
    for (before, wrong, why) in [
        (vec![step(0, 1, What::Begin)], step(0, 1, What::Begin), "begun twice"),
        (vec![leave(0, 1, "X")], step(0, 1, What::Begin), "begun after it was left"),
        (vec![], end(0, 1, State::Sent, ""), "ended without having begun"),
        (vec![step(0, 1, What::Begin)], leave(0, 1, "X"), "left while in hand"),
        (vec![], step(0, 1, What::Withdraw), "withdrawn without having begun"),
        (
            vec![step(0, 1, What::Begin), end(0, 1, State::Sent, "")],
            step(0, 1, What::Withdraw),
            "withdrawn after it was sent",
        ),
        (
            vec![step(0, 1, What::Begin), end(0, 1, State::Sent, "")],
            end(0, 1, State::Failed, "X"),
            "ended twice",
        ),
    ] {
        each(&kinds, |kind, folder| {
            let mut ledger = kind.create(folder);
            before.iter().for_each(|step| ledger.write(std::slice::from_ref(step)).unwrap());
            let totals = ledger.totals().unwrap();
            let refused = ledger.write(&[leave(5, 5, "INNOCENT"), wrong.clone()]);
            assert!(matches!(refused, Err(LedgerError::Contradiction { .. })), "{why}");
            assert_eq!(ledger.totals().unwrap(), totals, "{why}: nothing of the group is written");
            assert!(ledger.block(5).unwrap().is_empty(), "{why}");
        });
    }
}

/// Sizes as mailings write them: several blocks, and recipients that take two steps in one group.
#[test]
fn a_large_group_is_taken_whole_and_counted() {
    const MANY: u64 = 5_000;
    let tag = |number: u64| {
        // As good as random, and all different.
        let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes();
        let mut tag = [0; 16];
        tag[..8].copy_from_slice(&mixed);
        Tag(tag)
    };
    let at = |number: u64| Place { block: i64::try_from(number / 4096).unwrap(), tag: tag(number) };
    let step = |number, what| Step { place: at(number), what, at: 4_000_000_000 };
    each(&kinds(), |kind, folder| {
        let mut ledger = kind.create(folder);
        let begun: Vec<_> = (0..MANY).map(|number| step(number, What::Begin)).collect();
        ledger.write(&begun).unwrap();
        assert_eq!(ledger.totals().unwrap(), [((State::Begun, why("", 0)), MANY)].into());
        let ended = (0..MANY).flat_map(|number| match number % 10 {
            0 => vec![step(number, What::Withdraw), step(number, What::Begin)],
            1 => vec![step(number, What::Withdraw)],
            2 => vec![step(number, What::End(State::InDoubt, why("SMTP_NO_ANSWER", 3)))],
            _ => vec![step(number, What::End(State::Sent, why("", number % 3)))],
        });
        ledger.write(&ended.collect::<Vec<_>>()).unwrap();
        let mut expected = offergate::ledger::Totals::new();
        for number in 0..MANY {
            let how = match number % 10 {
                0 => (State::Begun, why("", 0)),
                1 => continue,
                2 => (State::InDoubt, why("SMTP_NO_ANSWER", 3)),
                _ => (State::Sent, why("", number % 3)),
            };
            *expected.entry(how).or_default() += 1;
        }
        assert_eq!(ledger.totals().unwrap(), expected);
        let listed: usize = (0..2).map(|block| ledger.block(block).unwrap().len()).sum();
        assert_eq!(listed as u64, MANY * 9 / 10);
        let mut doubtful: Vec<_> = (0..MANY).filter(|number| number % 10 == 2).map(at).collect();
        doubtful.sort();
        assert_eq!(ledger.doubtful().unwrap(), doubtful);
        assert_eq!(ledger.doubt(1_700_000_001).unwrap(), MANY / 10);
        assert_eq!(ledger.retry_doubtful().unwrap(), MANY / 5);
    });
}

#[test]
fn who_was_in_hand_when_a_sender_died_is_in_doubt_until_a_person_says_otherwise() {
    each(&kinds(), |kind, folder| {
        let mut ledger = kind.create(folder);
        let steps =
            [step(3, 1, What::Begin), step(0, 2, What::Begin), step(PROOFS, 3, What::Begin)];
        ledger.write(&steps).unwrap();
        ledger.write(&[end(3, 1, State::Sent, "")]).unwrap();
        drop(ledger);
        let mut ledger = kind.again(folder);
        assert_eq!(ledger.doubt(1_700_000_001).unwrap(), 2);
        assert_eq!(ledger.doubt(1_700_000_001).unwrap(), 0);
        assert_eq!(ledger.doubtful().unwrap(), [place(PROOFS, 3), place(0, 2)]);
        let again = ledger.write(&[step(0, 2, What::Begin)]);
        assert!(matches!(again, Err(LedgerError::Contradiction { .. })), "never by itself");
        let expected =
            [((State::Sent, why("", 7)), 1), ((State::InDoubt, why("SENDER_DIED", 0)), 1)];
        assert_eq!(ledger.totals().unwrap(), expected.into(), "proofs are not counted");
        assert_eq!(ledger.retry_doubtful().unwrap(), 2);
        assert!(ledger.doubtful().unwrap().is_empty());
        assert_eq!(ledger.totals().unwrap(), [((State::Sent, why("", 7)), 1)].into());
        ledger.write(&[step(0, 2, What::Begin)]).unwrap();
    });
}

#[test]
fn facts_are_the_last_that_were_set() {
    each(&kinds(), |kind, folder| {
        let mut ledger = kind.create(folder);
        assert_eq!(ledger.fact(Fact::Order).unwrap(), None);
        ledger.set_fact(Fact::Order, "one").unwrap();
        ledger.set_fact(Fact::Order, "two").unwrap();
        ledger.set_fact(Fact::Standing, "three").unwrap();
        drop(ledger);
        let ledger = kind.again(folder);
        assert_eq!(ledger.fact(Fact::Order).unwrap().as_deref(), Some("two"));
        assert_eq!(ledger.fact(Fact::Standing).unwrap().as_deref(), Some("three"));
    });
}

#[test]
fn a_fact_is_replaced_only_if_it_is_what_was_seen() {
    each(&kinds(), |kind, folder| {
        let mut ledger = kind.create(folder);
        for (seen, text, is_replaced) in [
            (Some("one"), "two", false),
            (None, "one", true),
            (None, "two", false),
            (Some("two"), "three", false),
            (Some("one"), "two", true),
            (Some("one"), "two", true),
            (None, "two", true),
        ] {
            let before = ledger.fact(Fact::Order).unwrap();
            assert_eq!(
                ledger.replace_fact(Fact::Order, seen, text).unwrap(),
                is_replaced,
                "{text}"
            );
            let expected = if is_replaced { Some(text.to_owned()) } else { before };
            assert_eq!(ledger.fact(Fact::Order).unwrap(), expected);
        }
        drop(ledger);
        let ledger = kind.again(folder);
        assert_eq!(ledger.fact(Fact::Order).unwrap().as_deref(), Some("two"));
    });
}

#[test]
fn a_second_sender_is_refused_and_a_looker_is_not() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("l.db");
    let (ledger, _) = SqliteLedger::create(&path).unwrap();
    let refused = SqliteLedger::open(&path).err().unwrap();
    let told = refused.to_string();
    assert!(told.contains(&format!("process {}", std::process::id())), "{told}");
    let mut looker = SqliteLedger::look(&path).unwrap();
    looker.set_fact(Fact::Order, "pause").unwrap();
    assert_eq!(ledger.fact(Fact::Order).unwrap().as_deref(), Some("pause"));
    assert!(SqliteLedger::has_sender(&path).unwrap());
    drop(ledger);
    assert!(!SqliteLedger::has_sender(&path).unwrap());
    assert!(SqliteLedger::open(&path).is_ok());
}

#[test]
fn a_ledger_is_made_once_and_of_no_use_without_its_key() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("l.db");
    assert!(matches!(SqliteLedger::open(&path), Err(LedgerError::Missing(_))));
    drop(SqliteLedger::create(&path).unwrap());
    assert!(matches!(SqliteLedger::create(&path), Err(LedgerError::Exists(_))));
    for name in ["l.db", "l.db.key"] {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(folder.path().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    assert!(LedgerKey::destroy(&LedgerKey::path_of(&path)).unwrap());
    let refused = SqliteLedger::open(&path).err().unwrap();
    assert!(matches!(refused, LedgerError::Key(KeyError::Destroyed(_))), "{refused}");
    assert!(SqliteLedger::look(&path).is_ok(), "what was counted can still be seen");
    let other = folder.path().join("other.db");
    std::fs::write(&other, b"SQLite format 3, or not").unwrap();
    assert!(matches!(SqliteLedger::look(&other), Err(LedgerError::Foreign(_))));
}

#[test]
fn a_ledger_that_somebody_holds_is_a_ledger_all_the_same() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("l.db");
    drop(SqliteLedger::create(&path).unwrap());
    // Nobody has it open, and somebody copies it in this moment.
    let holder = rusqlite::Connection::open(&path).unwrap();
    holder.execute_batch("PRAGMA journal_mode = DELETE; BEGIN EXCLUSIVE").unwrap();
    let refused = SqliteLedger::look(&path).err().unwrap();
    assert!(matches!(refused, LedgerError::Failed { .. }), "{refused}");
    holder.execute_batch("COMMIT").unwrap();
    assert!(SqliteLedger::look(&path).is_ok());
}

#[test]
fn a_ledger_knows_its_own_key() {
    each(&kinds(), |kind, folder| {
        let ledger = kind.create(folder);
        let key =
            ["key", "l.db.key"].map(|name| folder.join(name)).into_iter().find(|it| it.exists());
        assert!(ledger.is_named_by(&LedgerKey::open(&key.unwrap()).unwrap()).unwrap());
        assert!(!ledger.is_named_by(&LedgerKey::new(&[7; 32])).unwrap());
    });
}

#[test]
fn a_ledger_in_a_file_is_sent_through_with_its_own_key_alone() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("l.db");
    let key = LedgerKey::path_of(&path);
    drop(SqliteLedger::create(&path).unwrap());
    let kept = std::fs::read(&key).unwrap();
    let swap = || {
        std::fs::remove_file(&key).unwrap();
        LedgerKey::create(&key).unwrap();
    };
    let is_refused = || {
        let refused = SqliteLedger::open(&path).err();
        matches!(refused, Some(LedgerError::Key(KeyError::Other(_))))
    };
    swap();
    assert!(is_refused());
    std::fs::write(&key, &kept).unwrap();
    assert!(SqliteLedger::open(&path).is_ok());
    // One that an earlier version made has no proof. Whoever opens it first is believed, and nobody after.
    let connection = rusqlite::Connection::open(&path).unwrap();
    assert_eq!(connection.execute("DELETE FROM fact WHERE name = 'proof'", []).unwrap(), 1);
    drop(connection);
    assert!(SqliteLedger::open(&path).is_ok());
    swap();
    assert!(is_refused());
    std::fs::write(&key, &kept).unwrap();
    assert!(SqliteLedger::open(&path).is_ok());
}
