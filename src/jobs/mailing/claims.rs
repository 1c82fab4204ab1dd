//! Who is written to once: the address, the person or the household that a recipient counts as.
//!
//! A claim is open from when its recipient is about to begin until its outcome is known, however often the
//! hand-over is put off. Whoever has the same claim waits behind it, and is looked at again then.
//!
//! Invariants: nobody begins whose claim is another's who was or may have been written to, by whichever sender,
//! or still may be. Nobody is left because of somebody who was not written to in the end.

use crate::jobs::error::JobError;
use crate::jobs::mailing::audience::{Recipient, Source};
use crate::jobs::mailing::lists::pass;
use crate::jobs::mailing::plan::{Once, Plan};
use crate::ledger::{Ledger, LedgerError, LedgerKey, Place, State, Tag};
use std::collections::{HashMap, HashSet};

/// What became of a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Claim {
    /// It is nobody else's.
    Free,
    /// Somebody has it whose outcome is not known yet.
    Open,
    /// Somebody was written to, or may have been.
    Used,
}

/// All claims of a mailing.
#[derive(Debug)]
pub(super) struct Claims {
    once_per: Once,
    used: HashSet<Tag>,
    open: HashMap<Tag, Open>,
    waiting: usize,
}

#[derive(Debug)]
struct Open {
    by: Tag,
    behind: Vec<Recipient>,
}

/// What the ledger knew of one block: recipients come in the order of their blocks.
#[derive(Debug, Default)]
pub(super) struct Known {
    block: Option<i64>,
    states: HashMap<Tag, State>,
}

impl Known {
    /// What the ledger knew of a recipient when its block was looked at first.
    pub(super) fn state(
        &mut self,
        ledger: &dyn Ledger,
        place: Place,
    ) -> Result<Option<State>, LedgerError> {
        if self.block != Some(place.block) {
            self.states = ledger.block(place.block)?.into_iter().collect();
            self.block = Some(place.block);
        }
        Ok(self.states.get(&place.tag).copied())
    }
}

impl Claims {
    /// The claims that earlier senders used, wherever in the audience: somebody further up may still be pending.
    ///
    /// # Errors
    /// When the audience or the ledger cannot be read.
    pub(super) fn collect(
        source: &Source,
        plan: &Plan,
        key: &LedgerKey,
        ledger: &dyn Ledger,
    ) -> Result<Self, JobError> {
        let once_per = plan.once_per;
        let mut claims = Self { once_per, used: HashSet::new(), open: HashMap::new(), waiting: 0 };
        let (mut known, mut failed) = (Known::default(), None);
        if ledger.totals()?.is_empty() {
            return Ok(claims);
        }
        pass(source, plan, key, |recipient| {
            match known.state(ledger, recipient.place) {
                Ok(Some(state)) if uses(state, once_per) => claims.used.extend(recipient.claim),
                Ok(_) => {}
                Err(error) => failed = Some(error),
            }
            failed.is_none()
        })?;
        failed.map_or(Ok(claims), |error| Err(error.into()))
    }

    /// Whether a recipient's claim is another's.
    pub(super) fn of(&self, recipient: &Recipient) -> Claim {
        let Some(claim) = &recipient.claim else { return Claim::Free };
        if self.used.contains(claim) {
            return Claim::Used;
        }
        match self.open.get(claim) {
            Some(open) if open.by != recipient.place.tag => Claim::Open,
            _ => Claim::Free,
        }
    }

    /// A recipient is about to begin.
    pub(super) fn take(&mut self, recipient: &Recipient) {
        if let Some(claim) = recipient.claim {
            let by = recipient.place.tag;
            self.open.entry(claim).or_insert_with(|| Open { by, behind: Vec::new() });
        }
    }

    /// A recipient waits for the outcome of whoever has its claim.
    pub(super) fn wait(&mut self, recipient: Recipient) {
        let open = recipient.claim.and_then(|claim| self.open.get_mut(&claim));
        if let Some(open) = open {
            open.behind.push(recipient);
            self.waiting += 1;
        }
    }

    /// How many wait.
    pub(super) fn waiting(&self) -> usize {
        self.waiting
    }

    /// A recipient has its outcome; returns who waited for it.
    pub(super) fn settle(&mut self, recipient: &Recipient, state: State) -> Vec<Recipient> {
        let Some(claim) = recipient.claim else { return Vec::new() };
        if self.open.get(&claim).is_none_or(|open| open.by != recipient.place.tag) {
            return Vec::new();
        }
        if uses(state, self.once_per) {
            self.used.insert(claim);
        }
        let behind = self.open.remove(&claim).map(|open| open.behind).unwrap_or_default();
        self.waiting = self.waiting.saturating_sub(behind.len());
        behind
    }
}

/// Whether nobody else of the same claim is to be written to after who ended so.
fn uses(state: State, once_per: Once) -> bool {
    match state {
        State::Begun | State::Sent | State::InDoubt => true,
        // An address that was refused for good would be again. Another one of the same people may work.
        State::Failed => once_per == Once::Address,
        State::NotSent => false,
    }
}
