//! What is wrong with a request, field by field.

use std::fmt;

/// Fields that cannot be used: their paths in the request, and what is allowed there. All that is
/// wrong is listed, so that a caller corrects it in one go.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FieldErrors(Vec<FieldError>);

/// One field that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldError {
    /// Its path, such as `customer.id`.
    pub path: String,
    /// What is wrong with it, and what is allowed. Never holds what a caller said about a customer.
    pub description: String,
}

impl FieldErrors {
    /// A single error.
    #[must_use]
    pub fn one(path: &str, description: impl fmt::Display) -> Self {
        let mut errors = Self::default();
        errors.add(path, description);
        errors
    }

    /// Adds a field.
    pub fn add(&mut self, path: impl Into<String>, description: impl fmt::Display) {
        self.0.push(FieldError { path: path.into(), description: description.to_string() });
    }

    /// Adds the field if `text` is longer than `most` bytes.
    pub(super) fn limit(&mut self, path: &str, text: &str, most: usize) {
        if most < text.len() {
            self.add(path, format_args!("is {} bytes long, and {most} are allowed", text.len()));
        }
    }

    /// Adds the field if it is empty or longer than [`MOST_TEXT`].
    pub(super) fn require(&mut self, path: &str, text: &str) {
        if text.trim().is_empty() {
            self.add(path, "is required");
        }
        self.limit(path, text, MOST_TEXT);
    }

    /// What `parse` makes of a text, or `None` and one more error.
    pub(super) fn parse<T, E: fmt::Display>(
        &mut self,
        path: &str,
        text: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        parse(text).map_err(|error| self.add(path, error)).ok()
    }

    /// What `parse` makes of each text; the path of a bad one gets its place.
    pub(super) fn parse_all<T, E: fmt::Display>(
        &mut self,
        path: &str,
        texts: &[String],
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Vec<T> {
        let mut values = Vec::with_capacity(texts.len());
        for (place, text) in texts.iter().enumerate() {
            match parse(text) {
                Ok(value) => values.push(value),
                Err(error) => self.add(format!("{path}[{place}]"), error),
            }
        }
        values
    }

    /// The value, if nothing was wrong.
    ///
    /// # Errors
    /// All that was wrong.
    pub fn or<T>(self, value: impl FnOnce() -> T) -> Result<T, Self> {
        if self.0.is_empty() { Ok(value()) } else { Err(self) }
    }

    /// Nothing is wrong.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The fields.
    pub fn iter(&self) -> impl Iterator<Item = &FieldError> {
        self.0.iter()
    }

    /// The same fields, seen from the message that holds theirs at `path`.
    #[must_use]
    pub fn under(mut self, path: &str) -> Self {
        for error in &mut self.0 {
            error.path = format!("{path}.{}", error.path);
        }
        self
    }

    /// The same fields, where what they call `from` is found at `path`.
    #[must_use]
    pub fn at(mut self, path: &str, from: &str) -> Self {
        for error in &mut self.0 {
            if let Some(rest) = error.path.strip_prefix(from) {
                error.path = format!("{path}{rest}");
            }
        }
        self
    }

    /// These and those.
    pub fn extend(&mut self, others: Self) {
        self.0.extend(others.0);
    }
}

/// Longest text that a field may hold, in bytes: enough for any sentence, too short to hurt.
pub const MOST_TEXT: usize = 1024;

impl fmt::Display for FieldErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, error) in self.0.iter().enumerate() {
            let separator = if place == 0 { "" } else { "; " };
            write!(f, "{separator}`{}` {}", error.path, error.description)?;
        }
        Ok(())
    }
}

impl std::error::Error for FieldErrors {}
