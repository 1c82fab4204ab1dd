//! The short way for the one message that every page sends: a check straight from its wire bytes,
//! and an answer straight to them.
//!
//! Decoding with owned texts and maps costs more than deciding. So the usual shape of a check is
//! read here without a copy. Whatever is unusual (an unknown field, one given twice, a value to be
//! refused) is not judged here: [`read_check`] steps aside and the generated types, which know all
//! of protobuf and every error message, have their say.
//!
//! Invariant: what is read here equals what the generated types and
//! [`check_request`](super::check_request) make of the same bytes, and what is written equals their
//! encoding byte for byte. `tests/it/hot.rs` compares both on random messages.

mod read;
mod write;

pub use read::read_check;
pub use write::write_answer;
