//! Which rows of a file are one machine's.
//!
//! Rows are dealt out by their number, not by a hash of the customer's id: every shard gets its share to
//! the row, whatever the ids look like, and a row without an id has an owner too.

use std::fmt;
use std::str::FromStr;

/// One of several parts of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shard {
    /// Which one, from 0.
    pub index: u64,
    /// Of how many; at least 1.
    pub of: u64,
}

impl Shard {
    /// The whole job.
    pub const WHOLE: Self = Self { index: 0, of: 1 };

    /// Whether this shard has the row of this number, from 0.
    #[must_use]
    pub fn has(self, row: u64) -> bool {
        row.checked_rem(self.of) == Some(self.index)
    }
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parsed = text.split_once('/').and_then(|(index, of)| {
            Some(Self { index: index.parse().ok()?, of: of.parse().ok()? })
        });
        parsed
            .filter(|shard| shard.index < shard.of)
            .ok_or_else(|| "write I/N with I from 0 to N-1, such as 0/4".to_owned())
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.of)
    }
}
