//! A change that takes two people, as the command line prints it.

use super::connection::ServerArgs;
use super::decision_view::{bare, stated};
use super::exit::Failure;
use super::instants::shown;
use super::mailing_view::MailingView;
use super::output::{Answer, Output};
use super::plan::PlanLine;
use super::text::{Text, counted, to_the_second};
use crate::wire::proto;
use serde::Serialize;

/// A change that waits for a person, or was decided on.
#[derive(Debug, Serialize)]
pub(super) struct ProposalView {
    pub(super) id: u64,
    pub(super) state: String,
    pub(super) kind: String,
    pub(super) direction: String,
    pub(super) author: String,
    editors: Vec<String>,
    reason: String,
    ticket: String,
    create_time: Option<String>,
    edit_time: Option<String>,
    pub(super) due_time: Option<String>,
    base_revision: u64,
    pub(super) digest: String,
    subjects: Vec<String>,
    void_because: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    changes: Vec<PlanLine>,
    pub(super) offers_changed: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    decided_revision: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) mailing: Option<MailingView>,
}

impl ProposalView {
    pub(super) fn of(change: proto::ProposedChange) -> Result<Self, Failure> {
        let mailing = change.mailing.clone().map(MailingView::of).transpose()?;
        let touched = change.subjects.iter().map(super::revision_view::subject);
        Ok(Self {
            subjects: touched.chain(mailing.as_ref().map(MailingView::subject)).collect(),
            mailing,
            state: bare(change.state().as_str_name(), "CHANGE_STATE_"),
            kind: bare(change.kind().as_str_name(), "REVISION_KIND_"),
            direction: bare(change.direction().as_str_name(), "DIRECTION_"),
            create_time: shown(change.create_time.as_ref())?,
            edit_time: shown(change.edit_time.as_ref())?,
            due_time: shown(change.due_time.as_ref())?,
            id: change.id,
            author: change.author,
            editors: change.editors,
            reason: change.reason,
            ticket: change.ticket,
            base_revision: change.base_revision,
            digest: change.digest,
            void_because: stated(change.void_because),
            changes: PlanLine::all(change.lines),
            offers_changed: change.offers_changed,
            decided_revision: Some(change.decided_revision).filter(|&revision| 0 < revision),
        })
    }

    /// What is told to whoever has just proposed it.
    pub(super) fn proposed(&self, server: &ServerArgs) -> String {
        let Self { id, direction, .. } = self;
        format!(
            "proposed as change {id} ({direction}); another person approves it: \
             offergate approve {id}{}",
            server.flag()
        )
    }

    /// What is told to whoever has just edited it.
    pub(super) fn edited(&self, server: &ServerArgs) -> String {
        let Self { id, direction, .. } = self;
        format!(
            "change {id} is another one now ({direction}); a person who neither asked for nor edited it \
             approves it: offergate approve {id}{}",
            server.flag()
        )
    }

    /// The header of [`ProposalView::row`].
    pub(super) const HEADER: [&'static str; 9] =
        ["CHANGE", "STATE", "WHAT", "DIRECTION", "WHO", "SINCE", "DUE", "TICKET", "TOUCHES"];

    /// One row for people.
    pub(super) fn row(&self) -> [String; 9] {
        [
            self.id.to_string(),
            self.state.clone(),
            self.kind.clone(),
            self.direction.clone(),
            self.author.clone(),
            to_the_second(self.create_time.as_ref()),
            to_the_second(self.due_time.as_ref()),
            self.ticket.clone(),
            self.subjects.iter().take(3).cloned().collect::<Vec<_>>().join(", "),
        ]
    }
}

/// Says that there is nothing to wait for, where somebody wanted to.
pub(super) fn note_no_wait(proposal: Option<&ProposalView>, wants: bool, output: &Output) {
    if let (Some(ProposalView { id, .. }), true) = (proposal, wants) {
        output.note(format_args!(
            "--wait waits for nothing here: change {id} is not in force before another person \
             approves it; say `offergate approve {id} --wait`, or `suspend --emergency --wait`"
        ));
    }
}

impl Answer for ProposalView {
    const COLUMNS: &'static [&'static str] =
        &["id", "state", "kind", "direction", "author", "ticket", "subjects", "digest", "due_time"];

    fn text(&self, text: &mut Text) {
        text.fields(&[
            ("change", format!("{}  {}  {}", self.id, self.kind, self.direction)),
            ("state", self.state.clone()),
            ("asked by", self.author.clone()),
            ("edited by", self.editors.join(", ")),
            ("asked", to_the_second(self.create_time.as_ref())),
            ("due", to_the_second(self.due_time.as_ref())),
            ("ticket", self.ticket.clone()),
            ("why", self.reason.clone()),
            ("void", self.void_because.clone().unwrap_or_default()),
            ("digest", self.digest.clone()),
        ]);
        if let Some(mailing) = &self.mailing {
            mailing.text(text);
        }
        for line in &self.changes {
            line.text(text);
        }
        if 0 < self.offers_changed {
            text.line(format_args!("touches {}", counted(self.offers_changed, "offer")));
        }
    }
}
