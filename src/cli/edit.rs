//! `offergate edit`: makes another change of a proposal that waits, under the same number.
//!
//! Invariant: what was read is what is edited. When somebody else edits it in between, the server refuses.

use super::approve::shown;
use super::clear_args::{Clear, clear_exemption, clear_suspension};
use super::connection::failed;
use super::decide_args::DecideArgs;
use super::exit::{Exit, Failure};
use super::output::{Answer, Output};
use super::plan::{failed_in, read_rules};
use super::proposal_view::ProposalView;
use super::revision_view::RevisionView;
use super::suspension_args::SuspensionArgs;
use super::text::Text;
use crate::domain::SuspensionId;
use crate::wire::proto;
use proto::edit_change_request::Change;
use serde::Serialize;
use std::path::PathBuf;

/// Make another change of a proposal that waits; what no flag names stays as it is
#[derive(Debug, clap::Args)]
#[command(after_help = "\
It stays the kind of change that it is. It waits anew, for 72 hours; approvals of what it was are void, and
whoever edits it approves it no more. A lift has nothing to edit: reject it.

Examples:
  offergate edit 17 --country GB,IE --ticket CHG-1002
  offergate edit 18 --clear customer --until 2018-06-01
  offergate edit 19 --file rules.yaml")]
pub(super) struct Args {
    #[command(flatten)]
    decide: DecideArgs,

    #[command(flatten)]
    stated: SuspensionArgs,

    /// What shall no longer be stated; repeat for several
    #[arg(long, value_enum, value_delimiter = ',')]
    clear: Vec<Clear>,

    /// Suspension to waive, in the place of those that an exemption waives; repeat for several
    #[arg(long = "waive", value_name = "SUSPENSION", value_delimiter = ',')]
    waives: Vec<SuspensionId>,

    /// The rule file to apply in the place of the one that was proposed, `-` for standard input
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,

    /// Why [default: as it is]
    #[arg(long, value_name = "TEXT", help_heading = "Record")]
    reason: Option<String>,

    /// The change ticket [default: as it is]
    #[arg(long, value_name = "ID", help_heading = "Record")]
    ticket: Option<String>,
}

/// What editing did.
#[derive(Debug, Serialize)]
struct EditedChange {
    revision: Option<RevisionView>,
    proposal: Option<ProposalView>,
    /// What people are told of it.
    #[serde(skip)]
    said: String,
}

pub(super) fn run(args: &Args, output: &Output) -> Result<Exit, Failure> {
    let decide = &args.decide;
    let author = decide.author()?;
    let document = args.file.as_deref().map(read_rules).transpose()?;
    let edited = decide.server.ask(output, async |client| {
        let asked = proto::GetChangeRequest { id: decide.change };
        let read = client.get_change(asked).await.map_err(failed("the change"))?;
        let before = read.change.clone().unwrap_or_default();
        let change = args.change(read, document.clone())?;
        let (reason, ticket) = args.why(&before);
        shown(&client, decide.change, output).await?;
        decide.confirm("edit")?;
        let request = proto::EditChangeRequest {
            id: decide.change,
            change: Some(change),
            reason,
            ticket,
            request_id: decide.request_id(),
            author,
            digest: before.digest,
        };
        let edited = client.edit_change(request).await;
        let edited = edited.map_err(|error| match &document {
            Some(document) => failed_in(document, "the rule file")(error),
            None => failed("editing")(error),
        })?;
        let proposal = edited.proposal.map(ProposalView::of).transpose()?;
        Ok(EditedChange {
            revision: edited.revision.map(RevisionView::of).transpose()?,
            said: proposal.as_ref().map(|it| it.edited(&decide.server)).unwrap_or_default(),
            proposal,
        })
    })?;
    if edited.revision.is_none() {
        output.note("nothing was edited: with this it would change nothing");
    }
    output.answer(&edited)?;
    Ok(Exit::Ok)
}

impl Args {
    /// What the proposal shall be: what it is, but for what flags say.
    fn change(
        &self,
        read: proto::GetChangeResponse,
        document: Option<proto::RuleDocument>,
    ) -> Result<Change, Failure> {
        let kind = read.change.unwrap_or_default();
        let only = |flag: &str, what: &str| {
            Err(Failure::usage(format_args!(
                "{flag} is for {what}, and change {} is none",
                kind.id
            )))
        };
        match (read.suspension, read.exemption, document) {
            (Some(_), _, Some(_)) | (_, Some(_), Some(_)) => {
                only("--file", "a proposal to apply a rule file")
            }
            (Some(_), ..) if !self.waives.is_empty() => only("--waive", "an exemption"),
            (Some(mut suspension), ..) => {
                clear_suspension(&mut suspension, &self.clear);
                self.stated.put_into(&mut suspension)?;
                suspension.lifted_at = None; // The server keeps it, and takes none from a caller.
                self.put_why(&mut suspension.reason, &mut suspension.ticket, kind.kind());
                Ok(Change::Suspension(suspension))
            }
            (None, Some(mut exemption), None) => {
                clear_exemption(&mut exemption, &self.clear)?;
                self.stated.put_into_exemption(&mut exemption)?;
                if !self.waives.is_empty() {
                    exemption.waives = self.waives.iter().map(ToString::to_string).collect();
                }
                self.put_why(&mut exemption.reason, &mut exemption.ticket, kind.kind());
                Ok(Change::Exemption(exemption))
            }
            (None, None, Some(document)) => Ok(Change::Document(document)),
            (None, None, None) if kind.kind() == proto::RevisionKind::ApplyRules => {
                Err(Failure::usage("a proposal to apply a rule file is edited with --file FILE"))
            }
            (None, None, None) => Err(Failure::new(
                Exit::Conflict,
                format_args!("change {} cannot be edited", kind.id),
            )
            .help(
                "a lift has nothing to edit, and what was decided on stays: `offergate changes`",
            )),
        }
    }

    /// A rule that is created has the change's own reason and ticket; one that is amended keeps its own.
    fn put_why(&self, reason: &mut String, ticket: &mut String, kind: proto::RevisionKind) {
        if kind != proto::RevisionKind::AmendSuspension {
            for (text, given) in [(reason, &self.reason), (ticket, &self.ticket)] {
                given.iter().for_each(|given| text.clone_from(given));
            }
        }
    }

    /// Why the change is what it is now.
    fn why(&self, before: &proto::ProposedChange) -> (String, String) {
        let or = |given: &Option<String>, before: &str| given.clone().unwrap_or(before.to_owned());
        (or(&self.reason, &before.reason), or(&self.ticket, &before.ticket))
    }
}

impl Answer for EditedChange {
    const COLUMNS: &'static [&'static str] = &[
        "revision.revision",
        "revision.token",
        "proposal.id",
        "proposal.direction",
        "proposal.digest",
        "proposal.offers_changed",
    ];

    fn text(&self, text: &mut Text) {
        if let Some(proposal) = &self.proposal {
            proposal.text(text);
            text.gap();
            text.line(&self.said);
        }
    }
}
