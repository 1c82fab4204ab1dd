//! Who a replica of a shared store is, what it last heard, and why it cannot follow: for people and
//! probes.

use super::InstallError;
use crate::domain::Revision;
use crate::store::{Incarnation, ReplicaName, Standing, StoreError};

/// Who a replica is.
#[derive(Debug, Clone)]
pub struct Identity {
    /// Its name.
    pub name: ReplicaName,
    /// This run of it.
    pub incarnation: Incarnation,
    /// Where its clients reach it; for people.
    pub address: String,
}

/// What a replica last heard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Contact {
    /// Nothing was heard yet.
    None,
    /// What was reported is part of the history, and what is newer is being fetched if need be.
    Good,
    /// The store does not answer.
    Unreachable,
    /// What is newer cannot be taken over; in words.
    Stuck(String),
    /// The store's history is not the one held here, or is marked as forked.
    Apart(Standing),
}

/// Why a replica cannot take over what is newer. It goes on with what it holds, and its lease runs out.
#[derive(Debug, thiserror::Error)]
pub enum FollowError {
    /// The store did not answer, or what it holds does not verify.
    #[error("the store cannot be read")]
    Store(#[from] StoreError),
    /// What comes next does not follow from what is held.
    #[error("revision {revision} of the store does not follow from what is held")]
    DoesNotFollow {
        /// The revision.
        revision: Revision,
    },
    /// The rules cannot be used.
    #[error("the rules of the store cannot be used")]
    Install(#[from] InstallError),
    /// The store lacks suspensions that are held here, and its rules make no sense with them. Until
    /// people have brought in what these name, this replica stays with the history that it holds.
    #[error("the store lacks suspensions that cannot be proposed again: {suspensions}")]
    LeftOver {
        /// Their ids.
        suspensions: String,
    },
    /// Compiling broke off.
    #[error("compiling the rules broke off")]
    BrokenOff,
}

impl Contact {
    /// What is newer cannot be taken over: an error with its causes, on one line.
    pub(super) fn stuck(error: &dyn std::error::Error) -> Self {
        let mut words = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            words = format!("{words}: {cause}");
            source = cause.source();
        }
        Self::Stuck(words)
    }

    /// Tells operators of a change for better or worse.
    pub(super) fn tell(&self, replica: &str) {
        match self {
            Self::None => {}
            Self::Good => tracing::info!(replica, "In step with the store"),
            Self::Unreachable => tracing::warn!(
                replica,
                "The store does not answer; once the lease is over nothing is answered ELIGIBLE"
            ),
            Self::Stuck(why) => {
                tracing::error!(replica, why, "What is newer cannot be taken over");
            }
            Self::Apart(standing) => tracing::error!(
                replica,
                ?standing,
                "The store's history is not the one held here; nothing is answered ELIGIBLE"
            ),
        }
    }
}
