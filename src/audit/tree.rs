//! The Merkle tree of RFC 6962 over the entries: one short proof shows that a record is in the log, or
//! that a longer log begins with a shorter one.
//!
//! `leaf = SHA-256(0x00 || entry)`, `node = SHA-256(0x01 || left || right)`, the left side of a node
//! being the largest power of two that leaves something for the right. Record *n* is leaf *n* - 1.
//!
//! [`Tree`] keeps every complete subtree, 64 bytes a record, and proves anything about any size up to its
//! own; [`Frontier`] keeps a path, and grows. The verifying side is [`verify_inclusion`] and
//! [`verify_consistency`]: they believe nothing but the roots they are given, and end on any input.
//!
//! Invariant: a proof is accepted only if it is exactly the one that a tree with these roots gives.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};
use std::fmt;

/// A hash in the tree: of an entry, or of all below a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TreeHash(pub [u8; 32]);

impl TreeHash {
    /// The hash of one entry.
    #[must_use]
    pub fn leaf(entry: impl AsRef<[u8]>) -> Self {
        Self(Sha256::new().chain_update([0]).chain_update(entry).finalize().into())
    }

    /// The root of a tree without entries.
    #[must_use]
    pub fn empty() -> Self {
        Self(Sha256::new().finalize().into())
    }

    fn node(left: Self, right: Self) -> Self {
        Self(
            Sha256::new()
                .chain_update([1])
                .chain_update(left.0)
                .chain_update(right.0)
                .finalize()
                .into(),
        )
    }

    /// Reads what `Display` wrote.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        STANDARD.decode(text).ok()?.try_into().ok().map(Self)
    }
}

impl fmt::Display for TreeHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&STANDARD.encode(self.0))
    }
}

/// A tree that only grows, and knows its root.
#[derive(Debug, Clone, Default)]
pub struct Frontier {
    size: u64,
    /// The roots of the complete trees that the size is the sum of, largest first.
    peaks: Vec<TreeHash>,
}

impl Frontier {
    /// Adds the next leaf.
    pub fn push(&mut self, leaf: TreeHash) {
        let mut top = leaf;
        for _ in 0..self.size.trailing_ones() {
            let Some(left) = self.peaks.pop() else { break };
            top = TreeHash::node(left, top);
        }
        self.peaks.push(top);
        self.size += 1;
    }

    /// The root.
    #[must_use]
    pub fn root(&self) -> TreeHash {
        let joined =
            self.peaks.iter().rev().copied().reduce(|right, left| TreeHash::node(left, right));
        joined.unwrap_or_else(TreeHash::empty)
    }
}

/// A tree that can prove what it holds.
#[derive(Debug, Clone, Default)]
pub struct Tree {
    /// In each level, the roots of all complete trees of that height, from left to right.
    levels: Vec<Vec<TreeHash>>,
}

impl Tree {
    /// How many leaves there are.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.levels.first().map_or(0, |leaves| u64::try_from(leaves.len()).unwrap_or(u64::MAX))
    }

    /// Adds the next leaf.
    pub fn push(&mut self, leaf: TreeHash) {
        let mut top = leaf;
        for level in &mut self.levels {
            level.push(top);
            match level.as_slice() {
                [.., left, right] if level.len().is_multiple_of(2) => {
                    top = TreeHash::node(*left, *right)
                }
                _ => return,
            }
        }
        self.levels.push(vec![top]);
    }

    /// The hash of a leaf.
    #[must_use]
    pub fn leaf(&self, index: u64) -> Option<TreeHash> {
        self.levels.first()?.get(usize::try_from(index).ok()?).copied()
    }

    /// The root when there were `size` leaves; `None` if there never were so many.
    #[must_use]
    pub fn root(&self, size: u64) -> Option<TreeHash> {
        self.hash(0, size)
    }

    /// Proves that leaf `index` is in the tree of `size` leaves; `None` if it is not.
    #[must_use]
    pub fn prove_inclusion(&self, index: u64, size: u64) -> Option<Vec<TreeHash>> {
        if size <= index || self.size() < size {
            return None;
        }
        let (mut start, mut end, mut proof) = (0, size, Vec::new());
        while 1 < end - start {
            let middle = start + left_part(end - start);
            if index < middle {
                proof.push(self.hash(middle, end)?);
                end = middle;
            } else {
                proof.push(self.hash(start, middle)?);
                start = middle;
            }
        }
        proof.reverse();
        Some(proof)
    }

    /// Proves that the tree of `to` leaves begins with that of `from`; `None` if one is not there.
    #[must_use]
    pub fn prove_consistency(&self, from: u64, to: u64) -> Option<Vec<TreeHash>> {
        if to < from || self.size() < to {
            return None;
        }
        let mut proof = Vec::new();
        if from == 0 || from == to {
            return Some(proof);
        }
        let (mut start, mut end) = (0, to);
        while end != from {
            let middle = start + left_part(end - start);
            if from <= middle {
                proof.push(self.hash(middle, end)?);
                end = middle;
            } else {
                proof.push(self.hash(start, middle)?);
                start = middle;
            }
        }
        // What was the whole old tree needs no telling: its root is known.
        if start != 0 {
            proof.push(self.hash(start, end)?);
        }
        proof.reverse();
        Some(proof)
    }

    /// The root over the leaves from `start` up to `end`, as they stand in the tree.
    fn hash(&self, start: u64, end: u64) -> Option<TreeHash> {
        let length = end - start;
        if length == 0 {
            return Some(TreeHash::empty());
        }
        if length.is_power_of_two() {
            let height = length.trailing_zeros();
            let level = self.levels.get(usize::try_from(height).ok()?)?;
            return level.get(usize::try_from(start >> height).ok()?).copied();
        }
        let middle = start + left_part(length);
        Some(TreeHash::node(self.hash(start, middle)?, self.hash(middle, end)?))
    }
}

/// The largest power of two below `length`, which is at least 2.
fn left_part(length: u64) -> u64 {
    1 << (length - 1).ilog2()
}

/// A proof that proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WrongProof {
    /// No tree of this size can hold what is to be proven.
    #[error("there is no such place in a tree of this size")]
    Sizes,
    /// A tree of this size has proofs of another length.
    #[error("the proof has the wrong length")]
    Length,
    /// The proof leads to another root.
    #[error("the proof leads to another root")]
    Root,
}

/// Verifies that `leaf` is number `index` in the tree of `size` leaves with this root.
///
/// # Errors
/// When the proof does not show that.
pub fn verify_inclusion(
    leaf: TreeHash,
    index: u64,
    size: u64,
    root: TreeHash,
    proof: &[TreeHash],
) -> Result<(), WrongProof> {
    if size <= index {
        return Err(WrongProof::Sizes);
    }
    let mut climb = Climb { place: index, last: size - 1 };
    let mut top = leaf;
    for &other in proof {
        top =
            if climb.is_right()? { TreeHash::node(other, top) } else { TreeHash::node(top, other) };
    }
    climb.ends()?;
    if top == root { Ok(()) } else { Err(WrongProof::Root) }
}

/// Verifies that the tree of `to` leaves begins with that of `from`, each having the root given.
///
/// # Errors
/// When the proof does not show that.
pub fn verify_consistency(
    from: u64,
    to: u64,
    old: TreeHash,
    new: TreeHash,
    proof: &[TreeHash],
) -> Result<(), WrongProof> {
    if to < from {
        return Err(WrongProof::Sizes);
    }
    if from == 0 || from == to {
        let known = if from == to { new } else { TreeHash::empty() };
        return match (proof, old == known) {
            ([], true) => Ok(()),
            ([], false) => Err(WrongProof::Root),
            _ => Err(WrongProof::Length),
        };
    }
    let mut climb = Climb { place: from - 1, last: to - 1 };
    let height = climb.place.trailing_ones();
    climb.rise(height);
    // A complete old tree is a node of the new one; else the proof begins with the last of its parts.
    let (seed, rest) = match proof.split_first() {
        _ if from.is_power_of_two() => (old, proof),
        Some((first, rest)) => (*first, rest),
        None => return Err(WrongProof::Length),
    };
    let (mut before, mut after) = (seed, seed);
    for &other in rest {
        if climb.is_right()? {
            (before, after) = (TreeHash::node(other, before), TreeHash::node(other, after));
        } else {
            after = TreeHash::node(after, other);
        }
    }
    climb.ends()?;
    if before == old && after == new { Ok(()) } else { Err(WrongProof::Root) }
}

/// The way from a leaf to the root.
struct Climb {
    /// The number of the node where we stand, among those of its height.
    place: u64,
    /// The number of the last one.
    last: u64,
}

impl Climb {
    /// Whether the next node of the proof stands to the left of ours, and goes up past both.
    fn is_right(&mut self) -> Result<bool, WrongProof> {
        if self.last == 0 {
            return Err(WrongProof::Length);
        }
        let right = !self.place.is_multiple_of(2) || self.place == self.last;
        if right && self.place.is_multiple_of(2) {
            // The last of an odd number has no neighbour: it moves up as it is until it has one.
            self.rise(self.place.trailing_zeros());
        }
        self.rise(1);
        Ok(right)
    }

    fn rise(&mut self, heights: u32) {
        self.place = self.place.checked_shr(heights).unwrap_or(0);
        self.last = self.last.checked_shr(heights).unwrap_or(0);
    }

    fn ends(&self) -> Result<(), WrongProof> {
        if self.last == 0 { Ok(()) } else { Err(WrongProof::Length) }
    }
}
