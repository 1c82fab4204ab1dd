//! The command line: one file a subcommand; this one introduces them and sends each on its way.
//!
//! Every command but `serve`, `test`, `restore`, `config`, `completions` and `man` speaks gRPC to a
//! running server: the command line has no other way to the rules than anybody else's client.

mod change_args;
mod completions;
mod confirm;
mod exit;
mod man;
mod output;
mod request_args;
mod request_file;
mod scope_args;
mod test;
mod text;

use clap::Parser;
use exit::{Exit, Failure};
use output::{Output, OutputArgs};
use std::ffi::OsString;
use std::process::ExitCode;

/// Decides whether a bank's customer may be offered a third-party product, provably
#[derive(Debug, Parser)]
#[command(
    name = "offergate",
    version = version(),
    propagate_version = true,
    max_term_width = 100,
    after_help = exit::EXIT_CODES,
    subcommand_required = true,
    arg_required_else_help = true
)]
struct Cli {
    #[command(flatten)]
    output: OutputArgs,

    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Completions(completions::Args),
    Man(man::Args),
}

/// Runs one command line and says how it ended.
#[must_use]
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() { Exit::Usage } else { Exit::Ok }.into();
        }
    };
    let output = cli.output.open();
    match dispatch(&cli.command, &output) {
        Ok(exit) => exit.into(),
        Err(failure) => {
            let exit = failure.exit();
            failure.report();
            exit.into()
        }
    }
}

fn dispatch(command: &Command, output: &Output) -> Result<Exit, Failure> {
    match command {
        Command::Completions(args) => completions::run(args, output),
        Command::Man(args) => man::run(args, output),
    }
}

/// The version, and the commit that it was built from where that is known.
fn version() -> String {
    match option_env!("OFFERGATE_COMMIT") {
        Some(commit) => format!("{} ({commit})", env!("CARGO_PKG_VERSION")),
        None => env!("CARGO_PKG_VERSION").to_owned(),
    }
}
