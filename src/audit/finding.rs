//! What can be wrong with a log, in words for an auditor.

use crate::domain::Revision;
use std::fmt;

/// Something that is wrong with one record, or with some in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Finding {
    /// The first record that it is about.
    pub first: Revision,
    /// The last one.
    pub last: Revision,
    /// What is wrong.
    pub wrong: Wrong,
}

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wrong {
    /// The entry is not what was hashed.
    Altered,
    /// The entry is; its hash was changed.
    HashAltered,
    /// Not there.
    Missing,
    /// Another record stands under this number.
    Reordered {
        /// Which.
        found: Revision,
    },
    /// It comes after a later one.
    Late {
        /// After which.
        after: Revision,
    },
    /// There a second time.
    Doubled {
        /// After which.
        after: Revision,
    },
    /// It is chained as it stands, and speaks of another place.
    Misnumbered {
        /// Which.
        found: Option<Revision>,
    },
    /// Not even its parts can be told.
    Unreadable {
        /// Why.
        why: &'static str,
    },
    /// The records hold together, and are not those that were signed.
    Rechained,
    /// The end was cut off.
    Truncated,
    /// An earlier copy stands in the place of the log.
    RolledBack,
    /// There is more than the log's own head knows of.
    Added,
    /// The head of the log tells another hash.
    Head,
}

impl Wrong {
    /// Its stable name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Altered => "ALTERED",
            Self::HashAltered => "HASH_ALTERED",
            Self::Missing => "DELETED",
            Self::Reordered { .. } | Self::Late { .. } => "REORDERED",
            Self::Doubled { .. } => "DOUBLED",
            Self::Misnumbered { .. } => "MISNUMBERED",
            Self::Unreadable { .. } => "UNREADABLE",
            Self::Rechained => "RECHAINED",
            Self::Truncated => "TRUNCATED",
            Self::RolledBack => "ROLLED_BACK",
            Self::Added => "ADDED",
            Self::Head => "HEAD_ALTERED",
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { first, last, wrong } = self;
        if first == last {
            write!(f, "record {first}: ")?;
        } else {
            write!(f, "records {first} to {last}: ")?;
        }
        match wrong {
            Wrong::Altered => f.write_str(
                "the hash stored with it does not follow from its entry and the record before: its \
                 entry was changed",
            ),
            Wrong::HashAltered => {
                f.write_str("the hash stored with it was changed; its entry is what it was")
            }
            Wrong::Missing => f.write_str("deleted: the log goes on after a gap"),
            Wrong::Reordered { found } => write!(f, "reordered: record {found} stands in its place"),
            Wrong::Late { after } => write!(f, "reordered: it stands after record {after}"),
            Wrong::Doubled { after } => write!(f, "it stands a second time, after record {after}"),
            Wrong::Misnumbered { found: Some(found) } => {
                write!(f, "its entry speaks of revision {found}: others were deleted or put in before")
            }
            Wrong::Misnumbered { found: None } => f.write_str("its entry speaks of no revision"),
            Wrong::Unreadable { why } => write!(f, "it does not read: {why}"),
            Wrong::Rechained if first == last => {
                f.write_str("changed and chained anew: it is not the record that was signed")
            }
            Wrong::Rechained => f.write_str(
                "one of them was changed, and those after it chained anew: they are not the records \
                 that were signed",
            ),
            Wrong::Truncated => f.write_str("cut off from the end of the log"),
            Wrong::RolledBack => {
                f.write_str("gone: the log is an earlier copy of itself, from before they were made")
            }
            Wrong::Added => f.write_str("they stand after the end that the log's own head tells"),
            Wrong::Head => f.write_str("the log's own head tells another hash for it"),
        }
    }
}
