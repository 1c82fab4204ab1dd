//! Whatever is done to a decision log, the auditor names the line or the segment.

use crate::decision_log::{key, record, settings, start};
use offergate::audit::decisions::folder::{each_line, file_name, segments};
use offergate::audit::decisions::segment::{Chained, Line, Linker, Parts};
use offergate::audit::decisions::{Auditor, Verdict, Wrong};
use offergate::audit::{AuditKey, KeyName};
use offergate::domain::ChainHash;
use std::path::Path;
use tempfile::TempDir;

/// How many records each segment has.
const EACH: usize = 6;

type Segments = Vec<Vec<String>>;

/// Three segments as their lines: a header, six records, a footer.
fn log() -> Segments {
    let folder = TempDir::new().unwrap();
    for _ in 0..3 {
        let recorder = start(settings(folder.path()));
        (0..EACH).for_each(|number| record(&recorder, &format!("c-{number}")).unwrap());
        recorder.stop();
    }
    let read = |segment: &offergate::audit::decisions::folder::SegmentFile| {
        let mut lines = Vec::new();
        each_line(segment.open().unwrap(), |line, _| {
            lines.push(String::from_utf8(line.to_vec()).unwrap());
            Ok::<_, std::io::Error>(true)
        })
        .unwrap();
        lines
    };
    segments(folder.path()).unwrap().iter().map(read).collect()
}

/// What is found in segments with these numbers: the same with hashes that were worked out ahead.
fn judge(log: &[(u64, &[String])], key: &AuditKey) -> Verdict {
    let verifier = key.verifier();
    let mut auditor = Auditor::new(Some(&verifier));
    let mut with_hashes = Auditor::new(Some(&verifier));
    for (number, lines) in log {
        auditor.begin(*number);
        with_hashes.begin(*number);
        let mut linker = Linker::default();
        for line in lines.iter().map(String::as_bytes) {
            auditor.take(line);
            with_hashes.take_hashed(line, linker.link(line));
        }
    }
    let verdict = auditor.finish();
    assert_eq!(told(&with_hashes.finish()), told(&verdict));
    verdict
}

fn found(log: &Segments) -> Vec<(u64, u64, Wrong)> {
    let numbered: Vec<_> = (1..).zip(log.iter().map(Vec::as_slice)).collect();
    told(&judge(&numbered, &key()))
}

fn told(verdict: &Verdict) -> Vec<(u64, u64, Wrong)> {
    verdict.findings.iter().map(|it| (it.segment, it.line, it.wrong)).collect()
}

#[test]
fn a_log_that_nobody_touched_is_intact_and_signed_throughout() {
    let log = log();
    assert!(log.iter().all(|lines| lines.len() == EACH + 2));
    let numbered: Vec<_> = (1..).zip(log.iter().map(Vec::as_slice)).collect();
    let verdict = judge(&numbered, &key());
    assert_eq!(told(&verdict), []);
    assert_eq!((verdict.records, verdict.signed, verdict.open), (18, 18, None));
}

#[test]
fn the_line_that_was_changed_is_named_and_no_other() {
    type Tamper = fn(&mut Segments);
    type Case = (&'static str, &'static [(u64, u64, Wrong)], Tamper);
    let cases: [Case; 9] = [
        ("a customer changed", &[(2, 4, Wrong::Altered)], |log| {
            log[1][3] = log[1][3].replacen("\"c-2\"", "\"c-9\"", 1);
        }),
        ("a hash changed", &[(2, 4, Wrong::HashAltered)], |log| {
            let place = log[1][3].len() - 4;
            let other = if &log[1][3][place..=place] == "0" { "1" } else { "0" };
            log[1][3].replace_range(place..=place, other);
        }),
        (
            "a line deleted",
            &[(1, 4, Wrong::Deleted { first: 3, last: 3 }), (1, 7, Wrong::Miscounted)],
            |log| {
                log[0].remove(3);
            },
        ),
        ("a footer deleted", &[(1, 0, Wrong::Truncated)], |log| {
            log[0].pop();
        }),
        (
            "a segment's end cut off",
            &[(1, 0, Wrong::Truncated), (2, 1, Wrong::Deleted { first: 5, last: 6 })],
            |log| {
                log[0].truncate(5);
            },
        ),
        ("a line that is none", &[(3, 2, Wrong::Unreadable)], |log| {
            log[2].insert(1, "c-1".to_owned());
        }),
        ("a header changed", &[(2, 1, Wrong::Altered)], |log| {
            log[1][0] = log[1][0].replacen("\"server\":\"test\"", "\"server\":\"tess\"", 1);
        }),
        ("a footer changed", &[(2, 8, Wrong::Altered), (2, 8, Wrong::Miscounted)], |log| {
            log[1][7] = log[1][7].replacen("\"records\":6", "\"records\":5", 1);
        }),
        ("a signature taken from another segment", &[(3, 8, Wrong::Rechained)], |log| {
            let note = |line: &str| {
                let start = line.find(",\"note\":").unwrap();
                let end = line.find(",\"chain\":").unwrap();
                line[start..end].to_owned()
            };
            let (own, other) = (note(&log[2][7]), note(&log[1][7]));
            log[2][7] = log[2][7].replacen(&own, &other, 1);
        }),
    ];
    for (what, expected, tamper) in cases {
        let mut log = log();
        tamper(&mut log);
        let found = found(&log);
        for finding in expected {
            assert!(found.contains(finding), "{what}: {finding:?} is not in {found:?}");
        }
        let lines: std::collections::BTreeSet<_> = expected.iter().map(|it| it.0).collect();
        assert!(found.iter().all(|it| lines.contains(&it.0)), "{what}: {found:?}");
    }
}

#[test]
fn lines_that_changed_places_are_named() {
    let mut log = log();
    log[1].swap(3, 4);
    let found = found(&log);
    assert!(found.contains(&(2, 4, Wrong::Deleted { first: 9, last: 9 })), "{found:?}");
    assert!(found.contains(&(2, 5, Wrong::Reordered)), "{found:?}");
    assert!(found.iter().all(|it| it.0 == 2), "{found:?}");
}

#[test]
fn a_segment_that_was_taken_out_is_missed() {
    let log = log();
    let left = [(1, log[0].as_slice()), (3, log[2].as_slice())];
    let found = told(&judge(&left, &key()));
    assert_eq!(found, [(3, 0, Wrong::SegmentsGone { count: 1 })]);
}

/// Chains lines anew, as somebody would who can write everything.
fn rechain(lines: &mut [String], previous: ChainHash, key: Option<&AuditKey>) -> ChainHash {
    let mut chained = Chained { chain: previous };
    for line in lines {
        let text = line.clone();
        let parts = Parts::of(text.as_bytes()).unwrap();
        let mut out = Vec::new();
        match &parts.line {
            Line::Header(header) => {
                let previous = previous.to_string();
                let header =
                    offergate::audit::decisions::segment::Header { previous, ..header.clone() };
                chained.header(&header, &mut out);
            }
            Line::Record(seq) => {
                let start = text.find(',').unwrap() + 1;
                chained.record(*seq, &parts.body[start..], &mut out);
            }
            Line::Gap(gap) => chained.gap(gap, &mut out),
            Line::Footer(footer, _) => chained.footer(footer, key, &mut out),
        }
        *line = String::from_utf8(out).unwrap().trim_end().to_owned();
    }
    chained.chain
}

#[test]
fn a_log_that_was_chained_anew_is_found_by_its_signatures() {
    let change = |log: &mut Segments| {
        log[1][3] = log[1][3].replacen("\"c-2\"", "\"c-9\"", 1);
    };
    for (key_of_thief, wrong) in [
        (None, Wrong::NotSigned),
        (Some(AuditKey::from_seed(KeyName::default(), &[8; 32])), Wrong::NotSigned),
    ] {
        let mut log = log();
        change(&mut log);
        let mut chain = Parts::of(log[0][7].as_bytes()).unwrap().chain;
        for lines in log.iter_mut().skip(1) {
            chain = rechain(lines, chain, key_of_thief.as_ref());
        }
        assert_eq!(found(&log), [(2, 8, wrong), (3, 8, wrong)]);
    }
    // With the old signatures left in their place.
    let mut log = log();
    change(&mut log);
    let note = |line: &str| {
        line[line.find(",\"note\":").unwrap()..line.find(",\"chain\":").unwrap()].to_owned()
    };
    let mut chain = Parts::of(log[0][7].as_bytes()).unwrap().chain;
    for lines in log.iter_mut().skip(1) {
        let old = note(&lines[7]);
        chain = rechain(lines, chain, Some(&key()));
        let new = note(&lines[7]);
        lines[7] = lines[7].replacen(&new, &old, 1);
    }
    assert_eq!(found(&log), [(2, 8, Wrong::Rechained), (3, 8, Wrong::Rechained)]);
}

#[test]
fn the_command_line_says_which_line_was_changed_and_ends_with_1() {
    let folder = TempDir::new().unwrap();
    let begun = "2026-11-24T00:00:00Z".parse().unwrap();
    let write = |log: &Segments| {
        for (number, lines) in (1..).zip(log) {
            std::fs::write(folder.path().join(file_name(begun, number)), lines.join("\n") + "\n")
                .unwrap();
        }
    };
    let verify = |folder: &Path| {
        let mut command = crate::server::offergate();
        command.args(["audit", "decisions", "verify", "--key", &key().verifier().to_string()]);
        command.arg(folder).output().unwrap()
    };
    let mut log = log();
    write(&log);
    let good = verify(folder.path());
    let said = String::from_utf8_lossy(&good.stdout).into_owned();
    assert!(good.status.success() && said.contains("INTACT: 18 records"), "{said}");
    log[1][3] = log[1][3].replacen("\"c-2\"", "\"c-9\"", 1);
    write(&log);
    let bad = verify(folder.path());
    let said = String::from_utf8_lossy(&bad.stdout).into_owned();
    assert_eq!(bad.status.code(), Some(1));
    assert!(said.contains("segment 2, line 4: its hash does not follow"), "{said}");
}
