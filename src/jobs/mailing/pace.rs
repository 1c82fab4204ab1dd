//! How fast hand-overs may begin: so many a second, and so many a second to one domain.
//!
//! Pure: the time comes in, and what may begin goes out. A second's worth is handed out evenly, so that a
//! pause is never followed by a burst.
//!
//! Invariant: in no second do more begin than the rate, to anybody or to one domain, and a tenth of it.

use std::collections::HashMap;
use std::time::Duration;

/// How many domains are remembered at once; those that are due are forgotten beyond it.
const MOST_DOMAINS: usize = 100_000;

/// What was missed by less is made up for: a busy machine wakes late.
const LATE: Duration = Duration::from_millis(100);

/// Who may begin when.
#[derive(Debug)]
pub(super) struct Pace {
    every: Option<Duration>,
    every_domain: Option<Duration>,
    next: Duration,
    domains: HashMap<String, Duration>,
}

impl Pace {
    pub(super) fn new(per_second: Option<u32>, per_domain: Option<u32>) -> Self {
        let every = |rate: Option<u32>| {
            rate.map(|rate| Duration::from_nanos(1_000_000_000 / u64::from(rate.max(1))))
        };
        Self {
            every: every(per_second),
            every_domain: every(per_domain),
            next: Duration::ZERO,
            domains: HashMap::new(),
        }
    }

    /// Keeps the next free slot of a domain for one hand-over, and tells when it is.
    pub(super) fn slot(&mut self, domain: &str, now: Duration) -> Duration {
        let Some(every) = self.every_domain else { return now };
        if let Some(next) = self.domains.get_mut(domain) {
            let slot = now.max(*next);
            *next = slot + every;
            return slot;
        }
        if MOST_DOMAINS <= self.domains.len() {
            self.domains.retain(|_, next| now < *next);
        }
        self.domains.insert(domain.to_owned(), now + every);
        now
    }

    /// Begins a hand-over, which counts from now on; or tells when the next one may begin.
    pub(super) fn begin(&mut self, now: Duration) -> Result<(), Duration> {
        let Some(every) = self.every else { return Ok(()) };
        if now < self.next {
            return Err(self.next);
        }
        let late = now.saturating_sub(self.next).min(LATE);
        self.next = (now - late) + every;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_begin_as_the_rate_allows_and_no_more() {
        let mut pace = Pace::new(Some(50), None);
        let at = |milli: u64| Duration::from_millis(1_000_000 + milli);
        let begun = (0..10_000).filter(|milli| pace.begin(at(*milli)).is_ok()).count();
        assert!((495..=506).contains(&begun), "{begun} in ten seconds");
    }

    #[test]
    fn slots_of_one_domain_are_apart_and_others_have_their_own() {
        let mut pace = Pace::new(None, Some(10));
        let now = Duration::from_secs(1_000);
        let slots: Vec<_> = (0..3).map(|_| pace.slot("a", now)).collect();
        let tenth = Duration::from_millis(100);
        assert_eq!(slots, [now, now + tenth, now + 2 * tenth]);
        assert_eq!(pace.slot("b", now), now);
        assert_eq!(pace.slot("a", now + Duration::from_secs(9)), now + Duration::from_secs(9));
    }

    #[test]
    fn a_pause_is_followed_by_no_burst() {
        let mut pace = Pace::new(Some(10), None);
        assert!(pace.begin(Duration::from_secs(1)).is_ok());
        let at = |milli: u64| Duration::from_secs(3_600) + Duration::from_millis(milli);
        let begun = (0..1_000).filter(|milli| pace.begin(at(*milli)).is_ok()).count();
        assert!(begun <= 11, "{begun} in the second after an hour's pause");
    }

    #[test]
    fn without_a_rate_everything_begins_at_once() {
        let mut pace = Pace::new(None, None);
        assert!((0..1_000).all(|_| pace.begin(Duration::ZERO).is_ok()));
        assert_eq!(pace.slot("a", Duration::ZERO), pace.slot("a", Duration::ZERO));
    }
}
