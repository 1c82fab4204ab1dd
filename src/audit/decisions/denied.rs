//! Counts in how many recorded decisions one suspension stood in the way.
//!
//! A line is parsed only where the suspension's name is in it, since a log is long and few lines name it.
//!
//! Invariant: what is not there, or does not read, is counted too, so that nobody takes a part for the
//! whole.

use super::Recorded;
use super::folder::RECORD;
use super::segment::{Gap, Line, Parts};
use crate::domain::{Outcome, SuspensionId, Timestamp};
use memchr::memmem::Finder;

/// What was found so far.
#[derive(Debug)]
pub struct Denied {
    id: SuspensionId,
    /// How the suspension is named in a record, and nowhere else: a text in it has no bare quotes.
    name: Finder<'static>,
    since: Timestamp,
    /// Decisions that were no, the suspension being among what said so.
    pub denied: u64,
    /// Those of them that nothing else spoke against.
    pub alone: u64,
    /// How many decisions gaps count.
    pub missing: u64,
    /// Gaps without a count.
    pub uncounted_gaps: u64,
    /// Lines that do not read.
    pub unreadable: u64,
    /// The lowest share that was recorded in a segment.
    pub sample: f64,
}

impl Denied {
    /// None yet, by a suspension that was in force from `since` on.
    #[must_use]
    pub fn by(id: &SuspensionId, since: Timestamp) -> Self {
        let name = format!("{{\"id\":\"{id}\",\"code\":");
        Self {
            id: id.clone(),
            name: Finder::new(name.as_bytes()).into_owned(),
            since,
            denied: 0,
            alone: 0,
            missing: 0,
            uncounted_gaps: 0,
            unreadable: 0,
            sample: 1.0,
        }
    }

    /// Takes one whole line of a segment.
    pub fn take(&mut self, line: &[u8]) {
        if line.starts_with(RECORD) {
            if self.name.find(line).is_some() {
                match std::str::from_utf8(line).ok().map(Recorded::read) {
                    Some(Ok(record)) => self.take_record(&record),
                    Some(Err(_)) | None => self.unreadable += 1,
                }
            }
            return;
        }
        match Parts::of(line).map(|parts| parts.line) {
            Some(Line::Header(header)) => self.sample = self.sample.min(header.sample),
            Some(Line::Gap(gap)) => self.take_gap(&gap),
            Some(Line::Footer(..)) => {}
            Some(Line::Record(_)) | None => self.unreadable += 1,
        }
    }

    fn take_record(&mut self, record: &Recorded<'_>) {
        let is_named = record.suspensions.iter().any(|it| it.id == self.id.as_str());
        if is_named && record.outcome == Outcome::Ineligible.name() {
            self.denied += 1;
            self.alone += u64::from(record.suspensions.len() == 1 && record.reasons.len() == 1);
        }
    }

    fn take_gap(&mut self, gap: &Gap) {
        match gap.count {
            _ if gap.at < self.since => {}
            Some(count) => self.missing += count,
            None => self.uncounted_gaps += 1,
        }
    }

    /// Whether nothing is missing from what was read, as far as it says itself.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        let gaps = self.missing + self.uncounted_gaps + self.unreadable;
        gaps == 0 && 1.0 <= self.sample
    }
}
