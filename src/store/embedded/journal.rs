//! The journal of a replica: the log of a shared store, copied to a file of the embedded store's
//! format on this machine's own disk.
//!
//! It takes records over as the store made them and makes none itself. Beside it, `PATH.run` names the
//! run of the replica that was registered with it last, and the lock that this run held: whoever holds
//! the same lock now knows that it has ended. The lock of a copied folder is another one, and so is that
//! of another machine or of before a restart: those say nothing of who runs elsewhere.
//!
//! Invariants: what it holds is always a history from its first record on; another history never
//! continues it, but only begins in a file of its own, after this one was set aside.

use super::file::{self, Place, beside};
use super::log::{self, corrupt};
use super::trust::{is_of_the_disk, not_committed, not_written};
use super::worker::Worker;
use super::{OpenError, copy, schema, seen, writer};
use crate::audit::{Chain, Record};
use crate::domain::{ChainHash, Lineage, RuleSet};
use crate::store::{Head, Incarnation, Journal, Loaded, Seen, SeenEnforced, StoreError};
use futures_util::future::BoxFuture;
use rusqlite::{Connection, TransactionBehavior};
use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use tokio_util::sync::CancellationToken;

/// A journal in a file.
pub struct FileJournal {
    worker: Worker<JournalFile>,
    predecessor: Option<Incarnation>,
    broken: CancellationToken,
}

struct JournalFile {
    // The lock goes last: nobody else may have the file before our connection is closed.
    log: Option<Log>,
    place: Place,
    /// This run and its lock, as `PATH.run` tells them to the next one.
    run: String,
    broken: CancellationToken,
}

struct Log {
    connection: Connection,
    head: Head,
}

impl FileJournal {
    /// Opens the journal at `path` for this run, or gets ready to make it.
    ///
    /// # Errors
    /// When the file is in use, is no store, is of a later format or is damaged. Nothing is changed.
    pub fn open(path: &Path, run: &Incarnation) -> Result<Self, OpenError> {
        let place = Place::claim(path)?;
        let log = match place.is_vacant()? {
            true => None,
            false => Some(open(place.path())?.0),
        };
        let lock = lock_of(place.path());
        let predecessor = lock.as_deref().and_then(|lock| ended_run(place.path(), lock));
        let predecessor = predecessor.filter(|ended| ended != run);
        let run = format!("{} {}", run.as_str(), lock.unwrap_or_default());
        let broken = CancellationToken::new();
        let file = JournalFile { log, place, run, broken: broken.clone() };
        let worker = Worker::start("journal", file, &broken)
            .map_err(|error| OpenError::io(path, "start a thread for", error))?;
        Ok(Self { worker, predecessor, broken })
    }

    /// Done when the disk failed under the journal, or its thread died. End the process then.
    pub fn broken(&self) -> impl Future<Output = ()> + Send + use<> {
        self.broken.clone().cancelled_owned()
    }
}

impl Journal for FileJournal {
    fn load(&self) -> BoxFuture<'_, Result<Option<Loaded>, StoreError>> {
        Box::pin(self.worker.run("loading the journal", |file| {
            file.log.as_ref().map(|log| log::verify_all(&log.connection)).transpose()
        }))
    }

    fn follow<'a>(
        &'a self,
        lineage: &'a Lineage,
        records: &'a [Record],
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        let (lineage, records) = (lineage.clone(), records.to_vec());
        Box::pin(self.worker.run("writing the journal", move |file| {
            let written = file.follow(&lineage, &records);
            if written.as_ref().is_err_and(is_of_the_disk) {
                file.broken.cancel();
            }
            written
        }))
    }

    fn set_aside(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(self.worker.run("setting the journal aside", JournalFile::set_aside))
    }

    fn predecessor(&self) -> Option<Incarnation> {
        self.predecessor.clone()
    }

    fn registered(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        const DOING: &str = "writing who has the journal";
        Box::pin(self.worker.run(DOING, |file| {
            let path = beside(file.place.path(), ".run");
            write_whole(&path, &file.run).map_err(|error| cannot(DOING, error))
        }))
    }
}

impl Seen for FileJournal {
    fn note(&self, seen: SeenEnforced) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(self.worker.run("noting an enforcement", move |file| {
            // Without a history there is nothing to note of.
            let Some(log) = &mut file.log else { return Ok(()) };
            let noted = seen::insert(&mut log.connection, &seen).map(drop);
            if noted.as_ref().is_err_and(is_of_the_disk) {
                file.broken.cancel();
            }
            noted
        }))
    }

    fn noted(
        &self,
        changes: Vec<ChainHash>,
    ) -> BoxFuture<'_, Result<Vec<SeenEnforced>, StoreError>> {
        Box::pin(self.worker.run("reading enforcements", move |file| match &file.log {
            Some(log) => seen::select(&log.connection, &changes),
            None => Ok(Vec::new()),
        }))
    }
}

impl JournalFile {
    fn follow(&mut self, lineage: &Lineage, records: &[Record]) -> Result<(), StoreError> {
        if self.log.is_none() {
            let path = self.place.path();
            let made = copy::create(path, Some(lineage)).and_then(|()| open(path));
            self.log = Some(made.map_err(|error| cannot("making the journal", error))?.0);
        }
        let Some(Log { connection, head }) = &mut self.log else { return Ok(()) };
        if head.lineage != *lineage {
            return Err(corrupt("the journal", "it holds another history"));
        }
        let transaction = connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(not_written("beginning a transaction"))?;
        let mut chain = Chain { revision: head.revision, hash: head.chain };
        for record in records {
            let place = format!("revision {}", chain.revision.next());
            chain.pass(record).map_err(|error| corrupt(place, error))?;
            writer::insert(&transaction, record).map_err(not_written("writing a record"))?;
        }
        transaction.commit().map_err(not_committed)?;
        (head.revision, head.chain) = (chain.revision, chain.hash);
        Ok(())
    }

    fn set_aside(&mut self) -> Result<(), StoreError> {
        let Some(Log { connection, head }) = self.log.take() else { return Ok(()) };
        connection.close().map_err(|(_, error)| not_written("closing the journal")(error))?;
        let path = self.place.path();
        let aside = beside(path, &format!(".{}.{}", head.lineage, head.revision));
        let moved = fs::rename(path, &aside);
        moved.map_err(|error| cannot("setting the journal aside", error))?;
        file::sync_folder(file::folder_of(path))
            .map_err(|error| cannot("setting the journal aside", error))
    }
}

/// Which lock the journal at `path` has: this start of this machine's kernel, and the file that is locked.
/// `None` where the kernel does not tell.
fn lock_of(path: &Path) -> Option<String> {
    let start = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let start = Some(start.trim()).filter(|start| !start.is_empty())?;
    let file = fs::metadata(beside(path, ".lock")).ok()?;
    Some(format!("{start} {} {}", file.dev(), file.ino()))
}

/// The run that was registered last, if it held this lock.
fn ended_run(path: &Path, lock: &str) -> Option<Incarnation> {
    let text = fs::read_to_string(beside(path, ".run")).ok()?;
    let (run, held) = text.split_once(' ')?;
    Incarnation::parse(run).filter(|_| held == lock)
}

/// Opens a journal that is there, verifies all of it, and makes it ready for more.
fn open(path: &Path) -> Result<(Log, RuleSet), OpenError> {
    file::look_like_a_store(path)?;
    let connection = schema::open_writable(path)?;
    let loaded = log::verify_all(&connection).map_err(|error| error.at(path))?;
    schema::prepare_to_write(&connection, path)?;
    schema::migrate(&connection, path)?;
    // Nobody reads long from a journal, so SQLite may move its log into the main file by itself.
    connection
        .execute_batch("PRAGMA wal_autocheckpoint = 1000")
        .map_err(|error| OpenError::sqlite(path, "set up", error))?;
    Ok((Log { connection, head: loaded.head }, loaded.rules))
}

fn cannot(doing: &'static str, error: impl Into<crate::store::BoxError>) -> StoreError {
    StoreError::NotWritten { doing, source: error.into() }
}

/// Writes a small file so that it holds the old text or the new one, whatever happens.
fn write_whole(path: &Path, text: &str) -> std::io::Result<()> {
    let draft = beside(path, ".part");
    let mut options = fs::OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&draft, path)?;
    fs::File::open(file::folder_of(path))?.sync_all()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]
mod tests {
    use super::*;
    use crate::audit::samples::content;
    use crate::domain::Revision;

    fn run(digit: char) -> Incarnation {
        Incarnation::parse(&digit.to_string().repeat(32)).unwrap()
    }

    fn lineage(digit: char) -> Lineage {
        Lineage::parse(&digit.to_string().repeat(32)).unwrap()
    }

    fn records(count: u64) -> Vec<Record> {
        let mut chain = Chain::START;
        let mut records = Vec::new();
        for number in 1..=count {
            let (record, _) = chain.next(&content(number)).unwrap();
            chain = Chain { revision: record.revision, hash: record.chain };
            records.push(record);
        }
        records
    }

    #[tokio::test]
    async fn a_journal_keeps_a_history_of_another_store_and_knows_who_had_it_last() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.db");
        let journal = FileJournal::open(&path, &run('1')).unwrap();
        assert_eq!(journal.predecessor(), None);
        journal.registered().await.unwrap();
        assert_eq!(journal.predecessor(), None, "nobody comes after oneself");
        assert_eq!(journal.load().await.unwrap(), None);
        let records = records(5);
        journal.follow(&lineage('a'), &records[..2]).await.unwrap();
        journal.follow(&lineage('a'), &records[2..]).await.unwrap();
        drop(journal);
        let journal = FileJournal::open(&path, &run('2')).unwrap();
        assert_eq!(journal.predecessor(), Some(run('1')));
        let head = journal.load().await.unwrap().unwrap().head;
        assert_eq!((head.lineage, head.revision), (lineage('a'), Revision(5)));
        assert_eq!(head.chain, records[4].chain);
    }

    #[tokio::test]
    async fn whoever_was_registered_last_is_named_to_the_next_runs_until_one_of_them_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.db");
        let open = |digit| FileJournal::open(&path, &run(digit)).unwrap();
        open('1').registered().await.unwrap();
        // The store was out of reach, and so nobody took the first one off its list.
        assert_eq!(open('2').predecessor(), Some(run('1')));
        let third = open('3');
        assert_eq!(third.predecessor(), Some(run('1')));
        third.registered().await.unwrap();
        drop(third);
        assert_eq!(open('4').predecessor(), Some(run('3')));
        assert_eq!(open('3').predecessor(), None, "a run is not its own predecessor");
    }

    #[tokio::test]
    async fn a_lock_that_was_another_one_says_nothing_of_who_has_ended() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.db");
        let journal = FileJournal::open(&path, &run('1')).unwrap();
        journal.follow(&lineage('a'), &records(1)).await.unwrap();
        journal.registered().await.unwrap();
        // A copy of the folder beside the running replica, on the same machine.
        let clone = tempfile::tempdir().unwrap();
        for file in fs::read_dir(folder.path()).unwrap() {
            let file = file.unwrap();
            fs::copy(file.path(), clone.path().join(file.file_name())).unwrap();
        }
        let copied = FileJournal::open(&clone.path().join("journal.db"), &run('2')).unwrap();
        assert_eq!(copied.predecessor(), None);
        drop(journal);
        let run_path = beside(&path, ".run");
        let said = fs::read_to_string(&run_path).unwrap();
        let here = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
        let elsewhere = said.replace(here.trim(), "00000000-0000-4000-8000-000000000000");
        assert_ne!(elsewhere, said);
        for (what, text) in [
            ("another machine", elsewhere.as_str()),
            ("no lock", &said[..32]),
            ("an empty file", ""),
            ("no run", &said[1..]),
        ] {
            fs::write(&run_path, text).unwrap();
            let journal = FileJournal::open(&path, &run('2')).unwrap();
            assert_eq!(journal.predecessor(), None, "{what}");
        }
        fs::write(&run_path, said).unwrap();
        let journal = FileJournal::open(&path, &run('2')).unwrap();
        assert_eq!(journal.predecessor(), Some(run('1')));
    }

    #[tokio::test]
    async fn what_does_not_continue_the_history_is_refused_and_leaves_no_trace() {
        let folder = tempfile::tempdir().unwrap();
        let journal = FileJournal::open(&folder.path().join("j.db"), &run('1')).unwrap();
        let records = records(4);
        journal.follow(&lineage('a'), &records[..2]).await.unwrap();
        let mut forged = records[2..].to_vec();
        forged[1].content.reason.push('!');
        for (lineage, wrong) in [
            (lineage('a'), &records[3..]),
            (lineage('a'), &records[..1]),
            (lineage('a'), &forged[..]),
            (lineage('b'), &records[2..]),
        ] {
            let refused = journal.follow(&lineage, wrong).await;
            assert!(matches!(refused, Err(StoreError::Corrupt { .. })), "{refused:?}");
            assert_eq!(journal.load().await.unwrap().unwrap().head.revision, Revision(2));
        }
        journal.follow(&lineage('a'), &records[2..]).await.unwrap();
    }

    #[tokio::test]
    async fn another_history_begins_in_a_file_of_its_own_and_the_old_one_stays_readable() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.db");
        let journal = FileJournal::open(&path, &run('1')).unwrap();
        journal.follow(&lineage('a'), &records(3)).await.unwrap();
        journal.set_aside().await.unwrap();
        assert_eq!(journal.load().await.unwrap(), None);
        journal.follow(&lineage('b'), &records(1)).await.unwrap();
        let head = journal.load().await.unwrap().unwrap().head;
        assert_eq!((head.lineage, head.revision), (lineage('b'), Revision(1)));
        let aside = beside(&path, &format!(".{}.3", lineage('a')));
        let copy = folder.path().join("copy.db");
        let head = crate::store::embedded::backup_file(&aside, &copy).unwrap();
        assert_eq!((head.lineage, head.revision), (lineage('a'), Revision(3)));
    }
}
