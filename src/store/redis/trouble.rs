//! What trouble with a server means to whoever uses the store.

use crate::redis::Trouble;
use crate::store::StoreError;

impl Trouble {
    /// The same, to whoever wanted to read.
    pub(super) fn reading(self, doing: &'static str) -> StoreError {
        StoreError::Unavailable { doing, source: self.source() }
    }

    /// The same, to whoever wanted to write.
    pub(super) fn writing(self, doing: &'static str) -> StoreError {
        match self {
            Self::Refused(source) => StoreError::NotWritten { doing, source },
            other => other.reading(doing),
        }
    }
}
