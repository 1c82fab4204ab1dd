//! `offergate reject`: turns a proposal down, or takes one's own back.

use super::approve::shown;
use super::connection::failed;
use super::decide_args::DecideArgs;
use super::exit::{Exit, Failure};
use super::output::Output;
use super::revision_view::RevisionView;
use crate::wire::proto;

/// Turn down what another person has proposed, or take back what you have; stop an approved mailing
#[derive(Debug, clap::Args)]
#[command(after_help = "\
A mailing that was approved is stopped by one person; whoever sends it ends as soon as it asks again.

Example:\n  offergate reject 17 --reason 'Wrong vendor'")]
pub(super) struct Args {
    #[command(flatten)]
    decide: DecideArgs,

    /// Why
    #[arg(long, value_name = "TEXT", help_heading = "Record")]
    reason: String,
}

pub(super) fn run(args: &Args, output: &Output) -> Result<Exit, Failure> {
    let (decide, reason) = (&args.decide, args.reason.clone());
    let author = decide.author()?;
    let record = decide.server.ask(output, async |client| {
        shown(&client, decide.change, output).await?;
        decide.confirm("reject")?;
        let (id, request_id) = (decide.change, decide.request_id());
        let request = proto::RejectChangeRequest { id, reason, request_id, author };
        let response = client.reject_change(request).await.map_err(failed("rejecting"))?;
        RevisionView::of(response.revision.unwrap_or_default())
    })?;
    output.answer(&record)?;
    Ok(Exit::Ok)
}
