//! `offergate explain`: what stands in a customer's way and what would have to change, in words
//! that a call-centre agent can read out; for any instant, over the rules in force, an earlier
//! revision or a draft.
//!
//! Not here: the words themselves. The server writes them, so that every client says the same.

use super::check::no_decision;
use super::connection::{ServerArgs, failed};
use super::decision_view::{DecisionView, bare};
use super::exit::{Exit, Failure};
use super::instants::ZoneArgs;
use super::output::{Answer, Output};
use super::plan::read_rules;
use super::recorded;
use super::request_args::RequestArgs;
use super::text::Text;
use crate::wire::proto;
use proto::explain_eligibility_request::Rules;
use serde::Serialize;
use std::path::PathBuf;

/// Say in words what stands in a customer's way, and what would have to change
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  offergate explain --customer c-1 --offer kis-12m --action RENEW --country GB \\
    --holding ACTIVE --as-of '2017-12-05 09:00' --zone Europe/London
  offergate explain --decision 0193b2c4-5d6e-7f80-9123-456789abcdef --log /var/lib/offergate/decisions")]
pub(super) struct Args {
    #[command(flatten)]
    request: RequestArgs,

    /// Decide for this instant instead of now
    #[arg(long, value_name = "INSTANT")]
    as_of: Option<String>,

    #[command(flatten)]
    zone: ZoneArgs,

    /// Decide over a rule file that is not in force
    #[arg(long, value_name = "FILE", conflicts_with = "revision")]
    draft: Option<PathBuf>,

    /// Decide over an earlier revision
    #[arg(long, value_name = "N")]
    revision: Option<u64>,

    /// Explain a decision that was made: what was asked, its instant and its revision are those recorded
    #[arg(
        long,
        value_name = "ID",
        requires = "log",
        conflicts_with_all = ["request", "fields", "as_of", "draft", "revision"]
    )]
    decision: Option<uuid::Uuid>,

    /// The folder of the decision log in which the decision is looked for
    #[arg(long, value_name = "DIR", requires = "decision")]
    log: Option<PathBuf>,

    #[command(flatten)]
    server: ServerArgs,
}

/// A decision and how it came about.
#[derive(Debug, Serialize)]
struct Explanation {
    decision: DecisionView,
    sentences: Vec<String>,
    suspensions: Vec<SuspensionTrace>,
    criteria: Vec<CriterionTrace>,
}

#[derive(Debug, Serialize)]
struct SuspensionTrace {
    id: String,
    code: String,
    effect: String,
    dimensions: Vec<DimensionTrace>,
    exemptions: Vec<String>,
    sentence: String,
}

#[derive(Debug, Serialize)]
struct DimensionTrace {
    name: String,
    #[serde(rename = "match")]
    matches: String,
    stated: String,
    given: String,
}

#[derive(Debug, Serialize)]
struct CriterionTrace {
    name: String,
    effect: String,
    sentence: String,
}

pub(super) fn run(args: &Args, output: &Output) -> Result<Exit, Failure> {
    let rules = match (&args.draft, args.revision) {
        (Some(path), _) => Some(Rules::Draft(read_rules(path)?)),
        (None, Some(revision)) => Some(Rules::Revision(revision)),
        (None, None) => None,
    };
    let request = match (args.decision, &args.log) {
        (Some(id), Some(log)) => recorded::explanation_of(log, id)?,
        _ => proto::ExplainEligibilityRequest {
            request: Some(args.request.document()?.to_wire()?),
            as_of: args.zone.read_wire("--as-of", args.as_of.as_ref())?,
            rules,
        },
    };
    let response = args.server.ask(output, async |client| {
        client.explain_eligibility(request).await.map_err(failed("the explanation"))
    })?;
    let mut explanation = Explanation::of(response)?;
    if let Some(recorded) = args.decision {
        // What is explained is the decision that was made, and not its repetition.
        explanation.decision.decision_id = recorded.to_string();
    }
    output.answer(&explanation)?;
    Ok(Exit::Ok)
}

impl Explanation {
    fn of(response: proto::ExplainEligibilityResponse) -> Result<Self, Failure> {
        Ok(Self {
            decision: DecisionView::of(response.decision.ok_or_else(no_decision)?)?,
            sentences: response.sentences,
            suspensions: response.suspensions.into_iter().map(SuspensionTrace::of).collect(),
            criteria: response.criteria.into_iter().map(CriterionTrace::of).collect(),
        })
    }
}

impl SuspensionTrace {
    fn of(trace: proto::SuspensionTrace) -> Self {
        let (code, effect) = (trace.code(), trace.effect());
        let dimensions = trace.dimensions.into_iter().map(|dimension| DimensionTrace {
            matches: bare(dimension.r#match().as_str_name(), "MATCH_"),
            name: dimension.name,
            stated: dimension.stated,
            given: dimension.given,
        });
        Self {
            code: bare(code.as_str_name(), "REASON_CODE_"),
            effect: bare(effect.as_str_name(), "EFFECT_"),
            dimensions: dimensions.collect(),
            id: trace.id,
            exemptions: trace.exemptions,
            sentence: trace.sentence,
        }
    }
}

impl CriterionTrace {
    fn of(trace: proto::CriterionTrace) -> Self {
        let effect = bare(trace.effect().as_str_name(), "EFFECT_");
        Self { name: trace.name, effect, sentence: trace.sentence }
    }
}

impl Answer for Explanation {
    const COLUMNS: &'static [&'static str] =
        &["decision.outcome", "decision.reasons", "sentences", "decision.revision"];

    fn text(&self, text: &mut Text) {
        text.outcome(&self.decision.outcome, self.decision.reasons());
        text.gap();
        for sentence in &self.sentences {
            text.line(sentence);
        }
        if !self.suspensions.is_empty() {
            text.gap();
            text.table(
                &["SUSPENSION", "EFFECT", "WHY"],
                self.suspensions
                    .iter()
                    .map(|trace| [trace.id.clone(), trace.effect.clone(), trace.sentence.clone()]),
            );
        }
        if !self.criteria.is_empty() {
            text.gap();
            text.table(
                &["CRITERION", "EFFECT", "WHY"],
                self.criteria.iter().map(|trace| {
                    [trace.name.clone(), trace.effect.clone(), trace.sentence.clone()]
                }),
            );
        }
        self.decision.evidence(text);
    }
}
