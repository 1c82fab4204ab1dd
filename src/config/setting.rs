//! What a setting is: its name, effect, form and default, and how its value is read.

use super::Settings;
use super::read::Surroundings;

/// One setting.
#[derive(Debug, Clone, Copy)]
pub(super) struct Setting {
    /// As the file spells it; the flag has dashes, the variable capitals and a prefix.
    pub(super) name: &'static str,
    /// What it does, in a sentence.
    pub(super) effect: &'static str,
    /// What a value looks like, with its unit and range.
    pub(super) form: &'static str,
    /// What holds when nobody says anything.
    pub(super) default: DefaultValue,
    /// Whether the value must never be shown; then a `..._FILE` variable may name a file instead.
    pub(super) secret: bool,
    /// Reads a value into its place, or says what is wrong with it.
    pub(super) read: fn(&mut Settings, &str) -> Result<(), String>,
}

/// What holds when nobody says anything.
#[derive(Debug, Clone, Copy)]
pub(super) enum DefaultValue {
    /// Always the same.
    Fixed(&'static str),
    /// Told in words, and worked out from where the server runs; that can fail.
    Found(&'static str, fn(&Surroundings) -> Result<String, String>),
    /// Nothing, which these words explain.
    Unset(&'static str),
}

impl Setting {
    pub(super) fn flag(&self) -> String {
        self.name.replace('_', "-")
    }

    pub(super) fn variable(&self) -> String {
        format!("OFFERGATE_{}", self.name.to_uppercase())
    }

    /// The default, as the reference tells it.
    pub(super) fn default_in_words(&self) -> &'static str {
        match self.default {
            DefaultValue::Fixed(value) => value,
            DefaultValue::Found(words, _) | DefaultValue::Unset(words) => words,
        }
    }
}
