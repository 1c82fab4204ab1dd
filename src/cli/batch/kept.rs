//! Where a mailing's senders kept what tells who the recipients were: the key, and the lists. The ledger remembers it, so
//! that whoever erases a mailing is told what is left elsewhere.
//!
//! Invariant: it is only told. What a ledger names is never removed because of that alone.

use super::super::exit::Failure;
use super::failed;
use super::ledger::LedgerPlace;
use super::sender::list_paths;
use crate::jobs::mailing::{read, write};
use crate::ledger::{Fact, Ledger};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::{Path, PathBuf};

/// One sender's place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Kept {
    host: String,
    key: String,
    /// What the names of the lists begin with.
    lists: String,
}

impl Kept {
    /// The place of whoever sends or erases from here.
    pub(super) fn here(place: &LedgerPlace) -> Self {
        let whole = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let named = |path: &Path| whole(path).display().to_string();
        let (key, lists) = (named(&place.key()), named(place.lists()));
        Self { host: this_host(), key, lists }
    }

    /// Where the key is.
    pub(super) fn key(&self) -> &str {
        &self.key
    }

    /// Whether something may be left there. What is on another machine cannot be seen.
    pub(super) fn is_left(&self) -> bool {
        let lists = list_paths(Path::new(&self.lists));
        let mut paths = lists.into_iter().chain([PathBuf::from(&self.key)]);
        self.host != this_host() || paths.any(|path| path.exists())
    }
}

impl fmt::Display for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} and {}.*.csv on {}", self.key, self.lists, self.host)
    }
}

fn this_host() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// All places that the ledger knows of.
pub(super) fn kept(ledger: &dyn Ledger) -> Result<Vec<Kept>, Failure> {
    Ok(read(ledger, Fact::Kept).map_err(failed)?.unwrap_or_default())
}

/// Has the ledger remember that somebody sends from here.
pub(super) fn remember(ledger: &mut dyn Ledger, place: &LedgerPlace) -> Result<(), Failure> {
    let (mut all, here) = (kept(ledger)?, Kept::here(place));
    if all.contains(&here) {
        return Ok(());
    }
    all.push(here);
    write(ledger, Fact::Kept, &all).map_err(failed)
}
