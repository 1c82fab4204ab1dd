//! What proves to a server who calls, and which server is believed.
//!
//! Invariant: a token is sent to this machine or over TLS, and nowhere else.

use super::ClientError;
use std::fmt;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint, Identity};
use tonic::{Request, Status};

/// What proves to a server who calls, and which authority its own certificate must be of. Everything is
/// optional.
#[derive(Clone, Default)]
pub struct Credentials {
    /// A person's token.
    pub token: Option<String>,
    /// The authority of the server's certificate, in PEM; without it, those that this machine trusts.
    pub authority: Option<Vec<u8>>,
    /// A service's certificate and its key, in PEM.
    pub certificate: Option<(Vec<u8>, Vec<u8>)>,
}

impl fmt::Debug for Credentials {
    /// Shows what there is, and none of it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("token", &self.token.is_some())
            .field("authority", &self.authority.is_some())
            .field("certificate", &self.certificate.is_some())
            .finish()
    }
}

impl Credentials {
    /// The endpoint with TLS where its address says so, and what goes with each call.
    pub(super) fn apply(self, endpoint: Endpoint) -> Result<(Endpoint, Bearer), ClientError> {
        let (uri, secured) = (endpoint.uri(), endpoint.uri().scheme_str() == Some("https"));
        if !secured && (self.authority.is_some() || self.certificate.is_some()) {
            let what = format!("certificates take TLS: write `https://` in front of `{uri}`");
            return Err(ClientError::credentials(what));
        }
        if !secured && self.token.is_some() && !is_this_machine(uri.host()) {
            let what = format!("a token is not sent to `{uri}` in plain text: use `https://`");
            return Err(ClientError::credentials(what));
        }
        let bearer = Bearer::new(self.token.as_deref())?;
        if !secured {
            return Ok((endpoint, bearer));
        }
        let tls = match self.authority {
            Some(pem) => ClientTlsConfig::new().ca_certificate(Certificate::from_pem(pem)),
            None => ClientTlsConfig::new().with_native_roots(),
        };
        let tls = match self.certificate {
            Some((certificate, key)) => tls.identity(Identity::from_pem(certificate, key)),
            None => tls,
        };
        let endpoint = endpoint.tls_config(tls).map_err(|error| {
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            let cause = cause.unwrap_or_else(|| error.to_string());
            ClientError::credentials(format_args!("the certificates cannot be used: {cause}"))
        })?;
        Ok((endpoint, bearer))
    }
}

/// Whether a host is the machine that this runs on.
pub(crate) fn is_this_machine(host: Option<&str>) -> bool {
    let Some(host) = host else { return false };
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

/// Puts the token, if there is one, into each call.
#[derive(Clone)]
pub(super) struct Bearer(Option<MetadataValue<Ascii>>);

impl fmt::Debug for Bearer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Bearer").field(&self.0.is_some()).finish()
    }
}

impl Bearer {
    fn new(token: Option<&str>) -> Result<Self, ClientError> {
        let Some(token) = token else { return Ok(Self(None)) };
        let mut value: MetadataValue<Ascii> = format!("Bearer {token}").parse().map_err(|_| {
            ClientError::credentials("the token holds characters that no token has")
        })?;
        value.set_sensitive(true);
        Ok(Self(Some(value)))
    }
}

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(value) = &self.0 {
            request.metadata_mut().insert("authorization", value.clone());
        }
        Ok(request)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn a_token_goes_to_this_machine_or_over_tls_and_nowhere_else() {
        for (address, allowed) in [
            ("http://127.0.0.1:7443", true),
            ("http://localhost:7443", true),
            ("http://[::1]:7443", true),
            ("https://offergate.bank.example", true),
            ("http://offergate.bank.example", false),
            ("http://127.0.0.1.evil.example", false),
            ("http://10.0.0.1:7443", false),
        ] {
            let credentials = Credentials { token: Some("t0ken".into()), ..<_>::default() };
            assert!(!format!("{credentials:?}").contains("t0ken"));
            let endpoint = Endpoint::from_shared(address.to_owned()).unwrap();
            assert_eq!(credentials.apply(endpoint).is_ok(), allowed, "{address}");
        }
    }
}
