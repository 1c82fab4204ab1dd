//! How customers are named in the decision log: as they are, or by a keyed hash.
//!
//! A keyed name is `kVERSION:HASH`, where the hash is the first half of HMAC-SHA-256 over the id, in 32
//! hexadecimal digits. The same customer has the same name under one version; whoever destroys that
//! version's key has erased who the customers were, and the log still verifies.
//!
//! A file of keys has a line for each, `VERSION KEY`: a number from 1, and 64 hexadecimal digits. Lines
//! that begin with `#` say nothing. The highest version names customers from now on.
//!
//! Invariant: a key shows in no `Debug`, and no error repeats what stands in the file.

use crate::domain::ChainHash;
use sha2::{Digest, Sha256};
use std::fmt;

/// The block of SHA-256, which HMAC pads its key to.
const BLOCK: usize = 64;

/// How customers are named.
#[derive(Debug, Clone)]
pub enum CustomerIds {
    /// By the bank's own ids.
    Plain,
    /// By hashes with this key.
    Keyed(Box<CustomerKey>),
}

/// One version of the key.
#[derive(Clone)]
pub struct CustomerKey {
    /// Its number.
    pub version: u32,
    // After the padded key: each name goes on from here.
    inner: Sha256,
    outer: Sha256,
}

impl fmt::Debug for CustomerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CustomerKey(k{})", self.version)
    }
}

/// What is wrong with a file of keys, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKeys {
    /// A line is none.
    #[error("line {0} is not `VERSION KEY`: a number from 1, a space, and 64 hexadecimal digits")]
    Line(usize),
    /// A version stands there twice.
    #[error("line {0} gives a version that another line gives, too")]
    Twice(usize),
    /// There is none.
    #[error("there is no key in it")]
    None,
}

/// Reads a file of keys, highest version first.
///
/// # Errors
/// When a line is no key, or none is.
pub fn read_keys(text: &str) -> Result<Vec<CustomerKey>, InvalidKeys> {
    let mut keys: Vec<CustomerKey> = Vec::new();
    for (place, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let wrong = InvalidKeys::Line(place + 1);
        let (version, key) = line.split_once(' ').ok_or(wrong)?;
        let number: u32 = version.parse().map_err(|_| wrong)?;
        let key = ChainHash::parse(key.trim_start()).ok_or(wrong)?;
        if number == 0 || number.to_string() != version {
            return Err(wrong);
        }
        if keys.iter().any(|known| known.version == number) {
            return Err(InvalidKeys::Twice(place + 1));
        }
        keys.push(CustomerKey::new(number, &key.0));
    }
    keys.sort_by_key(|key| std::cmp::Reverse(key.version));
    if keys.is_empty() { Err(InvalidKeys::None) } else { Ok(keys) }
}

impl CustomerKey {
    /// A version of the key.
    #[must_use]
    pub fn new(version: u32, key: &[u8; 32]) -> Self {
        let padded = |with: u8| {
            let mut block = [with; BLOCK];
            block.iter_mut().zip(key).for_each(|(byte, key)| *byte ^= key);
            Sha256::new().chain_update(block)
        };
        Self { version, inner: padded(0x36), outer: padded(0x5c) }
    }

    /// The name of a customer under this key.
    #[must_use]
    pub fn name(&self, id: &str) -> String {
        let mut out = Vec::with_capacity(48);
        self.write(&mut out, id);
        String::from_utf8(out).unwrap_or_default()
    }

    fn write(&self, out: &mut Vec<u8>, id: &str) {
        let inner = self.inner.clone().chain_update(id).finalize();
        let hash: [u8; 32] = self.outer.clone().chain_update(inner).finalize().into();
        out.push(b'k');
        super::text::number(out, u64::from(self.version));
        out.push(b':');
        hash.iter().take(16).for_each(|byte| out.extend_from_slice(&hex(*byte)));
    }
}

impl CustomerIds {
    /// Writes the name of a customer as JSON.
    pub(super) fn write(&self, out: &mut Vec<u8>, id: &str) {
        match self {
            Self::Plain => super::text::text(out, id),
            Self::Keyed(key) => {
                out.push(b'"');
                key.write(out, id);
                out.push(b'"');
            }
        }
    }

    /// `plain`, or the version of the key.
    #[must_use]
    pub fn label(&self) -> String {
        match self {
            Self::Plain => "plain".to_owned(),
            Self::Keyed(key) => format!("k{}", key.version),
        }
    }
}

/// A byte as two lower-case hexadecimal digits.
pub(super) fn hex(byte: u8) -> [u8; 2] {
    let digit = |value: u8| if value < 10 { b'0' + value } else { b'a' + value - 10 };
    [digit(byte >> 4), digit(byte & 15)]
}

#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_the_first_half_of_the_published_hmac() {
        // RFC 4231, test case 2, has a key of 4 bytes; zeros after it are what HMAC pads with.
        let mut key = [0; 32];
        key[..4].copy_from_slice(b"Jefe");
        let name = CustomerKey::new(3, &key).name("what do ya want for nothing?");
        assert_eq!(name, "k3:5bdcc146bf60754e6a042426089575c7");
    }

    #[test]
    fn the_highest_version_comes_first_and_a_bad_line_is_named_without_what_it_says() {
        let (a, b) = ("a".repeat(64), "b".repeat(64));
        let keys = read_keys(&format!("# keys\n1 {a}\n\n12 {b}\n2 {a}\n")).unwrap();
        let versions: Vec<_> = keys.iter().map(|key| key.version).collect();
        assert_eq!(versions, [12, 2, 1]);
        assert_ne!(keys[0].name("c-1"), keys[1].name("c-1"));
        for (text, error) in [
            (String::new(), InvalidKeys::None),
            (format!("1 {a}\n1 {b}"), InvalidKeys::Twice(2)),
            (format!("0 {a}"), InvalidKeys::Line(1)),
            (format!("01 {a}"), InvalidKeys::Line(1)),
            (a.clone(), InvalidKeys::Line(1)),
            (format!("1 {}", &a[1..]), InvalidKeys::Line(1)),
        ] {
            let refused = read_keys(&text).unwrap_err();
            assert_eq!(refused, error);
            assert!(!refused.to_string().contains("aaaa"));
        }
        assert!(!format!("{:?}", keys[0]).contains("bbbb"));
    }
}
