//! A decision as the command line prints it, in bare names.

use super::exit::Failure;
use super::instants::shown;
use super::output::Answer;
use super::text::{Text, to_the_second};
use crate::wire::proto;
use serde::Serialize;
use std::collections::BTreeMap;

/// One decision. The field names are those of the API.
#[derive(Debug, Clone, Serialize)]
pub(super) struct DecisionView {
    pub(super) outcome: String,
    pub(super) reasons: Vec<ReasonView>,
    pub(super) suspensions: Vec<NoticeView>,
    pub(super) exemptions: Vec<String>,
    pub(super) grandfathered: Vec<String>,
    pub(super) alternate: Option<String>,
    pub(super) valid_until: Option<String>,
    pub(super) decision_id: String,
    pub(super) as_of: Option<String>,
    pub(super) revision: u64,
    pub(super) token: String,
    pub(super) rules_age_seconds: Option<f64>,
}

/// A reason.
#[derive(Debug, Clone, Serialize)]
pub(super) struct ReasonView {
    code: String,
    attribute: Option<String>,
}

/// A suspension that stands against the customer.
#[derive(Debug, Clone, Serialize)]
pub(super) struct NoticeView {
    id: String,
    code: String,
    customer_message: Option<MessageView>,
    advisories: Vec<AdvisoryView>,
}

/// What a customer may read.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub(super) enum MessageView {
    Text(String),
    ByLanguage(BTreeMap<String, String>),
}

#[derive(Debug, Clone, Serialize)]
struct AdvisoryView {
    id: String,
    issuer: String,
    title: Option<String>,
    url: Option<String>,
}

impl DecisionView {
    pub(super) fn of(decision: proto::Decision) -> Result<Self, Failure> {
        Ok(Self {
            outcome: bare(decision.outcome().as_str_name(), "OUTCOME_"),
            reasons: decision.reasons.iter().map(ReasonView::of).collect(),
            suspensions: decision.suspensions.into_iter().map(NoticeView::of).collect(),
            exemptions: decision.exemptions,
            grandfathered: decision.grandfathered,
            alternate: decision.alternate,
            valid_until: shown(decision.valid_until.as_ref())?,
            decision_id: decision.decision_id,
            as_of: shown(decision.as_of.as_ref())?,
            revision: decision.revision,
            token: decision.token,
            rules_age_seconds: decision.rules_age.as_ref().map(seconds),
        })
    }

    /// How old the rules are, where they may be out of date.
    fn age(&self) -> String {
        let age =
            self.rules_age_seconds.map(|age| format!("last known to be the newest {age:.1} s ago"));
        age.unwrap_or_default()
    }

    /// The reasons as rule tests write them.
    pub(super) fn reasons(&self) -> String {
        let written = self.reasons.iter().map(|reason| match &reason.attribute {
            Some(attribute) => format!("{}:{attribute}", reason.code),
            None => reason.code.clone(),
        });
        written.collect::<Vec<_>>().join(", ")
    }

    /// What it rests on, without the outcome.
    pub(super) fn evidence(&self, text: &mut Text) {
        for notice in &self.suspensions {
            text.gap();
            text.line(format_args!("suspended by {} ({})", notice.id, notice.code));
            if let Some(message) = &notice.customer_message {
                text.line(format_args!("  customers may read: {}", message.shown()));
            }
            for advisory in &notice.advisories {
                let title = advisory.title.as_deref().unwrap_or_default();
                let url = advisory.url.as_deref().unwrap_or_default();
                let line = format!("  {} {}  {title}  {url}", advisory.issuer, advisory.id);
                text.line(line.trim_end());
            }
        }
        text.gap();
        text.fields(&[
            ("exempted by", self.exemptions.join(", ")),
            ("grandfathered", self.grandfathered.join(", ")),
            ("alternate", self.alternate.clone().unwrap_or_default()),
            ("valid until", to_the_second(self.valid_until.as_ref())),
            ("as of", to_the_second(self.as_of.as_ref())),
            ("revision", self.revision.to_string()),
            ("rules", self.age()),
            ("token", self.token.clone()),
            ("decision", self.decision_id.clone()),
        ]);
    }
}

fn seconds(age: &prost_types::Duration) -> f64 {
    std::time::Duration::try_from(*age).unwrap_or_default().as_secs_f64()
}

impl Answer for DecisionView {
    const COLUMNS: &'static [&'static str] = &[
        "outcome",
        "reasons",
        "suspensions",
        "exemptions",
        "grandfathered",
        "alternate",
        "valid_until",
        "decision_id",
        "as_of",
        "revision",
        "token",
    ];

    fn text(&self, text: &mut Text) {
        text.outcome(&self.outcome, self.reasons());
        self.evidence(text);
    }
}

impl ReasonView {
    fn of(reason: &proto::Reason) -> Self {
        Self {
            code: bare(reason.code().as_str_name(), "REASON_CODE_"),
            attribute: stated(reason.attribute.clone()),
        }
    }
}

impl NoticeView {
    fn of(notice: proto::SuspensionNotice) -> Self {
        let code = bare(notice.code().as_str_name(), "REASON_CODE_");
        let advisories = notice.advisories.into_iter().map(|advisory| AdvisoryView {
            id: advisory.id,
            issuer: advisory.issuer,
            title: stated(advisory.title),
            url: stated(advisory.url),
        });
        Self {
            id: notice.id,
            code,
            customer_message: notice.customer_message.map(MessageView::of),
            advisories: advisories.collect(),
        }
    }
}

impl MessageView {
    pub(super) fn of(message: proto::CustomerMessage) -> Self {
        match message.by_language.is_empty() {
            true => Self::Text(message.text),
            false => Self::ByLanguage(message.by_language),
        }
    }

    /// On one line.
    pub(super) fn shown(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::ByLanguage(texts) => {
                let texts = texts.iter().map(|(language, text)| format!("[{language}] {text}"));
                texts.collect::<Vec<_>>().join(" ")
            }
        }
    }
}

/// The name of an enum's value without the prefix that protobuf wants.
pub(super) fn bare(name: &str, prefix: &str) -> String {
    name.strip_prefix(prefix).unwrap_or(name).to_owned()
}

/// `None` for the empty text that stands for nothing on the wire.
pub(super) fn stated(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}
