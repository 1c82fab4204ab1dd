//! Everything that is tested from outside, in one binary.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

mod cli;
mod cli_clients;
mod cli_kill;
mod cli_serve;
mod laws;
mod random;
mod rules;
mod server;
mod telemetry;
mod tidy;
mod twin;
