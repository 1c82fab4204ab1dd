//! The rule and test files of this repository, decided whole.

use offergate::cli::test::test;
use std::path::PathBuf;

/// Every test file in a folder.
fn test_files(folder: &str) -> Vec<PathBuf> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(folder);
    let entries = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> =
        entries.filter(|path| path.to_string_lossy().ends_with(".test.yaml")).collect();
    files.sort();
    assert!(!files.is_empty(), "no test files in {}", folder.display());
    files
}

#[test]
fn every_case_of_the_test_files_comes_out_as_stated() {
    let files = [test_files("tests/history"), test_files("deploy/demo")].concat();
    let outcome = test(&files);
    for error in &outcome.errors {
        eprintln!("{error:?}");
    }
    assert!(outcome.passed(), "{}", outcome.to_text());
    assert!(80 < outcome.verdicts.len(), "the 40 rows of both packs are there, and more");
}
