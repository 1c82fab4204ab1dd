//! When a change is enforced: pure, on what the store says and what the boot-time clock read.
//!
//! A change is enforced once no replica can answer from before it: each has it in effect, or has no
//! lease left. What is on the store's list of replicas counts only if that list is known to be
//! complete; else there is nothing to do but wait until every lease there could be has run out.
//!
//! Invariants: the wait is counted from after the change was on every node that could be promoted; a
//! list of replicas is complete only once all nodes have followed this one reign for as long as a
//! lease can run, counted from when they confirmed that and not from when they were asked.

use super::lease::{BootTime, Terms};
use crate::store::{Fleet, Head, Reign, ReplicaName, Standing};

/// What is known of the reign that answers now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reigns {
    newest: Option<(Reign, Option<BootTime>)>,
}

impl Reigns {
    /// Somebody answered. Another reign than before starts from nothing.
    pub fn saw(&mut self, reign: &Reign) {
        if self.newest.as_ref().is_none_or(|(newest, _)| newest != reign) {
            self.newest = Some((reign.clone(), None));
        }
    }

    /// All nodes had confirmed, by `at`, that they follow this reign.
    pub fn all_followed(&mut self, reign: &Reign, at: BootTime) {
        self.saw(reign);
        if let Some((_, since @ None)) = &mut self.newest {
            *since = Some(at);
        }
    }

    /// Whether nobody has yet seen all nodes follow the newest reign.
    #[must_use]
    pub fn needs_confirmation(&self) -> bool {
        matches!(self.newest, Some((_, None)))
    }

    /// Whether every lease that is still running was granted in this reign, and so is on its list.
    #[must_use]
    pub fn list_is_complete(&self, reign: &Reign, now: BootTime, terms: &Terms) -> bool {
        match &self.newest {
            Some((newest, Some(since))) => newest == reign && terms.all_leases_end(*since) <= now,
            _ => false,
        }
    }
}

/// One change on its way to being enforced. It is durable already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Barrier {
    place: Head,
    reign: Reign,
    leases_end: BootTime,
}

/// How far a change is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// No replica can answer from before the change any more.
    Enforced {
        /// Those that have it in effect.
        confirmed: Vec<ReplicaName>,
        /// Those that have not, and whose leases have run out.
        expired: Vec<ReplicaName>,
    },
    /// Some may.
    Waiting {
        /// Those that have it in effect.
        confirmed: Vec<ReplicaName>,
        /// Those that have not said so yet.
        missing: Vec<ReplicaName>,
    },
    /// Another primary reigns: the change must be seen to be on every node again.
    OtherReign,
    /// The change is not part of the store's history, or the history has forked.
    Lost,
}

impl Barrier {
    /// Begins at `now`, which was read after every node had confirmed the change in this reign.
    #[must_use]
    pub fn begin(place: Head, reign: Reign, now: BootTime, terms: &Terms) -> Self {
        Self { place, reign, leases_end: terms.all_leases_end(now) }
    }

    /// The change.
    #[must_use]
    pub fn place(&self) -> &Head {
        &self.place
    }

    /// When the wait is over at the latest.
    #[must_use]
    pub fn leases_end(&self) -> BootTime {
        self.leases_end
    }

    /// How far the change is, by what the store said of [`Barrier::place`] after `now` was read.
    #[must_use]
    pub fn look(&self, fleet: &Fleet, reigns: &Reigns, now: BootTime, terms: &Terms) -> Verdict {
        match fleet.standing {
            Standing::Newest | Standing::Behind => {}
            _ => return Verdict::Lost,
        }
        if fleet.reign != self.reign {
            return Verdict::OtherReign;
        }
        let (confirmed, others): (Vec<_>, Vec<_>) =
            fleet.members.iter().partition(|member| self.place.revision <= member.revision);
        let names = |members: Vec<&crate::store::Sighting>| {
            members.into_iter().map(|member| member.name.clone()).collect()
        };
        let (confirmed, others) = (names(confirmed), names(others));
        if self.leases_end <= now {
            return Verdict::Enforced { confirmed, expired: others };
        }
        if others.is_empty() && reigns.list_is_complete(&self.reign, now, terms) {
            return Verdict::Enforced { confirmed, expired: others };
        }
        Verdict::Waiting { confirmed, missing: others }
    }
}
