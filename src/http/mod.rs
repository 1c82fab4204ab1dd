//! The management port: plain HTTP for probes and for the collector of metrics.
//!
//! - `/livez`: the process answers. Says nothing about rules or stores, so that a store's outage
//!   never makes an orchestrator kill a server that still knows what is suspended.
//! - `/readyz`: rules are loaded. Otherwise 503, and why.
//! - `/metrics`: what Prometheus scrapes.
//!
//! Invariant: nothing here changes anything, or shows rules or customers. The port has no
//! authentication and listens on loopback unless told otherwise.

mod management;

pub use management::Management;
