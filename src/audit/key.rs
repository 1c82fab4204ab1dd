//! The keys of the log: one signs checkpoints, and its public half lets anybody verify them.
//!
//! A verifier key is text as C2SP's signed notes have it, `NAME+ID+BASE64`: the id is the beginning of
//! SHA-256 over name and key, in 8 hexadecimal digits, and the last part a byte 1 (ed25519), then the
//! key. A private key is `PRIVATE+KEY+NAME+ID+BASE64` with the seed in place of the key, or PKCS #8 in
//! PEM, which has no name: it is then `offergate`.
//!
//! Invariants: a private key shows in no `Debug`, and no error tells a part of it. A key that is weak, or
//! whose id is not its own, is refused.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::pkcs8::DecodePrivateKey as _;
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use sha2::{Digest, Sha256};
use std::fmt;
use std::sync::Arc;

/// The name of a key that was given none.
const USUAL_NAME: &str = "offergate";

/// What private keys begin with.
const PRIVATE: &str = "PRIVATE+KEY+";

/// The kind of signature, as signed notes number them.
const ED25519: u8 = 1;

/// The name that a key signs under: 1 to 128 printable ASCII characters without `+`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct KeyName(Arc<str>);

impl KeyName {
    /// The only way in.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let fits = |byte: u8| byte.is_ascii_graphic() && byte != b'+';
        ((1..=128).contains(&text.len()) && text.bytes().all(fits)).then(|| Self(text.into()))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for KeyName {
    fn default() -> Self {
        Self(USUAL_NAME.into())
    }
}

/// Why a text is no key. Never what stands in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKey {
    /// Not in a form that is read here.
    #[error("it is neither `PRIVATE+KEY+NAME+ID+BASE64` nor an ed25519 key in PKCS #8, PEM")]
    Private,
    /// Not a verifier key.
    #[error("it is not `NAME+ID+BASE64` as `offergate audit keygen` prints it")]
    Verifier,
    /// The id belongs to another key or name.
    #[error("its id is not that of this name and key, so a part of it was changed")]
    Id,
    /// Anybody could sign for it.
    #[error("it is a weak key, for which anybody could sign")]
    Weak,
}

/// What checkpoints are verified with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifierKey {
    name: KeyName,
    key: VerifyingKey,
}

impl VerifierKey {
    /// Reads what `Display` writes.
    ///
    /// # Errors
    /// When it is anything else.
    pub fn parse(text: &str) -> Result<Self, InvalidKey> {
        let (name, id, bytes) = parts(text.trim_end()).ok_or(InvalidKey::Verifier)?;
        let key = VerifyingKey::from_bytes(&bytes).map_err(|_| InvalidKey::Verifier)?;
        if key.is_weak() {
            return Err(InvalidKey::Weak);
        }
        let key = Self { name, key };
        if key.id() == id { Ok(key) } else { Err(InvalidKey::Id) }
    }

    /// The name that it signs under.
    #[must_use]
    pub fn name(&self) -> &KeyName {
        &self.name
    }

    /// What signatures name it by.
    #[must_use]
    pub fn id(&self) -> [u8; 4] {
        let hash: [u8; 32] = Sha256::new()
            .chain_update(self.name.as_str())
            .chain_update([b'\n', ED25519])
            .chain_update(self.key.as_bytes())
            .finalize()
            .into();
        let [a, b, c, d, ..] = hash;
        [a, b, c, d]
    }

    /// Whether this key signed the text.
    #[must_use]
    pub fn verifies(&self, text: &str, signature: &[u8; 64]) -> bool {
        self.key.verify_strict(text.as_bytes(), &Signature::from_bytes(signature)).is_ok()
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write(f, &self.name, self.id(), self.key.as_bytes())
    }
}

/// What checkpoints are signed with.
pub struct AuditKey {
    name: KeyName,
    key: SigningKey,
}

impl AuditKey {
    /// A key from 32 random bytes.
    #[must_use]
    pub fn from_seed(name: KeyName, seed: &[u8; 32]) -> Self {
        Self { name, key: SigningKey::from_bytes(seed) }
    }

    /// Reads a private key in either form.
    ///
    /// # Errors
    /// When it is anything else.
    pub fn parse(text: &str) -> Result<Self, InvalidKey> {
        let Some(rest) = text.trim_end().strip_prefix(PRIVATE) else {
            let key = SigningKey::from_pkcs8_pem(text.trim()).map_err(|_| InvalidKey::Private)?;
            return Ok(Self { name: KeyName::default(), key });
        };
        let (name, id, seed) = parts(rest).ok_or(InvalidKey::Private)?;
        let key = Self::from_seed(name, &seed);
        if key.verifier().id() == id { Ok(key) } else { Err(InvalidKey::Id) }
    }

    /// The private key as a text that [`AuditKey::parse`] reads: for the one file that keeps it.
    #[must_use]
    pub fn to_secret_text(&self) -> String {
        struct Secret<'a>(&'a AuditKey);
        impl fmt::Display for Secret<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(PRIVATE)?;
                write(f, &self.0.name, self.0.verifier().id(), self.0.key.as_bytes())
            }
        }
        Secret(self).to_string()
    }

    /// The public half.
    #[must_use]
    pub fn verifier(&self) -> VerifierKey {
        VerifierKey { name: self.name.clone(), key: self.key.verifying_key() }
    }

    pub(super) fn sign(&self, text: &str) -> [u8; 64] {
        self.key.sign(text.as_bytes()).to_bytes()
    }
}

impl fmt::Debug for AuditKey {
    /// Shows the public half alone.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AuditKey({})", self.verifier())
    }
}

fn write(
    f: &mut fmt::Formatter<'_>,
    name: &KeyName,
    [a, b, c, d]: [u8; 4],
    key: &[u8; 32],
) -> fmt::Result {
    let mut bytes = vec![ED25519];
    bytes.extend_from_slice(key);
    let encoded = STANDARD.encode(bytes);
    write!(f, "{}+{a:02x}{b:02x}{c:02x}{d:02x}+{encoded}", name.as_str())
}

/// Name, id and key of `NAME+ID+BASE64`. What is encoded may hold a `+` of its own.
fn parts(text: &str) -> Option<(KeyName, [u8; 4], [u8; 32])> {
    let mut parts = text.splitn(3, '+');
    let (name, id, encoded) = (parts.next()?, parts.next()?, parts.next()?);
    let digits = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if id.len() != 8 || !id.bytes().all(digits) {
        return None;
    }
    let id = u32::from_str_radix(id, 16).ok()?.to_be_bytes();
    let bytes = STANDARD.decode(encoded).ok()?;
    let (&kind, key) = bytes.split_first()?;
    (kind == ED25519).then_some(())?;
    Some((KeyName::parse(name)?, id, key.try_into().ok()?))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    /// A key that is published in the test vectors of RFC 8032, in PKCS #8.
    const PEM: &str = "-----BEGIN PRIVATE KEY-----\n\
        MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n\
        -----END PRIVATE KEY-----\n";

    fn key(seed: u8) -> AuditKey {
        AuditKey::from_seed(KeyName::parse("bank.example/log").unwrap(), &[seed; 32])
    }

    #[test]
    fn a_key_reads_back_as_it_was_written() {
        let secret = key(7).to_secret_text();
        assert!(secret.starts_with("PRIVATE+KEY+bank.example/log+"), "{secret}");
        let read = AuditKey::parse(&format!("{secret}\n")).unwrap();
        assert_eq!(read.verifier(), key(7).verifier());
        let public = key(7).verifier();
        assert_eq!(VerifierKey::parse(&public.to_string()).unwrap(), public);
    }

    #[test]
    fn a_key_in_pem_is_the_published_one() {
        let public = AuditKey::parse(PEM).unwrap().verifier();
        assert_eq!(public.name().as_str(), "offergate");
        let expected = [0xd7, 0x5a, 0x98, 0x01, 0x82, 0xb1, 0x0a, 0xb7];
        assert!(public.key.as_bytes().starts_with(&expected));
    }

    #[test]
    fn a_key_with_any_character_changed_is_refused() {
        let public = key(7).verifier().to_string();
        for place in 0..public.len() {
            let mut changed = public.clone().into_bytes();
            *changed.get_mut(place).unwrap() = b'x';
            let changed = String::from_utf8(changed).unwrap();
            let refused = changed == public || VerifierKey::parse(&changed).is_err();
            assert!(refused, "{changed}");
        }
    }

    #[test]
    fn what_is_no_key_is_refused_and_a_weak_one_too() {
        let good = key(7).verifier().to_string();
        for text in ["", "a+b", "+00000000+AQ==", "a b+00000000+AQ==", &good.replace('+', " ")] {
            assert!(VerifierKey::parse(text).is_err(), "{text}");
            assert_eq!(AuditKey::parse(text).unwrap_err(), InvalidKey::Private, "{text}");
        }
        let mut weak = [0; 33];
        weak[0] = ED25519;
        weak[1] = 1; // The neutral element: every signature over nothing would hold.
        let weak = format!("a+00000000+{}", STANDARD.encode(weak));
        assert_eq!(VerifierKey::parse(&weak), Err(InvalidKey::Weak));
    }

    #[test]
    fn a_private_key_shows_in_no_debug() {
        let secret = key(7).to_secret_text();
        let seed = secret.rsplit('+').next().unwrap();
        assert!(!format!("{:?}", key(7)).contains(seed));
    }
}
