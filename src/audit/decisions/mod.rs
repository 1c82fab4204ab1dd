//! The decision log: what was asked, what was answered, and why, so that it can be decided again.
//!
//! A [`Told`] becomes a record; records, gaps and what frames them are the lines of a [`segment`], each
//! chained to the one before; segments are files of a [`folder`]. An [`Auditor`] reads them and says which
//! line is not what it was. [`Recorded`] is a record that was read again, and [`CustomerIds`] says how
//! customers are named. [`Denied`] counts what one suspension did. Who writes all this is [`recorder`](crate::recorder).

mod auditor;
mod customer_ids;
mod denied;
pub mod folder;
mod read;
pub mod segment;
mod text;
mod write;

pub use auditor::{Auditor, Finding, Verdict, Wrong};
pub use customer_ids::{CustomerIds, CustomerKey, InvalidKeys, read_keys};
pub use denied::Denied;
pub use read::{Recorded, RecordedSuspension, Unusable};
pub use write::Told;
