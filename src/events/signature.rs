//! Signs what is sent, as Standard Webhooks says: HMAC-SHA256 over id, instant and body.
//!
//! A shared secret, not the key that signs checkpoints: receivers of events then need no tool of ours,
//! since every language has a library for this; that key goes on signing nothing but the log, so that no
//! outsider can have a text of theirs signed by it; and the secret can be changed as often as a receiver
//! wants, two of them being good meanwhile. That a receiver could forge an event to itself harms nobody:
//! what counts as proof is the log.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};
use std::fmt;

/// The block of SHA-256, which no secret is longer than.
const BLOCK: usize = 64;

/// What a secret begins with.
const PREFIX: &str = "whsec_";

/// What events are signed with; the first is the newest.
pub struct Keys(Vec<Vec<u8>>);

impl Keys {
    /// Reads one secret, or two with a space between them while one takes the place of the other. `None`
    /// for anything but `whsec_` and 24 to 64 bytes in base64 each.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let keys = text.split(' ').map(|secret| {
            let bytes = STANDARD.decode(secret.strip_prefix(PREFIX)?).ok()?;
            (24..=BLOCK).contains(&bytes.len()).then_some(bytes)
        });
        let keys: Vec<_> = keys.collect::<Option<_>>()?;
        (1..=2).contains(&keys.len()).then_some(Self(keys))
    }

    /// The value of `webhook-signature`: one signature a key, with spaces between them.
    pub(super) fn sign(&self, id: &str, at: i64, body: &str) -> String {
        let message = format!("{id}.{at}.{body}");
        let sign = |key: &Vec<u8>| format!("v1,{}", STANDARD.encode(hmac(key, &message)));
        let signatures: Vec<String> = self.0.iter().map(sign).collect();
        signatures.join(" ")
    }
}

/// HMAC-SHA256 (RFC 2104) with a key of no more than a block.
fn hmac(key: &[u8], message: &str) -> [u8; 32] {
    let padded = |with: u8| {
        let mut block = [with; BLOCK];
        block.iter_mut().zip(key).for_each(|(byte, key)| *byte ^= key);
        Sha256::new().chain_update(block)
    };
    let inner = padded(0x36).chain_update(message).finalize();
    padded(0x5c).chain_update(inner).finalize().into()
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keys({} hidden)", self.0.len())
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_the_one_that_standard_webhooks_publishes_for_its_example() {
        let keys = Keys::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let signed =
            keys.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, r#"{"test": 2432232314}"#);
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn two_secrets_make_two_signatures_and_what_is_no_secret_is_refused() {
        let (one, other) =
            ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSx");
        let both = Keys::parse(&format!("{one} {other}")).unwrap().sign("a", 1, "b");
        let single = |secret| Keys::parse(secret).unwrap().sign("a", 1, "b");
        assert_eq!(both, format!("{} {}", single(one), single(other)));
        for bad in [
            "",
            "hunter2",
            "whsec_",
            "whsec_c2hvcnQ=",
            "whsec_!!",
            &one.repeat(2),
            &format!("{one} {one} {one}"),
        ] {
            assert!(Keys::parse(bad).is_none(), "{bad}");
        }
        assert!(!format!("{:?}", Keys::parse(one).unwrap()).contains("MfKQ"));
    }
}
