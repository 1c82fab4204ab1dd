//! Writes a rule set as YAML, one way only: sections and keys in a fixed order, defaults left out.
//!
//! Invariant: equal rule sets give equal text, and the text reads back as the same rule set.

use super::document::write_rule_set;
use super::tree::{Entry, Kind, Node, plain_scalar};
use crate::domain::RuleSet;
use std::fmt::Write;

/// How wide a list may be to stand on one line.
const WIDTH: usize = 96;

/// The rule file of a rule set.
#[must_use]
pub fn export(rules: &RuleSet) -> String {
    let node = write_rule_set(rules);
    let mut text = String::new();
    match &node.kind {
        Kind::Map(sections) if sections.is_empty() => text.push_str("{}\n"),
        _ => block(&mut text, &node, 0),
    }
    text
}

/// Writes a map or list over several lines, `depth` levels in.
fn block(text: &mut String, node: &Node, depth: usize) {
    match &node.kind {
        Kind::Map(entries) => {
            for entry in entries {
                indent(text, depth);
                text.push_str(&scalar(&entry.key));
                text.push(':');
                value(text, &entry.value, depth + 1);
            }
        }
        Kind::List(items) => {
            for item in items {
                indent(text, depth);
                text.push('-');
                value(text, item, depth + 1);
            }
        }
        _ => {}
    }
}

/// Writes what follows a `key:` or a `-`, and the end of the line.
fn value(text: &mut String, node: &Node, depth: usize) {
    if 2 <= depth
        && let Some(flow) = flow(node)
        && (flow.len() + depth * 2 <= WIDTH || !matches!(node.kind, Kind::List(_) | Kind::Map(_)))
    {
        text.push(' ');
        text.push_str(&flow);
        text.push('\n');
    } else {
        text.push('\n');
        block(text, node, depth);
    }
}

/// The value on one line; `None` for a map or list of anything but scalars, which reads better as a
/// block.
fn flow(node: &Node) -> Option<String> {
    let nested = |node: &Node| matches!(node.kind, Kind::List(_) | Kind::Map(_));
    let deep = match &node.kind {
        Kind::List(items) => items.iter().any(nested),
        Kind::Map(entries) => entries.iter().any(|entry| nested(&entry.value)),
        _ => false,
    };
    (!deep).then(|| inline(node))
}

/// The value on one line, however long.
pub(super) fn inline(node: &Node) -> String {
    match &node.kind {
        Kind::Null => "null".to_owned(),
        Kind::Bool(value) => value.to_string(),
        Kind::Number(number) => number.clone(),
        Kind::Text(content) => scalar(content),
        Kind::List(items) => {
            let items: Vec<_> = items.iter().map(inline).collect();
            format!("[{}]", items.join(", "))
        }
        Kind::Map(entries) => {
            let entry = |entry: &Entry| format!("{}: {}", scalar(&entry.key), inline(&entry.value));
            let entries: Vec<_> = entries.iter().map(entry).collect();
            format!("{{{}}}", entries.join(", "))
        }
    }
}

fn indent(text: &mut String, depth: usize) {
    text.extend(std::iter::repeat_n("  ", depth));
}

/// A text as a scalar: plain where no reader could take it for anything else, else in quotes.
fn scalar(content: &str) -> String {
    let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/' | ' ');
    let plain = content.starts_with(|c: char| c.is_ascii_alphanumeric())
        && !content.ends_with(' ')
        && content.chars().all(word)
        && matches!(plain_scalar(content.to_owned()), Kind::Text(_))
        && !is_old_boolean(content);
    if plain { content.to_owned() } else { quote(content) }
}

/// What older readers of YAML take for a truth value; `NO` is Norway.
fn is_old_boolean(content: &str) -> bool {
    let words = ["y", "n", "yes", "no", "on", "off"];
    words.iter().any(|word| word.eq_ignore_ascii_case(content))
}

fn quote(content: &str) -> String {
    let mut text = String::with_capacity(content.len() + 2);
    text.push('"');
    for character in content.chars() {
        match character {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '\t' => text.push_str("\\t"),
            // What an editor or a reader might hide, join or normalise is spelled out.
            _ if character.is_control()
                || matches!(
                    character,
                    '\u{85}' | '\u{a0}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}'
                )
                || ('\u{2000}'..='\u{206f}').contains(&character) =>
            {
                // Writing to a `String` cannot fail.
                let _ = write!(text, "\\U{:08x}", u32::from(character));
            }
            _ => text.push(character),
        }
    }
    text.push('"');
    text
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::super::read;
    use super::*;

    #[test]
    fn rules_are_written_in_one_order_without_defaults_and_with_quotes_only_where_they_help() {
        let text = "
suspensions:
  stop: {reason: 'To be safe: for now', ticket: CHG-1, from: \"2017-12-02T00:00:00+01:00\",
         reach: GROUP, components: INCLUDE, countries: [GB, NO], actions: [OFFER],
         target: {vendor: acme}, customer_message: {en: \"It isn't available.\"}}
products: {shield: {vendors: [acme], class: ANTIVIRUS, name: \"360\"}}
vendors: {acme: {country: NO, name: Acme, parents: []}}
exemptions: {}
";
        let written = "\
vendors:
  acme: {name: Acme, country: \"NO\"}
products:
  shield:
    name: \"360\"
    class: ANTIVIRUS
    vendors: [acme]
    components: unknown
suspensions:
  stop:
    target: {vendor: acme}
    actions: [OFFER]
    countries: [GB, \"NO\"]
    from: \"2017-12-01T23:00:00Z\"
    ticket: CHG-1
    reason: \"To be safe: for now\"
    customer_message: {en: \"It isn't available.\"}
";
        assert_eq!(export(&read(text).unwrap()), written);
        assert_eq!(export(&RuleSet::default()), "{}\n");
    }
}
