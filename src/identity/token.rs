//! Verifies a token: who its issuer says it is about, and until when.
//!
//! A pure function of the token, the issuer's keys, what is expected and the time.
//!
//! Invariants: the key decides the algorithm; issuer, audience and end are required; nothing of the
//! token is in an error.

use super::keys::{KeySet, name_of};
use crate::domain::{Principal, PrincipalId, PrincipalKind, Role, Roles, Timestamp};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::crypto;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::sync::Arc;

/// Longest token that is looked at.
pub(super) const LONGEST: usize = 8 * 1024;

/// How far the clocks of the issuer and of this machine may be apart.
const LEEWAY_SECONDS: i64 = 30;

/// Longest name of a person that is taken from a token.
const LONGEST_NAME: usize = 128;

/// What a token must say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    /// Its `iss`.
    pub issuer: String,
    /// One of its `aud`.
    pub audience: String,
    /// The claim that holds roles.
    pub roles_claim: String,
    /// How its owner must have signed in to act alone in an emergency.
    pub emergency: Strength,
}

/// How somebody must have signed in. Empty lists ask for nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Strength {
    /// Its `acr` must be one of these.
    pub acr: Vec<String>,
    /// Its `amr` must hold all of these.
    pub amr: Vec<String>,
}

impl Strength {
    /// What a token's claims lack of it, in words. A claim of another form says nothing.
    fn lacking(&self, claims: &Map<String, Value>) -> Option<Arc<str>> {
        let acr = claims.get("acr").and_then(Value::as_str);
        let level = !self.acr.is_empty() && !self.acr.iter().any(|it| acr == Some(it.as_str()));
        let level = level.then(|| format!("an `acr` of {}", self.acr.join(" or ")));
        let methods = claims.get("amr").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let is_there =
            |method: &&String| methods.iter().any(|it| it.as_str() == Some(method.as_str()));
        let missing: Vec<_> = self.amr.iter().filter(|method| !is_there(method)).cloned().collect();
        let methods =
            (!missing.is_empty()).then(|| format!("`amr` with {}", missing.join(" and ")));
        let lacking: Vec<_> = level.into_iter().chain(methods).collect();
        (!lacking.is_empty()).then(|| lacking.join(", and ").into())
    }
}

/// Why a token proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unproven {
    /// It is longer than anybody's.
    #[error("the token is longer than the {LONGEST} bytes that are read")]
    TooLong,
    /// It is no signed token.
    #[error("the token does not read as a signed JWT")]
    Malformed,
    /// It is signed in a way that is not taken, or that its key is not for.
    #[error("the token's algorithm is not the one of its key; ES256, EdDSA and RS256 are taken")]
    Algorithm,
    /// Its key is none of the issuer's.
    #[error("the token is signed with a key that the issuer does not publish")]
    UnknownKey,
    /// The signature does not fit.
    #[error("the token's signature does not fit")]
    Signature,
    /// Another issuer made it.
    #[error("the token is of another issuer")]
    Issuer,
    /// It was made for somebody else.
    #[error("the token is for another audience")]
    Audience,
    /// It is over.
    #[error("the token has expired")]
    Expired,
    /// It has not begun.
    #[error("the token is not valid yet")]
    NotYet,
    /// A claim is missing, or is of the wrong kind.
    #[error("the token has no usable claim `{0}`")]
    Claim(&'static str),
    /// It is none of the demonstration's.
    #[error("the token is none of the demonstration's")]
    NotOurs,
    /// The keys to verify it with cannot be had at the moment.
    #[error("the issuer's keys cannot be had at the moment")]
    NoKeys,
}

/// What a token proves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proven {
    /// Who calls.
    pub principal: Principal,
    /// Until when, leeway included.
    pub until: Timestamp,
}

/// The parts of the header that decide anything. Keys that it brings along are not looked at.
#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    crit: Option<Value>,
}

/// Verifies a token at `now`.
///
/// # Errors
/// Why it proves nothing.
pub fn verify(
    token: &str,
    keys: &KeySet,
    expected: &Expected,
    now: Timestamp,
) -> Result<Proven, Unproven> {
    if LONGEST < token.len() {
        return Err(Unproven::TooLong);
    }
    let (message, signature) = token.rsplit_once('.').ok_or(Unproven::Malformed)?;
    let (header, payload) = message.split_once('.').ok_or(Unproven::Malformed)?;
    let header: Header = part(header)?;
    // An extension that must be understood, and is not.
    if header.crit.is_some() || payload.contains('.') {
        return Err(Unproven::Malformed);
    }
    if !["ES256", "EdDSA", "RS256"].contains(&header.alg.as_str()) {
        return Err(Unproven::Algorithm);
    }
    let key = keys.find(header.kid.as_deref()).ok_or(Unproven::UnknownKey)?;
    if name_of(key.algorithm) != header.alg {
        return Err(Unproven::Algorithm);
    }
    match crypto::verify(signature, message.as_bytes(), &key.key, key.algorithm) {
        Ok(true) => claims(&part(payload)?, expected, now),
        Ok(false) | Err(_) => Err(Unproven::Signature),
    }
}

fn part<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, Unproven> {
    let json = URL_SAFE_NO_PAD.decode(text).map_err(|_| Unproven::Malformed)?;
    serde_json::from_slice(&json).map_err(|_| Unproven::Malformed)
}

fn claims(
    claims: &Map<String, Value>,
    expected: &Expected,
    now: Timestamp,
) -> Result<Proven, Unproven> {
    let issuer = text(claims, "iss")?.ok_or(Unproven::Claim("iss"))?;
    if issuer != expected.issuer {
        return Err(Unproven::Issuer);
    }
    let is_ours = |audience: &Value| audience.as_str() == Some(&*expected.audience);
    match claims.get("aud") {
        Some(Value::Array(several)) if several.iter().any(is_ours) => {}
        Some(single @ Value::String(_)) if is_ours(single) => {}
        Some(Value::Array(_) | Value::String(_)) => return Err(Unproven::Audience),
        Some(_) | None => return Err(Unproven::Claim("aud")),
    }
    let end = instant(claims, "exp")?.ok_or(Unproven::Claim("exp"))?;
    let now = now.as_second();
    let until = end.saturating_add(LEEWAY_SECONDS);
    if until <= now {
        return Err(Unproven::Expired);
    }
    if instant(claims, "nbf")?.is_some_and(|begin| now < begin.saturating_sub(LEEWAY_SECONDS)) {
        return Err(Unproven::NotYet);
    }
    let subject = text(claims, "sub")?.filter(is_subject).ok_or(Unproven::Claim("sub"))?;
    let principal = Principal {
        id: PrincipalId { issuer: issuer.into(), subject: subject.into() },
        name: name(claims).unwrap_or(subject).into(),
        kind: PrincipalKind::Person,
        owner: None,
        roles: roles(claims.get(&expected.roles_claim)),
        lacks: expected.emergency.lacking(claims),
    };
    let until = Timestamp::from_second(until).unwrap_or(Timestamp::MAX);
    Ok(Proven { principal, until })
}

/// A claim that is text, if it is there.
fn text<'a>(
    claims: &'a Map<String, Value>,
    name: &'static str,
) -> Result<Option<&'a str>, Unproven> {
    match claims.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(Unproven::Claim(name)),
    }
}

/// A claim that is an instant, in whole seconds, if it is there.
fn instant(claims: &Map<String, Value>, name: &'static str) -> Result<Option<i64>, Unproven> {
    let Some(value) = claims.get(name) else { return Ok(None) };
    let seconds = value.as_i64().or_else(|| {
        let seconds = value.as_f64().filter(|it| it.is_finite() && it.abs() < 1e15)?;
        #[expect(clippy::cast_possible_truncation, reason = "its range was just looked at")]
        Some(seconds.floor() as i64)
    });
    seconds.map(Some).ok_or(Unproven::Claim(name))
}

/// Whether a subject is one that OpenID Connect allows: at most 255 characters of ASCII. It ends in records
/// and log lines.
fn is_subject(subject: &&str) -> bool {
    let fits = |byte: u8| byte == b' ' || byte.is_ascii_graphic();
    (1..=255).contains(&subject.len()) && subject.bytes().all(fits)
}

/// What people call whoever the token is about. It ends in records and on screens.
fn name(claims: &Map<String, Value>) -> Option<&str> {
    let fits = |name: &&str| {
        !name.trim().is_empty() && name.len() <= LONGEST_NAME && !name.chars().any(char::is_control)
    };
    let claim = |key: &str| claims.get(key).and_then(Value::as_str).filter(fits);
    claim("preferred_username").or_else(|| claim("name"))
}

/// The roles that a claim names; what else it names is somebody else's.
fn roles(claim: Option<&Value>) -> Roles {
    match claim {
        Some(Value::String(names)) => {
            names.split_whitespace().filter_map(Role::from_name).collect()
        }
        Some(Value::Array(names)) => {
            names.iter().filter_map(Value::as_str).filter_map(Role::from_name).collect()
        }
        Some(_) | None => Roles::NONE,
    }
}
