//! Recipients that are put off: for a slot of their domain, or to be tried again.
//!
//! Invariant: so many wait at most, those behind another's claim included; beyond it nobody new is read, so that
//! memory has a bound.

use crate::jobs::mailing::audience::Recipient;
use crate::ledger::Place;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::time::Duration;

/// How many wait at once.
const MOST: usize = 2_000;

/// A slot that was missed by more is lost: after a pause all would be due at once.
const LOST: Duration = Duration::from_secs(1);

/// Why somebody waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PutOff {
    /// For the domain's next slot.
    Slot,
    /// To be tried again.
    Retry,
}

/// Who waits.
#[derive(Default)]
pub(super) struct Later {
    due: BinaryHeap<Reverse<(Duration, u64)>>,
    waiting: BTreeMap<u64, (Recipient, PutOff)>,
    next: u64,
    /// Who has a slot that is due, and has not begun.
    slot: Option<Place>,
}

impl Later {
    pub(super) fn put_off(&mut self, recipient: Recipient, due: Duration, why: PutOff) {
        self.next += 1;
        self.due.push(Reverse((due, self.next)));
        self.waiting.insert(self.next, (recipient, why));
    }

    /// Somebody whose time has come.
    pub(super) fn due(&mut self, now: Duration) -> Option<Recipient> {
        let Reverse((due, _)) = self.due.peek()?;
        if now < *due {
            return None;
        }
        let (due, recipient, why) = self.first()?;
        if why == PutOff::Slot && now.saturating_sub(due) <= LOST {
            self.slot = Some(recipient.place);
        }
        Some(recipient)
    }

    /// Anybody, whose time need not have come: there will be no hand-over.
    pub(super) fn any(&mut self) -> Option<Recipient> {
        self.first().map(|(_, recipient, _)| recipient)
    }

    fn first(&mut self) -> Option<(Duration, Recipient, PutOff)> {
        let Reverse((due, number)) = self.due.pop()?;
        let (recipient, why) = self.waiting.remove(&number)?;
        Some((due, recipient, why))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Whether nobody new is to be read, while so many wait for something else.
    pub(super) fn is_full(&self, others: usize) -> bool {
        MOST <= self.waiting.len() + others
    }

    /// Whether the slot that is due is this one's.
    pub(super) fn has_slot(&self, recipient: &Recipient) -> bool {
        self.slot == Some(recipient.place)
    }

    /// Keeps a slot for somebody who is held.
    pub(super) fn keep_slot(&mut self, recipient: &Recipient) {
        self.slot = Some(recipient.place);
    }

    /// The slot was used.
    pub(super) fn give_slot_back(&mut self) {
        self.slot = None;
    }
}
