//! `offergate backup`: copies a store's file, whether a server is running on it or not.
//!
//! Invariant: the copy appears under its name whole and verified, or not at all, and never takes
//! the place of another file.

use super::exit::{Exit, Failure};
use super::output::{Answer, Output};
use super::restore::store_failure;
use super::text::Text;
use crate::config::{self, ServeArgs, StoreLocation};
use crate::store::{Head, embedded};
use serde::Serialize;
use std::path::PathBuf;

/// Copy the embedded store's file, in use or not, and verify the copy
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  offergate backup rules-2026-11-23.db")]
pub(super) struct Args {
    /// The new file
    target: PathBuf,

    /// The store's file [default: as `serve` would find it, see `config show`]
    #[arg(long, value_name = "FILE")]
    store: Option<PathBuf>,
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
    let source = store_path(args.store.as_ref())?;
    let head = embedded::backup_file(&source, &args.target).map_err(store_failure)?;
    output.answer(&Copied::of(&source, &args.target, &head))?;
    Ok(Exit::Ok)
}

/// The file that was named, or the one that `serve` would use.
pub(super) fn store_path(named: Option<&PathBuf>) -> Result<PathBuf, Failure> {
    match named {
        Some(path) => Ok(path.clone()),
        None => {
            let settings = config::load(&ServeArgs::default())
                .map_err(|errors| Failure::new(Exit::Usage, errors).help("or say --store"))?;
            match settings.store {
                StoreLocation::Embedded(path) => Ok(path),
                StoreLocation::Redis(_) => {
                    let why = "a shared store has no file here; say --store PATH";
                    Err(Failure::new(Exit::Usage, why))
                }
            }
        }
    }
}

impl Copied {
    pub(super) fn of(from: &std::path::Path, to: &std::path::Path, head: &Head) -> Self {
        Self {
            from: from.display().to_string(),
            to: to.display().to_string(),
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
