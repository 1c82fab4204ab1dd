//! Who calls, as found out before a call reaches its service.

use crate::domain::{Principal, PrincipalId};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// What is known of a connection, once and for all of its calls.
#[derive(Debug, Clone)]
pub(super) struct Peer {
    /// Where it comes from.
    pub(super) address: Option<SocketAddr>,
    /// The path in the service's certificate, if it showed one.
    pub(super) service: Option<Arc<str>>,
}

/// Who calls, and from where. A layer puts [`Caller`] into a call's extensions.
#[derive(Debug, Clone)]
pub(super) enum Caller {
    /// The settings let everybody in, and nobody proved who they are.
    Anybody,
    /// Somebody whom an issuer vouches for.
    Known(Arc<Principal>),
}

impl Caller {
    /// Whoever the layers found; where none looked, nobody was asked for proof.
    pub(super) fn of(extensions: &tonic::Extensions) -> Self {
        extensions.get::<Self>().cloned().unwrap_or(Self::Anybody)
    }

    /// The name to write down for a check, where somebody proved it.
    pub(super) fn name(&self) -> Option<&str> {
        match self {
            Self::Anybody => None,
            Self::Known(known) => Some(&known.name),
        }
    }

    /// Who it is, as compared: one and the same for all whom nobody was asked to prove it.
    pub(super) fn id(&self) -> PrincipalId {
        match self {
            Self::Anybody => PrincipalId::unverified(""),
            Self::Known(known) => known.id.clone(),
        }
    }

    /// The principal to write down for a change. `claimed` is the name that the message gives: needed
    /// where everybody is let in; elsewhere empty, or the caller's own.
    pub(super) fn author(&self, claimed: &str) -> Result<Arc<Principal>, &'static str> {
        match self {
            Self::Anybody if claimed.trim().is_empty() => Err("is required"),
            Self::Anybody => Ok(Arc::new(Principal::unverified(claimed))),
            Self::Known(known) if claimed.is_empty() || claimed == &*known.name => {
                Ok(Arc::clone(known))
            }
            Self::Known(_) => Err("is not the caller; leave it empty"),
        }
    }
}

/// The address that a call came from, where it is known.
pub(super) fn address(extensions: &tonic::Extensions) -> Option<IpAddr> {
    extensions.get::<Peer>().and_then(|peer| peer.address).map(|address| address.ip())
}
