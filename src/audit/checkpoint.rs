//! Checkpoints: what the log says of itself at one size, signed.
//!
//! In the form of C2SP's tlog-checkpoint, so that any tool which reads those reads ours:
//!
//! ```text
//! offergate/LINEAGE
//! SIZE
//! ROOT IN BASE64
//! chain HASH IN HEXADECIMAL
//!
//! — offergate SIGNATURE
//! ```
//!
//! The line `chain` binds the other proof that a log carries: with it, tree and chain cannot tell two
//! stories. Reading is strict; a checkpoint that says more or less than this is none of ours.
//!
//! Invariant: a [`Checkpoint`] that came from [`Checkpoint::open`] was signed with that key.

use super::key::{AuditKey, VerifierKey};
use super::note::{InvalidNote, Note};
use super::tree::TreeHash;
use crate::domain::{ChainHash, Lineage, Revision};
use std::fmt;

/// What the origin of every log of ours begins with.
const ORIGIN: &str = "offergate/";

/// What the log says of itself at one size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// The history.
    pub lineage: Lineage,
    /// How many records there are: the revision of the last one.
    pub size: Revision,
    /// The root of the tree over them.
    pub root: TreeHash,
    /// The chain hash at the last one.
    pub chain: ChainHash,
}

/// Why two signed notes are not one checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotCosigned {
    /// One of them is no checkpoint, or not signed with its key.
    #[error(transparent)]
    Invalid(#[from] InvalidCheckpoint),
    /// Both are, and they say different things of a log of one size. Keep them: together they prove that
    /// somebody was shown another history.
    #[error("both are signed, and they tell different histories")]
    Different,
}

/// Why a text is no checkpoint that can be relied on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCheckpoint {
    /// It is no signed note, or not signed with the key.
    #[error(transparent)]
    Note(#[from] InvalidNote),
    /// It is signed, and says something else.
    #[error(
        "its text is no checkpoint: `{ORIGIN}LINEAGE`, size, root, and `chain HASH`, a line each"
    )]
    Text,
}

impl Checkpoint {
    /// The checkpoint as a signed note.
    #[must_use]
    pub fn sign(&self, key: &AuditKey) -> String {
        Note::sign(self.to_string(), key).to_string()
    }

    /// Reads a signed note, if the key signed it.
    ///
    /// # Errors
    /// When it did not, or when what it signed is no checkpoint.
    pub fn open(note: &str, key: &VerifierKey) -> Result<Self, InvalidCheckpoint> {
        let note = Note::parse(note)?;
        note.verify(key)?;
        Self::parse(&note.text).ok_or(InvalidCheckpoint::Text)
    }

    /// The note of one signer with the signature of another one added, if both signed the same.
    ///
    /// # Errors
    /// When a note is not signed with its key, or the two say different things.
    pub fn cosign(
        (note, key): (&str, &VerifierKey),
        (other, other_key): (&str, &VerifierKey),
    ) -> Result<String, NotCosigned> {
        Self::open(note, key)?;
        Self::open(other, other_key)?;
        let parse = |note| Note::parse(note).map_err(InvalidCheckpoint::from);
        let cosigned = parse(note)?.cosigned(parse(other)?);
        cosigned.map(|note| note.to_string()).ok_or(NotCosigned::Different)
    }

    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.strip_suffix('\n')?.split('\n');
        let (origin, number, root, chain) =
            (lines.next()?, lines.next()?, lines.next()?, lines.next()?);
        let size: u64 = number.parse().ok()?;
        let read = Self {
            lineage: Lineage::parse(origin.strip_prefix(ORIGIN)?)?,
            size: Revision(size),
            root: TreeHash::parse(root)?,
            chain: ChainHash::parse(chain.strip_prefix("chain ")?)?,
        };
        // One spelling alone: no sign, no leading zero, no line more.
        (read.to_string() == text).then_some(read)
    }
}

/// The text that is signed.
impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { lineage, size, root, chain } = self;
        write!(f, "{ORIGIN}{lineage}\n{size}\n{root}\nchain {chain}\n")
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use crate::audit::key::KeyName;

    fn key() -> AuditKey {
        AuditKey::from_seed(KeyName::default(), &[1; 32])
    }

    fn checkpoint() -> Checkpoint {
        Checkpoint {
            lineage: Lineage::parse(&"0a".repeat(16)).unwrap(),
            size: Revision(12),
            root: TreeHash([0xfb; 32]),
            chain: ChainHash([0x0f; 32]),
        }
    }

    #[test]
    fn a_checkpoint_has_the_form_that_others_read_and_opens_with_its_key() {
        let note = checkpoint().sign(&key());
        let expected = format!(
            "offergate/{}\n12\n+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/s=\nchain {}\n\n\u{2014} \
             offergate ",
            "0a".repeat(16),
            "0f".repeat(32)
        );
        assert!(note.starts_with(&expected), "{note}");
        assert_eq!(Checkpoint::open(&note, &key().verifier()), Ok(checkpoint()));
        let other = AuditKey::from_seed(KeyName::default(), &[2; 32]).verifier();
        let refused = Checkpoint::open(&note, &other);
        assert_eq!(refused, Err(InvalidCheckpoint::Note(InvalidNote::NotSigned)));
    }

    #[test]
    fn a_checkpoint_with_any_byte_changed_does_not_open() {
        let note = checkpoint().sign(&key());
        for place in 0..note.len() {
            let mut bytes = note.clone().into_bytes();
            *bytes.get_mut(place).unwrap() ^= 1;
            let Ok(changed) = String::from_utf8(bytes) else { continue };
            assert!(Checkpoint::open(&changed, &key().verifier()).is_err(), "{changed}");
        }
    }

    #[test]
    fn who_signed_the_same_cosigns_and_whoever_signed_another_history_does_not() {
        let name = KeyName::parse("r2").unwrap();
        let (one, two) = (key(), AuditKey::from_seed(name, &[2; 32]));
        let note = checkpoint().sign(&one);
        let other = checkpoint().sign(&two);
        let keys = [one.verifier(), two.verifier()];
        let both = Checkpoint::cosign((&note, &keys[0]), (&other, &keys[1])).unwrap();
        for key in &keys {
            assert_eq!(Checkpoint::open(&both, key), Ok(checkpoint()));
        }
        let again = Checkpoint::cosign((&both, &keys[0]), (&other, &keys[1]));
        assert_eq!(again.as_ref(), Ok(&both), "a signature is added once");
        let fork = Checkpoint { root: TreeHash([7; 32]), ..checkpoint() }.sign(&two);
        let refused = Checkpoint::cosign((&note, &keys[0]), (&fork, &keys[1]));
        assert_eq!(refused, Err(NotCosigned::Different));
        let unsigned = Checkpoint::cosign((&note, &keys[0]), (&other, &keys[0]));
        let not_signed = InvalidCheckpoint::Note(InvalidNote::NotSigned);
        assert_eq!(unsigned, Err(NotCosigned::Invalid(not_signed)));
    }

    #[test]
    fn a_signed_text_in_any_other_spelling_is_no_checkpoint() {
        let good = checkpoint().to_string();
        for (from, to) in [
            ("offergate/", "offergate.example/"),
            ("\n12\n", "\n012\n"),
            ("\n12\n", "\n+12\n"),
            ("\n12\n", "\n-1\n"),
            ("\n12\n", "\n18446744073709551616\n"),
            ("+/s=", "+/s"),
            ("+/s=", "+/t="),
            ("chain ", "chain  "),
            ("chain ", "head "),
            ("0f0f\n", "0f0F\n"),
            ("0f0f\n", "0f0f\nmore\n"),
            ("0f0f\n", "0f0f"),
        ] {
            let text = good.replace(from, to);
            assert_ne!(text, good);
            assert_eq!(Checkpoint::parse(&text), None, "{text}");
        }
    }
}
