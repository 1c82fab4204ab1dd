//! How long segments of a decision log are kept: what is too old or too much goes, the oldest first, and
//! what is left is one stretch that an auditor finds intact.

use crate::decision_log::{record, settings, verdict};
use crate::server::within_limit;
use offergate::audit::decisions::folder::{SegmentFile, segments};
use offergate::clock::{Clock, SystemClock};
use offergate::domain::Timestamp;
use offergate::recorder::{Recorder, RecorderSettings};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tempfile::TempDir;

/// The day on which the first segment is begun.
const FIRST: &str = "2026-03-01T12:00:00Z";

/// A clock whose wall time the test sets.
struct Dated(Mutex<Timestamp>);

impl Clock for Dated {
    fn wall(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }

    fn boot(&self) -> Duration {
        SystemClock.boot()
    }
}

/// Writes one segment a day, of ten records each, and then goes on with other settings on the day after.
/// Returns the recorder, whose own segment is open.
fn log(
    folder: &Path,
    days: i64,
    keep: impl Fn(RecorderSettings) -> RecorderSettings,
) -> Arc<Recorder> {
    let first: Timestamp = FIRST.parse().unwrap();
    let clock = Arc::new(Dated(Mutex::new(first)));
    for day in 0..days {
        *clock.0.lock().unwrap() = first + Duration::from_secs(day as u64 * 86_400);
        let recorder = Recorder::start(settings(folder), Arc::clone(&clock) as _).unwrap();
        (0..10).for_each(|_| record(&recorder, "c-1").unwrap());
        recorder.stop();
    }
    *clock.0.lock().unwrap() = first + Duration::from_secs(days as u64 * 86_400);
    Recorder::start(keep(settings(folder)), clock as _).unwrap()
}

/// The segments, once everything that is closed was compressed and this holds of them.
fn once(
    folder: &Path,
    holds: impl Fn(&[SegmentFile]) -> bool + Send + 'static,
) -> Vec<SegmentFile> {
    let folder = folder.to_owned();
    within_limit(move || {
        loop {
            let found = segments(&folder).unwrap();
            let closed = &found[..found.len() - 1];
            if closed.iter().all(|it| it.is_compressed) && holds(&found) {
                return found;
            }
            std::thread::yield_now();
        }
    })
}

#[test]
fn segments_that_ended_longer_ago_than_they_are_kept_are_deleted_and_the_rest_is_intact() {
    let folder = TempDir::new().unwrap();
    let keep = |settings| RecorderSettings { keep_days: Some(2), ..settings };
    let recorder = log(folder.path(), 5, keep);
    // On day 5 what ended before day 3 is gone. The segment of day 2 ended when that of day 3 began.
    let left = once(folder.path(), |found| found.len() == 4);
    assert_eq!(left.iter().map(|it| it.number).collect::<Vec<_>>(), [3, 4, 5, 6]);
    recorder.stop();
    let verdict = verdict(folder.path());
    assert_eq!((verdict.findings.len(), verdict.records), (0, 30), "{:?}", verdict.findings);
    assert_eq!(verdict.first_seq, Some(21), "it says itself where it begins");
}

#[test]
fn segments_beyond_the_room_that_they_may_take_are_deleted_the_oldest_first() {
    let folder = TempDir::new().unwrap();
    let recorder = log(folder.path(), 4, |settings| settings);
    let all = once(folder.path(), |found| found.len() == 5);
    recorder.stop();
    drop(recorder);
    let size = |segment: &SegmentFile| segment.path.metadata().map_or(0, |found| found.len());
    let room = size(&all[2]) + size(&all[3]);
    let keep = RecorderSettings { keep_bytes: Some(room), ..settings(folder.path()) };
    let recorder = Recorder::start(keep, Arc::new(SystemClock)).unwrap();
    let left = once(folder.path(), move |found| {
        let closed = &found[..found.len() - 1];
        closed.iter().map(size).sum::<u64>() <= room
    });
    let numbers: Vec<_> = left.iter().map(|it| it.number).collect();
    let newest = numbers.last().copied().unwrap();
    let expected: Vec<_> = (newest + 1 - numbers.len() as u64..=newest).collect();
    assert_eq!(numbers, expected, "one stretch, up to the newest");
    assert!(numbers.len() < newest as usize, "nothing was deleted");
    recorder.stop();
    assert_eq!(verdict(folder.path()).findings, []);
}

#[test]
fn without_a_limit_nothing_is_ever_deleted() {
    let folder = TempDir::new().unwrap();
    let recorder = log(folder.path(), 3, |settings| settings);
    let left = once(folder.path(), |found| found.len() == 4);
    assert_eq!(left.first().unwrap().number, 1);
    recorder.stop();
    assert_eq!(verdict(folder.path()).records, 30);
}
