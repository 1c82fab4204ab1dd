//! How the reading of a long log gets on: to tell whoever asks meanwhile when to ask again.

use crate::replica::BootTime;
use std::time::Duration;

/// When to ask again at the earliest, and at the latest: an estimate is no promise.
const ASK_AGAIN: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(60)];

/// How far a log was read, and from where since when.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Reading {
    since: BootTime,
    from: u64,
    read: u64,
}

impl Reading {
    /// Reading begins now, after so many records that are known.
    pub(super) fn begin(from: u64, since: BootTime) -> Self {
        Self { since, from, read: from }
    }

    /// So many are read by now.
    pub(super) fn got_to(&mut self, read: u64) {
        self.read = read;
    }

    /// How many records are read.
    pub(super) fn read(&self) -> u64 {
        self.read
    }

    /// When to ask again, if there are so many in all: the rest takes as long as what was read, in proportion.
    pub(super) fn done_in(&self, all: u64, now: BootTime) -> Duration {
        let [soonest, latest] = ASK_AGAIN;
        let left = all.saturating_sub(self.read);
        let done = self.read.saturating_sub(self.from);
        let took = u64::try_from(now.saturating_sub(self.since).as_millis()).unwrap_or(u64::MAX);
        match took.saturating_mul(left).checked_div(done) {
            Some(rest) => Duration::from_millis(rest).clamp(soonest, latest),
            None => soonest,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rest_of_a_log_takes_as_long_as_what_was_read_in_proportion() {
        let second = Duration::from_secs;
        let mut reading = Reading::begin(10_000, second(100));
        assert_eq!(reading.done_in(50_000, second(104)), second(1), "nothing was read yet");
        reading.got_to(30_000);
        for (all, now, expected, why) in [
            (100_000, 104, 14, "70,000 at 5,000 a second"),
            (30_000, 104, 1, "nothing is left"),
            (10_000, 104, 1, "less than was read"),
            (u64::MAX, 104, 60, "no promise"),
            (31_000, 90, 1, "a clock that is behind"),
        ] {
            assert_eq!(reading.done_in(all, second(now)), second(expected), "{why}");
        }
    }
}
