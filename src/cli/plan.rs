//! `offergate plan`: what applying a rule file would change. Changes nothing.

use super::connection::{ServerArgs, failed};
use super::decision_view::bare;
use super::exit::{Exit, Failure};
use super::output::{Answer, Output};
use super::request_args::read_text;
use super::text::Text;
use crate::client::{Client, ClientError};
use crate::decision::Snapshot;
use crate::domain::Revision;
use crate::rules::{self, RuleErrors};
use crate::wire::proto;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// Largest rule file, here and on the server.
const MOST_BYTES: u64 = 16 << 20;

/// Show what applying a rule file would change
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  offergate plan rules.yaml --exit-code")]
pub(super) struct Args {
    /// The rule file, `-` for standard input
    file: PathBuf,

    /// End with exit code 2 when the file would change something; wrong usage then ends with 1, so
    /// that 2 says nothing else
    #[arg(long)]
    exit_code: bool,

    #[command(flatten)]
    server: ServerArgs,
}

/// What a rule file would change.
#[derive(Debug, Serialize)]
pub(super) struct Plan {
    pub(super) base_revision: u64,
    pub(super) changes: Vec<PlanLine>,
}

/// One thing that changes.
#[derive(Debug, Serialize)]
pub(super) struct PlanLine {
    effect: String,
    section: String,
    id: String,
    details: Vec<String>,
}

impl PlanLine {
    /// Whether nothing happens to it: it is only said to stay.
    pub(super) fn is_kept(&self) -> bool {
        self.effect == "KEEP"
    }
}

/// The flag with which exit code 2 speaks of changes alone.
pub(super) const EXIT_CODE: &str = "--exit-code";

pub(super) fn run(args: &Args, output: &Output) -> Result<Exit, Failure> {
    let exit = planned(args, output);
    if args.exit_code { exit.map_err(Failure::without_usage) } else { exit }
}

fn planned(args: &Args, output: &Output) -> Result<Exit, Failure> {
    let document = read_rules(&args.file)?;
    let plan = args.server.ask(output, async |client| plan(&client, &document).await)?;
    output.answer(&plan)?;
    let changes = plan.changes.iter().any(|line| !line.is_kept());
    Ok(if args.exit_code && changes { Exit::Usage } else { Exit::Ok })
}

/// Reads a rule file and finds what is wrong with it before anybody is asked.
pub(super) fn read_rules(path: &Path) -> Result<proto::RuleDocument, Failure> {
    let yaml = read_text(path, MOST_BYTES)?;
    let name = match path == Path::new("-") {
        true => "standard input".to_owned(),
        false => path.display().to_string(),
    };
    let wrong = |errors: RuleErrors| Failure::reported(Exit::Failure, errors.in_file(&name).into());
    let rule_set = rules::read(&yaml).map_err(wrong)?;
    Snapshot::compile(&rule_set, Revision::ZERO)
        .map_err(|error| wrong(rules::point_at(&yaml, &error.path, &error.what)))?;
    Ok(proto::RuleDocument { yaml, name })
}

/// A failure that points into the rule file where the server found something wrong in it: what only
/// shows together with the suspensions that the server keeps, for example.
pub(super) fn failed_in(
    document: &proto::RuleDocument,
    doing: &str,
) -> impl Fn(ClientError) -> Failure {
    move |error| match error.fields.as_slice() {
        [(path, what)] if path.contains('.') && !path.starts_with("document") => {
            let errors = rules::point_at(&document.yaml, path, what).in_file(&document.name);
            Failure::reported(Exit::Failure, errors.into())
        }
        _ => failed(doing)(error),
    }
}

/// Asks the server for a plan.
pub(super) async fn plan(client: &Client, document: &proto::RuleDocument) -> Result<Plan, Failure> {
    let request = proto::PlanRulesRequest { document: Some(document.clone()) };
    let response = client.plan_rules(request).await.map_err(failed_in(document, "the plan"))?;
    Ok(Plan { base_revision: response.base_revision, changes: PlanLine::all(response.lines) })
}

impl PlanLine {
    /// A line for people, and one a field.
    pub(super) fn text(&self, text: &mut Text) {
        let sign = match self.effect.as_str() {
            "ADD" => '+',
            "REMOVE" => '-',
            "KEEP" => '=',
            _ => '~',
        };
        let kept = if self.is_kept() { ": kept; the file does not mention it" } else { "" };
        text.line(format_args!("{sign} {} {}{kept}", self.section, self.id));
        for detail in &self.details {
            text.line(format_args!("    {detail}"));
        }
    }

    pub(super) fn all(lines: Vec<proto::PlanLine>) -> Vec<Self> {
        let line = |line: proto::PlanLine| Self {
            effect: bare(line.effect().as_str_name(), "PLAN_EFFECT_"),
            section: line.section,
            id: line.id,
            details: line.details,
        };
        lines.into_iter().map(line).collect()
    }
}

impl Answer for Plan {
    const COLUMNS: &'static [&'static str] = &["base_revision", "changes"];

    fn text(&self, text: &mut Text) {
        if self.changes.is_empty() {
            text.line(format_args!("nothing differs from revision {}", self.base_revision));
            return;
        }
        self.changes.iter().for_each(|line| line.text(text));
        text.gap();
        let count = |effect| self.changes.iter().filter(|line| line.effect == effect).count();
        text.line(format_args!(
            "{} to add, {} to change, {} to remove, {} kept, against revision {}",
            count("ADD"),
            count("CHANGE"),
            count("REMOVE"),
            count("KEEP"),
            self.base_revision
        ));
    }
}
