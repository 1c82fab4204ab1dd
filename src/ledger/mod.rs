//! Who was written to: one outcome for each recipient of a mailing, written around the hand-over.
//!
//! The trait, its words and its errors are here; `sqlite` keeps a ledger in a file of its own, `redis` on a server
//! that several machines reach, `key` names recipients. Not here: who is written to, and by which rules. That is the mailing's (`jobs/`).
//!
//! A recipient is at first not in the ledger at all: it is pending. Before a hand-over begins, the intent is
//! written durably; after it, what became of it. Whoever has an intent and no outcome when the next process
//! comes is `IN_DOUBT`: it may have been written to, and is never written to again by itself.
//!
//! Invariants: a recipient that was handed over is never handed over again through the same ledger. A step
//! that does not follow from what is written is refused, and nothing of its group is written.

mod key;
pub mod redis;
pub mod sqlite;

pub use key::{KeyError, LedgerKey};

use std::collections::BTreeMap;
use std::sync::Arc;

/// Names a recipient under a key that is kept elsewhere. Without the key it says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag(pub [u8; 16]);

impl std::fmt::Display for Tag {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Where a recipient stands, once the ledger knows of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// The hand-over was about to begin, and nothing later is known.
    Begun,
    /// The other side took the message.
    Sent,
    /// Nothing was handed over, for the reason that stands with it.
    NotSent,
    /// The other side refused the message for good.
    Failed,
    /// It may have been taken, or not.
    InDoubt,
}

impl State {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Begun, Self::Sent, Self::NotSent, Self::Failed, Self::InDoubt];

    /// The name, as reports spell it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Begun => "BEGUN",
            Self::Sent => "SENT",
            Self::NotSent => "NOT_SENT",
            Self::Failed => "FAILED",
            Self::InDoubt => "IN_DOUBT",
        }
    }
}

/// Where in the ledger a recipient is: recipients of one block are near each other, and nothing tells
/// their order in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// Which block: a run of rows of the audience, or [`PROOFS`].
    pub block: i64,
    /// Who.
    pub tag: Tag,
}

/// The block of proofs, which are no customers and are counted apart.
pub const PROOFS: i64 = -1;

/// One step of one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Whose.
    pub place: Place,
    /// What.
    pub what: What,
    /// When, in seconds since 1970.
    pub at: i64,
}

/// What a step does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// The hand-over is about to begin. Only of who is pending.
    Begin,
    /// The hand-over ended. Only of who has begun.
    End(State, Why),
    /// The hand-over did not come about, for certain: pending again. Only of who has begun.
    Withdraw,
    /// There will be no hand-over. Only of who is pending.
    Leave(Why),
}

/// Why a recipient ended so.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Why {
    /// Reason codes; empty for `SENT`.
    pub reason: String,
    /// The revision of the rules decided by; 0 where none was.
    pub revision: u64,
}

/// How many recipients ended how.
pub type Totals = BTreeMap<(State, Why), u64>;

/// What is kept about the whole mailing, each a text of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fact {
    /// The ledger's own name, which the server knows it by once the mailing was begun.
    Name,
    /// What was signed, and by whom.
    Mailing,
    /// How it is sent: files, ways, limits. No secrets.
    Settings,
    /// When, and by which rules it began.
    Began,
    /// Where it stands.
    Standing,
    /// What people want of it: go on, pause or end.
    Order,
    /// What the sender counted beside the recipients.
    Counted,
    /// Where its senders kept the key and the lists.
    Kept,
    /// Who was in doubt and was tried again, because a person said so.
    Retried,
    /// Which key somebody has begun to destroy: where it is.
    Erasing,
    /// That the key was destroyed, and when.
    Erased,
}

impl Fact {
    fn name(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Mailing => "mailing",
            Self::Settings => "settings",
            Self::Began => "began",
            Self::Standing => "standing",
            Self::Order => "order",
            Self::Counted => "counted",
            Self::Kept => "kept",
            Self::Retried => "retried",
            Self::Erasing => "erasing",
            Self::Erased => "erased",
        }
    }
}

/// Whether a ledger is still this process's to send through, as far as it can know without asking.
pub type StillOurs = Arc<dyn Fn() -> bool + Send + Sync>;

/// Where outcomes are kept. Every implementation passes `tests/it/ledger_conformance.rs`.
pub trait Ledger: Send {
    /// Takes all steps, durably and together, or none.
    ///
    /// # Errors
    /// [`LedgerError::Contradiction`] for a step that does not follow from what is written.
    fn write(&mut self, steps: &[Step]) -> Result<(), LedgerError>;

    /// Everybody of a block who is not pending.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    fn block(&self, block: i64) -> Result<Vec<(Tag, State)>, LedgerError>;

    /// How many ended how, without proofs; those that have begun included.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    fn totals(&self) -> Result<Totals, LedgerError>;

    /// Makes `IN_DOUBT` of all that have begun: to be called before anything else by who takes over.
    /// Tells how many.
    ///
    /// # Errors
    /// When it cannot be written.
    fn doubt(&mut self, at: i64) -> Result<u64, LedgerError>;

    /// Makes everybody in doubt pending again, proofs included, because a person said so. Tells how many.
    ///
    /// # Errors
    /// When it cannot be written.
    fn retry_doubtful(&mut self) -> Result<u64, LedgerError>;

    /// Everybody in doubt.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    fn doubtful(&self) -> Result<Vec<Place>, LedgerError>;

    /// A fact about the mailing.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    fn fact(&self, fact: Fact) -> Result<Option<String>, LedgerError>;

    /// Sets a fact, durably.
    ///
    /// # Errors
    /// When it cannot be written.
    fn set_fact(&mut self, fact: Fact, text: &str) -> Result<(), LedgerError>;

    /// Sets a fact, durably, if it still is what was seen of it, or is so already. Tells whether it is so now.
    ///
    /// # Errors
    /// When it cannot be written.
    fn replace_fact(
        &mut self,
        fact: Fact,
        seen: Option<&str>,
        text: &str,
    ) -> Result<bool, LedgerError>;

    /// Whether this is the key that recipients are named under in here. Another one gives everybody another name.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    fn is_named_by(&self, key: &LedgerKey) -> Result<bool, LedgerError>;

    /// To be asked right before each hand-over, where somebody else may take over from a process that stood still
    /// for too long: who was begun then is in doubt, and is not handed over any more.
    fn still_ours(&self) -> StillOurs {
        Arc::new(|| true)
    }
}

/// Who was in hand when a sender died, as the next one writes it.
fn died(place: Place, at: i64) -> Step {
    let why = Why { reason: "SENDER_DIED".to_owned(), revision: 0 };
    Step { place, what: What::End(State::InDoubt, why), at }
}

/// Refuses a ledger whose key was destroyed, even where a copy of it is left: its recipients were promised to be
/// forgotten.
fn refuse_erased(ledger: &dyn Ledger, key: &std::path::Path) -> Result<(), LedgerError> {
    match ledger.fact(Fact::Erased)? {
        None => Ok(()),
        Some(_) => Err(KeyError::Destroyed(key.to_owned()).into()),
    }
}

/// That it cannot be read or written.
fn failed<E>(doing: &'static str) -> impl Fn(E) -> LedgerError
where
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    move |source| LedgerError::Failed { doing, source: source.into() }
}

/// Why a ledger cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// There is none at this place.
    #[error("there is no ledger at {0}")]
    Missing(String),

    /// There is one already.
    #[error("there is a ledger at {0} already")]
    Exists(String),

    /// Another process sends through it.
    #[error("{ledger} is in use by another sender (process {holder})")]
    InUse {
        /// Which ledger.
        ledger: String,
        /// The other process, as far as it is known.
        holder: String,
    },

    /// Another process has taken over. This one was silent for too long, and nothing of it was written since.
    #[error("another sender has taken {0} over: this one was silent for too long")]
    TakenOver(String),

    /// Its server could forget who was written to.
    #[error(
        "{ledger} could forget who was written to: `{setting}` is `{found}`, and has to be `{wanted}`"
    )]
    Unfit {
        /// Which ledger.
        ledger: String,
        /// Which setting of its server.
        setting: String,
        /// What it is.
        found: String,
        /// What it has to be.
        wanted: String,
    },

    /// A step does not follow from what is written. A person must look: two senders, or a bug.
    #[error("the ledger contradicts what was to be written of a recipient in block {block}")]
    Contradiction {
        /// Where.
        block: i64,
    },

    /// Its last steps are in a file beside it, which is not there.
    #[error(
        "{0} was not closed by its last sender, and {0}-wal is not beside it: who was written to last stands there"
    )]
    Torn(String),

    /// It has hard links: each name would have a journal of its own.
    #[error("{0} has several names: who was written to last stands beside one of them alone")]
    SeveralNames(String),

    /// It is something else, or of another version.
    #[error("{0} is no ledger of this program's version")]
    Foreign(String),

    /// It cannot be read or written.
    #[error("the ledger failed while {doing}")]
    Failed {
        /// What was being done.
        doing: &'static str,
        /// The cause.
        source: Box<dyn std::error::Error + Send + Sync>,
    },

    /// Its key cannot be used.
    #[error(transparent)]
    Key(#[from] KeyError),
}
