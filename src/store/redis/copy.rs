//! Copies of a history: out of the servers into a file of the embedded store, and from any store into a
//! namespace that holds nothing.
//!
//! Invariant: either copy is there whole and verified, or is refused by whoever opens it.

use super::log::unclear;
use super::scripts::FILL;
use super::{Core, PATIENCE, RedisStore, new_lineage};
use crate::audit::Chain;
use crate::domain::{Lineage, Revision};
use crate::redis::Unanswered;
use crate::store::embedded::{FileJournal, backup_file};
use crate::store::{BoxError, Head, Incarnation, Journal, RuleStore, StoreError};
use std::ffi::OsString;
use std::path::Path;

/// How many records are copied at once, and how many bytes of entries.
const PAGE: usize = 256;
const PAGE_BYTES: usize = 1 << 20;

impl Core {
    /// Writes the log to a new file of the embedded store, of the same lineage.
    ///
    /// The file is made in a folder beside `path` and appears under its name when it is whole.
    pub(super) async fn backup(&self, path: &Path) -> Result<Head, StoreError> {
        let failed =
            |source: BoxError| StoreError::NotWritten { doing: "writing a backup", source };
        if path.symlink_metadata().is_ok() {
            let why = format!("`{}` exists already, and is left as it is", path.display());
            return Err(failed(why.into()));
        }
        let mut name =
            OsString::from(path.file_name().ok_or_else(|| failed("no file name".into()))?);
        name.push(format!(".{}.part", uuid::Uuid::new_v4().simple()));
        let folder = path.with_file_name(name);
        std::fs::create_dir(&folder).map_err(|error| failed(error.into()))?;
        let written = self.write_copy(&folder.join("log.db"), path).await;
        // What is left there is nobody's.
        let _ = std::fs::remove_dir_all(&folder);
        written
    }

    async fn write_copy(&self, draft: &Path, path: &Path) -> Result<Head, StoreError> {
        let failed =
            |source: BoxError| StoreError::NotWritten { doing: "writing a backup", source };
        let end = self.log.newest().await?.head;
        let run = Incarnation::parse(&uuid::Uuid::new_v4().simple().to_string());
        let run = run.ok_or_else(|| failed("no random digits".into()))?;
        let journal = FileJournal::open(draft, &run).map_err(|error| failed(error.into()))?;
        let mut copied = Revision::ZERO;
        journal.follow(&end.lineage, &[]).await?;
        while copied < end.revision {
            let left = usize::try_from(end.revision.0 - copied.0).unwrap_or(PAGE);
            let records = self.log.records(copied, PAGE.min(left)).await?;
            let Some(last) = records.last() else {
                return Err(failed("the history was replaced while it was read".into()));
            };
            copied = last.revision;
            journal.follow(&end.lineage, &records).await?;
        }
        drop(journal);
        let (draft, path) = (draft.to_owned(), path.to_owned());
        let head = tokio::task::spawn_blocking(move || backup_file(&draft, &path))
            .await
            .map_err(|error| failed(error.into()))?
            .map_err(|error| failed(error.into()))?;
        if head == end {
            return Ok(head);
        }
        Err(failed("the history was replaced while it was read".into()))
    }

    async fn fill(&self, arguments: &[&str]) -> Result<(), StoreError> {
        const DOING: &str = "filling a namespace";
        let reply = self.commits.run(&FILL, arguments, PATIENCE, Unanswered::Tell).await;
        let reply = reply.map_err(|trouble| trouble.writing(DOING))?.sound()?;
        match reply.kind.as_str() {
            "OK" => Ok(()),
            "EXISTS" => {
                let source =
                    "the namespace holds a history already, and it is left as it is".into();
                Err(StoreError::NotWritten { doing: DOING, source })
            }
            _ => Err(unclear(DOING)(reply.unexpected())),
        }
    }
}

impl RedisStore {
    /// Fills a namespace that holds nothing with the history of another store, under a new lineage whose
    /// parent is the other's. Returns where it stands. A fill that broke off leaves a namespace that
    /// nobody can use, and can be begun anew.
    ///
    /// # Errors
    /// When either store does not answer, or the namespace holds a history already.
    pub async fn fill_from(&self, source: &dyn RuleStore) -> Result<Head, StoreError> {
        const DOING: &str = "filling a namespace";
        let end = source.load().await?.head;
        let lineage = new_lineage(DOING)?;
        self.fill(vec!["BEGIN".to_owned(), lineage.to_string()]).await?;
        let mut chain = Chain::START;
        while chain.revision < end.revision {
            chain = self.fill_page(source, &lineage, chain).await?;
        }
        if chain.hash != end.chain {
            let source = "the other store's history does not verify".into();
            return Err(StoreError::NotWritten { doing: DOING, source });
        }
        let (revision, hash) = (chain.revision.to_string(), chain.hash.to_string());
        let (parent, limit) = (end.lineage.to_string(), self.core.location.longest_lease());
        self.fill(vec!["END".to_owned(), lineage.to_string(), revision, hash, parent, limit])
            .await?;
        Ok(Head { lineage, ..end })
    }

    async fn fill_page(
        &self,
        source: &dyn RuleStore,
        lineage: &Lineage,
        mut chain: Chain,
    ) -> Result<Chain, StoreError> {
        const DOING: &str = "filling a namespace";
        let broken = |why: BoxError| StoreError::NotWritten { doing: DOING, source: why };
        let records = source.records(chain.revision, PAGE).await?;
        if records.is_empty() {
            return Err(broken("the other store's records end too early".into()));
        }
        let mut page = vec!["MORE".to_owned(), lineage.to_string()];
        let mut bytes = 0;
        for record in &records {
            chain.pass(record).map_err(|error| broken(error.into()))?;
            let entry = record.entry.to_string();
            bytes += entry.len();
            let request = record.content.request_id.as_str().to_owned();
            page.extend([record.revision.to_string(), record.chain.to_string(), request, entry]);
            if PAGE_BYTES < bytes {
                break;
            }
        }
        self.fill(page).await?;
        Ok(chain)
    }

    async fn fill(&self, arguments: Vec<String>) -> Result<(), StoreError> {
        self.write("filling a namespace", |core| async move {
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            core.fill(&arguments).await
        })
        .await
    }
}
