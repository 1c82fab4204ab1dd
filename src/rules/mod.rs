//! The YAML form of the rules: read, check, plan, export; and the files that test them.

mod catalogue;
pub mod document;
mod fields;
pub mod instant;
mod problem;
mod restrictions;
mod tree;

pub use problem::{Place, Problem, RuleErrors};
