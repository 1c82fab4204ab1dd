//! Instants and days as people write them (R2).
//!
//! An instant carries its offset (RFC 3339, RFC 9557), or it is a local time that comes with a zone.
//!
//! Invariant: nothing is guessed. A local time that a clock change makes happen twice, or never, is
//! refused with both readings named.

use super::tree::shown;
use crate::domain::{Date, Timestamp};
use jiff::ZonedDateTime;
use jiff::civil::DateTime;
use jiff::fmt::temporal::DateTimeParser;
use jiff::tz::{AmbiguousOffset, Offset, OffsetConflict, TimeZone};

/// Reads offsets and zones that contradict each other as an error.
const PARSER: DateTimeParser = DateTimeParser::new().offset_conflict(OffsetConflict::Reject);

/// The instants that can be told on every wire: years 1 to 9999.
const YEARS: std::ops::RangeInclusive<i16> = 1..=9999;

/// Why a text is no instant, or no day.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidInstant {
    /// Not a time at all.
    #[error("`{0}` is no instant; write one such as `2017-12-02T00:00:00Z`")]
    Unreadable(String),

    /// A day, which is no instant.
    #[error("`{0}` is a day, and an instant is wanted, such as `{0}T00:00:00Z`")]
    Day(String),

    /// A local time, which is another instant in every zone.
    #[error("`{0}` has no offset; write one, such as `{0}Z` or `{0}+01:00`")]
    NoOffset(String),

    /// An offset of a day or more, which no clock has.
    #[error("`{0}` has an offset out of range; write one from -23:59 to +23:59")]
    OffsetOutOfRange(String),

    /// A zone that nobody knows.
    #[error("`{0}` is no time zone; write one such as `Europe/London`")]
    UnknownZone(String),

    /// The offset is not what the zone had at that time.
    #[error("`{time}` contradicts the zone `{zone}`, which had another offset then")]
    Contradiction {
        /// The time as written.
        time: String,
        /// The zone.
        zone: String,
    },

    /// Clocks went back, and this local time came twice.
    #[error("`{time}` came twice in {zone}: write `{first}` or `{second}`")]
    Twice {
        /// The time as written.
        time: String,
        /// The zone.
        zone: String,
        /// The earlier instant.
        first: String,
        /// The later instant.
        second: String,
    },

    /// Clocks went forward, and this local time never came.
    #[error(
        "`{time}` never came in {zone}, where clocks went forward: write `{first}` or `{second}`"
    )]
    Never {
        /// The time as written.
        time: String,
        /// The zone.
        zone: String,
        /// The reading with the offset after the change, which is the earlier instant.
        first: String,
        /// The reading with the offset before the change.
        second: String,
    },

    /// Not a day of the calendar.
    #[error("`{0}` is no day; write one such as `2017-12-02`")]
    NoDay(String),
}

/// Reads an instant: with an offset, or as local time in `zone`.
///
/// An instant that has an offset may come with a zone too, if the two agree.
///
/// # Errors
/// When the text is no instant, or could be more than one.
pub fn parse(text: &str, zone: Option<&str>) -> Result<Timestamp, InvalidInstant> {
    let shown = || shown(text);
    if offset_hours(text).is_some_and(|hours| 23 < hours) {
        return Err(InvalidInstant::OffsetOutOfRange(shown()));
    }
    let instant = match with_offset(text) {
        Ok(instant) => match zone {
            Some(zone) => agreeing(text, instant, zone)?,
            None => instant,
        },
        Err(contradiction @ InvalidInstant::Contradiction { .. }) => return Err(contradiction),
        Err(_) => {
            let local = local(text).ok_or_else(|| InvalidInstant::Unreadable(shown()))?;
            match zone {
                Some(zone) => in_zone(text, local, zone)?,
                None if is_day(text) => return Err(InvalidInstant::Day(shown())),
                None => return Err(InvalidInstant::NoOffset(shown())),
            }
        }
    };
    let year = Offset::UTC.to_datetime(instant).year();
    if YEARS.contains(&year) { Ok(instant) } else { Err(InvalidInstant::Unreadable(shown())) }
}

/// Reads a day, `YYYY-MM-DD` and nothing more.
///
/// # Errors
/// When the text is anything else, an instant included.
pub fn parse_day(text: &str) -> Result<Date, InvalidInstant> {
    let no_day = || InvalidInstant::NoDay(shown(text));
    if !is_day(text) {
        return Err(no_day());
    }
    let day: Date = text.parse().map_err(|_| no_day())?;
    if YEARS.contains(&day.year()) { Ok(day) } else { Err(no_day()) }
}

/// Whether a text has the shape of a day.
fn is_day(text: &str) -> bool {
    text.len() == 10
        && text.bytes().enumerate().all(|(at, byte)| match at {
            4 | 7 => byte == b'-',
            _ => byte.is_ascii_digit(),
        })
}

/// The hours of an offset, as far as there is one. The parser would read some that are too many.
fn offset_hours(text: &str) -> Option<u8> {
    let (_, time) = text.split_once(['T', 't', ' '])?;
    let (time, _) = time.split_once('[').unwrap_or((time, ""));
    let (_, offset) = time.rsplit_once(['+', '-'])?;
    offset.get(..2)?.parse().ok()
}

/// An instant with its offset; a zone in brackets must agree with it.
fn with_offset(text: &str) -> Result<Timestamp, InvalidInstant> {
    let unreadable = || InvalidInstant::Unreadable(shown(text));
    let instant = PARSER.parse_timestamp(text).or_else(|_| never(text).ok_or_else(unreadable))?;
    let Some((_, zone)) = text.split_once('[') else { return Ok(instant) };
    let contradiction = || InvalidInstant::Contradiction {
        time: shown(text),
        zone: shown(zone.trim_end_matches(']')),
    };
    PARSER.parse_zoned_datetime(text).map_err(|_| contradiction())?;
    Ok(instant)
}

/// The last days of 9999, which people write for "never" and which are past what an instant can hold,
/// read as the last instant that it can: as they do over RPC.
fn never(text: &str) -> Option<Timestamp> {
    let pieces = PARSER.parse_pieces(text).ok()?;
    let last = TimeZone::UTC.to_datetime(Timestamp::MAX).date();
    let is_whole = pieces.time().is_some() && pieces.offset().is_some();
    (is_whole && last <= pieces.date()).then_some(Timestamp::MAX)
}

/// A local time without an offset. What has an offset or a `Z` is none.
fn local(text: &str) -> Option<DateTime> {
    // The parser would read past an offset, and so past one that it could not use.
    let has_offset = text.get(10..).is_some_and(|time| time.contains(['+', '-', 'Z', 'z', '[']));
    if has_offset {
        return None;
    }
    PARSER.parse_datetime(text).ok()
}

fn zone_of(name: &str) -> Result<TimeZone, InvalidInstant> {
    TimeZone::get(name).map_err(|_| InvalidInstant::UnknownZone(shown(name)))
}

/// Checks that the offset in `text` is one that the zone had at that instant.
fn agreeing(text: &str, instant: Timestamp, zone: &str) -> Result<Timestamp, InvalidInstant> {
    zone_of(zone)?;
    // `Z` says nothing about local time, so that it agrees with every zone.
    let time = text.split('[').next().unwrap_or(text);
    let agrees = PARSER.parse_zoned_datetime(format!("{time}[{zone}]")).is_ok();
    if agrees {
        Ok(instant)
    } else {
        Err(InvalidInstant::Contradiction { time: shown(text), zone: shown(zone) })
    }
}

/// The one instant at which clocks in `zone` showed `local`.
fn in_zone(text: &str, local: DateTime, zone: &str) -> Result<Timestamp, InvalidInstant> {
    let tz = zone_of(zone)?;
    let unreadable = || InvalidInstant::Unreadable(shown(text));
    let reading = |offset: Offset| -> Result<(Timestamp, String), InvalidInstant> {
        let instant = offset.to_timestamp(local).map_err(|_| unreadable())?;
        let shown =
            ZonedDateTime::new(instant, tz.clone()).strftime("%Y-%m-%dT%H:%M:%S%:z").to_string();
        Ok((instant, shown))
    };
    let (time, zone) = (shown(text), shown(zone));
    match tz.to_ambiguous_timestamp(local).offset() {
        AmbiguousOffset::Unambiguous { offset } => Ok(reading(offset)?.0),
        AmbiguousOffset::Fold { before, after } => {
            let (first, second) = (reading(before)?.1, reading(after)?.1);
            Err(InvalidInstant::Twice { time, zone, first, second })
        }
        AmbiguousOffset::Gap { before, after } => {
            let (first, second) = (reading(after)?.1, reading(before)?.1);
            Err(InvalidInstant::Never { time, zone, first, second })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str, zone: Option<&str>) -> String {
        parse(text, zone).map_or_else(|error| error.to_string(), |instant| instant.to_string())
    }

    #[test]
    fn an_instant_has_an_offset_or_a_zone() {
        for (text, zone, expected) in [
            ("2017-12-02T00:00:00Z", None, "2017-12-02T00:00:00Z"),
            ("2015-10-10T12:00Z", None, "2015-10-10T12:00:00Z"),
            ("2017-12-02T00:00:00.5+05:30", None, "2017-12-01T18:30:00.5Z"),
            ("9999-12-31T23:59:59Z", None, "9999-12-30T22:00:00.999999999Z"),
            ("2024-06-01T01:30:00+01:00[Europe/London]", None, "2024-06-01T00:30:00Z"),
            ("2024-06-01T01:30:00+23:59", None, "2024-05-31T01:31:00Z"),
            ("2024-06-01T01:30:00-23:59", None, "2024-06-02T01:29:00Z"),
            ("2024-06-01 01:30", Some("Europe/London"), "2024-06-01T00:30:00Z"),
            ("2024-06-01", Some("Europe/London"), "2024-05-31T23:00:00Z"),
            ("2024-10-27T01:30+01:00", Some("Europe/London"), "2024-10-27T00:30:00Z"),
            ("2024-10-27T01:30+00:00", Some("Europe/London"), "2024-10-27T01:30:00Z"),
            ("2024-10-27T01:30Z", Some("America/New_York"), "2024-10-27T01:30:00Z"),
        ] {
            assert_eq!(told(text, zone), expected, "{text} {zone:?}");
        }
    }

    #[test]
    fn a_local_time_that_came_twice_or_never_is_refused_with_both_readings() {
        assert_eq!(
            told("2024-10-27 01:30", Some("Europe/London")),
            "`2024-10-27 01:30` came twice in Europe/London: write `2024-10-27T01:30:00+01:00` or \
             `2024-10-27T01:30:00+00:00`"
        );
        assert_eq!(
            told("2024-03-31 01:30", Some("Europe/London")),
            "`2024-03-31 01:30` never came in Europe/London, where clocks went forward: write \
             `2024-03-31T00:30:00+00:00` or `2024-03-31T02:30:00+01:00`"
        );
    }

    #[test]
    fn what_could_be_more_than_one_instant_or_none_is_refused() {
        for (text, zone, problem) in [
            ("2024-10-27 01:30", None, "has no offset"),
            ("2024-10-27", None, "is a day, and an instant is wanted"),
            ("2024-10-27T01:30[Europe/London]", None, "is no instant"),
            ("2024-06-01T01:30:00+02:00[Europe/London]", None, "contradicts the zone"),
            ("2024-06-01T01:30:00+02:00", Some("Europe/London"), "contradicts the zone"),
            ("2024-06-01T01:30:00", Some("Europe/Lundon"), "is no time zone"),
            ("2024-06-01T01:30:00Z", Some("Europe/Lundon"), "is no time zone"),
            ("2024-06-01T01:30:00+99:00", None, "write one from -23:59 to +23:59"),
            ("2024-06-01T01:30:00+25:00", None, "write one from -23:59 to +23:59"),
            ("2024-06-01T01:30:00-24:00", None, "write one from -23:59 to +23:59"),
            ("9999-12-31T23:59:59+2400", None, "write one from -23:59 to +23:59"),
            ("2024-06-01T01:30:00+23:60", None, "is no instant"),
            ("9999-12-31T23:59:59-10:00", Some("Europe/London"), "contradicts the zone"),
            ("9999-12-31", None, "is a day, and an instant is wanted"),
            ("yesterday", None, "is no instant"),
            ("", None, "is no instant"),
            ("2024-02-30T00:00:00Z", None, "is no instant"),
            ("-000001-01-01T00:00:00Z", None, "is no instant"),
            ("1718755200", None, "is no instant"),
        ] {
            let told = told(text, zone);
            assert!(told.contains(problem), "{text} {zone:?}: {told}");
        }
    }

    #[test]
    fn a_day_is_a_day_and_nothing_more() {
        assert_eq!(parse_day("2017-12-02").map(|day| day.to_string()), Ok("2017-12-02".to_owned()));
        for refused in
            ["2017-12-02T00:00:00Z", "2017-12-2", "20171202", "2017-02-29", "0000-01-01", ""]
        {
            assert!(matches!(parse_day(refused), Err(InvalidInstant::NoDay(_))), "{refused}");
        }
    }
}
