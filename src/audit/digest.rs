//! What an approval names: a hash over exactly what is proposed, and over the rules that it was made
//! for.
//!
//! `SHA-256` over one line of JSON without spaces, its keys in alphabetical order: `base`, the number of
//! the revision that it was made for; `change`, spelt as in an entry; `kind`; `lineage`; `reason`;
//! `starts_now`; `ticket`. Of a mailing also `mailing`, after `lineage`, spelt as in an entry.

use super::{ChangeKind, mailing, steps};
use crate::domain::{ChainHash, Lineage, Mailing, Revision, RuleChange};
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use std::fmt;
use std::sync::Arc;

/// The hash of what is proposed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest(ChainHash);

/// What is proposed, and for which rules.
#[derive(Debug, Serialize)]
pub struct Proposed<'a> {
    /// The revision that it was made for.
    #[serde(serialize_with = "number")]
    pub base: Revision,
    /// What it would do.
    #[serde(serialize_with = "list")]
    pub change: &'a RuleChange,
    /// What kind of change it is.
    #[serde(serialize_with = "name")]
    pub kind: ChangeKind,
    /// The history that it was proposed in.
    #[serde(serialize_with = "digits")]
    pub lineage: &'a Lineage,
    /// The mailing, where it is one.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "mailing::write")]
    pub mailing: Option<Arc<Mailing>>,
    /// Why.
    pub reason: &'a str,
    /// Whether it begins at the instant at which it is approved.
    pub starts_now: bool,
    /// The change ticket.
    pub ticket: &'a str,
}

impl Proposed<'_> {
    /// Its hash.
    #[must_use]
    pub fn digest(&self) -> Digest {
        let mut hasher = Sha256::new();
        // What cannot be written down is refused before it is proposed, and hashes to no digest that
        // anybody was ever shown.
        let written = serde_json::to_vec(self).unwrap_or_default();
        hasher.update(&written);
        Digest(ChainHash(hasher.finalize().into()))
    }
}

impl Digest {
    /// Reads 64 lower-case hexadecimal digits.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        ChainHash::parse(text).map(Self)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
fn number<S: serde::Serializer>(revision: &Revision, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(revision.0)
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
fn name<S: serde::Serializer>(kind: &ChangeKind, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(kind.name())
}

fn digits<S: serde::Serializer>(lineage: &&Lineage, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(lineage.as_str())
}

fn list<S: serde::Serializer>(change: &&RuleChange, serializer: S) -> Result<S::Ok, S::Error> {
    steps::write(change, serializer)
}
