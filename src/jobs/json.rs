//! One JSON object of a file of JSON lines: its members as they are written, and what they say.
//!
//! Names may be nested (`{"holding": {"status": "NONE"}}`) or dotted (`{"holding.status": "NONE"}`).
//!
//! Invariant: a member that stands twice, in either spelling, makes the row unreadable. Two readers
//! would take one each.

use super::row::Cell;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;

/// The members of an object in their order, each value as it is written.
#[derive(Debug)]
pub(super) struct Members<'a>(pub(super) Vec<(Cow<'a, str>, &'a RawValue)>);

/// A name that borrows where it can.
#[derive(serde::Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some((Name(name), value)) = map.next_entry::<Name<'de>, &RawValue>()? {
                    members.push((name, value));
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Object)
    }
}

impl<'a> Members<'a> {
    /// Reads one line.
    pub(super) fn read(line: &'a [u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(line).map_err(|_| "is not UTF-8".to_owned())?;
        serde_json::from_str(text).map_err(|error| format!("is no JSON object: {error}"))
    }

    /// Everything that it says, by dotted names.
    pub(super) fn flat(&self) -> Result<Vec<(String, Cell<'a>)>, String> {
        let mut flat = Vec::with_capacity(self.0.len());
        flatten("", self, &mut flat)?;
        let mut names: Vec<&str> = flat.iter().map(|(name, _)| plain(name)).collect();
        names.sort_unstable();
        match names.array_windows().find(|[one, two]| one == two) {
            Some([twice, _]) => Err(format!("says `{twice}` twice")),
            None => Ok(flat),
        }
    }
}

fn plain(name: &str) -> &str {
    name.strip_prefix("customer.").unwrap_or(name)
}

fn flatten<'a>(
    path: &str,
    members: &Members<'a>,
    flat: &mut Vec<(String, Cell<'a>)>,
) -> Result<(), String> {
    for (name, value) in &members.0 {
        let name = match path {
            "" => name.to_string(),
            path => format!("{path}.{name}"),
        };
        if is_group(&name) && value.get().starts_with('{') {
            flatten(&name, &Members::read(value.get().as_bytes())?, flat)?;
        } else {
            flat.push((name, cell(value)?));
        }
    }
    Ok(())
}

/// Whether an object under this name is a group of ours. Any other is the bank's own value.
fn is_group(name: &str) -> bool {
    name == "customer"
        || matches!(plain(name), "holding" | "holdings" | "attributes")
        || plain(name).strip_prefix("holdings.").is_some_and(|product| !product.contains('.'))
}

fn cell(value: &RawValue) -> Result<Cell<'_>, String> {
    let text = value.get();
    Ok(match text.as_bytes().first() {
        Some(b'"') => {
            let text: Name<'_> = serde_json::from_str(text).map_err(|error| error.to_string())?;
            Cell::Text(text.0)
        }
        Some(b't') => Cell::Bool(true),
        Some(b'f') => Cell::Bool(false),
        Some(b'n') => Cell::Null,
        Some(b'{' | b'[') => Cell::Other(text.into()),
        _ => Cell::Number(text.parse().unwrap_or(f64::NAN), text.into()),
    })
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn nested_and_dotted_names_say_the_same() {
        let flat = |text: &'static str| Members::read(text.as_bytes()).unwrap().flat().unwrap();
        let nested = r#"{"holding":{"status":"NONE"},"own":{"a":1},"attributes":{"x":[1]}}"#;
        let dotted = r#"{"holding.status":"NONE","own":{"a":1},"attributes.x":[1]}"#;
        assert_eq!(flat(nested), flat(dotted));
    }

    #[test]
    fn a_row_that_says_one_thing_twice_is_refused_in_every_spelling() {
        for row in [
            r#"{"country":"GB","country":"IE"}"#,
            r#"{"country":"GB","customer":{"country":"IE"}}"#,
            r#"{"holding":{"status":"NONE"},"holding.status":"ACTIVE"}"#,
        ] {
            let refused = Members::read(row.as_bytes()).unwrap().flat().unwrap_err();
            assert!(refused.contains("twice"), "{refused}");
        }
    }
}
