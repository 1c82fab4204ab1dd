//! Somebody, or a bad disk, alters a store file that nobody has open: the next start says so, and
//! names the record.

use super::store_contents::{block_on, chain_of, store_of};
use offergate::decision::Snapshot;
use offergate::domain::Revision;
use offergate::replica::Held;
use offergate::store::RuleStore;
use offergate::store::embedded::{EmbeddedStore, OpenError};
use proptest::prelude::RngExt;
use proptest::test_runner::{Config, TestRng, TestRunner};
use rusqlite::Connection;
use std::fs;
use std::path::Path;

/// Runs SQL with the guards taken away, and puts them back, as somebody would who covers tracks.
fn tamper(path: &Path, sql: &str) {
    let file = Connection::open(path).unwrap();
    let guards: Vec<(String, String)> = file
        .prepare("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'")
        .unwrap()
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    for (name, _) in &guards {
        file.execute_batch(&format!("DROP TRIGGER {name}")).unwrap();
    }
    file.execute_batch(sql).unwrap();
    for (_, guard) in guards {
        file.execute_batch(&guard).unwrap();
    }
}

#[test]
fn every_way_to_alter_the_log_is_found_at_start_and_the_record_is_named() {
    for (what, sql, place) in [
        (
            "an entry altered",
            "UPDATE records SET entry = replace(entry, 'ann', 'eve') WHERE revision = 3",
            "revision 3",
        ),
        (
            "an entry altered, and its hash with it",
            "UPDATE records SET entry = replace(entry, 'ann', 'eve'), chain = hex(randomblob(32))
             WHERE revision = 3",
            "revision 3",
        ),
        ("a first record gone", "DELETE FROM records WHERE revision = 1", "revision 1"),
        ("a record gone", "DELETE FROM records WHERE revision = 4", "revision 4"),
        ("the last record gone", "DELETE FROM records WHERE revision = 6", "revision 6"),
        ("all records gone", "DELETE FROM records", "revision 1"),
        (
            "a record gone, and those after it moved down",
            "DELETE FROM records WHERE revision = 4;
             UPDATE records SET revision = revision - 1 WHERE 4 < revision",
            "revision 4",
        ),
        (
            "two records swapped",
            "UPDATE records SET revision = 99 WHERE revision = 2;
             UPDATE records SET revision = 2 WHERE revision = 3;
             UPDATE records SET revision = 3 WHERE revision = 99",
            "revision 2",
        ),
        ("a record renumbered", "UPDATE records SET revision = 7 WHERE revision = 5", "revision 5"),
        (
            "a record added",
            "INSERT INTO records SELECT 7, chain, 'new', entry FROM records WHERE revision = 6",
            "revision 7",
        ),
        (
            "a request id altered",
            "UPDATE records SET request_id = 'other' WHERE revision = 5",
            "revision 5",
        ),
        (
            "a hash altered",
            "UPDATE records SET chain = '0' || substr(chain, 2) WHERE revision = 2
                AND chain NOT LIKE '0%';
             UPDATE records SET chain = '1' || substr(chain, 2) WHERE revision = 2
                AND chain LIKE '0%' AND NOT changes()",
            "revision 2",
        ),
        (
            "a hash cut",
            "UPDATE records SET chain = substr(chain, 2) WHERE revision = 2",
            "revision 2",
        ),
        ("the head moved back", "UPDATE head SET revision = 5", "revision 6"),
        ("the head moved on", "UPDATE head SET revision = 8", "revision 7"),
        (
            "the head's hash altered",
            "UPDATE head SET chain = replace(chain, 'a', 'b')",
            "revision 7",
        ),
        ("the head's lineage spoilt", "UPDATE head SET lineage = 'x'", "the head"),
        ("the head gone", "DELETE FROM head", "the head"),
        ("a table added", "CREATE TABLE notes (note)", "the tables"),
        ("an index added", "CREATE INDEX i ON records (chain)", "the tables"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rules.db");
        store_of(&path, 6);
        tamper(&path, sql);
        let refused = chain_of(&EmbeddedStore::open(&path).err().unwrap());
        let expected = format!(
            "store `{}` is damaged; restore a backup: stored data is corrupt at {place}: ",
            path.display()
        );
        assert!(refused.starts_with(&expected), "{what}: {refused}");
    }
}

#[test]
fn a_store_without_its_guards_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rules.db");
    store_of(&path, 1);
    Connection::open(&path).unwrap().execute_batch("DROP TRIGGER records_never_go").unwrap();
    let refused = chain_of(&EmbeddedStore::open(&path).err().unwrap());
    assert!(refused.contains("tables or triggers are not those of this format"), "{refused}");
}

#[test]
fn the_guards_stop_every_statement_that_would_alter_history() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rules.db");
    let before = store_of(&path, 3);
    let file = Connection::open(&path).unwrap();
    for (sql, why) in [
        ("UPDATE records SET entry = ''", "records are never changed"),
        ("DELETE FROM records WHERE revision = 3", "records are never deleted"),
        ("INSERT INTO records VALUES (5, '', 'r', '')", "a record comes right after the head"),
        ("REPLACE INTO records VALUES (3, '', 'r', '')", "a record comes right after the head"),
        ("REPLACE INTO records VALUES (4, '', 'request-1', '')", "a request leads to one record"),
        ("UPDATE head SET revision = 2", "the head moves one record at a time"),
        ("UPDATE head SET lineage = ''", "the head moves one record at a time"),
        ("DELETE FROM head", "the head is never deleted"),
    ] {
        let refused = file.execute(sql, []).unwrap_err().to_string();
        assert_eq!(refused, why, "{sql}");
    }
    drop(file);
    let store = EmbeddedStore::open(&path).unwrap();
    assert_eq!(block_on(store.load()).unwrap(), before);
}

#[test]
fn somebody_who_writes_to_a_store_in_use_is_noticed_at_the_next_change() {
    for (what, sql, place) in [
        ("the head", "UPDATE head SET revision = 2, chain = printf('%064d', 0)", "revision 2"),
        ("a guard", "DROP TRIGGER records_never_go", "the tables"),
        (
            "an old record",
            "DROP TRIGGER records_never_change;
             UPDATE records SET entry = replace(entry, 'ann', 'eve');
             CREATE TRIGGER records_never_change BEFORE UPDATE ON records
        BEGIN SELECT RAISE(ABORT, 'records are never changed'); END",
            "revision 1",
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rules.db");
        store_of(&path, 1);
        let store = EmbeddedStore::open(&path).unwrap();
        Connection::open(&path).unwrap().execute_batch(sql).unwrap();
        let next = super::store_contents::content("r2", 2);
        let expected = format!("stored data is corrupt at {place}: ");
        // Once noticed it stays so: neither a retry nor a look at the rules makes up for it.
        for _ in 0..2 {
            let refused = chain_of(&block_on(store.apply(&next, Revision(1))).unwrap_err());
            assert!(refused.starts_with(&expected), "{what}: {refused}");
            let refused = chain_of(&block_on(store.load()).unwrap_err());
            assert!(refused.starts_with(&expected), "{what}: {refused}");
        }
    }
}

#[test]
fn somebody_who_changes_nothing_in_a_store_in_use_does_no_harm() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rules.db");
    store_of(&path, 1);
    let store = EmbeddedStore::open(&path).unwrap();
    for (number, sql) in [
        (2, "BEGIN IMMEDIATE; CREATE TABLE notes (note); DROP TABLE notes; COMMIT"),
        (3, "PRAGMA wal_checkpoint(TRUNCATE)"),
        (4, "SELECT count(*) FROM records"),
    ] {
        Connection::open(&path).unwrap().execute_batch(sql).unwrap();
        let next = super::store_contents::content(&format!("r{number}"), number);
        let applied = block_on(store.apply(&next, Revision(number - 1))).unwrap();
        assert_eq!(applied.record.revision, Revision(number), "{sql}");
    }
}

#[test]
fn a_store_whose_file_was_moved_away_takes_no_more_changes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rules.db");
    store_of(&path, 1);
    let store = EmbeddedStore::open(&path).unwrap();
    fs::rename(&path, folder.path().join("moved.db")).unwrap();
    let next = super::store_contents::content("r2", 2);
    let refused = chain_of(&block_on(store.apply(&next, Revision(1))).unwrap_err());
    let expected = "stored data is corrupt at the path: the file that was opened is there no more";
    assert_eq!(refused, expected);
    assert!(block_on(store.load()).is_err());
}

/// What is not covered: the lineage, whose digits mean nothing by themselves. Another lineage makes
/// every token unknown, which is the safe side.
#[test]
fn a_flipped_bit_anywhere_is_refused_or_has_no_effect() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rules.db");
    let whole_state = store_of(&path, 12);
    let whole = fs::read(&path).unwrap();
    let mut random: TestRng = TestRunner::new(Config::default()).new_rng();
    let (mut refused, mut harmless) = (0, 0);
    for _ in 0..600 {
        let (at, bit) = (random.random_range(0..whole.len()), random.random_range(0..8));
        let mut altered = whole.clone();
        altered[at] ^= 1 << bit;
        fs::write(&path, &altered).unwrap();
        let Ok(store) = EmbeddedStore::open(&path) else {
            refused += 1;
            continue;
        };
        let mut state = block_on(store.load()).unwrap();
        state.head.lineage = whole_state.head.lineage.clone();
        assert_eq!(state, whole_state, "bit {bit} of byte {at}");
        harmless += 1;
    }
    assert!(100 < refused && 0 < harmless, "{refused} refused, {harmless} harmless");
}

#[test]
fn a_file_cut_anywhere_is_refused_unless_nothing_but_zeros_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rules.db");
    let whole_state = store_of(&path, 12);
    let whole = fs::read(&path).unwrap();
    for length in (0..whole.len()).step_by(509) {
        fs::write(&path, &whole[..length]).unwrap();
        match EmbeddedStore::open(&path) {
            Err(_) => assert_eq!(fs::read(&path).unwrap().len(), length, "the file was touched"),
            Ok(store) => {
                assert!(whole[length..].iter().all(|&byte| byte == 0), "{length}");
                assert_eq!(block_on(store.load()).unwrap(), whole_state);
            }
        }
    }
}

/// A write-ahead log ends, for SQLite, where its first bad page is: what a crash left half written
/// was never acknowledged. Damage done later looks the same, and takes acknowledged changes with it.
/// The file by itself cannot tell; whoever kept a token or a backup can.
/// Opens a store that nobody else uses. Other tests of this process start programs: between fork and exec
/// a child of theirs holds whatever lock is held here.
fn open(path: &Path) -> EmbeddedStore {
    loop {
        match EmbeddedStore::open(path) {
            Err(OpenError::InUse { .. }) => std::thread::yield_now(),
            opened => return opened.unwrap(),
        }
    }
}

#[test]
fn a_damaged_write_ahead_log_ends_early_in_a_whole_past_and_a_token_or_a_backup_shows_it() {
    let folder = tempfile::tempdir().unwrap();
    let [path, backup] = ["rules.db", "backup.db"].map(|name| folder.path().join(name));
    let wal_path = folder.path().join("rules.db-wal");
    let store = EmbeddedStore::open(&path).unwrap();
    let mut pasts = vec![block_on(store.load()).unwrap()];
    for number in 1..=6 {
        let next = super::store_contents::content(&format!("r{number}"), number);
        block_on(super::store_contents::apply_next(&store, &next)).unwrap();
        pasts.push(block_on(store.load()).unwrap());
    }
    block_on(store.backup(&backup)).unwrap();
    let (main, wal) = (fs::read(&path).unwrap(), fs::read(&wal_path).unwrap());
    drop(store);
    let newest = pasts.last().unwrap();
    let backup = block_on(EmbeddedStore::open(&backup).unwrap().load()).unwrap();
    assert_eq!(&backup, newest);

    let mut seen = std::collections::BTreeSet::new();
    for at in (0..wal.len()).step_by(997) {
        let mut flipped = wal.clone();
        flipped[at] ^= 1;
        for damaged in [&wal[..at], &flipped] {
            fs::write(&path, &main).unwrap();
            fs::write(&wal_path, damaged).unwrap();
            let _ = fs::remove_file(folder.path().join("rules.db-shm"));
            let loaded = block_on(open(&path).load()).unwrap();
            let revision = usize::try_from(loaded.head.revision.0).unwrap();
            assert_eq!(loaded, pasts[revision], "byte {at}: no mixture of two revisions");
            seen.insert(revision);
            if loaded.head != newest.head {
                let snapshot = Snapshot::compile(&loaded.rules, loaded.head.revision).unwrap();
                let held = Held::new(loaded, snapshot);
                assert!(!held.reaches(&newest.head.token()), "byte {at}");
                assert!(held.head.revision < backup.head.revision);
            }
        }
    }
    assert!(3 < seen.len(), "{seen:?}");
}
