//! Tokens that were verified a moment ago, so that they are not verified for each call.
//!
//! Invariants: a token is known by its hash, and never kept; it is known no longer than it is valid, nor
//! than [`KNOWN_FOR`], so that a key or a person that the issuer takes back is soon nobody's.

use super::token::Proven;
use crate::domain::{Principal, Timestamp};
use rustc_hash::FxHashMap;
use sha2::{Digest, Sha256};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long a verified token is known.
const KNOWN_FOR: Duration = Duration::from_secs(5 * 60);

/// How many are known at once.
const MOST: usize = 4096;

/// A token's hash.
pub(super) type TokenHash = [u8; 32];

pub(super) fn hash_of(token: &str) -> TokenHash {
    Sha256::digest(token.as_bytes()).into()
}

#[derive(Debug, Default)]
pub(super) struct Seen(Mutex<FxHashMap<TokenHash, (Arc<Principal>, Timestamp)>>);

impl Seen {
    /// Whom the token was verified to be about, if that still holds at `now`.
    pub(super) fn find(&self, token: &TokenHash, now: Timestamp) -> Option<Arc<Principal>> {
        let known = self.known();
        let (principal, until) = known.get(token)?;
        (now < *until).then(|| Arc::clone(principal))
    }

    /// Remembers what was verified at `now`.
    pub(super) fn keep(&self, token: TokenHash, proven: Proven, now: Timestamp) -> Arc<Principal> {
        let principal = Arc::new(proven.principal);
        let until = proven.until.min(now.saturating_add(KNOWN_FOR).unwrap_or(proven.until));
        let mut known = self.known();
        if MOST <= known.len() {
            known.retain(|_, (_, until)| now < *until);
        }
        if MOST <= known.len() {
            // So many people at once are none; verifying anew costs each of them one signature.
            known.clear();
        }
        known.insert(token, (Arc::clone(&principal), until));
        principal
    }

    fn known(&self) -> MutexGuard<'_, FxHashMap<TokenHash, (Arc<Principal>, Timestamp)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn proven(until: &str) -> Proven {
        Proven { principal: Principal::unverified("ann"), until: at(until) }
    }

    #[test]
    fn a_token_is_known_until_it_ends_and_for_five_minutes_at_most() {
        let seen = Seen::default();
        let now = at("2026-03-01T12:00:00Z");
        let (short, long) = (hash_of("short"), hash_of("long"));
        seen.keep(short, proven("2026-03-01T12:01:00Z"), now);
        seen.keep(long, proven("2026-03-01T18:00:00Z"), now);
        for (token, when, known) in [
            (short, "2026-03-01T12:00:59Z", true),
            (short, "2026-03-01T12:01:00Z", false),
            (long, "2026-03-01T12:04:59Z", true),
            (long, "2026-03-01T12:05:00Z", false),
            (hash_of("other"), "2026-03-01T12:00:00Z", false),
        ] {
            assert_eq!(seen.find(&token, at(when)).is_some(), known, "{when}");
        }
    }

    #[test]
    fn no_more_tokens_are_known_than_there_is_room_for() {
        let seen = Seen::default();
        let now = at("2026-03-01T12:00:00Z");
        for number in 0..3 * MOST {
            seen.keep(hash_of(&number.to_string()), proven("2026-03-01T18:00:00Z"), now);
            assert!(seen.known().len() <= MOST);
        }
    }
}
