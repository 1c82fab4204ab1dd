//! From the settings to who is let in: the gate, the certificates, and the issuer.
//!
//! Invariants: outside the demonstration nobody is anonymous unless the settings say so in so many words,
//! and then the log says so at each start; a server that would let nobody in does not start.

use super::exit::{Exit, Failure};
use super::people;
use crate::clock::{Clock, SystemClock};
use crate::config::{Anonymous, IdentitySettings, Settings};
use crate::domain::Role;
use crate::grpc::Door;
use crate::identity::{
    ClientProof, Expected, Gate, Issuer, IssuerSettings, ServerTls, Strength, TlsFiles, Tokens,
    Unusable,
};
use crate::telemetry::Incidents;
use std::sync::Arc;

/// What knows who calls, and keeps itself up to date.
pub(super) struct Way {
    gate: Arc<Gate>,
    tls: Option<Arc<ServerTls>>,
    issuer: Option<Arc<Issuer>>,
}

/// The files of certificates and principals, to be read when somebody asks for it.
pub(super) struct Files {
    gate: Arc<Gate>,
    tls: Option<Arc<ServerTls>>,
}

impl Files {
    /// Reads them now; says whether there were new certificates, and a new table of principals.
    pub(super) fn refresh(&self) -> (bool, bool) {
        (self.tls.as_ref().is_some_and(|tls| tls.refresh()), self.gate.refresh())
    }
}

/// Refuses settings that a server would not start with.
pub(super) fn refuse_what_cannot_serve(settings: &Settings, demo: bool) -> Result<(), Failure> {
    let identity = &settings.identity;
    if demo {
        if !settings.listen.ip().is_loopback() {
            return Err(Failure::usage("--demo serves on loopback only, since anybody may ask it")
                .help("leave --listen out, or give it an address such as 127.0.0.1:7443"));
        }
        if identity.oidc_issuer.is_some() || identity.tls_certificate_file.is_some() {
            return Err(Failure::usage("--demo has its own people, and neither TLS nor an issuer")
                .help("leave `oidc_issuer` and `tls_certificate_file` out, or --demo"));
        }
    } else if identity.locks_everybody_out() {
        return Err(Failure::usage(
            "nobody could prove who they are, and nobody is let in without",
        )
        .help(
            "set `oidc_issuer` and `oidc_audience` for people; or `client_ca_file`, \
                 `trust_domain`, `principals_file`, `tls_certificate_file` and `tls_key_file` for \
                 services; or, to let everybody do everything under any name, set `anonymous` to \
                 `everything` (OFFERGATE_ANONYMOUS=everything)",
        ));
    }
    Ok(())
}

impl Way {
    /// Reads certificates, keys and the table. Opens no port and asks nobody.
    pub(super) fn open(settings: &Settings, demo: bool) -> Result<Self, Failure> {
        let identity = &settings.identity;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let issuer = issuer(identity, &clock)?;
        let tokens = match (&issuer, demo) {
            (Some(issuer), _) => Tokens::Issued(Arc::clone(issuer)),
            (None, true) => Tokens::Demo(people::of_the_demo(settings)?),
            (None, false) => Tokens::None,
        };
        let anonymous = match demo {
            true => identity.anonymous.roles().and(Role::Caller).and(Role::Reader),
            false => identity.anonymous.roles(),
        };
        let trust_domain = identity.trust_domain.as_deref().unwrap_or_default();
        let principals = identity.principals_file.clone();
        let gate = Gate::new(anonymous, tokens, principals, trust_domain, clock);
        let gate = Arc::new(gate.map_err(unusable)?);
        let tls = match (&identity.tls_certificate_file, &identity.tls_key_file) {
            (Some(certificate), Some(key)) => {
                let (certificate, key) = (certificate.clone(), key.clone());
                let files = TlsFiles { certificate, key, client: client_proof(identity) };
                Some(Arc::new(ServerTls::open(files).map_err(unusable)?))
            }
            (_, _) => None,
        };
        Ok(Self { gate, tls, issuer })
    }

    /// Says in the log what deserves to be known about who is let in.
    pub(super) fn warn(&self, settings: &Settings) {
        match settings.identity.anonymous {
            Anonymous::Everything => tracing::warn!(
                "Whoever reaches this server may do everything, under any name that they give: \
                 `anonymous` is `everything`"
            ),
            Anonymous::Checks => tracing::warn!(
                "Whoever reaches this server may ask for decisions: `anonymous` is `checks`"
            ),
            Anonymous::None => {}
        }
        let far = !settings.listen.ip().is_loopback();
        if far && self.tls.is_none() && self.gate.takes_tokens() {
            tracing::warn!(
                "Tokens come over the network in plain text: set `tls_certificate_file`, unless \
                 something in front of this server speaks TLS"
            );
        }
    }

    pub(super) fn door(&self, incidents: Incidents) -> Door {
        Door::new(Arc::clone(&self.gate), self.tls.clone(), incidents)
    }

    pub(super) fn files(&self) -> Files {
        Files { gate: Arc::clone(&self.gate), tls: self.tls.clone() }
    }

    /// Until when certificates are good, in seconds since 1970, as the files say whenever it is asked.
    pub(super) fn ends(&self) -> impl Fn() -> Vec<(&'static str, i64)> + Send + Sync + use<> {
        let tls = self.tls.clone();
        move || {
            let ends = tls.as_ref().map(|tls| tls.ends()).unwrap_or_default();
            ends.into_iter().map(|(kind, end)| (kind, end.as_second())).collect()
        }
    }

    /// `http` or `https`.
    pub(super) fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "https" } else { "http" }
    }

    /// Has the issuer's keys before the first call, if they can be had; then keeps everything up to date,
    /// without an end.
    pub(super) async fn follow(self) {
        if let Some(issuer) = &self.issuer {
            issuer.fetch_now().await;
        }
        match &self.tls {
            Some(tls) => tokio::join!(self.gate.follow(), tls.follow()).0,
            None => self.gate.follow().await,
        }
    }
}

fn issuer(
    identity: &IdentitySettings,
    clock: &Arc<dyn Clock>,
) -> Result<Option<Arc<Issuer>>, Failure> {
    let (Some(issuer), Some(audience)) = (&identity.oidc_issuer, &identity.oidc_audience) else {
        return Ok(None);
    };
    let settings = IssuerSettings {
        expected: Expected {
            issuer: issuer.clone(),
            audience: audience.clone(),
            roles_claim: identity.oidc_roles_claim.clone(),
            emergency: Strength {
                acr: identity.break_glass_acr.clone(),
                amr: identity.break_glass_amr.clone(),
            },
        },
        jwks_url: identity.oidc_jwks_url.clone(),
        authorities: identity.oidc_ca_file.clone(),
    };
    let issuer = Issuer::new(settings, Arc::clone(clock));
    issuer
        .map(Arc::new)
        .map(Some)
        .map_err(|what| Failure::usage(format_args!("the issuer of tokens cannot be used: {what}")))
}

fn client_proof(identity: &IdentitySettings) -> Option<ClientProof> {
    let authorities = identity.client_ca_file.clone()?;
    Some(ClientProof {
        authorities,
        revocations: identity.client_crl_file.clone(),
        // Whoever comes with a token, or needs no proof, has no certificate.
        optional: identity.oidc_issuer.is_some() || identity.anonymous != Anonymous::None,
        trust_domain: identity.trust_domain.as_deref()?.into(),
    })
}

fn unusable(error: Unusable) -> Failure {
    let exit = if error.path.exists() { Exit::Usage } else { Exit::NotFound };
    Failure::new(exit, error)
}
