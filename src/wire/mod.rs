//! Protobuf: the generated types of `offergate.v1`, and their conversion to and from the domain.
//!
//! No rule of the business and no I/O. What is readable is passed on as it is, even where it will be
//! decided as invalid; only what cannot be asked at all is a [`FieldErrors`].

pub mod catalog;
pub mod decision;
mod field_errors;
pub mod hot;
pub mod mailing;
pub mod proto;
pub mod request;
pub mod scope;
pub mod suspension;
pub mod time;

pub use field_errors::{FieldError, FieldErrors, MOST_TEXT};
pub use request::check_request;

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod request_tests;
#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod suspension_tests;
