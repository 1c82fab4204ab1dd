//! `offergate config`: what `serve` would be set to, and whether a settings file is one.

use super::exit::{Exit, Failure};
use super::output::{Format, Output};
use crate::config::{self, ServeArgs, ShowFormat};
use std::path::PathBuf;

/// Show or check the settings of `serve`
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: ConfigCommand,
}

#[derive(Debug, clap::Subcommand)]
enum ConfigCommand {
    /// See whether a server would take a settings file
    Check {
        /// The file, in TOML
        file: PathBuf,
    },
    /// Show every setting, its value, and where the value comes from
    Show(ServeArgs),
    /// Print the reference of all settings
    Reference,
}

pub(super) fn run(args: &Args, output: &Output) -> Result<Exit, Failure> {
    match &args.command {
        ConfigCommand::Check { file } => {
            config::check_file(file).map_err(bad_settings)?;
            output.note(format_args!("{} is fine", file.display()));
        }
        ConfigCommand::Show(serve) => {
            let settings = config::load(serve).map_err(bad_settings)?;
            let format = match output.format() {
                None | Some(Format::Table) => ShowFormat::Table,
                Some(Format::Json) => ShowFormat::Json,
                Some(Format::Yaml) => ShowFormat::Yaml,
                Some(Format::Jsonl | Format::Csv) => {
                    return Err(Failure::usage("`config show` prints -o table, json or yaml"));
                }
            };
            output.raw(&config::show(&settings, format))?;
        }
        ConfigCommand::Reference => output.raw(&config::reference())?,
    }
    Ok(Exit::Ok)
}

/// Every problem with the settings, each on a line of its own.
pub(super) fn bad_settings(errors: config::ConfigErrors) -> Failure {
    Failure::usage("the settings cannot be used").because(errors)
}
