//! Identifiers and vocabulary terms, one type a kind, so that no two kinds can be confused.

use std::borrow::Borrow;
use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// Why a text is no identifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an id is 1 to 64 ASCII letters, digits, `-` or `_`")]
pub struct InvalidId;

/// The one rule for identifiers in rule files, RPCs and commands. Case is kept and matters.
fn is_id(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    (1..=64).contains(&text.len()) && text.bytes().all(allowed)
}

/// Most terms whose texts are shared; they are never forgotten.
const MOST_SHARED: usize = 1_000;

/// The text of a vocabulary's term or of a class, shared: thousands of rules state the same few, and are held for
/// long.
fn term(text: &str) -> Arc<str> {
    static SHARED: Mutex<BTreeSet<Arc<str>>> = Mutex::new(BTreeSet::new());
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = shared.get(text) {
        return Arc::clone(known);
    }
    let text = Arc::from(text);
    if shared.len() < MOST_SHARED {
        shared.insert(Arc::clone(&text));
    }
    text
}

macro_rules! identifiers {
    ($share:expr; $($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>); // INVARIANT: `is_id`.

        impl $name {
            /// The only way in, so that nothing past this point checks again.
            ///
            /// # Errors
            /// When `text` is not 1 to 64 ASCII letters, digits, `-` or `_`.
            pub fn parse(text: &str) -> Result<Self, InvalidId> {
                if is_id(text) { Ok(Self($share(text))) } else { Err(InvalidId) }
            }

            /// The identifier as it was written.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// The identifier's text, shared and not copied.
            #[must_use]
            pub fn shared(&self) -> Arc<str> {
                Arc::clone(&self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.0)
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl std::str::FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                Self::parse(text)
            }
        }
    )*};
}

identifiers! {
    Arc::from;
    /// A legal entity that supplies a product or a component.
    VendorId;
    /// What is supplied.
    ProductId;
    /// The bank's terms for giving a product.
    OfferId;
    /// An outside publication that a suspension may rest on.
    AdvisoryId;
    /// The bank's decision to stop stated actions.
    SuspensionId;
    /// A named, time-limited permission against named suspensions.
    ExemptionId;
}

identifiers! {
    term;
    /// A customer segment, from the rule set's vocabulary.
    Segment;
    /// A kind of device, from the rule set's vocabulary.
    Device;
    /// A way to reach the customer, from the rule set's vocabulary.
    Channel;
    /// A kind of product, such as `ANTIVIRUS`: whatever the products carry.
    ProductClass;
}

/// Why a text is no customer id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a customer id is 1 to 128 bytes without control, bidirectional or zero-width characters, and \
     neither starts nor ends with a space"
)]
pub struct InvalidCustomerId;

/// The bank's own identifier of a customer: opaque, and never in a log line, trace or metric.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CustomerId(Arc<str>); // INVARIANT: `CustomerId::allows`.

impl CustomerId {
    /// Most bytes of an id.
    const LONGEST: usize = 128;

    /// The only way in.
    ///
    /// # Errors
    /// When [`CustomerId::allows`] says no.
    pub fn parse(text: &str) -> Result<Self, InvalidCustomerId> {
        if Self::allows(text) { Ok(Self(text.into())) } else { Err(InvalidCustomerId) }
    }

    /// Whether `text` can be a customer id. Two ids that look alike to a person but differ in
    /// invisible characters would let a rule that names one miss the other, so those characters
    /// are refused; beyond that an id is compared byte for byte.
    #[must_use]
    pub fn allows(text: &str) -> bool {
        // The common case costs one pass over bytes.
        Self::is_plain(text.as_bytes())
            || (!text.is_empty()
                && text.len() <= Self::LONGEST
                && !text.starts_with(char::is_whitespace)
                && !text.ends_with(char::is_whitespace)
                && !text.chars().any(is_invisible))
    }

    /// Whether these bytes are an id of visible ASCII characters, as nearly all are.
    #[must_use]
    pub fn is_plain(bytes: &[u8]) -> bool {
        (1..=Self::LONGEST).contains(&bytes.len())
            && bytes.iter().all(|byte| (0x21..=0x7e).contains(byte))
    }

    /// The id as the bank wrote it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for CustomerId {
    /// Hides the id: a `{:?}` in a log line must not leak a customer.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CustomerId(..)")
    }
}

impl Borrow<str> for CustomerId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// Control, bidirectional, zero-width, and other characters that no reader can see.
fn is_invisible(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{00ad}' | '\u{034f}' | '\u{061c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
            | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn an_id_keeps_its_case_and_allows_nothing_but_letters_digits_dash_and_underscore() {
        assert_eq!(VendorId::parse("Kaspersky-Labs_1").unwrap().as_str(), "Kaspersky-Labs_1");
        assert!(VendorId::parse(&"v".repeat(64)).is_ok());
        for refused in ["", " a", "a ", "a.b", "a/b", "{a}", "К", "a\n", &"v".repeat(65)] {
            assert_eq!(VendorId::parse(refused), Err(InvalidId), "{refused:?}");
        }
    }

    #[test]
    fn a_customer_id_has_no_invisible_characters_and_is_not_normalised() {
        for allowed in ["1", "c-1", "Zoë", "a b", "{tag}", "'; DROP", "-x", &"x".repeat(128)] {
            assert!(CustomerId::allows(allowed), "{allowed:?}");
        }
        for refused in ["", " a", "a ", "a\0", "a\nb", "a\u{202e}b", "\u{feff}a", "a\u{200b}"] {
            assert!(!CustomerId::allows(refused), "{refused:?}");
        }
        assert!(!CustomerId::allows(&"x".repeat(129)));
        assert_ne!(CustomerId::parse("e\u{301}").unwrap(), CustomerId::parse("é").unwrap());
    }

    #[test]
    fn a_customer_id_does_not_show_in_debug_output() {
        assert_eq!(format!("{:?}", CustomerId::parse("c-1").unwrap()), "CustomerId(..)");
    }
}
