//! The YAML form of the rules: read, check, plan, export; and the files that test them.

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
pub use plan::{Difference, DifferenceKind, FieldDifference, Plan, plan};
pub use problem::{Place, Problem, RuleErrors};
pub use read::{point_at, read};
