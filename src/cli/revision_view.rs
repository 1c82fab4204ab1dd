//! A revision as the command line prints it: who changed what, when and why.

use super::decision_view::{bare, stated};
use super::exit::Failure;
use super::instants::shown;
use super::mailing_view::MailingView;
use super::output::Answer;
use super::text::{Text, to_the_second};
use crate::wire::proto;
use serde::Serialize;

/// One record: what happened to a change.
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
    /// What happened.
    pub(super) act: String,
    pub(super) direction: Option<String>,
    /// The change that it is about, if it is about one of another revision.
    pub(super) change: Option<u64>,
    pub(super) refused: Option<String>,
    pub(super) address: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) mailing: Option<MailingView>,
}

impl RevisionView {
    pub(super) fn of(revision: proto::Revision) -> Result<Self, Failure> {
        let mailing = revision.mailing.clone().map(MailingView::of).transpose()?;
        let touched = revision.subjects.iter().map(subject);
        Ok(Self {
            subjects: touched.chain(mailing.as_ref().map(MailingView::subject)).collect(),
            mailing,
            kind: bare(revision.kind().as_str_name(), "REVISION_KIND_"),
            act: bare(revision.act().as_str_name(), "REVISION_ACT_"),
            direction: direction(revision.direction()),
            change: Some(revision.change_id).filter(|&change| 0 < change),
            refused: refused(&revision),
            address: stated(revision.address),
            create_time: shown(revision.create_time.as_ref())?,
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

    /// What happened, and to what kind of change.
    fn what(&self) -> String {
        let change = self.change.map(|change| format!(" (change {change})")).unwrap_or_default();
        match (self.act.as_str(), self.kind.as_str()) {
            (act, "" | "UNSPECIFIED") => format!("{act}{change}"),
            ("MAKE", kind) => kind.to_owned(),
            (act, kind) => format!("{act} {kind}{change}"),
        }
    }

    /// Who asked, and who said yes to it.
    fn who(&self) -> String {
        match self.approver.as_str() {
            "" => self.author.clone(),
            approver => format!("{}, {approver}", self.author),
        }
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
            self.what(),
            self.who(),
            self.ticket.clone(),
            self.refused.clone().unwrap_or_else(|| self.reason.clone()),
            touched.join(", "),
        ]
    }
}

pub(super) fn subject(subject: &proto::RevisionSubject) -> String {
    match subject.id.is_empty() {
        true => subject.section.clone(),
        false => format!("{}/{}", subject.section, subject.id),
    }
}

fn direction(direction: proto::Direction) -> Option<String> {
    let name = bare(direction.as_str_name(), "DIRECTION_");
    Some(name).filter(|_| direction != proto::Direction::Unspecified)
}

fn refused(revision: &proto::Revision) -> Option<String> {
    let proto::Revision { refused_code, refused_asked, refused_unwritten, .. } = revision;
    let more = match refused_unwritten {
        0 => String::new(),
        more => format!(" (and {more} more before)"),
    };
    (!refused_code.is_empty()).then(|| format!("{refused_code}: {refused_asked}{more}"))
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
        "act",
        "direction",
        "change",
        "refused",
    ];

    /// A line on its own, for changes that arrive one by one.
    fn text(&self, text: &mut Text) {
        let [number, when, what, who, ticket, why, touched] = self.row();
        let touched = match touched.is_empty() {
            true => touched,
            false => format!("({touched})"),
        };
        let cells = [number, when, what, who, ticket, why, touched];
        text.line(cells.into_iter().filter(|cell| !cell.is_empty()).collect::<Vec<_>>().join("  "));
    }
}
