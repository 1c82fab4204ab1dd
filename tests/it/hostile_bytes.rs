//! What people and disks may send that is no token and no segment: tried with random texts and with real
//! ones that were changed at random. `fuzz/` goes on with the same properties.

use crate::decision_log::{lines, record, settings, start};
use crate::properties::segment::judged;
use crate::properties::token::{is_a_place_in_one_spelling, proves_nothing};
use offergate::recorder::RecorderSettings;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use std::sync::LazyLock;
use tempfile::TempDir;

/// A segment as it was written: a header, some records, a footer.
static SEGMENT: LazyLock<String> = LazyLock::new(|| {
    let folder = TempDir::new().unwrap();
    // Without a key: a signature is no part of the chain, and takes one to be judged.
    let recorder = start(RecorderSettings { key: None, ..settings(folder.path()) });
    (0..5).for_each(|number| record(&recorder, &format!("c-{number}")).unwrap());
    recorder.stop();
    lines(folder.path()).join("\n") + "\n"
});

/// Parts of tokens, real and not.
const PIECES: [&str; 14] = [
    "eyJhbGciOiJFUzI1NiIsImtpZCI6IjEifQ",
    "eyJhbGciOiJub25lIn0",
    "eyJhbGciOiJIUzI1NiIsImtpZCI6IjEifQ",
    "eyJpc3MiOiJodHRwczovL2lkLmJhbmsuZXhhbXBsZSIsImF1ZCI6Im9mZmVyZ2F0ZSIsInN1YiI6InUiLCJleHAiOjk5OTk5OTk5OTl9",
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    "00112233445566778899aabbccddeeff",
    "abababababababab",
    "18446744073709551616",
    "012",
    ".",
    ".",
    "=",
    "\u{202e}",
    "\0",
];

proptest! {
    #[test]
    fn no_text_is_a_token_of_somebody_and_a_place_in_history_has_one_spelling(
        any in "\\PC{0,80}",
        pieces in proptest::collection::vec(select(PIECES.to_vec()), 0..8),
    ) {
        let made = pieces.concat();
        for text in [any.as_str(), &made, &pieces.join(".")] {
            proves_nothing(text);
            is_a_place_in_one_spelling(text);
        }
    }

    #[test]
    fn any_bytes_are_judged_as_a_segment(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        judged(&bytes);
    }

    #[test]
    fn a_segment_that_was_changed_is_found_out_unless_its_end_alone_is_missing(
        at in any::<Index>(), length in 0_usize..40, with in "[\\x00-\\x7f]{0,12}",
    ) {
        let mut bytes = SEGMENT.clone().into_bytes();
        let at = at.index(bytes.len());
        let end = (at + length).min(bytes.len());
        bytes.splice(at..end, with.bytes());
        let verdict = judged(&bytes);
        let is_its_beginning = SEGMENT.as_bytes().starts_with(whole_lines(&bytes));
        prop_assert!(is_its_beginning || !verdict.findings.is_empty(), "{:?}", verdict);
    }
}

/// Without the torn line at the end.
fn whole_lines(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
    &bytes[..end]
}
