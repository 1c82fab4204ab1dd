//! The way to a Redis or Valkey: standalone, behind sentinels, or one slot of a cluster. What is kept there
//! is for whoever goes it (`store/redis/`, `ledger/redis/`).
//!
//! - `access`: where the servers are, and who we are there.
//! - `finder`, `lane`: the way to the primary, and one connection for each kind of call.
//! - `scripts`, `reply`, `trouble`: what is said there, and what the answers mean.
//! - `found`: the servers' own settings.
//! - `thread`: where all of that happens.
//!
//! Invariant: a call whose answer never came is sent again only where the caller said that this is harmless.

mod access;
mod finder;
mod found;
mod lane;
mod reply;
mod scripts;
mod thread;
mod trouble;

pub use access::{Access, Address, Login, Secret, Servers, Tls};
pub(crate) use finder::Finder;
pub(crate) use found::{Found, OLDEST_VERSION, Primary, UNREADABLE};
pub(crate) use lane::{Lane, Session, Unanswered};
pub(crate) use reply::Reply;
pub(crate) use scripts::{Script, scripts};
pub(crate) use thread::Thread;
pub(crate) use trouble::Trouble;
