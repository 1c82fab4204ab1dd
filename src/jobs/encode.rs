//! Writes decided rows in the output's form: what was carried, unchanged, then what was decided.

use super::format::Format;
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
}

fn texts<T: Display>(items: impl IntoIterator<Item = T>) -> Vec<String> {
    items.into_iter().map(|item| item.to_string()).collect()
}

/// What of a row is carried through.
#[derive(Debug, Clone, Copy)]
pub(super) enum Carried<'r> {
    /// By column: name and value.
    Columns(&'r [String], &'r [Cell<'r>]),
    /// The members of a JSON object, as they are written.
    Members(&'r [(Cow<'r, str>, &'r RawValue)]),
}

/// A table's head: nothing for JSON lines.
pub(super) fn csv_header(columns: &[String]) -> Vec<u8> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    // Writing to memory does not fail.
    let _ = writer.write_record(columns.iter().map(String::as_str).chain(ADDED));
    writer.into_inner().unwrap_or_default()
}

/// Rows of text in the making.
pub(super) enum Text {
    Csv(Box<csv::Writer<Vec<u8>>>),
    Json(Vec<u8>),
}

impl Text {
    pub(super) fn new(format: Format) -> Self {
        match format {
            Format::Csv => Self::Csv(Box::new(csv::Writer::from_writer(Vec::new()))),
            Format::Jsonl | Format::Parquet => Self::Json(Vec::new()),
        }
    }

    /// Adds a row; of one that has columns, those at the places that are kept.
    pub(super) fn add(&mut self, carried: Carried<'_>, verdict: &Verdict<'_>, kept: &[usize]) {
        match self {
            Self::Csv(writer) => {
                if let Carried::Columns(_, cells) = carried {
                    for cell in kept.iter().filter_map(|place| cells.get(*place)) {
                        let _ = writer.write_field(table_text(cell).unwrap_or_default().as_bytes());
                    }
                }
                let revision = verdict.revision.to_string();
                let _ = writer.write_record([
                    verdict.offer,
                    verdict.outcome,
                    &verdict.reasons.join(" "),
                    &verdict.suspensions.join(" "),
                    &verdict.exemptions.join(" "),
                    &verdict.alternate,
                    &verdict.valid_until,
                    &revision,
                    verdict.as_of,
                ]);
            }
            Self::Json(line) => {
                json_line(line, carried, verdict, kept);
                line.push(b'\n');
            }
        }
    }

    pub(super) fn finish(self) -> Vec<u8> {
        match self {
            Self::Csv(writer) => writer.into_inner().unwrap_or_default(),
            Self::Json(lines) => lines,
        }
    }
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

fn json_line(line: &mut Vec<u8>, carried: Carried<'_>, verdict: &Verdict<'_>, kept: &[usize]) {
    line.push(b'{');
    match carried {
        Carried::Members(members) => {
            for (name, value) in members {
                member(line, name);
                line.extend_from_slice(value.get().as_bytes());
            }
        }
        Carried::Columns(names, cells) => {
            let kept =
                kept.iter().filter_map(|place| Some((names.get(*place)?, cells.get(*place)?)));
            for (name, cell) in kept {
                if *cell != Cell::Absent {
                    member(line, name);
                    json_value(line, cell);
                }
            }
        }
    }
    let or_null = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    member(line, "offer");
    write(line, &verdict.offer);
    member(line, "outcome");
    write(line, &verdict.outcome);
    for (name, list) in [
        ("reasons", &verdict.reasons),
        ("suspensions", &verdict.suspensions),
        ("exemptions", &verdict.exemptions),
    ] {
        member(line, name);
        write(line, list);
    }
    for (name, text) in [("alternate", &verdict.alternate), ("valid_until", &verdict.valid_until)] {
        member(line, name);
        write(line, &or_null(text));
    }
    member(line, "revision");
    write(line, &verdict.revision);
    member(line, "as_of");
    write(line, &verdict.as_of);
    line.push(b'}');
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

fn member(line: &mut Vec<u8>, name: &str) {
    if line.last() != Some(&b'{') {
        line.push(b',');
    }
    write(line, name);
    line.push(b':');
}

fn write<T: serde::Serialize + ?Sized>(line: &mut Vec<u8>, value: &T) {
    // Writing to memory does not fail.
    let _ = serde_json::to_writer(line, value);
}
