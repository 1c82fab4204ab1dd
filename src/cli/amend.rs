//! `offergate amend`: changes what a suspension states. Its id, and a lift, stay.
//!
//! Invariant: what was read is what is replaced. When somebody else changes the rules in between,
//! the server refuses.

use super::change_args::ChangeArgs;
use super::change_view::ChangeView;
use super::clear_args::{Clear, clear_suspension};
use super::connection::{ServerArgs, failed};
use super::enforcement::Followed;
use super::exit::{Exit, Failure};
use super::output::{Answer, Output};
use super::proposal_view::{ProposalView, note_no_wait};
use super::revision_view::RevisionView;
use super::suspension_args::SuspensionArgs;
use super::suspension_view::SuspensionView;
use super::text::Text;
use crate::wire::proto;
use serde::Serialize;

/// Propose to change what a suspension states; what no flag names stays as it is
#[derive(Debug, clap::Args)]
#[command(after_help = "\
A list replaces the list before: --country GB,IE leaves those two. --clear leaves nothing stated.

Example:
  offergate amend barclays-2017 --country GB,IE --clear review-by --reason 'Ireland too' \\
    --ticket CHG-1010")]
pub(super) struct Args {
    /// Id of the suspension
    id: String,

    #[command(flatten)]
    suspension: SuspensionArgs,

    /// What shall no longer be stated; repeat for several
    #[arg(long, value_enum, value_delimiter = ',')]
    clear: Vec<Clear>,

    #[command(flatten)]
    change: ChangeArgs,

    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Debug, Serialize)]
struct Amended {
    before: SuspensionView,
    suspension: SuspensionView,
    revision: Option<RevisionView>,
    proposal: Option<ProposalView>,
    /// What people are told of it.
    #[serde(skip)]
    said: String,
    dry_run: bool,
}

pub(super) fn run(args: &Args, output: &Output) -> Result<Exit, Failure> {
    let change = args.change.complete(&args.server)?;
    let amended = args.server.ask(output, async |client| {
        let request = proto::GetSuspensionRequest { id: args.id.clone() };
        let read = client.get_suspension(request).await.map_err(failed("the suspension"))?;
        let mut suspension = read.suspension.unwrap_or_default();
        let before = SuspensionView::of(suspension.clone())?;
        clear_suspension(&mut suspension, &args.clear);
        args.suspension.put_into(&mut suspension)?;
        suspension.lifted_at = None; // The server keeps it, and takes none from a caller.
        change.go_on(&format!("propose to amend {}?", args.id), output)?;
        let request = proto::AmendSuspensionRequest {
            suspension: Some(suspension),
            request_id: change.request_id,
            author: change.author,
            reason: change.reason,
            ticket: change.ticket,
            expected_revision: Some(read.revision),
            validate_only: change.dry_run,
        };
        let response = client.amend_suspension(request).await.map_err(failed("amending"))?;
        let revision = response.revision.map(RevisionView::of).transpose()?;
        let proposal = response.proposal.map(ProposalView::of).transpose()?;
        note_no_wait(proposal.as_ref(), change.wait.is_some(), output);
        Ok(Amended {
            before,
            suspension: SuspensionView::of(response.suspension.unwrap_or_default())?,
            revision,
            said: proposal.as_ref().map(|it| it.proposed(&args.server)).unwrap_or_default(),
            proposal,
            dry_run: change.dry_run,
        })
    })?;
    output.answer(&amended)?;
    Ok(Exit::Ok)
}

impl Answer for Amended {
    const COLUMNS: &'static [&'static str] =
        &["suspension", "revision.revision", "revision.token", "proposal.id", "proposal.direction"];

    fn text(&self, text: &mut Text) {
        let view = ChangeView {
            dry_run: self.dry_run,
            touched: None,
            revision: self.revision.as_ref(),
            proposal: self.proposal.as_ref().map(|it| (it, self.said.clone())),
            followed: &Followed::default(),
            lift: None,
        };
        view.text(text, |text| self.suspension.fields(text));
    }
}
