//! `offergate preview`: which offers and which of given customers a change would touch.
//!
//! Invariant: all counts of one preview are against one revision and one instant. When the rules
//! move between two parts of a customer file, the preview fails rather than mix.

use super::connection::{ServerArgs, failed};
use super::customer_file;
use super::decision_view::{DecisionView, bare};
use super::exit::{Exit, Failure};
use super::instants::shown;
use super::output::{Answer, Output};
use super::plan::read_rules;
use super::scope_args::one_of;
use super::suspension_args::{Kind, SuspensionArgs, derived_id, new_suspension};
use super::text::{Text, counted, to_the_second};
use crate::client::Client;
use crate::domain::Action;
use crate::wire::{proto, scope};
use proto::preview_change_request::Change;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Show which offers and customers a change would touch; changes nothing
#[derive(Debug, clap::Args)]
#[command(after_help = "\
A customer file has one customer a line: JSON (.jsonl) as in `check --request`, or CSV with a header
of id, country, segment, relationship, us_person, date_of_birth, vulnerable, attributes.NAME and
holdings.PRODUCT.status (.accepted_at, .term_end, .covered_by, .unit_count). A product that is not
listed is not held. Other columns of CSV are named and not read.

Example:
  offergate preview suspend vendor kaspersky-labs-ltd --country GB --customers people.csv")]
pub(super) struct Args {
    #[command(subcommand)]
    change: ChangeCommand,
}

#[derive(Debug, clap::Subcommand)]
enum ChangeCommand {
    /// What a suspension would hit
    Suspend {
        /// What kind of thing is suspended
        #[arg(value_enum)]
        kind: Kind,
        /// Its id
        target: String,
        #[command(flatten)]
        suspension: Box<SuspensionArgs>,
        #[command(flatten)]
        common: Common,
    },
    /// What lifting a suspension would release
    Lift {
        /// Id of the suspension
        id: String,
        #[command(flatten)]
        common: Common,
    },
    /// What applying a rule file would change
    Apply {
        /// The rule file, `-` for standard input
        file: PathBuf,
        #[command(flatten)]
        common: Common,
    },
}

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Preview")]
struct Common {
    /// Customers to decide before and after: a file of JSON lines, or CSV by its name
    #[arg(id = "customer_file", long = "customers", value_name = "FILE")]
    customers: Option<PathBuf>,

    /// Leave out up to so many rows that cannot be read, instead of failing
    #[arg(long, value_name = "N", default_value_t = 0, requires = "customer_file")]
    max_rejects: usize,

    /// Actions to decide for; without it all that can be gated
    #[arg(
        id = "decide",
        long = "decide",
        value_name = "ACTION",
        value_delimiter = ',',
        value_parser = one_of(Action::ALL, Action::name)
    )]
    actions: Vec<Action>,

    /// How many samples to show
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(i32).range(1..=100))]
    samples: i32,

    #[command(flatten)]
    server: ServerArgs,
}

/// What a change would touch.
#[derive(Debug, Default, Serialize)]
pub(super) struct Preview {
    base_revision: u64,
    as_of: Option<String>,
    offers_total: u64,
    pub(super) offers_changed: u64,
    offers: Vec<OfferView>,
    customers_total: u64,
    customers_changed: u64,
    by_country: Vec<Count>,
    by_segment: Vec<Count>,
    by_holder: Vec<Count>,
    samples: Vec<Sample>,
}

#[derive(Debug, Serialize)]
struct OfferView {
    offer: String,
    product: String,
    suspended_by: Vec<String>,
    released_from: Vec<String>,
}

/// How many customers have one value; an empty value was not said.
#[derive(Debug, Clone, Serialize)]
struct Count {
    value: String,
    customers: u64,
    changed: u64,
}

#[derive(Debug, Serialize)]
struct Sample {
    customer: String,
    offer: String,
    action: String,
    before: DecisionView,
    after: DecisionView,
}

pub(super) fn run(args: &Args, output: &Output) -> Result<Exit, Failure> {
    let (mut change, common) = match &args.change {
        ChangeCommand::Suspend { kind, target, suspension, common } => {
            let mut proposed = new_suspension(*kind, target, suspension)?;
            // A preview needs some id, and not that of a suspension which is there already: it would be
            // an amendment of that one.
            proposed.id = derived_id(&format!("preview-{target}"), suspension.first_day()?)?;
            proposed.reason = "preview".to_owned();
            proposed.ticket = "preview".to_owned();
            (Change::Suspension(proposed), common)
        }
        ChangeCommand::Lift { id, common } => (Change::Lift(id.clone()), common),
        ChangeCommand::Apply { file, common } => (Change::Document(read_rules(file)?), common),
    };
    let customers = match &common.customers {
        Some(path) => customer_file::read(path, common.max_rejects, output)?,
        None => Vec::new(),
    };
    let whole = common.server.ask(output, async |client| {
        let mut whole = Preview::default();
        let mut as_of = None;
        for (part, customers) in customer_file::parts(customers).into_iter().enumerate() {
            let request = proto::PreviewChangeRequest {
                change: Some(change.clone()),
                customers,
                actions: common.actions.iter().map(|&it| scope::write_action(it).into()).collect(),
                as_of,
                sample_size: common.samples,
            };
            let response = client.preview_change(request).await.map_err(failed("the preview"))?;
            as_of = response.as_of;
            if let Change::Suspension(suspension) = &mut change {
                // "From now on" is one instant for all parts.
                suspension.from_time = suspension.from_time.or(as_of);
            }
            let next = Preview::of(response)?;
            if part == 0 {
                whole = next;
            } else {
                whole.add(next, common.samples)?;
            }
        }
        Ok(whole)
    })?;
    output.answer(&whole)?;
    Ok(Exit::Ok)
}

/// What a change would hit, for a command that is about to make it. A change that the server cannot
/// preview may still be a repeated one that it knows: then the change itself gives the answer.
pub(super) async fn preview_if_possible(
    client: &Client,
    output: &Output,
    change: Change,
) -> Result<Option<Preview>, Failure> {
    let request = proto::PreviewChangeRequest { change: Some(change), ..Default::default() };
    match client.preview_change(request).await {
        Ok(response) => Preview::of(response).map(Some),
        Err(error) => {
            output.detail(format_args!("what it hits cannot be told: {error}"));
            Ok(None)
        }
    }
}

impl Preview {
    fn of(response: proto::PreviewChangeResponse) -> Result<Self, Failure> {
        fn counts(counts: Vec<proto::PreviewCount>) -> Vec<Count> {
            let count = |count: proto::PreviewCount| Count {
                value: count.value,
                customers: count.customers,
                changed: count.changed,
            };
            counts.into_iter().map(count).collect()
        }
        let offers = response.offers.into_iter().map(|offer| OfferView {
            offer: offer.offer,
            product: offer.product,
            suspended_by: offer.suspended_by,
            released_from: offer.released_from,
        });
        Ok(Self {
            base_revision: response.base_revision,
            as_of: shown(response.as_of.as_ref())?,
            offers_total: response.offers_total,
            offers_changed: response.offers_changed,
            offers: offers.collect(),
            customers_total: response.customers_total,
            customers_changed: response.customers_changed,
            by_country: counts(response.by_country),
            by_segment: counts(response.by_segment),
            by_holder: counts(response.by_holder),
            samples: response.samples.into_iter().map(Sample::of).collect::<Result<_, _>>()?,
        })
    }

    /// Adds what the next part of the customers gave.
    fn add(&mut self, next: Self, most_samples: i32) -> Result<(), Failure> {
        if (self.base_revision, &self.as_of) != (next.base_revision, &next.as_of) {
            return Err(Failure::new(Exit::Conflict, "the rules moved during the preview")
                .help("preview again"));
        }
        self.customers_total += next.customers_total;
        self.customers_changed += next.customers_changed;
        add_counts(&mut self.by_country, next.by_country);
        add_counts(&mut self.by_segment, next.by_segment);
        add_counts(&mut self.by_holder, next.by_holder);
        let most_samples = usize::try_from(most_samples).unwrap_or_default();
        self.samples.extend(next.samples);
        self.samples.truncate(most_samples);
        Ok(())
    }
}

impl Sample {
    fn of(sample: proto::PreviewSample) -> Result<Self, Failure> {
        let action = bare(sample.action().as_str_name(), "ACTION_");
        Ok(Self {
            customer: sample.customer_id,
            offer: sample.offer,
            action,
            before: DecisionView::of(sample.before.unwrap_or_default())?,
            after: DecisionView::of(sample.after.unwrap_or_default())?,
        })
    }
}

/// Adds counts by value, in the order of the values.
fn add_counts(counts: &mut Vec<Count>, more: Vec<Count>) {
    let mut sums: BTreeMap<String, Count> = BTreeMap::new();
    for count in counts.drain(..).chain(more) {
        let sum = sums.entry(count.value.clone()).or_insert(Count {
            customers: 0,
            changed: 0,
            ..count.clone()
        });
        sum.customers += count.customers;
        sum.changed += count.changed;
    }
    counts.extend(sums.into_values());
}

impl Answer for Preview {
    const COLUMNS: &'static [&'static str] = &[
        "base_revision",
        "as_of",
        "offers_total",
        "offers_changed",
        "customers_total",
        "customers_changed",
    ];

    fn text(&self, text: &mut Text) {
        /// The other forms list all.
        const MOST_OFFERS: usize = 20;
        text.line(format_args!(
            "touches {} of {}, as of {}",
            self.offers_changed,
            counted(self.offers_total, "offer"),
            to_the_second(self.as_of.as_ref())
        ));
        text.table(
            &["OFFER", "PRODUCT", "SUSPENDED BY", "RELEASED FROM"],
            self.offers.iter().take(MOST_OFFERS).map(|offer| {
                let suspended_by = offer.suspended_by.join(", ");
                let released_from = offer.released_from.join(", ");
                [offer.offer.clone(), offer.product.clone(), suspended_by, released_from]
            }),
        );
        if MOST_OFFERS < self.offers.len() {
            text.line(format_args!("and {} more", self.offers.len() - MOST_OFFERS));
        }
        if self.customers_total == 0 {
            return;
        }
        text.gap();
        let (changed, total) = (self.customers_changed, counted(self.customers_total, "customer"));
        text.line(format_args!("changes an answer for {changed} of {total}"));
        let dimensions = [
            ("country", &self.by_country),
            ("segment", &self.by_segment),
            ("holder", &self.by_holder),
        ];
        text.table(
            &["BY", "VALUE", "CUSTOMERS", "CHANGED"],
            dimensions.into_iter().flat_map(|(name, counts)| {
                counts.iter().map(move |count| {
                    let value = if count.value.is_empty() { "(not said)" } else { &count.value };
                    [
                        name.to_owned(),
                        value.to_owned(),
                        count.customers.to_string(),
                        count.changed.to_string(),
                    ]
                })
            }),
        );
        text.gap();
        text.table(
            &["CUSTOMER", "OFFER", "ACTION", "BEFORE", "AFTER", "WHY"],
            self.samples.iter().map(|sample| {
                let (before, after) = (sample.before.outcome.clone(), sample.after.outcome.clone());
                let (customer, offer) = (sample.customer.clone(), sample.offer.clone());
                [customer, offer, sample.action.clone(), before, after, sample.after.reasons()]
            }),
        );
    }
}
