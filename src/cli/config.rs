//! `offergate config`: what `serve` would be set to, and whether it would start.

use super::door::refuse_what_cannot_serve;
use super::exit::{Exit, Failure};
use super::output::{Format, Output};
use super::text::counted;
use crate::config::{self, Place, ServeArgs, ShowFormat};
use std::path::PathBuf;

/// Show or check the settings of `serve`
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: ConfigCommand,
}

#[derive(Debug, clap::Subcommand)]
enum ConfigCommand {
    /// See whether a server would start with these flags, the environment and a settings file
    Check {
        /// The file, in TOML; the same as --config FILE
        #[arg(conflicts_with = "config")]
        file: Option<PathBuf>,
        #[command(flatten)]
        serve: ServeArgs,
    },
    /// Show every setting, its value, and where the value comes from
    Show {
        /// Tell where each value comes from: always done, for whoever expects to ask for it
        #[arg(long)]
        origin: bool,
        #[command(flatten)]
        serve: ServeArgs,
    },
    /// Print the reference of all settings
    Reference,
}

pub(super) fn run(args: &Args, output: &Output) -> Result<Exit, Failure> {
    match &args.command {
        ConfigCommand::Check { file, serve } => {
            let mut serve = serve.clone();
            serve.config = file.clone().or(serve.config);
            let settings = config::load(&serve).map_err(bad_settings)?;
            refuse_what_cannot_serve(&settings, serve.demo)?;
            let set = settings.origins.iter().filter(|origin| origin.place != Place::Default);
            output
                .note(format_args!("the settings are fine: {} set", counted(set.count(), "value")));
        }
        ConfigCommand::Show { origin: _, serve } => {
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
    let missing = |problem: &config::Problem| match &problem.place {
        Place::File(path, 0) => !path.exists(),
        Place::File(..) | Place::Flag(_) | Place::Variable(_) | Place::Default => false,
    };
    let exit = if errors.0.iter().any(missing) { Exit::NotFound } else { Exit::Usage };
    Failure::new(exit, "the settings cannot be used").because(errors)
}
