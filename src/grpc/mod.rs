//! Serves `offergate.v1` over gRPC: parse, call the use case, convert, error to status.
//!
//! No rule of the business is here. [`routes`] makes the services and [`serve`] runs them on a
//! listener; a server may run several, one a core.

mod access;
mod api;
mod audit;
mod caller;
mod catalog;
mod changes;
mod deadline;
mod door;
mod eligibility;
mod explanation;
mod exposures;
mod fleet;
mod front;
mod handshake;
mod health;
mod history;
mod hot_check;
mod incoming;
mod lasting;
mod mailings;
mod overload;
mod paging;
mod panics;
mod permits;
mod preview;
mod proposals;
mod rates;
mod refusals;
mod requester;
mod roles;
mod rules;
mod server;
mod sizes;
mod status;
mod suspensions;
mod tap;

pub use api::{METHODS, routes};
pub use door::Door;
pub use front::Front;
pub use health::Switch;
pub use incoming::listeners;
pub use rates::RateSettings;
pub use server::{LimitSettings, Limits, ServeError, serve};
