//! `offergate backup`: copies a store into a file, whether servers are running on it or not.
//!
//! Invariant: the copy appears under its name whole and verified, or not at all, and never takes
//! the place of another file.

use super::exit::{Exit, Failure};
use super::output::{Answer, Output};
use super::restore::store_failure;
use super::store_args::{self, StoreArgs};
use super::text::Text;
use crate::config::StoreLocation;
use crate::store::{Head, RuleStore as _, embedded};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// Copy a store into a file, in use or not, and verify the copy
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Of a shared store too the copy is a file of the embedded store, which `restore` takes.

Examples:
  offergate backup rules-2026-11-23.db
  offergate backup rules-2026-11-23.db --store redis://127.0.0.1:6379")]
pub(super) struct Args {
    /// The new file
    target: PathBuf,

    #[command(flatten)]
    store: StoreArgs,
}

/// Where in history a copy stands.
#[derive(Debug, Serialize)]
pub(super) struct Copied {
    pub(super) from: String,
    pub(super) to: String,
    pub(super) revision: u64,
    pub(super) token: String,
}

pub(super) fn run(args: &Args, output: &Output) -> Result<Exit, Failure> {
    let settings = args.store.settings()?;
    let head = match &settings.store {
        StoreLocation::Embedded(source) => {
            embedded::backup_file(source, &args.target).map_err(store_failure)?
        }
        StoreLocation::Redis(url) => {
            store_args::with_shared(&settings, url, async |store| store.backup(&args.target).await)?
        }
    };
    let from = PathBuf::from(store_args::shown(&settings));
    output.answer(&Copied::of(&from, args.target.display().to_string(), &head))?;
    Ok(Exit::Ok)
}

impl Copied {
    pub(super) fn of(from: &Path, to: String, head: &Head) -> Self {
        Self {
            from: from.display().to_string(),
            to,
            revision: head.revision.0,
            token: head.token().to_string(),
        }
    }
}

impl Answer for Copied {
    const COLUMNS: &'static [&'static str] = &["from", "to", "revision", "token"];

    fn text(&self, text: &mut Text) {
        text.line(format_args!("verified copy of {} is in {}", self.from, self.to));
        text.fields(&[("revision", self.revision.to_string()), ("token", self.token.clone())]);
    }
}
