//! Why a job did not end well, sorted by what a person can do about it.

use crate::client::ClientError;
use crate::ledger::LedgerError;
use std::path::{Path, PathBuf};

/// Why a job failed. Nothing stands under its output's name then, unless it says so.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// What was asked for contradicts itself or the input's columns. Correct it.
    #[error("{0}")]
    Usage(String),

    /// The input as a whole cannot be read, unlike a single row.
    #[error("{place}: {what}")]
    Input {
        /// The file, with the line where there is one.
        place: String,
        /// What is wrong.
        what: String,
    },

    /// A file that was named does not exist.
    #[error("{} does not exist", .0.display())]
    NoFile(PathBuf),

    /// The system refused a read or a write.
    #[error("{doing} failed")]
    Io {
        /// What was being done.
        doing: String,
        /// What the system said.
        source: std::io::Error,
    },

    /// The rules know no such offer.
    #[error("revision {revision} has no offer `{offer}`")]
    OfferUnknown {
        /// The offer that was asked for.
        offer: String,
        /// The revision asked.
        revision: u64,
    },

    /// More rows were rejected than the caller accepts.
    #[error("more than {most} rows were rejected; see {rejects}")]
    TooManyRejects {
        /// How many were accepted.
        most: u64,
        /// Where they are listed.
        rejects: String,
    },

    /// The rules changed while the job ran.
    #[error("the rules moved from revision {from} to {to} while the job ran")]
    RulesMoved {
        /// The revision decided by.
        from: u64,
        /// The newest one that is known.
        to: u64,
    },

    /// Something is not what was signed, or not what it was before.
    #[error("{0}")]
    Changed(String),

    /// The ledger of a mailing cannot be used.
    #[error(transparent)]
    Ledger(#[from] LedgerError),

    /// The server's rules cannot be used.
    #[error("the server's rules cannot be used: {0}")]
    Rules(String),

    /// The server could not be asked.
    #[error("{doing}")]
    Server {
        /// What was being asked.
        doing: &'static str,
        /// What it said.
        source: ClientError,
    },
}

impl JobError {
    /// An error of the system, on a file.
    pub(super) fn io(doing: &str, path: &Path, source: std::io::Error) -> Self {
        match source.kind() {
            std::io::ErrorKind::NotFound if doing == "reading" => Self::NoFile(path.to_owned()),
            _ => Self::Io { doing: format!("{doing} {}", path.display()), source },
        }
    }
}
