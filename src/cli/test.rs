//! `offergate test`: decides every case of test files and tells what differs from what they state.
//!
//! Needs no server: rules and cases come from files, and each case is decided as of its own instant
//! by the same `decide` that a server runs.
//!
//! Invariant: it passes only if every file was read and every case came out as stated. A file that
//! cannot be read is never a file without cases.

use super::exit::Exit;
use super::test_case::{decide_case, named_customers};
use super::text::{counted, visible};
use crate::decision::Snapshot;
use crate::domain::{AttributeName, Decision, Reason, Revision, RuleSet};
use crate::rules;
use crate::rules::test_file::{Case, Mismatch, TestRules};
use miette::Report;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Decide the cases of test files, and show what differs from what they state
///
/// What a case's `expect` does not state is not compared. A reason is written `CODE` or
/// `CODE:attribute`; `REQUIREMENT_NOT_MET` alone stands for any requirement. Fails if a case differs,
/// states nothing, or a file cannot be read.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Test files in YAML
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
}

/// What came of all files.
#[derive(Debug, Default)]
pub struct Outcome {
    /// A verdict a case, in the order of the files and of the cases in them.
    pub verdicts: Vec<Verdict>,
    /// Why files could not be decided.
    pub errors: Vec<Report>,
}

/// What came of one case.
#[derive(Debug)]
pub struct Verdict {
    file: String,
    name: String,
    stated: Value,
    decision: Decision<'static>,
    mismatches: Vec<Mismatch>,
}

/// Decides the files, prints what came of it, and fails if anything is not as stated.
#[must_use]
pub fn run(args: &Args, as_json: bool) -> ExitCode {
    let outcome = test(&args.files);
    let text = if as_json { format!("{:#}\n", outcome.to_json()) } else { outcome.to_text() };
    for error in &outcome.errors {
        eprintln!("{error:?}");
    }
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        // A reader that has seen enough changes nothing about what was found.
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Exit::Failure,
        _ => outcome.exit(),
    }
    .into()
}

/// Decides every case of every file.
#[must_use]
pub fn test(files: &[PathBuf]) -> Outcome {
    let mut outcome = Outcome::default();
    for file in files {
        match test_one(file) {
            Ok(verdicts) => outcome.verdicts.extend(verdicts),
            Err(error) => outcome.errors.push(error),
        }
    }
    outcome
}

fn test_one(file: &Path) -> Result<Vec<Verdict>, Report> {
    let name = file.display().to_string();
    let text = text_of(file)?;
    let test = rules::test_file::read(&text).map_err(|errors| errors.in_file(&name))?;
    let (snapshot, named) = match test.rules {
        TestRules::Inline(rules) => {
            (compiled(&rules, &text, "rules.", &name)?, named_customers(&rules))
        }
        TestRules::Path(path) => {
            let path = file.parent().unwrap_or(Path::new("")).join(path);
            let (name, text) = (path.display().to_string(), text_of(&path)?);
            let rules = rules::read(&text).map_err(|errors| errors.in_file(&name))?;
            (compiled(&rules, &text, "", &name)?, named_customers(&rules))
        }
    };
    let verdict = |case: Case| {
        let decision = decide_case(&case, &snapshot, &named).into_owned();
        let mismatches = case.expect.mismatches(&decision);
        Verdict { file: name.clone(), name: case.name, stated: case.stated, decision, mismatches }
    };
    Ok(test.cases.into_iter().map(verdict).collect())
}

/// The snapshot of rules that stand at `path` in `text`; what does not compile is pointed at there.
fn compiled(rules: &RuleSet, text: &str, path: &str, name: &str) -> Result<Snapshot, Report> {
    let snapshot = Snapshot::compile(rules, Revision(1)).map_err(|error| {
        rules::point_at(text, &format!("{path}{}", error.path), &error.what).in_file(name)
    })?;
    Ok(snapshot)
}

/// A file that could not be read.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
#[error("{} cannot be read", path.display())]
struct Unreadable {
    path: PathBuf,
    source: std::io::Error,
}

fn text_of(path: &Path) -> Result<String, Unreadable> {
    std::fs::read_to_string(path).map_err(|source| Unreadable { path: path.to_owned(), source })
}

impl Outcome {
    /// Whether every file was read and every case came out as stated.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.errors.is_empty() && self.verdicts.iter().all(|verdict| verdict.mismatches.is_empty())
    }

    /// A file that is not there outweighs a case that differs, since nobody knows what it held.
    fn exit(&self) -> Exit {
        let missing = |error: &Report| {
            let unreadable = error.downcast_ref::<Unreadable>();
            unreadable.is_some_and(|file| Exit::of_cause(&file.source) == Exit::NotFound)
        };
        match self.passed() {
            true => Exit::Ok,
            false if self.errors.iter().any(missing) => Exit::NotFound,
            false => Exit::Failure,
        }
    }

    /// A list over all files, an entry a case.
    #[must_use]
    pub fn to_json(&self) -> Value {
        self.verdicts.iter().map(Verdict::to_json).collect()
    }

    /// A line a case, what differs below it, and how many there are.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        let mut failed = 0;
        for verdict in &self.verdicts {
            failed += usize::from(!verdict.mismatches.is_empty());
            verdict.write(&mut text);
        }
        let total = self.verdicts.len();
        // Writing to a `String` cannot fail.
        let _ = write!(text, "{} of {} as stated", total - failed, counted(total, "case"));
        let _ = match self.errors.len() {
            0 => writeln!(text),
            broken => writeln!(text, "; {} could not be tested", counted(broken, "file")),
        };
        text
    }
}

impl Verdict {
    fn to_json(&self) -> Value {
        let decision = &self.decision;
        let reason = |reason: &Reason| {
            let attribute = reason.attribute.as_ref().map(AttributeName::as_str);
            json!({"code": reason.code.name(), "attribute": attribute})
        };
        let suspensions = decision.suspensions.iter().map(|one| one.suspension.id.as_str());
        json!({
            "file": self.file,
            "name": self.name,
            "passed": self.mismatches.is_empty(),
            "expected": self.stated,
            "actual": {
                "outcome": decision.outcome.name(),
                "reasons": decision.reasons.iter().map(reason).collect::<Value>(),
                "suspensions": suspensions.collect::<Value>(),
                "exemptions": decision.exemptions.iter().map(|one| one.id.as_str()).collect::<Value>(),
                "alternate": decision.alternate.as_ref().map(|id| id.as_str()),
                "valid_until": decision.valid_until.map(|instant| instant.to_string()),
            },
        })
    }

    fn write(&self, text: &mut String) {
        let mark = if self.mismatches.is_empty() { "ok  " } else { "FAIL" };
        let _ = writeln!(text, "{mark} {}: {}", self.file, visible(&self.name));
        for Mismatch { field, expected, actual } in &self.mismatches {
            let _ = writeln!(text, "       {field}");
            let _ = writeln!(text, "         - stated  {expected}");
            let _ = writeln!(text, "         + decided {actual}");
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]
mod tests {
    use super::*;

    const RULES: &str = "\
vendors: {acme: {name: Acme}}
products: {shield: {name: Shield, class: ANTIVIRUS, vendors: [acme], components: []}}
offers: {plain: {product: shield}}
suspensions:
  stop: {target: {vendor: acme}, actions: [OFFER], from: \"2026-01-01T00:00:00Z\",
         until: \"2026-02-01T00:00:00Z\", ticket: CHG-1, reason: To be safe.}
";

    /// Writes files into a folder of their own, and tests the last one.
    fn tested(files: &[(&str, &str)]) -> Outcome {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        test(
            &files.last().map(|(name, _)| folder.path().join(name)).into_iter().collect::<Vec<_>>(),
        )
    }

    fn case(expect: &str) -> String {
        format!(
            "rules: rules.yaml\ncases:\n  - {{name: one, customer: {{id: c-1, holding: {{status: \
             NONE}}}}, offer: plain, action: OFFER, as_of: \"2026-01-15T00:00:00Z\", expect: {expect}}}\n"
        )
    }

    #[test]
    fn a_case_that_differs_is_shown_with_both_sides_and_fails_the_run() {
        let stated = case("{outcome: ELIGIBLE, reasons: [NO_RULE_APPLIES], suspensions: [stop]}");
        let outcome = tested(&[("rules.yaml", RULES), ("a.test.yaml", &stated)]);
        assert!(!outcome.passed());
        let text = outcome.to_text();
        for line in [
            "FAIL ",
            "- stated  ELIGIBLE",
            "+ decided INELIGIBLE",
            "- stated  [NO_RULE_APPLIES]",
            "+ decided [VENDOR_SUSPENDED]",
            "0 of 1 case as stated",
        ] {
            assert!(text.contains(line), "{line} in\n{text}");
        }
        assert!(!text.contains("stop"), "what is as stated is not shown:\n{text}");
    }

    #[test]
    fn the_json_form_has_what_was_stated_beside_what_was_decided() {
        let outcome =
            tested(&[("rules.yaml", RULES), ("a.test.yaml", &case("{outcome: INELIGIBLE}"))]);
        assert!(outcome.passed());
        let list = outcome.to_json();
        assert_eq!(list[0]["name"], "one");
        assert_eq!(list[0]["expected"], json!({"outcome": "INELIGIBLE"}));
        assert_eq!(
            list[0]["actual"],
            json!({
                "outcome": "INELIGIBLE",
                "reasons": [{"code": "VENDOR_SUSPENDED", "attribute": null}],
                "suspensions": ["stop"],
                "exemptions": [],
                "alternate": null,
                "valid_until": "2026-02-01T00:00:00Z",
            })
        );
    }

    #[test]
    fn a_file_that_cannot_be_used_fails_the_run_and_says_where() {
        let condition = RULES.replace("{product: shield}", "{product: shield, condition: \"1 +\"}");
        for (files, problem) in [
            (vec![("gone.test.yaml", "rules: nowhere.yaml\ncases: []")], "cases"),
            (vec![("a.test.yaml", &*case("{outcome: ELIGIBLE}"))], "rules.yaml cannot be read"),
            (
                vec![("rules.yaml", "vendor: {}"), ("a.test.yaml", &*case("{outcome: ELIGIBLE}"))],
                "rules.yaml:1:1: vendor: ",
            ),
            (
                vec![("rules.yaml", RULES), ("a.test.yaml", &*case("{outcome: YES}"))],
                "cases[0].expect.outcome: `YES` is not allowed",
            ),
            (
                vec![("rules.yaml", &*condition), ("a.test.yaml", &*case("{outcome: ELIGIBLE}"))],
                "rules.yaml:3:46: offers.plain.condition: ",
            ),
        ] {
            let outcome = tested(&files);
            assert!(!outcome.passed());
            let told: Vec<_> = outcome.errors.iter().map(|error| format!("{error}")).collect();
            assert!(told.concat().contains(problem), "{problem} in {told:?}");
        }
    }
}
