//! Reads a whole log, record after record, and says which one is not what it was, and how.
//!
//! Needs nothing but what it is shown: rows, and what was signed of them. It keeps a path of the tree and
//! a hash, so that a log of any length takes the same memory. After a record that is wrong it goes on from
//! the hash that is stored with it, so that a second wrong record is found as well.
//!
//! What is compared here is bytes. That an entry also reads as a change is what a store makes sure of.
//!
//! Invariant: a log without findings is, up to each checkpoint that was compared, byte for byte the one
//! whose root was signed.

use super::chain::Chain;
use super::tree::{Frontier, TreeHash};
use super::{Ahead, Checkpoint, Finding, Wrong};
use crate::domain::{ChainHash, Revision};
use memchr::memmem::FinderRev;
use std::sync::LazyLock;

/// Most findings that are told; the others are counted.
const MOST_FINDINGS: usize = 100;

/// How many records that stand elsewhere are remembered, to see that the next one follows one of them.
const MOST_MOVED: usize = 64;

/// How many gaps are remembered: each late record looks through them.
const MOST_GAPS: usize = 1024;

/// What is stored of a record.
#[derive(Debug, Clone, Copy)]
pub struct Row<'a> {
    /// The number that it is stored under.
    pub revision: Revision,
    /// The hash that is stored with it.
    pub chain: ChainHash,
    /// The exact bytes.
    pub entry: &'a [u8],
    /// Their place in the tree: worked out by the caller, who may have a thread to spare.
    pub leaf: TreeHash,
    /// The hash of the record, if the caller worked that out as well.
    pub ahead: Option<Ahead>,
}

impl Row<'_> {
    fn hash_after(&self, before: Chain) -> ChainHash {
        Ahead::or_compute(self.ahead, before.hash, || before.hash_with(self.entry))
    }
}

/// How a checkpoint and the log compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compared {
    /// The records up to there are those that were signed.
    Same,
    /// They are not.
    Different,
    /// A record before is wrong, so there is nothing to compare.
    NotReached,
    /// The log is shorter.
    Beyond,
}

/// What was found out about a log.
#[derive(Debug, Clone)]
pub struct Verdict {
    /// How many records there were.
    pub records: u64,
    /// Where the log ends.
    pub end: Chain,
    /// The root over all records, where all of them are sound.
    pub root: Option<TreeHash>,
    /// What is wrong, in the order of the log.
    pub findings: Vec<Finding>,
    /// How many findings there are besides.
    pub more: u64,
    /// The checkpoints in the order of their size, and how each compares.
    pub compared: Vec<(Checkpoint, Compared)>,
}

/// A record whose hash does not follow.
struct Suspect {
    revision: Revision,
    /// What the hash would have to be.
    computed: ChainHash,
}

/// Goes through one log.
pub struct Auditor {
    /// The number of the last record.
    place: Revision,
    /// The hash there; unknown after something that cannot be followed.
    hash: Option<ChainHash>,
    records: u64,
    tree: Frontier,
    /// Still to come, the smallest last.
    marks: Vec<Checkpoint>,
    compared: Vec<(Checkpoint, Compared)>,
    /// The newest size that was signed and is sound.
    agreed: Revision,
    suspect: Option<Suspect>,
    /// Numbers that were left out so far: first and last.
    gaps: Vec<(Revision, Revision)>,
    /// Records in another's place: the number in their entry, and their hash.
    moved: Vec<(Revision, ChainHash)>,
    findings: Vec<Finding>,
    more: u64,
    sound: bool,
}

impl Auditor {
    /// Begins, and will compare the log with these checkpoints, all of one history.
    #[must_use]
    pub fn new(mut checkpoints: Vec<Checkpoint>) -> Self {
        checkpoints.sort_by_key(|checkpoint| std::cmp::Reverse(checkpoint.size));
        let mut auditor = Self {
            place: Revision::ZERO,
            hash: Some(ChainHash::ZERO),
            records: 0,
            tree: Frontier::default(),
            marks: checkpoints,
            compared: Vec::new(),
            agreed: Revision::ZERO,
            suspect: None,
            gaps: Vec::new(),
            moved: Vec::new(),
            findings: Vec::new(),
            more: 0,
            sound: true,
        };
        auditor.compare();
        auditor
    }

    /// Looks at the next record.
    pub fn take(&mut self, row: Row<'_>) {
        self.records += 1;
        let expected = self.place.next();
        if row.revision < expected {
            return self.stands_too_late(row.revision);
        }
        if expected < row.revision {
            self.settle(Wrong::Altered);
            self.sound = false;
            self.leave_out(expected, Revision(row.revision.0 - 1));
            self.hash = None;
        }
        let inside = revision_in(row.entry);
        if self.follows(&row) {
            self.settle(Wrong::Altered);
            if inside != Some(row.revision) {
                self.find(row.revision, row.revision, Wrong::Misnumbered { found: inside });
            }
        } else {
            self.settle(Wrong::Altered);
            self.does_not_follow(&row, inside);
        }
        (self.place, self.hash) = (row.revision, Some(row.chain));
        self.tree.push(row.leaf);
        if self.marks.last().is_some_and(|mark| mark.size <= self.place) {
            self.compare();
        }
    }

    /// Counts a record of which not even the parts can be told.
    pub fn take_unreadable(&mut self, why: &'static str) {
        self.records += 1;
        self.settle(Wrong::Altered);
        self.place = self.place.next();
        self.hash = None;
        self.find(self.place, self.place, Wrong::Unreadable { why });
    }

    /// Ends. `head` is where the log itself says that it ends, if it does.
    #[must_use]
    pub fn finish(mut self, head: Option<Chain>) -> Verdict {
        self.settle(Wrong::Altered);
        for (first, last) in std::mem::take(&mut self.gaps) {
            self.find(first, last, Wrong::Missing);
        }
        let end = Chain { revision: self.place, hash: self.hash.unwrap_or_default() };
        self.look_at_tail(end, head);
        self.findings.sort_by_key(|finding| finding.first);
        while let Some(mark) = self.marks.pop() {
            self.compared.push((mark, Compared::Beyond));
        }
        Verdict {
            records: self.records,
            end,
            root: self.sound.then(|| self.tree.root()),
            findings: self.findings,
            more: self.more,
            compared: self.compared,
        }
    }

    /// What the end of the log shows by what is not there, or should not be.
    fn look_at_tail(&mut self, end: Chain, head: Option<Chain>) {
        let signed = self.marks.iter().map(|mark| mark.size).max().unwrap_or_default();
        let told = head.map_or(Revision::ZERO, |head| head.revision);
        let last = signed.max(told);
        if end.revision < last {
            // A copy that is whole in itself is an earlier one; a log that knows of more was cut.
            let whole = head.is_some_and(|head| head == end);
            let wrong = if whole { Wrong::RolledBack } else { Wrong::Truncated };
            self.find(end.revision.next(), last, wrong);
        }
        match head {
            Some(head) if head.revision < end.revision => {
                self.find(head.revision.next(), end.revision, Wrong::Added);
            }
            // A checkpoint that differs there has been told already.
            Some(head)
                if head.revision == end.revision
                    && head.hash != end.hash
                    && !self.differs_at(head.revision) =>
            {
                self.find(head.revision, head.revision, Wrong::Head);
            }
            _ => {}
        }
    }

    fn differs_at(&self, size: Revision) -> bool {
        let different =
            |(mark, how): &(Checkpoint, Compared)| mark.size == size && *how == Compared::Different;
        self.compared.iter().any(different)
    }

    /// Whether the record's hash follows from what came before it.
    fn follows(&mut self, row: &Row<'_>) -> bool {
        let Some(before) = self.hash else { return true };
        let over = |hash| row.hash_after(Chain { revision: self.place, hash }) == row.chain;
        if over(before) {
            return true;
        }
        // The one before may have had its hash changed, and not its entry.
        if self.suspect.as_ref().is_some_and(|suspect| over(suspect.computed)) {
            self.settle(Wrong::HashAltered);
            return true;
        }
        // Or stand elsewhere, with its hash.
        let place = self.place;
        self.moved.iter().any(|(revision, hash)| *revision == place && over(*hash))
    }

    fn does_not_follow(&mut self, row: &Row<'_>, inside: Option<Revision>) {
        self.sound = false;
        match inside {
            Some(found) if found != row.revision => {
                self.find(row.revision, row.revision, Wrong::Reordered { found });
                if self.moved.len() < MOST_MOVED {
                    self.moved.push((found, row.chain));
                }
            }
            _ => {
                let hash = self.hash.unwrap_or_default();
                let computed = row.hash_after(Chain { revision: self.place, hash });
                self.suspect = Some(Suspect { revision: row.revision, computed });
            }
        }
    }

    /// Remembers a gap: what is missing may yet come.
    fn leave_out(&mut self, first: Revision, last: Revision) {
        if self.gaps.len() < MOST_GAPS {
            self.gaps.push((first, last));
        } else {
            self.find(first, last, Wrong::Missing);
        }
    }

    /// A record whose number had its turn: left out before, or there twice.
    fn stands_too_late(&mut self, revision: Revision) {
        let gap = self.gaps.iter().position(|(first, last)| (*first..=*last).contains(&revision));
        let Some(gap) = gap else {
            return self.find(revision, revision, Wrong::Doubled { after: self.place });
        };
        let (first, last) = self.gaps.swap_remove(gap);
        if first < revision {
            self.gaps.push((first, Revision(revision.0 - 1)));
        }
        if revision < last {
            self.gaps.push((revision.next(), last));
        }
        self.find(revision, revision, Wrong::Late { after: self.place });
    }

    /// Compares all that was signed of the log up to here.
    fn compare(&mut self) {
        while self.marks.last().is_some_and(|mark| mark.size <= self.place) {
            let Some(mark) = self.marks.pop() else { return };
            if !self.sound || mark.size != self.place {
                self.compared.push((mark, Compared::NotReached));
                continue;
            }
            if mark.root == self.tree.root() && Some(mark.chain) == self.hash {
                self.agreed = mark.size;
                self.compared.push((mark, Compared::Same));
            } else {
                let (first, last) = (self.agreed.next().min(mark.size), mark.size);
                self.compared.push((mark, Compared::Different));
                // One story of it is enough: what came before is not what was signed.
                if !self.findings.iter().any(|finding| finding.wrong == Wrong::Rechained) {
                    self.tell(first, last, Wrong::Rechained);
                }
            }
        }
    }

    /// Makes a finding of a suspicion.
    fn settle(&mut self, wrong: Wrong) {
        if let Some(suspect) = self.suspect.take() {
            self.find(suspect.revision, suspect.revision, wrong);
        }
    }

    fn find(&mut self, first: Revision, last: Revision, wrong: Wrong) {
        self.sound = false;
        self.tell(first, last, wrong);
    }

    fn tell(&mut self, first: Revision, last: Revision, wrong: Wrong) {
        if self.findings.len() < MOST_FINDINGS {
            self.findings.push(Finding { first, last, wrong });
        } else {
            self.more += 1;
        }
    }
}

/// The number in an entry, without reading all of it. In JSON a quote inside a text has a backslash
/// before it, so that this key can stand nowhere but as a key; the last one is the entry's own.
fn revision_in(entry: &[u8]) -> Option<Revision> {
    const KEY: &[u8] = b",\"revision\":";
    static LAST_KEY: LazyLock<FinderRev<'_>> = LazyLock::new(|| FinderRev::new(KEY));
    let rest = entry.get(LAST_KEY.rfind(entry)? + KEY.len()..)?;
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    std::str::from_utf8(rest.get(..digits)?).ok()?.parse().ok().map(Revision)
}
