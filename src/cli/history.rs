//! `offergate history`: who changed what, when and why; newest first.

use super::connection::{ServerArgs, failed};
use super::exit::{Exit, Failure};
use super::history_view::{DeniedView, HistoryView};
use super::output::{Answer, Output};
use super::revision_view::RevisionView;
use super::text::Text;
use crate::audit::decisions::Denied;
use crate::domain::{SuspensionId, Timestamp};
use crate::service::count_denied;
use crate::wire::proto;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// Show who changed the rules, when and why, newest first
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Args {
    #[command(subcommand)]
    of: Option<Of>,

    /// Show this many revisions; 0 shows all
    #[arg(long, value_name = "N", default_value_t = 20)]
    limit: usize,

    #[command(flatten)]
    server: ServerArgs,
}

/// Of what.
#[derive(Debug, clap::Subcommand)]
enum Of {
    /// Show all that ever happened to one suspension: proposals, edits, decisions, refusals, oldest first;
    /// when each change was seen enforced; and how many recorded decisions it took part in denying
    Suspension {
        /// Its id
        id: String,

        /// Count in this folder of a decision log, all of it, rather than in the server's for a few seconds
        #[arg(long, value_name = "DIR")]
        log: Option<PathBuf>,

        #[command(flatten)]
        server: ServerArgs,
    },
}

/// Revisions, newest first.
#[derive(Debug, Serialize)]
#[serde(transparent)]
struct History(Vec<RevisionView>);

/// Most revisions that the server puts on a page.
const PAGE: usize = 1_000;

pub(super) fn run(args: &Args, output: &Output) -> Result<Exit, Failure> {
    if let Some(Of::Suspension { id, log, server }) = &args.of {
        return of_suspension(id, log.as_deref(), server, output);
    }
    let limit = if args.limit == 0 { usize::MAX } else { args.limit };
    let history = args.server.ask(output, async |client| {
        let mut history = Vec::new();
        let mut page_token = String::new();
        loop {
            let wanted = PAGE.min(limit - history.len());
            let page_size = i32::try_from(wanted).unwrap_or(i32::MAX);
            let request = proto::ListRevisionsRequest { page_size, page_token };
            let page = client.list_revisions(request).await.map_err(failed("the history"))?;
            for revision in page.revisions.into_iter().take(wanted) {
                history.push(RevisionView::of(revision)?);
            }
            page_token = page.next_page_token;
            if page_token.is_empty() || limit <= history.len() {
                return Ok(history);
            }
        }
    })?;
    if history.is_empty() {
        output.note("no revision yet: apply a rule file with `offergate apply FILE`");
    }
    output.answer(&History(history))?;
    Ok(Exit::Ok)
}

fn of_suspension(
    id: &str,
    log: Option<&Path>,
    server: &ServerArgs,
    output: &Output,
) -> Result<Exit, Failure> {
    let mut history = server.ask(output, async |client| {
        let request = proto::HistoryOfSuspensionRequest { id: id.to_owned() };
        let found = client.history_of_suspension(request).await;
        HistoryView::of(found.map_err(failed("the history"))?)
    })?;
    if let Some(folder) = log {
        let denied = denied_in(folder, id, &history)?;
        history = history.counted_here(denied);
    }
    output.answer(&history)?;
    Ok(Exit::Ok)
}

/// What a folder of a decision log says of a suspension.
fn denied_in(folder: &Path, id: &str, history: &HistoryView) -> Result<DeniedView, Failure> {
    let id = SuspensionId::parse(id)
        .map_err(|error| Failure::usage(format_args!("`{id}` is no id")).because(error))?;
    // Of one that was never in force there is nothing; then all of the log says so.
    let since = history.first_enforced().and_then(|text| text.parse().ok());
    let since = since.unwrap_or(Timestamp::MIN);
    let counted = count_denied(folder, Denied::by(&id, since), since, || false);
    let shown = folder.display().to_string();
    let denials = counted.map_err(|error| {
        Failure::new(Exit::Failure, format_args!("`{shown}` cannot be read")).because(error)
    })?;
    DeniedView::of_log(shown, &denials)
}

impl Answer for History {
    const COLUMNS: &'static [&'static str] = RevisionView::COLUMNS;

    fn text(&self, text: &mut Text) {
        text.table(&RevisionView::HEADER, self.0.iter().map(RevisionView::row));
    }
}
