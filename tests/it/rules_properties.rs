//! Laws of the rule files' reader, writer and planner.

use super::rules_generate::rule_set;
use offergate::rules::document::{change_from_json, change_to_json};
use offergate::rules::{RuleErrors, check, export, plan, read, test_file};
use proptest::prelude::*;
use std::sync::Arc;

/// Valid files to break.
const FILES: [&str; 4] = [
    include_str!("../../deploy/demo/barclays.rules.yaml"),
    include_str!("../../deploy/demo/barclays.test.yaml"),
    include_str!("../history/ownership.test.yaml"),
    include_str!("../history/precautionary.rules.yaml"),
];

/// Pieces that break files in ways that matter to YAML.
const PIECES: [&str; 24] = [
    "\n", "  ", "\t", ":", ": ", "-", "- ", "{", "}", "[", "]", "\"", "'", "&a ", "*a", "!!str ",
    "<<: ", "---\n", "|", "#", "null", "\u{feff}", "\0", "é",
];

/// What must hold of every refusal: it says where, and where is inside the text.
fn points_into(text: &str, errors: &RuleErrors) {
    assert!(!errors.problems().is_empty());
    for problem in errors.problems() {
        let place = problem.place.unwrap();
        assert!(place.offset + place.length <= text.len(), "{problem} in {text:?}");
        assert!(1 <= place.line && place.line <= text.split('\n').count().max(1) + 1, "{problem}");
        assert!(1 <= place.column, "{problem}");
    }
}

fn feed(text: &str) {
    for errors in [read(text).err(), test_file::read(text).err()].into_iter().flatten() {
        points_into(text, &errors);
        // The lines themselves can be shown too.
        assert!(!format!("{:?}", miette::Report::new(errors)).is_empty());
    }
}

proptest! {
    #[test]
    fn what_is_exported_reads_back_as_the_same_rules(rules in rule_set()) {
        prop_assert_eq!(check(&rules), vec![]);
        let text = export(&rules);
        match read(&text) {
            Ok(again) => {
                prop_assert_eq!(&again, &rules);
                prop_assert_eq!(export(&again), text);
            }
            Err(errors) => prop_assert!(false, "{errors}\n{text}"),
        }
    }

    #[test]
    fn a_planned_change_reads_back_from_its_stored_form_and_leads_to_what_was_wanted(
        current in rule_set(),
        wanted in rule_set(),
    ) {
        let planned = plan(&current, &wanted);
        prop_assert_eq!(&change_from_json(&change_to_json(&planned.change)).unwrap(), &planned.change);
        prop_assert_eq!(planned.differences.len(), planned.change.edits.len());
        let mut after = current.after(&planned.change);
        for id in &planned.kept_suspensions {
            prop_assert_eq!(after.suspensions.remove(id), current.suspensions.get(id).cloned());
        }
        for id in &planned.kept_exemptions {
            prop_assert_eq!(after.exemptions.remove(id), current.exemptions.get(id).cloned());
        }
        // A lift that the file does not mention stands.
        let mut wanted = wanted;
        for (id, held) in &current.suspensions {
            if let (Some(wanted), Some(_)) = (wanted.suspensions.get_mut(id), held.lifted_at) {
                let wanted = Arc::make_mut(wanted);
                wanted.lifted_at = wanted.lifted_at.or(held.lifted_at);
            }
        }
        prop_assert_eq!(&after, &wanted);
        prop_assert!(plan(&wanted, &wanted).change.is_empty());
    }

    #[test]
    fn any_text_is_read_or_refused_with_a_place_inside_it(text in "\\PC{0,200}") {
        feed(&text);
    }

    #[test]
    fn any_bytes_are_read_or_refused_with_a_place_inside_them(
        bytes in proptest::collection::vec(any::<u8>(), 0..300),
    ) {
        feed(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn a_broken_file_is_read_or_refused_with_a_place_inside_it(
        file in proptest::sample::select(FILES.to_vec()),
        cuts in proptest::collection::vec((any::<proptest::sample::Index>(), 0_usize..12,
            proptest::sample::select(PIECES.to_vec())), 1..4),
    ) {
        let mut characters: Vec<char> = file.chars().collect();
        for (at, length, piece) in cuts {
            let at = at.index(characters.len());
            let end = (at + length).min(characters.len());
            characters.splice(at..end, piece.chars());
        }
        feed(&characters.into_iter().collect::<String>());
    }
}
