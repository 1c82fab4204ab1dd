//! Shows changes that take two people: those that wait, those that were decided on, and all that ever
//! happened to one suspension.

use super::approve::why_void;
use super::change::{Changed, compile, on_another_thread};
use super::denied::DenialCount;
use super::history::Revised;
use super::preview::touched;
use super::{Service, ServiceError};
use crate::audit::{Act, Emergency, Proposal, Record};
use crate::domain::{Revision, RuleChange, RuleEdit, RuleSet, SuspensionId, Timestamp};
use crate::replica::Held;
use crate::rules::{self, Plan};
use crate::store::{Loaded, ReplicaName, SeenEnforced};
use std::collections::BTreeSet;
use std::sync::Arc;

/// How many records are read at once.
const PAGE: usize = 200;

/// How many records of one suspension are shown at most.
const MOST_HISTORY: usize = 1_000;

/// Where a change stands.
#[derive(Debug)]
pub enum Standing {
    /// It waits for approval.
    Proposed(Proposal),
    /// It is in force, and waits to be ratified.
    Unratified(Emergency),
    /// It was decided on: how, and by which revision. The record is that of the approval, or else that
    /// which asked for it.
    Decided(Act, Revision, Box<Record>),
}

/// A change, and what it does.
#[derive(Debug)]
pub struct Shown {
    /// Its number.
    pub id: Revision,
    /// Where it stands.
    pub standing: Standing,
    /// What it changes.
    pub plan: Plan,
    /// How many offers it touches; of what waits for approval.
    pub offers_changed: usize,
    /// Why it cannot be approved any more.
    pub void_because: Option<String>,
}

/// What happened to a suspension, and what it did.
#[derive(Debug)]
pub struct SuspensionHistory {
    /// The records about it, oldest first.
    pub revised: Vec<Revised>,
    /// Which of them this server saw enforced, and when.
    pub enforced: Vec<SeenEnforced>,
    /// In how many decisions of this server's log it stood in the way.
    pub denied: DenialCount,
    /// Which server says so, where there are several.
    pub server: Option<ReplicaName>,
}

impl Service {
    /// One change that waits, or was decided on of late.
    ///
    /// # Errors
    /// When there is none of this number, and when the store does not answer.
    pub async fn shown(&self, id: Revision) -> Result<Shown, ServiceError> {
        let held = self.needs_rules()?;
        let waiting = &held.waiting;
        if let Some(proposal) = waiting.proposals.get(&id).cloned() {
            let at = self.instants_after(held.changed_at).now;
            return on_another_thread(move || Ok(proposed(&held, id, proposal, at))).await;
        }
        let standing = match (waiting.emergencies.get(&id), waiting.decided.get(&id)) {
            (Some(emergency), _) => Standing::Unratified(emergency.clone()),
            (None, Some(&(act, revision))) => {
                // What was approved may be another change than what was asked for at first.
                let told = if act == Act::Approve { revision } else { id };
                let record = self.record_at(told).await?;
                Standing::Decided(act, revision, Box::new(record))
            }
            (None, None) => {
                return Err(ServiceError::NotFound { kind: "change", id: id.to_string() });
            }
        };
        // What it did, or was meant to do, to the rules before it.
        let change = match &standing {
            Standing::Unratified(emergency) => Arc::clone(&emergency.change),
            Standing::Decided(_, _, record) => Arc::new(record.content.change.clone()),
            Standing::Proposed(_) => Arc::default(),
        };
        let told = match &standing {
            Standing::Decided(_, _, record) => record.revision,
            Standing::Proposed(_) | Standing::Unratified(_) => id,
        };
        let before = self.rules_at(Some(Revision(told.0.saturating_sub(1)))).await?.rules;
        on_another_thread(move || {
            let plan = rules::plan(&before, &before.after(&change));
            Ok(Shown { id, standing, plan, offers_changed: 0, void_because: None })
        })
        .await
    }

    /// What a proposal would do to the rules that it was asked for over, and how many offers it would touch
    /// then: the same, whenever the request for it is repeated.
    ///
    /// # Errors
    /// When no rules are held.
    pub async fn effect_of(
        &self,
        changed: &Changed,
        proposal: &Proposal,
    ) -> Result<(Plan, usize), ServiceError> {
        let start = Loaded::start(self.needs_rules()?.head.lineage.clone());
        let (before, after) = (Arc::clone(&changed.before), Arc::clone(&changed.rules));
        let as_of = proposal.edited_at.max(starts(proposal).unwrap_or(Timestamp::MIN));
        on_another_thread(move || {
            let held = |rules: &RuleSet| {
                let snapshot = compile(rules, start.head.revision)?;
                Ok::<_, ServiceError>(Held::new(
                    Loaded { rules: rules.clone(), ..start.clone() },
                    snapshot,
                ))
            };
            let touched = touched(&held(&before)?, &held(&after)?, as_of).len();
            Ok((rules::plan(&before, &after), touched))
        })
        .await
    }

    /// What happened to one suspension; without a record if there never was one of this id.
    ///
    /// # Errors
    /// When the store does not answer, or what this server saw does not read.
    pub async fn history_of(&self, id: &SuspensionId) -> Result<SuspensionHistory, ServiceError> {
        let revised = self.records_about(id).await?;
        let in_force = revised.iter().filter(|it| it.record.content.effect().is_some());
        let since = in_force.clone().map(|it| it.record.content.at).next();
        let enforced = self.seen_of(in_force.map(|it| it.record.chain).collect()).await?;
        let denied = self.denied_by(id, since).await;
        let server = self.follower.as_ref().map(|it| it.identity().name.clone());
        Ok(SuspensionHistory { revised, enforced, denied, server })
    }

    /// All records about one suspension, oldest first.
    async fn records_about(&self, id: &SuspensionId) -> Result<Vec<Revised>, ServiceError> {
        let head = self.head()?;
        let (mut found, mut changes) = (Vec::new(), BTreeSet::new());
        let mut after = Revision::ZERO;
        while after < head.revision {
            let records = self.store.records(after, PAGE).await?;
            let Some(last) = records.last() else { break };
            after = last.revision;
            for record in records {
                let about = record.content.proposal.unwrap_or(record.revision);
                let is_touched = touches(&record.content.change, id);
                if is_touched {
                    changes.insert(about);
                }
                if is_touched || changes.contains(&about) {
                    found.push(Revised::new(record, &head.lineage));
                }
            }
            tokio::task::yield_now().await;
        }
        Ok(found.split_off(found.len().saturating_sub(MOST_HISTORY)))
    }

    async fn record_at(&self, revision: Revision) -> Result<Record, ServiceError> {
        let found = self.revision(Some(revision)).await?;
        let none = || ServiceError::NotFound { kind: "change", id: revision.to_string() };
        found.map(|revised| revised.record).ok_or_else(none)
    }
}

fn proposed(held: &Held, id: Revision, proposal: Proposal, at: Timestamp) -> Shown {
    let now: Loaded = held.loaded();
    let after = now.rules.after(&proposal.change);
    let plan = rules::plan(&now.rules, &after);
    let compiled = compile(&after, now.head.revision);
    let as_of = at.max(starts(&proposal).unwrap_or(at));
    let offers_changed = compiled.map_or(0, |snapshot| {
        touched(held, &Held::new(Loaded { rules: after, ..now.clone() }, snapshot), as_of).len()
    });
    let void_because = why_void(&now, &proposal, at);
    Shown { id, standing: Standing::Proposed(proposal), plan, offers_changed, void_because }
}

/// The first instant of the one suspension or exemption that a proposal is about.
fn starts(proposal: &Proposal) -> Option<Timestamp> {
    match proposal.change.edits.as_slice() {
        [RuleEdit::PutSuspension(found)] => Some(found.from),
        [RuleEdit::PutExemption(found)] => Some(found.from),
        _ => None,
    }
}

fn touches(change: &RuleChange, id: &SuspensionId) -> bool {
    change.edits.iter().any(|edit| edit.subject() == ("suspensions", id.as_str()))
}
