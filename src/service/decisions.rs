//! What this server's own decision log says: a decision, decided again, and who was told yes.
//!
//! Reads files, so it works on a thread of its own, one reading at a time: nobody who asks for a year of
//! decisions holds up a change.

use super::change::on_another_thread;
use super::exposures::Exposures;
use super::replay::{ReplayDifference, ReplayRules, key_version, replay};
use super::{Service, ServiceError};
use crate::audit::decisions::folder::{each_line, find_record, segments};
use crate::audit::decisions::segment::{Line, Parts};
use crate::audit::decisions::{CustomerIds, Recorded};
use crate::decision::Involvement;
use crate::domain::{Revision, RuleSet, Timestamp, VendorId};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use uuid::Uuid;

/// Most exposures that are held for an answer.
const MOST_EXPOSURES: usize = 500_000;

impl Service {
    /// Decides a decision of this server again; its record, and what differs.
    ///
    /// # Errors
    /// When it is not in the log, or the log or its rules are not to be had.
    pub async fn replay_decision(
        &self,
        id: Uuid,
    ) -> Result<(String, Vec<ReplayDifference>), ServiceError> {
        let (folder, ids) = self.decision_log()?;
        let _turn = self.readings.acquire().await.map_err(|_| ServiceError::BrokenOff)?;
        let find = move || find_record(&folder, id).map_err(ServiceError::DecisionLog);
        let found = on_another_thread(find).await?;
        let line = found.ok_or_else(|| ServiceError::NotFound {
            kind: "recorded decision",
            id: id.to_string(),
        })?;
        let (revision, token, version) = {
            let record = Recorded::read(&line).map_err(|_| ServiceError::DecisionLogDamaged)?;
            let version = key_version(&record.request.customer.id);
            (Revision(record.revision), record.token.to_string(), version)
        };
        let rules = match token.is_empty() {
            true => None,
            false => Some(self.rules_of(revision, &token).await?),
        };
        let work = move || {
            let key = match &ids {
                CustomerIds::Keyed(key) => Some(key).filter(|key| Some(key.version) == version),
                CustomerIds::Plain => None,
            };
            let rules = rules.map(|rules| match key {
                Some(key) => ReplayRules::keyed(revision, rules, key),
                None => ReplayRules::new(revision, rules),
            });
            let rules = rules.transpose().map_err(ServiceError::Compile)?;
            let record = Recorded::read(&line).map_err(|_| ServiceError::DecisionLogDamaged)?;
            let differences = replay(&record, rules.as_ref())?;
            drop(record);
            Ok((line, differences))
        };
        on_another_thread(work).await
    }

    /// Everybody who was told yes, between two instants, for what a vendor is behind.
    ///
    /// # Errors
    /// When there are too many, or when the log or rules of it are not to be had.
    pub async fn exposures(
        &self,
        vendor: VendorId,
        from: Timestamp,
        until: Timestamp,
    ) -> Result<Exposures, ServiceError> {
        let (folder, _) = self.decision_log()?;
        let _turn = self.readings.acquire().await.map_err(|_| ServiceError::BrokenOff)?;
        let (asked, empty) = (folder.clone(), Exposures::between(from, until));
        let places = on_another_thread(move || places_in(&asked, &empty)).await?;
        let mut behind = BTreeMap::new();
        for (revision, token) in places {
            let (rules, vendor) =
                (self.rules_of(Revision(revision), &token).await?, vendor.clone());
            let involve = move || Involvement::of(&rules, &vendor).map_err(ServiceError::Compile);
            behind.insert(token, on_another_thread(involve).await?);
        }
        let count = move || count(&folder, Exposures::between(from, until), &behind);
        on_another_thread(count).await
    }

    /// Where decisions are recorded, and how customers are named there.
    fn decision_log(&self) -> Result<(PathBuf, CustomerIds), ServiceError> {
        let recorder = self.recorder.get().ok_or(ServiceError::NoDecisionLog)?;
        Ok((recorder.folder().to_owned(), recorder.ids().clone()))
    }

    /// The rules at a place in history.
    async fn rules_of(&self, revision: Revision, token: &str) -> Result<RuleSet, ServiceError> {
        let loaded = self.rules_at(Some(revision)).await?;
        match loaded.head.token().to_string() == token {
            true => Ok(loaded.rules),
            false => Err(ServiceError::HistoryChanged { revision }),
        }
    }
}

/// The places in history that decisions rest on which may be exposures.
fn places_in(folder: &Path, asked: &Exposures) -> Result<BTreeSet<(u64, String)>, ServiceError> {
    let mut places = BTreeSet::new();
    each(folder, |line, parts| {
        if let Line::Record(_) = parts.line {
            let record = read(line)?;
            if asked.may_be(&record) {
                places.insert((record.revision, record.token.to_string()));
            }
        }
        Ok(())
    })?;
    Ok(places)
}

fn count(
    folder: &Path,
    mut found: Exposures,
    behind: &BTreeMap<String, Involvement>,
) -> Result<Exposures, ServiceError> {
    each(folder, |line, parts| {
        match parts.line {
            Line::Header(header) => found.take_sample(header.sample),
            Line::Gap(gap) => found.take_gap(&gap),
            Line::Footer(..) => {}
            Line::Record(_) => {
                let record = read(line)?;
                // What was recorded since the places were looked up is for the next one who asks.
                let behind = behind.get(&*record.token).filter(|_| found.may_be(&record));
                if let Some(behind) = behind {
                    found.take(&record, behind);
                }
            }
        }
        let (given, most) = (found.len(), MOST_EXPOSURES);
        if most < given {
            let what = "exposures; `offergate audit exposures` takes any number";
            return Err(ServiceError::TooMuch { what, given, most });
        }
        Ok(())
    })?;
    Ok(found)
}

fn read(line: &[u8]) -> Result<Recorded<'_>, ServiceError> {
    let text = std::str::from_utf8(line).map_err(|_| ServiceError::DecisionLogDamaged)?;
    Recorded::read(text).map_err(|_| ServiceError::DecisionLogDamaged)
}

/// Shows every whole line of a log.
fn each(
    folder: &Path,
    mut take: impl FnMut(&[u8], Parts<'_>) -> Result<(), ServiceError>,
) -> Result<(), ServiceError> {
    for segment in segments(folder).map_err(ServiceError::DecisionLog)? {
        let mut broken = None;
        let read = segment.open().and_then(|lines| {
            each_line(lines, |line, is_whole| {
                if is_whole {
                    let parts = Parts::of(line).ok_or(ServiceError::DecisionLogDamaged);
                    broken = parts.and_then(|parts| take(line, parts)).err();
                }
                Ok::<_, io::Error>(broken.is_none())
            })
        });
        read.map_err(ServiceError::DecisionLog)?;
        if let Some(error) = broken {
            return Err(error);
        }
    }
    Ok(())
}
