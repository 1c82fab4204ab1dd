//! A revision as the command line prints it: who changed what, when and why.

use super::decision_view::bare;
use super::exit::Failure;
use super::instants::shown;
use super::output::Answer;
use super::text::{Text, to_the_second};
use crate::wire::proto;
use serde::Serialize;

/// One applied change.
#[derive(Debug, Clone, Serialize)]
pub(super) struct RevisionView {
    pub(super) revision: u64,
    pub(super) token: String,
    pub(super) kind: String,
    pub(super) author: String,
    pub(super) approver: String,
    pub(super) reason: String,
    pub(super) ticket: String,
    pub(super) create_time: Option<String>,
    pub(super) request_id: String,
    /// What it touched, as `section/id`.
    pub(super) subjects: Vec<String>,
    pub(super) chain: String,
}

impl RevisionView {
    pub(super) fn of(revision: proto::Revision) -> Result<Self, Failure> {
        Ok(Self {
            kind: bare(revision.kind().as_str_name(), "REVISION_KIND_"),
            create_time: shown(revision.create_time.as_ref())?,
            subjects: revision.subjects.iter().map(subject).collect(),
            revision: revision.number,
            token: revision.token,
            author: revision.author,
            approver: revision.approver,
            reason: revision.reason,
            ticket: revision.ticket,
            request_id: revision.request_id,
            chain: revision.chain,
        })
    }

    /// The token of a change that was made, if one was.
    pub(super) fn token_of(made: &Option<Self>) -> Option<&str> {
        made.as_ref().map(|revision| revision.token.as_str())
    }

    /// The header of [`RevisionView::row`].
    pub(super) const HEADER: [&'static str; 7] =
        ["REVISION", "WHEN", "WHAT", "WHO", "TICKET", "WHY", "TOUCHED"];

    /// One row for people.
    pub(super) fn row(&self) -> [String; 7] {
        /// Enough to recognise a change; the other forms list all.
        const MOST_SUBJECTS: usize = 3;
        let mut touched = self.subjects.iter().take(MOST_SUBJECTS).cloned().collect::<Vec<_>>();
        if MOST_SUBJECTS < self.subjects.len() {
            touched.push(format!("and {} more", self.subjects.len() - MOST_SUBJECTS));
        }
        [
            self.revision.to_string(),
            to_the_second(self.create_time.as_ref()),
            self.kind.clone(),
            self.author.clone(),
            self.ticket.clone(),
            self.reason.clone(),
            touched.join(", "),
        ]
    }
}

fn subject(subject: &proto::RevisionSubject) -> String {
    match subject.id.is_empty() {
        true => subject.section.clone(),
        false => format!("{}/{}", subject.section, subject.id),
    }
}

impl Answer for RevisionView {
    const COLUMNS: &'static [&'static str] = &[
        "revision",
        "create_time",
        "kind",
        "author",
        "approver",
        "ticket",
        "reason",
        "request_id",
        "subjects",
        "token",
        "chain",
    ];

    /// A line on its own, for changes that arrive one by one.
    fn text(&self, text: &mut Text) {
        let [number, when, what, who, ticket, why, touched] = self.row();
        text.line(format_args!("{number}  {when}  {what}  {who}  {ticket}  {why}  ({touched})"));
    }
}
