//! The chain: each record's hash covers its entry and, through the hash before it, all of history.
//!
//! `hash(n) = SHA-256(hash(n-1) || length || entry)`: 32 bytes, zero before the first record; the
//! entry's length in bytes, 8 bytes big-endian; the entry's bytes as they are stored. An auditor
//! needs no code of ours:
//!
//! ```sh
//! { printf %s "$PREVIOUS" | xxd -r -p; printf %016x "${#ENTRY}" | xxd -r -p; printf %s "$ENTRY"; } | sha256sum
//! ```
//!
//! (in the C locale, where `${#ENTRY}` counts bytes). What the chain cannot show by itself is a tail
//! that was cut off: compare its end with a head, token or copy kept elsewhere.
//!
//! Invariant: a [`Chain`] moves only from one record to the very next, and only over one that
//! verifies.

use super::entry::{self, EntryError, Unrecordable};
use super::{NewRecord, Record};
use crate::domain::{ChainHash, Revision};
use sha2::{Digest, Sha256};

/// A place in the chain: the last record that was followed, and the hash there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chain {
    /// The number of the last record.
    pub revision: Revision,
    /// The hash at that record.
    pub hash: ChainHash,
}

/// The first record at which a chain does not hold.
#[derive(Debug, thiserror::Error)]
#[error("the chain of records is broken at revision {revision}")]
pub struct Broken {
    /// Where the next good record should have been.
    pub revision: Revision,
    /// What is wrong there.
    #[source]
    pub why: Why,
}

/// What is wrong with a record.
#[derive(Debug, thiserror::Error)]
pub enum Why {
    /// A record is missing, doubled or out of its place.
    #[error("record {found} stands in its place")]
    OutOfPlace {
        /// The number that was found.
        found: Revision,
    },

    /// The record, or one before it, is not what was hashed.
    #[error("the hash stored with the record does not follow from its content and the hash before")]
    Hash,

    /// The entry hashes well, but belongs elsewhere.
    #[error("its entry speaks of revision {found}")]
    OtherRevision {
        /// The revision in the entry.
        found: Revision,
    },

    /// The entry hashes well, but does not read.
    #[error("its entry does not read")]
    Entry(#[from] EntryError),

    /// A record handed over as a value says something else than its entry.
    #[error("it says something else than its entry")]
    OtherContent,
}

impl Chain {
    /// Before the first record.
    pub const START: Self = Self { revision: Revision::ZERO, hash: ChainHash::ZERO };

    /// The record that `content` becomes if it comes next, and its entry. The chain stays where it
    /// is: a record that is not stored has not happened.
    ///
    /// # Errors
    /// When the content would read back as something else.
    pub fn next(&self, content: &NewRecord) -> Result<(Record, String), Unrecordable> {
        let revision = self.revision.next();
        let entry = entry::encode(revision, content)?;
        let chain = self.hash_with(&entry);
        let text = entry.as_str().into();
        Ok((Record { revision, chain, content: content.clone(), entry: text }, entry))
    }

    /// Moves over a stored record, if it is the next one and verifies.
    ///
    /// # Errors
    /// When it does not; the chain then stays where it is.
    pub fn follow(
        &mut self,
        revision: Revision,
        hash: ChainHash,
        entry: &str,
    ) -> Result<Record, Broken> {
        let content = self.read(revision, hash, entry)?;
        Ok(Record { revision, chain: hash, content, entry: entry.into() })
    }

    /// As [`Chain::follow`], for who keeps no record: an entry can be as long as a rule file.
    ///
    /// # Errors
    /// When the record does not follow; the chain then stays where it is.
    pub fn read(
        &mut self,
        revision: Revision,
        hash: ChainHash,
        entry: &str,
    ) -> Result<NewRecord, Broken> {
        let expected = self.revision.next();
        let broken = |why| Broken { revision: expected, why };
        if revision != expected {
            return Err(broken(Why::OutOfPlace { found: revision }));
        }
        if hash != self.hash_with(entry) {
            return Err(broken(Why::Hash));
        }
        let (found, content) = entry::decode(entry).map_err(|error| broken(error.into()))?;
        if found != revision {
            return Err(broken(Why::OtherRevision { found }));
        }
        *self = Self { revision, hash };
        Ok(content)
    }

    /// Whether a record comes next and its hash follows. What its entry says was read when the record
    /// was.
    #[must_use]
    pub fn leads_to(&self, record: &Record) -> bool {
        record.revision == self.revision.next()
            && record.chain == self.hash_with(record.entry.as_bytes())
    }

    /// Moves over a record that was handed over as a value, if it is the next one, verifies, and says
    /// what its entry says.
    ///
    /// # Errors
    /// When it does not; the chain then stays where it is.
    pub fn pass(&mut self, record: &Record) -> Result<(), Broken> {
        let mut next = *self;
        let read = next.follow(record.revision, record.chain, &record.entry)?;
        if read != *record {
            return Err(Broken { revision: record.revision, why: Why::OtherContent });
        }
        *self = next;
        Ok(())
    }

    /// The hash of the next record, if this is its entry.
    pub(super) fn hash_with(&self, entry: impl AsRef<[u8]>) -> ChainHash {
        let entry = entry.as_ref();
        let length = u64::try_from(entry.len()).unwrap_or(u64::MAX);
        let mut hasher = Sha256::new();
        hasher.update(self.hash.0);
        hasher.update(length.to_be_bytes());
        hasher.update(entry);
        ChainHash(hasher.finalize().into())
    }
}

/// Verifies a whole history, from its first record; returns where it ends.
///
/// # Errors
/// Names the first record that is missing, out of place or altered.
pub fn verify<'a>(records: impl IntoIterator<Item = &'a Record>) -> Result<Chain, Broken> {
    let mut chain = Chain::START;
    for record in records {
        chain.pass(record)?;
    }
    Ok(chain)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]
mod tests {
    use super::*;
    use crate::audit::record::samples::content;

    fn history(length: u64) -> Vec<Record> {
        let mut chain = Chain::START;
        (1..=length)
            .map(|number| {
                let (record, entry) = chain.next(&content(number)).unwrap();
                chain.follow(record.revision, record.chain, &entry).unwrap()
            })
            .collect()
    }

    #[test]
    fn the_hash_is_the_documented_formula_over_the_entry() {
        let (first, entry) = Chain::START.next(&content(1)).unwrap();
        let mut bytes = vec![0; 32];
        bytes.extend(u64::try_from(entry.len()).unwrap().to_be_bytes());
        bytes.extend(entry.as_bytes());
        assert_eq!(first.chain.0, <[u8; 32]>::from(Sha256::digest(&bytes)));
    }

    #[test]
    fn a_whole_history_verifies_and_ends_at_its_last_record() {
        let records = history(5);
        let end = verify(&records).unwrap();
        assert_eq!(end, Chain { revision: Revision(5), hash: records[4].chain });
        assert_eq!(verify(&[]).unwrap(), Chain::START);
    }

    #[test]
    fn whatever_is_done_to_a_history_the_first_bad_record_is_named() {
        type Tamper = fn(&mut Vec<Record>);
        let cases: [(&str, u64, Tamper); 7] = [
            ("a word changed", 3, |records| records[2].content.reason.push('.')),
            ("an author changed", 1, |records| records[0].content.author.name = "eve".into()),
            ("a record removed", 2, |records| drop(records.remove(1))),
            ("two records swapped", 2, |records| records.swap(1, 2)),
            ("a record doubled", 3, |records| records.insert(2, records[1].clone())),
            ("a record renumbered", 4, |records| records[3].revision = Revision(9)),
            ("a hash changed", 5, |records| records[4].chain.0[31] ^= 1),
        ];
        for (what, expected, tamper) in cases {
            let mut records = history(5);
            tamper(&mut records);
            let broken = verify(&records).unwrap_err();
            assert_eq!(broken.revision, Revision(expected), "{what}: {broken:?}");
        }
    }

    #[test]
    fn a_record_that_does_not_verify_does_not_move_the_chain() {
        let mut chain = Chain::START;
        let (record, entry) = chain.next(&content(1)).unwrap();
        assert!(chain.follow(record.revision, record.chain, &entry.replace("ann", "eve")).is_err());
        assert_eq!(chain, Chain::START);
    }
}
