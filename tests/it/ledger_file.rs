//! A ledger in a file, where it differs from one in Redis: names that lead to it, and the journal beside it.

use offergate::ledger::sqlite::SqliteLedger;
use offergate::ledger::{
    Fact, KeyError, Ledger as _, LedgerError, LedgerKey, Place, Step, Tag, What, Why,
};
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

fn left(number: u8) -> Step {
    let why = Why { reason: "X".to_owned(), revision: 0 };
    Step { place: Place { block: 0, tag: Tag([number; 16]) }, what: What::Leave(why), at: 1 }
}

/// What a sender leaves that dies now, as far as it is taken elsewhere.
fn taken(from: &Path, to: &Path, endings: &[&str]) -> PathBuf {
    let beside = |folder: &Path, ending: &&str| folder.join(format!("l.db{ending}"));
    for ending in endings {
        fs::copy(beside(from, ending), beside(to, ending)).unwrap();
    }
    to.join("l.db")
}

#[test]
fn a_file_that_was_moved_without_the_journal_of_a_dead_sender_is_refused() {
    let folder = TempDir::new().unwrap();
    let (mut ledger, _) = SqliteLedger::create(&folder.path().join("l.db")).unwrap();
    ledger.write(&[left(1)]).unwrap();
    let (torn, whole) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let torn = taken(folder.path(), torn.path(), &["", ".key"]);
    for _ in 0..2 {
        for refused in [SqliteLedger::open(&torn).err(), SqliteLedger::look(&torn).err()] {
            assert!(matches!(&refused, Some(LedgerError::Torn(_))), "{refused:?}");
        }
    }
    let path = taken(folder.path(), whole.path(), &["", ".key", "-wal"]);
    // Who only looks takes nothing away.
    assert_eq!(SqliteLedger::look(&path).unwrap().block(0).unwrap().len(), 1);
    assert!(whole.path().join("l.db-wal").exists());
    assert_eq!(SqliteLedger::open(&path).unwrap().0.block(0).unwrap().len(), 1);
    // One that its sender closed is in one file.
    drop(ledger);
    let closed = TempDir::new().unwrap();
    let closed = taken(folder.path(), closed.path(), &["", ".key"]);
    assert_eq!(SqliteLedger::open(&closed).unwrap().0.block(0).unwrap().len(), 1);
}

#[test]
fn under_another_name_there_is_no_second_sender_either() {
    let folder = TempDir::new().unwrap();
    let [path, other] = ["l.db", "k.db"].map(|name| folder.path().join(name));
    let (ledger, _) = SqliteLedger::create(&path).unwrap();
    fs::copy(LedgerKey::path_of(&path), LedgerKey::path_of(&other)).unwrap();
    fs::hard_link(&path, &other).unwrap();
    let refused = SqliteLedger::open(&other).err();
    assert!(matches!(refused, Some(LedgerError::SeveralNames(_))), "{refused:?}");
    fs::remove_file(&other).unwrap();
    fs::rename(&path, &other).unwrap();
    let refused = SqliteLedger::open(&other).err();
    assert!(matches!(refused, Some(LedgerError::InUse { .. })), "{refused:?}");
    drop(ledger);
}

#[test]
fn a_ledger_that_was_erased_is_not_sent_through_by_a_copy_of_its_key() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("l.db");
    let (mut ledger, _) = SqliteLedger::create(&path).unwrap();
    ledger.set_fact(Fact::Erased, "2026-12-01T12:00:00Z").unwrap();
    drop(ledger);
    let refused = SqliteLedger::open(&path).err();
    assert!(matches!(refused, Some(LedgerError::Key(KeyError::Destroyed(_)))), "{refused:?}");
}
