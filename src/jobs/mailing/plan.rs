//! What a mailing is: what two people sign, and nothing that may be chosen by whoever sends it.
//!
//! Invariant: equal plans have equal digests, and a plan that differs in anything has another one. What is
//! signed binds the audience, the template and the mapping by hash.

use crate::jobs::error::JobError;
use crate::jobs::mailing::quiet::Quiet;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// Longest name of a mailing.
const MOST_NAME: usize = 40;

/// A mailing, as it is proposed and signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Its name.
    pub name: String,
    /// The offer that it is about.
    pub offer: String,
    /// Marketing or a service message.
    pub kind: Kind,
    /// Who is written to.
    pub audience: Audience,
    /// What is written: SHA-256 of the template's file.
    pub template_sha256: String,
    /// Which column is which field: SHA-256 of the mapping file, or nothing.
    pub mapping_sha256: Option<String>,
    /// When, and how fast.
    pub schedule: Schedule,
    /// Who counts as the same recipient.
    pub once_per: Once,
    /// The column with the address.
    pub address_column: String,
    /// The column with the household, where that is what counts.
    pub household_column: Option<String>,
}

/// What the message is, before the law and before the rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Kind {
    /// Marketing: decided for each recipient, and kept from who unsubscribed.
    Offer,
    /// A service message: never gated (R10).
    Notify,
}

/// A frozen audience.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Audience {
    /// SHA-256 of the file.
    pub sha256: String,
    /// Its length.
    pub bytes: u64,
    /// Its rows, unreadable ones included.
    pub rows: u64,
}

/// When a mailing is sent, and how fast.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    /// Not before this instant.
    pub from: Option<jiff::Timestamp>,
    /// Not from this instant on: who is left then is not written to.
    pub until: Option<jiff::Timestamp>,
    /// Most hand-overs a second; nothing means as fast as it goes.
    pub per_second: Option<u32>,
    /// Most hand-overs a second to one domain.
    pub per_domain: Option<u32>,
    /// After how many hand-overs in all it pauses for a look.
    pub waves: Vec<u64>,
    /// When nobody is written to.
    pub quiet: Option<Quiet>,
}

/// Who counts as the same recipient.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Once {
    /// Who has the same address.
    Address,
    /// Who has the same customer id.
    Person,
    /// Who lives in the same household.
    Household,
}

impl Kind {
    /// The action that each recipient is decided for.
    #[must_use]
    pub fn action(self) -> crate::domain::Action {
        match self {
            Self::Offer => crate::domain::Action::Offer,
            Self::Notify => crate::domain::Action::Notify,
        }
    }
}

impl Schedule {
    /// Whether somebody may be written to at this instant.
    #[must_use]
    pub fn allows(&self, now: jiff::Timestamp) -> bool {
        let is_early = self.from.is_some_and(|from| now < from);
        let is_late = self.until.is_some_and(|until| until <= now);
        let is_quiet = || self.quiet.as_ref().is_some_and(|quiet| quiet.until(now).is_some());
        !is_early && !is_late && !is_quiet()
    }
}

impl Plan {
    /// What is signed, as one hash.
    ///
    /// # Errors
    /// Never for a plan that could be read.
    pub fn digest(&self) -> Result<String, JobError> {
        let text = serde_json::to_vec(self)
            .map_err(|error| JobError::Usage(format!("the plan cannot be written: {error}")))?;
        Ok(sha256(&text))
    }

    /// Refuses a plan that contradicts itself.
    ///
    /// # Errors
    /// When it does.
    pub fn check(&self) -> Result<(), JobError> {
        let usage = |what: &str| Err(JobError::Usage(what.to_owned()));
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        if self.name.is_empty() || MOST_NAME < self.name.len() || !self.name.bytes().all(fits) {
            return usage("a mailing's name is 1 to 40 letters, digits, `-` or `_`");
        }
        let schedule = &self.schedule;
        if !schedule.waves.is_sorted_by(|one, next| one < next) || schedule.waves.contains(&0) {
            return usage("waves are counts of hand-overs in all, each larger than the one before");
        }
        if schedule.from.zip(schedule.until).is_some_and(|(from, until)| until <= from) {
            return usage("the schedule ends before it begins");
        }
        if self.once_per == Once::Household && self.household_column.is_none() {
            return usage("a household needs a column that tells it");
        }
        Ok(())
    }
}

/// SHA-256 in hexadecimal digits.
#[must_use]
pub fn sha256(bytes: &[u8]) -> String {
    crate::jobs::input::hex(Sha256::new().chain_update(bytes))
}
