//! What takes a message: a way out, and what it says of each hand-over.

use crate::jobs::mailing::message::Letter;

/// How a hand-over ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Handed {
    /// The other side took it.
    Taken,
    /// Refused for now, with a code: it was not taken, and may be later.
    Again(String),
    /// Refused for good, with a code.
    Refused(String),
    /// It may have been taken: the answer never came.
    Unknown(&'static str),
    /// Nobody could be asked; this says nothing about the recipient.
    Closed(String),
    /// Given up while nothing could have been taken yet, since it may not go on.
    Stopped,
}

/// The way out of a mailing that goes to nobody.
pub(super) struct Nobody;

impl Carrier for Nobody {
    fn hand_over(&mut self, _: &Letter, _: &dyn Fn() -> bool) -> Handed {
        Handed::Stopped
    }
}

/// One way out. Each has a thread of its own.
pub(super) trait Carrier {
    /// Gets ready, so that the next hand-over begins at once: whoever holds a pass holds people up.
    fn prepare(&mut self) -> Result<(), Handed> {
        Ok(())
    }

    /// Hands one message over. Each step may take long, so whether it `may` go on is asked before each after which
    /// it can be taken.
    fn hand_over(&mut self, letter: &Letter, may: &dyn Fn() -> bool) -> Handed;
}
