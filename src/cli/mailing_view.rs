//! A mailing, as the command line prints it: what people sign.

use super::decision_view::{bare, stated};
use super::exit::Failure;
use super::instants::shown;
use super::text::{Text, to_the_second};
use crate::wire::proto;
use serde::Serialize;

/// What a mailing is bound to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct MailingView {
    id: String,
    offer: String,
    action: String,
    audience_sha256: String,
    audience_count: u64,
    template_sha256: String,
    settings_sha256: Option<String>,
    not_before: Option<String>,
    not_after: Option<String>,
    per_second: u32,
}

impl MailingView {
    pub(super) fn of(mailing: proto::Mailing) -> Result<Self, Failure> {
        Ok(Self {
            action: bare(mailing.action().as_str_name(), "ACTION_"),
            not_before: shown(mailing.not_before.as_ref())?,
            not_after: shown(mailing.not_after.as_ref())?,
            id: mailing.id,
            offer: mailing.offer,
            audience_sha256: mailing.audience_sha256,
            audience_count: mailing.audience_count,
            template_sha256: mailing.template_sha256,
            settings_sha256: stated(mailing.settings_sha256),
            per_second: mailing.per_second,
        })
    }

    /// Where it stands among things that changes touch.
    pub(super) fn subject(&self) -> String {
        format!("mailings/{}", self.id)
    }

    /// All that is signed.
    pub(super) fn text(&self, text: &mut Text) {
        text.fields(&[
            ("mailing", format!("{}  {}  {}", self.id, self.action, self.offer)),
            ("audience", format!("{} recipients  {}", self.audience_count, self.audience_sha256)),
            ("template", self.template_sha256.clone()),
            ("settings", self.settings_sha256.clone().unwrap_or_default()),
            ("not before", to_the_second(self.not_before.as_ref())),
            ("not after", to_the_second(self.not_after.as_ref())),
            ("rate", format!("{} a second at most", self.per_second)),
        ]);
    }
}
