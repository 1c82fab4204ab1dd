//! Signed notes, as C2SP describes them: a text, a blank line, and a line for each signature.
//!
//! A signature line is `— NAME BASE64`: the name of the key, then its id and what it signed, encoded.
//! Signatures of keys that we do not know are left alone, as the form demands.
//!
//! Invariant: what [`Note::parse`] takes, it writes back byte by byte.

use super::key::{AuditKey, KeyName, VerifierKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::fmt;

/// Longest note that is read: it comes from anywhere.
const LONGEST: usize = 16 * 1024;

/// Most signatures on a note.
const MOST_SIGNATURES: usize = 64;

/// What a signature line begins with.
const MARK: &str = "\u{2014} ";

/// A text and who signed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Note {
    /// The text, its last line break included.
    pub(super) text: String,
    signatures: Vec<NoteSignature>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct NoteSignature {
    name: KeyName,
    /// The key's id, then its signature.
    bytes: Vec<u8>,
}

/// Why a text is no signed note, or none that this key signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidNote {
    /// Not of this form.
    #[error("it is no signed note: text, a blank line, and lines `\u{2014} NAME SIGNATURE`")]
    Malformed,
    /// Nobody signed it with the key that was asked for.
    #[error("it is not signed with this key")]
    NotSigned,
    /// The key is named, and the signature is not its own.
    #[error("its signature does not hold: it was changed after it was signed")]
    BadSignature,
}

impl Note {
    /// Signs a text that ends with a line break.
    pub(super) fn sign(text: String, key: &AuditKey) -> Self {
        let verifier = key.verifier();
        let bytes = [verifier.id().as_slice(), &key.sign(&text)].concat();
        Self { text, signatures: vec![NoteSignature { name: verifier.name().clone(), bytes }] }
    }

    /// Reads a note. Who signed it is not looked at.
    pub(super) fn parse(text: &str) -> Result<Self, InvalidNote> {
        let bad = |byte: u8| byte < 0x20 && byte != b'\n';
        if LONGEST < text.len() || text.bytes().any(bad) {
            return Err(InvalidNote::Malformed);
        }
        let split = text.rfind("\n\n").ok_or(InvalidNote::Malformed)?;
        let (body, lines) = text.split_at(split + 1);
        let lines = lines.strip_prefix('\n').and_then(|lines| lines.strip_suffix('\n'));
        let lines = lines.ok_or(InvalidNote::Malformed)?.split('\n');
        let signatures = lines.map(signature).collect::<Option<Vec<_>>>();
        match signatures {
            Some(signatures) if (1..=MOST_SIGNATURES).contains(&signatures.len()) => {
                Ok(Self { text: body.to_owned(), signatures })
            }
            _ => Err(InvalidNote::Malformed),
        }
    }

    /// Adds the signatures of another note over the same text; `None` if its text is another one.
    pub(super) fn cosigned(mut self, other: Self) -> Option<Self> {
        if self.text != other.text {
            return None;
        }
        for signature in other.signatures {
            if !self.signatures.contains(&signature) {
                self.signatures.push(signature);
            }
        }
        Some(self)
    }

    /// Makes sure that this key signed the text.
    pub(super) fn verify(&self, key: &VerifierKey) -> Result<(), InvalidNote> {
        let mut signed = false;
        for signature in &self.signatures {
            let Some((id, bytes)) = signature.bytes.split_at_checked(4) else { continue };
            if signature.name != *key.name() || id != key.id() {
                continue;
            }
            let bytes = bytes.try_into().map_err(|_| InvalidNote::BadSignature)?;
            if !key.verifies(&self.text, bytes) {
                return Err(InvalidNote::BadSignature);
            }
            signed = true;
        }
        if signed { Ok(()) } else { Err(InvalidNote::NotSigned) }
    }
}

fn signature(line: &str) -> Option<NoteSignature> {
    let (name, encoded) = line.strip_prefix(MARK)?.split_once(' ')?;
    let bytes = STANDARD.decode(encoded).ok()?;
    // An id, and a signature of some kind.
    (5..=4096).contains(&bytes.len()).then_some(())?;
    Some(NoteSignature { name: KeyName::parse(name)?, bytes })
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        for NoteSignature { name, bytes } in &self.signatures {
            writeln!(f, "{MARK}{} {}", name.as_str(), STANDARD.encode(bytes))?;
        }
        Ok(())
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    fn key(seed: u8) -> AuditKey {
        AuditKey::from_seed(KeyName::default(), &[seed; 32])
    }

    #[test]
    fn a_note_of_the_published_example_is_verified() {
        // The example of the Go checksum database's note format, which C2SP took over.
        let public = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
        let note = "If you think cryptography is the answer to your problem,\n\
            then you don't know what your problem is.\n\n\
            \u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";
        let key = VerifierKey::parse(public).unwrap();
        let read = Note::parse(note).unwrap();
        assert_eq!(read.verify(&key), Ok(()));
        assert_eq!(read.to_string(), note);
    }

    #[test]
    fn signatures_of_others_are_left_alone_and_one_of_the_key_must_hold() {
        let mut note = Note::sign("text\n".into(), &key(1));
        note.signatures.extend(Note::sign("text\n".into(), &key(2)).signatures);
        assert_eq!(note.verify(&key(1).verifier()), Ok(()));
        assert_eq!(note.verify(&key(2).verifier()), Ok(()));
        assert_eq!(note.verify(&key(3).verifier()), Err(InvalidNote::NotSigned));
        note.text = "Text\n".into();
        assert_eq!(note.verify(&key(1).verifier()), Err(InvalidNote::BadSignature));
    }

    #[test]
    fn what_is_no_note_is_refused() {
        let good = Note::sign("text\n".into(), &key(1)).to_string();
        assert!(Note::parse(&good).is_ok());
        for bad in [
            String::new(),
            "text\n".into(),
            "text\n\n".into(),
            good.trim_end().to_owned(),
            format!("{good}\n"),
            good.replace("\n\n", "\n"),
            good.replace('\u{2014}', "-"),
            good.replace("text", "te\rxt"),
            good.replace("offergate ", "offergate  "),
            good.replace("offergate ", "offer+gate "),
            format!("{good}\u{2014} a !\n"),
            format!("{}{good}", "x".repeat(LONGEST)),
        ] {
            assert_eq!(Note::parse(&bad), Err(InvalidNote::Malformed), "{bad:?}");
        }
    }
}
