//! `offergate changes`: what waits for people.

use super::connection::{ServerArgs, failed};
use super::exit::{Exit, Failure};
use super::output::{Answer, Output};
use super::proposal_view::ProposalView;
use super::text::Text;
use crate::client::Client;
use crate::wire::proto;
use serde::Serialize;

/// List the changes that wait for approval, and the emergencies to ratify
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    server: ServerArgs,
}

/// Changes, by number.
#[derive(Debug, Serialize)]
#[serde(transparent)]
struct Changes(Vec<ProposalView>);

pub(super) fn run(args: &Args, output: &Output) -> Result<Exit, Failure> {
    let changes = args.server.ask(output, async |client| all(&client).await)?;
    if changes.is_empty() {
        output.note("nothing waits for anybody");
    }
    output.answer(&Changes(changes))?;
    Ok(Exit::Ok)
}

/// All that waits.
pub(super) async fn all(client: &Client) -> Result<Vec<ProposalView>, Failure> {
    let (mut changes, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = proto::ListChangesRequest { page_size: 1_000, page_token };
        let page = client.list_changes(request).await.map_err(failed("the changes"))?;
        for change in page.changes {
            changes.push(ProposalView::of(change)?);
        }
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return Ok(changes);
        }
    }
}

impl Answer for Changes {
    const COLUMNS: &'static [&'static str] = ProposalView::COLUMNS;

    fn text(&self, text: &mut Text) {
        text.table(&ProposalView::HEADER, self.0.iter().map(ProposalView::row));
    }
}
