//! What a token must be to prove who somebody is, and every way in which it is not.

use super::keys::{AUDIENCE, ISSUER, Key, claims, message, set};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey};
use offergate::domain::{Principal, PrincipalId, PrincipalKind, Role, Roles, Timestamp};
use offergate::identity::{Expected, KeySet, Strength, Unproven, verify};
use serde_json::{Value, json};

const NOW: i64 = 1_780_000_000;

fn expected() -> Expected {
    Expected {
        issuer: ISSUER.into(),
        audience: AUDIENCE.into(),
        roles_claim: "roles".into(),
        emergency: Strength::default(),
    }
}

fn ask(token: &str, keys: &[&Key]) -> Result<Principal, Unproven> {
    let keys = KeySet::read(set(keys).as_bytes()).unwrap();
    let now = Timestamp::from_second(NOW).unwrap();
    verify(token, &keys, &expected(), now).map(|proven| proven.principal)
}

/// Good claims, with one of them replaced, or taken out by null.
fn but(name: &str, value: Value) -> Value {
    let mut claims = claims(NOW);
    match value {
        Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
        value => claims[name] = value,
    }
    claims
}

#[test]
fn a_good_token_names_a_person_with_the_roles_that_are_ours() {
    for key in [Key::es256("k"), Key::ed25519("k")] {
        let person = ask(&key.sign(&claims(NOW)), &[&key]).unwrap();
        let expected = Principal {
            id: PrincipalId { issuer: ISSUER.into(), subject: "u-1".into() },
            name: "ann".into(),
            kind: PrincipalKind::Person,
            owner: None,
            roles: [Role::Maker, Role::Reader].into_iter().collect::<Roles>(),
            lacks: None,
        };
        assert_eq!(person, expected);
    }
    let key = Key::es256("k");
    for (claims, name, why) in [
        (but("preferred_username", Value::Null), "u-1", "the subject, for want of a name"),
        (but("preferred_username", json!("a\nb")), "u-1", "a name that would break a line"),
        (but("aud", json!(["other", AUDIENCE])), "ann", "one audience of several"),
        (but("nbf", json!(NOW + 29)), "ann", "clocks that are a little apart"),
        (but("exp", json!(NOW - 29)), "ann", "the same"),
        (but("exp", json!(NOW as f64 + 0.5)), "ann", "an end with a fraction"),
        (but("roles", json!(7)), "ann", "roles that are none"),
    ] {
        let person = ask(&key.sign(&claims), &[&key]);
        assert_eq!(person.as_ref().map(|person| &*person.name), Ok(name), "{why}");
    }
    let no_roles = ask(&key.sign(&but("roles", json!("Maker admin"))), &[&key]).unwrap();
    assert_eq!(no_roles.roles, Roles::NONE, "names are compared to the letter");
    let text = ask(&key.sign(&but("roles", json!("checker auditor"))), &[&key]).unwrap();
    assert!(text.roles.has(Role::Checker) && text.roles.has(Role::Auditor));
}

#[test]
fn claims_that_are_missing_over_or_for_somebody_else_prove_nothing() {
    let key = Key::es256("k");
    for (name, value, refused) in [
        ("exp", json!(NOW - 30), Unproven::Expired),
        ("exp", json!(NOW - 1_000_000), Unproven::Expired),
        ("exp", json!(-1), Unproven::Expired),
        ("exp", Value::Null, Unproven::Claim("exp")),
        ("exp", json!("9999999999"), Unproven::Claim("exp")),
        ("exp", json!(1e300), Unproven::Claim("exp")),
        ("nbf", json!(NOW + 31), Unproven::NotYet),
        ("nbf", json!("soon"), Unproven::Claim("nbf")),
        ("iss", json!("https://evil.example"), Unproven::Issuer),
        ("iss", json!(format!("{ISSUER}/")), Unproven::Issuer),
        ("iss", json!([ISSUER]), Unproven::Claim("iss")),
        ("iss", Value::Null, Unproven::Claim("iss")),
        ("aud", json!("another"), Unproven::Audience),
        ("aud", json!(["another", "third"]), Unproven::Audience),
        ("aud", json!([]), Unproven::Audience),
        ("aud", json!({"offergate": true}), Unproven::Claim("aud")),
        ("aud", Value::Null, Unproven::Claim("aud")),
        ("sub", json!(""), Unproven::Claim("sub")),
        ("sub", json!(7), Unproven::Claim("sub")),
        ("sub", json!("u".repeat(256)), Unproven::Claim("sub")),
        ("sub", json!("u-1\nlevel=INFO u-2"), Unproven::Claim("sub")),
        ("sub", Value::Null, Unproven::Claim("sub")),
    ] {
        let token = key.sign(&but(name, value.clone()));
        assert_eq!(ask(&token, &[&key]), Err(refused), "{name}: {value}");
    }
}

#[test]
fn no_algorithm_but_the_keys_own_is_believed() {
    let (ec, ed) = (Key::es256("ec"), Key::ed25519("ed"));
    let keys = [&ec, &ed];
    let good = claims(NOW);
    // Signed with what everybody knows: the public key, taken for a secret.
    let hmac = |header: Value, secret: &[u8]| {
        let message = message(&header, &good);
        let key = EncodingKey::from_secret(secret);
        let signature =
            jsonwebtoken::crypto::sign(message.as_bytes(), &key, Algorithm::HS256).unwrap();
        format!("{message}.{signature}")
    };
    for alg in ["none", "None", "nOnE", "", "HS256", "HS384", "HS512", "RS512", "PS256", "ES384"] {
        let header = json!({"alg": alg, "kid": "ec"});
        let unsigned = format!("{}.", message(&header, &good));
        assert_eq!(ask(&unsigned, &keys), Err(Unproven::Algorithm), "{alg}, unsigned");
        let signed = ec.sign_under(&header, &good);
        assert_eq!(ask(&signed, &keys), Err(Unproven::Algorithm), "{alg}, signed");
        assert_eq!(ask(&hmac(header, ec.public()), &keys), Err(Unproven::Algorithm), "{alg}, HMAC");
    }
    let swapped = [
        (ed.sign_under(&json!({"alg": "EdDSA", "kid": "ec"}), &good), Unproven::Algorithm),
        (ec.sign_under(&json!({"alg": "ES256", "kid": "ed"}), &good), Unproven::Algorithm),
        (ec.sign_under(&json!({"alg": "RS256", "kid": "ec"}), &good), Unproven::Algorithm),
        (ed.sign_under(&json!({"alg": "ES256", "kid": "ec"}), &good), Unproven::Signature),
        (hmac(json!({"alg": "ES256", "kid": "ec"}), ec.public()), Unproven::Signature),
        (hmac(json!({"alg": "EdDSA", "kid": "ed"}), ed.public()), Unproven::Signature),
    ];
    for (number, (token, refused)) in swapped.into_iter().enumerate() {
        assert_eq!(ask(&token, &keys), Err(refused), "swap {number}");
    }
    // A symmetric key in a public set is no key.
    let secret = json!({"keys": [{"kty": "oct", "kid": "k", "k": "c2VjcmV0", "alg": "HS256"}]});
    assert!(KeySet::read(secret.to_string().as_bytes()).is_err());
}

#[test]
fn what_an_attacker_puts_into_the_header_is_not_used() {
    let (ours, theirs) = (Key::es256("k"), Key::es256("k"));
    let good = claims(NOW);
    for header in [
        json!({"alg": "ES256", "kid": "k"}),
        json!({"alg": "ES256", "kid": "k", "jwk": theirs.jwk()}),
        json!({"alg": "ES256", "kid": "k", "jku": "https://evil.example/keys"}),
    ] {
        let token = theirs.sign_under(&header, &good);
        assert_eq!(ask(&token, &[&ours]), Err(Unproven::Signature), "{header}");
    }
    let unknown = theirs.sign_under(&json!({"alg": "ES256", "kid": "../k"}), &good);
    assert_eq!(ask(&unknown, &[&ours]), Err(Unproven::UnknownKey));
    let other = Key::es256("l");
    let nameless = ours.sign_under(&json!({"alg": "ES256"}), &good);
    assert!(ask(&nameless, &[&ours]).is_ok(), "the only key there is");
    assert_eq!(ask(&nameless, &[&ours, &other]), Err(Unproven::UnknownKey), "which of the two?");
    let critical = ours.sign_under(&json!({"alg": "ES256", "kid": "k", "crit": ["b64"]}), &good);
    assert_eq!(ask(&critical, &[&ours]), Err(Unproven::Malformed));
}

#[test]
fn what_was_changed_cut_or_blown_up_proves_nothing_and_is_not_repeated() {
    let key = Key::es256("k");
    let token = key.sign(&claims(NOW));
    let parts: Vec<_> = token.split('.').collect();
    let richer = URL_SAFE_NO_PAD.encode(but("roles", json!(["checker"])).to_string());
    let long = key.sign(&but("padding", json!("x".repeat(8 * 1024))));
    for (token, refused) in [
        (format!("{}.{richer}.{}", parts[0], parts[2]), Unproven::Signature),
        (format!("{}.{}.", parts[0], parts[1]), Unproven::Signature),
        (format!("{}.{}.{}", parts[0], parts[1], parts[0]), Unproven::Signature),
        (format!("{}.{}", parts[0], parts[1]), Unproven::Malformed),
        (format!("{token}.{}", parts[2]), Unproven::Malformed),
        (format!("{token}="), Unproven::Signature),
        ("s3cret".to_owned(), Unproven::Malformed),
        ("..".to_owned(), Unproven::Malformed),
        (String::new(), Unproven::Malformed),
        (long, Unproven::TooLong),
    ] {
        let error = ask(&token, &[&key]).unwrap_err();
        assert_eq!(error, refused, "{token}");
        let quoted =
            token.split('.').find(|part| 3 < part.len() && error.to_string().contains(part));
        assert_eq!(quoted, None, "{error}");
    }
}

#[test]
fn no_character_of_a_token_can_be_changed_left_out_or_doubled() {
    let key = Key::es256("k");
    let token = key.sign(&claims(NOW));
    assert!(token.is_ascii() && ask(&token, &[&key]).is_ok());
    for place in 0..token.len() {
        let (before, rest) = token.split_at(place);
        let (character, after) = rest.split_at(1);
        let other = if character == "A" { "B" } else { "A" };
        for changed in [
            format!("{before}{other}{after}"),
            format!("{before}{after}"),
            format!("{before}{character}{character}{after}"),
        ] {
            assert!(changed == token || ask(&changed, &[&key]).is_err(), "at {place}: {changed}");
        }
    }
}

#[test]
fn a_token_says_what_it_lacks_for_an_emergency_and_a_claim_of_another_form_says_nothing() {
    let key = Key::es256("k");
    let keys = KeySet::read(set(&[&key]).as_bytes()).unwrap();
    let emergency = Strength {
        acr: vec!["phr".to_owned(), "phrh".to_owned()],
        amr: vec!["hwk".to_owned(), "pin".to_owned()],
    };
    let asking = Expected { emergency, ..expected() };
    let (level, both) = ("an `acr` of phr or phrh", "`amr` with hwk and pin");
    for (acr, amr, lacks) in [
        (json!("phr"), json!(["pin", "hwk", "mfa"]), None),
        (json!("phrh"), json!(["hwk", "pin"]), None),
        (json!("phr"), json!(["hwk"]), Some("`amr` with pin".to_owned())),
        (json!("PHR"), json!(["hwk", "pin"]), Some(level.to_owned())),
        (json!(["phr"]), json!(["hwk", "pin"]), Some(level.to_owned())),
        (json!("phr"), json!("hwk pin"), Some(both.to_owned())),
        (json!("phr"), json!([["hwk"], 7]), Some(both.to_owned())),
        (Value::Null, Value::Null, Some(format!("{level}, and {both}"))),
    ] {
        let mut claims = claims(NOW);
        (claims["acr"], claims["amr"]) = (acr, amr);
        let now = Timestamp::from_second(NOW).unwrap();
        let person = verify(&key.sign(&claims), &keys, &asking, now).unwrap().principal;
        assert_eq!(person.lacks.as_deref(), lacks.as_deref(), "{claims}");
        let nothing = ask(&key.sign(&claims), &[&key]).unwrap();
        assert_eq!(nothing.lacks, None, "nothing is asked for unless it is set");
    }
}
