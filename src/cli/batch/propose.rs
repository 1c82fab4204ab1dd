//! `offergate batch propose`: freezes a mailing, shows it, and asks two people for their signatures.
//!
//! Invariant: what is proposed is what was shown, and what `batch send` will be held to: the file that this
//! writes is the whole of it, and its hash is what is signed.

use super::super::change_args::ChangeArgs;
use super::super::connection::{ServerArgs, failed as server_failed};
use super::super::exit::{Exit, Failure};
use super::super::instants::ZoneArgs;
use super::super::output::{Answer, Output};
use super::super::text::Text;
use super::failed;
use super::files::{FormatArg, source};
use super::settings::template;
use crate::clock::{Clock as _, SystemClock};
use crate::jobs::Counters;
use crate::jobs::mailing::{Kind, Once, Plan, Quiet, Schedule, preview};
use crate::wire::{proto, time};
use serde::Serialize;
use std::path::PathBuf;
use std::sync::Arc;

/// How many rows the template is tried with.
const TRIED: usize = 10;

/// Freeze a mailing, show it, and ask for two people's signatures
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The template is YAML with from, subject, text, and if you like html, reply_to, unsubscribe; {{ column }} stands for
a recipient's value. Columns are named as in `batch decide`.

Examples:
  offergate batch propose --id kis-notice --audience people.csv --template notice.yaml --offer kis-12m \\
      --action NOTIFY --until 2026-12-09T00:00:00Z --reason 'tell holders' --ticket CHG-7
  offergate approve 17        # another person; then `offergate batch send --mailing kis-notice.mailing.json ...`")]
pub(super) struct Args {
    /// Name of the mailing: letters, digits, `-` and `_`
    #[arg(long, value_name = "NAME")]
    id: String,

    /// Who is written to: .csv, .jsonl or .parquet
    #[arg(long, value_name = "FILE")]
    audience: PathBuf,

    /// Form of the audience, where its name does not tell
    #[arg(long, value_name = "FORMAT", value_enum)]
    audience_format: Option<FormatArg>,

    /// Which column is which field: YAML with `columns` and `constants`
    #[arg(long, value_name = "FILE")]
    map: Option<PathBuf>,

    /// The message
    #[arg(long, value_name = "FILE")]
    template: PathBuf,

    /// The offer that it is about
    #[arg(long, value_name = "ID")]
    offer: String,

    /// OFFER for marketing, NOTIFY for a service message
    #[arg(long, value_name = "ACTION", value_parser = kind)]
    action: Kind,

    /// Column with the address
    #[arg(long, value_name = "NAME", default_value = "email")]
    address_column: String,

    /// Who is written to once: an address, a person or a household
    #[arg(long, value_name = "WHO", value_enum, default_value = "address")]
    once_per: OnceArg,

    /// Column with the household, for --once-per household
    #[arg(long, value_name = "NAME", default_value = "household")]
    household_column: String,

    /// Nothing is sent before this instant [default: as soon as it is approved]
    #[arg(long, value_name = "INSTANT", help_heading = "Schedule")]
    from: Option<String>,

    /// Nothing is sent from this instant on
    #[arg(long, value_name = "INSTANT", help_heading = "Schedule")]
    until: String,

    #[command(flatten)]
    zone: ZoneArgs,

    /// Most messages a second
    #[arg(
        long,
        value_name = "N",
        help_heading = "Schedule",
        default_value_t = 50,
        value_parser = clap::value_parser!(u32).range(1..)
    )]
    rate: u32,

    /// Most messages a second to one domain
    #[arg(
        long,
        value_name = "N",
        help_heading = "Schedule",
        value_parser = clap::value_parser!(u32).range(1..)
    )]
    domain_rate: Option<u32>,

    /// Pause for a look after so many messages in all, such as 100,5000
    #[arg(long, value_name = "N", help_heading = "Schedule", value_delimiter = ',')]
    waves: Vec<u64>,

    /// Send nothing in these hours, such as 21:00-08:00, in the time zone of --zone
    #[arg(long, value_name = "HH:MM-HH:MM", help_heading = "Schedule", requires = "zone")]
    quiet_hours: Option<String>,

    /// Where the frozen mailing is written, for `batch send` [default: NAME.mailing.json]
    #[arg(long, value_name = "FILE")]
    write: Option<PathBuf>,

    #[command(flatten)]
    change: ChangeArgs,

    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum OnceArg {
    Address,
    Person,
    Household,
}

fn kind(text: &str) -> Result<Kind, &'static str> {
    match text {
        "OFFER" => Ok(Kind::Offer),
        "NOTIFY" => Ok(Kind::Notify),
        _ => Err("write OFFER for marketing, or NOTIFY for a service message"),
    }
}

/// What was frozen, and how it was proposed.
#[derive(Debug, Serialize)]
struct Proposed {
    mailing: Plan,
    /// SHA-256 of it: what is signed.
    mailing_sha256: String,
    /// The first message, as it would be sent.
    message: String,
    /// Where it was written; nothing in a dry run.
    file: Option<PathBuf>,
    /// The number that another person approves; nothing in a dry run.
    change: Option<u64>,
    /// What they approve.
    digest: Option<String>,
}

pub(super) fn run(args: &Args, output: &Output) -> Result<Exit, Failure> {
    let change = args.change.complete(&args.server)?;
    let (mut source, mapping_sha256) =
        source(&args.audience, args.audience_format, args.map.as_deref())?;
    let template = template(&args.template)?;
    let read = |flag, text: &String| args.zone.read(flag, text);
    let quiet = match (&args.quiet_hours, args.zone.name()) {
        (Some(hours), Some(zone)) => Some(Quiet::parse(hours, zone).map_err(Failure::usage)?),
        _ => None,
    };
    let once_per = match args.once_per {
        OnceArg::Address => Once::Address,
        OnceArg::Person => Once::Person,
        OnceArg::Household => Once::Household,
    };
    let is_by_household = once_per == Once::Household;
    let plan = Plan {
        name: args.id.clone(),
        offer: args.offer.clone(),
        kind: args.action,
        audience: source.freeze(&Arc::<Counters>::default()).map_err(failed)?,
        template_sha256: template.sha256.clone(),
        mapping_sha256,
        schedule: Schedule {
            from: args.from.as_ref().map(|text| read("--from", text)).transpose()?,
            until: Some(read("--until", &args.until)?),
            per_second: Some(args.rate),
            per_domain: args.domain_rate,
            waves: args.waves.clone(),
            quiet,
        },
        once_per,
        address_column: args.address_column.clone(),
        household_column: is_by_household.then(|| args.household_column.clone()),
    };
    plan.check().map_err(failed)?;
    let now = SystemClock.wall();
    let messages = preview(&source, &plan, &template, now, TRIED).map_err(failed)?;
    let Some(message) = messages.into_iter().next() else {
        return Err(Failure::usage(format_args!(
            "{} names nobody who can be written to",
            args.audience.display()
        )));
    };
    let mailing_sha256 = plan.digest().map_err(failed)?;
    let mut proposed =
        Proposed { mailing: plan, mailing_sha256, message, file: None, change: None, digest: None };
    let rows = proposed.mailing.audience.rows;
    change.go_on(&format!("propose `{}` to {rows} recipients?", args.id), output)?;
    if !change.dry_run {
        let path = match &args.write {
            Some(path) => path.clone(),
            None => PathBuf::from(format!("{}.mailing.json", args.id)),
        };
        let text =
            serde_json::to_string_pretty(&proposed.mailing).map_err(super::settings::unreadable)?;
        crate::jobs::write_file(&path, &(text + "\n")).map_err(failed)?;
        proposed.file = Some(path);
    }
    let request = proto::ProposeMailingRequest {
        mailing: Some(signed_part(&proposed.mailing, &proposed.mailing_sha256)),
        reason: change.reason.clone(),
        ticket: change.ticket.clone(),
        request_id: change.request_id.clone(),
        author: change.author.clone(),
        expected_revision: None,
        validate_only: change.dry_run,
    };
    let response = args.server.ask(output, async |client| {
        client.propose_mailing(request).await.map_err(server_failed("proposing the mailing"))
    })?;
    if let Some(proposal) = response.proposal {
        output.note(format_args!(
            "another person approves it: offergate approve {}{}",
            proposal.id,
            args.server.flag()
        ));
        (proposed.change, proposed.digest) = (Some(proposal.id), Some(proposal.digest));
    }
    output.answer(&proposed)?;
    Ok(Exit::Ok)
}

/// A mailing as people sign it: what everybody understands in plain words, and a hash over all.
pub(super) fn signed_part(plan: &Plan, plan_sha256: &str) -> proto::Mailing {
    let action = match plan.kind {
        Kind::Offer => proto::Action::Offer,
        Kind::Notify => proto::Action::Notify,
    };
    let instant = |instant: Option<crate::domain::Timestamp>| instant.map(time::write);
    proto::Mailing {
        id: plan.name.clone(),
        offer: plan.offer.clone(),
        action: action.into(),
        audience_sha256: plan.audience.sha256.clone(),
        audience_count: plan.audience.rows,
        template_sha256: plan.template_sha256.clone(),
        settings_sha256: plan_sha256.to_owned(),
        not_before: instant(plan.schedule.from),
        not_after: instant(plan.schedule.until),
        per_second: plan.schedule.per_second.unwrap_or(u32::MAX),
    }
}

impl Answer for Proposed {
    const COLUMNS: &'static [&'static str] =
        &["mailing.name", "mailing.audience.rows", "mailing_sha256", "change", "digest"];

    fn text(&self, text: &mut Text) {
        text.fields(&plan_fields(&self.mailing, &self.mailing_sha256));
        text.gap();
        text.line("the first message:");
        for line in self.message.lines() {
            text.line(format_args!("  {}", super::super::text::visible(line)));
        }
        if let (Some(change), Some(digest), Some(file)) = (&self.change, &self.digest, &self.file) {
            text.gap();
            text.fields(&[
                ("change", change.to_string()),
                ("digest", digest.clone()),
                ("written to", file.display().to_string()),
            ]);
        }
    }
}

/// A mailing in lines, for people.
pub(super) fn plan_fields(plan: &Plan, hash: &str) -> Vec<(&'static str, String)> {
    let Schedule { from, until, per_second, per_domain, waves, quiet } = &plan.schedule;
    let action = match plan.kind {
        Kind::Offer => "OFFER: marketing, decided at each send",
        Kind::Notify => "NOTIFY: a service message, never gated",
    };
    let instant = |given: &Option<crate::domain::Timestamp>, none: &str| {
        given.map_or_else(|| none.to_owned(), |instant| instant.to_string())
    };
    let mut rate = format!("{} a second", per_second.unwrap_or(u32::MAX));
    if let Some(most) = per_domain {
        rate += &format!(", {most} to one domain");
    }
    let mut fields = vec![
        ("mailing", plan.name.clone()),
        ("action", action.to_owned()),
        ("offer", plan.offer.clone()),
        ("audience", format!("{} rows, SHA-256 {}", plan.audience.rows, plan.audience.sha256)),
        ("template", format!("SHA-256 {}", plan.template_sha256)),
        ("once per", format!("{:?}", plan.once_per).to_lowercase()),
        (
            "sent",
            format!("from {} until {}", instant(from, "its approval"), instant(until, "all are")),
        ),
        ("rate", rate),
    ];
    if !waves.is_empty() {
        let waves: Vec<_> = waves.iter().map(ToString::to_string).collect();
        fields.push(("pauses after", waves.join(", ")));
    }
    if let Some(quiet) = quiet {
        let time = |time: jiff::civil::Time| format!("{:02}:{:02}", time.hour(), time.minute());
        let hours = format!("{}-{} {}", time(quiet.from), time(quiet.to), quiet.zone);
        fields.push(("quiet", hours));
    }
    fields.push(("signed hash", hash.to_owned()));
    fields
}
