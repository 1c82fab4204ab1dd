//! Who must not be written to: addresses that bounce, and people who unsubscribed.
//!
//! A file has an address or a customer id a line; what has an `@` is an address, in any case of letters.
//! An address that bounces gets nothing; who unsubscribed gets service messages.

use crate::jobs::error::JobError;
use crate::jobs::mailing::plan::{Kind, sha256};
use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// Who is kept from a mailing.
#[derive(Default)]
pub struct Suppressions {
    bounced: HashSet<Box<str>>,
    unsubscribed: HashSet<Box<str>>,
    /// The files, each with its hash and how many it names.
    pub files: Vec<(PathBuf, String, usize)>,
}

impl Suppressions {
    /// Reads the files.
    ///
    /// # Errors
    /// When one cannot be read.
    pub fn read(bounced: &[PathBuf], unsubscribed: &[PathBuf]) -> Result<Self, JobError> {
        let mut all = Self::default();
        for path in bounced {
            let (named, facts) = read(path)?;
            all.bounced.extend(named);
            all.files.push(facts);
        }
        for path in unsubscribed {
            let (named, facts) = read(path)?;
            all.unsubscribed.extend(named);
            all.files.push(facts);
        }
        Ok(all)
    }

    /// Why somebody is not written to; `None` for who may be.
    pub(super) fn reason(&self, address: &str, id: &str, kind: Kind) -> Option<&'static str> {
        let names = |set: &HashSet<Box<str>>| set.contains(address) || set.contains(id);
        match kind {
            _ if names(&self.bounced) => Some("BOUNCED"),
            Kind::Offer if names(&self.unsubscribed) => Some("UNSUBSCRIBED"),
            Kind::Offer | Kind::Notify => None,
        }
    }
}

type Named = (Vec<Box<str>>, (PathBuf, String, usize));

fn read(path: &Path) -> Result<Named, JobError> {
    let bytes = std::fs::read(path).map_err(|error| JobError::io("reading", path, error))?;
    let text = std::str::from_utf8(&bytes).map_err(|_| JobError::Input {
        place: path.display().to_string(),
        what: "is not UTF-8".to_owned(),
    })?;
    let line = |line: &str| match line.trim() {
        "" => None,
        comment if comment.starts_with('#') => None,
        address if address.contains('@') => Some(address.to_lowercase().into()),
        id => Some(id.into()),
    };
    let named: Vec<Box<str>> =
        text.trim_start_matches('\u{feff}').lines().filter_map(line).collect();
    let facts = (path.to_owned(), sha256(&bytes), named.len());
    Ok((named, facts))
}
