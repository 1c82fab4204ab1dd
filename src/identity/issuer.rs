//! An issuer of tokens, whose keys are kept up to date in the background.
//!
//! One task fetches ([`Issuer::follow`]); whoever meets a key that is not known asks it to, at most once
//! a minute whatever comes, and waits for that one attempt.
//!
//! Invariant: keys that were last confirmed longer ago than [`HARD_AGE`] verify nothing any more.

use super::fetch::{self, fetch};
use super::keys::KeySet;
use super::token::{Expected, Proven, Unproven, verify};
use crate::clock::Clock;
use arc_swap::ArcSwapOption;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, watch};

/// How often keys are fetched when all is well, and after a failure.
const FETCH_EVERY: Duration = Duration::from_secs(5 * 60);
const AFTER_A_FAILURE: Duration = Duration::from_secs(15);

/// Longest that keys are believed without having been confirmed.
const HARD_AGE: Duration = Duration::from_secs(60 * 60);

/// How often an unknown key may lead to a fetch.
const ASK_EVERY: Duration = Duration::from_secs(60);

/// How long a call waits for a fetch that it asked for.
const WAIT: Duration = Duration::from_secs(6);

/// Whose tokens are taken, and where that issuer's keys are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuerSettings {
    /// What its tokens must say.
    pub expected: Expected,
    /// Where its keys are; `None` to ask the issuer.
    pub jwks_url: Option<String>,
    /// Who vouches for the issuer's own certificate; `None` for those whom this machine trusts.
    pub authorities: Option<PathBuf>,
}

/// An issuer, and its keys as they were last fetched.
pub struct Issuer {
    settings: IssuerSettings,
    client: reqwest::Client,
    clock: Arc<dyn Clock>,
    keys: ArcSwapOption<Fetched>,
    asking: watch::Sender<Asking>,
    wanted: Notify,
}

struct Fetched {
    keys: KeySet,
    /// By the boot-time clock.
    at: Duration,
}

/// Whether a fetch is under way or asked for, and when a call last asked for one.
#[derive(Debug, Clone, Copy, Default)]
struct Asking {
    under_way: bool,
    last: Option<Duration>,
    /// How many fetches have ended, well or badly.
    ended: u64,
}

impl std::fmt::Debug for Issuer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Issuer").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Issuer {
    /// Knows no keys yet: see [`Issuer::fetch_now`] and [`Issuer::follow`].
    ///
    /// # Errors
    /// In words, for a place that keys may not come from.
    pub fn new(settings: IssuerSettings, clock: Arc<dyn Clock>) -> Result<Self, String> {
        let issuer = &settings.expected.issuer;
        for url in settings.jwks_url.iter().chain([issuer]) {
            if !fetch::is_allowed(url) {
                return Err(format!(
                    "`{url}` is no place to take keys from: write an https URL, or http for a server \
                     on this machine"
                ));
            }
        }
        let client = fetch::client(issuer, settings.authorities.as_deref())?;
        let (keys, asking, wanted) =
            (ArcSwapOption::empty(), watch::Sender::default(), Notify::new());
        Ok(Self { settings, client, clock, keys, asking, wanted })
    }

    /// Verifies a token with the keys that are known; fetches them once more for one that is not.
    pub(super) async fn verify(&self, token: &str) -> Result<Proven, Unproven> {
        match self.verify_at_once(token) {
            Err(Unproven::UnknownKey | Unproven::NoKeys) if self.fetched_anew().await => {
                self.verify_at_once(token)
            }
            verified => verified,
        }
    }

    fn verify_at_once(&self, token: &str) -> Result<Proven, Unproven> {
        let fetched = self.keys.load();
        let fetched = fetched.as_deref().filter(|it| self.clock.boot() < it.at + HARD_AGE);
        let fetched = fetched.ok_or(Unproven::NoKeys)?;
        verify(token, &fetched.keys, &self.settings.expected, self.clock.wall())
    }

    /// Waits for a fetch, if one is under way or may be asked for. Whether one has ended.
    async fn fetched_anew(&self) -> bool {
        let now = self.clock.boot();
        let mut before = Asking::default();
        self.asking.send_modify(|asking| {
            let recently = asking.last.is_some_and(|last| now < last + ASK_EVERY);
            if !asking.under_way && !recently {
                (asking.under_way, asking.last) = (true, Some(now));
                self.wanted.notify_one();
            }
            before = *asking;
        });
        if !before.under_way {
            return false;
        }
        let mut asking = self.asking.subscribe();
        let ended = asking.wait_for(|asking| asking.ended != before.ended);
        matches!(tokio::time::timeout(WAIT, ended).await, Ok(Ok(_)))
    }

    /// Fetches the keys. What was held stays if that fails, which is logged.
    pub async fn fetch_now(&self) -> bool {
        let begun = self.clock.boot();
        self.asking.send_modify(|asking| asking.under_way = true);
        let Expected { issuer, .. } = &self.settings.expected;
        let fetched = fetch(&self.client, issuer, self.settings.jwks_url.as_deref()).await;
        let done = fetched.is_ok();
        match fetched {
            Ok(keys) => self.keys.store(Some(Arc::new(Fetched { keys, at: begun }))),
            Err(error) => tracing::warn!(
                issuer,
                error = &error as &dyn std::error::Error,
                "The issuer's keys could not be fetched; those that are held go on for a while"
            ),
        }
        self.asking.send_modify(|asking| {
            asking.under_way = false;
            asking.ended += 1;
        });
        done
    }

    /// Keeps the keys up to date, without an end.
    pub async fn follow(&self) {
        let mut done = self.keys.load().is_some();
        loop {
            let pause = if done { FETCH_EVERY } else { AFTER_A_FAILURE };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.wanted.notified() => {}
            }
            done = self.fetch_now().await;
        }
    }
}
