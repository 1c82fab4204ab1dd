//! `offergate ratify`: agrees to what another person did alone in an emergency.

use super::approve::shown;
use super::connection::failed;
use super::decide_args::DecideArgs;
use super::exit::{Exit, Failure};
use super::output::Output;
use super::revision_view::RevisionView;
use crate::wire::proto;

/// Agree to what another person suspended alone in an emergency
#[derive(Debug, clap::Args)]
#[command(after_help = "\
It is in force before that and after. To end it instead, propose to lift the suspension.

Example:
  offergate ratify 21 --reason 'Seen with the vendor'")]
pub(super) struct Args {
    #[command(flatten)]
    decide: DecideArgs,

    /// What was found
    #[arg(long, value_name = "TEXT", default_value = "", help_heading = "Record")]
    reason: String,
}

pub(super) fn run(args: &Args, output: &Output) -> Result<Exit, Failure> {
    let (decide, reason) = (&args.decide, args.reason.clone());
    let author = decide.author()?;
    let record = decide.server.ask(output, async |client| {
        shown(&client, decide.change, output).await?;
        decide.confirm("ratify")?;
        let (id, request_id) = (decide.change, decide.request_id());
        let request = proto::RatifyChangeRequest { id, reason, request_id, author };
        let response = client.ratify_change(request).await.map_err(failed("ratifying"))?;
        RevisionView::of(response.revision.unwrap_or_default())
    })?;
    output.answer(&record)?;
    Ok(Exit::Ok)
}
