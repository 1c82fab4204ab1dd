//! Holds the code to the map of its folders, and each file to its header and its length.
//!
//! What is checked is text, not syntax: every `crate::` path outside comments and strings, and every `super::` that
//! climbs out of its folder. That is enough, since nothing in this code base imports otherwise.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Each folder of `src/`, and the folders that it may import beside itself. The table of
/// `ARCHITECTURE.md`; changing it is a commit of its own.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("telemetry", &[]),
    ("clock", &["domain"]),
    ("config", &["domain"]),
    ("decision", &["domain"]),
    ("rules", &["domain"]),
    // A record's bytes hold the rules in their written form.
    ("audit", &["domain", "rules"]),
    ("redis", &[]),
    ("store", &["redis", "audit", "domain"]),
    ("recorder", &["audit", "clock", "domain"]),
    ("replica", &["decision", "store", "audit", "clock", "domain", "telemetry"]),
    (
        "service",
        &[
            "replica",
            "recorder",
            "decision",
            "rules",
            "store",
            "audit",
            "clock",
            "domain",
            "telemetry",
        ],
    ),
    // What people must hear of is in the records, and in what the rules hit.
    ("events", &["service", "decision", "clock", "domain", "telemetry"]),
    ("identity", &["clock", "domain", "telemetry"]),
    ("wire", &["domain"]),
    ("client", &["wire", "domain"]),
    ("ledger", &["redis", "clock"]),
    // The client's calls are in the words of the wire.
    (
        "jobs",
        &["client", "wire", "ledger", "decision", "rules", "store", "clock", "domain", "telemetry"],
    ),
    ("grpc", &["service", "identity", "wire", "domain", "telemetry"]),
    ("http", &["service", "wire", "domain", "telemetry"]),
    (
        "cli",
        &[
            "audit",
            "client",
            "clock",
            "config",
            "decision",
            "domain",
            "events",
            "grpc",
            "http",
            "identity",
            "recorder",
            "jobs",
            "ledger",
            "redis",
            "replica",
            "rules",
            "service",
            "store",
            "telemetry",
            "wire",
        ],
    ),
];

/// Folders that do no I/O and know no wire format, and what they therefore never name.
const PURE: &[&str] = &["domain", "decision"];
const IMPURE: &[&str] =
    &["async fn", "serde", "tokio", "tracing", "prost", "tonic", "std::fs", "std::net", "std::env"];

/// Past this a file usually holds two ideas.
const MOST_LINES: usize = 450;

/// Files that are longer, and why that is right.
const LONG: &[(&str, &str)] = &[];

/// A file of `src/`: its path from there, and its text.
struct Source {
    path: String,
    text: String,
}

impl Source {
    fn folder(&self) -> &str {
        self.path.split_once('/').map_or("", |(folder, _)| folder)
    }

    /// The lines of code: comments gone, string literals emptied.
    fn code(&self) -> impl Iterator<Item = (usize, String)> {
        self.text.lines().enumerate().map(|(place, line)| (place + 1, code_of(line)))
    }
}

/// A line without its comment and without what its string literals say.
fn code_of(line: &str) -> String {
    let mut code = String::new();
    let mut in_string = false;
    let mut characters = line.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\\' if in_string => {
                characters.next();
            }
            '"' => in_string = !in_string,
            '/' if !in_string && characters.peek() == Some(&'/') => break,
            _ if in_string => {}
            other => code.push(other),
        }
    }
    code
}

/// Where a line's `crate::` paths lead: the first name of each.
fn crate_paths(code: &str) -> Vec<&str> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        // `$crate::` is a macro's way to say the same; `my_crate::` is another crate.
        if code[..at].ends_with(|before: char| before.is_alphanumeric() || before == '_') {
            continue;
        }
        let rest = &code[at + "crate::".len()..];
        match rest.strip_prefix('{') {
            Some(list) => found.extend(first_names(list)),
            None => found.push(name_at(rest)),
        }
    }
    found.retain(|name| !name.is_empty());
    found
}

/// The first name of each path in `a::b, c::{d, e}, f`.
fn first_names(list: &str) -> Vec<&str> {
    let mut depth = 0;
    let parts = list.split(|character| {
        match character {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        character == ',' && depth == 0
    });
    parts.map(|part| name_at(part.trim())).collect()
}

fn name_at(text: &str) -> &str {
    let end = text.find(|character: char| !character.is_alphanumeric() && character != '_');
    &text[..end.unwrap_or(text.len())]
}

/// The `super::` paths of a line: how many steps each climbs, and the name that it then takes.
fn super_paths(code: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let mut rest = code;
    while let Some(at) = rest.find("super::") {
        rest = &rest[at..];
        let mut steps = 0;
        while let Some(next) = rest.strip_prefix("super::") {
            steps += 1;
            rest = next;
        }
        found.push((steps, name_at(rest)));
    }
    found
}

/// Everything that is wrong with the arrows between folders.
fn arrows(sources: &[Source]) -> Vec<String> {
    let allowed: BTreeMap<&str, &[&str]> = MAY_IMPORT.iter().copied().collect();
    let mut wrong = Vec::new();
    for source in sources {
        let folder = source.folder();
        if folder.is_empty() {
            continue; // `lib.rs` and `main.rs` stand above all folders.
        }
        let Some(may) = allowed.get(folder) else {
            wrong.push(format!("{}: folder `{folder}` is not in the table", source.path));
            continue;
        };
        // From `folder/mod.rs` one step leaves the folder, from `folder/file.rs` two. A module may
        // stand deeper than its file, so only a path that arrives at another folder is wrong.
        let depth = source.path.matches('/').count();
        let reach = depth - usize::from(source.path.ends_with("/mod.rs"));
        for (line, code) in source.code() {
            for name in crate_paths(&code) {
                if allowed.contains_key(name) && name != folder && !may.contains(&name) {
                    wrong.push(format!("{}:{line}: `{folder}` may not use `{name}`", source.path));
                }
            }
            for (steps, name) in super_paths(&code) {
                if reach < steps && allowed.contains_key(name) {
                    wrong.push(format!("{}:{line}: `super::` leaves the folder", source.path));
                }
            }
        }
    }
    wrong
}

/// Everything that is wrong inside single files.
fn manners(sources: &[Source]) -> Vec<String> {
    let long: BTreeSet<&str> = LONG.iter().map(|(path, _)| *path).collect();
    let mut wrong = Vec::new();
    for Source { path, text } in sources {
        if !text.starts_with("//! ") {
            wrong.push(format!("{path}: does not begin with a header that says what it is for"));
        }
        let lines = text.lines().count();
        if MOST_LINES < lines && !long.contains(path.as_str()) {
            wrong.push(format!("{path}: {lines} lines; find the seam"));
        }
        for (place, line) in text.lines().enumerate() {
            // Put together here, so that this file does not find itself.
            for word in [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("dbg", "!(")] {
                if line.contains(word) {
                    wrong.push(format!("{path}:{}: {word}", place + 1));
                }
            }
        }
    }
    wrong
}

/// Everything that makes a pure folder impure.
fn impurities(sources: &[Source]) -> Vec<String> {
    let mut wrong = Vec::new();
    for source in sources.iter().filter(|source| PURE.contains(&source.folder())) {
        for (line, code) in source.code() {
            for word in IMPURE.iter().filter(|word| code.contains(**word)) {
                let folder = source.folder();
                wrong.push(format!("{}:{line}: {word} has no place in `{folder}`", source.path));
            }
        }
    }
    wrong
}

fn rust_files(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push(path);
        }
    }
}

fn sources_in(folder: &str) -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut paths = Vec::new();
    rust_files(&root, &mut paths);
    paths.sort();
    let read = |path: PathBuf| Source {
        path: path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned(),
        text: fs::read_to_string(&path).unwrap(),
    };
    paths.into_iter().map(read).collect()
}

fn none(wrong: Vec<String>) {
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

#[test]
fn folders_import_only_what_the_table_allows() {
    none(arrows(&sources_in("src")));
}

#[test]
fn every_file_says_what_it_is_for_and_holds_one_idea() {
    none(manners(&sources_in("src")));
    none(manners(&sources_in("tests")));
}

#[test]
fn deciding_does_no_io_and_knows_no_wire_format() {
    none(impurities(&sources_in("src")));
}

#[test]
fn each_long_file_still_exists_and_is_still_long() {
    for (path, why) in LONG {
        let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(path));
        let lines = text.map(|text| text.lines().count()).unwrap_or_default();
        assert!(MOST_LINES < lines, "{path} needs no exception any more ({why})");
    }
}

#[test]
fn the_architecture_page_tells_of_every_folder() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join("ARCHITECTURE.md")).expect("ARCHITECTURE.md");
    for (folder, _) in MAY_IMPORT {
        assert!(
            page.contains(&format!("`{folder}/`")),
            "ARCHITECTURE.md does not mention {folder}/"
        );
    }
    for folder in ["proto", "deploy", "tests", "benches", "fuzz"] {
        if root.join(folder).is_dir() {
            assert!(page.contains(&format!("`{folder}/")), "ARCHITECTURE.md: no {folder}/");
        }
    }
}

/// The checks themselves, on code that breaks each of them once.
mod seeded {
    use super::*;

    fn source(path: &str, text: &str) -> Vec<Source> {
        vec![Source { path: path.to_owned(), text: text.to_owned() }]
    }

    #[test]
    fn an_import_against_the_arrows_is_found_wherever_it_stands() {
        for bad in [
            "use crate::store::RuleStore;",
            "use crate::{domain::Revision, store::RuleStore};",
            "    let store = crate::store::open();",
            "pub use crate::store;",
        ] {
            let wrong = arrows(&source("decision/compile.rs", bad));
            assert_eq!(wrong, ["decision/compile.rs:1: `decision` may not use `store`"], "{bad}");
        }
        for good in [
            "use crate::domain::Revision;",
            "use crate::decision::index::Index;",
            "//! See [`store`](crate::store).",
            "let text = \"crate::store\";",
            "use other_crate::store::Store;",
            "use crate::{domain::{Revision, Vendor}, decision::decide};",
        ] {
            assert_eq!(arrows(&source("decision/compile.rs", good)), [""; 0], "{good}");
        }
    }

    #[test]
    fn an_unknown_folder_and_a_super_that_leaves_its_folder_are_found() {
        assert_eq!(
            arrows(&source("utils/mod.rs", "")),
            ["utils/mod.rs: folder `utils` is not in the table"]
        );
        let leaves = "use super::super::store::RuleStore;";
        let wrong = ["decision/index.rs:1: `super::` leaves the folder"];
        assert_eq!(arrows(&source("decision/index.rs", leaves)), wrong);
        assert_eq!(arrows(&source("decision/mod.rs", "use super::store;")).len(), 1);
        for (path, good) in [
            ("decision/index.rs", "use super::bits::Bits;"),
            ("store/embedded/schema.rs", "use super::super::StoreError;"),
            ("decision/mod.rs", "mod tests {\n    use super::*;\n}"),
            ("decision/condition_cel.rs", "use super::super::truth::Truth;"),
        ] {
            assert_eq!(arrows(&source(path, good)), [""; 0], "{good}");
        }
    }

    #[test]
    fn a_missing_header_a_long_file_and_a_leftover_are_found() {
        let long = format!("//! For.\n{}", "\n".repeat(MOST_LINES));
        assert_eq!(manners(&source("a.rs", &long)), ["a.rs: 451 lines; find the seam"]);
        assert_eq!(manners(&source("a.rs", "fn a() {}")).len(), 1);
        let leftover = concat!("//! For.\n// TO", "DO: later");
        assert_eq!(manners(&source("a.rs", leftover)).len(), 1);
        assert_eq!(manners(&source("a.rs", "//! For.\n")), [""; 0]);
    }

    #[test]
    fn io_in_a_pure_folder_is_found_and_elsewhere_allowed() {
        let text = "use tokio::sync::Mutex;";
        assert_eq!(impurities(&source("domain/a.rs", text)).len(), 1);
        assert_eq!(impurities(&source("service/a.rs", text)), [""; 0]);
        assert_eq!(impurities(&source("domain/a.rs", "// no tokio here")), [""; 0]);
    }
}
