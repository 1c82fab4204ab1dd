//! Records to be, stores and paths for the tests of stores.

use offergate::audit::{ChangeKind, NewRecord, Party, RequestId};
use offergate::clock::{Clock, SystemClock};
use offergate::domain::{Lineage, RuleChange, RuleEdit, Vendor, VendorId};
use offergate::store::embedded::{EmbeddedStore, OpenError};
use offergate::store::memory::MemoryStore;
use offergate::store::{Applied, Loaded, RuleStore, StoreError};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

/// Runs one future to its end.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

/// A record to be, under the given request id that names the vendor `vendor-NUMBER` after its number.
pub(crate) fn content(request: &str, number: u64) -> NewRecord {
    naming(request, number, &format!("Vendor {number}"))
}

/// One that gives the vendor `vendor-NUMBER` a name.
pub(crate) fn naming(request: &str, number: u64, name: &str) -> NewRecord {
    let vendor = Vendor {
        id: VendorId::parse(&format!("vendor-{number}")).unwrap(),
        name: name.into(),
        country: None,
        aliases: vec![],
        former_names: vec![],
        parents: vec![],
    };
    with_edits(request, vec![RuleEdit::PutVendor(Arc::new(vendor))])
}

/// One that takes the vendor `vendor-NUMBER` out.
pub(crate) fn removing(request: &str, number: u64) -> NewRecord {
    let id = VendorId::parse(&format!("vendor-{number}")).unwrap();
    with_edits(request, vec![RuleEdit::RemoveVendor(id)])
}

fn with_edits(request: &str, edits: Vec<RuleEdit>) -> NewRecord {
    let request_id = RequestId::parse(request).unwrap();
    let at = "2017-12-02T00:00:00Z".parse().unwrap();
    let (kind, author) = (ChangeKind::ApplyRules, Party::unverified("ann"));
    NewRecord {
        reason: "because".into(),
        ticket: "CHG-1".into(),
        ..NewRecord::made(request_id, kind, author, at, RuleChange { edits })
    }
}

/// Applies `content` on top of whatever is newest.
pub(crate) async fn apply_next(
    store: &impl RuleStore,
    content: &NewRecord,
) -> Result<Applied, StoreError> {
    let newest = store.load().await?.head.revision;
    store.apply(content, newest).await
}

/// A new store whose vendors 1 to `length` came one a revision, and what it holds.
pub(crate) fn store_of(path: &Path, length: u64) -> Loaded {
    let store = EmbeddedStore::open(path).unwrap();
    block_on(async {
        for number in 1..=length {
            apply_next(&store, &content(&format!("request-{number}"), number)).await.unwrap();
        }
        store.load().await.unwrap()
    })
}

/// An error and its causes, as a person reads them.
pub(crate) fn chain_of(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// A kind of store that the suite runs on: made new, and opened again.
pub(crate) trait StoreUnderTest: Sized {
    type Store: RuleStore;

    fn fresh() -> Self;

    fn store(&self) -> &Self::Store;

    /// Closes the store and opens what it left.
    fn reopened(self) -> Self;

    /// Whether it can be copied.
    const CAN_BE_COPIED: bool;
}

impl StoreUnderTest for MemoryStore {
    type Store = Self;
    const CAN_BE_COPIED: bool = false;

    fn fresh() -> Self {
        Self::new(Lineage::parse("00112233445566778899aabbccddeeff").unwrap())
    }

    fn store(&self) -> &Self {
        self
    }

    /// What a store in memory leaves is what its clones share.
    fn reopened(self) -> Self {
        self.clone()
    }
}

/// An embedded store in a folder that goes when it goes.
pub(crate) struct InFolder {
    store: EmbeddedStore, // Closed before its folder goes.
    folder: TempDir,
}

impl InFolder {
    fn path(folder: &TempDir) -> PathBuf {
        folder.path().join("rules.db")
    }
}

impl StoreUnderTest for InFolder {
    type Store = EmbeddedStore;
    const CAN_BE_COPIED: bool = true;

    fn fresh() -> Self {
        let folder = TempDir::new().unwrap();
        Self { store: EmbeddedStore::open(&Self::path(&folder)).unwrap(), folder }
    }

    fn store(&self) -> &EmbeddedStore {
        &self.store
    }

    fn reopened(self) -> Self {
        let Self { store, folder } = self;
        drop(store);
        // Another test may have forked while the file was open: its child keeps the lock until it
        // has become another program.
        let patience = Duration::from_secs(10);
        let start = SystemClock.boot();
        loop {
            match EmbeddedStore::open(&Self::path(&folder)) {
                Ok(store) => return Self { store, folder },
                Err(OpenError::InUse { .. }) if SystemClock.boot() - start < patience => {
                    std::thread::yield_now();
                }
                Err(error) => panic!("cannot be reopened: {error}"),
            }
        }
    }
}
