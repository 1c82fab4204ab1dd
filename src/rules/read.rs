//! Reads a rule file: its structure, then whether it makes sense as a whole.
//!
//! Invariant: a rule set is handed out only if nothing at all is wrong with its file.

use super::check::{Declared, check_declared};
use super::document::read_rule_set;
use super::fields::Item;
use super::problem::{Place, Problem, Problems, RuleErrors};
use super::tree::Node;
use crate::domain::RuleSet;

/// Reads a rule file.
///
/// # Errors
/// When anything is wrong with it: everything that is, each problem with its line and column.
pub fn read(text: &str) -> Result<RuleSet, RuleErrors> {
    let problems = Problems::default();
    let rules = Node::from_yaml(text, &problems)
        .map(|root| checked(&Item::root(&root, &problems), &problems))
        .unwrap_or_default();
    if problems.is_empty() { Ok(rules) } else { Err(RuleErrors::new(text, problems.sorted())) }
}

/// Points at the field `path` of a rule file that was read, to say what a later step finds wrong with
/// it: a condition that is no CEL, for example. In a test file the rules inline stand at `rules`.
#[must_use]
pub fn point_at(text: &str, path: &str, message: &str) -> RuleErrors {
    let root = Node::from_yaml(text, &Problems::default());
    let place = root.and_then(|root| root.place_of(path)).or(Some(Place::START));
    let problem = Problem { path: path.to_owned(), message: message.to_owned(), place };
    RuleErrors::new(text, vec![problem])
}

/// Reads the rules in a node and checks them, noting what is wrong at its place.
pub(super) fn checked(item: &Item<'_>, problems: &Problems) -> RuleSet {
    let rules = read_rule_set(item);
    for problem in check_declared(&rules, &Declared::in_file(item.node)) {
        let path = match item.path.as_str() {
            "" => problem.path.clone(),
            outer => format!("{outer}.{}", problem.path),
        };
        // What could not be read is no news to its reader a second time.
        if !problems.touches(&path) {
            let place = item.node.place_of(&problem.path).or(item.node.place);
            problems.add::<()>(path, place, problem.message);
        }
    }
    rules
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    /// A rule file in which everything is right, to be spoilt in one place.
    const RIGHT: &str = r#"
vendors:
  acme: {name: Acme, country: GB}
  owner: {name: Owner}
products:
  shield: {name: Shield, class: ANTIVIRUS, vendors: [acme], components: []}
offers:
  shield-12m: {product: shield, min_age: 16, max_age: 65, alternates: [other]}
  other: {product: shield}
advisories:
  letter: {issuer: NCSC, force: GUIDANCE, issued: 2017-12-01, url: "https://example.com/"}
suspensions:
  stop:
    target: {vendor: acme}
    actions: [OFFER, RENEW]
    countries: [GB, NO]
    from: "2017-12-02T00:00:00Z"
    until: "2018-12-02T00:00:00Z"
    grandfather: {accepted_before: "2017-12-02T00:00:00Z", until: "2018-01-01T00:00:00Z"}
    advisories: [letter]
    ticket: CHG-1
    reason: To be safe.
    customer_message: {en: Not now., cy: Ddim nawr.}
exemptions:
  some: {waives: [stop], from: "2018-01-01T00:00:00Z", until: "2018-02-01T00:00:00Z",
         ticket: CHG-2, reason: One month.}
"#;

    fn told(text: &str) -> String {
        read(text).map_or_else(|errors| errors.to_string(), |_| "nothing".to_owned())
    }

    #[test]
    fn a_section_without_anything_below_it_is_empty() {
        let nothing = "vocabularies:\nvendors: null\nproducts: ~\noffers:\nadvisories:\n\
                       suspensions:\nexemptions:  # none yet\n";
        assert_eq!(read(nothing).unwrap(), RuleSet::default());
    }

    #[test]
    fn texts_that_people_read_hide_nothing() {
        for (right, path) in [
            ("To be safe.", "suspensions.stop.reason"),
            ("Not now.", "suspensions.stop.customer_message.en"),
            ("name: Shield", "products.shield.name"),
            ("issuer: NCSC", "advisories.letter.issuer"),
            ("reason: One month.", "exemptions.some.reason"),
        ] {
            for (hidden, code) in [("\u{202e}", "202E"), ("\u{200d}", "200D"), ("\u{ad}", "00AD")] {
                let told = told(&RIGHT.replacen(right, &format!("{right}{hidden}x"), 1));
                let problem = format!("{path}: has the hidden character U+{code}");
                assert!(told.contains(&problem), "{right} + {code}: {told}");
                assert!(told.starts_with(|first: char| first.is_ascii_digit()), "{told}");
            }
        }
    }

    #[test]
    fn a_file_in_which_everything_is_right_is_read() {
        assert_eq!(told(RIGHT), "nothing");
        let rules = read(RIGHT).unwrap();
        let stop = rules.suspensions.values().next().unwrap();
        assert_eq!(stop.scope.countries.last().unwrap().code(), "NO", "Norway, and not `false`");
    }

    #[test]
    fn one_mistake_is_told_once_with_its_place_and_with_what_is_allowed() {
        for (right, wrong, problem) in [
            (
                "country: GB",
                "country: UK",
                "3:31: vendors.acme.country: `UK` is not allowed: a country is",
            ),
            (
                "country: GB",
                "cuntry: GB",
                "3:22: vendors.acme.cuntry: unknown key `cuntry`; did you mean `country`?",
            ),
            ("name: Acme, ", "", "3:3: vendors.acme.name: `name` is missing"),
            (
                "name: Acme",
                "name: Аcme",
                "3:16: vendors.acme.name: `Аcme` mixes Cyrillic letters with Latin",
            ),
            ("name: Acme", "name: \"\"", "3:16: vendors.acme.name: is empty"),
            ("name: Acme", "name: true", "3:16: vendors.acme.name: is `true`, and must be a text"),
            (
                "name: Acme",
                "name: \"a\\u0007\"",
                "3:16: vendors.acme.name: has the hidden character U+0007; write plain text",
            ),
            (
                "name: Acme",
                "name: \"Ac\\u200Bme\"",
                "3:16: vendors.acme.name: has the hidden character U+200B",
            ),
            (
                "{name: Owner}",
                "{name: Owner, parent: owner}",
                "4:32: vendors.owner.parents: own each other in a cycle: owner -> owner",
            ),
            (
                "{name: Owner}",
                "{name: Owner, parent: nobody}",
                "4:32: vendors.owner.parents[0].vendor: there is no vendor `nobody`",
            ),
            (
                "{name: Owner}",
                "{name: O, parent: acme, parents: []}",
                "4:3: vendors.owner: `parent` is short for",
            ),
            ("vendors: [acme]", "vendors: []", "6:53: products.shield.vendors: is an empty list"),
            (
                "vendors: [acme]",
                "vendors: [acne]",
                "6:54: products.shield.vendors[0]: there is no vendor `acne`; did you mean `acme`?",
            ),
            (
                "components: []",
                "components: none",
                "6:73: products.shield.components: is `none`, and must be a list of components, or `unknown`",
            ),
            ("min_age: 16", "min_age: 70", "8:55: offers.shield-12m.max_age: `65` is below"),
            (
                "min_age: 16",
                "min_age: -1",
                "8:42: offers.shield-12m.min_age: is `-1`, and must be a whole number from 0 to 150",
            ),
            (
                "min_age: 16",
                "countries: []",
                "8:44: offers.shield-12m.countries: is an empty list; leave it out to serve everybody",
            ),
            (
                "[other]",
                "[shield-12m]",
                "8:72: offers.shield-12m.alternates[0]: an offer is no alternate to itself",
            ),
            (
                "[other]",
                "[gone]",
                "8:72: offers.shield-12m.alternates[0]: there is no offer `gone`",
            ),
            (
                "force: GUIDANCE",
                "force: ADVICE",
                "11:33: advisories.letter.force: `ADVICE` is not allowed; allowed are `LAW`",
            ),
            (
                "2017-12-01,",
                "2017-12-32,",
                "11:51: advisories.letter.issued: `2017-12-32` is no day",
            ),
            (
                "https://example.com/",
                "ftp://example.com/",
                "11:68: advisories.letter.url: `ftp://example.com/` is no link",
            ),
            ("{vendor: acme}", "{}", "14:13: suspensions.stop.target: names nothing"),
            (
                "{vendor: acme}",
                "all",
                "14:13: suspensions.stop.target: is `all`; name one `vendor`",
            ),
            (
                "{vendor: acme}",
                "{vendor: \"*\"}",
                "14:22: suspensions.stop.target.vendor: `*` is not allowed",
            ),
            (
                "{vendor: acme}",
                "{vendor: acme, offer: other}",
                "14:13: suspensions.stop.target: names more than one thing",
            ),
            (
                "    actions: [OFFER, RENEW]\n",
                "",
                "13:3: suspensions.stop.actions: `actions` is missing",
            ),
            ("[OFFER, RENEW]", "[]", "15:14: suspensions.stop.actions: is an empty list"),
            (
                "[OFFER, RENEW]",
                "[OFER]",
                "15:15: suspensions.stop.actions[0]: `OFER` is not allowed; did you mean `OFFER`?",
            ),
            (
                "countries: [GB, NO]",
                "countries: []",
                "16:16: suspensions.stop.countries: is an empty list; leave it out to match everybody",
            ),
            (
                "countries: [GB, NO]",
                "segments: [RETAILS]",
                "16:16: suspensions.stop.segments[0]: `RETAILS` is not allowed; did you mean `RETAIL`?",
            ),
            (
                "countries: [GB, NO]",
                "product_classes: [VPN]",
                "16:23: suspensions.stop.product_classes[0]: `VPN` is not allowed",
            ),
            (
                "\"2017-12-02T00:00:00Z\"\n    until",
                "2017-12-02\n    until",
                "17:11: suspensions.stop.from: `2017-12-02` is a day, and an instant is wanted",
            ),
            (
                "\"2017-12-02T00:00:00Z\"\n    until",
                "2017-12-02T00:00:00\n    until",
                "17:11: suspensions.stop.from: `2017-12-02T00:00:00` has no offset",
            ),
            (
                "2018-12-02",
                "2016-12-02",
                "18:12: suspensions.stop.until: `2016-12-02T00:00:00Z` is not after",
            ),
            (
                "[letter]",
                "[latter]",
                "20:18: suspensions.stop.advisories[0]: there is no advisory `latter`",
            ),
            ("ticket: CHG-1", "ticket: null", "21:13: suspensions.stop.ticket: is empty"),
            (
                "en: Not",
                "english_: Not",
                "23:34: suspensions.stop.customer_message.english_: `english_` is no language tag",
            ),
            ("[stop]", "[]", "25:18: exemptions.some.waives: is an empty list"),
            ("[stop]", "[halt]", "25:19: exemptions.some.waives[0]: there is no suspension `halt`"),
            (
                "until: \"2018-02-01T00:00:00Z\",",
                "",
                "25:3: exemptions.some.until: `until` is missing",
            ),
        ] {
            assert!(RIGHT.contains(right), "{right}");
            let text = RIGHT.replacen(right, wrong, 1);
            let told = told(&text);
            assert!(told.starts_with(problem), "{right} -> {wrong}:\n{told}\n{problem}");
            assert_eq!(told.lines().count(), 1, "{right} -> {wrong}:\n{told}");
        }
    }

    #[test]
    fn everything_that_is_wrong_is_told_at_once_in_the_order_of_the_text() {
        let text = RIGHT
            .replace("country: GB", "country: UK")
            .replace("class: ANTIVIRUS", "class: anti virus")
            .replace("2018-12-02", "2016-12-02")
            .replace("[letter]", "[latter]");
        let lines: Vec<_> =
            read(&text).unwrap_err().problems().iter().map(|p| p.path.clone()).collect();
        assert_eq!(
            lines,
            [
                "vendors.acme.country",
                "products.shield.class",
                "suspensions.stop.until",
                "suspensions.stop.advisories[0]",
            ]
        );
    }

    #[test]
    fn what_yaml_can_do_beyond_plain_data_is_refused() {
        let bomb = "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n";
        let deep = format!("vendors: {}{}", "[".repeat(200), "]".repeat(200));
        let huge = format!("# {}", "x".repeat(17 * 1024 * 1024));
        for (text, problem) in [
            ("", "1:1: is empty"),
            ("# nothing\n", "1:1: is empty"),
            ("---\n", "must be a map"),
            ("[]", "1:1: is a list, and must be a map of `vocabularies`"),
            ("vendors: {}\nvendors: {}", "2:1: `vendors` stands here for the second time"),
            ("vendors: {a b: {name: x}}", "1:11: vendors.a b: `a b` is not allowed: an id is"),
            ("vendors: {}\n---\nvendors: {}", "is a second document"),
            ("vendors: !!map {}", "has a tag"),
            ("vendors: &v {}", "has an anchor"),
            ("vendors: &v {}\nproducts: *v", "is an alias"),
            ("vendors: {<<: {}}", "is a merge key"),
            ("? {a: b}\n: c", "is a key, and a key is a plain text"),
            ("vendors: {a: b", "is no YAML: "),
            ("vendors: *nowhere", "is no YAML: "),
            (bomb, "has an anchor"),
            (deep.as_str(), "nests deeper than 24 levels"),
            (huge.as_str(), "1:1: has 17825794 bytes, at most 16777216 are read"),
        ] {
            let told = told(text);
            let shown: String = text.chars().take(60).collect();
            assert!(told.contains(problem), "{shown}:\n{told}");
        }
    }

    #[test]
    fn ten_thousand_suspensions_are_well_within_the_limits() {
        let (head, tail) = RIGHT.split_once("  stop:\n").unwrap();
        let (stop, tail) = tail.split_once("exemptions:\n").unwrap();
        let more: String = (0..10_000).map(|number| format!("  s{number}:\n{stop}")).collect();
        let text = format!("{head}  stop:\n{stop}{more}exemptions:\n{tail}");
        assert_eq!(read(&text).unwrap().suspensions.len(), 10_001);
    }

    #[test]
    fn files_made_to_be_slow_are_refused_and_many_mistakes_are_told_up_to_a_limit() {
        let keys: String = (0..100_000).map(|number| format!("k{number}: 1\n")).collect();
        let values = format!("vendors: [{}]", "1,".repeat(1_100_000));
        let unknown: String =
            (0..20_000).map(|number| format!("  o{number}: {{product: p{number}}}\n")).collect();
        assert_eq!(read(&keys).unwrap_err().problems().len(), 1_000);
        assert!(told(&values).contains("is one value too many; at most 1000000 are read"));
        assert_eq!(read(&format!("offers:\n{unknown}")).unwrap_err().problems().len(), 1_000);
    }

    #[test]
    fn a_message_carries_nothing_that_a_terminal_would_obey() {
        let text =
            r#"{"\e[31m": 1, advisories: {a: {issuer: x, force: "\e[2J", issued: "\e[2J"}}}"#;
        let told = told(text);
        assert_eq!(told.lines().count(), 3);
        assert!(!told.contains('\u{1b}'), "{told:?}");
    }

    #[test]
    fn a_field_can_be_pointed_at_later() {
        let told = point_at(RIGHT, "offers.shield-12m.alternates[0]", "is sold out");
        assert_eq!(told.to_string(), "8:72: offers.shield-12m.alternates[0]: is sold out");
        assert!(point_at("", "offers", "is gone").to_string().starts_with("1:1: "));
    }
}
