//! The settings that say how callers prove who they are, and what they ask of one another.

use super::{Origin, Place, Problem};
use crate::domain::{Role, Roles};
use std::path::PathBuf;

/// What somebody may do who proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Anonymous {
    /// Nothing.
    #[default]
    None,
    /// Ask for decisions.
    Checks,
    /// Everything, under any name.
    Everything,
}

impl Anonymous {
    /// The same, as roles.
    #[must_use]
    pub fn roles(self) -> Roles {
        match self {
            Self::None => Roles::NONE,
            Self::Checks => Roles::NONE.and(Role::Caller),
            Self::Everything => Roles::ALL,
        }
    }
}

/// How callers prove who they are. `None` is what nobody set.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct IdentitySettings {
    /// What somebody may do who proves nothing.
    pub anonymous: Anonymous,
    /// The certificate to show to clients.
    pub tls_certificate_file: Option<PathBuf>,
    /// Its key.
    pub tls_key_file: Option<PathBuf>,
    /// The authorities of services' certificates.
    pub client_ca_file: Option<PathBuf>,
    /// What those have revoked.
    pub client_crl_file: Option<PathBuf>,
    /// The trust domain of services.
    pub trust_domain: Option<String>,
    /// The table of principals.
    pub principals_file: Option<PathBuf>,
    /// Who makes people's tokens.
    pub oidc_issuer: Option<String>,
    /// Whom those tokens must be for.
    pub oidc_audience: Option<String>,
    /// Where that issuer's keys are.
    pub oidc_jwks_url: Option<String>,
    /// The claim with roles.
    pub oidc_roles_claim: String,
    /// Who vouches for the issuer's own certificate.
    pub oidc_ca_file: Option<PathBuf>,
    /// One of which a token's `acr` must be for an emergency.
    pub break_glass_acr: Vec<String>,
    /// All of which a token's `amr` must hold for an emergency.
    pub break_glass_amr: Vec<String>,
}

impl IdentitySettings {
    /// Whether nobody could do anything: no proof is taken, and none is not enough.
    #[must_use]
    pub fn locks_everybody_out(&self) -> bool {
        self.anonymous == Anonymous::None
            && self.client_ca_file.is_none()
            && self.oidc_issuer.is_none()
    }

    /// What these settings ask of one another.
    pub(super) fn refuse_half_of_it(&self, origins: &[Origin], problems: &mut Vec<Problem>) {
        let certificate = ("tls_certificate_file", self.tls_certificate_file.is_some());
        let key = ("tls_key_file", self.tls_key_file.is_some());
        let authority = ("client_ca_file", self.client_ca_file.is_some());
        let revocations = ("client_crl_file", self.client_crl_file.is_some());
        let domain = ("trust_domain", self.trust_domain.is_some());
        let principals = ("principals_file", self.principals_file.is_some());
        let issuer = ("oidc_issuer", self.oidc_issuer.is_some());
        let audience = ("oidc_audience", self.oidc_audience.is_some());
        let keys = ("oidc_jwks_url", self.oidc_jwks_url.is_some());
        let vouches = ("oidc_ca_file", self.oidc_ca_file.is_some());
        let level = ("break_glass_acr", !self.break_glass_acr.is_empty());
        let methods = ("break_glass_amr", !self.break_glass_amr.is_empty());
        let a_proof = ("client_ca_file` or `oidc_issuer", authority.1 || issuer.1);
        let needs = [
            (certificate, key),
            (key, certificate),
            (authority, certificate),
            (authority, domain),
            (authority, principals),
            (revocations, authority),
            (domain, authority),
            (principals, a_proof),
            (issuer, audience),
            (audience, issuer),
            (keys, issuer),
            (vouches, issuer),
            (level, issuer),
            (methods, issuer),
        ];
        for ((name, is_set), (other, other_is_set)) in needs {
            if is_set && !other_is_set {
                let origin = origins.iter().find(|origin| origin.name == name);
                let place = origin.map_or(Place::Default, |origin| origin.place.clone());
                let what = format!("{name}: is set without `{other}`, which it needs");
                problems.push(Problem { place, what });
            }
        }
    }
}
