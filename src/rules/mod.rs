//! The YAML form of the rules: read, check, plan, export; and the files that test them.
//!
//! A text becomes a tree with places (`tree`), the tree a rule set (`document`, with `catalogue` and
//! `restrictions`), and the rule set is checked as a whole (`check`). The way back is the same one.
//! Not here: files and folders, deciding, and whether a condition is CEL.
//!
//! Invariant: what is handed out is whole. A text with anything wrong in it gives problems and no
//! rules, and every problem of a text has its place.

mod catalogue;
mod check;
pub mod document;
mod export;
mod fields;
mod given;
pub mod instant;
mod ownership;
mod plan;
mod problem;
mod read;
mod restrictions;
pub mod test_file;
mod texts;
mod tree;

pub use check::check;
pub use export::export;
pub use given::GivenRequest;
pub use plan::{Difference, DifferenceKind, FieldDifference, Plan, check_change, plan};
pub use problem::{Place, Problem, RuleErrors};
pub use read::{point_at, read};
pub use tree::is_hidden;
