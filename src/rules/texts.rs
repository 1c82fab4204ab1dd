//! Checks texts that people will read: names, reasons, messages, links.
//!
//! Nothing here may hide or pretend: no control characters, no line breaks where one line is wanted,
//! no letters of one script that pass for those of another.

use super::check::Check;
use super::tree::quoted;

/// The longest text that a rule may carry, in characters.
const LONGEST_TEXT: usize = 1_000;

impl Check<'_> {
    /// A name that people search for: in one script, so that no letter passes for another.
    pub(super) fn name(&mut self, path: &str, name: &str) {
        self.one_line(path, name);
        if mixes_scripts(name) {
            let message = format!(
                "{} mixes Latin letters with Cyrillic or Greek ones that look alike; write the \
                 name in one script, and the other as an alias",
                quoted(name)
            );
            self.refuse(path, message);
        }
    }

    pub(super) fn line(&mut self, path: &str, key: &str, text: &str) {
        self.one_line(&format!("{path}.{key}"), text);
    }

    pub(super) fn maybe_line(&mut self, path: &str, key: &str, text: Option<&str>) {
        if let Some(text) = text {
            self.line(path, key, text);
        }
    }

    fn one_line(&mut self, path: &str, text: &str) {
        self.text(path, text);
        if text.contains('\n') {
            self.refuse(path, "must be one line");
        }
    }

    pub(super) fn text(&mut self, path: &str, text: &str) {
        if text.trim().is_empty() {
            self.refuse(path, "is empty; write a text");
        } else if LONGEST_TEXT < text.chars().count() {
            self.refuse(path, format!("is longer than {LONGEST_TEXT} characters"));
        }
        if text.chars().any(|character| character.is_control() && character != '\n') {
            self.refuse(path, "has a control character; write plain text");
        }
    }

    pub(super) fn url(&mut self, path: &str, url: Option<&str>) {
        let Some(url) = url else { return };
        let path = format!("{path}.url");
        let host = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
        let plain = |c: char| c.is_whitespace() || c.is_control();
        if !host.is_some_and(|host| !host.is_empty() && !host.starts_with('/'))
            || url.contains(plain)
            || LONGEST_TEXT < url.len()
        {
            let message = "is no link; write one that starts with `https://` or `http://`";
            self.refuse(path, format!("{} {message}", quoted(url)));
        }
    }
}

/// Whether a name has Latin letters beside Cyrillic or Greek ones.
fn mixes_scripts(name: &str) -> bool {
    let latin = |c: char| c.is_ascii_alphabetic() || ('\u{c0}'..='\u{24f}').contains(&c);
    let alike = |c: char| matches!(c, '\u{370}'..='\u{52f}' | '\u{1c80}'..='\u{1c8f}' | '\u{1f00}'..='\u{1fff}');
    name.contains(latin) && name.contains(alike)
}

/// Whether a text has the shape of a BCP 47 tag: a language of two or three letters (or longer and
/// registered), then subtags of up to eight letters and digits.
pub(super) fn is_language_tag(tag: &str) -> bool {
    let mut parts = tag.split('-');
    let language = parts.next().unwrap_or_default();
    (2..=8).contains(&language.len())
        && language.bytes().all(|byte| byte.is_ascii_alphabetic())
        && parts.all(|part| {
            (1..=8).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric())
        })
        && tag.len() <= 35
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_in_one_script() {
        for mixed in ["Kаspersky", "Κaspersky", "Aνast", "Лабoратория"] {
            assert!(mixes_scripts(mixed), "{mixed}");
        }
        for pure in
            ["Kaspersky", "Лаборатория Касперского", "Ζεύς", "Société Générale", "360", "华为"]
        {
            assert!(!mixes_scripts(pure), "{pure}");
        }
    }

    #[test]
    fn a_language_tag_looks_like_one() {
        for tag in ["en", "cy-GB", "zh-Hant-HK", "es-419", "gsw", "x-bank"] {
            assert!(is_language_tag(tag) == (tag != "x-bank"), "{tag}");
        }
        for refused in ["", "e", "en_GB", "en-", "-en", "english language", "en-abcdefghi", "12"] {
            assert!(!is_language_tag(refused), "{refused}");
        }
    }
}
