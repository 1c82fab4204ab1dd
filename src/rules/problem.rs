//! What is wrong with a file: every problem, each with its place.
//!
//! A problem names the field by its path (`suspensions.barclays-2017.until`), so that the same
//! problem can point into a file here and become a field violation of an RPC elsewhere.
//!
//! Invariant: a place that is shown lies inside the text, and problems are in the order of the
//! text, so that two readings of one file print the same.

use super::tree::visible;
use miette::{Diagnostic, LabeledSpan, NamedSource, SourceCode};
use std::cell::RefCell;
use std::fmt;

/// How many problems are told at once; after that many, more would not help anybody.
pub(super) const MOST_PROBLEMS: usize = 1_000;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The field, from the top: keys joined by `.`, places in a list as `[0]`. Empty for the whole.
    pub path: String,
    /// What is wrong and what is allowed.
    pub message: String,
    /// Where it stands in the text, if it came from one.
    pub place: Option<Place>,
}

impl Problem {
    /// A problem that has no place in a text.
    pub(super) fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { path: path.into(), message: message.into(), place: None }
    }
}

impl fmt::Display for Problem {
    /// Writes `line:column: path: message`, leaving out what there is none of.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = self.place {
            write!(f, "{}:{}: ", place.line, place.column)?;
        }
        if !self.path.is_empty() {
            // Keys are the file's own words, and may hold what a terminal would obey.
            let path: String = self.path.chars().flat_map(visible).collect();
            write!(f, "{path}: ")?;
        }
        f.write_str(&self.message)
    }
}

/// Where something stands in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// First byte.
    pub offset: usize,
    /// How many bytes, at least 0.
    pub length: usize,
}

impl Place {
    /// The start of a text.
    pub(super) const START: Self = Self { line: 1, column: 1, offset: 0, length: 0 };
}

/// Collects problems while a text is read, so that reading goes on after the first.
#[derive(Debug, Default)]
pub(super) struct Problems(RefCell<Vec<Problem>>);

impl Problems {
    /// Notes a problem, and gives the nothing that the reader goes on with.
    pub(super) fn add<T>(
        &self,
        path: impl Into<String>,
        place: Option<Place>,
        message: impl Into<String>,
    ) -> Option<T> {
        if !self.is_full() {
            self.0.borrow_mut().push(Problem { path: path.into(), message: message.into(), place });
        }
        None
    }

    /// Whether no more are noted, so that looking for more is in vain.
    pub(super) fn is_full(&self) -> bool {
        MOST_PROBLEMS <= self.0.borrow().len()
    }

    /// Whether nothing was noted.
    pub(super) fn is_empty(&self) -> bool {
        self.0.borrow().is_empty()
    }

    /// Whether a problem stands at `path`, inside it, or around it.
    pub(super) fn touches(&self, path: &str) -> bool {
        let inside = |inner: &str, outer: &str| {
            inner
                .strip_prefix(outer)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        };
        self.0.borrow().iter().any(|known| inside(&known.path, path) || inside(path, &known.path))
    }

    /// All of them, in the order of the text.
    pub(super) fn sorted(self) -> Vec<Problem> {
        let mut problems = self.0.into_inner();
        problems
            .sort_by(|a, b| (a.place, &a.path, &a.message).cmp(&(b.place, &b.path, &b.message)));
        problems.dedup();
        problems
    }
}

/// Everything that is wrong with one file, up to 1,000 problems. Nothing of the file was taken over.
///
/// Its `Display` is plain text, a problem a line, as `FILE:LINE:COLUMN: PATH: MESSAGE`; as a
/// [`Diagnostic`] it shows the lines themselves.
pub struct RuleErrors {
    source: NamedSource<String>,
    problems: Vec<Problem>,
}

impl RuleErrors {
    /// The problems of `text`; there is at least one.
    pub(super) fn new(text: &str, problems: Vec<Problem>) -> Self {
        Self { source: NamedSource::new("", text.to_owned()), problems }
    }

    /// The same errors, of a file with this name.
    #[must_use]
    pub fn in_file(mut self, name: &str) -> Self {
        let text = self.source.inner().clone();
        self.source = NamedSource::new(name, text);
        self
    }

    /// The problems, in the order of the text; at least one.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }
}

impl fmt::Debug for RuleErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RuleErrors").field("problems", &self.problems).finish_non_exhaustive()
    }
}

impl fmt::Display for RuleErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, problem) in self.problems.iter().enumerate() {
            if 0 < at {
                f.write_str("\n")?;
            }
            match self.source.name() {
                "" => {}
                name => write!(f, "{name}:")?,
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for RuleErrors {}

impl Diagnostic for RuleErrors {
    fn source_code(&self) -> Option<&dyn SourceCode> {
        Some(&self.source)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        Some(Box::new(self.problems.iter().filter_map(|problem| {
            let place = problem.place?;
            Some(LabeledSpan::new(Some(problem.message.clone()), place.offset, place.length))
        })))
    }
}
