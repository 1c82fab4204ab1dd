//! `offergate suspend`: stops stated actions for a vendor, a product or an offer.

use super::change_args::ChangeArgs;
use super::change_view::ChangeView;
use super::connection::{ServerArgs, failed};
use super::enforcement::{Followed, Wait};
use super::exit::{Exit, Failure};
use super::instants::shown;
use super::output::{Answer, Output};
use super::preview::{Preview, preview_if_possible};
use super::proposal_view::{ProposalView, note_no_wait};
use super::revision_view::RevisionView;
use super::suspension_args::{Kind, SuspensionArgs, derived_id, new_suspension};
use super::suspension_view::SuspensionView;
use super::text::{Text, counted, to_the_second};
use crate::client::Client;
use crate::wire::proto;
use proto::preview_change_request::Change;
use serde::Serialize;

/// Propose to stop stated actions for a vendor, a product or an offer
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Without --action it stops OFFER, ACTIVATE, REACTIVATE and RENEW: the product is no longer given, and
holders go on using and updating it. Another person approves it; without --from it is in force from then
on. With --emergency it is in force at once, and another person ratifies it.

Examples:
  offergate suspend vendor kaspersky-labs-ltd --country GB --reason 'Precautionary decision' \\
    --ticket CHG-1001 --advisory ncsc-2017-12-01 --review-by 2018-06-01
  offergate suspend offer kis-12m --from '2024-10-28 09:00' --zone Europe/London --dry-run \\
    --reason 'Contract ends' --ticket CHG-1002")]
pub(super) struct Args {
    /// What kind of thing is suspended
    #[arg(value_enum)]
    kind: Kind,

    /// Its id; `offergate find TEXT` finds it by name
    target: String,

    /// Id of the suspension [default: the target's id and the first day]
    #[arg(long, value_name = "ID")]
    id: Option<String>,

    /// At once and alone: in force now, for another person to ratify within 24 hours
    #[arg(long, conflicts_with_all = ["from", "dry_run"])]
    emergency: bool,

    #[command(flatten)]
    suspension: SuspensionArgs,

    #[command(flatten)]
    change: ChangeArgs,

    #[command(flatten)]
    server: ServerArgs,
}

/// What suspending did.
#[derive(Debug, Serialize)]
struct Suspended {
    suspension: SuspensionView,
    revision: Option<RevisionView>,
    proposal: Option<ProposalView>,
    /// Until when another person should ratify an emergency.
    ratify_by: Option<String>,
    #[serde(flatten)]
    followed: Followed,
    dry_run: bool,
    /// What it hits from its first instant on.
    hits: Option<Preview>,
    /// The command that lifts it.
    lift: String,
    /// What people are told of a proposal.
    #[serde(skip)]
    said: String,
}

pub(super) fn run(args: &Args, output: &Output) -> Result<Exit, Failure> {
    let change = args.change.complete(&args.server)?;
    let mut suspension = new_suspension(args.kind, &args.target, &args.suspension)?;
    suspension.id = match &args.id {
        Some(id) => id.clone(),
        None => derived_id(&args.target, args.suspension.first_day()?)?,
    };
    suspension.reason.clone_from(&change.reason);
    suspension.ticket.clone_from(&change.ticket);
    if args.suspension.has_default_actions() {
        output.note("no --action: stops OFFER, ACTIVATE, REACTIVATE, RENEW; holders go on");
    }
    let lift =
        format!("offergate lift {}{} --reason TEXT --ticket ID", suspension.id, args.server.flag());
    let suspended = args.server.ask(output, async |client| {
        let hits =
            preview_if_possible(&client, output, Change::Suspension(suspension.clone())).await?;
        let count = hits.as_ref().map(|hits| counted(hits.offers_changed, "offer"));
        let what = count.unwrap_or_else(|| args.target.clone());
        let propose = if args.emergency { "" } else { "propose to " };
        change.go_on(&format!("{propose}suspend {what}?"), output)?;
        let wait = Wait::begin(&client, &args.server);
        let limit = change.wait.filter(|_| args.emergency);
        let (dry_run, wants_wait) = (change.dry_run, change.wait.is_some());
        let made = match args.emergency {
            true => emergency(&client, suspension, change).await?,
            false => propose_it(&client, suspension, change).await?,
        };
        note_no_wait(made.proposal.as_ref(), wants_wait, output);
        let token = RevisionView::token_of(&made.revision).filter(|_| args.emergency);
        let followed = wait.follow(token, limit, output).await?;
        let Made { suspension, revision, proposal, ratify_by } = made;
        let said = proposal.as_ref().map(|it| it.proposed(&args.server)).unwrap_or_default();
        Ok(Suspended {
            suspension,
            revision,
            proposal,
            ratify_by,
            followed,
            dry_run,
            hits,
            lift,
            said,
        })
    })?;
    output.answer(&suspended)?;
    suspended.followed.end(output)
}

/// What came of asking.
struct Made {
    suspension: SuspensionView,
    revision: Option<RevisionView>,
    proposal: Option<ProposalView>,
    ratify_by: Option<String>,
}

async fn propose_it(
    client: &Client,
    suspension: proto::Suspension,
    change: super::change_args::Change,
) -> Result<Made, Failure> {
    let request = proto::CreateSuspensionRequest {
        suspension: Some(suspension),
        request_id: change.request_id,
        author: change.author,
        expected_revision: None,
        validate_only: change.dry_run,
    };
    let response = client.create_suspension(request).await.map_err(failed("the suspension"))?;
    Ok(Made {
        suspension: SuspensionView::of(response.suspension.unwrap_or_default())?,
        revision: response.revision.map(RevisionView::of).transpose()?,
        proposal: response.proposal.map(ProposalView::of).transpose()?,
        ratify_by: None,
    })
}

async fn emergency(
    client: &Client,
    suspension: proto::Suspension,
    change: super::change_args::Change,
) -> Result<Made, Failure> {
    let request = proto::EmergencySuspendRequest {
        suspension: Some(suspension),
        request_id: change.request_id,
        author: change.author,
    };
    let response = client.emergency_suspend(request).await.map_err(failed("the suspension"))?;
    Ok(Made {
        suspension: SuspensionView::of(response.suspension.unwrap_or_default())?,
        revision: response.revision.map(RevisionView::of).transpose()?,
        proposal: None,
        ratify_by: shown(response.ratify_by.as_ref())?,
    })
}

impl Answer for Suspended {
    const COLUMNS: &'static [&'static str] = &[
        "suspension",
        "revision.revision",
        "revision.token",
        "proposal.id",
        "proposal.direction",
        "enforcement.state",
        "hits.offers_changed",
        "lift",
    ];

    fn text(&self, text: &mut Text) {
        let view = ChangeView {
            dry_run: self.dry_run,
            touched: self.hits.as_ref(),
            revision: self.revision.as_ref(),
            proposal: self.proposal.as_ref().map(|it| (it, self.said.clone())),
            followed: &self.followed,
            lift: Some(&self.lift),
        };
        view.text(text, |text| self.suspension.fields(text));
        if let (by @ Some(_), Some(revision)) = (self.ratify_by.as_ref(), &self.revision) {
            let (by, number) = (to_the_second(by), revision.revision);
            text.line(format_args!(
                "in force by an emergency; another person ratifies it by {by}: offergate ratify \
                 {number}"
            ));
        }
    }
}
