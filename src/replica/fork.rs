//! What a replica does when the store's history is not the one that it holds.
//!
//! Nobody has a lease meanwhile. What holds is the store and every suspension that a replica holds and
//! the store lacks: those are proposed again by themselves, since that only ever tightens. Lifts, and
//! which history goes on, are for people.
//!
//! Invariant: a replica leaves its history for another one only where the store says that people let
//! that one take its place, and only after its own suspensions are in it.

use super::contact::Contact;
use super::follower::{FollowError, Follower};
use super::{Held, InstallError};
use crate::audit::{ChangeKind, Proposal, RequestId};
use crate::decision::Snapshot;
use crate::domain::{RuleChange, RuleEdit, RuleSet, Suspension};
use crate::store::{Applied, Loaded, Standing, StoreError};
use std::sync::Arc;

/// How often a proposal is made anew because another one came first.
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
            Standing::OtherLineage { parent: Some(parent), .. } if *parent == held.head.lineage => {
                self.propose_again(held).await?;
                self.move_over().await?;
                return Ok(Contact::Good);
            }
            _ => {}
        }
        Ok(Contact::Apart(standing))
    }

    /// Proposes each suspension again that is held here and that the store has never heard of.
    async fn propose_again(&self, held: &Held) -> Result<(), FollowError> {
        for suspension in held.rules.suspensions.values() {
            for _ in 0..MOST_ATTEMPTS {
                let store = self.store.load().await?;
                if store.rules.suspensions.contains_key(&suspension.id) {
                    break;
                }
                match self.propose(held, suspension, &store).await {
                    Err(StoreError::Conflict { .. }) => {}
                    Ok(Some(_)) => break,
                    Ok(None) => {
                        tracing::error!(
                            suspension = suspension.id.as_str(),
                            "A suspension that only this replica holds cannot be proposed again: \
                             what it names is not in the store. People must decide"
                        );
                        break;
                    }
                    Err(error) => return Err(error.into()),
                }
            }
        }
        Ok(())
    }

    /// `None` when the store's rules make no sense with it.
    async fn propose(
        &self,
        held: &Held,
        suspension: &Suspension,
        store: &Loaded,
    ) -> Result<Option<Applied>, StoreError> {
        // A lift that the store does not know is for people to repeat.
        let suspension = Arc::new(Suspension { lifted_at: None, ..suspension.clone() });
        let change = RuleChange { edits: vec![RuleEdit::PutSuspension(Arc::clone(&suspension))] };
        let after = store.rules.after(&change);
        if !compiles(&after, store) {
            return Ok(None);
        }
        let id = format!("heal.{}.{}", held.head.chain.prefix(), suspension.id);
        let Some(request_id) = RequestId::parse(&id) else { return Ok(None) };
        let proposal = Proposal {
            request_id,
            kind: ChangeKind::HealFork,
            author: format!("replica {}", self.identity().name),
            approver: None,
            reason: format!(
                "the store has lost this suspension, which history {} holds at revision {}",
                held.head.lineage, held.head.revision
            ),
            ticket: suspension.ticket.clone(),
            at: self.wall(),
            change,
        };
        let applied = self.store.apply(&proposal, store.head.revision).await?;
        tracing::warn!(
            suspension = suspension.id.as_str(),
            revision = applied.record.revision.0,
            "Proposed a suspension again that the store had lost"
        );
        Ok(Some(applied))
    }

    /// Takes over the history that people let take the place of the one held.
    async fn move_over(&self) -> Result<(), FollowError> {
        let loaded = self.store.load().await?;
        let revision = loaded.head.revision;
        let snapshot = Snapshot::compile(&loaded.rules, revision)
            .map_err(|source| InstallError::Compile { revision, source })?;
        self.kept.set_aside().await?;
        tracing::warn!(lineage = %loaded.head.lineage, "Moved over to the history that people decided on");
        self.replica.move_over(Held::new(loaded, snapshot));
        self.announce(revision);
        self.wake();
        Ok(())
    }
}

fn compiles(rules: &RuleSet, store: &Loaded) -> bool {
    Snapshot::compile(rules, store.head.revision.next()).is_ok()
}
