//! Tells people's own systems of what they must hear of: signed CloudEvents to one webhook.
//!
//! - `event`: what is told, and the bytes that are sent. `sources`: where it comes from: the log of
//!   changes, the time, this process.
//! - `outbox`: what waits to be taken, in a file of this server's own, and how far the log was read.
//! - `signature`: how a receiver knows that it is ours. `sender`: one attempt.
//!
//! Each replica sends all events of the log by itself, so that none depends on one machine. The same thing
//! has the same id from each of them and after each restart: a receiver drops what it has seen.
//!
//! Invariants: an event is in the outbox before the log counts as read past it, and leaves it only once
//! the receiver took it, so that a process may be killed anywhere. The outbox is bounded: while it is full
//! the log is not read on, which loses nothing, and what is urgent has room of its own. No check and no change
//! waits for any of it. No customer's id and no reason that people wrote is in an event.

mod event;
mod outbox;
#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod outbox_tests;
mod sender;
mod signature;
mod sources;

pub use outbox::OutboxError;
pub use signature::Keys;

use crate::clock::Clock;
use crate::service::Service;
use crate::telemetry::EventsSeen;
use event::Event;
use outbox::{Outbox, Waiting};
use sender::Sender;
use sources::Sources;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

/// How soon what happened is seen. People and their systems act within minutes.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// After a failure of the outbox's own file, and the longest pause of a sender with nothing due.
const PAUSE: Duration = Duration::from_secs(5);

/// What is told at the start.
pub struct EventsSettings {
    /// Where events go.
    pub url: String,
    /// What they are signed with.
    pub keys: Keys,
    /// The file beside which the outbox is: the store's, or the journal's.
    pub beside: PathBuf,
    /// Which service this is, the same for all its replicas.
    pub source: String,
    /// The name of this server.
    pub server: String,
    /// How many gaps the decision log has told of since the start, where there is one.
    pub gaps: Box<dyn Fn() -> u64 + Send + Sync>,
}

/// Sends events.
pub struct Events {
    outbox: Arc<Mutex<Outbox>>,
    sender: Sender,
    clock: Arc<dyn Clock>,
    sources: Mutex<Option<Sources>>,
    wake: Notify,
    delivered: AtomicU64,
    failed: AtomicU64,
}

impl Events {
    /// Opens the outbox, or makes it.
    ///
    /// # Errors
    /// When the file cannot be used, or the sender not be set up.
    pub fn open(
        settings: EventsSettings,
        service: Arc<Service>,
        clock: Arc<dyn Clock>,
    ) -> Result<Arc<Self>, OutboxError> {
        let path = outbox_path(&settings.beside);
        let mut outbox = Outbox::open(&path, clock.wall())?;
        // Before anybody can make a change here, so that none is taken for one of before.
        let head = service.held().map(|held| held.head.clone());
        outbox.begin_at(head.map(|head| (head.lineage, head.revision, head.chain)), &path)?;
        let sender = Sender::new(settings.url, settings.keys).map_err(OutboxError::Sender)?;
        let sources = Sources::new(service, settings.source, settings.server, settings.gaps);
        Ok(Arc::new(Self {
            outbox: Arc::new(Mutex::new(outbox)),
            sender,
            clock,
            sources: Mutex::new(Some(sources)),
            wake: Notify::new(),
            delivered: AtomicU64::new(0),
            failed: AtomicU64::new(0),
        }))
    }

    /// Sees what happens and sends it, until it is dropped. A server runs one.
    pub async fn run(self: Arc<Self>) {
        let sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(sources) = sources else { return };
        tokio::join!(self.watch(sources), self.send_on_and_on());
    }

    /// What the metrics say.
    #[must_use]
    pub fn seen(&self) -> EventsSeen {
        let (waiting, oldest) = self.lock().waiting();
        let now = self.clock.wall().as_second();
        let age = oldest.map_or(0, |oldest| now.saturating_sub(oldest));
        EventsSeen {
            waiting,
            oldest: Duration::from_secs(u64::try_from(age).unwrap_or_default()),
            delivered: self.delivered.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Outbox> {
        self.outbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Works on the outbox where waiting for the disk holds up nobody.
    async fn with_outbox<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Outbox) -> T + Send + 'static,
    ) -> Option<T> {
        let outbox = Arc::clone(&self.outbox);
        let worked = tokio::task::spawn_blocking(move || {
            work(&mut outbox.lock().unwrap_or_else(PoisonError::into_inner))
        });
        worked.await.ok()
    }

    async fn watch(&self, mut sources: Sources) {
        let (mut was_well, mut was_full) = (true, false);
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            match self.look(&mut sources).await {
                Ok(left) => {
                    was_well = true;
                    let is_full = 0 < left;
                    if is_full && !was_full {
                        tracing::warn!(
                            left,
                            "The outbox of events is full; what found no room waits"
                        );
                    }
                    was_full = is_full;
                }
                Err(error) => {
                    if std::mem::take(&mut was_well) {
                        tracing::warn!(error, "Events cannot be collected now; nothing is lost");
                    }
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    /// Puts what is new into the outbox, and says how much did not fit. That is found again later.
    async fn look(&self, sources: &mut Sources) -> Result<usize, String> {
        let Some(cursor) = self.with_outbox(|outbox| outbox.cursor()).await else {
            return Err("a thread broke off".to_owned());
        };
        let cursor = cursor.map_err(|error| error.to_string())?;
        let Some(found) = sources.look(cursor, self.clock.wall()).await? else { return Ok(0) };
        let put = self.with_outbox(move |outbox| outbox.put(&found.events, &found.cursor)).await;
        let put = match put {
            Some(Ok(put)) => put,
            Some(Err(error)) => {
                sources.put(false);
                return Err(error.to_string());
            }
            None => {
                sources.put(false);
                return Err("a thread broke off".to_owned());
            }
        };
        sources.put(put.left == 0);
        for id in &put.new {
            tracing::info!(id, "An event waits to be sent");
        }
        if !put.new.is_empty() {
            self.wake.notify_one();
        }
        Ok(put.left)
    }

    async fn send_on_and_on(&self) {
        let mut pause = Duration::ZERO;
        loop {
            // A receiver that is away is away for all events; one that refuses an event may take others.
            let _ = tokio::time::timeout(pause, self.wake.notified()).await;
            let now = self.clock.wall();
            let due = self.with_outbox(move |outbox| outbox.due(now)).await;
            let waiting = match due {
                Some(Ok(Some(waiting))) => waiting,
                Some(Ok(None)) => {
                    pause = LOOK_EVERY;
                    continue;
                }
                Some(Err(_)) | None => {
                    pause = PAUSE;
                    continue;
                }
            };
            pause = Duration::ZERO;
            self.attempt(waiting).await;
        }
    }

    async fn attempt(&self, waiting: Waiting) {
        let Waiting { id, body, attempts, .. } = waiting;
        let sent = self.sender.send(&id, &body, self.clock.wall().as_second()).await;
        let now = self.clock.wall();
        let marked = match sent {
            Ok(()) => {
                self.delivered.fetch_add(1, Ordering::Relaxed);
                self.with_outbox(move |outbox| outbox.taken(&id, now)).await
            }
            Err(error) => {
                self.failed.fetch_add(1, Ordering::Relaxed);
                // One line for the first failure of an event, and then for every tenth.
                if attempts.is_multiple_of(10) {
                    let (attempts, why) = (attempts + 1, &error);
                    tracing::warn!(id, attempts, %why, "The receiver did not take an event; it stays");
                }
                let everybody = error.concerns_all();
                self.with_outbox(move |outbox| outbox.failed(&id, attempts, now, everybody)).await
            }
        };
        if !matches!(marked, Some(Ok(()))) {
            // It is sent once more; its id is the same.
            tracing::error!("The outbox of events cannot be written");
            tokio::time::sleep(PAUSE).await;
        }
    }
}

impl std::fmt::Debug for Events {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Events").finish_non_exhaustive()
    }
}

/// Where the outbox of a store or a journal is.
fn outbox_path(beside: &Path) -> PathBuf {
    let mut path = beside.as_os_str().to_owned();
    path.push(".events");
    path.into()
}
