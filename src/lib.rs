//! Offergate decides whether a bank's customer may be offered, or keep using, a third-party product.
//!
//! The map of the house, from the inside out. A folder may use what stands above it in this list and
//! nothing else of ours; `tests/it/tidy.rs` holds the arrows, `ARCHITECTURE.md` explains them.
//!
//! - [`domain`]: the nouns. Values only.
//! - [`clock`]: the one place that reads the time.
//! - [`decision`]: compiles a rule set to a snapshot, and decides. Pure.
//! - [`rules`]: the YAML form of the rules and of their tests.
//! - [`audit`]: the record of a change, and the chain that makes it tamper-evident.
//! - [`redis`]: the way to a Redis or Valkey.
//! - [`store`]: where rules and records live.
//! - [`replica`]: the newest snapshot, and how fresh it is.
//! - [`recorder`]: writes decisions down, without holding up a check.
//! - [`service`]: the use cases.
//! - [`events`]: what people must hear of, sent to their own systems.
//! - [`identity`]: who calls: certificates, tokens, and the table of principals.
//! - [`wire`]: generated protobuf types and their conversion to and from the domain.
//! - [`client`]: a typed client of a running server.
//! - [`ledger`]: who was written to by a mailing.
//! - [`jobs`]: batch jobs over files.
//! - [`grpc`], [`http`]: serve one protocol each.
//! - [`telemetry`], [`config`]: what is measured, what can be set.
//! - [`cli`]: one file a subcommand; `serve` wires everything.

pub mod audit;
pub mod cli;
pub mod client;
pub mod clock;
pub mod config;
pub mod decision;
pub mod domain;
pub mod events;
pub mod grpc;
pub mod http;
pub mod identity;
pub mod jobs;
pub mod ledger;
pub mod recorder;
pub mod redis;
pub mod replica;
pub mod rules;
pub mod service;
pub mod store;
pub mod telemetry;
pub mod wire;
