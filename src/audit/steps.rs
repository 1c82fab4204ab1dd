//! The change inside an entry, written and read one step at a time.
//!
//! A rule file of 10,000 suspensions is one change. As one JSON value it would take many times the
//! memory of its text, at each start; a step is small.

use crate::domain::RuleChange;
use crate::rules::document::{change_from_json, change_to_json};
use serde::de::{Deserializer, Error, SeqAccess, Visitor};
use serde::ser::{SerializeSeq, Serializer};
use serde_json::Value;
use std::borrow::Cow;
use std::fmt;

/// Writes the list of steps.
pub(super) fn write<S: Serializer>(
    change: &Cow<'_, RuleChange>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let mut list = serializer.serialize_seq(Some(change.edits.len()))?;
    for edit in &change.edits {
        let one = RuleChange { edits: vec![edit.clone()] };
        if let Value::Array(steps) = change_to_json(&one) {
            steps.iter().try_for_each(|step| list.serialize_element(step))?;
        }
    }
    list.end()
}

/// Reads a list of steps.
pub(super) fn read<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Cow<'static, RuleChange>, D::Error> {
    struct Steps;

    impl<'de> Visitor<'de> for Steps {
        type Value = RuleChange;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list of steps")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<RuleChange, A::Error> {
            let mut edits = Vec::new();
            while let Some(step) = list.next_element::<Value>()? {
                let one = change_from_json(&Value::Array(vec![step])).map_err(Error::custom)?;
                edits.extend(one.edits);
            }
            Ok(RuleChange { edits })
        }
    }

    deserializer.deserialize_seq(Steps).map(Cow::Owned)
}
