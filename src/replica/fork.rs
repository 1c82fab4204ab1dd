//! What a replica does when the store's history is not the one that it holds.
//!
//! Nobody has a lease meanwhile. What holds is the store and every suspension that a replica holds and
//! the store lacks: those are proposed again by themselves, since that only ever tightens. Lifts, and
//! which history goes on, are for people.
//!
//! Invariant: a replica leaves its history for another one only where the store says that people let
//! that one take its place, and only after its own suspensions are in it.

use super::contact::{Contact, FollowError};
use super::follower::Follower;
use super::{Held, InstallError};
use crate::audit::{Act, ChangeKind, NewRecord, Party, RequestId};
use crate::decision::Snapshot;
use crate::domain::{Direction, Revision, RuleChange, RuleEdit, Suspension};
use crate::store::{Head, Loaded, Standing, StoreError};
use std::sync::Arc;

/// How often a suspension is proposed anew because another one came first.
const MOST_ATTEMPTS: usize = 20;

impl Follower {
    /// Meets a store that did not say that what is held is part of its history.
    pub(super) async fn meet(
        &self,
        held: &Arc<Held>,
        standing: Standing,
    ) -> Result<Contact, FollowError> {
        match &standing {
            Standing::Forked { part: false } => self.propose_again(held).await?,
            Standing::OtherLineage { ancestors, .. } if ancestors.contains(&held.head.lineage) => {
                if !self.is_part(held).await? {
                    self.propose_again(held).await?;
                }
                self.move_over().await?;
                return Ok(Contact::Good);
            }
            _ => {}
        }
        Ok(Contact::Apart(standing))
    }

    /// Whether the store's records lead through what is held: then it has lost nothing of it.
    async fn is_part(&self, held: &Held) -> Result<bool, StoreError> {
        let Some(before) = held.head.revision.0.checked_sub(1) else { return Ok(true) };
        let record = self.store.records(Revision(before), 1).await?.pop();
        Ok(record.is_some_and(|record| record.chain == held.head.chain))
    }

    /// Proposes each suspension again that is held here and that the store does not have.
    async fn propose_again(&self, held: &Held) -> Result<(), FollowError> {
        let mut left = Vec::new();
        for suspension in held.rules.suspensions.values() {
            if !self.propose_until_it_is_there(held, suspension).await? {
                left.push(suspension.id.to_string());
            }
        }
        match left.is_empty() {
            true => Ok(()),
            false => Err(FollowError::LeftOver { suspensions: left.join(", ") }),
        }
    }

    /// Returns whether the store has it in the end.
    async fn propose_until_it_is_there(
        &self,
        held: &Held,
        suspension: &Suspension,
    ) -> Result<bool, StoreError> {
        for _ in 0..MOST_ATTEMPTS {
            let store = self.store.load().await?;
            if store.rules.suspensions.contains_key(&suspension.id) {
                return Ok(true);
            }
            let Some(content) = self.content(held, suspension, &store) else { return Ok(false) };
            match self.store.apply(&content, store.head.revision).await {
                Ok(_) | Err(StoreError::RequestReused { .. }) => {
                    let suspension = suspension.id.as_str();
                    tracing::warn!(
                        suspension,
                        "Proposed a suspension again that the store had lost"
                    );
                    return Ok(true);
                }
                Err(StoreError::Conflict { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(false)
    }

    /// `None` when the store's rules make no sense with it. Replicas that hold the same make the same
    /// record of it, so that it is carried out once.
    fn content(&self, held: &Held, lost: &Suspension, store: &Loaded) -> Option<NewRecord> {
        let Head { lineage, revision, chain } = &held.head;
        let advisories = lost.advisories.iter().filter_map(|id| {
            let is_missing = !store.rules.advisories.contains_key(id);
            let advisory = held.rules.advisories.get(id).filter(|_| is_missing)?;
            Some(RuleEdit::PutAdvisory(Arc::clone(advisory)))
        });
        let mut edits: Vec<RuleEdit> = advisories.collect();
        // A lift that the store does not know is for people to repeat.
        let suspension = Suspension { lifted_at: None, ..lost.clone() };
        edits.push(RuleEdit::PutSuspension(Arc::new(suspension)));
        let change = RuleChange { edits };
        let after = store.rules.after(&change);
        let compiles = Snapshot::compile(&after, store.head.revision.next()).is_ok();
        if !compiles || !(self.is_sound)(&after) {
            return None;
        }
        let request_id = RequestId::parse(&format!("heal.{}.{}", chain.prefix(), lost.id))?;
        // Not before what put it in force, or a clock that runs behind would undo it.
        let at = Some(self.wall()).max(held.changed_at).max(store.changed_at)?;
        let kind = ChangeKind::HealFork;
        // What one person did alone, and nobody has ratified, waits for that in the other history too.
        let (act, direction, author) = match held.waiting.emergency_of(&lost.id) {
            Some(emergency) => {
                (Act::Emergency, Some(Direction::Tightening), emergency.author.clone())
            }
            None => (Act::Make, None, Party::ourselves()),
        };
        Some(NewRecord {
            act,
            direction,
            reason: format!(
                "the store has lost this suspension, which history {lineage} holds at revision \
                 {revision}"
            ),
            ticket: lost.ticket.clone(),
            ..NewRecord::made(request_id, kind, author, at, change)
        })
    }

    /// Takes over the history that people let take the place of the one held.
    async fn move_over(&self) -> Result<(), FollowError> {
        let _one = self.catching_up.lock().await;
        let loaded = self.store.load().await?;
        let (revision, lineage) = (loaded.head.revision, loaded.head.lineage.clone());
        let snapshot = Snapshot::compile(&loaded.rules, revision)
            .map_err(|source| InstallError::Compile { revision, source })?;
        let held = Held::new(loaded, snapshot);
        self.kept.set_aside(|| self.replica.move_over(held)).await?;
        tracing::warn!(%lineage, "Moved over to the history that people decided on");
        self.announce(revision);
        self.wake();
        Ok(())
    }
}
