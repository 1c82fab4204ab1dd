//! What the store's scripts say of a history, read from their replies.

use crate::domain::{ChainHash, Lineage, Revision};
use crate::redis::Reply;
use crate::store::{BoxError, Reign, StoreError};

impl Reply {
    /// The failures that all scripts share; else a reply that says something of the history.
    pub(super) fn sound(mut self) -> Result<Self, StoreError> {
        match self.kind.as_str() {
            "CORRUPT" => {
                let place = self.text().unwrap_or_else(|_| "the store".to_owned());
                let why = self.text().unwrap_or_else(|_| "it does not read".to_owned());
                Err(StoreError::Corrupt { place, source: why.into() })
            }
            _ => Ok(self),
        }
    }

    pub(super) fn reign(&mut self) -> Result<Reign, BoxError> {
        Ok(Reign(self.text()?.into()))
    }

    pub(super) fn revision(&mut self) -> Result<Revision, BoxError> {
        Ok(Revision(self.count()?))
    }

    pub(super) fn chain(&mut self) -> Result<ChainHash, BoxError> {
        let text = self.text()?;
        ChainHash::parse(&text).ok_or_else(|| "a reply of the store holds no hash".into())
    }

    pub(super) fn lineage(&mut self) -> Result<Lineage, BoxError> {
        let text = self.text()?;
        Lineage::parse(&text).ok_or_else(|| "a reply of the store holds no lineage".into())
    }

    /// Lineages with commas between, or an empty text for none.
    pub(super) fn ancestors(&mut self) -> Result<Vec<Lineage>, BoxError> {
        let text = self.text()?;
        let ancestors = text.split_terminator(',').map(Lineage::parse);
        ancestors
            .collect::<Option<_>>()
            .ok_or_else(|| "a reply of the store holds no lineage".into())
    }
}
