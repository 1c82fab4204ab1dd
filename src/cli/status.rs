//! `offergate status`: what a server knows: revision, age, rules by kind, what is suspended now and
//! what is going to change.

use super::connection::{ServerArgs, failed};
use super::exit::{Exit, Failure};
use super::output::{Answer, Output};
use super::revision_view::RevisionView;
use super::suspension_view::SuspensionView;
use super::text::{Text, to_the_second};
use crate::client::Client;
use crate::clock::{Clock as _, SystemClock};
use crate::domain::Timestamp;
use crate::rules;
use crate::wire::proto;
use proto::SuspensionState;
use serde::Serialize;

/// Show what a server knows: revision, rules, suspensions in force, changes to come
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Debug, Serialize)]
struct Status {
    serving: bool,
    revision: RevisionView,
    /// Seconds since the revision was made, by this machine's clock.
    age_seconds: Option<i64>,
    rules: Counts,
    in_force: Vec<SuspensionView>,
    upcoming: Vec<Upcoming>,
}

#[derive(Debug, Serialize)]
struct Counts {
    vendors: usize,
    products: usize,
    offers: usize,
    advisories: usize,
    suspensions: usize,
    exemptions: usize,
}

/// A scheduled change of what is in force.
#[derive(Debug, Serialize)]
struct Upcoming {
    at: String,
    id: String,
    /// `starts` or `ends`.
    what: &'static str,
}

pub(super) fn run(args: &Args, output: &Output) -> Result<Exit, Failure> {
    let status = args.server.ask(output, async |client| status(&client).await)?;
    output.answer(&status)?;
    Ok(Exit::Ok)
}

async fn status(client: &Client) -> Result<Status, Failure> {
    let serving = client.is_serving("").await.map_err(failed("the health check"))?;
    let newest = client.get_revision(proto::GetRevisionRequest { number: None }).await;
    let newest = newest.map_err(failed("the newest revision"))?.revision.unwrap_or_default();
    let number = newest.number;
    let rules = client.export_rules(proto::ExportRulesRequest { revision: Some(number) }).await;
    let rules = rules.map_err(failed("the rules"))?.document.unwrap_or_default();
    let rules = rules::read(&rules.yaml).map_err(|errors| {
        Failure::new(Exit::Failure, "the server's rules cannot be read").because(errors)
    })?;
    let in_force = list(client, SuspensionState::InForce).await?;
    let scheduled = list(client, SuspensionState::Scheduled).await?;
    let now = SystemClock.wall();
    let revision = RevisionView::of(newest)?;
    let made: Option<Timestamp> =
        revision.create_time.as_deref().and_then(|text| text.parse().ok());
    Ok(Status {
        serving,
        age_seconds: made.map(|made| now.as_second() - made.as_second()),
        revision,
        rules: Counts {
            vendors: rules.vendors.len(),
            products: rules.products.len(),
            offers: rules.offers.len(),
            advisories: rules.advisories.len(),
            suspensions: rules.suspensions.len(),
            exemptions: rules.exemptions.len(),
        },
        upcoming: upcoming(&in_force, &scheduled),
        in_force,
    })
}

async fn list(client: &Client, state: SuspensionState) -> Result<Vec<SuspensionView>, Failure> {
    let mut suspensions = Vec::new();
    let mut request = proto::ListSuspensionsRequest {
        page_size: 1_000,
        state: state.into(),
        ..proto::ListSuspensionsRequest::default()
    };
    loop {
        let page = client.list_suspensions(request.clone()).await;
        let page = page.map_err(failed("the suspensions"))?;
        for suspension in page.suspensions {
            suspensions.push(SuspensionView::of(suspension)?);
        }
        if page.next_page_token.is_empty() {
            return Ok(suspensions);
        }
        request.page_token = page.next_page_token;
    }
}

fn upcoming(in_force: &[SuspensionView], scheduled: &[SuspensionView]) -> Vec<Upcoming> {
    let change = |at: &Option<String>, id: &str, what| {
        at.clone().map(|at| Upcoming { at, id: id.to_owned(), what })
    };
    let starts = scheduled.iter().filter_map(|it| change(&it.from, &it.id, "starts"));
    let ends = in_force.iter().chain(scheduled);
    let ends = ends.filter_map(|it| change(&it.until, &it.id, "ends"));
    let mut upcoming: Vec<_> = starts.chain(ends).collect();
    upcoming.sort_by_key(|it| (it.at.parse::<Timestamp>().ok(), it.id.clone()));
    upcoming
}

impl Answer for Status {
    const COLUMNS: &'static [&'static str] = &[
        "serving",
        "revision.revision",
        "revision.token",
        "age_seconds",
        "rules.vendors",
        "rules.products",
        "rules.offers",
        "rules.suspensions",
        "rules.exemptions",
        "in_force",
    ];

    fn text(&self, text: &mut Text) {
        let rules = &self.rules;
        let counts = format!(
            "{} vendors, {} products, {} offers, {} advisories, {} suspensions, {} exemptions",
            rules.vendors,
            rules.products,
            rules.offers,
            rules.advisories,
            rules.suspensions,
            rules.exemptions
        );
        let made = to_the_second(self.revision.create_time.as_ref());
        let age = self.age_seconds.map(|age| format!("  ({age} s ago)")).unwrap_or_default();
        text.fields(&[
            ("server", if self.serving { "SERVING" } else { "NOT_SERVING" }.to_owned()),
            ("revision", self.revision.revision.to_string()),
            ("made", format!("{made}{age}")),
            ("token", self.revision.token.clone()),
            ("rules", counts),
        ]);
        text.gap();
        if self.in_force.is_empty() {
            text.line(format_args!(
                "no suspension is in force, as of revision {}",
                self.revision.revision
            ));
        }
        text.table(
            &["IN FORCE", "TARGET", "SCOPE", "FROM", "UNTIL"],
            self.in_force.iter().map(|it| {
                let from = to_the_second(it.from.as_ref());
                let until = to_the_second(it.until.as_ref());
                [it.id.clone(), it.target.shown(), it.scope.shown(), from, until]
            }),
        );
        if !self.upcoming.is_empty() {
            text.gap();
        }
        text.table(
            &["UPCOMING", "SUSPENSION", "WHAT"],
            self.upcoming.iter().map(|it| [it.at.clone(), it.id.clone(), it.what.to_owned()]),
        );
    }
}
