//! Who was told yes for what a vendor is behind: the people to whom a notice about it is due.
//!
//! Counted from the decision log, by the rules that each decision rested on: the vendor, its family and
//! its components as they were at that instant. A notice itself (`NOTIFY`) gives nobody a product, and is
//! no exposure.
//!
//! Invariant: what the log lacks is counted, too, so that nobody takes a part for the whole.

use crate::audit::decisions::Recorded;
use crate::audit::decisions::segment::Gap;
use crate::decision::{Involved, Involvement};
use crate::domain::{Action, Date, Outcome, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

/// A customer who was told yes for an offer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exposure {
    /// The customer, as recorded.
    pub customer: String,
    /// The offer.
    pub offer: String,
    /// For what.
    pub actions: BTreeSet<String>,
    /// How the vendor was behind it.
    pub involved: BTreeSet<Involved>,
    /// When first.
    pub first: Timestamp,
    /// When last.
    pub last: Timestamp,
    /// How often.
    pub count: u64,
}

/// How often yes was said for an offer on a day, in UTC, and to how many customers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DayCount {
    /// How often.
    pub decisions: u64,
    /// To whom.
    pub customers: u64,
}

/// Everybody who was told yes between two instants.
#[derive(Debug)]
pub struct Exposures {
    from: Timestamp,
    until: Timestamp,
    found: BTreeMap<(String, String), Exposure>,
    days: BTreeMap<(String, Date), (u64, BTreeSet<String>)>,
    /// How many decisions gaps count in that time.
    pub missing: u64,
    /// How many gaps in that time have no count.
    pub uncounted_gaps: u64,
    /// The lowest share that was recorded in a segment that was read.
    pub sample: f64,
}

impl Exposures {
    /// Nobody yet.
    #[must_use]
    pub fn between(from: Timestamp, until: Timestamp) -> Self {
        Self {
            from,
            until,
            found: BTreeMap::new(),
            days: BTreeMap::new(),
            missing: 0,
            uncounted_gaps: 0,
            sample: 1.0,
        }
    }

    /// Whether a record says yes to something in that time, so that its rules are worth looking at.
    #[must_use]
    pub fn may_be(&self, record: &Recorded<'_>) -> bool {
        record.outcome == Outcome::Eligible.name()
            && record.request.action != Action::Notify.name()
            && self.from <= record.at
            && record.at < self.until
    }

    /// Takes a record that [`Exposures::may_be`] one, with what the vendor is behind by its rules.
    pub fn take(&mut self, record: &Recorded<'_>, involvement: &Involvement) {
        let offer = &*record.request.offer;
        let Some(involved) = involvement.at(offer, record.at) else { return };
        let customer = record.request.customer.id.to_string();
        let day = jiff::tz::TimeZone::UTC.to_datetime(record.at).date();
        let (decisions, customers) = self.days.entry((offer.to_owned(), day)).or_default();
        *decisions += 1;
        customers.insert(customer.clone());
        let found = self.found.entry((customer.clone(), offer.to_owned()));
        let exposure = found.or_insert_with(|| Exposure {
            customer,
            offer: offer.to_owned(),
            actions: BTreeSet::new(),
            involved: BTreeSet::new(),
            first: record.at,
            last: record.at,
            count: 0,
        });
        exposure.actions.insert(record.request.action.to_string());
        exposure.involved.insert(involved);
        exposure.first = exposure.first.min(record.at);
        exposure.last = exposure.last.max(record.at);
        exposure.count += 1;
    }

    /// Takes a gap of the log, if it lies in that time.
    pub fn take_gap(&mut self, gap: &Gap) {
        let is_later = gap.after.is_some_and(|after| self.until <= after);
        if gap.at < self.from || is_later {
            return;
        }
        match gap.count {
            Some(count) => self.missing += count,
            None => self.uncounted_gaps += 1,
        }
    }

    /// Takes the share that a segment records.
    pub fn take_sample(&mut self, share: f64) {
        self.sample = self.sample.min(share);
    }

    /// Whether everybody is among them: nothing was left out, as far as the log knows.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.missing == 0 && self.uncounted_gaps == 0 && 1.0 <= self.sample
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.found.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// By customer, then offer.
    pub fn iter(&self) -> impl Iterator<Item = &Exposure> {
        self.found.values()
    }

    /// After a customer and an offer.
    pub fn after(&self, customer: &str, offer: &str) -> impl Iterator<Item = &Exposure> {
        use std::ops::Bound::{Excluded, Unbounded};
        let start = Excluded((customer.to_owned(), offer.to_owned()));
        self.found.range((start, Unbounded)).map(|(_, exposure)| exposure)
    }

    /// By offer, then day.
    pub fn days(&self) -> impl Iterator<Item = (&str, Date, DayCount)> {
        self.days.iter().map(|((offer, day), (decisions, customers))| {
            let customers = u64::try_from(customers.len()).unwrap_or(u64::MAX);
            (offer.as_str(), *day, DayCount { decisions: *decisions, customers })
        })
    }

    /// How many customers.
    #[must_use]
    pub fn customers(&self) -> usize {
        self.found.keys().map(|(customer, _)| customer).collect::<BTreeSet<_>>().len()
    }
}
