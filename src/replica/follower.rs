//! Keeps one replica of a shared store up to date, and proves that it is: renews its lease, fetches
//! what is newer, writes the journal, and leaves in the end.
//!
//! What it decides on is in `lease` and `barrier`; what it does when histories disagree is in `fork`;
//! what it keeps on disk in `journal`.
//!
//! Invariants: a renewal's time is taken before it is sent, and its answer extends the lease of the
//! very snapshot that it reported; no revision is reported before it decides checks here. A wake-up
//! only makes the next renewal come sooner, so a lost one costs time and nothing else.

use super::barrier::Reigns;
use super::bugs::{self, Bug};
use super::contact::{Contact, FollowError, Identity};
use super::journal::{JournalStanding, KeptJournal};
use super::lease::{AfterRenewal, after_renewal};
use super::{Held, InstallError, Replica};
use crate::audit::{Chain, Record};
use crate::clock::{BootTime, Clock, Terms};
use crate::domain::{Revision, RuleSet};
use crate::store::{Head, Journal, Loaded, Report, SharedStore, Standing, StoreError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, watch};

/// How many records are fetched at once.
pub(super) const PAGE: usize = 500;

/// How long a wait for a hint may last, before it is begun anew.
const HINT_LIMIT: Duration = Duration::from_secs(5);

/// How long after a failed wait for a hint the next one begins.
const HINT_PAUSE: Duration = Duration::from_millis(500);

/// How long to wait at most before the nodes of a reign are asked again.
const LONGEST_PROBE_PAUSE: Duration = Duration::from_secs(2);

/// How long the nodes of a new reign get to confirm that they follow it, each time they are asked.
const FOLLOW_LIMIT: Duration = Duration::from_millis(250);

/// Keeps one replica up to date.
pub struct Follower {
    pub(super) store: Arc<dyn SharedStore>,
    pub(super) kept: KeptJournal,
    pub(super) replica: Arc<Replica>,
    clock: Arc<dyn Clock>,
    terms: Terms,
    identity: Identity,
    /// Whether rules make sense.
    pub(super) is_sound: fn(&RuleSet) -> bool,
    reigns: Mutex<Reigns>,
    /// Whether this replica has left. Held while a renewal is under way, so that none comes after.
    left: tokio::sync::Mutex<bool>,
    /// One at a time fetches what is newer.
    pub(super) catching_up: tokio::sync::Mutex<()>,
    wake: Notify,
    contact: watch::Sender<Contact>,
    /// Tells others that newer rules are in effect.
    newest: watch::Sender<Revision>,
}

impl Follower {
    /// Starts from the journal, closed: what it holds decides checks, and nothing is `ELIGIBLE` before
    /// the store has confirmed it.
    ///
    /// # Errors
    /// When the journal cannot be read, or its rules cannot be used.
    pub async fn start(
        store: Arc<dyn SharedStore>,
        journal: Arc<dyn Journal>,
        replica: Arc<Replica>,
        clock: Arc<dyn Clock>,
        terms: Terms,
        identity: Identity,
        is_sound: fn(&RuleSet) -> bool,
    ) -> Result<Arc<Self>, FollowError> {
        let journalled = journal.load().await?;
        let revision = journalled.as_ref().map(|loaded| loaded.head.revision);
        if let Some(loaded) = journalled {
            replica.install(loaded)?;
        }
        Ok(Arc::new(Self {
            store,
            kept: KeptJournal::new(journal, revision),
            replica,
            clock,
            terms,
            identity,
            is_sound,
            reigns: Mutex::default(),
            left: tokio::sync::Mutex::default(),
            catching_up: tokio::sync::Mutex::default(),
            wake: Notify::new(),
            contact: watch::channel(Contact::None).0,
            newest: watch::channel(revision.unwrap_or_default()).0,
        }))
    }

    /// Follows the store until it is dropped. Done earlier only by a panic: end the process then.
    pub async fn run(self: Arc<Self>) {
        tokio::join!(
            self.renew_on_and_on(),
            self.listen_on_and_on(),
            self.probe_on_and_on(),
            self.kept.keep_on_and_on(&*self.store, &self.replica),
        );
    }

    /// Gives up the lease, and takes this replica off the list, so that nobody waits for it. It is not
    /// renewed any more.
    ///
    /// # Errors
    /// When the store does not answer; those who wait then do so for as long as a lease runs.
    pub async fn leave(&self) -> Result<(), StoreError> {
        let mut left = self.left.lock().await;
        *left = true;
        self.replica.give_up();
        self.store.leave(&self.identity.incarnation).await
    }

    /// The terms of this replica's leases.
    #[must_use]
    pub fn terms(&self) -> &Terms {
        &self.terms
    }

    /// Who this replica is.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The store that is followed.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn SharedStore> {
        &self.store
    }

    /// What was last heard.
    #[must_use]
    pub fn contact(&self) -> Contact {
        self.contact.borrow().clone()
    }

    /// Follows what was last heard.
    #[must_use]
    pub fn contacts(&self) -> watch::Receiver<Contact> {
        self.contact.subscribe()
    }

    /// The newest revision in effect here, as it moves.
    #[must_use]
    pub fn revisions(&self) -> watch::Receiver<Revision> {
        self.newest.subscribe()
    }

    /// What is known of the reign that answers now.
    #[must_use]
    pub fn reigns(&self) -> Reigns {
        self.lock_reigns().clone()
    }

    /// All nodes had confirmed, by now, that they follow this reign.
    pub fn all_followed(&self, reign: &crate::store::Reign) {
        self.lock_reigns().all_followed(reign, self.clock.boot());
    }

    /// Waits, up to `limit`, until the journal holds all that is in effect: a change is not begun on a
    /// replica that could not remember it. Returns how it stands then.
    pub async fn journal_within(&self, limit: Duration) -> JournalStanding {
        let held = self.replica.held().map(|held| held.head.revision);
        match tokio::time::timeout(limit, self.kept.holds(held)).await {
            Ok(()) => JournalStanding::Complete,
            Err(_) => self.kept.standing(held.unwrap_or_default()),
        }
    }

    /// Makes the next renewal come now.
    pub fn wake(&self) {
        self.wake.notify_one();
    }

    async fn renew_on_and_on(&self) {
        let mut renewals = 0_u32;
        loop {
            let before = self.contact();
            let after = self.renew_once().await;
            if before != after {
                after.tell(self.identity.name.as_str());
                self.contact.send_replace(after);
            }
            renewals = renewals.wrapping_add(1);
            tokio::select! {
                () = tokio::time::sleep(self.pause(renewals)) => {}
                () = self.wake.notified() => {}
            }
        }
    }

    /// The period, a little longer or shorter each time, so that replicas do not come all at once.
    fn pause(&self, renewals: u32) -> Duration {
        let name = self.identity.incarnation.as_str().bytes().map(u32::from).sum::<u32>();
        let percent = 90 + name.wrapping_add(renewals.wrapping_mul(7)) % 21;
        self.terms.period() * percent / 100
    }

    /// One renewal, and whatever it calls for.
    pub(super) async fn renew_once(&self) -> Contact {
        let left = self.left.lock().await;
        if *left {
            return Contact::None;
        }
        match self.renew().await {
            Ok(contact) => contact,
            Err(FollowError::Store(StoreError::Unavailable { .. })) => Contact::Unreachable,
            Err(error) => Contact::stuck(&error),
        }
    }

    async fn renew(&self) -> Result<Contact, FollowError> {
        let held = match self.replica.held() {
            Some(held) => held,
            None => match self.begin().await? {
                Some(held) => held,
                None => return Ok(Contact::Apart(Standing::Empty)),
            },
        };
        let report = self.report(bugs::reported(&*self.store, held.head.clone()).await);
        let mut sent = self.clock.boot();
        let renewal = self.in_time(self.store.renew(&report)).await?;
        bugs::renewed(self.clock.boot());
        if bugs::has(Bug::LeaseFromReply) {
            sent = self.clock.boot();
        }
        self.lock_reigns().saw(&renewal.reign);
        match after_renewal(&self.terms, sent, &renewal) {
            AfterRenewal::Extend(end) => {
                held.lease.extend_to(end);
                self.kept.registered();
                Ok(Contact::Good)
            }
            AfterRenewal::CatchUp => {
                self.catch_up(renewal.newest).await?;
                // What is held now has the lease of what it continues, and none of its own yet.
                self.wake();
                Ok(Contact::Good)
            }
            AfterRenewal::Drop(standing) => {
                held.lease.cut();
                self.replica.doubt();
                self.meet(&held, standing).await
            }
        }
    }

    fn report(&self, applied: Head) -> Report {
        let Identity { name, incarnation, address } = self.identity.clone();
        let predecessor = self.kept.predecessor();
        Report {
            name,
            incarnation,
            predecessor,
            address,
            limit: self.terms.limit,
            applied,
            room: None,
        }
    }

    /// Holds the store's history from its very beginning, when nothing is held yet.
    async fn begin(&self) -> Result<Option<Arc<Held>>, FollowError> {
        let Some(head) = self.in_time(self.store.head()).await? else { return Ok(None) };
        let held = self.replica.install(Loaded::start(head.lineage.clone()))?;
        // In a new history nothing is fetched, and no change is begun before the journal has it.
        self.kept.wake();
        self.catch_up(head.revision).await?;
        Ok(Some(self.replica.held().unwrap_or(held)))
    }

    /// Fetches and puts into effect what the store has beyond what is held, up to `wanted` at least. The
    /// journal comes after: a disk that hangs must not keep a suspension out of effect.
    ///
    /// # Errors
    /// As [`FollowError`] lists them. What was held stays.
    pub async fn catch_up(&self, wanted: Revision) -> Result<(), FollowError> {
        let _one = self.catching_up.lock().await;
        loop {
            let Some(held) = self.replica.held() else { return Ok(()) };
            if wanted <= held.head.revision {
                return Ok(());
            }
            let records = self.store.records(held.head.revision, PAGE).await?;
            if records.is_empty() {
                return Ok(());
            }
            let next = fold(&held, &records)?;
            let revision = next.head.revision;
            let before = Arc::clone(&held);
            let compiled = tokio::task::spawn_blocking(move || {
                let compiled = before.followed_by(next);
                compiled.map_err(|source| InstallError::Compile { revision, source })
            });
            let compiled = compiled.await.map_err(|_| FollowError::BrokenOff)??;
            self.replica.swap_after(&held, compiled)?;
            self.announce(revision);
        }
    }

    /// Tells others what is in effect.
    pub(super) fn announce(&self, revision: Revision) {
        self.newest.send_replace(revision);
        self.kept.wake();
    }

    async fn listen_on_and_on(&self) {
        loop {
            let revision = self.replica.held().map(|held| held.head.revision).unwrap_or_default();
            match self.store.next_change(revision, HINT_LIMIT).await {
                Ok(()) => {
                    let mut newest = self.newest.subscribe();
                    self.wake();
                    // Until it is in effect, the same hint would come at once again.
                    let _ = tokio::time::timeout(HINT_PAUSE, newest.changed()).await;
                }
                Err(_) => tokio::time::sleep(HINT_PAUSE).await,
            }
        }
    }

    /// Finds out, once a reign, when all nodes have followed it.
    async fn probe_on_and_on(&self) {
        let mut pause = self.terms.period();
        loop {
            tokio::time::sleep(pause).await;
            let needed = self.lock_reigns().needs_confirmation();
            let Some(held) = self.replica.held().filter(|_| needed) else { continue };
            match self.store.confirm(&held.head, FOLLOW_LIMIT).await {
                Ok(confirmation) if confirmation.is_durable() => {
                    self.all_followed(&confirmation.reign);
                    pause = self.terms.period();
                }
                // Some node is away, or set up otherwise: asking often does not bring it back.
                Ok(_) | Err(_) => pause = (pause * 2).min(LONGEST_PROBE_PAUSE),
            }
        }
    }

    /// Gives a renewal half a lease to be answered: a later answer proves next to nothing.
    async fn in_time<T>(
        &self,
        call: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let doing = "renewing the lease";
        tokio::time::timeout(self.terms.limit / 2, call)
            .await
            .unwrap_or_else(|late| Err(StoreError::Unavailable { doing, source: late.into() }))
    }

    fn lock_reigns(&self) -> MutexGuard<'_, Reigns> {
        self.reigns.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The wall clock's time, for records.
    pub(super) fn wall(&self) -> crate::domain::Timestamp {
        self.clock.wall()
    }

    /// How long the lease of what is held runs on.
    #[must_use]
    pub fn lease_left(&self) -> Duration {
        let now: BootTime = self.clock.boot();
        self.replica.held().map_or(Duration::ZERO, |held| held.lease.left_at(now))
    }
}

impl std::fmt::Debug for Follower {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Follower").field("identity", &self.identity).finish_non_exhaustive()
    }
}

/// What follows from what is held and the records after it, if they do follow.
fn fold(held: &Held, records: &[Record]) -> Result<Loaded, FollowError> {
    let mut next = held.loaded();
    for record in records {
        let revision = record.revision;
        let mut chain = Chain { revision: next.head.revision, hash: next.head.chain };
        if chain.pass(record).is_err() && !bugs::passes(record, &chain) {
            return Err(FollowError::DoesNotFollow { revision });
        }
        next.take(record.place(), &record.content);
    }
    Ok(next)
}
