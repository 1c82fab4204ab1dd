//! Permits: what lets a program in another process act by the rules, and what makes the barrier wait for it.
//!
//! In a store that several processes share, a holder is on the store's list like a replica: each grant is a
//! renewal of its own, and everything that is proved of leases holds for it, whichever server it asks. Where
//! this process alone writes, it keeps the list itself ([`Permits`]), and remembers on disk how long permits
//! run that may be out: a run after a crash waits until what it cannot know of has run out.
//!
//! Invariant: a grant says that the holder's rules were all the rules at an instant after it had asked, and
//! whoever waits for a later change waits for that holder.

use super::{Service, ServiceError};
use crate::clock::{BootTime, Terms};
use crate::domain::{Revision, Token};
use crate::replica::{Follower, Freshness, Held, Holder, Permits, Silent};
use crate::store::{Report, RuleStore, Standing, StoreError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, watch};

/// What a holder is told whose rules are newer than those here.
const BEHIND: &str = "this server is fetching what is newer";

/// What a holder may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permitted {
    /// Whether, and for how long.
    pub answer: PermitAnswer,
    /// What is in effect here.
    pub token: Token,
    /// The revision that changed the rules last.
    pub rules_since: Revision,
}

/// Whether a holder may act.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PermitAnswer {
    /// It may act by the rules that it named, for this long from before it asked, less a margin.
    Granted(Duration),
    /// There are newer rules.
    Moved,
    /// Nobody can say that its rules are all there are.
    NotNow(String),
}

/// The list of holders, where this process keeps it.
#[derive(Debug, Default)]
pub(super) struct PermitList {
    permits: Mutex<Permits>,
    /// How long the permits run that may be out, as far as the store remembers that; `None` where it may
    /// remember nothing. Held while one is granted, so that it is not forgotten in between.
    noted: Arc<tokio::sync::Mutex<Option<Duration>>>,
    /// Moves when a holder acts by newer rules, or ends.
    moved: watch::Sender<()>,
    /// Who says nothing any more, where the store keeps the list.
    silent: Mutex<Silent>,
}

impl PermitList {
    /// The list of a process that begins now.
    pub(super) async fn begin(store: &dyn RuleStore, now: BootTime) -> Result<Self, StoreError> {
        let list = Self::default();
        if let Some(limit) = store.noted_permits().await? {
            list.permits().begin_after(now, &Terms::of(limit));
            *list.noted.lock().await = Some(limit);
        }
        Ok(list)
    }

    pub(super) fn permits(&self) -> MutexGuard<'_, Permits> {
        self.permits.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn silent(&self) -> MutexGuard<'_, Silent> {
        self.silent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn moves(&self) -> watch::Receiver<()> {
        self.moved.subscribe()
    }
}

impl Service {
    /// A place for one more holder.
    ///
    /// # Errors
    /// When there is none.
    pub fn place_for_holder(&self) -> Result<OwnedSemaphorePermit, ServiceError> {
        Arc::clone(&self.holders).try_acquire_owned().map_err(|_| ServiceError::TooManyPermits)
    }

    /// Takes those off the store's list who died without giving their permits back, as far as anybody can know
    /// by now. Where this process keeps the list, it does so with each grant.
    pub async fn forget_silent_holders(&self) {
        let Some(follower) = &self.follower else { return };
        let (list, now) = (&self.permit_list, self.clock.boot());
        let (Ok(held), true) = (self.needs_rules(), list.silent().is_due(now, follower.terms()))
        else {
            return;
        };
        let Ok(fleet) = follower.store().fleet(&held.head).await else { return };
        let gone = list.silent().on(&fleet, self.clock.boot());
        if !gone.is_empty() {
            // If it fails, they are seen again.
            let _ = follower.store().forget(&gone).await;
        }
    }

    /// The newest revision in effect here, as it moves.
    #[must_use]
    pub fn revisions_in_effect(&self) -> watch::Receiver<Revision> {
        self.newest.subscribe()
    }

    /// What whoever acts by `token` is to know of the rules in effect, without asking for anything: `None`
    /// if that is all of them.
    ///
    /// # Errors
    /// When no rules are loaded.
    pub fn moved_since(&self, token: &Token) -> Result<Option<Permitted>, ServiceError> {
        let held = self.needs_rules()?;
        Ok((!is_newest(&held, token)).then(|| permitted(&held, PermitAnswer::Moved)))
    }

    /// Lets a holder go on for a while, if the rules of `token`, by which it acts and by nothing older any
    /// more, are all the rules.
    ///
    /// # Errors
    /// When no rules are loaded, the store does not answer, or too many hold permits.
    pub async fn permit(&self, holder: &Holder, token: &Token) -> Result<Permitted, ServiceError> {
        match &self.follower {
            None => self.permit_here(holder, token).await,
            Some(follower) => self.permit_there(follower, holder, token).await,
        }
    }

    /// Takes a permit back from a holder that has ended in order.
    ///
    /// # Errors
    /// When the store does not answer; whoever waits for the holder then waits until its permit has run out.
    pub async fn give_back(&self, holder: &Holder) -> Result<(), ServiceError> {
        if let Some(follower) = &self.follower {
            return Ok(follower.store().leave(&holder.incarnation).await?);
        }
        self.permit_list.permits().give_back(&holder.incarnation);
        self.permit_list.moved.send_replace(());
        self.forget_permits().await;
        Ok(())
    }

    async fn permit_here(&self, holder: &Holder, token: &Token) -> Result<Permitted, ServiceError> {
        // What is not granted is acknowledged all the same.
        let held = self.needs_rules()?;
        if !is_newest(&held, token) {
            if held.reaches(token) {
                self.permit_list.permits().acts_by(holder, token.revision);
                self.permit_list.moved.send_replace(());
            }
            return Ok(permitted(&held, PermitAnswer::Moved));
        }
        let mut noted = self.permit_list.noted.lock().await;
        // What an earlier run remembered may be too little for the permits of this one.
        if noted.is_none_or(|longest| longest < self.staleness_limit) {
            self.store.note_permits(Some(self.staleness_limit)).await?;
            *noted = Some(self.staleness_limit);
        }
        let now = self.clock.boot();
        let terms = Terms::of(self.staleness_limit);
        let granted = self.permit_list.permits().grant(holder, token.revision, now, &terms);
        granted.map_err(|_| ServiceError::TooManyPermits)?;
        self.permit_list.moved.send_replace(());
        // Only now, since whoever has swapped newer rules in meanwhile may have looked at the list before.
        let held = self.needs_rules()?;
        if !is_newest(&held, token) {
            return Ok(permitted(&held, PermitAnswer::Moved));
        }
        if self.replica.freshness(self.clock.boot()) != Freshness::Fresh {
            let why = "the rules held may not be the newest".to_owned();
            return Ok(permitted(&held, PermitAnswer::NotNow(why)));
        }
        Ok(permitted(&held, PermitAnswer::Granted(self.staleness_limit)))
    }

    async fn permit_there(
        &self,
        follower: &Follower,
        holder: &Holder,
        token: &Token,
    ) -> Result<Permitted, ServiceError> {
        let held = self.needs_rules()?;
        if held.head.lineage == token.lineage && held.head.revision < token.revision {
            follower.wake();
            return Ok(permitted(&held, PermitAnswer::NotNow(BEHIND.to_owned())));
        }
        if !is_newest(&held, token) {
            return Ok(permitted(&held, PermitAnswer::Moved));
        }
        // What is held here differs from what the holder acts by in what changes no rules, if at all.
        let report = Report {
            name: holder.name.clone(),
            incarnation: holder.incarnation.clone(),
            predecessor: None,
            address: format!("through {}", follower.identity().name),
            limit: follower.terms().limit,
            applied: held.head.clone(),
            room: Some(Holder::ROOM),
        };
        let renewal = follower.store().renew(&report).await?;
        let answer = match renewal.standing {
            Standing::Newest => PermitAnswer::Granted(follower.terms().limit),
            Standing::NoRoom => return Err(ServiceError::TooManyPermits),
            Standing::Behind => {
                follower.wake();
                PermitAnswer::NotNow(BEHIND.to_owned())
            }
            other => {
                follower.wake();
                PermitAnswer::NotNow(super::fleet::apart(&other).unwrap_or_default())
            }
        };
        Ok(permitted(&held, answer))
    }

    /// Forgets on disk that permits may be out, once none can be.
    pub(super) async fn forget_permits(&self) {
        let mut noted = Arc::clone(&self.permit_list.noted).lock_owned().await;
        if noted.is_none() || !self.permit_list.permits().are_over(self.clock.boot()) {
            return;
        }
        let store = Arc::clone(&self.store);
        // On a task of its own: whoever waits for this may go, and until it is done none may be granted.
        let forgetting = tokio::spawn(async move {
            // If it fails, the next run of this process waits a little.
            if store.note_permits(None).await.is_ok() {
                *noted = None;
            }
        });
        let _ = forgetting.await;
    }
}

/// Whether whoever acts by `token` acts by all the rules that are held.
fn is_newest(held: &Held, token: &Token) -> bool {
    held.reaches(token) && held.rules_since <= token.revision
}

fn permitted(held: &Held, answer: PermitAnswer) -> Permitted {
    Permitted { answer, token: held.head.token(), rules_since: held.rules_since }
}
