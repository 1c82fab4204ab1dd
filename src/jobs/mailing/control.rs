//! What people want of a mailing, and where it stands: facts in its ledger, so that another process can say
//! and see them without a server.

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
    let Some(text) = ledger.fact(fact)? else { return Ok(None) };
    let read = serde_json::from_str(&text);
    read.map(Some).map_err(|error| JobError::Usage(format!("the ledger's {fact:?}: {error}")))
}

/// Writes a fact.
///
/// # Errors
/// When the ledger cannot be written.
pub fn write<T: Serialize>(ledger: &mut dyn Ledger, fact: Fact, value: &T) -> Result<(), JobError> {
    let text = serde_json::to_string(value)
        .map_err(|error| JobError::Usage(format!("the ledger's {fact:?}: {error}")))?;
    Ok(ledger.set_fact(fact, &text)?)
}
