//! What a mailing is bound to when people sign it.

use super::{ChainHash, InvalidId, Lineage, OfferId, Timestamp};
use std::fmt;
use std::num::{NonZeroU32, NonZeroU64};
use std::sync::Arc;

/// A mailing's name, as the people who run it chose it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MailingId(Arc<str>); // INVARIANT: 1 to 64 bytes of ASCII letters, digits, `-` and `_`.

impl MailingId {
    /// The only way in.
    ///
    /// # Errors
    /// When `text` is anything else than 1 to 64 ASCII letters, digits, `-`, `_`.
    pub fn parse(text: &str) -> Result<Self, InvalidId> {
        // Spelt as the ids of rules are.
        OfferId::parse(text).map(|_| Self(text.into()))
    }

    /// The id.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for MailingId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A ledger's name: random, and never used again.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LedgerId(Arc<str>); // INVARIANT: 32 lower-case hexadecimal digits.

impl LedgerId {
    /// The only way in.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Lineage::parse(text).map(|digits| Self(digits.as_str().into()))
    }

    /// The digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for LedgerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// SHA-256 over something that is kept elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ContentHash(ChainHash);

impl ContentHash {
    /// Reads 64 lower-case hexadecimal digits.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        ChainHash::parse(text).map(Self)
    }
}

impl fmt::Display for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What customers are written to for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MailingAction {
    /// An offer: marketing, which every rule gates.
    Offer,
    /// A service message, which nothing gates (R10).
    Notify,
}

impl MailingAction {
    /// Its name, which is that of the action that each send is decided for.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Offer => "OFFER",
            Self::Notify => "NOTIFY",
        }
    }

    /// The action with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Offer, Self::Notify].into_iter().find(|action| action.name() == name)
    }
}

/// A mailing: whom, what, and when, by hashes of what is kept elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mailing {
    /// Its name.
    pub id: MailingId,
    /// The offer that it is about.
    pub offer: OfferId,
    /// What for.
    pub action: MailingAction,
    /// Of the audience.
    pub audience: ContentHash,
    /// How many recipients that has.
    pub recipients: NonZeroU64,
    /// Of the template.
    pub template: ContentHash,
    /// Of whatever else the sender binds.
    pub settings: Option<ContentHash>,
    /// The first instant at which anything is sent; as soon as it is approved, where there is none.
    pub not_before: Option<Timestamp>,
    /// The instant from which nothing is sent any more.
    pub not_after: Timestamp,
    /// How many are sent a second at most.
    pub per_second: NonZeroU32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_names_and_binds_a_mailing_has_one_spelling() {
        assert!(MailingId::parse("kis-notice_2017").is_ok());
        for refused in ["", "a b", "a.b", "ä"] {
            assert!(MailingId::parse(refused).is_err(), "{refused}");
        }
        let digits = "0123456789abcdef".repeat(4);
        assert_eq!(ContentHash::parse(&digits).map(|hash| hash.to_string()), Some(digits.clone()));
        assert_eq!(ContentHash::parse(&digits.to_uppercase()), None);
        assert_eq!(MailingAction::from_name("NOTIFY"), Some(MailingAction::Notify));
        assert_eq!(MailingAction::from_name("USE"), None);
    }
}
