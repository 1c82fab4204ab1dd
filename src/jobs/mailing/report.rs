//! What a mailing did, for a person to sign.
//!
//! Invariant: all of it is from the ledger, and equal ledgers give equal reports, so that their digests can be
//! compared.

use crate::jobs::error::JobError;
use crate::jobs::mailing::control::{self, Began, Counted, Order, Standing};
use crate::jobs::mailing::plan::{Plan, sha256};
use crate::ledger::{Fact, Ledger, PROOFS, State};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// What was signed, and by whom.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signed {
    /// The mailing.
    pub plan: Plan,
    /// SHA-256 of it, which is what was signed.
    pub plan_sha256: String,
    /// The number of the proposal.
    pub number: u64,
    /// Who proposed it.
    pub author: String,
    /// Who approved it.
    pub approver: String,
    /// When.
    pub approved_at: String,
    /// The digest that the approver named.
    pub digest: String,
}

/// How many ended how.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// All there are.
    pub audience: u64,
    /// The other side took the message.
    pub sent: u64,
    /// Nothing was handed over.
    pub not_sent: u64,
    /// Refused for good.
    pub failed: u64,
    /// It may have been taken.
    pub in_doubt: u64,
    /// In somebody's hands, or left there by a sender that died.
    pub begun: u64,
    /// Without an outcome yet.
    pub pending: u64,
}

/// One outcome for one reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Line {
    /// The outcome.
    pub outcome: &'static str,
    /// Reason codes; empty for `SENT`.
    pub reason: String,
    /// The revision of the rules decided by; 0 where none was.
    pub revision: u64,
    /// How many.
    pub recipients: u64,
}

/// All of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// What was signed, and by whom.
    pub signed: Signed,
    /// When it began, and by which rules.
    pub began: Option<Began>,
    /// Where it stands.
    pub standing: Option<Standing>,
    /// The last order.
    pub order: Option<Order>,
    /// How many ended how.
    pub recipients: Tally,
    /// The same of the proofs.
    pub proofs: Tally,
    /// By outcome and reason.
    pub lines: Vec<Line>,
    /// The revisions that anything was decided by.
    pub revisions: Vec<u64>,
    /// Hand-overs that began before, and ended after a rule that denies them.
    pub leaked: u64,
    /// Those of which nobody knows that: the rules at their end never came.
    #[serde(skip_serializing_if = "is_none")]
    pub leaks_unknown: u64,
    /// The first later revision whose suspension kept somebody from being written to.
    pub stopped_by: Option<u64>,
    /// How often a sender took over.
    pub senders: u64,
    /// When the key was destroyed.
    pub erased: Option<String>,
}

impl Tally {
    fn add(&mut self, state: State, many: u64) {
        match state {
            State::Begun => self.begun += many,
            State::Sent => self.sent += many,
            State::NotSent => self.not_sent += many,
            State::Failed => self.failed += many,
            State::InDoubt => self.in_doubt += many,
        }
    }
}

fn is_none(many: &u64) -> bool {
    *many == 0
}

impl Report {
    /// How many leaked, in words.
    #[must_use]
    pub fn leaks(&self) -> String {
        match self.leaks_unknown {
            0 => self.leaked.to_string(),
            unknown => format!("{}, and {unknown} of which it cannot be told", self.leaked),
        }
    }

    /// Reads it from a ledger.
    ///
    /// # Errors
    /// When the ledger cannot be read, or was never begun.
    pub fn read(ledger: &dyn Ledger) -> Result<Self, JobError> {
        let signed: Signed = control::read(ledger, Fact::Mailing)?.ok_or_else(|| {
            JobError::Usage("no mailing was ever begun in this ledger".to_owned())
        })?;
        let totals = ledger.totals()?;
        let mut recipients = Tally { audience: signed.plan.audience.rows, ..Tally::default() };
        totals.iter().for_each(|((state, _), many)| recipients.add(*state, *many));
        let Tally { audience, sent, not_sent, failed, in_doubt, begun, .. } = recipients;
        recipients.pending = audience.saturating_sub(sent + not_sent + failed + in_doubt + begun);
        let mut proofs = Tally::default();
        for (_, state) in ledger.block(PROOFS)? {
            proofs.audience += 1;
            proofs.add(state, 1);
        }
        let revisions: BTreeSet<u64> = totals.keys().map(|(_, why)| why.revision).collect();
        let counted: Counted = control::read(ledger, Fact::Counted)?.unwrap_or_default();
        let line = |((state, why), many): (&(State, crate::ledger::Why), &u64)| Line {
            outcome: state.name(),
            reason: why.reason.clone(),
            revision: why.revision,
            recipients: *many,
        };
        Ok(Self {
            signed,
            began: control::read(ledger, Fact::Began)?,
            standing: control::read(ledger, Fact::Standing)?,
            order: control::read(ledger, Fact::Order)?,
            recipients,
            proofs,
            lines: totals.iter().map(line).collect(),
            revisions: revisions.into_iter().filter(|revision| *revision != 0).collect(),
            leaked: counted.leaked,
            leaks_unknown: counted.leaks_unknown,
            stopped_by: counted.stopped_by,
            senders: counted.senders,
            erased: ledger.fact(Fact::Erased)?,
        })
    }

    /// SHA-256 of the report as JSON: what a person signs.
    ///
    /// # Errors
    /// Never for a report that was read.
    pub fn digest(&self) -> Result<String, JobError> {
        let text = serde_json::to_vec(self)
            .map_err(|error| JobError::Usage(format!("the report cannot be written: {error}")))?;
        Ok(sha256(&text))
    }
}
