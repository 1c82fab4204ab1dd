//! What is tested from outside the library, in one binary so that it links once.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod telemetry;
mod tidy;
