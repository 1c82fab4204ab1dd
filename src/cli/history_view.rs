//! The history of a suspension, as the command line prints it: what people did, when each change was
//! enforced, and what it denied.
//!
//! Invariant: a number that may be too small reads `at least`, and what nobody can say is said to be
//! unknown.

use super::decision_view::{bare, stated};
use super::enforcement_view::{millis, took};
use super::exit::Failure;
use super::instants::shown;
use super::output::Answer;
use super::revision_view::RevisionView;
use super::text::{Text, counted, to_the_second};
use crate::service::Denials;
use crate::wire::{proto, time};
use serde::Serialize;

/// The history of one suspension.
#[derive(Debug, Serialize)]
pub(super) struct HistoryView {
    revisions: Vec<RevisionView>,
    enforced: Vec<SeenView>,
    denied: DeniedView,
    /// Which server said so, where there are several.
    server: Option<String>,
}

/// A change that a server saw enforced.
#[derive(Debug, Serialize)]
struct SeenView {
    revision: u64,
    seen_time: Option<String>,
    after_ms: Option<u64>,
    /// `WRITTEN` or `ASKED`.
    counted_from: String,
    observer: Option<String>,
    replicas: Vec<SeenReplicaView>,
}

/// A replica that counted.
#[derive(Debug, Serialize)]
struct SeenReplicaView {
    name: String,
    /// Nothing for one that never confirmed it, and whose proof had run out.
    after_ms: Option<u64>,
}

/// Decisions that the suspension took part in denying.
#[derive(Debug, Serialize)]
pub(super) struct DeniedView {
    /// `COUNTED`, or why not.
    state: String,
    denied: u64,
    denied_alone: u64,
    is_complete: bool,
    missing: u64,
    uncounted_gaps: u64,
    unreadable: u64,
    sample: f64,
    log_begins: Option<String>,
    read_until: Option<String>,
    /// The folder that was read here, rather than by the server.
    log: Option<String>,
}

impl HistoryView {
    pub(super) fn of(answer: proto::HistoryOfSuspensionResponse) -> Result<Self, Failure> {
        let revisions = answer.revisions.into_iter().map(RevisionView::of);
        let enforced = answer.enforced.into_iter().map(SeenView::of);
        Ok(Self {
            revisions: revisions.collect::<Result<_, _>>()?,
            enforced: enforced.collect::<Result<_, _>>()?,
            denied: DeniedView::of(answer.denied.unwrap_or_default())?,
            server: stated(answer.server),
        })
    }

    /// The same, with what was counted here in the place of what the server counted.
    pub(super) fn counted_here(self, denied: DeniedView) -> Self {
        Self { denied, ..self }
    }

    /// When the suspension was first in force, as the records tell it.
    pub(super) fn first_enforced(&self) -> Option<&str> {
        let acts = ["MAKE", "APPROVE", "EMERGENCY"];
        let first = self.revisions.iter().find(|it| acts.contains(&it.act.as_str()));
        first.and_then(|it| it.create_time.as_deref())
    }
}

impl SeenView {
    fn of(seen: proto::SeenEnforced) -> Result<Self, Failure> {
        let replica = |replica: proto::SeenReplica| SeenReplicaView {
            name: replica.name,
            after_ms: replica.after.and_then(millis),
        };
        Ok(Self {
            revision: seen.revision,
            seen_time: shown(seen.seen_time.as_ref())?,
            after_ms: seen.after.and_then(millis),
            counted_from: bare(seen.counted_from().as_str_name(), "COUNTED_FROM_"),
            replicas: seen.replicas.into_iter().map(replica).collect(),
            observer: stated(seen.observer),
        })
    }

    /// One row for people.
    fn row(&self) -> [String; 5] {
        let after = self.after_ms.map(took).unwrap_or_default();
        let after = match self.counted_from.as_str() {
            "WRITTEN" => after,
            _ => format!("{after} after it was asked"),
        };
        let replica = |it: &SeenReplicaView| match it.after_ms {
            Some(after) => format!("{} {}", it.name, took(after)),
            None => format!("{} gave no word, and its proof had run out", it.name),
        };
        [
            self.revision.to_string(),
            to_the_second(self.seen_time.as_ref()),
            after,
            self.observer.clone().unwrap_or_else(|| "this server".to_owned()),
            self.replicas.iter().map(replica).collect::<Vec<_>>().join(", "),
        ]
    }
}

impl DeniedView {
    fn of(denied: proto::DeniedDecisions) -> Result<Self, Failure> {
        Ok(Self {
            state: bare(denied.state().as_str_name(), "DENIED_STATE_"),
            log_begins: shown(denied.log_begins.as_ref())?,
            read_until: shown(denied.read_until.as_ref())?,
            denied: denied.denied,
            denied_alone: denied.denied_alone,
            is_complete: denied.is_complete,
            missing: denied.missing,
            uncounted_gaps: denied.uncounted_gaps,
            unreadable: denied.unreadable,
            sample: denied.sample,
            log: None,
        })
    }

    /// Of a folder that was read here.
    pub(super) fn of_log(log: String, denials: &Denials) -> Result<Self, Failure> {
        let begins = denials.log_begins.map(time::write);
        Ok(Self {
            state: "COUNTED".to_owned(),
            denied: denials.found.denied,
            denied_alone: denials.found.alone,
            is_complete: denials.is_complete(),
            missing: denials.found.missing,
            uncounted_gaps: denials.found.uncounted_gaps,
            unreadable: denials.found.unreadable,
            sample: denials.found.sample,
            log_begins: shown(begins.as_ref())?,
            read_until: None,
            log: Some(log),
        })
    }

    /// What is known, in a sentence, and what that leaves out.
    fn sentence(&self, server: &str) -> String {
        let unknown = match self.state.as_str() {
            "COUNTED" => None,
            "NO_LOG" => Some("no decision log"),
            "NEVER_IN_FORCE" => return "denied nothing: it was in force at no time".to_owned(),
            "BUSY" => Some("somebody else reads the decision log; ask again"),
            _ => Some("the decision log cannot be read; the server's log says why"),
        };
        if let Some(why) = unknown {
            return format!("how many decisions it denied is unknown: {why}");
        }
        let at_least = if self.is_complete { "" } else { "at least " };
        let (all, alone) = (counted(self.denied, "decision"), self.denied_alone);
        let whose = match &self.log {
            Some(log) => format!("of the log in `{log}`"),
            None => format!("of the log of {server}"),
        };
        format!("took part in denying {at_least}{all} {whose}, {alone} of them alone")
    }

    /// Why there may be more.
    fn why_more(&self) -> Vec<String> {
        let mut why = Vec::new();
        if self.state != "COUNTED" {
            return why;
        }
        let mut add = |applies: bool, what: String| why.extend(applies.then_some(what));
        let instant = |at: &Option<String>| to_the_second(at.as_ref());
        add(self.sample < 1.0, format!("a share of {} is recorded", self.sample));
        add(0 < self.missing, format!("gaps of the log count {} more", self.missing));
        add(0 < self.uncounted_gaps, format!("gaps without a count: {}", self.uncounted_gaps));
        add(0 < self.unreadable, format!("lines that do not read: {}", self.unreadable));
        let begins = &self.log_begins;
        add(begins.is_some(), format!("the log begins at {}", instant(begins)));
        let until = &self.read_until;
        let goes_on = "--log DIR reads all of it";
        add(until.is_some(), format!("the log was read up to {}; {goes_on}", instant(until)));
        why
    }
}

impl Answer for HistoryView {
    /// Of the first record alone; JSON has all.
    const COLUMNS: &'static [&'static str] =
        &["server", "denied.state", "denied.denied", "denied.denied_alone", "denied.is_complete"];

    fn text(&self, text: &mut Text) {
        text.table(&RevisionView::HEADER, self.revisions.iter().map(RevisionView::row));
        text.gap();
        if self.enforced.is_empty() {
            text.line("no change of it was seen enforced by the server that answered");
        }
        let header = ["REVISION", "ENFORCED", "AFTER", "SEEN BY", "REPLICAS"];
        text.table(&header, self.enforced.iter().map(SeenView::row));
        text.gap();
        let server = self.server.as_deref().unwrap_or("this server");
        text.line(self.denied.sentence(server));
        for why in self.denied.why_more() {
            text.line(format_args!("  {why}"));
        }
        if self.server.is_some() && self.denied.state == "COUNTED" && self.denied.log.is_none() {
            text.line("  every replica keeps a log of its own: ask each");
        }
    }
}
