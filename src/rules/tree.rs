//! A file as a tree of maps, lists and scalars, each with its place in the text.
//!
//! Knows YAML and JSON, and nothing of rules. What YAML can do beyond plain data is refused here:
//! anchors and aliases (and so alias bombs), merge keys, tags, several documents in a file, keys
//! that are no scalars, duplicate keys.
//!
//! A plain `NO` is a text and not a truth value; only `true` and `false` are truth values. A number
//! keeps its spelling, so that the id `0012` stays what it is.

use super::problem::{Place, Problems};
use serde_json::Value;
use serde_saphyr::granit_parser::{Event, Marker, Options, Parser, ScalarStyle, Span};
use std::collections::HashSet;

/// The longest text that is read. 10,000 suspensions take about a quarter of it.
const MOST_BYTES: usize = 16 * 1024 * 1024;

/// How deep maps and lists may nest. The deepest field of a test file stands at 8.
const MOST_DEPTH: usize = 24;

/// How many values a text may have. 10,000 suspensions have fewer than half of them.
const MOST_VALUES: usize = 1_000_000;

/// A value and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node {
    pub(super) kind: Kind,
    pub(super) place: Option<Place>,
}

/// What a value is.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kind {
    Null,
    Bool(bool),
    /// A decimal number as it was written; not always a finite one.
    Number(String),
    Text(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// One key of a map, and its value.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) key_place: Option<Place>,
    pub(super) value: Node,
}

impl From<Kind> for Node {
    fn from(kind: Kind) -> Self {
        Self { kind, place: None }
    }
}

impl Node {
    /// A text.
    pub(super) fn text<T: ToString + ?Sized>(text: &T) -> Self {
        Kind::Text(text.to_string()).into()
    }

    /// What this is, for an error message.
    pub(super) fn describe(&self) -> String {
        match &self.kind {
            Kind::Null => "nothing".to_owned(),
            Kind::Bool(value) => format!("`{value}`"),
            Kind::Number(text) | Kind::Text(text) => quoted(text),
            Kind::List(_) => "a list".to_owned(),
            Kind::Map(_) => "a map".to_owned(),
        }
    }

    /// The value of a key, if this is a map that has it.
    pub(super) fn get(&self, key: &str) -> Option<&Entry> {
        match &self.kind {
            Kind::Map(entries) => entries.iter().find(|entry| entry.key == key),
            _ => None,
        }
    }

    /// The keys, if this is a map.
    pub(super) fn keys(&self) -> impl Iterator<Item = &str> {
        let entries = match &self.kind {
            Kind::Map(entries) => entries.as_slice(),
            _ => &[],
        };
        entries.iter().map(|entry| entry.key.as_str())
    }

    /// Where the field of this path stands, or else the nearest thing around it that does exist.
    pub(super) fn place_of(&self, path: &str) -> Option<Place> {
        let mut node = self;
        let mut place = self.place;
        for step in path.split(['.', '[']).filter(|step| !step.is_empty()) {
            let next = match (&node.kind, step.strip_suffix(']')) {
                (Kind::List(items), Some(index)) => {
                    index.parse().ok().and_then(|index: usize| items.get(index))
                }
                // `parent: x` is short for a list of one.
                _ if step == "parents" => {
                    node.get("parents").or_else(|| node.get("parent")).map(|entry| &entry.value)
                }
                _ => node.get(step).map(|entry| &entry.value),
            };
            let Some(next) = next else { break };
            (node, place) = (next, next.place);
        }
        place
    }

    /// Reads one YAML document. `None` when it is no YAML; what else is wrong with it is noted.
    pub(super) fn from_yaml(text: &str, problems: &Problems) -> Option<Self> {
        if MOST_BYTES < text.len() {
            let message = format!("has {} bytes, at most {MOST_BYTES} are read", text.len());
            return problems.add("", Some(Place::START), message);
        }
        let mut builder =
            Builder { text, problems, open: Vec::new(), root: None, documents: 0, values: 0 };
        let mut options = Options::default();
        options.set_emit_comments(false);
        let mut parser = Parser::new_from_str_with_options(text, options);
        while let Some(event) = parser.next_event() {
            match event {
                Ok((event, span)) => builder.take(event, span).ok()?,
                Err(error) => {
                    let place = place_at(text, error.marker(), error.marker());
                    return problems.add("", Some(place), format!("is no YAML: {}", error.kind()));
                }
            }
        }
        match builder.root {
            Some(root) => Some(root),
            None => problems.add("", Some(Place::START), "is empty; write `{}` for no rules"),
        }
    }

    /// The same tree from JSON, without places.
    pub(super) fn from_json(value: &Value) -> Self {
        let kind = match value {
            Value::Null => Kind::Null,
            Value::Bool(value) => Kind::Bool(*value),
            Value::Number(number) => Kind::Number(number.to_string()),
            Value::String(text) => Kind::Text(text.clone()),
            Value::Array(items) => Kind::List(items.iter().map(Self::from_json).collect()),
            Value::Object(entries) => Kind::Map(
                entries
                    .iter()
                    .map(|(key, value)| Entry {
                        key: key.clone(),
                        key_place: None,
                        value: Self::from_json(value),
                    })
                    .collect(),
            ),
        };
        kind.into()
    }

    /// The same tree as JSON. A number that JSON cannot hold becomes a text.
    pub(super) fn to_json(&self) -> Value {
        match &self.kind {
            Kind::Null => Value::Null,
            Kind::Bool(value) => Value::Bool(*value),
            Kind::Number(text) => serde_json::from_str::<serde_json::Number>(text)
                .map_or_else(|_| Value::String(text.clone()), Value::Number),
            Kind::Text(text) => Value::String(text.clone()),
            Kind::List(items) => Value::Array(items.iter().map(Self::to_json).collect()),
            Kind::Map(entries) => Value::Object(
                entries.iter().map(|entry| (entry.key.clone(), entry.value.to_json())).collect(),
            ),
        }
    }
}

/// A text in backticks, cut where it gets long.
pub(super) fn quoted(text: &str) -> String {
    format!("`{}`", shown(text))
}

/// A text as a message may carry it: cut where it gets long, with nothing hidden in it.
pub(super) fn shown(text: &str) -> String {
    let mut shown: String = text.chars().take(60).flat_map(visible).collect();
    if 60 < text.chars().count() {
        shown.push('…');
    }
    shown
}

/// A character, escaped where it is hidden.
pub(super) fn visible(character: char) -> impl Iterator<Item = char> {
    let (plain, escaped) = if is_hidden(character) {
        (None, Some(character.escape_default()))
    } else {
        (Some(character), None)
    };
    plain.into_iter().chain(escaped.into_iter().flatten())
}

/// Whether a character cannot be seen, or changes how those around it are read: controls, line
/// separators, marks that turn the reading direction, what has no width, and fillers.
#[must_use]
pub fn is_hidden(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{ad}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{180e}' | '\u{3164}' | '\u{feff}'
                | '\u{ffa0}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}'
        )
}

/// A map or list whose end has not come yet.
struct Open {
    start: Marker,
    what: Kind,
    /// The key that waits for its value; `None` in a list, and in a map before a key.
    key: Option<(String, Place)>,
    /// The keys that a map has so far.
    keys: HashSet<String>,
}

/// Puts the parser's events together.
struct Builder<'t> {
    text: &'t str,
    problems: &'t Problems,
    open: Vec<Open>,
    root: Option<Node>,
    documents: usize,
    values: usize,
}

/// Reading ends here; why has been noted.
struct Stop;

impl Builder<'_> {
    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), Stop> {
        match event {
            Event::DocumentStart(..) => {
                self.documents += 1;
                if 1 < self.documents {
                    return self.stop(span, "is a second document; a file holds one");
                }
            }
            Event::Alias(_) | Event::UnresolvedAlias(_) => {
                self.note(span, "is an alias, and rule files take none; write the value out");
                self.put(Kind::Null, span)?;
            }
            Event::Scalar(text, style, anchor, tag) => {
                self.refuse_anchor_and_tag(span, anchor, tag.is_some());
                self.scalar(text.into_owned(), style, span)?;
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.refuse_anchor_and_tag(span, anchor, tag.is_some());
                self.begin(Kind::List(Vec::new()), span)?;
            }
            Event::MappingStart(_, anchor, tag) => {
                self.refuse_anchor_and_tag(span, anchor, tag.is_some());
                self.begin(Kind::Map(Vec::new()), span)?;
            }
            Event::SequenceEnd | Event::MappingEnd => {
                if let Some(open) = self.open.pop() {
                    self.put(open.what, Span::new(open.start, span.end))?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn begin(&mut self, what: Kind, span: Span) -> Result<(), Stop> {
        if let Some(Open { what: Kind::Map(_), key: None, .. }) = self.open.last() {
            return self.stop(span, "is a key, and a key is a plain text");
        }
        if MOST_DEPTH <= self.open.len() {
            return self.stop(span, &format!("nests deeper than {MOST_DEPTH} levels"));
        }
        self.open.push(Open { start: span.start, what, key: None, keys: HashSet::new() });
        Ok(())
    }

    fn scalar(&mut self, text: String, style: ScalarStyle, span: Span) -> Result<(), Stop> {
        let place = self.place(span);
        let plain = style == ScalarStyle::Plain;
        let Some(Open { what: Kind::Map(_), key: key @ None, keys, .. }) = self.open.last_mut()
        else {
            return self.put(if plain { plain_scalar(text) } else { Kind::Text(text) }, span);
        };
        if keys.contains(&text) {
            let message = format!("{} stands here for the second time", quoted(&text));
            self.problems.add::<()>("", Some(place), message);
        } else if plain && text == "<<" {
            self.problems.add::<()>("", Some(place), "is a merge key; write the keys out");
        }
        *key = Some((text, place));
        Ok(())
    }

    fn put(&mut self, kind: Kind, span: Span) -> Result<(), Stop> {
        self.values += 1;
        if MOST_VALUES < self.values {
            return self
                .stop(span, &format!("is one value too many; at most {MOST_VALUES} are read"));
        }
        let node = Node { kind, place: Some(self.place(span)) };
        let Some(open) = self.open.last_mut() else {
            self.root = self.root.take().or(Some(node));
            return Ok(());
        };
        match (&mut open.what, open.key.take()) {
            (Kind::List(items), _) => items.push(node),
            // Of a key that stands twice the first counts, and the file is refused anyway.
            (Kind::Map(entries), Some((key, place))) if open.keys.insert(key.clone()) => {
                entries.push(Entry { key, key_place: Some(place), value: node });
            }
            // An alias as a key, which has been refused: it waits for its value all the same.
            (Kind::Map(_), None) => open.key = Some((String::new(), Place::START)),
            _ => {}
        }
        Ok(())
    }

    fn refuse_anchor_and_tag(&self, span: Span, anchor: usize, tagged: bool) {
        if anchor != 0 {
            self.note(
                span,
                "has an anchor, and rule files take none; write the value out where it is used",
            );
        }
        if tagged {
            self.note(span, "has a tag; leave the tag out, and quote what must be a text");
        }
    }

    fn note(&self, span: Span, message: &str) {
        self.problems.add::<()>("", Some(self.place(span)), message);
    }

    fn stop(&self, span: Span, message: &str) -> Result<(), Stop> {
        self.note(span, message);
        Err(Stop)
    }

    fn place(&self, span: Span) -> Place {
        place_at(self.text, &span.start, &span.end)
    }
}

/// Turns parser positions into a place that is sure to lie inside `text`.
fn place_at(text: &str, start: &Marker, end: &Marker) -> Place {
    let byte = |marker: &Marker| marker.byte_offset().unwrap_or(0).min(text.len());
    let offset = byte(start);
    // Of what goes on over several lines the first one is enough to find it.
    let whole = text.get(offset..byte(end)).unwrap_or_default();
    let length = whole.split(['\n', '\r']).next().unwrap_or_default().len();
    Place { line: start.line().max(1), column: start.col() + 1, offset, length }
}

/// What an unquoted scalar means.
pub(super) fn plain_scalar(text: String) -> Kind {
    match text.as_str() {
        "" | "~" | "null" | "Null" | "NULL" => Kind::Null,
        "true" | "True" | "TRUE" => Kind::Bool(true),
        "false" | "False" | "FALSE" => Kind::Bool(false),
        _ if is_number(&text) => Kind::Number(text),
        _ => Kind::Text(text),
    }
}

/// Whether `text` is a decimal number, or one of YAML's names for what is none.
fn is_number(text: &str) -> bool {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if matches!(unsigned, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN") {
        return true;
    }
    let decimal =
        |byte: u8| byte.is_ascii_digit() || matches!(byte, b'.' | b'e' | b'E' | b'+' | b'-');
    unsigned.bytes().any(|byte| byte.is_ascii_digit())
        && unsigned.bytes().all(decimal)
        && unsigned.starts_with(|first: char| first.is_ascii_digit() || first == '.')
        && unsigned.parse::<f64>().is_ok()
}
