//! `offergate lift`: ends a suspension now. It stays in the records.

use super::change_args::ChangeArgs;
use super::change_view::ChangeView;
use super::connection::{ServerArgs, failed};
use super::enforcement::{Followed, Wait};
use super::exit::{Exit, Failure};
use super::output::{Answer, Output};
use super::preview::{Preview, preview_if_possible};
use super::revision_view::RevisionView;
use super::suspension_view::SuspensionView;
use super::text::Text;
use crate::wire::proto;
use proto::preview_change_request::Change;
use serde::Serialize;

/// End a suspension now; it stays in the records
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
    #[serde(flatten)]
    followed: Followed,
    dry_run: bool,
    releases: Option<Preview>,
}

pub(super) fn run(args: &Args, output: &Output) -> Result<Exit, Failure> {
    let change = args.change.complete(&args.server)?;
    let lifted = args.server.ask(output, async |client| {
        let releases = preview_if_possible(&client, output, Change::Lift(args.id.clone())).await?;
        change.go_on(&format!("lift {}?", args.id), output)?;
        let request = proto::LiftSuspensionRequest {
            id: args.id.clone(),
            request_id: change.request_id,
            author: change.author,
            reason: change.reason,
            ticket: change.ticket,
            expected_revision: args.expected_revision,
            validate_only: change.dry_run,
        };
        let wait = Wait::begin(&client, &args.server);
        let response = client.lift_suspension(request).await.map_err(failed("the lift"))?;
        let revision = response.revision.map(RevisionView::of).transpose()?;
        let followed = wait.follow(RevisionView::token_of(&revision), change.wait, output).await?;
        Ok(Lifted {
            suspension: SuspensionView::of(response.suspension.unwrap_or_default())?,
            revision,
            followed,
            dry_run: change.dry_run,
            releases,
        })
    })?;
    output.answer(&lifted)?;
    lifted.followed.end(output)
}

impl Answer for Lifted {
    const COLUMNS: &'static [&'static str] = &[
        "suspension",
        "revision.revision",
        "revision.token",
        "enforcement.state",
        "releases.offers_changed",
    ];

    fn text(&self, text: &mut Text) {
        let view = ChangeView {
            dry_run: self.dry_run,
            touched: self.releases.as_ref(),
            revision: self.revision.as_ref(),
            followed: &self.followed,
            lift: None,
        };
        view.text(text, |text| self.suspension.fields(text));
    }
}
