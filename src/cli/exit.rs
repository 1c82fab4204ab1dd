//! How a command ends: its exit code, and what it tells a person when it failed.
//!
//! Not here: which error leads to which code. Whoever meets an error knows what it means.
//!
//! Invariant: a failure is told once, on stderr, at the edge (`report`), with its causes; data
//! written to stdout before it stays whole.

use miette::Diagnostic;
use std::process::ExitCode;
use std::{fmt, io};

/// The codes that scripts rely on. Listed in the manual page; a new meaning gets a new code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Exit {
    /// It is done.
    Ok = 0,
    /// It failed, in a way that no other code names.
    Failure = 1,
    /// The command line, or a value in it, is wrong. With `plan --exit-code` it says that something
    /// would change, and nothing else: what is wrong ends there in `Failure`.
    Usage = 2,
    /// What was named does not exist: an id, a revision, a file.
    NotFound = 3,
    /// Somebody else changed the rules first, or the request id was used for something else.
    Conflict = 4,
    /// No server answered.
    Unreachable = 5,
    /// The change was made, and was not known to be enforced when time ran out.
    NotEnforced = 6,
    /// It was told to stop by SIGINT or SIGTERM, and did.
    Interrupted = 130,
}

impl Exit {
    /// What a cause means that may come from the file system: not there, or anything else.
    pub(super) fn of_cause(cause: &(dyn std::error::Error + 'static)) -> Self {
        match cause.downcast_ref::<io::Error>() {
            Some(error) if error.kind() == io::ErrorKind::NotFound => Self::NotFound,
            Some(_) | None => Self::Failure,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// The part of every help page and manual page that scripts need.
pub(super) const EXIT_CODES: &str = "\
Exit codes:
  0  done (an answer `INELIGIBLE` is an answer)
  1  failed
  2  wrong usage; with `plan --exit-code`, and there alone: something would change
  3  not found: an id, a revision or a file that was named
  4  conflict: the rules moved, or a request id was used for something else
  5  server unreachable
  6  the change was made, and not known to be enforced when --wait was over
130  interrupted";

/// Why a command did not do what it was asked.
#[derive(Debug)]
pub(super) struct Failure {
    exit: Exit,
    what: What,
}

#[derive(Debug)]
enum What {
    /// Something to say.
    Problem(Problem),
    /// A report that somebody else has laid out, with lines of a file for example.
    Report(miette::Report),
    /// Everything was said already, or nobody is there to read it.
    Silent,
}

impl Failure {
    /// A failure in words: what was being done, lower case, no full stop.
    pub(super) fn new(exit: Exit, message: impl fmt::Display) -> Self {
        let problem = Problem { message: message.to_string(), help: None, source: None };
        Self { exit, what: What::Problem(problem) }
    }

    /// The same, for what is wrong with the command line.
    pub(super) fn usage(message: impl fmt::Display) -> Self {
        Self::new(Exit::Usage, message)
    }

    /// A failure that carries its own report.
    pub(super) fn reported(exit: Exit, report: miette::Report) -> Self {
        Self { exit, what: What::Report(report) }
    }

    /// Ends with a code and without a word.
    pub(super) fn silent(exit: Exit) -> Self {
        Self { exit, what: What::Silent }
    }

    /// Adds what the reader can do.
    pub(super) fn help(mut self, help: impl fmt::Display) -> Self {
        if let What::Problem(problem) = &mut self.what {
            problem.help = Some(help.to_string());
        }
        self
    }

    /// Adds the cause.
    pub(super) fn because<E>(mut self, source: E) -> Self
    where
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        if let What::Problem(problem) = &mut self.what {
            problem.source = Some(source.into());
        }
        self
    }

    /// Adds where in a file it went wrong.
    pub(super) fn at(mut self, place: &str) -> Self {
        if let What::Problem(problem) = &mut self.what {
            problem.message.insert_str(0, &format!("{place}: "));
        }
        self
    }

    /// The same, where the code for wrong usage says something else.
    pub(super) fn without_usage(mut self) -> Self {
        if self.exit == Exit::Usage {
            self.exit = Exit::Failure;
        }
        self
    }

    /// The code to end with.
    pub(super) fn exit(&self) -> Exit {
        self.exit
    }

    /// Tells it on stderr.
    pub(super) fn report(self) {
        match self.what {
            What::Problem(problem) => eprintln!("{:?}", miette::Report::new(problem)),
            What::Report(report) => eprintln!("{report:?}"),
            What::Silent => {}
        }
    }
}

/// One failure in words.
#[derive(Debug)]
struct Problem {
    message: String,
    help: Option<String>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Problem {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

impl Diagnostic for Problem {
    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.help.as_ref().map(|help| Box::new(help) as _)
    }
}
