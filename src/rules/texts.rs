//! Checks texts that people will read: names, reasons, messages, links.
//!
//! Nothing here may hide or pretend: no hidden characters, no line breaks where one line is wanted, no
//! letters of one script that pass for those of another.

use super::check::Check;
use super::tree::{is_hidden, quoted};
use unicode_script::{Script, UnicodeScript as _};

/// The longest text that a rule may carry, in characters.
const LONGEST_TEXT: usize = 1_000;

/// Alphabets with letters that look like those of another one here.
const ALIKE: [Script; 6] = [
    Script::Latin,
    Script::Cyrillic,
    Script::Greek,
    Script::Armenian,
    Script::Cherokee,
    Script::Coptic,
];

impl Check<'_> {
    /// A name that people search for: in one script, so that no letter passes for another.
    pub(super) fn name(&mut self, path: &str, name: &str) {
        self.one_line(path, name);
        if let Some((one, other)) = mixed_scripts(name) {
            let message = format!(
                "{} mixes {} letters with {} ones that look alike; write the name in one script, \
                 and the other as an alias",
                quoted(name),
                one.full_name(),
                other.full_name()
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
        if let Some(hidden) = text.chars().find(|&c| is_hidden(c) && c != '\n') {
            let code = u32::from(hidden);
            self.refuse(path, format!("has the hidden character U+{code:04X}; write plain text"));
        }
    }

    pub(super) fn url(&mut self, path: &str, url: Option<&str>) {
        let Some(url) = url else { return };
        let path = format!("{path}.url");
        let host = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
        let unfit = |c: char| c.is_whitespace() || is_hidden(c);
        if !host.is_some_and(|host| !host.is_empty() && !host.starts_with('/'))
            || url.contains(unfit)
            || LONGEST_TEXT < url.len()
        {
            let message = "is no link; write one that starts with `https://` or `http://`";
            self.refuse(path, format!("{} {message}", quoted(url)));
        }
    }
}

/// Two alphabets of which a name has letters, and which have letters that look alike.
fn mixed_scripts(name: &str) -> Option<(Script, Script)> {
    let mut used = name.chars().map(|c| c.script()).filter(|script| ALIKE.contains(script));
    let first = used.next()?;
    used.find(|script| *script != first).map(|other| (first, other))
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
        for mixed in ["Kаspersky", "Κaspersky", "Aνast", "Лабoратория", "Việt Аcme", "Ａсме"]
        {
            assert!(mixed_scripts(mixed).is_some(), "{mixed}");
        }
        for pure in [
            "Kaspersky",
            "Лаборатория Касперского",
            "Ζεύς",
            "Société Générale",
            "360",
            "华为 Huawei",
            "ソニー Sony",
        ] {
            assert_eq!(mixed_scripts(pure), None, "{pure}");
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
