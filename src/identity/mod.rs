//! Finds out who calls: services by their certificates, people by the tokens of an issuer, and what
//! both may do beyond that by a table of ours.
//!
//! [`Gate`] answers for each call, from memory; [`ServerTls`] is what a connection is accepted with. What
//! they know is read from files and from the issuer, and kept up to date by [`Gate::follow`] and
//! [`ServerTls::follow`].
//!
//! Invariants: what cannot be proven is nobody, never somebody with fewer rights; no token, and no part
//! of one, is in an error or a log line.

mod certificate;
mod ends;
mod fetch;
mod files;
mod gate;
mod issuer;
mod keys;
mod seen;
mod table;
mod tls;
mod token;

pub use certificate::{BadName, spiffe_path};
pub use files::{Unusable, is_open_to_others};
pub use gate::{Gate, Standing, Tokens};
pub use issuer::{Issuer, IssuerSettings};
pub use keys::KeySet;
pub use table::{Quota, Table};
pub use tls::{ClientProof, ServerTls, TlsFiles};
pub use token::{Expected, Strength, Unproven, verify};
