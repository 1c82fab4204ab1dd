//! Where a ledger in Redis is, and the names of its keys.
//!
//! Invariant: all keys of one mailing share one hash tag, and so one slot of a cluster.

use crate::ledger::{PROOFS, Place, Tag};
use crate::redis::Access;
use std::fmt;
use std::time::Duration;

/// Into how many hashes the recipients of a block go. A block has 4,096 rows: so a hash holds some 64, which
/// servers keep as one compact list (up to 512 unless told otherwise), and finds one in microseconds.
const BUCKETS: u8 = 64;

/// Everything that is needed to reach a mailing's ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedisPlace {
    access: Access,
    mailing: String, // INVARIANT: 1 to 64 letters, digits, `-`, `_`, `.`.
    shown: String,
    /// How many nodes could be promoted, the primary included. What is written is on all of them.
    pub nodes: u32,
    /// After how long without a word from its sender somebody else may take over.
    pub lease: Duration,
}

impl RedisPlace {
    /// The ledger of a mailing; `shown` is how people write where it is. Nothing for a name that would move its
    /// keys to another slot.
    #[must_use]
    pub fn new(access: Access, mailing: &str, shown: String) -> Option<Self> {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        let mailing = ((1..=64).contains(&mailing.len()) && mailing.bytes().all(fits))
            .then(|| mailing.to_owned())?;
        Some(Self { access, mailing, shown, nodes: 1, lease: Duration::from_secs(10) })
    }

    /// The way there.
    pub(super) fn access(&self) -> Access {
        self.access.clone()
    }

    /// The keys that every script gets.
    pub(super) fn keys(&self) -> Vec<String> {
        ["head", "facts", "hows", "totals", "open", "doubt"].map(|part| self.key(part)).into()
    }

    /// The keys of a block.
    pub(super) fn buckets(&self, block: i64) -> Vec<String> {
        (0..BUCKETS).map(|bucket| self.bucket(block, bucket)).collect()
    }

    /// The key of a bucket.
    pub(super) fn bucket(&self, block: i64, bucket: u8) -> String {
        self.key(&format!("{block}:{bucket}"))
    }

    fn key(&self, part: &str) -> String {
        format!("{{offergate-ledger:{}}}:{part}", self.mailing)
    }
}

impl fmt::Display for RedisPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` in {}", self.mailing, self.shown)
    }
}

/// Which bucket of its block a recipient is in: tags are as good as random.
pub(super) fn bucket_of(tag: Tag) -> u8 {
    let [first, ..] = tag.0;
    first % BUCKETS
}

/// A place as scripts keep it in a set. Proofs are 8 times 255, as the script knows them.
pub(super) fn member(bytes: &[u8]) -> Option<Place> {
    let (block, tag) = bytes.split_first_chunk::<8>()?;
    let tag = Tag(<[u8; 16]>::try_from(tag).ok()?);
    Some(Place { block: i64::from_be_bytes(*block), tag })
}

const _: () = assert!(PROOFS == -1);
