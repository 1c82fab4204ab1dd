//! What people want of a mailing, and where it stands: facts in its ledger, so that another process can say
//! and see them without a server.
//!
//! Invariant: a mailing that was cancelled stays so, whoever gives another order at the same time.

use crate::domain::Timestamp;
use crate::jobs::error::JobError;
use crate::ledger::{Fact, Ledger};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// What is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Wanted {
    /// To be sent.
    Go,
    /// To stand still, with nothing in anybody's hands.
    Pause,
    /// To end. Who is left is not written to.
    Cancel,
}

/// An order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// What is wanted.
    pub wanted: Wanted,
    /// By whom, or by what.
    pub by: String,
    /// Since when.
    pub at: Timestamp,
}

/// What a mailing is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Doing {
    /// Handing over, as fast as its schedule says.
    Sending,
    /// Would hand over, and waits for something.
    Waiting,
    /// Stands still until people say otherwise.
    Paused,
    /// Everybody has an outcome.
    Finished,
    /// Everybody has an outcome; a rule that was made after the start kept some from being written to.
    StoppedByRule,
    /// Everybody has an outcome; people ended it.
    Cancelled,
}

impl Doing {
    /// What it is called in a sentence.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Sending => "sending",
            Self::Waiting => "waiting",
            Self::Paused => "paused",
            Self::Finished => "finished",
            Self::StoppedByRule => "stopped by a rule",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether everybody has an outcome.
    #[must_use]
    pub fn is_over(self) -> bool {
        matches!(self, Self::Finished | Self::StoppedByRule | Self::Cancelled)
    }
}

/// Where a mailing stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// What it is doing.
    pub doing: Doing,
    /// Why, where that is not plain.
    pub why: String,
    /// Since when.
    pub since: Timestamp,
}

/// When, and by which rules a mailing began.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Began {
    /// When.
    pub at: Timestamp,
    /// By which rules; nothing for a service message that began without any.
    pub revision: Option<u64>,
}

/// What a sender counts beside the recipients.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counted {
    /// Hand-overs that began by rules under which they were allowed, and ended under others.
    pub leaked: u64,
    /// Those of which nobody knows by which rules they ended.
    #[serde(default)]
    pub leaks_unknown: u64,
    /// The first revision made after the start whose suspension kept somebody from being written to.
    pub stopped_by: Option<u64>,
    /// How many waves are over.
    pub waves: usize,
    /// How often a sender has taken over.
    pub senders: u64,
}

/// Reads a fact.
///
/// # Errors
/// When the ledger cannot be read, or holds something else.
pub fn read<T: DeserializeOwned>(ledger: &dyn Ledger, fact: Fact) -> Result<Option<T>, JobError> {
    ledger.fact(fact)?.map(|text| parsed(fact, &text)).transpose()
}

fn parsed<T: DeserializeOwned>(fact: Fact, text: &str) -> Result<T, JobError> {
    serde_json::from_str(text).map_err(|error| unusable(fact, &error))
}

pub(super) fn unusable(fact: Fact, error: &dyn std::fmt::Display) -> JobError {
    JobError::Usage(format!("the ledger's {fact:?}: {error}"))
}

/// Writes a fact.
///
/// # Errors
/// When the ledger cannot be written.
pub fn write<T: Serialize>(ledger: &mut dyn Ledger, fact: Fact, value: &T) -> Result<(), JobError> {
    let text = serde_json::to_string(value).map_err(|error| unusable(fact, &error))?;
    Ok(ledger.set_fact(fact, &text)?)
}

/// Gives an order, unless the mailing was cancelled. Returns the order that holds.
///
/// # Errors
/// When the ledger cannot be read or written.
pub fn give(ledger: &mut dyn Ledger, order: Order) -> Result<Order, JobError> {
    let fact = Fact::Order;
    let text = serde_json::to_string(&order).map_err(|error| unusable(fact, &error))?;
    loop {
        let seen = ledger.fact(fact)?;
        let before: Option<Order> = seen.as_ref().map(|seen| parsed(fact, seen)).transpose()?;
        let cancelled = before.filter(|before| before.wanted == Wanted::Cancel);
        // What holds already is written again: whoever gave it may not have heard that it is safe.
        let holds = match (&cancelled, &seen) {
            (Some(_), Some(seen)) => seen,
            _ => &text,
        };
        if ledger.replace_fact(fact, seen.as_deref(), holds)? {
            return Ok(cancelled.unwrap_or(order));
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use crate::ledger::{LedgerError, LedgerKey, Place, State, Step, Tag, Totals};
    use std::cell::RefCell;

    /// A ledger of one fact, which somebody else replaces right after it was read.
    struct Raced {
        order: RefCell<Option<String>>,
        others: RefCell<Option<String>>,
    }

    impl Ledger for Raced {
        fn write(&mut self, _: &[Step]) -> Result<(), LedgerError> {
            Ok(())
        }
        fn block(&self, _: i64) -> Result<Vec<(Tag, State)>, LedgerError> {
            Ok(Vec::new())
        }
        fn totals(&self) -> Result<Totals, LedgerError> {
            Ok(Totals::new())
        }
        fn doubt(&mut self, _: i64) -> Result<u64, LedgerError> {
            Ok(0)
        }
        fn retry_doubtful(&mut self) -> Result<u64, LedgerError> {
            Ok(0)
        }
        fn doubtful(&self) -> Result<Vec<Place>, LedgerError> {
            Ok(Vec::new())
        }
        fn fact(&self, _: Fact) -> Result<Option<String>, LedgerError> {
            let seen = self.order.borrow().clone();
            if let Some(others) = self.others.take() {
                self.order.replace(Some(others));
            }
            Ok(seen)
        }
        fn set_fact(&mut self, _: Fact, text: &str) -> Result<(), LedgerError> {
            self.order.replace(Some(text.to_owned()));
            Ok(())
        }
        fn replace_fact(
            &mut self,
            fact: Fact,
            seen: Option<&str>,
            text: &str,
        ) -> Result<bool, LedgerError> {
            let is_seen = self.order.borrow().as_deref() == seen;
            if is_seen {
                self.set_fact(fact, text)?;
            }
            Ok(is_seen)
        }
        fn is_named_by(&self, _: &LedgerKey) -> Result<bool, LedgerError> {
            Ok(true)
        }
    }

    #[test]
    fn a_cancel_is_not_lost_to_an_order_that_is_given_at_the_same_time() {
        let order = |wanted, by: &str| Order {
            wanted,
            by: by.to_owned(),
            at: "2026-12-01T12:00:00Z".parse().unwrap(),
        };
        let text = |order: &Order| serde_json::to_string(order).unwrap();
        for (wanted, others, holds) in [
            (Wanted::Pause, order(Wanted::Cancel, "ann"), order(Wanted::Cancel, "ann")),
            (Wanted::Go, order(Wanted::Cancel, "ann"), order(Wanted::Cancel, "ann")),
            (Wanted::Pause, order(Wanted::Go, "ann"), order(Wanted::Pause, "ben")),
            (Wanted::Cancel, order(Wanted::Go, "ann"), order(Wanted::Cancel, "ben")),
        ] {
            let mut ledger =
                Raced { order: RefCell::default(), others: RefCell::new(Some(text(&others))) };
            let given = give(&mut ledger, order(wanted, "ben")).unwrap();
            assert_eq!(given, holds, "{wanted:?}");
            assert_eq!(read(&ledger, Fact::Order).unwrap(), Some(holds), "{wanted:?}");
        }
    }
}
