//! Fetches an issuer's public keys over HTTP: its discovery document, then the JWK set that it names.
//!
//! Invariants: only `https` is asked, or a server on this machine; no redirect is followed; an answer is
//! bounded in size and in time.

use super::keys::KeySet;
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, StatusCode};
use serde::Deserialize;
use std::path::Path;
use std::time::Duration;

/// Largest answer that is read.
const MOST_BYTES: usize = 256 * 1024;

/// How long one of the two calls may take.
const WITHIN: Duration = Duration::from_secs(5);

/// Why keys could not be fetched.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    #[error("`{0}` does not answer")]
    Silent(String, #[source] reqwest::Error),
    #[error("`{0}` answers {1}")]
    Refused(String, StatusCode),
    #[error("`{0}` answers more than {MOST_BYTES} bytes")]
    TooLarge(String),
    #[error("`{0}` {1}")]
    Unusable(String, String),
}

#[derive(Deserialize)]
struct Discovery {
    issuer: String,
    jwks_uri: String,
}

/// A client for nothing but this. With a file of `authorities` it trusts those and no others.
///
/// # Errors
/// In words, for a file that holds none.
pub(super) fn client(issuer: &str, authorities: Option<&Path>) -> Result<Client, String> {
    // It finds the process's provider only where one was named; the one that is there already stays.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let builder = Client::builder()
        .timeout(WITHIN)
        .redirect(Policy::none())
        .user_agent(concat!("offergate/", env!("CARGO_PKG_VERSION")));
    // A server on this machine is not asked through a proxy elsewhere.
    let builder = if issuer.starts_with("https://") { builder } else { builder.no_proxy() };
    let builder = match authorities {
        Some(path) => builder.tls_certs_only(read_authorities(path)?),
        None => builder,
    };
    builder.build().map_err(|error| format!("no HTTP client can be made: {error}"))
}

fn read_authorities(path: &Path) -> Result<Vec<Certificate>, String> {
    let unusable = |why: &dyn std::fmt::Display| format!("`{}` {why}", path.display());
    let pem = std::fs::read(path).map_err(|error| unusable(&format!("cannot be read: {error}")))?;
    let found = Certificate::from_pem_bundle(&pem).unwrap_or_default();
    match found.is_empty() {
        true => Err(unusable(&"holds no certificate in PEM")),
        false => Ok(found),
    }
}

/// Whether something may be fetched from there.
pub(super) fn is_allowed(url: &str) -> bool {
    let Ok(url) = reqwest::Url::parse(url) else { return false };
    let local = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
    let plain = url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
    plain && (url.scheme() == "https" || url.scheme() == "http" && local)
}

/// The keys as they are published now. Without `jwks_url` the issuer is asked where they are.
pub(super) async fn fetch(
    client: &Client,
    issuer: &str,
    jwks_url: Option<&str>,
) -> Result<KeySet, FetchError> {
    let url = match jwks_url {
        Some(url) => url.to_owned(),
        None => discover(client, issuer).await?,
    };
    let body = get(client, &url).await?;
    KeySet::read(&body).map_err(|what| FetchError::Unusable(url, what))
}

async fn discover(client: &Client, issuer: &str) -> Result<String, FetchError> {
    let url = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
    let body = get(client, &url).await?;
    let unusable = |what: &str| FetchError::Unusable(url.clone(), what.to_owned());
    let found: Discovery =
        serde_json::from_slice(&body).map_err(|_| unusable("is no discovery document"))?;
    if found.issuer != issuer {
        return Err(unusable("is of another issuer"));
    }
    match is_allowed(&found.jwks_uri) {
        true => Ok(found.jwks_uri),
        false => Err(unusable("names keys at a place that is not https")),
    }
}

async fn get(client: &Client, url: &str) -> Result<Vec<u8>, FetchError> {
    let silent = |error: reqwest::Error| FetchError::Silent(url.to_owned(), error.without_url());
    let mut response = client.get(url).send().await.map_err(silent)?;
    if response.status() != StatusCode::OK {
        return Err(FetchError::Refused(url.to_owned(), response.status()));
    }
    let mut body = Vec::new();
    while let Some(part) = response.chunk().await.map_err(silent)? {
        body.extend_from_slice(&part);
        if MOST_BYTES < body.len() {
            return Err(FetchError::TooLarge(url.to_owned()));
        }
    }
    Ok(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_over_https_or_from_this_machine() {
        for (url, expected) in [
            ("https://id.bank.example", true),
            ("https://id.bank.example/realms/staff", true),
            ("http://127.0.0.1:9000", true),
            ("http://[::1]:9000", true),
            ("http://localhost:9000", true),
            ("http://id.bank.example", false),
            ("http://127.0.0.1.evil.example", false),
            ("https://user:secret@id.bank.example", false),
            ("file:///etc/keys", false),
            ("id.bank.example", false),
        ] {
            assert_eq!(is_allowed(url), expected, "{url}");
        }
    }
}
