//! `offergate status`: what a server knows: revision, age, rules by kind, what is suspended now and
//! what is going to change.

use super::changes;
use super::connection::{ServerArgs, failed};
use super::decision_view::stated;
use super::exit::{Exit, Failure};
use super::output::{Answer, Output};
use super::proposal_view::ProposalView;
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
    /// Whether anything can be answered `ELIGIBLE`.
    fresh: bool,
    /// What the server last heard from a shared store, when all is not well.
    trouble: Option<String>,
    /// `None` while the store does not tell, and before there is one.
    revision: Option<RevisionView>,
    /// The number of the rules in effect here, which it is known by without the store.
    in_effect: u64,
    /// Their place in history.
    token: String,
    /// Seconds since the revision was made, by this machine's clock.
    age_seconds: Option<i64>,
    rules: Counts,
    in_force: Vec<SuspensionView>,
    upcoming: Vec<Upcoming>,
    /// What waits for people: emergencies to ratify, and proposals.
    waiting: Vec<ProposalView>,
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
    let fresh = client.is_serving("freshness").await.map_err(failed("the health check"))?;
    let trouble = Trouble::of(client).await?;
    let rules = client.export_rules(proto::ExportRulesRequest { revision: None }).await;
    let rules = rules.map_err(failed("the rules"))?;
    let (in_effect, token) = (rules.revision, rules.token);
    let rules = rules.document.unwrap_or_default();
    let newest = match &trouble {
        Trouble::OfStore(_) => None,
        Trouble::None | Trouble::Told(_) => newest(client, in_effect).await?,
    };
    let rules = rules::read(&rules.yaml).map_err(|errors| {
        Failure::new(Exit::Failure, "the server's rules cannot be read").because(errors)
    })?;
    let in_force = list(client, SuspensionState::InForce).await?;
    let scheduled = list(client, SuspensionState::Scheduled).await?;
    let now = SystemClock.wall();
    let revision = newest.map(RevisionView::of).transpose()?;
    let made = revision.as_ref().and_then(|revision| revision.create_time.as_deref());
    let made: Option<Timestamp> = made.and_then(|text| text.parse().ok());
    Ok(Status {
        serving,
        fresh,
        trouble: trouble.words(),
        in_effect,
        token,
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
        waiting: changes::all(client).await?,
        upcoming: upcoming(&in_force, &scheduled),
        in_force,
    })
}

/// What is wrong between a server and its store, in words.
enum Trouble {
    None,
    /// The server says so.
    Told(String),
    /// The store did not answer even that.
    OfStore(String),
}

impl Trouble {
    async fn of(client: &Client) -> Result<Self, Failure> {
        match client.list_replicas(proto::ListReplicasRequest {}).await {
            Ok(fleet) => Ok(stated(fleet.trouble).map_or(Self::None, Self::Told)),
            Err(error) if error.reason.is_some() => Ok(Self::OfStore(error.message)),
            Err(error) => Err(failed("the replicas")(error)),
        }
    }

    fn words(self) -> Option<String> {
        match self {
            Self::None => None,
            Self::Told(words) | Self::OfStore(words) => Some(words),
        }
    }
}

/// The revision in effect; `None` if the store, which has its record, does not tell.
async fn newest(client: &Client, in_effect: u64) -> Result<Option<proto::Revision>, Failure> {
    let number = Some(in_effect).filter(|number| 0 < *number);
    match client.get_revision(proto::GetRevisionRequest { number }).await {
        Ok(newest) => Ok(newest.revision),
        Err(error) if error.reason.is_some() => Ok(None),
        Err(error) => Err(failed("the newest revision")(error)),
    }
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

impl Status {
    /// Said only where it is news: that nothing is answered `ELIGIBLE`.
    fn eligible(&self) -> String {
        match self.fresh {
            true => String::new(),
            false => "never, as the rules here may not be the newest".to_owned(),
        }
    }
}

impl Answer for Status {
    const COLUMNS: &'static [&'static str] = &[
        "serving",
        "fresh",
        "trouble",
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
        let revision = self.revision.as_ref();
        let made = to_the_second(revision.and_then(|revision| revision.create_time.as_ref()));
        let age = self.age_seconds.map(|age| format!("  ({age} s ago)")).unwrap_or_default();
        text.fields(&[
            ("server", if self.serving { "SERVING" } else { "NOT_SERVING" }.to_owned()),
            ("eligible", self.eligible()),
            ("trouble", self.trouble.clone().unwrap_or_default()),
            ("revision", self.in_effect.to_string()),
            ("made", format!("{made}{age}")),
            ("token", self.token.clone()),
            ("rules", counts),
        ]);
        text.gap();
        if self.in_force.is_empty() {
            text.line(format_args!("no suspension is in force, as of revision {}", self.in_effect));
        }
        text.table(
            &["IN FORCE", "TARGET", "SCOPE", "FROM", "UNTIL"],
            self.in_force.iter().map(|it| {
                let from = to_the_second(it.from.as_ref());
                let until = to_the_second(it.until.as_ref());
                [it.id.clone(), it.target.shown(), it.scope.shown(), from, until]
            }),
        );
        if !self.waiting.is_empty() {
            text.gap();
        }
        text.table(&ProposalView::HEADER, self.waiting.iter().map(ProposalView::row));
        if !self.upcoming.is_empty() {
            text.gap();
        }
        text.table(
            &["UPCOMING", "SUSPENSION", "WHAT"],
            self.upcoming.iter().map(|it| [it.at.clone(), it.id.clone(), it.what.to_owned()]),
        );
    }
}
