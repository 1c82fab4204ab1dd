//! The settings of events: where they go and what they are signed with, and their rows in the table.

use super::setting::{DefaultValue, Setting};
use super::{Origin, Place, Problem, Secret};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// Where events go. Both or none.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EventSettings {
    /// The receiver.
    pub url: Option<String>,
    /// What they are signed with: one secret, or two with a space between them.
    pub secret: Option<Secret>,
}

pub(super) const URL: Setting = Setting {
    name: "event_webhook_url",
    effect: "Where events go that people must hear of: emergencies, moved reach, reviews that are \
             due, forks, gaps.",
    form: "https URL, or http of this machine",
    default: DefaultValue::Unset("none: no events are sent"),
    secret: false,
    read: |settings, text| {
        if !is_allowed(text) {
            return Err(format!(
                "`{text}` is no place for events: write an https URL without a user, a password or \
                 `#`; or http://127.0.0.1:PORT/..., for a receiver on this machine"
            ));
        }
        settings.events.url = Some(text.to_owned());
        Ok(())
    },
};

pub(super) const SECRET: Setting = Setting {
    name: "event_webhook_secret",
    effect: "What events are signed with, by Standard Webhooks. Two secrets with a space between \
             them while one takes the place of the other.",
    form: "`whsec_` and 24 to 64 bytes in base64",
    default: DefaultValue::Unset("none"),
    secret: true,
    read: |settings, text| {
        let secrets: Vec<_> = text.split(' ').collect();
        if 2 < secrets.len() || !secrets.iter().all(|secret| is_secret(secret)) {
            // Not what it is: it may be a secret all the same.
            return Err("is no secret for events: write what \
                        `echo whsec_$(openssl rand -base64 32)` prints"
                .to_owned());
        }
        settings.events.secret = Some(Secret::new(text.to_owned()));
        Ok(())
    },
};

fn is_allowed(text: &str) -> bool {
    let Ok(url) = reqwest::Url::parse(text) else { return false };
    let local = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
    let plain = url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
    plain && (url.scheme() == "https" || url.scheme() == "http" && local)
}

fn is_secret(text: &str) -> bool {
    let bytes = text.strip_prefix("whsec_").and_then(|text| STANDARD.decode(text).ok());
    bytes.is_some_and(|bytes| (24..=64).contains(&bytes.len()))
}

impl EventSettings {
    /// A place without a signature, or a signature for nothing.
    pub(super) fn refuse_half_of_it(&self, origins: &[Origin], problems: &mut Vec<Problem>) {
        let (name, other) = match (&self.url, &self.secret) {
            (Some(_), None) => ("event_webhook_url", "event_webhook_secret"),
            (None, Some(_)) => ("event_webhook_secret", "event_webhook_url"),
            (Some(_), Some(_)) | (None, None) => return,
        };
        let origin = origins.iter().find(|origin| origin.name == name);
        let place = origin.map_or(Place::Default, |origin| origin.place.clone());
        let what = format!("{name}: is set without `{other}`; set both or none");
        problems.push(Problem { place, what });
    }
}
