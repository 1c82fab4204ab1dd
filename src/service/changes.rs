//! Shows changes that take two people: those that wait, those that were decided on, and all that ever
//! happened to one suspension.

use super::approve::why_void;
use super::change::{compile, on_another_thread};
use super::history::Revised;
use super::preview::touched;
use super::{Service, ServiceError};
use crate::audit::{Act, Emergency, Proposal, Record};
use crate::domain::{Revision, RuleChange, SuspensionId};
use crate::replica::Held;
use crate::rules::{self, Plan};
use crate::store::Loaded;
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

    /// All records about one suspension, oldest first.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn history_of(&self, id: &SuspensionId) -> Result<Vec<Revised>, ServiceError> {
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

fn proposed(held: &Held, id: Revision, proposal: Proposal, at: crate::domain::Timestamp) -> Shown {
    let now: Loaded = held.loaded();
    let after = now.rules.after(&proposal.change);
    let plan = rules::plan(&now.rules, &after);
    let compiled = compile(&after, now.head.revision);
    let offers_changed = compiled.map_or(0, |snapshot| {
        touched(held, &Held::new(Loaded { rules: after, ..now.clone() }, snapshot), at).len()
    });
    let void_because = why_void(&now, &proposal, at);
    Shown { id, standing: Standing::Proposed(proposal), plan, offers_changed, void_because }
}

fn touches(change: &RuleChange, id: &SuspensionId) -> bool {
    change.edits.iter().any(|edit| edit.subject() == ("suspensions", id.as_str()))
}
