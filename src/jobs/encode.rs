//! Writes decided rows in the output's form: what was carried, unchanged, then what was decided.

use super::mapping::ADDED;
use super::row::Cell;
use crate::domain::Decision;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt::Display;

/// A decision as its columns tell it; what there is none of is empty.
#[derive(Debug)]
pub(super) struct Verdict<'a> {
    pub(super) offer: &'a str,
    pub(super) outcome: &'static str,
    pub(super) reasons: Vec<String>,
    pub(super) suspensions: Vec<String>,
    pub(super) exemptions: Vec<String>,
    pub(super) alternate: String,
    pub(super) valid_until: String,
    pub(super) revision: u64,
    pub(super) as_of: &'a str,
}

impl<'a> Verdict<'a> {
    pub(super) fn of(offer: &'a str, decision: &Decision<'_>, as_of: &'a str) -> Self {
        let suspensions = decision.suspensions.iter().map(|reported| &reported.suspension.id);
        Self {
            offer,
            outcome: decision.outcome.name(),
            reasons: texts(&decision.reasons),
            suspensions: texts(suspensions),
            exemptions: texts(decision.exemptions.iter().map(|exemption| &exemption.id)),
            alternate: decision.alternate.as_ref().map(ToString::to_string).unwrap_or_default(),
            valid_until: decision.valid_until.map(|until| until.to_string()).unwrap_or_default(),
            revision: decision.revision.0,
            as_of,
        }
    }

    /// The added columns of a table, and the end of the line.
    pub(super) fn csv(&self) -> Vec<u8> {
        let mut line = Vec::new();
        let revision = self.revision.to_string();
        for text in [
            self.offer,
            self.outcome,
            &self.reasons.join(" "),
            &self.suspensions.join(" "),
            &self.exemptions.join(" "),
            &self.alternate,
            &self.valid_until,
            &revision,
            self.as_of,
        ] {
            csv_field(&mut line, text.as_bytes());
            line.push(b',');
        }
        line.pop();
        line.push(b'\n');
        line
    }

    /// The added members of an object, its end and that of the line.
    pub(super) fn json(&self) -> Vec<u8> {
        let mut line = Vec::new();
        let or_null = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        member(&mut line, "offer", &self.offer);
        member(&mut line, "outcome", &self.outcome);
        member(&mut line, "reasons", &self.reasons);
        member(&mut line, "suspensions", &self.suspensions);
        member(&mut line, "exemptions", &self.exemptions);
        member(&mut line, "alternate", &or_null(&self.alternate));
        member(&mut line, "valid_until", &or_null(&self.valid_until));
        member(&mut line, "revision", &self.revision);
        member(&mut line, "as_of", &self.as_of);
        line.pop();
        line.extend_from_slice(b"}\n");
        line
    }

    /// The added columns but `revision`; what there is none of is nothing.
    pub(super) fn cells(&self) -> [Option<String>; 8] {
        let all = [
            self.offer,
            self.outcome,
            &self.reasons.join(" "),
            &self.suspensions.join(" "),
            &self.exemptions.join(" "),
            &self.alternate,
            &self.valid_until,
            self.as_of,
        ];
        all.map(|text| (!text.is_empty()).then(|| text.to_owned()))
    }
}

/// A field of a table, quoted where it has to be.
pub(super) fn csv_field(line: &mut Vec<u8>, text: &[u8]) {
    if !text.iter().any(|byte| matches!(byte, b',' | b'"' | b'\n' | b'\r')) {
        return line.extend_from_slice(text);
    }
    line.push(b'"');
    for byte in text {
        if *byte == b'"' {
            line.push(b'"');
        }
        line.push(*byte);
    }
    line.push(b'"');
}

fn texts<T: Display>(items: impl IntoIterator<Item = T>) -> Vec<String> {
    items.into_iter().map(|item| item.to_string()).collect()
}

/// A table's head: the columns that are carried, then those that are added.
pub(super) fn csv_header(columns: &[String]) -> Vec<u8> {
    let mut line = Vec::new();
    for name in columns.iter().map(String::as_str).chain(ADDED) {
        csv_field(&mut line, name.as_bytes());
        line.push(b',');
    }
    line.pop();
    line.push(b'\n');
    line
}

/// A value in a table of texts; `None` for what was not said.
pub(super) fn table_text<'r>(cell: &'r Cell<'r>) -> Option<Cow<'r, str>> {
    match cell {
        Cell::Absent | Cell::Null => None,
        Cell::Plain(text) | Cell::Text(text) | Cell::Number(_, text) | Cell::Other(text) => {
            Some(Cow::Borrowed(text))
        }
        Cell::Bool(value) => Some(Cow::Borrowed(if *value { "true" } else { "false" })),
    }
}

/// The columns of a row as members of an object that is to go on.
pub(super) fn json_columns<'r>(
    line: &mut Vec<u8>,
    columns: impl Iterator<Item = (&'r String, &'r Cell<'r>)>,
) {
    for (name, cell) in columns.filter(|(_, cell)| **cell != Cell::Absent) {
        write(line, name);
        line.push(b':');
        json_value(line, cell);
        line.push(b',');
    }
}

/// The members of an object as they are written, of an object that is to go on.
pub(super) fn json_members<'r>(
    line: &mut Vec<u8>,
    members: impl Iterator<Item = &'r (Cow<'r, str>, &'r RawValue)>,
) {
    for (name, value) in members {
        write(line, name);
        line.push(b':');
        line.extend_from_slice(value.get().as_bytes());
        line.push(b',');
    }
}

fn json_value(line: &mut Vec<u8>, cell: &Cell<'_>) {
    match cell {
        Cell::Absent | Cell::Null => line.extend_from_slice(b"null"),
        Cell::Plain(text) | Cell::Text(text) => write(line, text),
        Cell::Bool(value) => write(line, value),
        Cell::Number(number, spelled) if number.is_finite() => {
            line.extend_from_slice(spelled.as_bytes());
        }
        // Not a number, and no JSON either.
        Cell::Number(_, spelled) | Cell::Other(spelled) => write(line, spelled),
    }
}

fn member<T: serde::Serialize + ?Sized>(line: &mut Vec<u8>, name: &str, value: &T) {
    write(line, name);
    line.push(b':');
    write(line, value);
    line.push(b',');
}

fn write<T: serde::Serialize + ?Sized>(line: &mut Vec<u8>, value: &T) {
    // Writing to memory does not fail.
    let _ = serde_json::to_writer(line, value);
}
