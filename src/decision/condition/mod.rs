//! An offer's condition: a small part of CEL over what the caller said (R7, R17).
//!
//! What a condition may read: `customer.id`, `.relationship`, `.country`, `.segment`, `.us_person`,
//! `.vulnerable`, `.age`, `.attributes.NAME` (also as `attributes.NAME`), and `action`, `channel`,
//! `device`. Each by its full name: a condition cannot ask whether an attribute is there, since then
//! leaving one out could make a customer eligible. Numbers are doubles.
//!
//! CEL's evaluator has no budget of its own, so the source is short, comprehensions go over literal
//! lists only and do not nest.
//!
//! Invariant: a condition never says yes for want of an attribute. What it cannot read is an error
//! in CEL, and an error is `INDETERMINATE` here.

use crate::domain::{Action, Attribute, Customer, Timestamp};

pub(in crate::decision) use engine::Condition;

/// What a condition may read. A term that the vocabularies do not know is invalid here already.
#[cfg_attr(not(feature = "cel"), expect(dead_code, reason = "without CEL nothing reads it"))]
pub(in crate::decision) struct Given<'a, 't> {
    pub(in crate::decision) customer: &'a Customer<'t>,
    pub(in crate::decision) segment: Attribute<&'t str>,
    pub(in crate::decision) channel: Attribute<&'t str>,
    pub(in crate::decision) device: Attribute<&'t str>,
    pub(in crate::decision) action: Action,
    pub(in crate::decision) now: Timestamp,
}

#[cfg(feature = "cel")]
mod engine;

#[cfg(not(feature = "cel"))]
mod engine {
    use super::{Given, Timestamp};
    use crate::domain::Reason;

    /// Without the `cel` feature no condition compiles, so no rule set with one is ever served.
    #[derive(Debug)]
    pub(in crate::decision) enum Condition {}

    impl Condition {
        pub(in crate::decision) fn compile(_source: &str) -> Result<Self, String> {
            Err("this build has no support for conditions (the `cel` feature is off)".to_owned())
        }

        pub(in crate::decision) fn verdict(&self, _: &Given<'_, '_>) -> Result<bool, Vec<Reason>> {
            match *self {}
        }

        pub(in crate::decision) fn next_change(&self, _: &Given<'_, '_>) -> Option<Timestamp> {
            match *self {}
        }
    }
}
