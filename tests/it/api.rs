//! The service over gRPC: a server in this process on a free port, and the client that ships.

mod checks;
mod doubt;
pub(crate) mod frames;
mod hostile_changes;
mod limits;
mod mailings;
mod messages;
mod outage;
mod people;
mod permits;
mod rates;
mod roles;
mod server;
