//! `offergate approve`: puts in force what another person has proposed.
//!
//! Invariant: what is approved is what was shown. When it is edited in between, the server refuses.

use super::connection::failed;
use super::decide_args::DecideArgs;
use super::enforcement::{self, Followed, Wait};
use super::exit::{Exit, Failure};
use super::output::{Answer, Output};
use super::proposal_view::ProposalView;
use super::revision_view::RevisionView;
use super::text::Text;
use crate::client::Client;
use crate::wire::proto;
use serde::Serialize;
use std::time::Duration;

/// Put in force what another person has proposed
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Shows the change, asks, and approves just what was shown. Who proposed or edited it cannot.

Example:
  offergate approve 17 --wait")]
pub(super) struct Args {
    #[command(flatten)]
    decide: DecideArgs,

    /// Wait until no replica answers from before the change any more; ends with 6 when time runs out
    /// first [without a value: 10s]
    #[arg(
        long,
        value_name = "DURATION",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "10s",
        value_parser = enforcement::limit
    )]
    wait: Option<Duration>,
}

/// What approving did.
#[derive(Debug, Serialize)]
struct Approved {
    change: ProposalView,
    revision: Option<RevisionView>,
    #[serde(flatten)]
    followed: Followed,
}

pub(super) fn run(args: &Args, output: &Output) -> Result<Exit, Failure> {
    let decide = &args.decide;
    let author = decide.author()?;
    let approved = decide.server.ask(output, async |client| {
        let change = shown(&client, decide.change, output).await?;
        decide.confirm("approve")?;
        let request = proto::ApproveChangeRequest {
            id: change.id,
            digest: change.digest.clone(),
            request_id: decide.request_id(),
            author,
        };
        let wait = Wait::begin(&client, &decide.server);
        let response = client.approve_change(request).await.map_err(failed("approving"))?;
        let revision = response.revision.map(RevisionView::of).transpose()?;
        let followed = wait.follow(RevisionView::token_of(&revision), args.wait, output).await?;
        Ok(Approved { change, revision, followed })
    })?;
    output.answer(&approved)?;
    approved.followed.end(output)
}

/// Reads a change and shows it, on stderr: it is no data of a command that decides on it.
pub(super) async fn shown(
    client: &Client,
    id: u64,
    output: &Output,
) -> Result<ProposalView, Failure> {
    let read = client.get_change(proto::GetChangeRequest { id }).await;
    let change = read.map_err(failed("the change"))?.change.unwrap_or_default();
    let change = ProposalView::of(change)?;
    let mut text = Text::new(false);
    change.text(&mut text);
    output.note(text.finish().trim_end());
    Ok(change)
}

impl Answer for Approved {
    const COLUMNS: &'static [&'static str] =
        &["change.id", "revision.revision", "revision.token", "enforcement.state"];

    fn text(&self, text: &mut Text) {
        let Some(revision) = &self.revision else { return };
        match &self.change.mailing {
            Some(_) => text.line(format_args!("change {} may be sent", self.change.id)),
            None => text.line(format_args!("change {} is in force", self.change.id)),
        }
        text.fields(&[
            ("revision", revision.revision.to_string()),
            ("token", revision.token.clone()),
            ("request id", revision.request_id.clone()),
            ("committed", self.followed.shown()),
        ]);
    }
}
