//! Reads the settings file: TOML, one key a setting, no tables.

use super::read::nearest;
use super::setting::Setting;
use super::{Place, Problem};
use std::collections::BTreeMap;
use std::path::Path;
use toml::de::{DeTable, DeValue};

/// More than any settings file needs.
const MOST_BYTES: usize = 1 << 20;

/// Values by the name of their setting, each with the line it stands on.
pub(super) type FileValues = BTreeMap<&'static str, (usize, String)>;

/// Reads the file, as far as it can be read; the rest becomes problems.
pub(super) fn read(path: &Path, settings: &[Setting], problems: &mut Vec<Problem>) -> FileValues {
    let mut refuse = |what| problems.push(Problem { place: at(path, 0), what });
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) => {
            refuse(format!("file cannot be read: {error}"));
            return FileValues::new();
        }
    };
    if MOST_BYTES < bytes.len() {
        refuse(format!("file has {} bytes; at most {MOST_BYTES} are read", bytes.len()));
        return FileValues::new();
    }
    match String::from_utf8(bytes) {
        Ok(text) => parse(path, &text, settings, problems),
        Err(_) => {
            refuse("file is no UTF-8".to_owned());
            FileValues::new()
        }
    }
}

fn at(path: &Path, line: usize) -> Place {
    Place::File(path.to_owned(), line)
}

fn parse(path: &Path, text: &str, settings: &[Setting], problems: &mut Vec<Problem>) -> FileValues {
    let line_of = |offset: usize| {
        let before = text.as_bytes().iter().take(offset);
        1 + before.filter(|byte| **byte == b'\n').count()
    };
    let (table, errors) = DeTable::parse_recoverable(text);
    for error in errors {
        let line = error.span().map_or(0, |span| line_of(span.start));
        problems.push(Problem { place: at(path, line), what: error.message().to_owned() });
    }
    let mut values = FileValues::new();
    for (key, value) in table.into_inner() {
        let line = line_of(key.span().start);
        let mut refuse = |what| problems.push(Problem { place: at(path, line), what });
        let written = key.get_ref().as_ref();
        let Some(setting) = settings.iter().find(|setting| setting.name == written) else {
            refuse(unknown(written, settings));
            continue;
        };
        match as_text(value.get_ref()) {
            Some(text) if text.trim().is_empty() => {
                refuse(format!("`{written}` is empty; leave the line out, or give it a value"));
            }
            Some(text) => {
                values.insert(setting.name, (line, text));
            }
            None => {
                let kind = value.get_ref().type_str();
                refuse(format!("`{written}` is {kind}, but takes {}", setting.form));
            }
        }
    }
    values
}

/// What to say about a key that is no setting.
pub(super) fn unknown(written: &str, settings: &[Setting]) -> String {
    let names = settings.iter().map(|setting| setting.name);
    match nearest(written, names) {
        Some(name) => format!("no setting is called `{written}`; did you mean `{name}`?"),
        None => format!("no setting is called `{written}`; `offergate config show` lists them"),
    }
}

/// A plain value, as it would be written in a variable.
fn as_text(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) if number.radix() == 10 => Some(number.as_str().to_owned()),
        DeValue::Float(number) => Some(number.as_str().to_owned()),
        DeValue::Boolean(value) => Some(value.to_string()),
        DeValue::Integer(_) | DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => None,
    }
}
