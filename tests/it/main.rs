//! Everything that is tested from outside, in one binary.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

mod laws;
mod random;
mod rules;
mod telemetry;
mod tidy;
mod twin;
