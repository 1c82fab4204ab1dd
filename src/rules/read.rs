//! Reads a rule file: its structure, then whether it makes sense as a whole.
//!
//! Invariant: a rule set is handed out only if nothing at all is wrong with its file.

use super::check::{Declared, check_declared};
use super::document::read_rule_set;
use super::fields::Item;
use super::problem::{Problems, RuleErrors};
use super::tree::{Node, sorted};
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
    if problems.is_empty() { Ok(rules) } else { Err(RuleErrors::new(text, sorted(problems))) }
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
