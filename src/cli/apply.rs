//! `offergate apply`: proposes to make a rule file the rules. Plans first, and proposes just that plan.
//!
//! Invariant: what is proposed is what was shown. When the rules move in between, the server refuses
//! and nothing is changed.

use super::change_args::ChangeArgs;
use super::connection::ServerArgs;
use super::exit::{Exit, Failure};
use super::output::{Answer, Output};
use super::plan::{Plan, PlanLine, failed_in, plan, read_rules};
use super::proposal_view::{ProposalView, note_no_wait};
use super::revision_view::RevisionView;
use super::text::{Text, counted};
use crate::wire::proto;
use serde::Serialize;
use std::path::PathBuf;

/// Propose to make a rule file the rules, after showing what it changes
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Suspensions and exemptions that the file leaves out are kept: lift a suspension to end it.

Example:
  offergate apply rules.yaml --reason 'new catalogue' --ticket CHG-1002 --yes")]
pub(super) struct Args {
    /// The rule file, `-` for standard input
    file: PathBuf,

    /// Refuse when the rules are not at this revision
    #[arg(long, value_name = "N")]
    expected_revision: Option<u64>,

    #[command(flatten)]
    change: ChangeArgs,

    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Debug, Serialize)]
struct AppliedRules {
    revision: Option<RevisionView>,
    proposal: Option<ProposalView>,
    /// What people are told of it.
    #[serde(skip)]
    said: String,
    dry_run: bool,
    changes: Vec<PlanLine>,
}

pub(super) fn run(args: &Args, output: &Output) -> Result<Exit, Failure> {
    let document = read_rules(&args.file)?;
    let change = args.change.for_rule_file(&args.server)?;
    let applied = args.server.ask(output, async |client| {
        let planned = plan(&client, &document).await?;
        let expected = args.expected_revision.unwrap_or(planned.base_revision);
        if !planned.changes.is_empty() && !change.dry_run {
            show(&planned, output);
            change.go_on("propose this?", output)?;
        }
        let request = proto::ApplyRulesRequest {
            document: Some(document.clone()),
            expected_revision: Some(expected),
            request_id: change.request_id,
            author: change.author,
            reason: change.reason,
            ticket: change.ticket,
            validate_only: change.dry_run,
        };
        let response =
            client.apply_rules(request).await.map_err(failed_in(&document, "the rule file"))?;
        let revision = response.revision.map(RevisionView::of).transpose()?;
        let proposal = response.proposal.map(ProposalView::of).transpose()?;
        note_no_wait(proposal.as_ref(), change.wait.is_some(), output);
        Ok(AppliedRules {
            revision,
            said: proposal.as_ref().map(|it| it.proposed(&args.server)).unwrap_or_default(),
            proposal,
            dry_run: change.dry_run,
            changes: PlanLine::all(response.lines),
        })
    })?;
    output.answer(&applied)?;
    Ok(Exit::Ok)
}

/// The plan is no data of this command: it goes to stderr.
fn show(plan: &Plan, output: &Output) {
    let mut text = Text::new(false);
    plan.text(&mut text);
    output.note(text.finish().trim_end());
}

impl Answer for AppliedRules {
    const COLUMNS: &'static [&'static str] =
        &["revision.revision", "revision.token", "proposal.id", "proposal.direction", "changes"];

    fn text(&self, text: &mut Text) {
        let (number, token) = match &self.revision {
            Some(revision) => (revision.revision.to_string(), revision.token.clone()),
            None => Default::default(),
        };
        let kept = self.changes.iter().filter(|line| line.is_kept()).count();
        let changes = self.changes.len() - kept;
        match (self.dry_run, changes) {
            (true, _) => {
                let changes = counted(changes, "change");
                text.line(format_args!("checked: {changes}, nothing applied"));
            }
            (false, 0) => text.line("nothing differs: nothing was proposed"),
            (false, _) => text.line(format_args!("{}: {}", counted(changes, "change"), self.said)),
        }
        let touches = self.proposal.as_ref().map(|it| counted(it.offers_changed, "offer"));
        let touches = touches.unwrap_or_default();
        text.fields(&[("touches", touches), ("revision", number), ("token", token)]);
    }
}
