//! Checks: one, many over one revision, or all offers for one customer.

use super::Service;
use super::answer::{Answer, age};
use crate::decision::decide;
use crate::domain::{
    Attribute, CheckRequest, Consistency, Decision, Holding, Offer, Revision, Timestamp,
};
use crate::replica::{Freshness, Held};
use crate::telemetry::Decisions;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How many offers are decided before others have their turn: a fraction of a millisecond's work.
const AT_A_TIME: usize = 100;

/// One revision at one instant. All that is decided over a view rests on the same rules.
#[derive(Debug)]
pub struct View<'a> {
    held: Option<Arc<Held>>,
    freshness: Freshness,
    now: Timestamp,
    staleness_limit: Duration,
    decisions: Option<&'a Decisions>,
}

/// The answer for one offer of several.
#[derive(Debug)]
pub struct OfferAnswer<'s> {
    /// The offer.
    pub offer: Arc<Offer>,
    /// The answer.
    pub answer: Answer<'s>,
}

impl Service {
    /// The newest rules, now.
    #[must_use]
    pub fn view(&self) -> View<'_> {
        // Freshness is read before the rules: what is in doubt by then may be held already, and what
        // comes into doubt later had not been acknowledged when this check began.
        let freshness = self.replica.freshness();
        View {
            freshness,
            held: self.replica.held().filter(|held| held.head.revision != Revision::ZERO),
            now: self.check_time(),
            staleness_limit: self.staleness_limit,
            decisions: self.decisions.as_deref(),
        }
    }
}

impl Service {
    /// The wall clock's time, and never before the last change that was acknowledged here.
    fn check_time(&self) -> Timestamp {
        let last_change = self.last_change.load(Ordering::Acquire);
        let wall = self.clock.wall();
        Timestamp::from_microsecond(last_change).map_or(wall, |last| wall.max(last))
    }
}

impl View<'_> {
    /// Decides one request.
    #[must_use]
    pub fn check(&self, request: &CheckRequest<'_>, consistency: &Consistency) -> Answer<'_> {
        let answer = match &self.held {
            None => Answer::without_rules(self.now, self.staleness_limit),
            Some(held) => {
                let decision = decide(request, &held.snapshot, self.now);
                let decision = age(decision, request.action, self.freshness(held, consistency));
                Answer::of(decision, Some(Arc::clone(held)), self.now, self.staleness_limit)
            }
        };
        self.count(&answer.decision);
        answer
    }

    /// Decides every offer for one customer, by the offers' ids; `request` names none. A product that
    /// `holdings` does not list is not held if `complete`, else nobody has said. Lets others have the
    /// thread from time to time: they shall not wait for all offers of a bank.
    pub async fn check_all(
        &self,
        request: &CheckRequest<'_>,
        complete: bool,
        consistency: &Consistency,
    ) -> Vec<OfferAnswer<'_>> {
        let Some(held) = &self.held else { return Vec::new() };
        let unlisted = if complete { Attribute::Known(Holding::NONE) } else { Attribute::Missing };
        let mut answers = Vec::with_capacity(held.rules.offers.len());
        for (place, offer) in held.rules.offers.values().enumerate() {
            if place % AT_A_TIME == AT_A_TIME - 1 {
                tokio::task::yield_now().await;
            }
            let mut customer = request.customer.shorter();
            let listed = customer.holding_of(offer.product.as_str()).copied();
            customer.holding = listed.map_or(unlisted, Attribute::Known);
            let (action, channel, device) = (request.action, request.channel, request.device);
            let offer_id = offer.id.as_str();
            let asked = CheckRequest { customer, offer: offer_id, action, channel, device };
            let answer = self.check(&asked, consistency);
            answers.push(OfferAnswer { offer: Arc::clone(offer), answer });
        }
        answers
    }

    /// Whether there are rules to decide over.
    #[must_use]
    pub fn has_rules(&self) -> bool {
        self.held.is_some()
    }

    /// Whether the rules are as new as the caller wants them. `Strict` needs no look at the store: it
    /// has no other writer than this process, which holds a change before it acknowledges it.
    fn freshness(&self, held: &Held, consistency: &Consistency) -> Freshness {
        match consistency {
            Consistency::AtLeast(token) if !held.reaches(token) => Freshness::Stale,
            Consistency::AtLeast(_) | Consistency::Leased | Consistency::Strict => self.freshness,
        }
    }

    fn count(&self, decision: &Decision) {
        if let (Some(decisions), Some(first)) = (self.decisions, decision.reasons.first()) {
            decisions.record(decision.outcome as usize, first.code as usize);
        }
    }
}
