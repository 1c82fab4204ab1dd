//! Batch jobs: many decisions over a file, by the same `decide` and the same rules as every check; and
//! mailings ([`mailing`]), which decide each send when it is sent.
//!
//! `decide` for a file: [`Pinned`] takes the rules of one revision from a server, [`run()`] goes once over
//! the file, and whoever calls it watches the rules and publishes the files ([`Finished::publish`]).
//! A row goes through `input` (reads chunks), `memo` (was the same decided already?), `row` (what its values
//! say), `decide`, `encode` and `output`. [`sample()`] makes a file of people who do not exist.
//!
//! `permit`: the right to act by a server's rules, which the barrier of a suspension waits for.
//!
//! Invariants: nothing half-written ever stands under an output's name; every row is in the output or
//! among the rejects; equal input, revision and instant give equal bytes.

mod answer;
mod csv_blocks;
mod decide;
mod encode;
mod error;
mod field;
mod format;
mod input;
mod json;
#[cfg(feature = "mail")]
pub mod mailing;
mod mapping;
mod memo;
mod output;
#[cfg(feature = "parquet")]
mod parquet;
#[cfg(feature = "parquet")]
mod parquet_rows;
#[cfg(feature = "parquet")]
mod parquet_write;
mod permit;
mod pinned;
mod question;
mod row;
mod run;
mod sample;
mod shard;
mod summary;
mod target;
mod turns;

pub use error::JobError;
pub use format::{Format, is_standard};
pub use input::{Counters, InputFacts};
pub use mapping::Mapping;
pub use permit::{Guard, NoPermit, Permit};
pub use pinned::Pinned;
pub use run::{Finished, Job, Run, run};
pub use sample::{Sample, SampleSummary, rates as sample_rates, run as sample};
pub use shard::Shard;
pub use summary::{OfferCounts, Summary, merge};
pub use target::write_file;
