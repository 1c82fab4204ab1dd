//! What replicas share, in memory: the same answers as any other shared store gives, of one node that
//! never fails.
//!
//! It knows no time, so a name stays taken until its holder leaves, is forgotten or is replaced.

use super::{MemoryStore, State};
use crate::domain::{ChainHash, Revision};
use crate::store::{
    Confirmation, Fleet, Head, Incarnation, Reign, Renewal, Report, SharedStore, Shortfall,
    Sighting, Standing, StoreError,
};
use futures_util::future::{BoxFuture, ready};
use std::time::Duration;

impl MemoryStore {
    /// Marks the history as forked, as a replica of another history would.
    pub fn fork(&self) {
        self.lock().forked = true;
    }

    /// Another primary reigns, with the same history.
    pub fn begin_reign(&self, name: &str) {
        self.lock().reign = Reign(name.into());
    }

    /// Lets leases run for this long at most, from now on.
    pub fn allow(&self, limit: Duration) {
        self.lock().limit = limit;
    }

    /// Loses the records after a revision, as a fail-over to a node that was behind would.
    pub fn lose_after(&self, revision: Revision) {
        let kept = usize::try_from(revision.0).unwrap_or(usize::MAX);
        self.lock().records.truncate(kept);
    }
}

impl State {
    fn newest(&self) -> Revision {
        self.head().revision
    }

    fn standing(&self, place: &Head) -> Standing {
        if place.lineage != self.lineage {
            let (lineage, ancestors) = (self.lineage.clone(), self.ancestors.clone());
            return Standing::OtherLineage { lineage, ancestors };
        }
        let part = match place.revision {
            Revision::ZERO => place.chain == ChainHash::ZERO,
            Revision(number) => {
                let at = usize::try_from(number - 1).ok().and_then(|at| self.records.get(at));
                at.is_some_and(|record| record.chain == place.chain)
            }
        };
        match (part && !self.forked, place.revision == self.newest()) {
            (false, _) => Standing::Forked { part },
            (true, true) => Standing::Newest,
            (true, false) => Standing::Behind,
        }
    }

    fn renew(&mut self, report: &Report) -> Renewal {
        let standing = self.standing(&report.applied);
        let (newest, reign) = (self.newest(), self.reign.clone());
        let answer = |standing| Renewal { standing, newest, reign };
        match standing {
            Standing::OtherLineage { .. } => return answer(standing),
            Standing::Forked { part: false } => {
                self.forked = true;
                return answer(standing);
            }
            _ => {}
        }
        if self.limit < report.limit {
            return answer(Standing::LimitTooLong { allowed: self.limit });
        }
        let mine = self.members.get(&report.incarnation).map(|(_, seen)| seen);
        if let Some(other) = mine.filter(|seen| seen.name != report.name) {
            return answer(Standing::NameTaken { address: other.address.clone() });
        }
        let mine = mine.map(|seen| seen.beats);
        if mine.is_none() {
            let ended = report.predecessor.as_ref();
            let other = self
                .members
                .values()
                .map(|(_, seen)| seen)
                .find(|seen| seen.name == report.name && Some(&seen.incarnation) != ended);
            if let Some(other) = other {
                return answer(Standing::NameTaken { address: other.address.clone() });
            }
            let is_full = report.room.is_some_and(|room| {
                let names = self.members.values().map(|(_, seen)| seen.name.as_str());
                room.most <= names.filter(|name| name.starts_with(room.prefix)).count()
            });
            if is_full {
                return answer(Standing::NoRoom);
            }
            self.members.retain(|incarnation, (_, seen)| {
                seen.name != report.name || Some(incarnation) != ended
            });
        }
        let Head { lineage, revision, chain } = report.applied.clone();
        let seen = Sighting {
            name: report.name.clone(),
            incarnation: report.incarnation.clone(),
            address: report.address.clone(),
            revision,
            chain,
            beats: mine.unwrap_or(0) + 1,
        };
        self.members.insert(report.incarnation.clone(), (lineage, seen));
        answer(standing)
    }

    fn fleet(&self, place: &Head) -> Fleet {
        let members = self.members.values().map(|(lineage, seen)| match *lineage == self.lineage {
            true => seen.clone(),
            // Who reported in another history has nothing of this one in effect.
            false => Sighting { revision: Revision::ZERO, chain: ChainHash::ZERO, ..seen.clone() },
        });
        let mut members: Vec<Sighting> = members.collect();
        members.sort_by(|one, other| {
            (&one.name, &one.incarnation).cmp(&(&other.name, &other.incarnation))
        });
        let (standing, newest) = (self.standing(place), self.newest());
        Fleet { standing, newest, reign: self.reign.clone(), limit: self.limit, members }
    }
}

impl SharedStore for MemoryStore {
    fn head(&self) -> BoxFuture<'_, Result<Option<Head>, StoreError>> {
        let state = self.lock();
        let head = if state.forked { Err(StoreError::Forked) } else { Ok(Some(state.head())) };
        Box::pin(ready(head))
    }

    fn renew<'a>(&'a self, report: &'a Report) -> BoxFuture<'a, Result<Renewal, StoreError>> {
        Box::pin(ready(Ok(self.lock().renew(report))))
    }

    fn leave<'a>(&'a self, incarnation: &'a Incarnation) -> BoxFuture<'a, Result<(), StoreError>> {
        self.lock().members.remove(incarnation);
        Box::pin(ready(Ok(())))
    }

    fn fleet<'a>(&'a self, place: &'a Head) -> BoxFuture<'a, Result<Fleet, StoreError>> {
        Box::pin(ready(Ok(self.lock().fleet(place))))
    }

    fn forget<'a>(&'a self, gone: &'a [Sighting]) -> BoxFuture<'a, Result<(), StoreError>> {
        self.lock().members.retain(|incarnation, (_, seen)| {
            !gone.iter().any(|gone| gone.incarnation == *incarnation && gone.beats == seen.beats)
        });
        Box::pin(ready(Ok(())))
    }

    fn confirm<'a>(
        &'a self,
        place: &'a Head,
        _limit: Duration,
    ) -> BoxFuture<'a, Result<Confirmation, StoreError>> {
        let state = self.lock();
        let (standing, reign, limit) = (state.standing(place), state.reign.clone(), state.limit);
        Box::pin(ready(Ok(Confirmation { standing, reign, limit, copies: 1, nodes: 1 })))
    }

    fn next_change(
        &self,
        revision: Revision,
        limit: Duration,
    ) -> BoxFuture<'_, Result<(), StoreError>> {
        let mut newest = self.newest.subscribe();
        Box::pin(async move {
            // Over in time or not: either is only a hint.
            let _ = tokio::time::timeout(limit, newest.wait_for(|newest| revision < *newest)).await;
            Ok(())
        })
    }

    fn shortfalls(&self) -> BoxFuture<'_, Result<Vec<Shortfall>, StoreError>> {
        Box::pin(ready(Ok(Vec::new())))
    }
}
