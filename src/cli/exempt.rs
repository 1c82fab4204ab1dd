//! `offergate exempt`: permits stated people, for a time, what named suspensions would stop.

use super::change_args::ChangeArgs;
use super::change_view::ChangeView;
use super::connection::{ServerArgs, failed};
use super::enforcement::{Followed, Wait};
use super::exit::{Exit, Failure};
use super::instants::ZoneArgs;
use super::output::{Answer, Output};
use super::preview::{Preview, preview_if_possible};
use super::revision_view::RevisionView;
use super::scope_args::{ScopeArgs, one_of};
use super::suspension_view::ExemptionView;
use super::text::Text;
use crate::domain::{Action, ExemptionId, SuspensionId};
use crate::wire::{proto, scope};
use proto::preview_change_request::Change;
use serde::Serialize;

/// Permit stated people, for a time, what named suspensions would stop
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
    #[serde(flatten)]
    followed: Followed,
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
        change.go_on(&format!("create exemption {}?", args.id), output)?;
        let request = proto::CreateExemptionRequest {
            exemption: Some(exemption),
            request_id: change.request_id,
            author: change.author,
            expected_revision: None,
            validate_only: change.dry_run,
        };
        let wait = Wait::begin(&client, &args.server);
        let response = client.create_exemption(request).await.map_err(failed("the exemption"))?;
        let revision = response.revision.map(RevisionView::of).transpose()?;
        let followed = wait.follow(RevisionView::token_of(&revision), change.wait, output).await?;
        Ok(Exempted {
            exemption: ExemptionView::of(response.exemption.unwrap_or_default())?,
            revision,
            followed,
            dry_run: change.dry_run,
            releases,
        })
    })?;
    output.answer(&exempted)?;
    exempted.followed.end(output)
}

impl Answer for Exempted {
    const COLUMNS: &'static [&'static str] =
        &["exemption", "revision.revision", "revision.token", "enforcement.state"];

    fn text(&self, text: &mut Text) {
        let view = ChangeView {
            dry_run: self.dry_run,
            touched: self.releases.as_ref(),
            revision: self.revision.as_ref(),
            followed: &self.followed,
            lift: None,
        };
        view.text(text, |text| self.exemption.fields(text));
    }
}
