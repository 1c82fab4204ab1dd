//! `offergate exempt`: permits stated people, for a time, what named suspensions would stop.

use super::change_args::ChangeArgs;
use super::change_view::ChangeView;
use super::connection::{ServerArgs, failed};
use super::enforcement::Followed;
use super::exit::{Exit, Failure};
use super::instants::ZoneArgs;
use super::output::{Answer, Output};
use super::preview::{Preview, preview_if_possible};
use super::proposal_view::{ProposalView, note_no_wait};
use super::revision_view::RevisionView;
use super::scope_args::{ScopeArgs, one_of};
use super::suspension_view::ExemptionView;
use super::text::Text;
use crate::domain::{Action, ExemptionId, SuspensionId};
use crate::wire::{proto, scope};
use proto::preview_change_request::Change;
use serde::Serialize;

/// Propose to permit stated people, for a time, what named suspensions would stop
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  offergate exempt barclays-2017 --id staff-pilot --customer c-1 --customer c-2 \\
    --until 2018-03-01T00:00:00Z --reason 'Forensic pilot' --ticket CHG-1012")]
pub(super) struct Args {
    /// Ids of the suspensions to waive, and no others
    #[arg(required = true, value_name = "SUSPENSION")]
    waives: Vec<SuspensionId>,

    /// Id of the exemption
    #[arg(long, value_name = "ID")]
    id: ExemptionId,

    /// Action to permit; without it all that the suspensions stop
    #[arg(
        long = "action",
        value_delimiter = ',',
        value_parser = one_of(Action::ALL, Action::name),
        value_name = "ACTION"
    )]
    actions: Vec<Action>,

    #[command(flatten)]
    scope: ScopeArgs,

    /// First instant it holds [default: now]
    #[arg(long, value_name = "INSTANT", help_heading = "Time")]
    from: Option<String>,

    /// First instant it no longer holds: an exemption always ends
    #[arg(long, value_name = "INSTANT", help_heading = "Time")]
    until: String,

    #[command(flatten)]
    zone: ZoneArgs,

    #[command(flatten)]
    change: ChangeArgs,

    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Debug, Serialize)]
struct Exempted {
    exemption: ExemptionView,
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
    let exemption = proto::Exemption {
        id: args.id.to_string(),
        waives: args.waives.iter().map(ToString::to_string).collect(),
        scope: Some(scope::write(&args.scope.scope(args.actions.clone()))),
        from_time: args.zone.read_wire("--from", args.from.as_ref())?,
        until_time: args.zone.read_wire("--until", Some(&args.until))?,
        ticket: change.ticket.clone(),
        reason: change.reason.clone(),
    };
    let exempted = args.server.ask(output, async |client| {
        let proposed = Change::Exemption(exemption.clone());
        let releases = preview_if_possible(&client, output, proposed).await?;
        change.go_on(&format!("propose exemption {}?", args.id), output)?;
        let request = proto::CreateExemptionRequest {
            exemption: Some(exemption),
            request_id: change.request_id,
            author: change.author,
            expected_revision: None,
            validate_only: change.dry_run,
        };
        let response = client.create_exemption(request).await.map_err(failed("the exemption"))?;
        let revision = response.revision.map(RevisionView::of).transpose()?;
        let proposal = response.proposal.map(ProposalView::of).transpose()?;
        note_no_wait(proposal.as_ref(), change.wait.is_some(), output);
        Ok(Exempted {
            exemption: ExemptionView::of(response.exemption.unwrap_or_default())?,
            revision,
            said: proposal.as_ref().map(|it| it.proposed(&args.server)).unwrap_or_default(),
            proposal,
            dry_run: change.dry_run,
            releases,
        })
    })?;
    output.answer(&exempted)?;
    Ok(Exit::Ok)
}

impl Answer for Exempted {
    const COLUMNS: &'static [&'static str] =
        &["exemption", "revision.revision", "revision.token", "proposal.id", "proposal.direction"];

    fn text(&self, text: &mut Text) {
        let view = ChangeView {
            dry_run: self.dry_run,
            touched: self.releases.as_ref(),
            revision: self.revision.as_ref(),
            proposal: self.proposal.as_ref().map(|it| (it, self.said.clone())),
            followed: &Followed::default(),
            lift: None,
        };
        view.text(text, |text| self.exemption.fields(text));
    }
}
