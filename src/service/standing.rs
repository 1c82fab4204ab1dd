//! What this server knows of its own standing, for those who watch it.

use super::Service;
use crate::domain::{Date, RuleSet, Suspension, Timestamp};
use crate::replica::{Contact, Freshness};
use crate::store::Standing as Place;
use crate::telemetry::{StandingSeen, StoreContact};
use std::sync::Arc;
use std::sync::atomic::Ordering;

impl Service {
    /// What this server knows of its own standing now.
    #[must_use]
    pub fn standing_seen(&self) -> StandingSeen {
        let past_review =
            self.held().map_or(0, |held| past_review(&held.rules, self.now()).count());
        StandingSeen {
            is_ready: self.ready().is_ok(),
            contact: self.store_contact(),
            lease_left: self.follower.as_ref().map(|follower| follower.lease_left()),
            staleness_limit: self.staleness_limit,
            past_review: u64::try_from(past_review).unwrap_or(u64::MAX),
        }
    }

    fn store_contact(&self) -> StoreContact {
        if self.damaged.load(Ordering::Acquire) {
            return StoreContact::Damaged;
        }
        let Some(follower) = &self.follower else {
            return match self.replica.freshness(self.clock.boot()) {
                Freshness::Fresh => StoreContact::Good,
                Freshness::Stale => StoreContact::Unreachable,
            };
        };
        match follower.contact() {
            Contact::Good => StoreContact::Good,
            Contact::None | Contact::Unreachable => StoreContact::Unreachable,
            Contact::Stuck(_) => StoreContact::Stuck,
            Contact::Apart(Place::Forked { .. } | Place::OtherLineage { .. }) => {
                StoreContact::Forked
            }
            Contact::Apart(
                Place::Empty
                | Place::LimitTooLong { .. }
                | Place::NameTaken { .. }
                | Place::NoRoom
                | Place::Newest
                | Place::Behind,
            ) => StoreContact::Refused,
        }
    }
}

/// The suspensions that are not over, and whose review date is: its whole day has gone by in UTC.
fn past_review(rules: &RuleSet, now: Timestamp) -> impl Iterator<Item = &Arc<Suspension>> {
    let today = day_of(now);
    rules.suspensions.values().filter(move |suspension| {
        suspension.over_since(now).is_none()
            && suspension.review_by.is_some_and(|review_by| review_by < today)
    })
}

/// The day in UTC.
fn day_of(instant: Timestamp) -> Date {
    jiff::tz::Offset::UTC.to_datetime(instant).date()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn a_suspension_is_past_its_review_from_the_day_after_until_it_is_over() {
        let yaml = r#"
vendors: {a: {name: A}}
suspensions:
  s: {target: {vendor: a}, actions: [OFFER], from: "2017-12-02T00:00:00Z", review_by: 2018-06-01,
      until: "2018-07-01T00:00:00Z", ticket: CHG-1, reason: Careful}
  t: {target: {vendor: a}, actions: [OFFER], from: "2017-12-02T00:00:00Z", ticket: CHG-1, reason: Careful}
"#;
        let rules = crate::rules::read(yaml).unwrap();
        for (now, expected) in [
            ("2018-05-31T23:59:59Z", 0),
            ("2018-06-01T23:59:59Z", 0),
            ("2018-06-02T00:00:00Z", 1),
            ("2018-06-30T23:59:59Z", 1),
            ("2018-07-01T00:00:00Z", 0),
        ] {
            assert_eq!(past_review(&rules, now.parse().unwrap()).count(), expected, "{now}");
        }
    }
}
