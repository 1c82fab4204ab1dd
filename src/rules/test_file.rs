//! Test files: cases that a rule set must decide as stated.
//!
//! An unknown key, a missing field, an expectation that no decision can meet or one that states nothing
//! is an error of the file. A bad value in a case's request is none: it is decided (see [`GivenRequest`]).
//!
//! What `expect` does not state is not compared. Reasons are compared in order, as they are written:
//! `ATTRIBUTE_MISSING:country`. A code alone stands for a reason about no attribute; except that a
//! code other than `ATTRIBUTE_MISSING` and `ATTRIBUTE_INVALID` also stands for the same code with an
//! attribute, so that `REQUIREMENT_NOT_MET` may leave open which requirement.

use super::document::SECTIONS;
use super::fields::{Fields, Item, not_one_of};
use super::given::GivenRequest;
use super::instant;
use super::problem::{Problems, RuleErrors};
use super::read::checked;
use super::tree::{Kind, Node, quoted};
use crate::domain::{
    Decision, ExemptionId, OfferId, Outcome, Reason, ReasonCode, RuleSet, SuspensionId, Timestamp,
};
use serde_json::Value;

/// A test file.
#[derive(Debug)]
pub struct TestFile {
    /// The rules that decide.
    pub rules: TestRules,
    /// The cases, at least one.
    pub cases: Vec<Case>,
}

/// Where a test file's rules are.
#[derive(Debug)]
pub enum TestRules {
    /// In another file, whose path starts at the test file's folder.
    Path(String),
    /// In the test file itself.
    Inline(Box<RuleSet>),
}

/// One request, and what must come of it.
#[derive(Debug)]
pub struct Case {
    /// What it shows.
    pub name: String,
    /// What is asked.
    pub request: GivenRequest,
    /// The instant it is decided for; `None` for one that cannot be read.
    pub as_of: Option<Timestamp>,
    /// What must come of it.
    pub expect: Expect,
    /// The same as it was written.
    pub stated: Value,
}

/// What a case states about its decision; `None` where it states nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Expect {
    /// The outcome.
    pub outcome: Option<Outcome>,
    /// The reasons, in order.
    pub reasons: Option<Vec<ExpectedReason>>,
    /// The suspensions, in order.
    pub suspensions: Option<Vec<SuspensionId>>,
    /// The exemptions, in order.
    pub exemptions: Option<Vec<ExemptionId>>,
    /// The alternate; `Some(None)` when there must be none.
    pub alternate: Option<Option<OfferId>>,
    /// The end of validity; `Some(None)` when there must be none.
    pub valid_until: Option<Option<Timestamp>>,
}

/// A reason as a case states it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpectedReason {
    code: ReasonCode,
    attribute: Option<String>,
}

/// A field that is not as stated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatch {
    /// The field of `expect`.
    pub field: &'static str,
    /// What the case states.
    pub expected: String,
    /// What was decided.
    pub actual: String,
}

/// Reads a test file.
///
/// # Errors
/// When anything is wrong with it: everything that is, each problem with its line and column.
pub fn read(text: &str) -> Result<TestFile, RuleErrors> {
    let problems = Problems::default();
    let root = Node::from_yaml(text, &problems);
    match root.as_ref().and_then(|root| read_file(&Item::root(root, &problems))) {
        Some(file) if problems.is_empty() => Ok(file),
        _ => Err(RuleErrors::new(text, problems.sorted())),
    }
}

fn read_file(item: &Item<'_>) -> Option<TestFile> {
    let fields = item.fields(&["rules", "cases"])?;
    let rules = fields.required("rules").and_then(|item| match &item.node.kind {
        Kind::Text(path) if !path.is_empty() => Some(TestRules::Path(path.clone())),
        Kind::Map(_) => Some(TestRules::Inline(Box::new(checked(&item, item.problems)))),
        _ => item.refuse(format!(
            "is {}, and must be the path of a rule file or a map of `{}`",
            item.node.describe(),
            SECTIONS.join("`, `")
        )),
    });
    let cases = fields
        .required("cases")
        .map(|item| item.filled_list("cases", "a test file has at least one case", read_case));
    Some(TestFile { rules: rules?, cases: cases? })
}

/// What a case may state.
const EXPECT: [&str; 6] =
    ["outcome", "reasons", "suspensions", "exemptions", "alternate", "valid_until"];

fn read_case(item: &Item<'_>) -> Option<Case> {
    let fields = item.fields(&[
        "name",
        "customer",
        "offer",
        "action",
        "channel",
        "device",
        "consistency",
        "as_of",
        "expect",
    ])?;
    let name = fields.required_text("name");
    let as_of = fields.required("as_of").map(|item| match &item.node.kind {
        Kind::Text(text) => instant::parse(text, None).ok(),
        _ => None,
    });
    let request = GivenRequest::read(&fields);
    let expect = fields.required("expect");
    let stated = expect.as_ref().map(|item| item.node.to_json());
    let expect = expect.and_then(|item| {
        let fields = item.fields(&EXPECT)?;
        if item.node.keys().next().is_none() {
            let all = EXPECT.join("`, `");
            return item.refuse(format!("states nothing; state at least one of `{all}`"));
        }
        Some(read_expect(&fields))
    });
    Some(Case { name: name?, request: request?, as_of: as_of?, expect: expect?, stated: stated? })
}

fn read_expect(fields: &Fields<'_>) -> Expect {
    /// `null` states that there is none.
    fn or_none<T>(
        item: Option<Item<'_>>,
        read: impl FnOnce(&Item<'_>) -> Option<T>,
    ) -> Option<Option<T>> {
        let item = item?;
        if item.node.kind == Kind::Null { Some(None) } else { read(&item).map(Some) }
    }
    Expect {
        outcome: fields.get("outcome").and_then(|item| item.one_of(&Outcome::ALL, Outcome::name)),
        reasons: fields.get("reasons").map(|item| item.list("reasons", read_reason)),
        suspensions: fields
            .get("suspensions")
            .map(|item| item.list("suspension ids", |id| id.parsed(SuspensionId::parse))),
        exemptions: fields
            .get("exemptions")
            .map(|item| item.list("exemption ids", |id| id.parsed(ExemptionId::parse))),
        alternate: or_none(fields.get("alternate"), |item| item.parsed(OfferId::parse)),
        valid_until: or_none(fields.get("valid_until"), |item| item.instant()),
    }
}

fn read_reason(item: &Item<'_>) -> Option<ExpectedReason> {
    let text = item.text()?;
    let (code, attribute) = match text.split_once(':') {
        Some((code, attribute)) => (code, Some(attribute)),
        None => (text, None),
    };
    if attribute == Some("") {
        return item.refuse(format!("{} names no attribute after the colon", quoted(text)));
    }
    match ReasonCode::from_name(code) {
        Some(code) => Some(ExpectedReason { code, attribute: attribute.map(str::to_owned) }),
        None => item.refuse(not_one_of(code, &ReasonCode::ALL.map(ReasonCode::name))),
    }
}

impl ExpectedReason {
    /// Whether this stands for `reason`.
    fn stands_for(&self, reason: &Reason) -> bool {
        let names_attribute =
            matches!(self.code, ReasonCode::AttributeMissing | ReasonCode::AttributeInvalid);
        self.code == reason.code
            && match &self.attribute {
                Some(stated) => reason.attribute.as_ref().is_some_and(|a| a.as_str() == stated),
                None => !names_attribute || reason.attribute.is_none(),
            }
    }

    fn written(&self) -> String {
        match &self.attribute {
            Some(attribute) => format!("{}:{attribute}", self.code.name()),
            None => self.code.name().to_owned(),
        }
    }
}

impl Expect {
    /// Every field in which `decision` is not as stated.
    #[must_use]
    pub fn mismatches(&self, decision: &Decision) -> Vec<Mismatch> {
        let mut found = Vec::new();
        let mut compare = |field, same: bool, expected: String, actual: String| {
            if !same {
                found.push(Mismatch { field, expected, actual });
            }
        };
        if let Some(outcome) = self.outcome {
            let actual = decision.outcome;
            let (stated, decided) = (outcome.name().to_owned(), actual.name().to_owned());
            compare("outcome", outcome == actual, stated, decided);
        }
        if let Some(reasons) = &self.reasons {
            let same = reasons.len() == decision.reasons.len()
                && reasons.iter().zip(&decision.reasons).all(|(one, other)| one.stands_for(other));
            let stated = list(reasons.iter().map(ExpectedReason::written));
            compare("reasons", same, stated, list(decision.reasons.iter()));
        }
        if let Some(ids) = &self.suspensions {
            let actual = || decision.suspensions.iter().map(|one| &one.suspension.id);
            compare("suspensions", ids.iter().eq(actual()), list(ids), list(actual()));
        }
        if let Some(ids) = &self.exemptions {
            let actual = || decision.exemptions.iter().map(|one| &one.id);
            compare("exemptions", ids.iter().eq(actual()), list(ids), list(actual()));
        }
        if let Some(stated) = &self.alternate {
            let same = *stated == decision.alternate;
            compare(
                "alternate",
                same,
                or_null(stated.as_ref()),
                or_null(decision.alternate.as_ref()),
            );
        }
        if let Some(stated) = self.valid_until {
            let same = stated == decision.valid_until;
            compare("valid_until", same, or_null(stated), or_null(decision.valid_until));
        }
        found
    }
}

fn list<T: ToString>(items: impl IntoIterator<Item = T>) -> String {
    let items: Vec<_> = items.into_iter().map(|item| item.to_string()).collect();
    format!("[{}]", items.join(", "))
}

fn or_null<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(|| "null".to_owned(), |value| value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const RIGHT: &str = "\
rules: rules.yaml
cases:
  - name: one
    customer: {id: c-1, country: GB}
    offer: plain
    action: OFFER
    as_of: \"2026-01-15T00:00:00Z\"
    consistency: STRICT
    expect: {outcome: ELIGIBLE, reasons: [NO_RULE_APPLIES], alternate: null}
";

    fn told(text: &str) -> String {
        read(text).map_or_else(|errors| errors.to_string(), |_| "nothing".to_owned())
    }

    #[test]
    fn a_mistake_in_the_structure_is_an_error_of_the_file() {
        assert_eq!(told(RIGHT), "nothing");
        for (right, wrong, problem) in [
            ("rules: rules.yaml\n", "", "1:1: rules: `rules` is missing"),
            ("rules.yaml", "[]", "1:8: rules: is a list, and must be the path"),
            ("rules.yaml", "{vendors: {a: {}}}", "1:19: rules.vendors.a.name: `name` is missing"),
            (
                "rules.yaml",
                "{offers: {a: {product: b}}}",
                "1:31: rules.offers.a.product: there is no product `b`",
            ),
            ("name: one", "nome: one", "cases[0].nome: unknown key `nome`; did you mean `name`?"),
            ("id: c-1, ", "", "4:5: cases[0].customer.id: `id` is missing"),
            ("country: GB", "cuntry: GB", "4:25: cases[0].customer.cuntry: unknown key"),
            (
                "country: GB",
                "holding: {state: NONE}",
                "cases[0].customer.holding.state: unknown key",
            ),
            (
                "country: GB",
                "attributes: []",
                "cases[0].customer.attributes: is a list, and must be a map",
            ),
            ("    offer: plain\n", "", "cases[0].offer: `offer` is missing"),
            ("    action: OFFER\n", "", "cases[0].action: `action` is missing"),
            ("    as_of: \"2026-01-15T00:00:00Z\"\n", "", "cases[0].as_of: `as_of` is missing"),
            (
                "ELIGIBLE",
                "ELIGABLE",
                "9:23: cases[0].expect.outcome: `ELIGABLE` is not allowed; did you mean `ELIGIBLE`?",
            ),
            (
                "NO_RULE_APPLIES",
                "NO_RULES",
                "9:43: cases[0].expect.reasons[0]: `NO_RULES` is not allowed",
            ),
            (
                "{outcome: ELIGIBLE, reasons: [NO_RULE_APPLIES], alternate: null}",
                "{}",
                "9:13: cases[0].expect: states nothing; state at least one of `outcome`",
            ),
            ("NO_RULE_APPLIES", "\"ATTRIBUTE_MISSING:\"", "names no attribute after the colon"),
            ("alternate: null", "alternate: [a]", "cases[0].expect.alternate: is a list"),
            (
                "alternate: null",
                "valid_until: 2026-01-01",
                "cases[0].expect.valid_until: `2026-01-01` is a day",
            ),
        ] {
            assert!(RIGHT.contains(right), "{right}");
            let told = told(&RIGHT.replacen(right, wrong, 1));
            assert!(told.contains(problem), "{right} -> {wrong}:\n{told}");
        }
        assert!(told("rules: a\ncases: []").contains("2:8: cases: is an empty list"));
    }

    #[test]
    fn a_bad_value_in_a_request_is_no_error_of_the_file() {
        for (right, wrong) in [
            ("GB", "UK"),
            ("GB", "[GB]"),
            ("id: c-1", "id: [1]"),
            ("country: GB", "holding: ACTIVE"),
            (
                "country: GB",
                "holding: {status: FOO, unit_count: -1, term_end: soon, covered_by: []}",
            ),
            ("country: GB", "holdings: {shield: 12}"),
            ("country: GB", "attributes: {a: null, b: [1], c: .nan}"),
            ("offer: plain", "offer: {}"),
            ("action: OFFER", "action: 12"),
            ("\"2026-01-15T00:00:00Z\"", "12"),
        ] {
            assert_eq!(told(&RIGHT.replacen(right, wrong, 1)), "nothing", "{right} -> {wrong}");
        }
    }

    #[test]
    fn a_code_alone_stands_for_any_requirement_and_never_for_a_missing_attribute() {
        use crate::domain::AttributeName;
        let stated = |code, attribute: Option<&str>| ExpectedReason {
            code,
            attribute: attribute.map(str::to_owned),
        };
        let about = |code, name| Reason::about(code, AttributeName::Standard(name));
        let (missing, not_met) = (ReasonCode::AttributeMissing, ReasonCode::RequirementNotMet);
        assert!(stated(not_met, None).stands_for(&about(not_met, "a")));
        assert!(stated(not_met, Some("a")).stands_for(&about(not_met, "a")));
        assert!(!stated(not_met, Some("b")).stands_for(&about(not_met, "a")));
        assert!(!stated(not_met, Some("a")).stands_for(&Reason::plain(not_met)));
        assert!(stated(missing, Some("country")).stands_for(&about(missing, "country")));
        assert!(!stated(missing, None).stands_for(&about(missing, "country")));
    }
}
