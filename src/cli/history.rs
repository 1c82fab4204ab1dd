//! `offergate history`: who changed what, when and why; newest first.

use super::connection::{ServerArgs, failed};
use super::exit::{Exit, Failure};
use super::output::{Answer, Output};
use super::revision_view::RevisionView;
use super::text::Text;
use crate::wire::proto;
use serde::Serialize;

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
    /// Show all that ever happened to one suspension, oldest first: proposals, edits, decisions, refusals
    Suspension {
        /// Its id
        id: String,

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
    if let Some(Of::Suspension { id, server }) = &args.of {
        return of_suspension(id, server, output);
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

fn of_suspension(id: &str, server: &ServerArgs, output: &Output) -> Result<Exit, Failure> {
    let history = server.ask(output, async |client| {
        let request = proto::HistoryOfSuspensionRequest { id: id.to_owned() };
        let found = client.history_of_suspension(request).await;
        let revisions = found.map_err(failed("the history"))?.revisions;
        revisions.into_iter().map(RevisionView::of).collect::<Result<Vec<_>, _>>()
    })?;
    output.answer(&History(history))?;
    Ok(Exit::Ok)
}

impl Answer for History {
    const COLUMNS: &'static [&'static str] = RevisionView::COLUMNS;

    fn text(&self, text: &mut Text) {
        text.table(&RevisionView::HEADER, self.0.iter().map(RevisionView::row));
    }
}
