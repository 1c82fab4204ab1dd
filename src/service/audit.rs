//! The log of changes: its records, signed checkpoints, and proofs.
//!
//! The tree over the log is built here from the store's own records, one after another as they come, and
//! each has to follow from the one before and end at what is in effect. It belongs to one history. When another
//! takes its place it goes on where that one continues what was read, as a restored one does; else, and where
//! the store does not hold any more what it held, it is built anew. Until a long log is read, whoever asks for
//! a proof is told how far that is, and when to ask again.
//!
//! Invariant: no checkpoint is signed for anything but the history in effect, up to a record that was read
//! from the store and verified.

use super::reading::Reading;
use super::{Service, ServiceError};
use crate::audit::{AuditKey, Chain, Checkpoint, Record, Tree, TreeHash};
use crate::domain::{ChainHash, Lineage, Revision};
use crate::store::Head;
use std::sync::{Arc, OnceLock, PoisonError};
use std::time::Duration;
use tokio::sync::{Mutex, MutexGuard, Notify};

/// How many records are read at once: each can hold a whole rule file, and most are small.
const PAGE: usize = 100;

/// How long a call waits for what is not read yet. A short rest of a log takes less.
const PATIENCE: Duration = Duration::from_secs(1);

/// How often a checkpoint goes into the ordinary log at most.
const TOLD_EVERY: Duration = Duration::from_secs(60);

/// The tree of a service, and what it signs with.
#[derive(Default)]
pub(super) struct AuditLog {
    key: OnceLock<AuditKey>,
    grown: Mutex<Option<Grown>>,
    /// How the reading gets on, for those who do not get at the tree meanwhile.
    reading: std::sync::Mutex<Reading>,
    /// Somebody wants more than was read.
    wanted: Notify,
}

/// The tree over a history, as far as it was read.
struct Grown {
    lineage: Lineage,
    tree: Tree,
    /// The chain hash at each record: a checkpoint of any size carries it.
    chains: Vec<ChainHash>,
}

/// A proof, with what it proves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InclusionProof {
    /// The size of the log.
    pub size: Revision,
    /// The record's leaf.
    pub leaf: TreeHash,
    /// The way up.
    pub hashes: Vec<TreeHash>,
    /// Where it leads.
    pub root: TreeHash,
}

/// A proof that one log begins with another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsistencyProof {
    /// The size of the larger one.
    pub to: Revision,
    /// The proof.
    pub hashes: Vec<TreeHash>,
    /// The root of the smaller log.
    pub from_root: TreeHash,
    /// The root of the larger one.
    pub to_root: TreeHash,
}

impl Grown {
    fn new(lineage: Lineage) -> Self {
        Self { lineage, tree: Tree::default(), chains: Vec::new() }
    }

    fn end(&self) -> Chain {
        let size = Revision(self.tree.size());
        let hash = self.chains.last().copied().unwrap_or_default();
        Chain { revision: size, hash }
    }

    /// Takes the record that comes next, or says that it does not.
    fn push(&mut self, record: &Record) -> bool {
        if !self.end().leads_to(record) {
            return false;
        }
        self.tree.push(TreeHash::leaf(record.entry.as_bytes()));
        self.chains.push(record.chain);
        true
    }

    /// Whether a place is one that was read.
    fn holds(&self, head: &Head) -> bool {
        self.lineage == head.lineage && self.chain(head.revision) == Some(head.chain)
    }

    /// The chain hash at a size.
    fn chain(&self, size: Revision) -> Option<ChainHash> {
        match size.0.checked_sub(1) {
            None => Some(ChainHash::ZERO),
            Some(place) => self.chains.get(usize::try_from(place).ok()?).copied(),
        }
    }
}

impl Service {
    /// Signs checkpoints with this key from now on. The first one given stays.
    pub fn sign_with(&self, key: AuditKey) {
        let _ = self.audit.key.set(key);
    }

    /// Up to `most` records after a revision, oldest first, no further than what is in effect.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn audit_records(
        &self,
        after: Revision,
        most: usize,
    ) -> Result<Vec<Record>, ServiceError> {
        let left = self.head()?.revision.0.saturating_sub(after.0);
        let count = usize::try_from(left).unwrap_or(most).min(most);
        if count == 0 {
            return Ok(Vec::new());
        }
        Ok(self.store.records(after, count).await?)
    }

    /// The checkpoint of a size, signed, and the key to verify it with. Of the newest size without one.
    ///
    /// # Errors
    /// When there is no key, when the log is not so long, or when the store does not answer.
    pub async fn checkpoint(
        &self,
        size: Option<Revision>,
    ) -> Result<(String, String), ServiceError> {
        let key = self.audit.key.get().ok_or(ServiceError::NoAuditKey)?;
        let (log, size) = self.log_of(size).await?;
        let root = log.tree.root(size.0).ok_or(ServiceError::BrokenOff)?;
        let chain = log.chain(size).ok_or(ServiceError::BrokenOff)?;
        let checkpoint = Checkpoint { lineage: log.lineage.clone(), size, root, chain };
        Ok((checkpoint.sign(key), key.verifier().to_string()))
    }

    /// Proves that a record is in the log of a size.
    ///
    /// # Errors
    /// When it is not, or when the store does not answer.
    pub async fn prove_inclusion(
        &self,
        revision: Revision,
        size: Option<Revision>,
    ) -> Result<InclusionProof, ServiceError> {
        let (log, size) = self.log_of(size).await?;
        let index = revision.0.checked_sub(1);
        let proven = index.and_then(|index| {
            let (tree, size) = (&log.tree, size.0);
            Some((tree.leaf(index)?, tree.prove_inclusion(index, size)?, tree.root(size)?))
        });
        let ahead = ServiceError::RevisionAhead { asked: revision, newest: size };
        let (leaf, hashes, root) = proven.ok_or(ahead)?;
        Ok(InclusionProof { size, leaf, hashes, root })
    }

    /// Proves that the log of one size begins with that of another.
    ///
    /// # Errors
    /// When one of them is not there, or when the store does not answer.
    pub async fn prove_consistency(
        &self,
        from: Revision,
        to: Option<Revision>,
    ) -> Result<ConsistencyProof, ServiceError> {
        let (log, to) = self.log_of(to).await?;
        let tree = &log.tree;
        let proven =
            tree.prove_consistency(from.0, to.0).zip(tree.root(from.0)).zip(tree.root(to.0));
        let ahead = ServiceError::RevisionAhead { asked: from, newest: to };
        let ((hashes, from_root), to_root) = proven.ok_or(ahead)?;
        Ok(ConsistencyProof { to, hashes, from_root, to_root })
    }

    /// Keeps the tree grown, so that nobody waits for a long log to be read, and tells its checkpoints.
    /// Never ends by itself.
    pub async fn follow_log(self: Arc<Self>) {
        tokio::join!(self.grow(), self.tell_checkpoints());
    }

    /// Puts a checkpoint into the ordinary log when there is a new one, at most one a minute: whoever
    /// wants to show another history later has to change what was collected elsewhere by then.
    async fn tell_checkpoints(&self) {
        let mut newest = self.newest.subscribe();
        loop {
            newest.borrow_and_update();
            // A long log takes longer to read than those wait who ask.
            let read = async { self.read_up_to(&self.head()?).await.map(drop) };
            if let (Ok(()), Ok((checkpoint, _))) = (read.await, self.checkpoint(None).await) {
                tracing::info!(checkpoint, "Checkpoint of the log of changes");
            }
            tokio::time::sleep(TOLD_EVERY).await;
            if newest.changed().await.is_err() {
                return;
            }
        }
    }

    async fn grow(&self) {
        let mut newest = self.newest.subscribe();
        loop {
            newest.borrow_and_update();
            let read = match self.head() {
                Ok(head) => self.read_up_to(&head).await.map(drop),
                Err(error) => Err(error),
            };
            if let Err(error) = read {
                // Whoever asks for a proof is told the same; the next change tries again.
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, "The log of changes cannot be read for proofs");
            }
            tokio::select! {
                changed = newest.changed() => if changed.is_err() { return },
                () = self.audit.wanted.notified() => {}
            }
        }
    }

    /// The log as it stands now, up to what is in effect, and the size that was asked for.
    async fn log_of(
        &self,
        size: Option<Revision>,
    ) -> Result<(tokio::sync::MappedMutexGuard<'_, Grown>, Revision), ServiceError> {
        let head = self.head()?;
        let size = size.unwrap_or(head.revision);
        if head.revision < size {
            return Err(ServiceError::RevisionAhead { asked: size, newest: head.revision });
        }
        let read = tokio::time::timeout(PATIENCE, self.read_up_to(&head)).await;
        let log = read.unwrap_or_else(|_| Err(self.still_reading(head.revision)))?;
        Ok((log, size))
    }

    /// The log up to a place, however long it takes to read it. One at a time reads.
    async fn read_up_to(
        &self,
        head: &Head,
    ) -> Result<tokio::sync::MappedMutexGuard<'_, Grown>, ServiceError> {
        let mut log = self.audit.grown.lock().await;
        if !self.catch_up(&mut log, head).await? {
            // The history was another when it was read: once more, from its beginning.
            *log = None;
            if !self.catch_up(&mut log, head).await? {
                *log = None;
                return Err(ServiceError::Lost { revision: head.revision });
            }
        }
        MutexGuard::try_map(log, Option::as_mut).map_err(|_| ServiceError::BrokenOff)
    }

    /// Sees to it that the log is read on, and says how far that is.
    fn still_reading(&self, all: Revision) -> ServiceError {
        self.audit.wanted.notify_one();
        let reading = *self.reading();
        let retry_after = reading.done_in(all.0, self.clock.boot());
        ServiceError::LogBeingRead { read: Revision(reading.read()), all, retry_after }
    }

    fn reading(&self) -> std::sync::MutexGuard<'_, Reading> {
        self.audit.reading.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads on up to the head; tells whether that is where the records lead. What was read stays, so
    /// that a call which ran out of time has not read in vain.
    async fn catch_up(&self, log: &mut Option<Grown>, head: &Head) -> Result<bool, ServiceError> {
        let log = match log {
            Some(log) if log.lineage == head.lineage => log,
            Some(log) if self.is_continued(log, head).await? => {
                log.lineage = head.lineage.clone();
                log
            }
            _ => log.insert(Grown::new(head.lineage.clone())),
        };
        *self.reading() = Reading::begin(log.tree.size(), self.clock.boot());
        while log.end().revision < head.revision {
            let after = log.end().revision;
            let left = usize::try_from(head.revision.0 - after.0).unwrap_or(PAGE);
            let records = self.store.records(after, left.min(PAGE)).await?;
            if records.is_empty() || !records.iter().all(|record| log.push(record)) {
                return Ok(false);
            }
            self.reading().got_to(log.tree.size());
        }
        Ok(log.holds(head))
    }

    /// Whether another history leads through all that was read: a chain hash stands for everything before it.
    async fn is_continued(&self, log: &Grown, head: &Head) -> Result<bool, ServiceError> {
        let end = log.end();
        let (Some(before), true) = (end.revision.0.checked_sub(1), end.revision <= head.revision)
        else {
            return Ok(false);
        };
        let record = self.store.records(Revision(before), 1).await?.pop();
        Ok(record.is_some_and(|record| record.chain == end.hash))
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use crate::audit::{KeyName, samples::content, verify_consistency, verify_inclusion};
    use crate::clock::SystemClock;
    use crate::store::RuleStore as _;
    use crate::store::memory::MemoryStore;

    async fn add(store: &MemoryStore, name: u64, expected: u64) {
        store.apply(&content(name), Revision(expected)).await.unwrap();
    }

    async fn serving(store: &MemoryStore) -> Arc<Service> {
        let (store, clock) = (Arc::new(store.clone()), Arc::new(SystemClock));
        Service::start(store, clock, Service::STALENESS_LIMIT, None).await.unwrap()
    }

    async fn store_of(count: u64) -> MemoryStore {
        let store = MemoryStore::new(Lineage::parse(&"a".repeat(32)).unwrap());
        for number in 1..=count {
            add(&store, number, number - 1).await;
        }
        store
    }

    #[tokio::test]
    async fn proofs_and_checkpoints_agree_whatever_the_store_is() {
        let store = store_of(25).await;
        let service = serving(&store).await;
        let key = AuditKey::from_seed(KeyName::default(), &[3; 32]);
        let verifier = key.verifier();
        assert!(matches!(service.checkpoint(None).await, Err(ServiceError::NoAuditKey)));
        service.sign_with(key);
        let (note, told) = service.checkpoint(None).await.unwrap();
        assert_eq!(told, verifier.to_string());
        let checkpoint = Checkpoint::open(&note, &verifier).unwrap();
        assert_eq!(checkpoint.size, Revision(25));

        let InclusionProof { size, leaf, hashes, root } =
            service.prove_inclusion(Revision(7), None).await.unwrap();
        assert_eq!((size, root), (Revision(25), checkpoint.root));
        assert_eq!(verify_inclusion(leaf, 6, 25, root, &hashes), Ok(()));
        let proof = service.prove_consistency(Revision(11), None).await.unwrap();
        let verified = verify_consistency(11, 25, proof.from_root, checkpoint.root, &proof.hashes);
        assert_eq!(verified, Ok(()));
    }

    #[tokio::test]
    async fn nothing_is_signed_for_a_store_that_lost_or_changed_what_is_in_effect() {
        let store = store_of(3).await;
        let service = serving(&store).await;
        service.sign_with(AuditKey::from_seed(KeyName::default(), &[3; 32]));
        store.lose_after(Revision(2));
        let lost = service.checkpoint(None).await;
        assert!(matches!(lost, Err(ServiceError::Lost { revision: Revision(3) })), "{lost:?}");
        add(&store, 9, 2).await;
        let other = service.checkpoint(None).await;
        assert!(matches!(other, Err(ServiceError::Lost { revision: Revision(3) })), "{other:?}");
    }

    async fn read(store: &MemoryStore, name: char, size: usize) -> Grown {
        let mut log = Grown::new(Lineage::parse(&name.to_string().repeat(32)).unwrap());
        let records = store.records(Revision::ZERO, size).await.unwrap();
        assert!(records.iter().all(|record| log.push(record)));
        log
    }

    #[tokio::test]
    async fn a_history_that_continues_what_was_read_is_not_read_again_and_another_one_is() {
        let store = store_of(25).await;
        let service = serving(&store).await;
        let head = service.head().unwrap();
        let whole = read(&store, 'a', 25).await.tree.root(25).unwrap();
        // As if it had been restored: the same records, under another name. What was read shows by its leaves.
        let mut restored = read(&store, 'b', 20).await;
        restored.tree = Tree::default();
        (0..20).for_each(|_| restored.tree.push(TreeHash::leaf("as it was read")));
        let mut log = Some(restored);
        assert!(service.catch_up(&mut log, &head).await.unwrap());
        let log = log.unwrap();
        assert_eq!((log.lineage, log.tree.size()), (head.lineage.clone(), 25));
        assert_eq!(log.tree.leaf(19), Some(TreeHash::leaf("as it was read")));
        assert_ne!(log.tree.root(25), Some(whole));

        let other = MemoryStore::new(Lineage::parse(&"b".repeat(32)).unwrap());
        for number in 1..=30 {
            add(&other, number + 25, number - 1).await;
        }
        let longer = store_of(30).await;
        for wrong in [
            read(&other, 'b', 20).await,
            read(&other, 'b', 30).await,
            read(&longer, 'b', 30).await,
            read(&store, 'b', 0).await,
        ] {
            let mut log = Some(wrong);
            assert!(service.catch_up(&mut log, &head).await.unwrap());
            assert_eq!(log.unwrap().tree.root(25), Some(whole));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_asks_while_a_long_log_is_read_is_told_how_far_that_is() {
        let store = store_of(3).await;
        let service = serving(&store).await;
        service.sign_with(AuditKey::from_seed(KeyName::default(), &[3; 32]));
        // Somebody else reads, and takes long.
        let reading = service.audit.grown.lock().await;
        let late = service.checkpoint(None).await.unwrap_err();
        assert!(matches!(late, ServiceError::LogBeingRead { .. }), "{late:?}");
        let told = "the log of changes is being read for proofs: 0 of 3 records so far";
        assert_eq!(late.to_string(), told);
        drop(reading);
        assert!(service.checkpoint(None).await.is_ok());
    }

    #[tokio::test]
    async fn a_tree_that_was_read_goes_on_proving_what_is_in_effect() {
        let store = store_of(3).await;
        let service = serving(&store).await;
        let before = service.prove_inclusion(Revision(3), None).await.unwrap();
        store.lose_after(Revision(2));
        assert_eq!(service.prove_inclusion(Revision(3), None).await.unwrap(), before);
    }
}
