//! Who calls: tokens and certificates, good ones and those of attackers, against the gate and against a
//! real server.

pub(crate) mod certificates;
mod demo;
mod issuer;
mod keys;
mod oidc;
mod quotas;
mod tokens;

pub(crate) use certificates::Authority;
