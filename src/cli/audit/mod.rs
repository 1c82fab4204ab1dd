//! `offergate audit`: the log of changes, for those who must not have to believe us.
//!
//! `verify` reads all of it and needs no server; `watch` remembers what was signed, so that nobody can go
//! back behind it. The log, its checkpoints and their keys are [`crate::audit`]'s.

mod blocks;
mod checkpoint;
mod decision_files;
mod decision_reading;
mod decisions;
mod export;
mod exposures;
mod key_file;
mod keygen;
mod reading;
mod replay;
mod replaying;
mod revisions;
mod source;
mod verify;
mod watch;

pub(super) use decision_files::find as find_decision;
pub(super) use key_file::{create_folder, key_of, secret_text};

use super::exit::{Exit, Failure};
use super::output::Output;

/// Verify the log of changes, export it, and watch that it only grows
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: AuditCommand,
}

#[derive(Debug, clap::Subcommand)]
enum AuditCommand {
    Verify(Box<verify::Args>),
    Export(export::Args),
    Checkpoint(checkpoint::Args),
    Watch(watch::Args),
    Keygen(keygen::Args),
    Decisions(decisions::Args),
    Replay(Box<replay::Args>),
    Exposures(Box<exposures::Args>),
}

pub(super) fn run(args: &Args, output: &Output) -> Result<Exit, Failure> {
    match &args.command {
        AuditCommand::Verify(args) => verify::run(args, output),
        AuditCommand::Export(args) => export::run(args, output),
        AuditCommand::Checkpoint(args) => checkpoint::run(args, output),
        AuditCommand::Watch(args) => watch::run(args, output),
        AuditCommand::Keygen(args) => keygen::run(args, output),
        AuditCommand::Decisions(args) => decisions::run(args, output),
        AuditCommand::Replay(args) => replay::run(args, output),
        AuditCommand::Exposures(args) => exposures::run(args, output),
    }
}
