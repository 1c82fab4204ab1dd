//! Half-open intervals of time (R2).

use jiff::Timestamp;

/// From an instant (included) until an instant (excluded); a missing end is open.
///
/// The end is excluded, so that two windows which meet at midnight never both hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Window {
    /// First instant inside; open when `None`.
    pub from: Option<Timestamp>,
    /// First instant outside; open when `None`.
    pub until: Option<Timestamp>,
}

impl Window {
    /// No limits.
    pub const ALWAYS: Self = Self { from: None, until: None };

    /// Whether `now` is inside.
    #[must_use]
    pub fn contains(&self, now: Timestamp) -> bool {
        self.from.is_none_or(|from| from <= now) && self.until.is_none_or(|until| now < until)
    }

    /// Whether no instant is inside.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        matches!((self.from, self.until), (Some(from), Some(until)) if until <= from)
    }

    /// The next instant after `now` at which [`Window::contains`] changes.
    #[must_use]
    pub fn next_edge(&self, now: Timestamp) -> Option<Timestamp> {
        match (self.from, self.until) {
            _ if self.is_empty() => None,
            (Some(from), _) if now < from => Some(from),
            (_, Some(until)) if now < until => Some(until),
            _ => None,
        }
    }
}
