//! `offergate restore`: makes a store's file from a backup, where there is none.

use super::backup::{Copied, store_path};
use super::exit::{Exit, Failure};
use super::output::Output;
use crate::store::embedded::{self, OpenError};
use std::path::PathBuf;

/// Make the embedded store's file from a backup, where there is none
#[derive(Debug, clap::Args)]
#[command(after_help = "\
A store that is there is never replaced: move it away first. Refused while a server runs on the file.

Example:
  mv rules.db rules.db.old && offergate restore rules-2026-11-23.db --store rules.db")]
pub(super) struct Args {
    /// The backup
    backup: PathBuf,

    /// The store's file [default: as `serve` would find it, see `config show`]
    #[arg(long, value_name = "FILE")]
    store: Option<PathBuf>,
}

pub(super) fn run(args: &Args, output: &Output) -> Result<Exit, Failure> {
    let target = store_path(args.store.as_ref())?;
    let restored = embedded::restore(&args.backup, &target).map_err(store_failure)?;
    output.note(format_args!(
        "a history of its own begins here, after {}: tokens of before read as too old",
        restored.origin.token()
    ));
    output.answer(&Copied::of(&args.backup, &target, &restored.head))?;
    Ok(Exit::Ok)
}

/// What a store that cannot be opened means on the command line.
pub(super) fn store_failure(error: OpenError) -> Failure {
    let (exit, help) = match &error {
        OpenError::InUse { .. } => (Exit::Conflict, "stop that process, or name another --store"),
        OpenError::Exists { .. } => {
            (Exit::Conflict, "name a file that does not exist, or move that one away first")
        }
        OpenError::SeveralNames { .. } => {
            (Exit::Failure, "`find -samefile FILE` lists its names; a copy is what `backup` makes")
        }
        OpenError::NotAStore { .. } => (Exit::Failure, "name the file of an embedded store"),
        OpenError::LaterFormat { .. } => (Exit::Failure, "use the version that wrote it"),
        OpenError::Damaged { .. } => (
            Exit::Failure,
            "keep the file for whoever looks into it, and restore a backup under another name",
        ),
        OpenError::Io { source, .. } => {
            (Exit::of_cause(source.as_ref()), "see whether the path exists and may be used")
        }
    };
    let message = error.to_string();
    let failure = Failure::new(exit, message).help(help);
    match std::error::Error::source(&error) {
        Some(source) => failure.because(source.to_string()),
        None => failure,
    }
}
