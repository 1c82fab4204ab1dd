//! Quiet hours: from one time of day to another, in a zone, every day.
//!
//! Pure. The clock is the caller's.
//!
//! Invariant: the hours are those that a clock on the wall shows there. When clocks are set forward or back,
//! a time that does not exist, or exists twice, is taken so that the quiet is not shorter than it reads.

use jiff::Timestamp;
use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

/// When nobody is written to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quiet {
    /// From this time of day.
    pub from: Time,
    /// Up to, and not including, this one; the next day's if it is not later.
    pub to: Time,
    /// Where: an IANA name.
    pub zone: String,
}

impl Quiet {
    /// Reads `21:00-08:00`.
    ///
    /// # Errors
    /// When it is none, or the zone is not known.
    pub fn parse(text: &str, zone: &str) -> Result<Self, String> {
        let unreadable = || format!("`{text}` is not HH:MM-HH:MM, such as 21:00-08:00");
        let (from, to) = text.split_once('-').ok_or_else(unreadable)?;
        let time = |text: &str| match text.len() {
            5 => text.parse::<Time>().map_err(|_| unreadable()),
            _ => Err(unreadable()),
        };
        let quiet = Self { from: time(from)?, to: time(to)?, zone: zone.to_owned() };
        if quiet.from == quiet.to {
            return Err(format!("`{text}` would be always, or never"));
        }
        TimeZone::get(zone).map_err(|_| format!("`{zone}` is no time zone that is known here"))?;
        Ok(quiet)
    }

    /// Until when it is quiet at this instant; `None` when it is not. A zone that became unknown is quiet
    /// for an hour more.
    #[must_use]
    pub fn until(&self, now: Timestamp) -> Option<Timestamp> {
        let Ok(zone) = TimeZone::get(&self.zone) else {
            return now.checked_add(jiff::SignedDuration::from_hours(1)).ok();
        };
        let today = now.to_zoned_datetime(zone.clone()).date();
        // A clock change moves what begins or ends near midnight to another day at most.
        let days = [today.yesterday().ok(), Some(today), today.tomorrow().ok()];
        let hours = days.into_iter().flatten().filter_map(|day| self.hours(day, &zone));
        hours.filter(|(from, to)| *from <= now && now < *to).map(|(_, to)| to).max()
    }

    /// The quiet hours that begin on a day, as instants.
    fn hours(&self, day: Date, zone: &TimeZone) -> Option<(Timestamp, Timestamp)> {
        let last = if self.from < self.to { day } else { day.tomorrow().ok()? };
        let from = zone.to_ambiguous_zoned_datetime(day.to_datetime(self.from)).earlier().ok()?;
        let to = zone.to_ambiguous_zoned_datetime(last.to_datetime(self.to)).later().ok()?;
        Some((from.timestamp(), to.timestamp()))
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn quiet_hours_are_those_of_the_wall_clock_there() {
        let night = Quiet::parse("21:00-08:00", "Europe/London").unwrap();
        let noon = Quiet::parse("12:00-13:30", "Europe/London").unwrap();
        let late = Quiet::parse("21:00-01:30", "Europe/London").unwrap();
        let early = Quiet::parse("01:30-02:30", "Europe/London").unwrap();
        for (quiet, now, until, why) in [
            (&night, "2026-01-10T20:59:59Z", None, "the last second before"),
            (&night, "2026-01-10T21:00:00Z", Some("2026-01-11T08:00:00Z"), "the start is quiet"),
            (&night, "2026-01-11T07:59:59Z", Some("2026-01-11T08:00:00Z"), "after midnight"),
            (&night, "2026-01-11T08:00:00Z", None, "the end is not quiet"),
            (&night, "2026-07-10T20:30:00Z", Some("2026-07-11T07:00:00Z"), "summer time"),
            (&night, "2026-03-28T23:00:00Z", Some("2026-03-29T07:00:00Z"), "a short night"),
            (&night, "2026-10-24T21:00:00Z", Some("2026-10-25T08:00:00Z"), "a long night"),
            (&late, "2026-03-29T01:00:00Z", Some("2026-03-29T01:30:00Z"), "01:30 is skipped"),
            (&late, "2026-03-29T01:29:59Z", Some("2026-03-29T01:30:00Z"), "02:29:59 in summer"),
            (&late, "2026-03-29T01:30:00Z", None, "02:30 in summer"),
            (&late, "2026-10-25T00:30:00Z", Some("2026-10-25T01:30:00Z"), "01:30, the first time"),
            (&late, "2026-10-25T01:29:59Z", Some("2026-10-25T01:30:00Z"), "01:29:59 once more"),
            (&late, "2026-10-25T01:30:00Z", None, "01:30, the second time"),
            (&early, "2026-03-29T00:30:00Z", Some("2026-03-29T01:30:00Z"), "it begins early"),
            (&early, "2026-03-29T00:29:59Z", None, "but no earlier"),
            (&early, "2026-10-25T00:30:00Z", Some("2026-10-25T02:30:00Z"), "the first 01:30"),
            (&early, "2026-10-25T01:15:00Z", Some("2026-10-25T02:30:00Z"), "01:15 once more"),
            (&noon, "2026-01-10T11:59:00Z", None, "before noon"),
            (&noon, "2026-01-10T12:30:00Z", Some("2026-01-10T13:30:00Z"), "at noon"),
        ] {
            let until = until.map(|until| until.parse::<Timestamp>().unwrap());
            assert_eq!(quiet.until(now.parse().unwrap()), until, "{why}");
        }
    }

    #[test]
    fn hours_that_are_none_are_refused() {
        for (text, zone) in [
            ("21-8", "Europe/London"),
            ("21:00", "Europe/London"),
            ("21:00-25:00", "Europe/London"),
            ("21:00-21:00", "Europe/London"),
            ("21:00-08:00", "Europe/Lundon"),
        ] {
            assert!(Quiet::parse(text, zone).is_err(), "{text} {zone}");
        }
    }
}
