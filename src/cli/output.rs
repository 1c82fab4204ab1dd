//! What a command prints: data on stdout in the form that was asked for, all else on stderr.
//!
//! Not here: what is printed. A command hands in an [`Answer`]; this file knows forms only.
//!
//! Invariants: stdout carries data and nothing else; a reader that went away ends the command
//! quietly; the field names of an answer are the same in JSON, JSON lines, YAML and CSV. Only
//! `table` is for people, and may change.

use super::exit::{Exit, Failure};
use super::text::Text;
use serde::Serialize;
use serde_json::Value;
use std::io::{IsTerminal, Write};

/// How to print.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct OutputArgs {
    /// Form of the data on stdout; `table` is for people and may change
    #[arg(short, long, global = true, value_enum, value_name = "FORMAT", env = "OFFERGATE_OUTPUT")]
    output: Option<Format>,

    /// Say nothing but data and errors
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    quiet: bool,

    /// Say more on stderr: which server was asked, how long it took
    #[arg(short, long, global = true)]
    verbose: bool,
}

/// Forms of the data on stdout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Format {
    /// For people.
    Table,
    /// One JSON value, indented.
    Json,
    /// One JSON value a line.
    Jsonl,
    /// YAML.
    Yaml,
    /// Comma-separated values with a header.
    Csv,
}

/// What a command has to say. `Serialize` gives the stable form.
pub(super) trait Answer: Serialize {
    /// The columns of CSV: dotted paths into one row. A list inside a cell is joined by spaces.
    const COLUMNS: &'static [&'static str];

    /// Lays it out for people.
    fn text(&self, text: &mut Text);
}

impl<A: Answer> Answer for &A {
    const COLUMNS: &'static [&'static str] = A::COLUMNS;

    fn text(&self, text: &mut Text) {
        (**self).text(text);
    }
}

/// Where a command prints.
#[derive(Debug)]
pub(super) struct Output {
    format: Option<Format>,
    quiet: bool,
    verbose: bool,
    colour: bool,
}

impl OutputArgs {
    /// Looks at the terminal once, and sets how errors look.
    pub(super) fn open(&self) -> Output {
        let colour_errors = wants_colour(std::io::stderr().is_terminal());
        // A second hook is refused, which can only happen in a test that runs two commands.
        let _ = miette::set_hook(Box::new(move |_| {
            // The terminal wraps lines by itself; a wrapped instant could not be copied.
            let options = miette::MietteHandlerOpts::new().color(colour_errors).wrap_lines(false);
            Box::new(options.unicode(true).terminal_links(false).build())
        }));
        Output {
            format: self.output,
            quiet: self.quiet,
            verbose: self.verbose,
            colour: wants_colour(std::io::stdout().is_terminal()),
        }
    }
}

impl Output {
    /// The form that was asked for, if one was.
    pub(super) fn format(&self) -> Option<Format> {
        self.format
    }

    /// Whether nothing but data and errors is wanted.
    pub(super) fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// Prints a whole answer.
    pub(super) fn answer<A: Answer>(&self, answer: &A) -> Result<(), Failure> {
        let text = match self.format.unwrap_or(Format::Table) {
            Format::Table => self.laid_out(answer),
            Format::Json => lines(serde_json::to_string_pretty(answer))?,
            Format::Jsonl => match to_value(answer)? {
                Value::Array(rows) => rows
                    .iter()
                    .map(|row| lines(serde_json::to_string(row)))
                    .collect::<Result<_, _>>()?,
                _ => lines(serde_json::to_string(answer))?,
            },
            Format::Yaml => lines(serde_saphyr::to_string(answer))?,
            Format::Csv => csv_text(&to_value(answer)?, A::COLUMNS, true)?,
        };
        self.raw(&text)
    }

    /// Prints one answer of many that come over time. JSON then means a value a line, YAML a
    /// document each, and CSV has its header before the `first`.
    pub(super) fn next<A: Answer>(&self, answer: &A, first: bool) -> Result<(), Failure> {
        let text = match self.format.unwrap_or(Format::Table) {
            Format::Table => self.laid_out(answer),
            Format::Json | Format::Jsonl => lines(serde_json::to_string(answer))?,
            Format::Yaml => format!("---\n{}", lines(serde_saphyr::to_string(answer))?),
            Format::Csv => csv_text(&to_value(answer)?, A::COLUMNS, first)?,
        };
        self.raw(&text)
    }

    /// Prints data as it is.
    pub(super) fn raw(&self, data: &str) -> Result<(), Failure> {
        let mut stdout = std::io::stdout().lock();
        let written = stdout.write_all(data.as_bytes()).and_then(|()| stdout.flush());
        written.map_err(|error| match error.kind() {
            // `offergate history | head`: the reader has what it wanted.
            std::io::ErrorKind::BrokenPipe => Failure::silent(Exit::Ok),
            _ => Failure::new(Exit::Failure, "standard output cannot be written").because(error),
        })
    }

    /// Tells the person something that is not data.
    pub(super) fn note(&self, note: impl std::fmt::Display) {
        if !self.quiet {
            eprintln!("{note}");
        }
    }

    /// Tells the person something, if they asked for more.
    pub(super) fn detail(&self, note: impl std::fmt::Display) {
        if self.verbose {
            eprintln!("{note}");
        }
    }

    fn laid_out<A: Answer>(&self, answer: &A) -> String {
        let mut text = Text::new(self.colour);
        answer.text(&mut text);
        text.finish()
    }
}

/// Follows `NO_COLOR`, `CLICOLOR_FORCE` and `TERM=dumb`, in this order, then the terminal.
fn wants_colour(terminal: bool) -> bool {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    if set("NO_COLOR").is_some() {
        false
    } else if set("CLICOLOR_FORCE").is_some_and(|value| value != "0") {
        true
    } else {
        terminal && set("TERM").is_none_or(|value| value != "dumb")
    }
}

/// Ends the text with one line break.
fn lines<E>(text: Result<String, E>) -> Result<String, Failure>
where
    E: std::error::Error + Send + Sync + 'static,
{
    let mut text = text.map_err(unprintable)?;
    if !text.ends_with('\n') {
        text.push('\n');
    }
    Ok(text)
}

fn to_value<A: Answer>(answer: &A) -> Result<Value, Failure> {
    serde_json::to_value(answer).map_err(unprintable)
}

fn csv_text(value: &Value, columns: &[&str], header: bool) -> Result<String, Failure> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    if header {
        writer.write_record(columns).map_err(unprintable)?;
    }
    let rows = match value {
        Value::Array(rows) => rows.as_slice(),
        one => std::slice::from_ref(one),
    };
    for row in rows {
        writer.write_record(columns.iter().map(|path| cell(row, path))).map_err(unprintable)?;
    }
    let bytes = writer.into_inner().map_err(|error| unprintable(error.into_error()))?;
    String::from_utf8(bytes).map_err(unprintable)
}

/// The value at a dotted path as one cell: text as it is, nothing as nothing, a list joined by
/// spaces, and what is deeper as JSON.
fn cell(row: &Value, path: &str) -> String {
    let mut value = row;
    for part in path.split('.') {
        let Some(inner) = value.get(part) else { return String::new() };
        value = inner;
    }
    match value {
        Value::Array(items) => items.iter().map(item).collect::<Vec<_>>().join(" "),
        other => item(other),
    }
}

/// One value in a cell. A thing with an id is its id, a reason is `CODE:attribute`.
fn item(value: &Value) -> String {
    let part = |name| value.get(name).and_then(Value::as_str);
    match (value, part("id"), part("code"), part("attribute")) {
        (Value::Null, ..) => String::new(),
        (Value::String(text), ..) => text.clone(),
        (Value::Object(_), Some(id), ..) => id.to_owned(),
        (Value::Object(_), None, Some(code), Some(attribute)) => format!("{code}:{attribute}"),
        (Value::Object(_), None, Some(code), None) => code.to_owned(),
        (other, ..) => other.to_string(),
    }
}

fn unprintable(error: impl std::error::Error + Send + Sync + 'static) -> Failure {
    Failure::new(Exit::Failure, "the answer cannot be printed in this form").because(error)
}
