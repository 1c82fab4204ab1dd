//! The rules as a mailing acts on them: newest, and known to be in force when a hand-over begins.

use crate::decision::Snapshot;
use crate::domain::Timestamp;
use std::sync::Arc;
use std::time::Duration;

/// The rules of one revision.
#[derive(Debug)]
pub struct Rules {
    /// Its number.
    pub revision: u64,
    /// Its place in history. Two histories may have a revision of the same number.
    pub token: String,
    /// When it was made: nothing is decided for an earlier instant, whatever the clock here says.
    pub made_at: Option<Timestamp>,
    /// The rules.
    pub snapshot: Arc<Snapshot>,
}

/// Lets one hand-over through. While it lives, no change that came later is told to be enforced.
pub struct Pass {
    /// The rules to decide by.
    pub rules: Arc<Rules>,
    /// What holds the barrier back until the hand-over is over.
    pub hold: Box<dyn Hold>,
}

/// Holds the barrier back while it lives.
pub trait Hold: Send {
    /// Whether it still does. One that ran out lets the barrier go.
    fn still_holds(&self) -> bool;
}

/// Where a mailing's rules come from.
pub trait Gate: Send + Sync {
    /// Lets one hand-over through; `None` while the rules that are held may be out of date.
    fn enter(&self) -> Option<Pass>;

    /// The newest rules that are known, however old; `None` if none ever were.
    fn newest(&self) -> Option<Arc<Rules>>;

    /// For how long after a change a hand-over may still begin by the rules before it, at most.
    fn reach(&self) -> Duration;

    /// Why the gate is shut, in words.
    fn trouble(&self) -> String;
}
