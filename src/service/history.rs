//! Revisions: one, pages of them, and all that come.

use super::{Service, ServiceError};
use crate::audit::Record;
use crate::domain::{Lineage, Revision, Token};
use crate::store::Head;
use futures_util::Stream;
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::sync::watch;

/// How many records a watcher reads at once: each can hold a whole rule file.
const PAGE: usize = 10;

/// A change that was made, with the place in history that it led to.
#[derive(Debug, Clone)]
pub struct Revised {
    /// The change.
    pub record: Record,
    /// The place.
    pub token: Token,
}

impl Revised {
    pub(super) fn new(record: Record, lineage: &Lineage) -> Self {
        Self { token: Token::new(lineage.clone(), record.revision, &record.chain), record }
    }
}

impl Service {
    /// The newest place in history that is in effect.
    ///
    /// # Errors
    /// When no rules are loaded.
    pub fn head(&self) -> Result<Head, ServiceError> {
        Ok(self.needs_rules()?.head.clone())
    }

    /// One revision; `None` for the newest while there has been no change yet.
    ///
    /// # Errors
    /// When it is not there, or the store does not answer.
    pub async fn revision(&self, asked: Option<Revision>) -> Result<Option<Revised>, ServiceError> {
        let head = self.head()?;
        let asked = asked.unwrap_or(head.revision);
        if asked == Revision::ZERO {
            return Ok(None);
        }
        let none = || ServiceError::NotFound { kind: "revision", id: asked.to_string() };
        if head.revision < asked {
            return Err(none());
        }
        let records = self.store.records(Revision(asked.0 - 1), 1).await?;
        let record = records.into_iter().next().ok_or_else(none)?;
        Ok(Some(Revised::new(record, &head.lineage)))
    }

    /// Up to `most` revisions below `before`, newest first; all of them when it is `None`.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn revisions(
        &self,
        before: Option<Revision>,
        most: usize,
    ) -> Result<Vec<Revised>, ServiceError> {
        let head = self.head()?;
        let top = before
            .map_or(head.revision.0, |before| before.0.saturating_sub(1).min(head.revision.0));
        let after = top.saturating_sub(u64::try_from(most).unwrap_or(u64::MAX));
        let count = usize::try_from(top - after).unwrap_or(most);
        let records = self.store.records(Revision(after), count).await?;
        Ok(records.into_iter().rev().map(|record| Revised::new(record, &head.lineage)).collect())
    }

    /// Every revision after `after`, in order and without a gap: those that exist, then each as it
    /// takes effect. Without `after`, only those still to come. Ends with an error.
    ///
    /// # Errors
    /// When `after` is not there yet; when `known`, the token of that revision, is of another history.
    pub async fn watch(
        self: &Arc<Self>,
        after: Option<Revision>,
        known: Option<&Token>,
    ) -> Result<impl Stream<Item = Result<Revised, ServiceError>> + Send + use<>, ServiceError>
    {
        let newest = self.newest.subscribe();
        let head = self.head()?;
        let after = after.unwrap_or(head.revision);
        if head.revision < after {
            return Err(ServiceError::RevisionAhead { asked: after, newest: head.revision });
        }
        if let Some(known) = known {
            let place = self.revision(Some(after)).await?;
            let place = place.map_or_else(|| head.lineage_start(), |revised| revised.token);
            if *known != place {
                return Err(ServiceError::HistoryChanged { revision: after });
            }
        }
        let watcher =
            Watcher { service: Arc::clone(self), newest, after, read: VecDeque::new(), head };
        Ok(futures_util::stream::unfold(Some(watcher), |watcher| async move {
            let mut watcher = watcher?;
            match watcher.next().await {
                Ok(revised) => Some((Ok(revised), Some(watcher))),
                Err(error) => Some((Err(error), None)),
            }
        }))
    }
}

/// One caller that follows revisions. The store is the source; the channel only says when to look.
struct Watcher {
    service: Arc<Service>,
    newest: watch::Receiver<Revision>,
    /// The last revision handed out or read.
    after: Revision,
    /// Read, and not handed out yet.
    read: VecDeque<Record>,
    head: Head,
}

impl Watcher {
    async fn next(&mut self) -> Result<Revised, ServiceError> {
        loop {
            if self.service.head()?.lineage != self.head.lineage {
                return Err(ServiceError::HistoryChanged { revision: self.after });
            }
            if let Some(record) = self.read.pop_front() {
                return Ok(Revised::new(record, &self.head.lineage));
            }
            let newest = *self.newest.borrow_and_update();
            let to_come = newest.0.saturating_sub(self.after.0);
            if to_come == 0 {
                self.newest.changed().await.map_err(|_| ServiceError::BrokenOff)?;
                continue;
            }
            let count = usize::try_from(to_come).unwrap_or(PAGE).min(PAGE);
            let records = self.service.store.records(self.after, count).await?;
            for record in records {
                // A gap would be silent loss: better no more than something left out.
                if record.revision != self.after.next() {
                    return Err(ServiceError::BrokenOff);
                }
                self.after = record.revision;
                self.read.push_back(record);
            }
            if self.read.is_empty() {
                return Err(ServiceError::BrokenOff);
            }
        }
    }
}
