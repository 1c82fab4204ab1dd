//! What connections are accepted with: our certificate, and how callers prove theirs. TLS 1.3 only.
//!
//! Invariants: a session is never resumed, so that each connection's certificate is verified against the
//! authorities and revocations of that moment; files that cannot be used leave the held ones in place.

use super::ends;
use super::files::{Content, LOOK_EVERY, Reloaded, Unusable, is_open_to_others};
use crate::domain::Timestamp;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::version::TLS13;
use rustls::{RootCertStore, ServerConfig};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The files, in PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// Our certificate, and those between it and its authority.
    pub certificate: PathBuf,
    /// Its key, which nobody but its owner may read.
    pub key: PathBuf,
    /// How callers prove who they are; `None` if not by certificates.
    pub client: Option<ClientProof>,
}

/// How callers prove who they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientProof {
    /// The authorities that sign callers' certificates.
    pub authorities: PathBuf,
    /// What those authorities have revoked; past its end it lets nobody in.
    pub revocations: Option<PathBuf>,
    /// Whether somebody may come without: where there is another proof, or none is asked for.
    pub optional: bool,
    /// The trust domain of the names in them.
    pub trust_domain: Arc<str>,
}

/// What connections are accepted with, as the files say now.
#[derive(Debug)]
pub struct ServerTls {
    current: Arc<Reloaded<Current>>,
    trust_domain: Option<Arc<str>>,
}

/// What the files say.
#[derive(Debug)]
struct Current {
    config: Arc<ServerConfig>,
    /// The first end of each kind of thing that ends.
    ends: Vec<(&'static str, Timestamp)>,
}

impl ServerTls {
    /// Reads the files for the first time.
    ///
    /// # Errors
    /// For a file that cannot be used, or a key that others may read or that is another certificate's.
    pub fn open(files: TlsFiles) -> Result<Self, Unusable> {
        let mut paths = vec![files.certificate, files.key];
        let client = files.client;
        let trust_domain = client.as_ref().map(|client| Arc::clone(&client.trust_domain));
        let optional = client.as_ref().is_some_and(|client| client.optional);
        if let Some(client) = client {
            paths.push(client.authorities);
            paths.extend(client.revocations);
        }
        let read = move |contents: &[Content]| {
            let config = Arc::new(config(contents, optional)?);
            Ok(Current { config, ends: all_ends(contents)? })
        };
        let current = Arc::new(Reloaded::open("the certificates", paths, read)?);
        Ok(Self { current, trust_domain })
    }

    /// What to accept the next connection with.
    #[must_use]
    pub fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.current.get().config)
    }

    /// When our certificate (`server`), the authorities of callers (`client_ca`) and what those have
    /// revoked (`client_crl`) end: of several in one file, the first to do so.
    #[must_use]
    pub fn ends(&self) -> Vec<(&'static str, Timestamp)> {
        self.current.get().ends.clone()
    }

    /// The trust domain of callers' certificates, where they are asked for.
    #[must_use]
    pub fn trust_domain(&self) -> Option<&str> {
        self.trust_domain.as_deref()
    }

    /// Looks at the files, and takes what they say now if that is new and can be used. Whether it was.
    pub fn refresh(&self) -> bool {
        self.current.refresh()
    }

    /// Reads the files anew when they change. Never ends.
    pub async fn follow(&self) {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let current = Arc::clone(&self.current);
            let _ = tokio::task::spawn_blocking(move || current.refresh()).await;
        }
    }
}

/// From the files: certificate and key, then authorities and revocations where callers are asked.
fn config(contents: &[Content], optional: bool) -> Result<ServerConfig, Unusable> {
    let (certificate, key, client) = match contents {
        [certificate, key, client @ ..] => (certificate, key, client),
        _ => return Err(Unusable::new(Path::new(""), "is not named")),
    };
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&TLS13])
        .map_err(|error| Unusable::new(&certificate.path, error))?;
    let builder = match client {
        [] => builder.with_no_client_auth(),
        [authorities, revocations @ ..] => {
            let mut roots = RootCertStore::empty();
            for authority in certificates(authorities)? {
                roots.add(authority).map_err(|error| Unusable::new(&authorities.path, error))?;
            }
            let mut verifier =
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            for content in revocations {
                verifier = verifier.with_crls(revocation_lists(content)?);
                verifier = verifier.enforce_revocation_expiration();
            }
            if optional {
                verifier = verifier.allow_unauthenticated();
            }
            let told = revocations.first().unwrap_or(authorities);
            let verifier = verifier.build().map_err(|error| Unusable::new(&told.path, error))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let mut config = builder
        .with_single_cert(certificates(certificate)?, private_key(key)?)
        .map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => {
                let what = format!("is not the key of `{}`", certificate.path.display());
                Unusable::new(&key.path, what)
            }
            error => Unusable::new(&certificate.path, error),
        })?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}

/// The first end of each kind, in the order in which [`config`] takes the files.
fn all_ends(contents: &[Content]) -> Result<Vec<(&'static str, Timestamp)>, Unusable> {
    let first = |content: &Content| -> Result<Option<Timestamp>, Unusable> {
        let ends = certificates(content)?;
        Ok(ends.iter().filter_map(|it| ends::of_certificate(it)).min())
    };
    let (mut ends, mut files) = (Vec::new(), contents.iter());
    ends.push(("server", files.next().map(first).transpose()?.flatten()));
    let _key = files.next();
    ends.push(("client_ca", files.next().map(first).transpose()?.flatten()));
    if let Some(content) = files.next() {
        let lists = revocation_lists(content)?;
        ends.push(("client_crl", lists.iter().filter_map(|it| ends::of_revocations(it)).min()));
    }
    Ok(ends.into_iter().filter_map(|(kind, end)| Some((kind, end?))).collect())
}

fn certificates(content: &Content) -> Result<Vec<CertificateDer<'static>>, Unusable> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&content.bytes).collect();
    let read = read.map_err(|error| Unusable::new(&content.path, format_args!("{error:?}")))?;
    match read.is_empty() {
        true => Err(Unusable::new(&content.path, "holds no certificate in PEM")),
        false => Ok(read),
    }
}

fn revocation_lists(
    content: &Content,
) -> Result<Vec<CertificateRevocationListDer<'static>>, Unusable> {
    let lists = CertificateRevocationListDer::pem_slice_iter(&content.bytes);
    let read: Result<Vec<_>, _> = lists.collect();
    let read = read.map_err(|error| Unusable::new(&content.path, format_args!("{error:?}")))?;
    match read.is_empty() {
        true => Err(Unusable::new(&content.path, "holds no revocation list in PEM")),
        false => Ok(read),
    }
}

fn private_key(content: &Content) -> Result<PrivateKeyDer<'static>, Unusable> {
    if is_open_to_others(content.mode, content.owner) {
        let what = format!("has mode {:04o}: others may use the key; make it 0600", content.mode);
        return Err(Unusable::new(&content.path, what));
    }
    PrivateKeyDer::from_pem_slice(&content.bytes)
        // Not what it says: it may quote the file.
        .map_err(|_| Unusable::new(&content.path, "holds no private key in PEM"))
}
