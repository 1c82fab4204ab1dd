//! `offergate restore`: makes a store from a backup or a journal, where there is none.
//!
//! Invariant: nothing that is there is replaced. What was restored begins a history of its own, which
//! remembers the one that it was taken from.

use super::backup::Copied;
use super::exit::{Exit, Failure};
use super::output::Output;
use super::store_args::{self, StoreArgs};
use crate::config::{RedisUrl, Settings, StoreLocation};
use crate::domain::Token;
use crate::store::embedded::{self, EmbeddedStore, OpenError};
use std::fs;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

/// Make a store from a backup or a replica's journal, where there is none
#[derive(Debug, clap::Args)]
#[command(after_help = "\
A store that is there is never replaced. Move a file away first; a shared store takes a backup only in a
namespace that holds nothing. Replicas whose journal is of the history that was restored move over by
themselves, with the suspensions that they alone hold.

Examples:
  mv rules.db rules.db.old && offergate restore rules-2026-11-23.db --store rules.db
  offergate restore /var/lib/offergate/journal.db --store redis://127.0.0.1:6379")]
pub(super) struct Args {
    /// The backup, or a journal; a replica may be using it
    backup: PathBuf,

    #[command(flatten)]
    store: StoreArgs,
}

pub(super) fn run(args: &Args, output: &Output) -> Result<Exit, Failure> {
    let settings = args.store.settings()?;
    let (copied, origin) = match &settings.store {
        StoreLocation::Embedded(target) => {
            let restored = embedded::restore(&args.backup, target).map_err(store_failure)?;
            let to = target.display().to_string();
            (Copied::of(&args.backup, to, &restored.head), restored.origin.token())
        }
        StoreLocation::Redis(url) => fill(&args.backup, &settings, url)?,
    };
    output.note(format_args!(
        "a history of its own begins here, after {origin}: tokens of before read as too old"
    ));
    output.answer(&copied)?;
    Ok(Exit::Ok)
}

/// Fills a namespace of a shared store. What is read is a verified copy: the file itself may be in use,
/// and is left as it is.
fn fill(backup: &Path, settings: &Settings, url: &RedisUrl) -> Result<(Copied, Token), Failure> {
    let folder = Folder::make()?;
    let copy = folder.0.join("copy.db");
    let origin = embedded::backup_file(backup, &copy).map_err(store_failure)?;
    let source = EmbeddedStore::open(&copy).map_err(store_failure)?;
    let head =
        store_args::with_shared(settings, url, async |store| store.fill_from(&source).await)?;
    Ok((Copied::of(backup, store_args::shown(settings), &head), origin.token()))
}

/// A folder that nobody else can read, gone with the value.
struct Folder(PathBuf);

impl Folder {
    fn make() -> Result<Self, Failure> {
        let name = format!("offergate-{}", uuid::Uuid::new_v4().simple());
        let path = std::env::temp_dir().join(name);
        fs::DirBuilder::new().mode(0o700).create(&path).map_err(|error| {
            let what = format!("`{}` cannot be made", path.display());
            Failure::new(Exit::Failure, what)
                .because(error)
                .help("set TMPDIR to a folder with room")
        })?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left there is nobody's, and nobody else can read it.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// What a store that cannot be opened means on the command line.
pub(super) fn store_failure(error: OpenError) -> Failure {
    let (exit, help) = match &error {
        OpenError::InUse { .. } => (
            Exit::Conflict,
            "stop that process, or name another --store; two servers at once take two addresses, too: \
             --listen and --management-listen",
        ),
        OpenError::Exists { .. } => {
            (Exit::Conflict, "name a file that does not exist, or move that one away first")
        }
        OpenError::SeveralNames { .. } => {
            (Exit::Failure, "`find -samefile FILE` lists its names; a copy is what `backup` makes")
        }
        OpenError::NotAStore { .. } => (Exit::Failure, "name the file of an embedded store"),
        OpenError::LaterFormat { .. } | OpenError::LaterRecord { .. } => {
            (Exit::Failure, "use the version that wrote it, or a later one")
        }
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
