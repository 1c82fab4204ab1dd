//! Advisories: outside publications. By R1 one never suspends or lifts anything by itself.

use super::AdvisoryId;
use jiff::civil::Date;

/// An outside publication that people weigh when they decide to suspend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advisory {
    /// Stable id.
    pub id: AdvisoryId,
    /// Who published it, such as `NCSC`.
    pub issuer: String,
    /// What it can demand.
    pub force: Force,
    /// Whether it still stands.
    pub status: AdvisoryStatus,
    /// The day it was issued.
    pub issued: Date,
    /// What it says, in a line.
    pub title: Option<String>,
    /// Where to read it.
    pub url: Option<String>,
}

/// What a publication can demand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Force {
    /// A law or decree.
    Law,
    /// An order to those it addresses.
    Directive,
    /// Advice from an authority.
    Guidance,
    /// A warning to the public.
    Warning,
    /// A statement of intent by a parliament or council.
    Resolution,
    /// An entry in a list of restricted parties.
    Listing,
}

impl Force {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Law,
        Self::Directive,
        Self::Guidance,
        Self::Warning,
        Self::Resolution,
        Self::Listing,
    ];

    /// The name, as rule files and RPCs spell it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Law => "LAW",
            Self::Directive => "DIRECTIVE",
            Self::Guidance => "GUIDANCE",
            Self::Warning => "WARNING",
            Self::Resolution => "RESOLUTION",
            Self::Listing => "LISTING",
        }
    }
}

/// Whether a publication still stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum AdvisoryStatus {
    /// It stands.
    #[default]
    Active,
    /// Its issuer has put it aside as history.
    Archived,
    /// Its issuer has taken it back.
    Withdrawn,
}

impl AdvisoryStatus {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Active, Self::Archived, Self::Withdrawn];

    /// The name, as rule files and RPCs spell it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Active => "ACTIVE",
            Self::Archived => "ARCHIVED",
            Self::Withdrawn => "WITHDRAWN",
        }
    }
}
