//! `offergate lift`: proposes to end a suspension. It stays in the records.

use super::change_args::ChangeArgs;
use super::change_view::ChangeView;
use super::connection::{ServerArgs, failed};
use super::enforcement::Followed;
use super::exit::{Exit, Failure};
use super::output::{Answer, Output};
use super::preview::{Preview, preview_if_possible};
use super::proposal_view::{ProposalView, note_no_wait};
use super::revision_view::RevisionView;
use super::suspension_view::SuspensionView;
use super::text::Text;
use crate::wire::proto;
use proto::preview_change_request::Change;
use serde::Serialize;

/// Propose to end a suspension; it ends when another person approves that
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  offergate lift barclays-2017 --reason 'Review closed' --ticket CHG-1044")]
pub(super) struct Args {
    /// Id of the suspension
    id: String,

    /// Refuse when the rules are not at this revision
    #[arg(long, value_name = "N")]
    expected_revision: Option<u64>,

    #[command(flatten)]
    change: ChangeArgs,

    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Debug, Serialize)]
struct Lifted {
    suspension: SuspensionView,
    revision: Option<RevisionView>,
    proposal: Option<ProposalView>,
    /// What people are told of it.
    #[serde(skip)]
    said: String,
    dry_run: bool,
    releases: Option<Preview>,
}

pub(super) fn run(args: &Args, output: &Output) -> Result<Exit, Failure> {
    let change = args.change.complete(&args.server)?;
    let lifted = args.server.ask(output, async |client| {
        let releases = preview_if_possible(&client, output, Change::Lift(args.id.clone())).await?;
        change.go_on(&format!("propose to lift {}?", args.id), output)?;
        let request = proto::LiftSuspensionRequest {
            id: args.id.clone(),
            request_id: change.request_id,
            author: change.author,
            reason: change.reason,
            ticket: change.ticket,
            expected_revision: args.expected_revision,
            validate_only: change.dry_run,
        };
        let response = client.lift_suspension(request).await.map_err(failed("the lift"))?;
        let revision = response.revision.map(RevisionView::of).transpose()?;
        let proposal = response.proposal.map(ProposalView::of).transpose()?;
        note_no_wait(proposal.as_ref(), change.wait.is_some(), output);
        Ok(Lifted {
            suspension: SuspensionView::of(response.suspension.unwrap_or_default())?,
            revision,
            said: proposal.as_ref().map(|it| it.proposed(&args.server)).unwrap_or_default(),
            proposal,
            dry_run: change.dry_run,
            releases,
        })
    })?;
    output.answer(&lifted)?;
    Ok(Exit::Ok)
}

impl Answer for Lifted {
    const COLUMNS: &'static [&'static str] = &[
        "suspension",
        "revision.revision",
        "revision.token",
        "proposal.id",
        "proposal.direction",
        "releases.offers_changed",
    ];

    fn text(&self, text: &mut Text) {
        let view = ChangeView {
            dry_run: self.dry_run,
            touched: self.releases.as_ref(),
            revision: self.revision.as_ref(),
            proposal: self.proposal.as_ref().map(|it| (it, self.said.clone())),
            followed: &Followed::default(),
            lift: None,
        };
        view.text(text, |text| self.suspension.fields(text));
    }
}
