//! Sends a call again where that is safe and can help, as the service config says: other languages' gRPC
//! libraries read that file by themselves, tonic does not.
//!
//! What must stay true: no attempt begins after the deadline; when most calls fail, none is repeated.

use serde::Deserialize;
use std::collections::hash_map::RandomState;
use std::error::Error as _;
use std::hash::BuildHasher as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};

/// How finely time is told.
const TIMER: Duration = Duration::from_millis(2);

/// The part of a service config that is about repeating.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ServiceConfig {
    retry_throttling: Throttling,
    method_config: Vec<MethodConfig>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Throttling {
    max_tokens: f64,
    token_ratio: f64,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct MethodConfig {
    name: Vec<Name>,
    retry_policy: Option<RetryPolicy>,
}

#[derive(Debug, PartialEq, Eq, Deserialize)]
struct Name {
    service: String,
    method: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RetryPolicy {
    max_attempts: u32,
    initial_backoff: String,
    max_backoff: String,
    backoff_multiplier: f64,
    retryable_status_codes: Vec<String>,
}

/// What a service config says about one method, and the servers that it is asked of in turn.
#[derive(Debug)]
pub(crate) struct Retries {
    servers: Vec<Channel>,
    next: AtomicUsize,
    policy: RetryPolicy,
    throttling: Throttling,
    /// Goes down by one with each failure and up a little with each success; below half, nothing is
    /// repeated, since a fleet in trouble is not helped by three times the calls.
    tokens: Mutex<f64>,
}

impl Retries {
    /// Reads what `config` says about `method`, which must be there. Durations are in seconds, such as
    /// `0.1s`, and codes the names of [`Code`].
    pub(crate) fn of(
        config: &str,
        (service, method): (&str, &str),
        servers: Vec<Channel>,
    ) -> Result<Self, String> {
        let config: ServiceConfig =
            serde_json::from_str(config).map_err(|error| format!("service config: {error}"))?;
        let wanted = Name { service: service.to_owned(), method: method.to_owned() };
        let found = config.method_config.into_iter().find(|one| one.name.contains(&wanted));
        let policy = found.and_then(|found| found.retry_policy);
        let policy = policy.ok_or_else(|| format!("service config: nothing about {method}"))?;
        for duration in [&policy.initial_backoff, &policy.max_backoff] {
            seconds(duration).ok_or_else(|| format!("service config: `{duration}`"))?;
        }
        if servers.is_empty() {
            return Err("no server is named".to_owned());
        }
        let throttling = config.retry_throttling;
        let tokens = Mutex::new(throttling.max_tokens);
        Ok(Self { servers, next: AtomicUsize::new(0), policy, throttling, tokens })
    }

    /// Makes a call, each attempt at the next server, until one ends in something that is not to be
    /// repeated, or time is up.
    pub(crate) async fn call<M: Clone, T, F: Future<Output = Result<T, Status>>>(
        &self,
        message: &M,
        deadline: Duration,
        send: impl Fn(Channel, Request<M>) -> F,
    ) -> Result<T, Status> {
        let end = Instant::now() + deadline;
        let too_late = || Status::deadline_exceeded("no answer in time");
        for attempt in 1.. {
            let left = end.saturating_duration_since(Instant::now());
            let mut request = Request::new(message.clone());
            request.set_timeout(left); // The server gives up when nobody waits any more.
            let sent = tokio::time::timeout(left, send(self.server(), request)).await;
            let status = match sent.map_err(|_| too_late()).flatten() {
                Ok(answer) => {
                    self.note(true);
                    return Ok(answer);
                }
                // However the transport puts it.
                Err(_) if end <= Instant::now() + TIMER => return Err(too_late()),
                Err(status) => as_others_have_it(status),
            };
            if !self.is_repeated(status.code()) {
                return Err(status);
            }
            self.note(false);
            let pause = self.pause(attempt);
            let in_time = Instant::now() + pause < end;
            if self.policy.max_attempts <= attempt || !in_time || !self.has_tokens() {
                return Err(status);
            }
            tokio::time::sleep(pause).await;
        }
        Err(too_late())
    }

    #[allow(clippy::indexing_slicing, reason = "below the length of a list that is not empty")]
    fn server(&self) -> Channel {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.servers[number % self.servers.len()].clone()
    }

    fn is_repeated(&self, code: Code) -> bool {
        self.policy.retryable_status_codes.contains(&name_of(code))
    }

    /// A fifth longer or shorter by chance, so that callers who failed together do not return together.
    fn pause(&self, attempt: u32) -> Duration {
        let [first, longest] = [&self.policy.initial_backoff, &self.policy.max_backoff]
            .map(|text| seconds(text).unwrap_or_default());
        let exponent = i32::try_from(attempt - 1).unwrap_or(i32::MAX);
        let usual = (first * self.policy.backoff_multiplier.powi(exponent)).min(longest);
        let chance = RandomState::new().hash_one(attempt) % 401;
        Duration::from_secs_f64(usual * (800 + chance) as f64 / 1000.0)
    }

    fn note(&self, well: bool) {
        let Throttling { max_tokens, token_ratio } = self.throttling;
        let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        let change = if well { token_ratio } else { -1.0 };
        *tokens = (*tokens + change).clamp(0.0, max_tokens);
    }

    fn has_tokens(&self) -> bool {
        let tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        self.throttling.max_tokens / 2.0 < *tokens
    }
}

/// A connection that breaks is `UNAVAILABLE` everywhere but in tonic, which has several codes for it. Only
/// what the transport says has a source; what a server says has none.
fn as_others_have_it(status: Status) -> Status {
    match status.source() {
        Some(_) => Status::unavailable(status.message()),
        None => status,
    }
}

/// A code as gRPC spells it, such as `RESOURCE_EXHAUSTED`.
pub(crate) fn name_of(code: Code) -> String {
    let mut name = String::new();
    for character in format!("{code:?}").chars() {
        if character.is_ascii_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(character.to_ascii_uppercase());
    }
    name
}

fn seconds(text: &str) -> Option<f64> {
    let seconds: f64 = text.strip_suffix('s')?.parse().ok()?;
    (0.0..3600.0).contains(&seconds).then_some(seconds)
}
