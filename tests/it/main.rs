//! Everything that is tested from outside, in one binary so that it links once.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

mod api;
mod approvals;
mod attacks;
mod audit;
mod audit_cosigning;
mod audit_tampering;
mod bank;
mod batch;
mod batch_moves;
mod batch_sample;
#[path = "../chaos/tested.rs"]
mod chaos;
mod cli;
mod cli_clients;
mod cli_edit;
mod cli_failures;
mod cli_fleet;
mod cli_kill;
mod cli_serve;
mod cli_two_people;
mod clients;
mod decision_asking;
mod decision_keeping;
mod decision_lanes;
mod decision_log;
mod decision_replay;
mod decision_replay_cli;
mod decision_tampering;
mod deploy;
mod directions;
mod drill;
mod emergencies;
mod events;
mod events_seldom;
mod faults;
mod footprints;
mod formats;
mod hostile_bytes;
mod hot;
mod identity;
mod laws;
mod ledger_conformance;
mod ledger_file;
mod ledger_redis;
#[cfg(feature = "mail")]
mod mailing;
mod mailings;
mod operations;
mod permits;
mod properties;
mod random;
mod redis_failover;
mod redis_faults;
mod redis_nodes;
mod redis_replicas;
mod redis_server;
mod redis_store;
mod redis_tampering;
mod rules_amend;
mod rules_files;
mod rules_generate;
mod rules_properties;
mod server;
mod signals;
mod store_conformance;
mod store_contents;
mod store_files;
mod store_kill;
mod store_tampering;
mod suspension_history;
mod telemetry;
mod tidy;
mod twin;
mod two_people;
