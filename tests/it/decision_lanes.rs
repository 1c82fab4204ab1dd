//! How decisions come into their log: what workers and the writer chain in turn, what has no room and is counted
//! or refused, what is left out of a sample.

use crate::decision_log::{record, settings, start, verdict};
use offergate::audit::decisions::folder::segments;
use offergate::clock::{Clock, SystemClock};
use offergate::domain::Timestamp;
use offergate::recorder::{LogFull, Recorder, RecorderSettings};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tempfile::TempDir;

#[test]
fn what_a_lane_has_no_room_for_is_counted_to_the_last_decision() {
    const THREADS: usize = 4;
    const EACH: usize = 5_000;
    let folder = TempDir::new().unwrap();
    let recorder = start(RecorderSettings { lane_bytes: 4_096, ..settings(folder.path()) });
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| (0..EACH).for_each(|_| record(&recorder, "c-1").unwrap()));
        }
    });
    recorder.stop();
    let (seen, all) = (recorder.seen(), (THREADS * EACH) as u64);
    let verdict = verdict(folder.path());
    assert_eq!(verdict.findings, []);
    let told: u64 = verdict.gaps.iter().map(|(_, gap)| gap.count.unwrap()).sum();
    assert_eq!((seen.written, seen.dropped), (verdict.records, told));
    assert_eq!(verdict.records + told, all);
    assert_eq!((verdict.first_seq, verdict.next_seq), (Some(1), all + 1));
    assert_eq!(seen.gaps, verdict.gaps.len() as u64);
    assert!(0 < told, "nothing overflowed");
}

/// A clock by which a minute is over in 20 ms, so that segments are closed all the time.
struct Hurried;

impl Clock for Hurried {
    fn wall(&self) -> Timestamp {
        SystemClock.wall()
    }

    fn boot(&self) -> Duration {
        SystemClock.boot() * 3_000
    }
}

#[test]
fn what_workers_and_the_writer_chain_in_turn_is_one_chain_over_segments_that_end_meanwhile() {
    const THREADS: usize = 4;
    let folder = TempDir::new().unwrap();
    let recorder = Recorder::start(settings(folder.path()), Arc::new(Hurried)).unwrap();
    let (done, all) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    record(&recorder, "c-1").unwrap();
                    all.fetch_add(1, Ordering::Relaxed);
                    // So that what an auditor reads afterwards is not too much for a test.
                    std::thread::sleep(Duration::from_micros(20));
                }
            });
        }
        while segments(folder.path()).unwrap().len() < 6 {
            std::thread::sleep(Duration::from_millis(1));
        }
        done.store(true, Ordering::Relaxed);
    });
    recorder.stop();
    let (seen, all) = (recorder.seen(), all.into_inner());
    let verdict = verdict(folder.path());
    assert_eq!((verdict.findings.len(), verdict.gaps.len()), (0, 0), "{:?}", verdict.findings);
    assert_eq!((verdict.records, verdict.signed, seen.written), (all, all, all));
    assert_eq!((verdict.first_seq, verdict.next_seq), (Some(1), all + 1));
}

#[test]
fn a_log_that_refuses_leaves_nothing_out() {
    let folder = TempDir::new().unwrap();
    let strict = RecorderSettings { lane_bytes: 2_048, refuse: true, ..settings(folder.path()) };
    let recorder = start(strict);
    let (mut taken, mut refused) = (0, 0);
    while refused == 0 || taken < 100 {
        match record(&recorder, "c-1") {
            Ok(()) => taken += 1,
            Err(LogFull) => refused += 1,
        }
    }
    recorder.stop();
    assert_eq!(record(&recorder, "c-1"), Err(LogFull), "nobody writes any more");
    let verdict = verdict(folder.path());
    assert_eq!((verdict.findings.len(), verdict.gaps.len()), (0, 0));
    assert_eq!((verdict.records, verdict.signed), (taken, taken));
    assert_eq!(recorder.seen().refused, refused + 1);
}

#[test]
fn a_sample_is_drawn_by_lot_and_says_how_many_it_left_out() {
    let folder = TempDir::new().unwrap();
    let recorder =
        start(RecorderSettings { sample_millionths: 100_000, ..settings(folder.path()) });
    for _ in 0..20_000 {
        record(&recorder, "c-1").unwrap();
    }
    recorder.stop();
    let verdict = verdict(folder.path());
    assert!((1_600..2_400).contains(&verdict.records), "{}", verdict.records);
    assert_eq!(verdict.records + verdict.sampled_out, 20_000);
    assert_eq!(verdict.sample, Some(0.1));
}
