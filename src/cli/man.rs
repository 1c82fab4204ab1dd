//! `offergate man`: the manual pages, from the same words as `--help`.

use super::exit::{Exit, Failure};
use super::output::Output;
use clap::CommandFactory;
use std::path::PathBuf;

/// Print the manual page, or write all pages into a folder
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  offergate man ~/.local/share/man/man1 && man offergate-suspend"
)]
pub(super) struct Args {
    /// An existing folder for one page a command; without it the main page goes to stdout
    folder: Option<PathBuf>,
}

pub(super) fn run(args: &Args, output: &Output) -> Result<Exit, Failure> {
    let mut command = super::Cli::command();
    command.build();
    match &args.folder {
        Some(folder) => {
            clap_mangen::generate_to(command, folder).map_err(|error| {
                let what = format!("manual pages cannot be written to `{}`", folder.display());
                Failure::new(Exit::Failure, what).because(error).help("the folder must exist")
            })?;
            output.note(format_args!("manual pages are in {}", folder.display()));
        }
        None => {
            let mut page = Vec::new();
            let written = clap_mangen::Man::new(command).render(&mut page);
            written.map_err(|error| {
                Failure::new(Exit::Failure, "the manual page cannot be made").because(error)
            })?;
            output.raw(&String::from_utf8_lossy(&page))?;
        }
    }
    Ok(Exit::Ok)
}
