//! The command line: one file a subcommand; this one introduces them and sends each on its way.
//!
//! Every command but `serve`, `test`, `backup`, `restore`, `begin-history`, `config`, `completions` and `man` speaks gRPC to a
//! running server: the command line has no other way to the rules than anybody else's client.

mod amend;
mod apply;
mod approve;
mod audit;
mod backup;
mod batch;
mod begin_history;
mod change_args;
mod change_view;
mod changes;
mod check;
mod clear_args;
mod completions;
mod config;
mod confirm;
mod connection;
mod customer_file;
mod decide_args;
mod decision_log;
mod decision_view;
mod demo;
mod door;
mod edit;
mod enforcement;
mod enforcement_view;
mod events;
mod exempt;
mod exit;
mod explain;
mod export;
mod find;
mod health;
mod history;
mod history_view;
mod instants;
mod lift;
mod mailing_view;
mod man;
mod output;
mod people;
mod plan;
mod preview;
mod proposal_view;
mod ratify;
mod recorded;
mod reject;
mod reload;
mod replicas;
mod request_args;
mod request_file;
mod restore;
mod revision_view;
mod scope_args;
mod serve;
mod shared_store;
mod signals;
mod status;
mod store_args;
mod stores;
mod supervisor;
mod suspend;
mod suspension_args;
mod suspension_view;
pub mod test;
mod test_case;
mod text;
mod threads;
mod watch;

use clap::Parser;
use exit::{Exit, Failure};
use output::{Format, Output, OutputArgs};
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
    Serve(serve::Args),
    Check(Box<check::Args>),
    Explain(Box<explain::Args>),
    Suspend(Box<suspend::Args>),
    Amend(Box<amend::Args>),
    Lift(lift::Args),
    Exempt(Box<exempt::Args>),
    Approve(approve::Args),
    Edit(Box<edit::Args>),
    Reject(reject::Args),
    Ratify(ratify::Args),
    Changes(changes::Args),
    Preview(preview::Args),
    Test(test::Args),
    Plan(plan::Args),
    Apply(apply::Args),
    Export(export::Args),
    Status(status::Args),
    History(history::Args),
    Watch(watch::Args),
    Find(find::Args),
    Replicas(replicas::Args),
    Audit(audit::Args),
    Batch(batch::Args),
    Health(health::Args),
    Backup(backup::Args),
    Restore(restore::Args),
    BeginHistory(begin_history::Args),
    Config(config::Args),
    Completions(completions::Args),
    Man(man::Args),
}

/// Runs one command line and says how it ended.
#[must_use]
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments = batch::spelled(arguments.into_iter().collect());
    let usage = match arguments.iter().any(|argument| argument == plan::EXIT_CODE) {
        true => Exit::Failure,
        false => Exit::Usage,
    };
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() { usage } else { Exit::Ok }.into();
        }
    };
    let output = cli.output.open();
    match dispatch(&cli.command, &output) {
        Ok(code) => code,
        Err(failure) => {
            let exit = failure.exit();
            failure.report();
            exit.into()
        }
    }
}

fn dispatch(command: &Command, output: &Output) -> Result<ExitCode, Failure> {
    let exit = match command {
        Command::Serve(args) => serve::run(args, output)?,
        Command::Check(args) => check::run(args, output)?,
        Command::Explain(args) => explain::run(args, output)?,
        Command::Suspend(args) => suspend::run(args, output)?,
        Command::Amend(args) => amend::run(args, output)?,
        Command::Lift(args) => lift::run(args, output)?,
        Command::Exempt(args) => exempt::run(args, output)?,
        Command::Approve(args) => approve::run(args, output)?,
        Command::Edit(args) => edit::run(args, output)?,
        Command::Reject(args) => reject::run(args, output)?,
        Command::Ratify(args) => ratify::run(args, output)?,
        Command::Changes(args) => changes::run(args, output)?,
        Command::Preview(args) => preview::run(args, output)?,
        Command::Plan(args) => plan::run(args, output)?,
        Command::Apply(args) => apply::run(args, output)?,
        Command::Export(args) => export::run(args, output)?,
        Command::Status(args) => status::run(args, output)?,
        Command::History(args) => history::run(args, output)?,
        Command::Watch(args) => watch::run(args, output)?,
        Command::Find(args) => find::run(args, output)?,
        Command::Replicas(args) => replicas::run(args, output)?,
        Command::Audit(args) => audit::run(args, output)?,
        Command::Batch(args) => batch::run(args, output)?,
        Command::Health(args) => health::run(args, output)?,
        Command::Backup(args) => backup::run(args, output)?,
        Command::Restore(args) => restore::run(args, output)?,
        Command::BeginHistory(args) => begin_history::run(args, output)?,
        Command::Config(args) => config::run(args, output)?,
        Command::Completions(args) => completions::run(args, output)?,
        Command::Man(args) => man::run(args, output)?,
        Command::Test(args) => {
            let as_json = match output.format() {
                None | Some(Format::Table) => false,
                Some(Format::Json) => true,
                Some(_) => return Err(Failure::usage("`test` prints -o table or -o json")),
            };
            return Ok(test::run(args, as_json));
        }
    };
    Ok(exit.into())
}

/// The version, with the commit and the date that it was built from where they are known: see `build.rs`.
fn version() -> String {
    let commit = option_env!("OFFERGATE_COMMIT").filter(|commit| !commit.is_empty());
    let version = env!("CARGO_PKG_VERSION");
    match (commit, option_env!("OFFERGATE_BUILD_DATE")) {
        (Some(commit), Some(date)) => format!("{version} ({commit} {date})"),
        (Some(commit), None) => format!("{version} ({commit}, date unknown)"),
        (None, Some(date)) => format!("{version} (commit unknown, {date})"),
        (None, None) => format!("{version} (commit and date unknown)"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn every_command_and_flag_is_defined_without_contradiction() {
        Cli::command().debug_assert();
    }
}
