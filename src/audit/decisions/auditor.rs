//! Judges the segments of a decision log, line by line, and says which one is not what it was.
//!
//! Invariants: constant memory; a line that is wrong does not make those after it wrong; a gap that the
//! log tells of is no finding, and is told with its numbers.

use super::segment::{FORMAT, Footer, Gap, Header, Line, Parts, link, verify_footer};
use crate::audit::{Ahead, VerifierKey};
use crate::domain::ChainHash;
use std::fmt;

/// Most findings that are kept; the others are counted.
const MOST: usize = 1_000;

/// Something that is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The segment.
    pub segment: u64,
    /// The line in it, from 1; 0 for the segment as a whole.
    pub line: u64,
    /// What.
    pub wrong: Wrong,
}

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wrong {
    /// The line is not what was hashed.
    Altered,
    /// The line is; its hash was changed.
    HashAltered,
    /// Lines before this one are gone: these numbers.
    Deleted {
        /// The first.
        first: u64,
        /// The last.
        last: u64,
    },
    /// It stands after a later one.
    Reordered,
    /// It is no line of a segment, or none that can stand there.
    Unreadable,
    /// The segment is of a format that this version does not know yet.
    LaterFormat {
        /// Which one.
        found: u32,
    },
    /// The footer is gone, and what stood before it may be.
    Truncated,
    /// Whole segments are gone before this one.
    SegmentsGone {
        /// How many.
        count: u64,
    },
    /// It does not go on from the segment before.
    NotContinued,
    /// What its footer counts is not what is there.
    Miscounted,
    /// Nobody signed it with the key.
    NotSigned,
    /// It was changed and chained anew since it was signed.
    Rechained,
}

impl Wrong {
    /// Its stable name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Altered => "ALTERED",
            Self::HashAltered => "HASH_ALTERED",
            Self::Deleted { .. } => "DELETED",
            Self::Reordered => "REORDERED",
            Self::Unreadable => "UNREADABLE",
            Self::LaterFormat { .. } => "LATER_FORMAT",
            Self::Truncated => "TRUNCATED",
            Self::SegmentsGone { .. } => "SEGMENTS_GONE",
            Self::NotContinued => "NOT_CONTINUED",
            Self::Miscounted => "MISCOUNTED",
            Self::NotSigned => "NOT_SIGNED",
            Self::Rechained => "RECHAINED",
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { segment, line, wrong } = self;
        match line {
            0 => write!(f, "segment {segment}: ")?,
            line => write!(f, "segment {segment}, line {line}: ")?,
        }
        match wrong {
            Wrong::Altered => {
                f.write_str("its hash does not follow from it and the line before: it was changed")
            }
            Wrong::HashAltered => f.write_str("its hash was changed; the line is what it was"),
            Wrong::Deleted { first, last } if first == last => {
                write!(f, "number {first} was deleted before it")
            }
            Wrong::Deleted { first, last } => {
                write!(f, "numbers {first} to {last} were deleted before it")
            }
            Wrong::Reordered => f.write_str("it stands after a later line"),
            Wrong::Unreadable => f.write_str("it is no line that can stand there"),
            Wrong::LaterFormat { found } => write!(
                f,
                "the segment has format {found}, and this version reads formats up to {FORMAT}; use the \
                 version that wrote it"
            ),
            Wrong::Truncated => {
                f.write_str("it has no footer, and a later segment follows: its end was cut off")
            }
            Wrong::SegmentsGone { count: 1 } => f.write_str("the segment before it is gone"),
            Wrong::SegmentsGone { count } => write!(f, "the {count} segments before it are gone"),
            Wrong::NotContinued => f.write_str("it does not go on from the segment before"),
            Wrong::Miscounted => f.write_str("its footer counts something else than what is there"),
            Wrong::NotSigned => f.write_str("it is not signed with this key"),
            Wrong::Rechained => {
                f.write_str("its signature does not hold: it was changed and chained anew")
            }
        }
    }
}

/// What was found out about a log.
#[derive(Debug, Default)]
pub struct Verdict {
    /// How many segments were read.
    pub segments: u64,
    /// How many records.
    pub records: u64,
    /// How many of those stand in segments that were signed with the key.
    pub signed: u64,
    /// How many decisions were left out of samples.
    pub sampled_out: u64,
    /// The lowest share that was recorded.
    pub sample: Option<f64>,
    /// The first and the last number, and the number of the first and the last segment.
    pub first_seq: Option<u64>,
    /// The number after the last one.
    pub next_seq: u64,
    /// The last segment, if it is open: it is signed when it is closed.
    pub open: Option<u64>,
    /// The gaps, with their segments.
    pub gaps: Vec<(u64, Gap)>,
    /// What is wrong.
    pub findings: Vec<Finding>,
    /// How many findings there are besides.
    pub more: u64,
}

/// Reads one segment after another.
#[derive(Debug)]
pub struct Auditor<'k> {
    key: Option<&'k VerifierKey>,
    verdict: Verdict,
    /// Where the last line stands, if there was one.
    last: Option<Last>,
    now: Current,
}

#[derive(Debug, Clone, Copy)]
struct Last {
    segment: u64,
    chain: ChainHash,
    next_seq: u64,
    is_closed: bool,
}

/// The segment that is being read.
#[derive(Debug, Default)]
struct Current {
    segment: u64,
    line: u64,
    chain: ChainHash,
    next_seq: u64,
    records: u64,
    dropped: u64,
    is_closed: bool,
    /// A line whose hash did not follow, and what it should have been: the next line tells which of the
    /// two was changed.
    doubtful: Option<(u64, ChainHash)>,
}

impl<'k> Auditor<'k> {
    /// Signatures are looked at if there is a key.
    #[must_use]
    pub fn new(key: Option<&'k VerifierKey>) -> Self {
        Self { key, verdict: Verdict::default(), last: None, now: Current::default() }
    }

    /// The next segment's lines follow.
    pub fn begin(&mut self, segment: u64) {
        self.end();
        self.now = Current { segment, ..Current::default() };
        self.verdict.segments += 1;
        let Some(last) = self.last else { return };
        let gone = segment.saturating_sub(last.segment).saturating_sub(1);
        if 0 < gone {
            self.find(0, Wrong::SegmentsGone { count: gone });
        }
    }

    /// The next line, without its break.
    pub fn take(&mut self, line: &[u8]) {
        self.take_hashed(line, None);
    }

    /// The same, with the line's hash if somebody worked it out.
    pub fn take_hashed(&mut self, line: &[u8], ahead: Option<Ahead>) {
        self.now.line += 1;
        let number = self.now.line;
        let Some(parts) = Parts::of(line) else {
            self.settle(None);
            return self.find(number, Wrong::Unreadable);
        };
        self.settle(Some(&parts));
        match &parts.line {
            Line::Header(header) => return self.header(header, &parts),
            _ if self.now.is_closed || number == 1 => {
                self.now.chain = parts.chain;
                return self.find(number, Wrong::Unreadable);
            }
            Line::Record(_) | Line::Gap(_) | Line::Footer(..) => {}
        }
        let hash = Ahead::or_compute(ahead, self.now.chain, || link(self.now.chain, parts.body));
        let follows = hash == parts.chain;
        let in_place = match &parts.line {
            Line::Record(seq) => self.number(*seq, 1, follows),
            Line::Gap(gap) => self.gap(gap, follows),
            Line::Header(_) | Line::Footer(..) => true,
        };
        if !follows && in_place {
            self.now.doubtful = Some((number, hash));
        }
        self.now.chain = parts.chain;
        match &parts.line {
            Line::Record(_) => {
                self.now.records += 1;
                self.verdict.records += 1;
            }
            Line::Footer(footer, note) => self.footer(footer, note.as_deref()),
            Line::Header(_) | Line::Gap(_) => {}
        }
    }

    /// The segment ends in the middle of a line: as it may while it is written, and never once it is
    /// closed.
    pub fn take_torn(&mut self) {
        self.now.line += 1;
        if self.now.is_closed || self.now.line == 1 {
            self.find(self.now.line, Wrong::Unreadable);
        }
    }

    /// All segments were read.
    #[must_use]
    pub fn finish(mut self) -> Verdict {
        self.end();
        if let Some(last) = self.last {
            self.verdict.next_seq = last.next_seq;
            self.verdict.open = (!last.is_closed).then_some(last.segment);
        }
        self.verdict
    }

    /// Says of a line whose hash did not follow what was changed, now that the next one is known.
    fn settle(&mut self, next: Option<&Parts<'_>>) {
        let Some((line, should_be)) = self.now.doubtful.take() else { return };
        let line_stands =
            next.is_some_and(|next| !next.follows(self.now.chain) && next.follows(should_be));
        if line_stands {
            self.now.chain = should_be;
        }
        self.find(line, if line_stands { Wrong::HashAltered } else { Wrong::Altered });
    }

    fn header(&mut self, header: &Header, parts: &Parts<'_>) {
        let number = self.now.line;
        let previous = ChainHash::parse(&header.previous);
        let before = self.last.map_or(previous.unwrap_or_default(), |last| last.chain);
        // What was cut off from the segment before is told already.
        let is_closed = self.last.is_none_or(|last| last.is_closed);
        let gone = self.last.is_some_and(|last| last.segment + 1 != header.segment);
        if FORMAT < header.format {
            (self.now.chain, self.now.next_seq) = (parts.chain, header.next_seq);
            return self.find(number, Wrong::LaterFormat { found: header.format });
        }
        if number != 1 || header.segment != self.now.segment {
            self.now.chain = parts.chain;
            return self.find(number, Wrong::Unreadable);
        }
        if !parts.follows(previous.unwrap_or_default()) {
            self.find(number, Wrong::Altered);
        } else if !gone && is_closed && previous != Some(before) {
            self.find(number, Wrong::NotContinued);
        } else if let Some(last) = self.last.filter(|last| last.next_seq < header.next_seq && !gone)
        {
            let (first, end) = (last.next_seq, header.next_seq - 1);
            self.find(number, Wrong::Deleted { first, last: end });
        }
        self.now.chain = parts.chain;
        self.now.next_seq = header.next_seq;
        self.verdict.first_seq.get_or_insert(header.next_seq);
        let sample = self.verdict.sample.map_or(header.sample, |known| known.min(header.sample));
        self.verdict.sample = Some(sample);
    }

    /// Moves on over `count` numbers from `seq`; tells whether those are the next ones.
    fn number(&mut self, seq: u64, count: u64, follows: bool) -> bool {
        let expected = self.now.next_seq;
        let in_place = seq == expected;
        if expected < seq {
            let (first, last) = (expected, seq - 1);
            self.find(self.now.line, Wrong::Deleted { first, last });
        } else if seq < expected {
            self.find(self.now.line, Wrong::Reordered);
        }
        if expected <= seq || follows {
            self.now.next_seq = seq.saturating_add(count);
        }
        in_place
    }

    fn gap(&mut self, gap: &Gap, follows: bool) -> bool {
        let in_place = match (gap.from_seq, gap.to_seq, gap.count) {
            (Some(from), Some(to), Some(count))
                if to.checked_sub(from).map(|less| less + 1) == Some(count) =>
            {
                self.now.dropped += count;
                self.number(from, count, follows)
            }
            (None, None, None) => true,
            _ => {
                self.find(self.now.line, Wrong::Unreadable);
                true
            }
        };
        self.verdict.gaps.push((self.now.segment, gap.clone()));
        in_place
    }

    fn footer(&mut self, footer: &Footer, note: Option<&str>) {
        let line = self.now.line;
        self.now.is_closed = true;
        // A footer whose hash does not follow is told as altered, and its signature is over that hash.
        self.settle(None);
        let counts = (footer.segment, footer.records, footer.dropped, footer.next_seq);
        let found = (self.now.segment, self.now.records, self.now.dropped, self.now.next_seq);
        if counts != found {
            self.find(line, Wrong::Miscounted);
        }
        self.verdict.sampled_out += footer.sampled_out;
        let Some(key) = self.key else { return };
        use crate::audit::InvalidNote;
        match note.map(|note| verify_footer(footer, self.now.chain, note, key)) {
            Some(Ok(())) => self.verdict.signed += self.now.records,
            Some(Err(InvalidNote::BadSignature)) => self.find(line, Wrong::Rechained),
            Some(Err(InvalidNote::Malformed | InvalidNote::NotSigned)) | None => {
                self.find(line, Wrong::NotSigned);
            }
        }
    }

    /// The segment's lines have ended.
    fn end(&mut self) {
        self.settle(None);
        if self.now.segment == 0 {
            return;
        }
        if let Some(last) = self.last.filter(|last| !last.is_closed) {
            let wrong = Finding { segment: last.segment, line: 0, wrong: Wrong::Truncated };
            self.push(wrong);
        }
        let Current { segment, chain, next_seq, is_closed, .. } = self.now;
        self.last = Some(Last { segment, chain, next_seq, is_closed });
    }

    fn find(&mut self, line: u64, wrong: Wrong) {
        self.push(Finding { segment: self.now.segment, line, wrong });
    }

    fn push(&mut self, finding: Finding) {
        if self.verdict.findings.len() < MOST {
            self.verdict.findings.push(finding);
        } else {
            self.verdict.more += 1;
        }
    }
}
