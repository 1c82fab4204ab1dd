//! One attempt to hand an event to the receiver.
//!
//! Invariants: no redirect is followed, no more than the status is read, and an attempt is over in time.

use super::signature::Keys;
use reqwest::redirect::Policy;
use reqwest::{Client, StatusCode};
use std::time::Duration;

/// How long the receiver may take.
const WITHIN: Duration = Duration::from_secs(10);

/// Why an event was not taken.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotTaken {
    /// There was no answer.
    #[error("no answer: {}", causes(.0))]
    Silent(#[source] reqwest::Error),
    /// It was answered, and not with "taken".
    #[error("answered {0}")]
    Refused(StatusCode),
}

impl NotTaken {
    /// Whether other events would fare no better now.
    pub(super) fn concerns_all(&self) -> bool {
        match self {
            Self::Silent(_) => true,
            Self::Refused(status) => {
                status.is_server_error() || *status == StatusCode::TOO_MANY_REQUESTS
            }
        }
    }
}

/// An error with its causes, on one line; without the address, which the settings name.
fn causes(error: &reqwest::Error) -> String {
    let mut words = String::new();
    let mut cause: Option<&dyn std::error::Error> = std::error::Error::source(error);
    while let Some(error) = cause {
        words = if words.is_empty() { error.to_string() } else { format!("{words}: {error}") };
        cause = error.source();
    }
    if words.is_empty() && error.is_timeout() { "too late".to_owned() } else { words }
}

/// Sends.
#[derive(Debug)]
pub(super) struct Sender {
    client: Client,
    url: String,
    keys: Keys,
}

impl Sender {
    pub(super) fn new(url: String, keys: Keys) -> Result<Self, reqwest::Error> {
        // It finds the process's provider only where one was named; the one that is there already stays.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let builder = Client::builder()
            .timeout(WITHIN)
            .redirect(Policy::none())
            .user_agent(concat!("offergate/", env!("CARGO_PKG_VERSION")));
        // A server on this machine is not asked through a proxy elsewhere.
        let builder = if url.starts_with("https://") { builder } else { builder.no_proxy() };
        Ok(Self { client: builder.build()?, url, keys })
    }

    /// Sends an event once. `at` is the instant of this attempt.
    pub(super) async fn send(&self, id: &str, body: &str, at: i64) -> Result<(), NotTaken> {
        let request = self
            .client
            .post(&self.url)
            .header("content-type", "application/cloudevents+json; charset=utf-8")
            .header("webhook-id", id)
            .header("webhook-timestamp", at.to_string())
            .header("webhook-signature", self.keys.sign(id, at, body))
            .body(body.to_owned());
        let sent = request.send().await;
        let status = sent.map_err(|error| NotTaken::Silent(error.without_url()))?.status();
        if status.is_success() { Ok(()) } else { Err(NotTaken::Refused(status)) }
    }
}
