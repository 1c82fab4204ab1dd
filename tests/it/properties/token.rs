//! Any text is taken for a token: of a person, of a place in history.

use offergate::domain::{Timestamp, Token};
use offergate::identity::{Expected, KeySet, Strength, verify};

/// The public key of the example in RFC 7517: who has its private half signs nothing here.
const KEYS: &str = r#"{"keys": [{"kty": "EC", "crv": "P-256", "kid": "1", "use": "sig",
    "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
    "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}]}"#;

/// The shortest part of a token that must not be repeated: shorter ones are words of ours too.
const A_SECRET: usize = 12;

/// No text proves who somebody is, and none is repeated in what is said of it.
pub(crate) fn proves_nothing(text: &str) {
    let keys = KeySet::read(KEYS.as_bytes()).expect("the example is a set of keys");
    let expected = Expected {
        issuer: "https://id.bank.example".to_owned(),
        audience: "offergate".to_owned(),
        roles_claim: "roles".to_owned(),
        emergency: Strength::default(),
    };
    let now = Timestamp::from_second(1_780_000_000).expect("in 2026");
    let error = verify(text, &keys, &expected, now).expect_err("nobody signed it");
    let said = format!("{error} {error:?}");
    let repeated = text.split('.').find(|part| A_SECRET <= part.len() && said.contains(part));
    assert_eq!(repeated, None, "{said}");
}

/// A text that is a place in history is written in one way.
pub(crate) fn is_a_place_in_one_spelling(text: &str) {
    if let Ok(token) = Token::parse(text) {
        assert_eq!(token.to_string(), text);
    }
}
