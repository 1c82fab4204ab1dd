//! Looks after what is in effect: finds out how a write ended, tells watchers, watches the clock and what
//! waits for people.

use super::Service;
use super::escalation::Told;
use crate::replica::{Follower, Freshness};
use crate::store::{BoxError, StoreError};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How often rules in doubt are looked at again: often enough that checks are soon answered, seldom
/// enough that a store in trouble is left in peace.
const MEND_INTERVAL: Duration = Duration::from_millis(250);

/// Of how many looks in a row that settle nothing one is logged: one a minute.
const LOOKS_A_LINE: u32 = 240;

impl Service {
    /// Finds out what a write that ended unclear has done. Until that is known, what is held is in
    /// doubt. Returns whether it is known.
    pub(super) async fn settle(&self, tell: bool) -> bool {
        self.replica.doubt();
        let settled = match self.store.load().await {
            Ok(loaded) => self.replica.install(loaded).map(drop).map_err(BoxError::from),
            Err(error) => {
                if let StoreError::Corrupt { .. } = error {
                    self.give_up(&error);
                }
                Err(error.into())
            }
        };
        match &settled {
            Ok(()) => self.announce(),
            Err(error) if tell => tracing::error!(error = &**error, "Rules are in doubt"),
            Err(_) => {}
        }
        settled.is_ok()
    }

    /// The store holds something else than what was written to it: nothing that it says later makes
    /// the held rules certain again.
    pub(super) fn give_up(&self, error: &StoreError) {
        self.replica.doubt();
        if !self.damaged.swap(true, Ordering::AcqRel) {
            tracing::error!(
                error = error as &dyn std::error::Error,
                "The store is damaged: nothing is answered ELIGIBLE or changed until a person has \
                 looked and started this server anew"
            );
        }
    }

    /// Goes on settling for as long as there is doubt, and watches the clock, until it is dropped. A
    /// server runs one.
    pub async fn mend(self: Arc<Self>) {
        if let Some(follower) = &self.follower {
            return self.relay(follower).await;
        }
        let (mut looks, mut was_behind, mut told) = (0, false, Told::default());
        loop {
            tokio::time::sleep(MEND_INTERVAL).await;
            was_behind = self.watch_clock(was_behind);
            self.watch_emergencies(&mut told);
            // No write may come into doubt between the look at the store and what it settles.
            let _writing = self.writing.lock().await;
            let is_in_doubt = self.replica.freshness(self.clock.boot()) == Freshness::Stale;
            let can_settle = is_in_doubt && !self.damaged.load(Ordering::Acquire);
            if can_settle && !self.settle(looks % LOOKS_A_LINE == 0).await {
                looks = looks.wrapping_add(1);
            } else {
                looks = 0;
            }
        }
    }

    /// Tells watchers of what the follower takes over, and watches the clock.
    async fn relay(&self, follower: &Follower) {
        let (mut revisions, mut was_behind) = (follower.revisions(), false);
        let mut told = Told::default();
        loop {
            let _ = tokio::time::timeout(MEND_INTERVAL, revisions.changed()).await;
            self.announce();
            was_behind = self.watch_clock(was_behind);
            self.watch_emergencies(&mut told);
        }
    }

    /// Tells watchers what is in effect.
    pub(super) fn announce(&self) {
        if let Some(held) = self.replica.held() {
            self.newest.send_if_modified(|newest| {
                let later = *newest < held.head.revision;
                *newest = held.head.revision.max(*newest);
                later
            });
        }
    }
}
