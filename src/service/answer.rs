//! An answer: a decision with what only a running server can add to it (R15, R16).

use crate::domain::{Action, Decision, Outcome, Reason, ReasonCode, Revision, Timestamp};
use crate::replica::{Freshness, Held};
use smallvec::SmallVec;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// A decision with its id, how long it may be relied on, and the rules that it rests on.
#[derive(Debug, Clone)]
pub struct Answer<'s> {
    /// The decision's own id: time-ordered, and unique without asking anybody.
    pub id: Uuid,
    /// The decision.
    pub decision: Decision<'s>,
    /// First instant at which to ask anew.
    pub valid_until: Timestamp,
    /// The rules it rests on; `None` when there are none.
    pub held: Option<Arc<Held>>,
    /// Where the rules may be out of date: how long ago they were last known not to be.
    pub rules_age: Option<Duration>,
}

impl<'s> Answer<'s> {
    /// An answer that says what is missing: the rules themselves. So is a notice answered, which R10
    /// frees from a snapshot's age: without any snapshot nobody knows whether its offer exists (R15).
    pub(super) fn without_rules(now: Timestamp, limit: Duration) -> Self {
        let unavailable = Reason::plain(ReasonCode::RulesUnavailable);
        Self::of(Decision::because(unavailable, Revision::ZERO, now), None, now, limit)
    }

    /// Adds what a decision has not.
    pub(super) fn of(
        decision: Decision<'s>,
        held: Option<Arc<Held>>,
        now: Timestamp,
        limit: Duration,
    ) -> Self {
        let at_most = now.checked_add(limit).unwrap_or(Timestamp::MAX);
        let valid_until = decision.valid_until.map_or(at_most, |until| until.min(at_most));
        Self { id: new_id(now), decision, valid_until, held, rules_age: None }
    }
}

/// What a decision says once its rules may be out of date (R15).
///
/// Only a yes needs fresh rules, so what would be allowed, an alternate included, is not known any
/// more. A no stays a no, whatever denies: a suspension, a criterion, a missing entitlement, or an
/// offer that the held rules do not know. A notice that is not gated goes out at any age (R10).
pub(super) fn age(
    mut decision: Decision<'_>,
    action: Action,
    freshness: Freshness,
) -> Decision<'_> {
    if freshness == Freshness::Fresh {
        return decision;
    }
    let stale = Reason::plain(ReasonCode::RulesStale);
    match decision.outcome {
        Outcome::Eligible if action == Action::Notify => return decision,
        Outcome::Eligible => {
            decision.outcome = Outcome::Indeterminate;
            decision.reasons = SmallVec::from_iter([stale]);
        }
        Outcome::Indeterminate => decision.reasons.push(stale),
        Outcome::Ineligible => {}
    }
    decision.alternate = None;
    decision
}

/// A UUID of version 7, whose time is the decision's own.
fn new_id(now: Timestamp) -> Uuid {
    let seconds = u64::try_from(now.as_second()).unwrap_or_default();
    let nanos = u32::try_from(now.subsec_nanosecond()).unwrap_or_default();
    Uuid::new_v7(uuid::Timestamp::from_unix(uuid::NoContext, seconds, nanos))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{AttributeName, OfferId};

    fn decision(code: ReasonCode) -> Decision<'static> {
        Decision {
            alternate: OfferId::parse("other").ok(),
            ..Decision::because(Reason::plain(code), Revision(3), Timestamp::UNIX_EPOCH)
        }
    }

    #[test]
    fn stale_rules_take_back_every_yes_and_no_no() {
        use ReasonCode::{
            CountryNotServed, EntitlementEnded, NoRuleApplies, NotGated, OfferUnknown, RulesStale,
            VendorSuspended,
        };
        for (action, before, outcome, reason) in [
            (Action::Offer, NoRuleApplies, Outcome::Indeterminate, RulesStale),
            (Action::Offer, VendorSuspended, Outcome::Ineligible, VendorSuspended),
            (Action::Offer, CountryNotServed, Outcome::Ineligible, CountryNotServed),
            (Action::Use, EntitlementEnded, Outcome::Ineligible, EntitlementEnded),
            (Action::Offer, OfferUnknown, Outcome::Ineligible, OfferUnknown),
            (Action::Notify, OfferUnknown, Outcome::Ineligible, OfferUnknown),
            (Action::Notify, NotGated, Outcome::Eligible, NotGated),
        ] {
            let aged = age(decision(before), action, Freshness::Stale);
            assert_eq!(
                (aged.outcome, aged.reasons.as_slice()),
                (outcome, &[Reason::plain(reason)][..])
            );
            assert!(reason == NotGated || aged.alternate.is_none());
            assert_eq!(age(decision(before), action, Freshness::Fresh), decision(before));
        }
    }

    #[test]
    fn what_is_missing_is_still_named_when_the_rules_are_stale_too() {
        let country = AttributeName::Standard("country");
        let missing = Reason::about(ReasonCode::AttributeMissing, country);
        let before = Decision::because(missing.clone(), Revision(3), Timestamp::UNIX_EPOCH);
        let aged = age(before, Action::Offer, Freshness::Stale);
        assert_eq!(aged.reasons.as_slice(), [missing, Reason::plain(ReasonCode::RulesStale)]);
    }

    #[test]
    fn an_answer_is_valid_up_to_the_limit_or_the_next_scheduled_change() {
        let now = Timestamp::UNIX_EPOCH;
        let at = |seconds| now.checked_add(Duration::from_secs(seconds)).ok();
        for (own, expected) in [(None, 5), (Some(2), 2), (Some(9), 5)] {
            let mut decision = decision(ReasonCode::NoRuleApplies);
            decision.valid_until = own.and_then(at);
            let answer = Answer::of(decision, None, now, Duration::from_secs(5));
            assert_eq!(Some(answer.valid_until), at(expected));
        }
    }
}
