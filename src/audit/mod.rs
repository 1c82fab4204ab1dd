//! What makes history provable: the record of a change, and the chain through all records.

mod record;

pub use record::{ChangeKind, Proposal, Record, RequestId};
