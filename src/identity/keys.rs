//! The public keys of an issuer, as its JWK set publishes them.
//!
//! Invariant: a key verifies one algorithm, which its own kind decides. What a token says about its
//! algorithm can only be refused, never believed.

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;

/// More keys than an issuer rotates through.
const MOST_KEYS: usize = 64;

/// The keys of an issuer that can verify a token.
#[derive(Debug, Default)]
pub struct KeySet(Vec<Key>);

pub(super) struct Key {
    id: Option<String>,
    pub(super) algorithm: Algorithm,
    pub(super) key: DecodingKey,
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Key").field("id", &self.id).finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
struct Document {
    keys: Vec<serde_json::Value>,
}

impl KeySet {
    /// Reads a JWK set. Keys of other kinds, and those for other uses, are left out.
    ///
    /// # Errors
    /// When it is none, or holds no key that can verify a token.
    pub fn read(json: &[u8]) -> Result<Self, String> {
        let document: Document =
            serde_json::from_slice(json).map_err(|error| format!("is no JWK set: {error}"))?;
        if MOST_KEYS < document.keys.len() {
            return Err(format!("has {} keys; at most {MOST_KEYS} are read", document.keys.len()));
        }
        let keys: Vec<Key> = document.keys.into_iter().filter_map(key).collect();
        match keys.is_empty() {
            true => Err("has no key for ES256, EdDSA or RS256 signatures".to_owned()),
            false => Ok(Self(keys)),
        }
    }

    /// The key with this id; where a token names none, the only key there is.
    pub(super) fn find(&self, id: Option<&str>) -> Option<&Key> {
        match (id, self.0.as_slice()) {
            (Some(id), keys) => keys.iter().find(|key| key.id.as_deref() == Some(id)),
            (None, [only]) => Some(only),
            (None, _) => None,
        }
    }
}

fn key(value: serde_json::Value) -> Option<Key> {
    let jwk: Jwk = serde_json::from_value(value).ok()?;
    let algorithm = match &jwk.algorithm {
        AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => {
            Algorithm::ES256
        }
        AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => {
            Algorithm::EdDSA
        }
        AlgorithmParameters::RSA(_) => Algorithm::RS256,
        // A symmetric key in a public set is no secret, so what it signs proves nothing.
        _ => return None,
    };
    let signs = matches!(jwk.common.public_key_use, None | Some(PublicKeyUse::Signature));
    let said = jwk.common.key_algorithm.map(|said| said.to_string());
    if !signs || said.is_some_and(|said| said != name_of(algorithm)) {
        return None;
    }
    let key = DecodingKey::from_jwk(&jwk).ok()?;
    Some(Key { id: jwk.common.key_id, algorithm, key })
}

/// The algorithms that are taken, by the names that tokens give them.
pub(super) fn name_of(algorithm: Algorithm) -> &'static str {
    match algorithm {
        Algorithm::ES256 => "ES256",
        Algorithm::EdDSA => "EdDSA",
        Algorithm::RS256 => "RS256",
        _ => "",
    }
}
