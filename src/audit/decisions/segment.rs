//! The lines of a segment, and the chain through all of them.
//!
//! A segment is a file of JSON lines: common tools read those as they are, replay needs each request as
//! it was asked, and a columnar copy is one command away. Its first line is a header, its last one a
//! footer; between them stand records and gaps. Every line ends in `,"chain":"HASH"}`:
//! `hash(n) = SHA-256(hash(n-1) || line n up to that comma)`, 32 bytes before it, zero at the very first
//! line. The header of a segment goes on from the footer of the one before, so that none can be taken
//! out. A footer's hash is signed, if there is a key; its `note` stands before the chain and is not hashed:
//! `{"footer":{...},"note":"...","chain":"..."}`.
//!
//! Numbers: every decision that was to be recorded has one, without a gap between neighbours: it is that
//! of a record, or is one of those that a gap counts. What was lost when a process was killed had no
//! number yet; the gap that tells of it has a time, and no count.

use super::customer_ids::hex;
use super::text::number;
use crate::audit::ahead::Ahead;
use crate::audit::key::{AuditKey, VerifierKey};
use crate::audit::note::{InvalidNote, Note};
use crate::domain::{ChainHash, Timestamp};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The format that is written.
pub const FORMAT: u32 = 1;

/// How a line ends after what is hashed: `,"chain":"`, 64 digits, `"}`.
const CHAIN: &[u8] = b",\"chain\":\"";

/// What stands before a note.
const NOTE: &[u8] = b",\"note\":";

/// The first line of a segment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// The format of the lines.
    pub format: u32,
    /// The segment's number, from 1, one higher than the one before.
    pub segment: u64,
    /// When it was begun.
    pub begun: Timestamp,
    /// The server that writes it.
    pub server: String,
    /// The version of that server.
    pub engine: String,
    /// How customers are named: `plain`, or the version of the key.
    pub customer_ids: String,
    /// Which share of the decisions is recorded.
    pub sample: f64,
    /// The hash at the end of the segment before; zeros for the first.
    pub previous: String,
    /// The number of the first decision in it.
    pub next_seq: u64,
}

/// Why decisions are not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Missing {
    /// The log did not keep up, or its disk was full.
    Full,
    /// The process ended without closing the segment.
    EndedAbruptly,
    /// The disk did not confirm that it holds what was written to it.
    NotForced,
}

/// Decisions that were to be recorded, and are not there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gap {
    /// Why.
    pub why: Missing,
    /// How many; `None` where nobody can know.
    pub count: Option<u64>,
    /// The number of the first one.
    pub from_seq: Option<u64>,
    /// The number of the last one.
    pub to_seq: Option<u64>,
    /// They were answered no earlier than this.
    pub after: Option<Timestamp>,
    /// And no later.
    pub at: Timestamp,
    /// How many bytes of a torn line were cut off.
    pub cut_bytes: u64,
}

/// The last line of a segment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Footer {
    /// The segment's number.
    pub segment: u64,
    /// How many records are in it.
    pub records: u64,
    /// How many decisions its gaps count.
    pub dropped: u64,
    /// How many decisions were left out of the sample meanwhile.
    pub sampled_out: u64,
    /// The number after the last one.
    pub next_seq: u64,
    /// When it was closed.
    pub ended: Timestamp,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct HeaderLine {
    header: Header,
    #[serde(default, rename = "chain", skip_serializing)]
    _chain: IgnoredAny,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct GapLine {
    gap: Gap,
    #[serde(default, rename = "chain", skip_serializing)]
    _chain: IgnoredAny,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FooterLine {
    footer: Footer,
    #[serde(default, skip_serializing)]
    note: Option<String>,
    #[serde(default, rename = "chain", skip_serializing)]
    _chain: IgnoredAny,
}

/// What a line is.
#[derive(Debug, Clone, PartialEq)]
pub enum Line {
    /// The first one.
    Header(Header),
    /// A decision, and its number.
    Record(u64),
    /// Decisions that are not there.
    Gap(Gap),
    /// The last one, and its signature.
    Footer(Footer, Option<String>),
}

/// A line in its parts.
#[derive(Debug)]
pub struct Parts<'a> {
    /// What is hashed.
    pub body: &'a [u8],
    /// The hash that is stored with it.
    pub chain: ChainHash,
    /// What it says.
    pub line: Line,
}

/// Writes lines, each chained to the one before.
#[derive(Debug, Clone)]
pub struct Chained {
    /// The hash at the last line.
    pub chain: ChainHash,
}

impl Chained {
    /// Writes the header.
    pub fn header(&mut self, header: &Header, out: &mut Vec<u8>) {
        let line = HeaderLine { header: header.clone(), _chain: IgnoredAny };
        self.json(&line, out);
    }

    /// Writes a gap.
    pub fn gap(&mut self, gap: &Gap, out: &mut Vec<u8>) {
        let line = GapLine { gap: gap.clone(), _chain: IgnoredAny };
        self.json(&line, out);
    }

    /// Writes the footer, signed if there is a key.
    pub fn footer(&mut self, footer: &Footer, key: Option<&AuditKey>, out: &mut Vec<u8>) {
        let line = FooterLine { footer: footer.clone(), note: None, _chain: IgnoredAny };
        let start = self.begin(&line, out);
        self.chain = link(self.chain, out.get(start..).unwrap_or_default());
        if let Some(key) = key {
            let note = Note::sign(signed_text(footer, self.chain), key).to_string();
            out.extend_from_slice(NOTE);
            super::text::text(out, &note);
        }
        self.end(out);
    }

    /// Writes a record around what a worker wrote of it.
    pub fn record(&mut self, seq: u64, told: &[u8], out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(b"{\"seq\":");
        number(out, seq);
        out.push(b',');
        out.extend_from_slice(told);
        self.chain = link(self.chain, out.get(start..).unwrap_or_default());
        self.end(out);
    }

    fn json(&mut self, line: &impl Serialize, out: &mut Vec<u8>) {
        let start = self.begin(line, out);
        self.chain = link(self.chain, out.get(start..).unwrap_or_default());
        self.end(out);
    }

    /// Writes all but the last brace; returns where it begins.
    fn begin(&self, line: &impl Serialize, out: &mut Vec<u8>) -> usize {
        let start = out.len();
        // Of numbers and texts, so that it cannot fail; a line that did would break the chain, visibly.
        let _ = serde_json::to_writer(&mut *out, line);
        out.pop();
        start
    }

    fn end(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(CHAIN);
        out.extend_from_slice(&digits(self.chain));
        out.extend_from_slice(b"\"}\n");
    }
}

/// A hash as 64 digits. By hand: it is done for every record.
fn digits(chain: ChainHash) -> [u8; 64] {
    let mut digits = [0; 64];
    for (pair, byte) in digits.as_chunks_mut::<2>().0.iter_mut().zip(chain.0) {
        *pair = hex(byte);
    }
    digits
}

/// The hash of a line.
#[must_use]
pub fn link(before: ChainHash, body: &[u8]) -> ChainHash {
    ChainHash(Sha256::new().chain_update(before.0).chain_update(body).finalize().into())
}

/// The hashes of lines that stand one after another, each from the hash that is stored with the line before
/// it. What is no line has none, and neither has the line after it, or the first one.
#[derive(Debug, Default)]
pub struct Linker {
    before: Option<ChainHash>,
}

impl Linker {
    /// The next line, without its break.
    pub fn link(&mut self, line: &[u8]) -> Option<Ahead> {
        let parts = Parts::of(line);
        let stored = parts.as_ref().map(|parts| parts.chain);
        let before = std::mem::replace(&mut self.before, stored)?;
        Some(Ahead { before, hash: link(before, parts?.body) })
    }
}

/// What a footer's signature is over.
fn signed_text(footer: &Footer, chain: ChainHash) -> String {
    format!("offergate/decisions\n{}\n{chain}\n", footer.segment)
}

/// Whether a footer was signed with a key.
///
/// # Errors
/// When it was not, or when it says something else since.
pub fn verify_footer(
    footer: &Footer,
    chain: ChainHash,
    note: &str,
    key: &VerifierKey,
) -> Result<(), InvalidNote> {
    let note = Note::parse(note)?;
    note.verify(key)?;
    if note.text == signed_text(footer, chain) { Ok(()) } else { Err(InvalidNote::BadSignature) }
}

impl<'a> Parts<'a> {
    /// Takes a line apart, without its line break. `None` for what is no line of ours.
    #[must_use]
    pub fn of(line: &'a [u8]) -> Option<Self> {
        let (start, end) = line.split_at_checked(line.len().checked_sub(64 + 2)?)?;
        let body = start.strip_suffix(CHAIN)?;
        let chain = ChainHash::from_digits(end.strip_suffix(b"\"}")?)?;
        if let Some(rest) = body.strip_prefix(b"{\"seq\":") {
            let digits = rest.split(|byte| *byte == b',').next()?;
            let seq = std::str::from_utf8(digits).ok()?.parse().ok()?;
            return Some(Self { body, chain, line: Line::Record(seq) });
        }
        if body.starts_with(b"{\"header\":") {
            let HeaderLine { header, .. } = serde_json::from_slice(line).ok()?;
            return Some(Self { body, chain, line: Line::Header(header) });
        }
        if body.starts_with(b"{\"gap\":") {
            let GapLine { gap, .. } = serde_json::from_slice(line).ok()?;
            return Some(Self { body, chain, line: Line::Gap(gap) });
        }
        let FooterLine { footer, note, .. } = serde_json::from_slice(line).ok()?;
        let bare = match note {
            None => body,
            Some(_) => body.get(..body.windows(NOTE.len()).position(|window| window == NOTE)?)?,
        };
        Some(Self { body: bare, chain, line: Line::Footer(footer, note) })
    }

    /// Whether the stored hash follows from the line and the hash before it.
    #[must_use]
    pub fn follows(&self, before: ChainHash) -> bool {
        link(before, self.body) == self.chain
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]
mod tests {
    use super::*;
    use crate::audit::KeyName;

    #[test]
    fn a_hash_is_written_as_it_is_told() {
        let chain = ChainHash(std::array::from_fn(|place| (place * 9) as u8));
        assert_eq!(digits(chain), *chain.to_string().as_bytes());
    }

    #[test]
    fn every_line_reads_back_and_follows_from_the_one_before() {
        let key = AuditKey::from_seed(KeyName::default(), &[4; 32]);
        let at: Timestamp = "2026-11-24T00:00:00Z".parse().unwrap();
        let header = Header {
            format: FORMAT,
            segment: 7,
            begun: at,
            server: "a \"b\"".into(),
            engine: "0.1.0".into(),
            customer_ids: "plain".into(),
            sample: 0.01,
            previous: ChainHash::ZERO.to_string(),
            next_seq: 12,
        };
        let gap = Gap {
            why: Missing::Full,
            count: Some(3),
            from_seq: Some(13),
            to_seq: Some(15),
            after: None,
            at,
            cut_bytes: 0,
        };
        let footer =
            Footer { segment: 7, records: 1, dropped: 3, sampled_out: 9, next_seq: 16, ended: at };
        let mut out = Vec::new();
        let mut chained = Chained { chain: ChainHash::ZERO };
        chained.header(&header, &mut out);
        chained.record(12, b"\"id\":\"x\"", &mut out);
        chained.gap(&gap, &mut out);
        chained.footer(&footer, Some(&key), &mut out);
        let text = String::from_utf8(out).unwrap();
        let mut before = ChainHash::ZERO;
        let mut lines = Vec::new();
        for line in text.lines() {
            let parts = Parts::of(line.as_bytes()).unwrap();
            assert!(parts.follows(before), "{line}");
            assert!(serde_json::from_str::<serde_json::Value>(line).is_ok(), "{line}");
            before = parts.chain;
            lines.push(parts.line);
        }
        let [read_header, record, read_gap, Line::Footer(read_footer, Some(note))] = &lines[..]
        else {
            panic!("{lines:?}")
        };
        assert_eq!(*read_header, Line::Header(header));
        assert_eq!((record, read_gap), (&Line::Record(12), &Line::Gap(gap)));
        assert_eq!(*read_footer, footer);
        assert_eq!(verify_footer(&footer, before, note, &key.verifier()), Ok(()));
        let other = AuditKey::from_seed(KeyName::default(), &[5; 32]).verifier();
        assert_eq!(verify_footer(&footer, before, note, &other), Err(InvalidNote::NotSigned));
        let changed = verify_footer(&footer, ChainHash::ZERO, note, &key.verifier());
        assert_eq!(changed, Err(InvalidNote::BadSignature));
    }
}
