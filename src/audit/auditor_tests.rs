//! What is done to a log, and what the auditor says of it.

use super::auditor::{Auditor, Compared, Row, Verdict};
use super::record::samples::content;
use super::tree::{Frontier, TreeHash};
use super::{Ahead, Chain, Checkpoint};
use crate::domain::{ChainHash, Lineage, Revision};

/// A record as it is stored.
#[derive(Clone)]
struct Stored {
    revision: u64,
    chain: ChainHash,
    entry: String,
}

fn log(length: u64) -> Vec<Stored> {
    let mut chain = Chain::START;
    let record = |number| {
        let (record, entry) = chain.next(&content(number % 60)).unwrap();
        chain = Chain { revision: record.revision, hash: record.chain };
        Stored { revision: number, chain: record.chain, entry }
    };
    (1..=length).map(record).collect()
}

/// Chains records anew from number `from`, as a thief would who can write everything but signatures.
fn rechain(log: &mut [Stored], from: usize) {
    let mut hash = if from == 1 { ChainHash::ZERO } else { log[from - 2].chain };
    for (place, stored) in log.iter_mut().enumerate().skip(from - 1) {
        stored.revision = u64::try_from(place).unwrap() + 1;
        hash = Chain { revision: Revision::ZERO, hash }.hash_with(&stored.entry);
        stored.chain = hash;
    }
}

fn checkpoint(log: &[Stored], size: usize) -> Checkpoint {
    let mut tree = Frontier::default();
    log[..size].iter().for_each(|stored| tree.push(TreeHash::leaf(&stored.entry)));
    Checkpoint {
        lineage: Lineage::parse(&"a".repeat(32)).unwrap(),
        size: Revision(u64::try_from(size).unwrap()),
        root: tree.root(),
        chain: if size == 0 { ChainHash::ZERO } else { log[size - 1].chain },
    }
}

fn row(stored: &Stored) -> Row<'_> {
    let entry = stored.entry.as_bytes();
    let (revision, leaf) = (Revision(stored.revision), TreeHash::leaf(entry));
    Row { revision, chain: stored.chain, entry, leaf, ahead: None }
}

/// What is said of a log: the same with hashes that were worked out ahead, from what stands before each record.
fn audit(log: &[Stored], checkpoints: Vec<Checkpoint>, head: Option<Chain>) -> Verdict {
    let mut auditor = Auditor::new(checkpoints.clone());
    log.iter().for_each(|stored| auditor.take(row(stored)));
    let verdict = auditor.finish(head);

    let mut auditor = Auditor::new(checkpoints);
    let mut before = None;
    for stored in log {
        let ahead = before.map(|before| Ahead::of(before, stored.entry.as_bytes()));
        auditor.take(Row { ahead, ..row(stored) });
        before = Some(stored.chain);
    }
    let hashed_ahead = auditor.finish(head);
    assert_eq!(names(&hashed_ahead), names(&verdict));
    assert_eq!(hashed_ahead.compared, verdict.compared);
    verdict
}

fn head(log: &[Stored]) -> Chain {
    let last = log.last().unwrap();
    Chain { revision: Revision(last.revision), hash: last.chain }
}

/// Each finding as `NAME first-last`.
fn names(verdict: &Verdict) -> Vec<String> {
    let name = |it: &super::Finding| format!("{} {}-{}", it.wrong.name(), it.first, it.last);
    verdict.findings.iter().map(name).collect()
}

#[test]
fn an_untouched_log_is_what_was_signed_at_every_size() {
    let log = log(9);
    let checkpoints = (0..=9).map(|size| checkpoint(&log, size)).collect();
    let verdict = audit(&log, checkpoints, Some(head(&log)));
    assert_eq!(names(&verdict), [""; 0]);
    assert_eq!((verdict.records, verdict.end), (9, head(&log)));
    assert_eq!(verdict.root, Some(checkpoint(&log, 9).root));
    assert_eq!(verdict.compared.len(), 10);
    assert!(verdict.compared.iter().all(|(_, compared)| *compared == Compared::Same));
}

#[test]
fn an_empty_log_is_sound_and_equals_the_checkpoint_of_nothing() {
    let verdict = audit(&[], vec![checkpoint(&[], 0)], Some(Chain::START));
    assert_eq!(names(&verdict), [""; 0]);
    assert_eq!(verdict.compared[0].1, Compared::Same);
}

#[test]
fn whatever_is_done_to_a_log_the_record_is_named_and_what_was_done() {
    type Tamper = fn(&mut Vec<Stored>);
    let cases: [(&str, &[&str], Tamper); 14] = [
        ("a byte flipped", &["ALTERED 3-3"], |log| {
            log[2].entry = log[2].entry.replace("ann", "eve")
        }),
        ("two flipped", &["ALTERED 3-3", "ALTERED 6-6"], |log| {
            log[2].entry = log[2].entry.replace("ann", "eve");
            log[5].entry = log[5].entry.replace("ann", "eve");
        }),
        ("two in a row", &["ALTERED 3-3", "ALTERED 4-4"], |log| {
            log[2].entry = log[2].entry.replace("ann", "eve");
            log[3].entry = log[3].entry.replace("ann", "eve");
        }),
        ("the last flipped", &["ALTERED 9-9"], |log| {
            log[8].entry = log[8].entry.replace("ann", "e")
        }),
        ("a hash changed", &["HASH_ALTERED 4-4"], |log| log[3].chain.0[0] ^= 1),
        ("a record deleted", &["DELETED 5-5"], |log| drop(log.remove(4))),
        ("three deleted", &["DELETED 5-7"], |log| drop(log.drain(4..7))),
        ("the first deleted", &["DELETED 1-1"], |log| drop(log.remove(0))),
        ("lines swapped", &["REORDERED 5-5"], |log| log.swap(4, 5)),
        ("contents swapped", &["REORDERED 5-5", "REORDERED 6-6"], |log| {
            log.swap(4, 5);
            (log[4].revision, log[5].revision) = (5, 6);
        }),
        ("a record doubled", &["DOUBLED 5-5"], |log| log.insert(7, log[4].clone())),
        ("the end cut off", &["TRUNCATED 8-9"], |log| log.truncate(7)),
        ("all cut off", &["TRUNCATED 1-9"], Vec::clear),
        ("deleted, and chained anew", &["MISNUMBERED 5-5"], |log| {
            log.remove(4);
            rechain(log, 5);
        }),
    ];
    for (what, expected, tamper) in cases {
        let (original, mut log) = (log(9), log(9));
        tamper(&mut log);
        let checkpoints = vec![checkpoint(&original, 2), checkpoint(&original, 9)];
        let verdict = audit(&log, checkpoints, None);
        let mut found = names(&verdict);
        if what == "deleted, and chained anew" {
            assert_eq!(
                found.len(),
                5,
                "each later record speaks of another number, and one is gone"
            );
            found.truncate(1);
        }
        assert_eq!(found, expected, "{what}");
    }
}

#[test]
fn a_log_that_was_changed_and_chained_anew_is_found_by_what_was_signed_and_named_by_two() {
    let (original, mut log) = (log(9), log(9));
    log[4].entry = log[4].entry.replace("ann", "eve");
    rechain(&mut log, 5);
    assert_eq!(
        names(&audit(&log, vec![], Some(head(&log)))),
        [""; 0],
        "a chain alone shows nothing"
    );
    let signed = |sizes: &[usize]| sizes.iter().map(|size| checkpoint(&original, *size)).collect();
    for (sizes, expected) in [
        (&[9_usize][..], "RECHAINED 1-9"),
        (&[2, 9], "RECHAINED 3-9"),
        (&[9, 4, 5], "RECHAINED 5-5"),
        (&[4, 5, 6, 7, 8, 9], "RECHAINED 5-5"),
    ] {
        assert_eq!(names(&audit(&log, signed(sizes), None)), [expected], "{sizes:?}");
    }
    assert_eq!(names(&audit(&log, signed(&[4]), None)), [""; 0]);
}

#[test]
fn a_checkpoint_whose_tree_or_chain_alone_differs_tells_another_story() {
    let log = log(3);
    let good = checkpoint(&log, 3);
    let chain = Checkpoint { chain: ChainHash([1; 32]), ..good.clone() };
    let root = Checkpoint { root: TreeHash([1; 32]), ..good };
    for checkpoint in [chain, root] {
        assert_eq!(names(&audit(&log, vec![checkpoint], None)), ["RECHAINED 1-3"]);
    }
}

#[test]
fn an_earlier_copy_is_told_from_a_log_whose_end_was_cut_off() {
    let original = log(9);
    let signed = || vec![checkpoint(&original, 9), checkpoint(&original, 4)];
    let copy = audit(&original[..6], signed(), Some(head(&original[..6])));
    assert_eq!(names(&copy), ["ROLLED_BACK 7-9"]);
    let cut = audit(&original[..6], vec![], Some(head(&original)));
    assert_eq!(names(&cut), ["TRUNCATED 7-9"]);
    let compared: Vec<_> = copy.compared.iter().map(|(it, how)| (it.size.0, *how)).collect();
    assert_eq!(compared, [(4, Compared::Same), (9, Compared::Beyond)]);
}

#[test]
fn records_past_the_head_and_a_head_with_another_hash_are_found() {
    let log = log(5);
    assert_eq!(names(&audit(&log, vec![], Some(head(&log[..3])))), ["ADDED 4-5"]);
    let other = Chain { hash: ChainHash([1; 32]), ..head(&log) };
    assert_eq!(names(&audit(&log, vec![], Some(other))), ["HEAD_ALTERED 5-5"]);
}

#[test]
fn what_does_not_read_is_named_and_the_next_record_is_not_blamed() {
    let log = log(4);
    let mut auditor = Auditor::new(vec![checkpoint(&log, 4)]);
    for (place, stored) in log.iter().enumerate() {
        if place == 1 {
            auditor.take_unreadable("it is no line");
            continue;
        }
        auditor.take(row(stored));
    }
    let verdict = auditor.finish(None);
    assert_eq!(names(&verdict), ["UNREADABLE 2-2"]);
    assert_eq!(verdict.root, None);
    assert_eq!(verdict.compared[0].1, Compared::NotReached);
}

#[test]
fn findings_have_a_limit_and_the_rest_is_counted() {
    let mut log = log(500);
    log.iter_mut().for_each(|stored| stored.entry.push(' '));
    let verdict = audit(&log, vec![], None);
    assert_eq!(verdict.findings.len(), 100);
    assert_eq!(verdict.more, 400);
}
