//! Asks Offergate whether an offer may be shown, and remembers the answer for as long as it holds.
//!
//! What must stay true: only `ELIGIBLE` shows an offer. An error, a deadline, an answer that cannot tell
//! and an answer that has run out all hide it. No customer's id is in a log line.

use crate::clock;
use crate::proto::eligibility_service_client::EligibilityServiceClient;
use crate::proto::{
    Action, CheckEligibilityRequest, Consistency, Customer, Decision, Outcome, consistency,
};
use crate::retry::{Retries, name_of};
use prost::Message as _;
use serde::Serialize;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

/// What a page can wait for an offer, all attempts together.
const DEADLINE: Duration = Duration::from_millis(500);

/// Most answers that are kept; past it all are dropped, since all run out within seconds anyway.
const MOST_KEPT: usize = 10_000;

/// The longest time for which a busy server is left in peace at its word.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Whether to show an offer, why, and who said so: `server`, `cache` or `nobody`.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Answer {
    show: bool,
    why: String,
    source: &'static str,
}

/// An answer that still holds, and when its question was sent.
#[derive(Debug)]
struct Kept {
    sent: Duration,
    until: Duration,
    answer: Answer,
}

/// A client that many tasks share, and with it its connections.
#[derive(Debug)]
pub(crate) struct Offers {
    retries: Retries,
    kept: Mutex<HashMap<Vec<u8>, Kept>>,
    pause_until: Mutex<Duration>,
}

impl Offers {
    pub(crate) fn new(retries: Retries) -> Self {
        Self { retries, kept: Mutex::default(), pause_until: Mutex::default() }
    }

    /// Whether this customer may be shown this offer now.
    ///
    /// With the token of a change, the answer is from rules that have it, and never one that was kept.
    pub(crate) async fn may_show(
        &self,
        offer: &str,
        customer: Customer,
        token: Option<String>,
    ) -> Answer {
        let mut request = CheckEligibilityRequest {
            customer: Some(customer),
            offer: offer.to_owned(),
            action: Action::Offer.into(),
            channel: Some("WEB".to_owned()),
            ..CheckEligibilityRequest::default()
        };
        // All that was said about the customer is the key: who moves house is another question.
        let key = request.encode_to_vec();
        match token {
            Some(token) => {
                let requirement = Some(consistency::Requirement::AtLeastToken(token));
                request.consistency = Some(Consistency { requirement });
            }
            None => {
                if let Some(kept) = self.kept(&key) {
                    return kept;
                }
            }
        }
        if clock::now() < *lock(&self.pause_until) {
            return told(offer, hidden(Code::ResourceExhausted), None);
        }
        // Before the call: however long it takes, and whatever this machine's clock shows, the answer is
        // not kept for longer than the server meant.
        let sent = clock::now();
        let asked = self.retries.call(&request, DEADLINE, |server, request| async move {
            EligibilityServiceClient::new(server).check_eligibility(request).await
        });
        match asked.await.map(|answer| answer.into_inner().decision) {
            Ok(Some(decision)) => {
                let answer = self.read(key, sent, &decision);
                told(offer, answer, Some(&decision))
            }
            Ok(None) => told(offer, hidden(Code::Internal), None),
            Err(status) => {
                self.note_pause(&status);
                told(offer, hidden(status.code()), None)
            }
        }
    }

    fn kept(&self, key: &[u8]) -> Option<Answer> {
        let kept = lock(&self.kept);
        let found = kept.get(key).filter(|kept| clock::now() < kept.until)?;
        Some(Answer { source: "cache", ..found.answer.clone() })
    }

    fn read(&self, key: Vec<u8>, sent: Duration, decision: &Decision) -> Answer {
        let bare = |name: &str, prefix: &str| name.trim_start_matches(prefix).to_owned();
        let outcome = decision.outcome();
        let reasons =
            decision.reasons.iter().map(|one| bare(one.code().as_str_name(), "REASON_CODE_"));
        let why: Vec<String> =
            std::iter::once(bare(outcome.as_str_name(), "OUTCOME_")).chain(reasons).collect();
        let answer =
            Answer { show: outcome == Outcome::Eligible, why: why.join(" "), source: "server" };
        let mut kept = lock(&self.kept);
        if kept.get(&key).is_some_and(|there| sent < there.sent) {
            return answer; // Another task asked later, and has its answer already.
        }
        kept.remove(&key);
        // "Cannot tell" is not kept: the next page may be able to.
        if matches!(outcome, Outcome::Eligible | Outcome::Ineligible) {
            if MOST_KEPT <= kept.len() {
                kept.clear();
            }
            let until = sent + holds_for(decision);
            kept.insert(key, Kept { sent, until, answer: answer.clone() });
        }
        answer
    }

    /// A server that has too much to do says when to come back; until then it is not asked.
    fn note_pause(&self, status: &Status) {
        let pause = status.get_details_retry_info().and_then(|info| info.retry_delay);
        if let (Code::ResourceExhausted, Some(pause)) = (status.code(), pause) {
            *lock(&self.pause_until) = clock::now() + pause.min(LONGEST_PAUSE);
        }
    }
}

/// From the instant decided for to that at which to ask anew: nothing, if either is missing.
fn holds_for(decision: &Decision) -> Duration {
    let instant = |at: &Option<prost_types::Timestamp>| {
        at.as_ref().map(|at| i128::from(at.seconds) * 1_000_000_000 + i128::from(at.nanos))
    };
    let nanos = instant(&decision.valid_until)
        .zip(instant(&decision.as_of))
        .map_or(0, |(until, from)| until - from);
    Duration::from_nanos(u64::try_from(nanos).unwrap_or_default())
}

fn hidden(code: Code) -> Answer {
    Answer { show: false, why: name_of(code), source: "nobody" }
}

fn told(offer: &str, answer: Answer, decision: Option<&Decision>) -> Answer {
    let (show, why) = (answer.show, &answer.why);
    // The decision's id leads to everything about it, the customer included, for those who may see it.
    let decision = decision.map(|decision| decision.decision_id.as_str()).unwrap_or_default();
    tracing::info!(offer, show, why, decision, "Asked for an offer");
    answer
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
