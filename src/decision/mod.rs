//! Compiles a rule set to a snapshot, and decides over it.
//!
//! Pure: no I/O, no clock, no randomness, no log line, no wire format. `DESIGN`'s rules R1 to R17
//! live here and nowhere else; R15, which needs to know how old a snapshot is, is added by
//! [`service`](crate::service).
//!
//! A decision goes: find the offer, read the request into [`facts`], let the offer's [`candidates`]
//! survive the known dimensions, check [`criteria`] and entitlement, weigh the survivors, and
//! conclude from the [`findings`]. [`twin`] does the same slowly and obviously, and the two must
//! agree. [`Instants`] says at which instants something is decided where a clock may be behind.
//!
//! [`direction()`] says of a change whether it can make anything eligible; [`Alike`] says of customers
//! whether they are decided the same.

mod alike;
mod candidates;
mod compile;
mod condition;
mod criteria;
mod decide;
mod direction;
mod edges;
mod facts;
mod findings;
mod footprint;
mod instants;
mod names;
mod offers;
mod ownership;
mod rows;
mod scope;
mod snapshot;
mod terms;
mod trace;
mod truth;
pub mod twin;

pub use alike::Alike;
pub use compile::CompileError;
pub use decide::decide;
pub use direction::direction;
pub use footprint::{Footprints, Moved};
pub use instants::Instants;
pub use ownership::{Involved, Involvement};
pub use snapshot::Snapshot;
pub use trace::{
    CriterionTrace, Effect, ExemptionTrace, SuspensionTrace, Timing, Trace, Verdict, explain,
};
