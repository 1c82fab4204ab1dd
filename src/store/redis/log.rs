//! Reads the log of records in pages, and verifies whatever it reads: no record leaves here whose hash
//! does not follow from the one before. The newest state is kept and moved on; what cannot be moved on
//! is read anew from the first record.

use super::scripts::{READ, REQUEST};
use crate::audit::{Chain, Record, RequestId};
use crate::domain::{ChainHash, Lineage, Revision};
use crate::redis::{Lane, Reply, Unanswered};
use crate::store::{BoxError, Head, Loaded, StoreError};
use std::time::Duration;
use tokio::sync::Mutex;

/// How long reading one page may take, with all attempts.
const PATIENCE: Duration = Duration::from_secs(3);

/// A page: enough for one round trip to be cheap, and little enough that nobody else waits long.
const MOST_RECORDS: usize = 512;
const MOST_BYTES: &str = "1048576";

/// Reads, on a lane of its own.
pub(super) struct Log {
    pub(super) lane: Lane,
    newest: Mutex<Option<Loaded>>,
}

/// Some records, and what was known when they were read.
struct Page {
    head: Head,
    start: ChainHash,
    records: Vec<(String, String, String)>,
}

/// What came of asking for a page.
enum Asked {
    Page(Page),
    /// There is no such revision yet.
    None,
    /// The place that was asked about is not part of this history.
    Elsewhere,
}

impl Log {
    pub(super) fn new(lane: Lane) -> Self {
        Self { lane, newest: Mutex::new(None) }
    }

    /// The newest state.
    pub(super) async fn newest(&self) -> Result<Loaded, StoreError> {
        let mut newest = self.newest.lock().await;
        if let Some(held) = newest.as_ref() {
            // Taken out: if reading fails halfway, what is left is whole.
            let held = held.clone();
            if let Some(loaded) = self.moved_on(held).await? {
                *newest = Some(loaded.clone());
                return Ok(loaded);
            }
            *newest = None;
        }
        for _ in 0..3 {
            let start = self.start().await?;
            if let Some(loaded) = self.moved_on(start).await? {
                *newest = Some(loaded.clone());
                return Ok(loaded);
            }
        }
        let source = "the history was replaced again and again while it was read".into();
        Err(StoreError::Unavailable { doing: "reading records", source })
    }

    /// What is held, if it stands at `revision`; else the newest state.
    pub(super) async fn held_at(&self, revision: Revision) -> Result<Loaded, StoreError> {
        let held = self.newest.lock().await.clone();
        match held {
            Some(loaded) if loaded.head.revision == revision => Ok(loaded),
            _ => self.newest().await,
        }
    }

    /// Takes a record that this process has just written, and that comes after `before`.
    pub(super) async fn wrote(&self, before: &Head, lineage: &Lineage, record: &Record) {
        let mut newest = self.newest.lock().await;
        if let Some(held) = newest.as_mut().filter(|held| held.head == *before) {
            held.take(record.place(), &record.content);
            held.head.lineage = lineage.clone();
        }
    }

    /// Forgets what is held: the store says that it is of another history.
    pub(super) async fn distrust(&self) {
        *self.newest.lock().await = None;
    }

    /// The state as of an earlier revision.
    pub(super) async fn at(&self, revision: Revision) -> Result<Option<Loaded>, StoreError> {
        let newest = self.newest().await?;
        if newest.head.revision < revision {
            return Ok(None);
        }
        if newest.head.revision == revision {
            return Ok(Some(newest));
        }
        self.fold(Loaded::start(newest.head.lineage), Some(revision)).await
    }

    /// Up to `limit` records after a revision.
    pub(super) async fn records(
        &self,
        after: Revision,
        limit: usize,
    ) -> Result<Vec<Record>, StoreError> {
        let mut records = Vec::new();
        let mut place: Option<(Lineage, Chain)> = None;
        while records.len() < limit {
            let (lineage, from, chain) = match &place {
                None => (None, after, None),
                Some((lineage, chain)) => (Some(lineage), chain.revision, Some(chain.hash)),
            };
            let most = limit - records.len();
            let page = match self.page(lineage, from, chain, Revision(u64::MAX), most).await? {
                Asked::Page(page) => page,
                Asked::None => break,
                Asked::Elsewhere => return Err(replaced()),
            };
            let hash = chain.unwrap_or(page.start);
            let mut chain = Chain { revision: from, hash };
            for stored in &page.records {
                records.push(follow(&mut chain, stored)?);
            }
            if page.records.is_empty() || page.head.revision <= chain.revision {
                ends_at(&page.head, &chain)?;
                break;
            }
            place = Some((page.head.lineage, chain));
        }
        Ok(records)
    }

    /// The record that a request led to.
    pub(super) async fn record_of(
        &self,
        request_id: &RequestId,
    ) -> Result<Option<Record>, StoreError> {
        const DOING: &str = "looking up a request";
        let asked = [request_id.as_str()];
        let reply = self.lane.run(&REQUEST, &asked, PATIENCE, Unanswered::Again).await;
        let mut reply = reply.map_err(|trouble| trouble.reading(DOING))?.sound()?;
        match reply.kind.as_str() {
            "NONE" => return Ok(None),
            "EMPTY" => return Err(StoreError::Empty),
            "SEEN" => {}
            _ => return Err(unclear(DOING)(reply.unexpected())),
        }
        let mut read = || {
            reply.reign()?;
            reply.revision()
        };
        let revision = read().map_err(unclear(DOING))?;
        self.record_at(revision, request_id).await.map(Some)
    }

    /// The record of a revision, which must be that of the request.
    pub(super) async fn record_at(
        &self,
        revision: Revision,
        request_id: &RequestId,
    ) -> Result<Record, StoreError> {
        let before = Revision(revision.0.saturating_sub(1));
        match self.records(before, 1).await?.pop() {
            Some(record) if record.content.request_id == *request_id => Ok(record),
            _ => Err(corrupt(format!("revision {revision}"), "its request id is not its entry's")),
        }
    }

    /// The beginning of whatever history there is.
    async fn start(&self) -> Result<Loaded, StoreError> {
        match self.page(None, Revision::ZERO, None, Revision::ZERO, 1).await? {
            Asked::Page(Page { head, .. }) => Ok(Loaded::start(head.lineage)),
            Asked::None | Asked::Elsewhere => Err(replaced()),
        }
    }

    async fn moved_on(&self, from: Loaded) -> Result<Option<Loaded>, StoreError> {
        self.fold(from, None).await
    }

    /// Applies the records after `state`, up to a revision or to the end; `None` if `state` is not part
    /// of the store's history.
    async fn fold(
        &self,
        mut state: Loaded,
        up_to: Option<Revision>,
    ) -> Result<Option<Loaded>, StoreError> {
        let last = up_to.unwrap_or(Revision(u64::MAX));
        loop {
            let Head { lineage, revision, chain } = state.head.clone();
            let asked =
                self.page(Some(&lineage), revision, Some(chain), last, MOST_RECORDS).await?;
            let Asked::Page(page) = asked else { return Ok(None) };
            let mut chain = Chain { revision, hash: chain };
            for stored in &page.records {
                let record = follow(&mut chain, stored)?;
                state.take(chain, &record.content);
            }
            if up_to == Some(state.head.revision) {
                return Ok(Some(state));
            }
            // Nothing may stand beyond the head, which was read in the same step.
            if page.records.is_empty() || page.head.revision <= chain.revision {
                ends_at(&page.head, &chain)?;
                return Ok(Some(state));
            }
        }
    }

    async fn page(
        &self,
        lineage: Option<&Lineage>,
        after: Revision,
        chain: Option<ChainHash>,
        last: Revision,
        most: usize,
    ) -> Result<Asked, StoreError> {
        const DOING: &str = "reading records";
        let lineage = lineage.map_or("", Lineage::as_str);
        let (after, last) = (after.to_string(), last.to_string());
        let chain = chain.map(|chain| chain.to_string()).unwrap_or_default();
        let most = most.min(MOST_RECORDS).to_string();
        let arguments = [lineage, &after, &chain, &last, &most, MOST_BYTES];
        let reply = self.lane.run(&READ, &arguments, PATIENCE, Unanswered::Again).await;
        let reply = reply.map_err(|trouble| trouble.reading(DOING))?.sound()?;
        match reply.kind.as_str() {
            "PAGE" => Page::read(reply).map(Asked::Page).map_err(unclear(DOING)),
            "NONE" => Ok(Asked::None),
            "LINEAGE" | "APART" => Ok(Asked::Elsewhere),
            "EMPTY" => Err(StoreError::Empty),
            _ => Err(unclear(DOING)(reply.unexpected())),
        }
    }
}

impl Page {
    fn read(mut reply: Reply) -> Result<Self, BoxError> {
        reply.reign()?;
        let lineage = reply.lineage()?;
        let head = Head { lineage, revision: reply.revision()?, chain: reply.chain()? };
        let start = reply.chain()?;
        let mut records = Vec::new();
        while !reply.is_over() {
            records.push((reply.text()?, reply.text()?, reply.text()?));
        }
        Ok(Self { head, start, records })
    }
}

/// Moves over a stored record: its id, hash and entry.
fn follow(chain: &mut Chain, stored: &(String, String, String)) -> Result<Record, StoreError> {
    let (id, hash, entry) = stored;
    let place = format!("revision {}", chain.revision.next());
    let mut read = || -> Result<Record, BoxError> {
        let revision = id.strip_suffix("-0").and_then(|number| number.parse().ok());
        let revision = revision.ok_or_else(|| format!("a record `{id}` stands there"))?;
        let hash = ChainHash::parse(hash).ok_or("its hash is not 64 hex digits")?;
        Ok(chain.follow(Revision(revision), hash, entry)?)
    };
    read().map_err(|source| StoreError::Corrupt { place, source })
}

/// The log must end where the head says.
fn ends_at(head: &Head, chain: &Chain) -> Result<(), StoreError> {
    if head.revision == chain.revision && head.chain == chain.hash {
        return Ok(());
    }
    let place = format!("revision {}", chain.revision.min(head.revision).next());
    let why = format!(
        "the log ends at revision {} ({}), and the head is at revision {} ({})",
        chain.revision, chain.hash, head.revision, head.chain
    );
    Err(corrupt(place, why))
}

fn replaced() -> StoreError {
    let source = "the history was replaced while it was read".into();
    StoreError::Unavailable { doing: "reading records", source }
}

fn corrupt(place: String, why: impl Into<BoxError>) -> StoreError {
    StoreError::Corrupt { place, source: why.into() }
}

/// What it means that a reply does not read.
pub(super) fn unclear(doing: &'static str) -> impl Fn(BoxError) -> StoreError {
    move |source| StoreError::Unavailable { doing, source }
}
