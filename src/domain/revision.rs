//! Revisions, the lineage they belong to, and the token that pins both.

use std::fmt;
use std::sync::Arc;

/// Number of a rule set: 0 before the first change, then one higher with each applied change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Revision(pub u64);

impl Revision {
    /// Before the first change: nobody has loaded any rules yet.
    pub const ZERO: Self = Self(0);

    /// The one after this.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// The random id of a store's history, made when the store is. Revision 7 of one lineage has
/// nothing to do with revision 7 of another.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Lineage(Arc<str>); // INVARIANT: 32 lower-case hexadecimal digits.

impl Lineage {
    /// The only way in.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        (text.len() == 32 && text.bytes().all(is_lower_hex)).then(|| Self(text.into()))
    }

    /// The lineage as hexadecimal digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Lineage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// SHA-256 over all changes up to a revision, so that two histories which share a number but not a
/// past can be told apart.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct ChainHash(pub [u8; 32]);

impl ChainHash {
    /// Before the first change.
    pub const ZERO: Self = Self([0; 32]);

    /// Reads 64 lower-case hexadecimal digits.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::from_digits(text.as_bytes())
    }

    /// The same of bytes, which need not be text. Without a branch on a digit: it is done for every record
    /// of a log.
    #[must_use]
    pub fn from_digits(digits: &[u8]) -> Option<Self> {
        let digits: &[u8; 64] = digits.try_into().ok()?;
        let mut are_all_digits = true;
        let mut value = |digit: u8| {
            let (decimal, letter) = (digit.wrapping_sub(b'0'), digit.wrapping_sub(b'a'));
            are_all_digits &= (decimal < 10) | (letter < 6);
            if decimal < 10 { decimal } else { letter.wrapping_add(10) }
        };
        let values = digits.map(&mut value);
        let mut bytes = [0; 32];
        for (byte, [high, low]) in bytes.iter_mut().zip(values.as_chunks::<2>().0) {
            *byte = high << 4 | low & 0xf;
        }
        are_all_digits.then_some(Self(bytes))
    }

    /// The first 16 hexadecimal digits, as tokens carry them.
    #[must_use]
    pub fn prefix(&self) -> String {
        let mut text = self.to_string();
        text.truncate(16);
        text
    }
}

impl fmt::Display for ChainHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ChainHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ChainHash({self})")
    }
}

/// A place in a history: lineage, revision, and the first half of its chain hash's hexadecimal
/// digits. Comes with every answer and every write; a caller that sends it back is never answered
/// from rules older than it.
///
/// Its text is `LINEAGE.REVISION.CHAINPREFIX`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// The history.
    pub lineage: Lineage,
    /// The place in it.
    pub revision: Revision,
    /// First 8 bytes of the chain hash, as 16 hexadecimal digits.
    pub chain_prefix: Arc<str>,
}

/// Why a text is no token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a token is `LINEAGE.REVISION.CHAIN`, exactly as an earlier answer carried it")]
pub struct InvalidToken;

impl Token {
    /// The token of a place in a history.
    #[must_use]
    pub fn new(lineage: Lineage, revision: Revision, chain: &ChainHash) -> Self {
        Self { lineage, revision, chain_prefix: chain.prefix().into() }
    }

    /// Reads what [`Token`]'s `Display` wrote.
    ///
    /// # Errors
    /// When the text is anything else, a leading zero or sign in the revision included.
    pub fn parse(text: &str) -> Result<Self, InvalidToken> {
        let mut parts = text.split('.');
        let (Some(lineage), Some(number), Some(chain), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(InvalidToken);
        };
        let revision: u64 = number.parse().map_err(|_| InvalidToken)?;
        if revision.to_string() != number || chain.len() != 16 || !chain.bytes().all(is_lower_hex) {
            return Err(InvalidToken);
        }
        Ok(Self {
            lineage: Lineage::parse(lineage).ok_or(InvalidToken)?,
            revision: Revision(revision),
            chain_prefix: chain.into(),
        })
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.lineage, self.revision, self.chain_prefix)
    }
}

fn is_lower_hex(byte: u8) -> bool {
    byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn a_token_reads_back_as_it_was_written_and_in_no_other_spelling() {
        let lineage = Lineage::parse("00112233445566778899aabbccddeeff").unwrap();
        let token = Token::new(lineage, Revision(12), &ChainHash([0xab; 32]));
        assert_eq!(token.to_string(), "00112233445566778899aabbccddeeff.12.abababababababab");
        assert_eq!(Token::parse(&token.to_string()), Ok(token));
        for refused in [
            "",
            "12",
            "00112233445566778899aabbccddeeff.012.abababababababab",
            "00112233445566778899aabbccddeeff.+12.abababababababab",
            "00112233445566778899aabbccddeeff.1e3.abababababababab",
            "00112233445566778899AABBCCDDEEFF.12.abababababababab",
            "00112233445566778899aabbccddeeff.12.ababababababab",
            "00112233445566778899aabbccddeeff.12.abababababababab.x",
            "00112233445566778899aabbccddeeff.18446744073709551616.abababababababab",
        ] {
            assert_eq!(Token::parse(refused), Err(InvalidToken), "{refused}");
        }
    }

    #[test]
    fn a_chain_hash_reads_back_as_it_was_written() {
        let chain = ChainHash([0x0f; 32]);
        assert_eq!(ChainHash::parse(&chain.to_string()), Some(chain));
        let each = ChainHash(std::array::from_fn(|place| (place * 9) as u8));
        assert_eq!(ChainHash::parse(&each.to_string()), Some(each));
        assert_eq!(ChainHash::parse(&each.to_string().to_uppercase()), None);
        for wrong in ["0".repeat(63), "0".repeat(65), "é".repeat(32)] {
            assert_eq!(ChainHash::parse(&wrong), None, "{wrong}");
        }
        // Every byte in every place, and what stands beside the digits in ASCII above all.
        for (place, byte) in (0..64).flat_map(|place| (0..=u8::MAX).map(move |byte| (place, byte)))
        {
            let mut digits = [b'0'; 64];
            digits[place] = byte;
            let value = char::from(byte).to_digit(16).filter(|_| is_lower_hex(byte));
            let read = ChainHash::from_digits(&digits).map(|hash| hash.0[place / 2]);
            let shift = if place % 2 == 0 { 4 } else { 0 };
            assert_eq!(read.map(u32::from), value.map(|value| value << shift), "{byte} at {place}");
        }
    }
}
