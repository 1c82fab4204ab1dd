//! The message, before it is anybody's: a YAML file with a subject, a text, and how it looks in HTML.
//!
//! ```yaml
//! from: Example Bank <service@bank.example>
//! subject: About your antivirus, {{ first_name }}
//! text: |
//!   Dear {{ first_name }}, ...
//! html: "<p>Dear {{ first_name }}, ...</p>"                     # optional
//! reply_to: help@bank.example                                  # optional
//! unsubscribe: "https://bank.example/unsubscribe/{{ token }}"   # optional; marketing only
//! ```
//!
//! Values in `unsubscribe` are percent-encoded, unless it begins with one: that is a whole link then, as it is.
//!
//! Invariants: a template uses no column that is not there, and that is told before the first message. It
//! reads no file, and what it may compute has a bound. A value cannot add a header, nor markup to the HTML, nor
//! another link beside the one to unsubscribe.

use crate::jobs::error::JobError;
use crate::jobs::mailing::plan::{Kind, sha256};
use lettre::message::Mailbox;
use minijinja::{AutoEscape, Environment, UndefinedBehavior, Value, escape_formatter};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// What one message may compute. A usual message takes some hundred steps.
const FUEL: u64 = 50_000;

/// How values get into a link.
const LINK: &str = "link";

/// Names that are no columns: what every template can call.
const FUNCTIONS: [&str; 4] = ["range", "dict", "namespace", "loop"];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    from: String,
    subject: String,
    text: String,
    html: Option<String>,
    reply_to: Option<String>,
    unsubscribe: Option<String>,
}

/// A template that can be rendered.
#[derive(Debug)]
pub struct Template {
    /// SHA-256 of its file.
    pub sha256: String,
    pub(super) from: Mailbox,
    pub(super) reply_to: Option<Mailbox>,
    environment: Environment<'static>,
    parts: Vec<&'static str>,
    /// The columns that it uses, by dotted names.
    uses: Vec<String>,
}

/// One recipient's message, in parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// The subject.
    pub subject: String,
    /// The text.
    pub text: String,
    /// The same in HTML.
    pub html: Option<String>,
    /// Where to unsubscribe.
    pub unsubscribe: Option<String>,
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// When it is none.
    pub fn read(name: &str, bytes: &[u8]) -> Result<Self, JobError> {
        let wrong = |what: String| JobError::Input { place: name.to_owned(), what };
        let text = std::str::from_utf8(bytes).map_err(|_| wrong("is not UTF-8".to_owned()))?;
        let file: File = serde_saphyr::from_str(text).map_err(|error| wrong(error.to_string()))?;
        let mailbox = |field: &str, text: &str| {
            text.parse::<Mailbox>()
                .map_err(|error| wrong(format!("`{field}`: `{text}` is no address: {error}")))
        };
        let from = mailbox("from", &file.from)?;
        let reply_to = file.reply_to.map(|text| mailbox("reply_to", &text)).transpose()?;
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_fuel(Some(FUEL));
        let is_whole_link =
            file.unsubscribe.as_ref().is_some_and(|link| link.trim_start().starts_with("{{"));
        environment.set_auto_escape_callback(move |name| match name {
            "html" => AutoEscape::Html,
            "unsubscribe" if !is_whole_link => AutoEscape::Custom(LINK.into()),
            _ => AutoEscape::None,
        });
        environment.set_formatter(|out, state, value| {
            if !matches!(state.auto_escape(), AutoEscape::Custom(_)) {
                return escape_formatter(out, state, value);
            }
            Ok(out.write_str(&encoded(&value.to_string()))?)
        });
        let (mut parts, mut uses) = (Vec::new(), BTreeSet::new());
        let given = [
            ("subject", Some(file.subject)),
            ("text", Some(file.text)),
            ("html", file.html),
            ("unsubscribe", file.unsubscribe),
        ];
        for (part, source) in given {
            let Some(source) = source else { continue };
            environment
                .add_template_owned(part, source)
                .map_err(|error| wrong(format!("`{part}`: {}", told(&error))))?;
            let compiled = environment.get_template(part).map_err(|it| wrong(it.to_string()))?;
            uses.extend(compiled.undeclared_variables(true));
            parts.push(part);
        }
        uses.retain(|name| !FUNCTIONS.contains(&name.as_str()));
        let uses = uses.into_iter().collect();
        Ok(Self { sha256: sha256(bytes), from, reply_to, environment, parts, uses })
    }

    /// Refuses a template that uses what the audience has not.
    ///
    /// # Errors
    /// With the column that is not there, and those that are.
    pub fn check(&self, columns: &[String], kind: Kind) -> Result<(), JobError> {
        if let Some(name) = self.uses.iter().find(|name| !columns.iter().any(|it| is(it, name))) {
            return Err(JobError::Usage(format!(
                "the template uses `{name}`, and the audience has no such column; it has {}",
                columns.join(", ")
            )));
        }
        if kind == Kind::Notify && self.parts.contains(&"unsubscribe") {
            return Err(JobError::Usage(
                "the template has `unsubscribe`, and nobody can unsubscribe from service messages"
                    .to_owned(),
            ));
        }
        Ok(())
    }

    /// Renders it for one recipient. `value` looks a column up.
    ///
    /// # Errors
    /// When it uses what this recipient has not, or costs too much. Tells no value.
    pub(super) fn render(&self, value: impl Fn(&str) -> Option<Value>) -> Result<Rendered, String> {
        let context = context(self.uses.iter().map(String::as_str), &value);
        let part = |name: &str| match self.parts.contains(&name) {
            false => Ok(None),
            true => self
                .environment
                .get_template(name)
                .and_then(|template| template.render(&context))
                .map(Some)
                .map_err(|error| format!("`{name}`: {}", told(&error))),
        };
        let rendered = Rendered {
            subject: part("subject")?.unwrap_or_default().trim().to_owned(),
            text: part("text")?.unwrap_or_default(),
            html: part("html")?,
            unsubscribe: part("unsubscribe")?.map(|it| it.trim().to_owned()),
        };
        let breaks = |text: &str| text.chars().any(char::is_control);
        if breaks(&rendered.subject) || rendered.unsubscribe.as_deref().is_some_and(breaks) {
            return Err("`subject`: a header has one line".to_owned());
        }
        if rendered.unsubscribe.as_deref().is_some_and(|link| !is_link(link)) {
            return Err("`unsubscribe`: is no https: or mailto: link alone".to_owned());
        }
        Ok(rendered)
    }
}

/// A value as a part of a link.
fn encoded(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            text.push(char::from(byte));
        } else {
            let _ = write!(text, "%{byte:02X}");
        }
    }
    text
}

/// Whether a text is one link, between whose brackets nothing can begin another.
fn is_link(text: &str) -> bool {
    let is_one = text.bytes().all(|byte| byte.is_ascii_graphic() && !b"<>,\"".contains(&byte));
    is_one && ["https://", "http://", "mailto:"].iter().any(|scheme| text.starts_with(scheme))
}

/// Whether a column is what a template means by a name: both may say `customer.` or leave it out.
pub(super) fn is(column: &str, name: &str) -> bool {
    let plain = |text: &str| text.strip_prefix("customer.").unwrap_or(text).to_owned();
    column == name || plain(column) == plain(name)
}

/// What a template's names mean: dotted ones are nested.
fn context<'u>(
    uses: impl Iterator<Item = &'u str>,
    value: &impl Fn(&str) -> Option<Value>,
) -> Value {
    #[derive(Default)]
    struct Node {
        value: Option<Value>,
        inner: BTreeMap<String, Node>,
    }
    impl Node {
        fn into_value(self) -> Option<Value> {
            if self.inner.is_empty() {
                return self.value;
            }
            let inner = self.inner.into_iter();
            let pairs = inner.filter_map(|(name, node)| Some((name, node.into_value()?)));
            Some(Value::from_pairs(pairs))
        }
    }
    let mut root = Node::default();
    for name in uses {
        let mut node = &mut root;
        for part in name.split('.') {
            node = node.inner.entry(part.to_owned()).or_default();
        }
        node.value = value(name);
    }
    root.into_value().unwrap_or_else(|| Value::from_pairs(std::iter::empty::<(String, Value)>()))
}

/// What is wrong, and on which line; never a value.
fn told(error: &minijinja::Error) -> String {
    let line = error.line().map(|line| format!(" in line {line}")).unwrap_or_default();
    match error.detail() {
        // Details repeat values where an operation failed on them.
        Some(detail) if error.kind() == minijinja::ErrorKind::SyntaxError => {
            format!("{}: {detail}{line}", error.kind())
        }
        _ => format!("{}{line}", error.kind()),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    fn template(text: &str) -> Result<Template, String> {
        let yaml = format!("from: Bank <bank@example.com>\nsubject: Hello\n{text}");
        Template::read("t.yaml", yaml.as_bytes()).map_err(|error| error.to_string())
    }

    fn look(name: &str) -> Option<Value> {
        match name {
            "first_name" => Some("Zoë <b>".into()),
            "customer.id" => Some("c-1".into()),
            "hard" => Some("a/b?c#d%e f>,<https://evil.example/ü".into()),
            "link" => Some("https://bank.example/u/1?x=%20".into()),
            "evil" => Some("a\r\nBcc: x@example.com".into()),
            _ => None,
        }
    }

    #[test]
    fn values_are_escaped_in_html_alone_and_dotted_names_are_nested() {
        let template = template(
            "text: 'Dear {{ first_name }} ({{ customer.id }})'\nhtml: '<p>{{ first_name }}'",
        )
        .unwrap();
        let rendered = template.render(look).unwrap();
        assert_eq!(rendered.text, "Dear Zoë <b> (c-1)");
        assert_eq!(rendered.html.as_deref(), Some("<p>Zoë &lt;b&gt;"));
    }

    #[test]
    fn a_value_is_one_part_of_the_link_to_unsubscribe_or_all_of_it() {
        for (link, expected) in [
            ("https://x/{{ customer.id }}", Some("https://x/c-1")),
            (
                "https://x/{{ hard }}",
                Some("https://x/a%2Fb%3Fc%23d%25e%20f%3E%2C%3Chttps%3A%2F%2Fevil.example%2F%C3%BC"),
            ),
            ("mailto:leave+{{ customer.id }}@x.example", Some("mailto:leave+c-1@x.example")),
            ("{{ link }}", Some("https://bank.example/u/1?x=%20")),
            ("{{ hard }}", None),
            ("javascript:{{ customer.id }}", None),
            ("https://x/ü", None),
        ] {
            let template = template(&format!("text: x\nunsubscribe: '{link}'")).unwrap();
            let rendered = template.render(look).ok().and_then(|it| it.unsubscribe);
            assert_eq!(rendered.as_deref(), expected, "{link}");
        }
    }

    #[test]
    fn a_column_that_is_not_there_is_told_before_the_first_message() {
        let columns = ["id", "first_name"].map(str::to_owned);
        for (text, expected) in [
            ("text: '{{ first_name }} {{ customer.id }}'", ""),
            ("text: '{% for n in range(3) %}{{ loop.index }}{% endfor %}'", ""),
            ("text: '{{ frist_name }}'", "`frist_name`"),
            ("text: '{% if false %}{{ other }}{% endif %}'", "`other`"),
            ("text: x\nunsubscribe: 'https://x/{{ tokn }}'", "`tokn`"),
        ] {
            let checked = template(text).unwrap().check(&columns, Kind::Offer);
            let told = checked.err().map(|error| error.to_string()).unwrap_or_default();
            assert!(told.contains(expected) && told.is_empty() == expected.is_empty(), "{told}");
        }
    }

    #[test]
    fn what_is_no_template_is_refused() {
        for (text, expected) in [
            ("text: '{{ open'", "syntax error"),
            ("text: x\nbody: y", "body"),
            ("html: x", "text"),
            ("text: x\nreply_to: nobody", "`reply_to`"),
            ("text: '{{ a | surely_not }}'", "filter"),
        ] {
            let told = template(text).and_then(|it| it.render(|_| Some(1.into()))).unwrap_err();
            assert!(told.contains(expected), "{told}");
        }
    }

    #[test]
    fn one_recipients_message_can_fail_and_tells_no_value() {
        for (text, expected) in [
            ("text: '{{ missing }}'", "undefined"),
            ("text: x\nunsubscribe: '{{ evil }}'", "one line"),
            (
                "text: '{% for a in range(9999) %}{% for b in range(9999) %}x{% endfor %}{% endfor %}'",
                "fuel",
            ),
        ] {
            let told = template(text).unwrap().render(look).unwrap_err();
            assert!(told.contains(expected) && !told.contains("Bcc"), "{told}");
        }
    }
}
