//! Reads a service's name out of its certificate: the path of its one SPIFFE id.
//!
//! Not here: whether the certificate is good. rustls has verified it before anybody asks for its name.

use rustls::pki_types::CertificateDer;
use webpki::EndEntityCert;

/// Why a certificate names nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadName {
    /// It does not read.
    #[error("the certificate does not read")]
    Unreadable,
    /// It has no URI among its names.
    #[error("the certificate has no URI among its names")]
    NoUri,
    /// It has more than one: which of them is meant, nobody could say.
    #[error("the certificate has more than one URI among its names")]
    SeveralUris,
    /// The URI is no SPIFFE id.
    #[error("the certificate's URI is no SPIFFE id with a path")]
    NoSpiffeId,
    /// It is one of another trust domain.
    #[error("the certificate is of another trust domain")]
    OtherDomain,
}

/// The path of the certificate's SPIFFE id, if it has exactly one URI and that is of `trust_domain`.
///
/// # Errors
/// Why it names nobody.
pub fn spiffe_path(
    certificate: &CertificateDer<'_>,
    trust_domain: &str,
) -> Result<Box<str>, BadName> {
    let certificate = EndEntityCert::try_from(certificate).map_err(|_| BadName::Unreadable)?;
    let mut uris = certificate.valid_uri_names();
    let uri = uris.next().ok_or(BadName::NoUri)?;
    if uris.next().is_some() {
        return Err(BadName::SeveralUris);
    }
    let rest = uri.strip_prefix("spiffe://").ok_or(BadName::NoSpiffeId)?;
    let slash = rest.find('/').ok_or(BadName::NoSpiffeId)?;
    let (domain, path) = rest.split_at(slash);
    if domain != trust_domain {
        return Err(BadName::OtherDomain);
    }
    if is_path(path) { Ok(path.into()) } else { Err(BadName::NoSpiffeId) }
}

/// Whether this is the path of a SPIFFE id: segments of letters, digits, `.`, `-`, `_`, and none that
/// means another place.
pub(super) fn is_path(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
    let is_segment =
        |part: &str| !part.is_empty() && part != "." && part != ".." && part.bytes().all(fits);
    let rest = text.strip_prefix('/');
    text.len() <= 2048 && rest.is_some_and(|rest| rest.split('/').all(is_segment))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, KeyPair, SanType};

    fn certificate(uris: &[&str], dns: &[&str]) -> CertificateDer<'static> {
        let names: Vec<String> = dns.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        let uris = uris.iter().map(|uri| SanType::URI((*uri).try_into().unwrap()));
        params.subject_alt_names.extend(uris);
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().clone()
    }

    #[test]
    fn only_one_uri_of_the_trust_domain_names_a_service() {
        let good = "spiffe://bank.example/web/1";
        for (uris, expected) in [
            (&[good][..], Ok("/web/1")),
            (&[], Err(BadName::NoUri)),
            (&[good, "spiffe://bank.example/b"], Err(BadName::SeveralUris)),
            (&[good, "https://bank.example"], Err(BadName::SeveralUris)),
            (&[good, good], Err(BadName::SeveralUris)),
            (&["spiffe://bank.example.evil/web"], Err(BadName::OtherDomain)),
            (&["spiffe://evil/web"], Err(BadName::OtherDomain)),
            (&["spiffe://user@bank.example/web"], Err(BadName::OtherDomain)),
            (&["https://bank.example/web"], Err(BadName::NoSpiffeId)),
            (&["spiffe://bank.example"], Err(BadName::NoSpiffeId)),
            (&["spiffe://bank.example/"], Err(BadName::NoSpiffeId)),
            (&["spiffe://bank.example/web/"], Err(BadName::NoSpiffeId)),
            (&["spiffe://bank.example/web/../admin"], Err(BadName::NoSpiffeId)),
            (&["spiffe://bank.example/web%2fadmin"], Err(BadName::NoSpiffeId)),
            (&["spiffe://bank.example/web?x"], Err(BadName::NoSpiffeId)),
        ] {
            let found = spiffe_path(&certificate(uris, &[]), "bank.example");
            assert_eq!(found.as_deref().map_err(|bad| *bad), expected, "{uris:?}");
        }
        let found = spiffe_path(&certificate(&[good], &["web.bank.example"]), "bank.example");
        assert_eq!(found.as_deref(), Ok("/web/1"), "a DNS name beside it says nothing");
        let junk = CertificateDer::from(vec![0x30, 0x03, 1, 2, 3]);
        assert_eq!(spiffe_path(&junk, "bank.example"), Err(BadName::Unreadable));
    }
}
