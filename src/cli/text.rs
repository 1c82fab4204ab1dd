//! Lays an answer out for people: lines, and tables that fit the terminal.
//!
//! Invariant: no hidden character of the data reaches the terminal, so that a vendor's name
//! cannot move the cursor or hide a line.

use crate::domain::Outcome;
use crate::rules::is_hidden;
use comfy_table::{ContentArrangement, Table};

/// A text in the making.
#[derive(Debug)]
pub(super) struct Text {
    text: String,
    colour: bool,
}

impl Text {
    pub(super) fn new(colour: bool) -> Self {
        Self { text: String::new(), colour }
    }

    /// The whole text.
    pub(super) fn finish(self) -> String {
        self.text
    }

    /// One line.
    pub(super) fn line(&mut self, line: impl std::fmt::Display) {
        self.text.push_str(&visible(&line.to_string()));
        self.text.push('\n');
    }

    /// An empty line between two parts.
    pub(super) fn gap(&mut self) {
        if !self.text.is_empty() {
            self.text.push('\n');
        }
    }

    /// An outcome's name, coloured where colour is wanted, and the rest of its line.
    pub(super) fn outcome(&mut self, name: &str, rest: impl std::fmt::Display) {
        let colour = match Outcome::ALL.into_iter().find(|outcome| outcome.name() == name) {
            Some(Outcome::Eligible) => "32",
            Some(Outcome::Ineligible) => "31",
            Some(Outcome::Indeterminate) | None => "33",
        };
        if self.colour {
            self.text.push_str(&format!("\u{1b}[1;{colour}m{}\u{1b}[0m", visible(name)));
        } else {
            self.text.push_str(&visible(name));
        }
        self.line(format_args!("  {rest}"));
    }

    /// `name: value` lines with the values under each other.
    pub(super) fn fields(&mut self, fields: &[(&str, String)]) {
        let stated = || fields.iter().filter(|(_, value)| !value.is_empty());
        let widest = stated().map(|(name, _)| name.len()).max().unwrap_or_default();
        for (name, value) in stated() {
            self.line(format_args!("{name:widest$}  {value}"));
        }
    }

    /// A table; nothing when there are no rows.
    pub(super) fn table<R>(&mut self, header: &[&str], rows: impl IntoIterator<Item = R>)
    where
        R: IntoIterator<Item = String>,
    {
        let mut table = Table::new();
        table.load_style(comfy_table::presets::NOTHING);
        table.set_content_arrangement(ContentArrangement::Dynamic);
        if let Some(width) = std::env::var("COLUMNS").ok().and_then(|width| width.parse().ok()) {
            table.set_width(width);
        }
        table.set_header(header.iter().copied());
        for row in rows {
            table.add_row(row.into_iter().map(|cell| visible(&cell)));
        }
        for column in table.column_iter_mut() {
            column.set_padding((0, 2));
        }
        if !table.is_empty() {
            for line in table.lines() {
                self.text.push_str(line.trim_end());
                self.text.push('\n');
            }
        }
    }
}

/// An instant to the second, which is enough for people; the other forms have all of it.
pub(super) fn to_the_second(instant: Option<&String>) -> String {
    let Some(instant) = instant else { return String::new() };
    match instant.split_once('.') {
        Some((seconds, _)) => format!("{seconds}Z"),
        None => instant.clone(),
    }
}

/// How many there are, in words: `1 file`, `2 files`.
pub(super) fn counted(number: impl TryInto<u64>, one: &str) -> String {
    match number.try_into().unwrap_or(u64::MAX) {
        1 => format!("1 {one}"),
        more => format!("{more} {one}s"),
    }
}

/// The text with every hidden character but the line break replaced by a visible mark.
pub(super) fn visible(text: &str) -> String {
    text.chars()
        .map(|character| match character {
            '\n' => '\n',
            '\t' => ' ',
            // What is not seen can move the cursor, or make one name look like another.
            hidden if is_hidden(hidden) => char::REPLACEMENT_CHARACTER,
            other => other,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_cannot_send_control_characters_to_the_terminal() {
        let mut text = Text::new(true);
        text.line("a\u{1b}[2Jb\rc");
        text.table(&["NAME"], [[String::from("x\u{7}y")]]);
        let text = text.finish();
        assert!(!text.contains('\u{1b}') && !text.contains('\r') && !text.contains('\u{7}'));
    }

    #[test]
    fn a_table_has_a_header_and_no_trailing_blanks() {
        let mut text = Text::new(false);
        text.table(
            &["ID", "WHY"],
            [["a".to_owned(), "first".to_owned()], ["bb".to_owned(), String::new()]],
        );
        assert_eq!(text.finish(), "ID  WHY\na   first\nbb\n");
    }

    #[test]
    fn a_table_without_rows_is_nothing() {
        let mut text = Text::new(false);
        text.table(&["ID"], Vec::<[String; 1]>::new());
        assert_eq!(text.finish(), "");
    }
}
