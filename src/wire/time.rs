//! Instants: protobuf's seconds and nanos, and ours.

use crate::domain::Timestamp;

/// First and last second that a protobuf timestamp may have: years 1 to 9999.
const SECONDS: std::ops::RangeInclusive<i64> = -62_135_596_800..=253_402_300_799;

/// Reads an instant; `None` outside the years 1 to 9999, and for nanos that are none.
///
/// The last day of 9999, which callers send for "never", is past what we can hold, and reads as the
/// last instant that we can.
#[must_use]
pub fn read(given: &prost_types::Timestamp) -> Option<Timestamp> {
    let nanos = 0..=999_999_999;
    if !SECONDS.contains(&given.seconds) || !nanos.contains(&given.nanos) {
        return None;
    }
    if Timestamp::MAX.as_second() < given.seconds {
        return Some(Timestamp::MAX);
    }
    Timestamp::new(given.seconds, given.nanos).ok()
}

/// Writes an instant. Protobuf counts nanos forward, before 1970 too.
#[must_use]
pub fn write(instant: Timestamp) -> prost_types::Timestamp {
    let (seconds, nanos) = (instant.as_second(), instant.subsec_nanosecond());
    if nanos < 0 {
        prost_types::Timestamp { seconds: seconds - 1, nanos: nanos + 1_000_000_000 }
    } else {
        prost_types::Timestamp { seconds, nanos }
    }
}

/// Writes how long something took.
#[must_use]
pub fn write_duration(duration: std::time::Duration) -> prost_types::Duration {
    let seconds = i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
    let nanos = i32::try_from(duration.subsec_nanos()).unwrap_or_default();
    prost_types::Duration { seconds, nanos }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_reads_back_as_it_was_written_before_1970_too() {
        for (seconds, nanos) in
            [(0, 0), (-1, 1), (-62_135_596_800, 0), (253_402_207_200, 999_999_999), (1, 5)]
        {
            let given = prost_types::Timestamp { seconds, nanos };
            assert_eq!(read(&given).map(write), Some(given));
        }
    }

    #[test]
    fn the_last_day_that_means_never_is_no_bad_instant() {
        let never = prost_types::Timestamp { seconds: 253_402_300_799, nanos: 0 };
        assert_eq!(read(&never), Some(Timestamp::MAX));
    }

    #[test]
    fn what_is_no_instant_does_not_read() {
        for (seconds, nanos) in [
            (0, -1),
            (0, 1_000_000_000),
            (0, 2_000_000_000),
            (-62_135_596_801, 0),
            (253_402_300_800, 0),
            (i64::MIN, 0),
            (i64::MAX, 0),
        ] {
            assert_eq!(read(&prost_types::Timestamp { seconds, nanos }), None, "{seconds} {nanos}");
        }
    }
}
