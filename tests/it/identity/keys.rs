//! Keys that tests sign tokens with, and the sets that publish them.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey};
use rcgen::KeyPair;
use serde_json::{Value, json};

/// Where the tokens of these tests come from, and whom they are for.
pub(super) const ISSUER: &str = "https://id.bank.example";
pub(super) const AUDIENCE: &str = "offergate";

/// A key pair with an id.
pub(super) struct Key {
    pub(super) id: &'static str,
    pub(super) algorithm: Algorithm,
    pair: KeyPair,
}

impl Key {
    pub(super) fn es256(id: &'static str) -> Self {
        let pair = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
        Self { id, algorithm: Algorithm::ES256, pair }
    }

    pub(super) fn ed25519(id: &'static str) -> Self {
        let pair = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
        Self { id, algorithm: Algorithm::EdDSA, pair }
    }

    /// The public half, as a set publishes it.
    pub(super) fn jwk(&self) -> Value {
        let raw = self.public();
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        match self.algorithm {
            // 0x04, then both coordinates.
            Algorithm::ES256 => json!({
                "kty": "EC", "crv": "P-256", "kid": self.id, "alg": "ES256", "use": "sig",
                "x": text(&raw[1..33]), "y": text(&raw[33..65]),
            }),
            _ => json!({"kty": "OKP", "crv": "Ed25519", "kid": self.id, "x": text(raw)}),
        }
    }

    pub(super) fn public(&self) -> &[u8] {
        self.pair.public_key_raw()
    }

    /// A token with these claims.
    pub(super) fn sign(&self, claims: &Value) -> String {
        self.sign_under(&json!({"alg": name(self.algorithm), "typ": "JWT", "kid": self.id}), claims)
    }

    /// A token with these claims, whatever its header says.
    pub(super) fn sign_under(&self, header: &Value, claims: &Value) -> String {
        let der = self.pair.serialized_der();
        let key = match self.algorithm {
            Algorithm::ES256 => EncodingKey::from_ec_der(der),
            _ => EncodingKey::from_ed_der(der),
        };
        let message = message(header, claims);
        let signature =
            jsonwebtoken::crypto::sign(message.as_bytes(), &key, self.algorithm).unwrap();
        format!("{message}.{signature}")
    }
}

/// What is signed.
pub(super) fn message(header: &Value, claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}", part(header), part(claims))
}

fn name(algorithm: Algorithm) -> &'static str {
    if algorithm == Algorithm::ES256 { "ES256" } else { "EdDSA" }
}

/// A set of keys, as it is published.
pub(super) fn set(keys: &[&Key]) -> String {
    json!({"keys": keys.iter().map(|key| key.jwk()).collect::<Vec<_>>()}).to_string()
}

/// What a good token says at `now`, in seconds.
pub(super) fn claims(now: i64) -> Value {
    json!({
        "iss": ISSUER, "aud": AUDIENCE, "sub": "u-1", "preferred_username": "ann",
        "iat": now, "exp": now + 600, "roles": ["maker", "reader", "lord-of-the-manor"],
    })
}
