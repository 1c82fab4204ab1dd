//! Checks: one, many over one revision, or all offers for one customer.
//!
//! Invariant: what would be `ELIGIBLE` stays so only if the lease of the very snapshot that decided it
//! still runs on a clock that is read after the decision was made.

use super::Service;
use super::answer::{Answer, age};
use crate::audit::decisions::Told;
use crate::decision::Instants;
use crate::domain::{
    Attribute, CheckRequest, Consistency, Decision, Holding, Offer, ReasonCode, Revision,
};
use crate::recorder::LogFull;
use crate::replica::{Freshness, Held, bugs};
use std::sync::Arc;
use std::time::Duration;

/// How many offers are decided before others have their turn: a fraction of a millisecond's work.
const AT_A_TIME: usize = 100;

/// One revision at one instant. All that is decided over a view rests on the same rules.
#[derive(Debug)]
pub struct View<'a> {
    service: &'a Service,
    held: Option<Arc<Held>>,
    instants: Instants,
    /// Whether the store was asked, after the check came in, and had nothing newer.
    asked_store: bool,
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
        self.seen(self.replica.held(), false)
    }

    /// The newest rules, now, if they are what this check wants without asking the store.
    #[must_use]
    pub fn view_at_once(&self, consistency: &Consistency) -> Option<View<'_>> {
        let view = self.view();
        let ask = self.follower.is_some()
            && match consistency {
                Consistency::Leased => false,
                Consistency::Strict => true,
                // A replica that another one is ahead of looks for itself before it says no.
                Consistency::AtLeast(token) => view.held.as_ref().is_some_and(|held| {
                    held.head.lineage == token.lineage && held.head.revision < token.revision
                }),
            };
        (!ask).then_some(view)
    }

    /// The rules that a check wants.
    pub async fn view_for(&self, consistency: &Consistency) -> View<'_> {
        match self.view_at_once(consistency) {
            Some(view) => view,
            None => self.asked_view().await,
        }
    }

    /// These rules, now.
    pub(super) fn view_of(&self, held: Arc<Held>, asked_store: bool) -> View<'_> {
        self.seen(Some(held), asked_store)
    }

    fn seen(&self, held: Option<Arc<Held>>, asked_store: bool) -> View<'_> {
        let held = held.filter(|held| held.rules_since != Revision::ZERO);
        let instants = self.instants_after(held.as_ref().and_then(|held| held.changed_at));
        View { service: self, held, instants, asked_store }
    }
}

impl View<'_> {
    /// Decides one request of a caller, and records it where that is set.
    ///
    /// # Errors
    /// When every decision is to be recorded, and this one cannot be. Nothing was answered then.
    pub fn check(
        &self,
        request: &CheckRequest<'_>,
        consistency: &Consistency,
        caller: Option<&str>,
    ) -> Result<Answer<'_>, LogFull> {
        let wall = self.instants.wall;
        let mut freshness = Freshness::Fresh;
        let answer = match &self.held {
            None => Answer::without_rules(wall, self.service.staleness_limit),
            Some(held) => {
                let decision = self.instants.decide(request, &held.snapshot);
                freshness = self.freshness(held, consistency);
                let decision = age(decision, request.action, freshness);
                let rules_age = self.rules_age(held, &decision);
                let limit = self.service.staleness_limit;
                let answer = Answer::of(decision, Some(Arc::clone(held)), wall, limit);
                Answer { rules_age, ..answer }
            }
        };
        self.record(request, &answer, freshness, caller)?;
        self.count(&answer.decision);
        Ok(answer)
    }

    /// Hands the decision to whoever writes decisions down.
    fn record(
        &self,
        request: &CheckRequest<'_>,
        answer: &Answer<'_>,
        freshness: Freshness,
        caller: Option<&str>,
    ) -> Result<(), LogFull> {
        let Some(recorder) = self.service.recorder.get() else { return Ok(()) };
        let held = self.held.as_deref();
        let follower = self.service.follower.as_ref();
        recorder.record(&Told {
            id: answer.id,
            caller,
            request,
            decision: &answer.decision,
            valid_until: answer.valid_until,
            now: self.instants.now,
            wall: self.instants.wall,
            limit: self.service.staleness_limit,
            stale: freshness == Freshness::Stale,
            token: held.map_or("", |held| &held.token),
            proof_age: follower.zip(held).and_then(|(follower, held)| {
                held.lease.proof_age(follower.terms(), self.service.clock.boot())
            }),
        })
    }

    /// Decides every offer for one customer, by the offers' ids; `request` names none. A product that
    /// `holdings` does not list is not held if `complete`, else nobody has said. Lets others have the
    /// thread from time to time: they shall not wait for all offers of a bank.
    ///
    /// # Errors
    /// As for [`View::check`].
    pub async fn check_all(
        &self,
        request: &CheckRequest<'_>,
        complete: bool,
        consistency: &Consistency,
        caller: Option<&str>,
    ) -> Result<Vec<OfferAnswer<'_>>, LogFull> {
        let Some(held) = &self.held else { return Ok(Vec::new()) };
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
            let answer = self.check(&asked, consistency, caller)?;
            answers.push(OfferAnswer { offer: Arc::clone(offer), answer });
        }
        Ok(answers)
    }

    /// Whether there are rules to decide over.
    #[must_use]
    pub fn has_rules(&self) -> bool {
        self.held.is_some()
    }

    /// How old the rules are, if that is what an answer is about.
    fn rules_age(&self, held: &Held, decision: &Decision<'_>) -> Option<Duration> {
        let is_stale = decision.reasons.iter().any(|reason| reason.code == ReasonCode::RulesStale);
        let follower = self.service.follower.as_ref().filter(|_| is_stale)?;
        held.lease.proof_age(follower.terms(), self.service.clock.boot())
    }

    /// Whether the rules are as new as the caller wants them.
    fn freshness(&self, held: &Held, consistency: &Consistency) -> Freshness {
        match consistency {
            Consistency::AtLeast(token) if !held.reaches(token) => Freshness::Stale,
            Consistency::Strict | Consistency::AtLeast(_) if self.asked_store => Freshness::Fresh,
            // A store that did not answer has confirmed nothing, whatever the lease says.
            Consistency::Strict if self.service.follower.is_some() => Freshness::Stale,
            // Where this process alone writes, the lease is as good as a look at the store.
            _ if held.lease.holds_at(bugs::read(self.service.clock.boot())) => Freshness::Fresh,
            _ => Freshness::Stale,
        }
    }

    fn count(&self, decision: &Decision) {
        if let (Some(decisions), Some(first)) = (&self.service.decisions, decision.reasons.first())
        {
            decisions.record(decision.outcome as usize, first.code as usize);
        }
    }
}
