//! A mailing: everybody in a frozen audience is written to once, or it is written down why not.
//!
//! A [`Plan`] is what two people sign. [`Mailer::send`] reads the audience (`audience`), screens each recipient
//! (`sending`: suppressions, duplicates by their `claims`, rules, pace), writes the intent to the ledger, and hands over by lanes
//! (`lane`), each with a way out (`smtp`, `eml`). What people want of it and where it stands are facts in the
//! ledger (`control`).
//!
//! Invariants: nobody is handed over twice; once it is over, sent + not sent + failed + in doubt are the whole
//! audience. Marketing is decided at each send, under a pass of the [`Gate`] that is held until the hand-over is
//! over; without one it waits. A service message goes on.

mod audience;
mod carrier;
mod claims;
mod control;
mod eml;
#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod fixture;
mod gate;
mod judge;
mod lane;
mod later;
mod leaks;
mod lists;
mod message;
mod pace;
mod permits;
mod plan;
mod quiet;
mod report;
mod retried;
mod send;
mod sending;
mod settling;
mod smtp;
mod suppressions;
mod telling;
mod template;

pub use audience::Source;
pub use control::{Began, Counted, Doing, Order, Standing, Wanted, give, read, write};
pub use gate::{Gate, Hold, Pass, Rules};
pub use lists::{Lists, lists, preview};
pub use permits::{OpenGate, PermitGate};
pub use plan::{Audience, Kind, Once, Plan, Schedule, sha256};
pub use quiet::Quiet;
pub use report::{Line, Report, Signed, Tally};
pub use retried::retry;
pub use send::{Ending, Mailer, Out, Patience, Progress, Retries};
pub use smtp::{Privacy, Secret, Way};
pub use suppressions::Suppressions;
pub use template::{Rendered, Template};
