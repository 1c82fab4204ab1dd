//! When a change is enforced: pure, on what the store says and what the boot-time clock read.
//!
//! A change is enforced once no replica can answer from before it: each has it in effect, or has no
//! lease left. What is on the store's list of replicas counts only if that list is known to be
//! complete; else there is nothing to do but wait until every lease there could be has run out.
//!
//! Invariants: the wait is counted from after the change was on every node that could be promoted; a
//! list of replicas is complete only once all nodes have followed this one reign for as long as a
//! lease can run, counted from when they confirmed that and not from when they were asked.

use super::bugs::{self, Bug};
use crate::clock::{BootTime, Terms};
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
    /// Another history took the place of the one that the change was looked for in.
    OtherLineage,
    /// The change is not part of the store's history.
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
        let is_forked = match fleet.standing {
            Standing::Newest | Standing::Behind => false,
            // The change is there all the same: people decide what else is.
            Standing::Forked { part: true } => true,
            Standing::OtherLineage { .. } => return Verdict::OtherLineage,
            _ => return Verdict::Lost,
        };
        if fleet.reign != self.reign {
            return Verdict::OtherReign;
        }
        let (confirmed, others): (Vec<_>, Vec<_>) =
            fleet.members.iter().partition(|member| self.place.revision <= member.revision);
        let names = |members: Vec<&crate::store::Sighting>| {
            members.into_iter().map(|member| member.name.clone()).collect()
        };
        let (confirmed, others) = (names(confirmed), names(others));
        if is_forked {
            return Verdict::Waiting { confirmed, missing: others };
        }
        if self.leases_end <= now {
            return Verdict::Enforced { confirmed, expired: others };
        }
        let complete = reigns.list_is_complete(&self.reign, now, terms);
        if others.is_empty() && (complete || bugs::has(Bug::EarlyRelease)) {
            return Verdict::Enforced { confirmed, expired: others };
        }
        Verdict::Waiting { confirmed, missing: others }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use crate::domain::{ChainHash, Lineage, Revision};
    use crate::store::{Incarnation, Sighting};
    use std::time::Duration;

    /// All leases have ended 10.12 s after an instant: 1 % for drift, and 20 ms.
    const TERMS: Terms = Terms::of(Duration::from_secs(10));
    const BEGUN: BootTime = Duration::from_secs(100);

    fn after(millis: u64) -> BootTime {
        BEGUN + Duration::from_millis(millis)
    }

    fn reign(name: &str) -> Reign {
        Reign(name.into())
    }

    fn place(revision: u64) -> Head {
        let lineage = Lineage::parse(&"a".repeat(32)).unwrap();
        Head { lineage, revision: Revision(revision), chain: ChainHash::ZERO }
    }

    fn name(name: &str) -> ReplicaName {
        ReplicaName::parse(name).unwrap()
    }

    /// What the store says in reign `r1` of a fleet that holds these revisions.
    fn fleet(members: &[(&str, u64)]) -> Fleet {
        let sighting = |(member, revision): &(&str, u64)| Sighting {
            name: name(member),
            incarnation: Incarnation::parse(&"b".repeat(32)).unwrap(),
            address: String::new(),
            revision: Revision(*revision),
            chain: ChainHash::ZERO,
            beats: 1,
        };
        let members = members.iter().map(sighting).collect();
        let (newest, limit) = (Revision(7), TERMS.limit);
        Fleet { standing: Standing::Newest, newest, reign: reign("r1"), limit, members }
    }

    fn barrier() -> Barrier {
        Barrier::begin(place(7), reign("r1"), BEGUN, &TERMS)
    }

    /// A reign that all nodes have followed since `at`.
    fn followed(name: &str, at: BootTime) -> Reigns {
        let mut reigns = Reigns::default();
        reigns.all_followed(&reign(name), at);
        reigns
    }

    #[test]
    fn a_list_is_complete_when_all_leases_from_before_its_reign_have_run_out() {
        let complete = |reigns: &Reigns, at| reigns.list_is_complete(&reign("r1"), at, &TERMS);
        let mut reigns = Reigns::default();
        assert!(!reigns.needs_confirmation());
        reigns.saw(&reign("r1"));
        assert!(reigns.needs_confirmation());
        assert!(!complete(&reigns, after(3_600_000)), "nobody has seen all nodes follow");
        reigns.all_followed(&reign("r1"), BEGUN);
        assert!(!reigns.needs_confirmation());
        assert!(!complete(&reigns, after(10_119)));
        assert!(complete(&reigns, after(10_120)));
    }

    #[test]
    fn a_list_stays_complete_in_its_reign_and_starts_from_nothing_in_another() {
        let mut reigns = followed("r1", BEGUN);
        reigns.saw(&reign("r1"));
        reigns.all_followed(&reign("r1"), after(9_000));
        let complete =
            |reigns: &Reigns| reigns.list_is_complete(&reign("r1"), after(11_000), &TERMS);
        assert!(complete(&reigns), "what was confirmed first counts");
        assert!(!reigns.list_is_complete(&reign("r2"), after(11_000), &TERMS));
        reigns.saw(&reign("r2"));
        assert!(!complete(&reigns));
        reigns.saw(&reign("r1"));
        assert!(!complete(&reigns) && reigns.needs_confirmation(), "it may have been away");
    }

    #[test]
    fn a_change_is_enforced_at_the_instant_by_which_all_leases_have_run_out() {
        let (fleet, nothing) = (fleet(&[("a", 7), ("b", 6)]), Reigns::default());
        let look = |at| barrier().look(&fleet, &nothing, at, &TERMS);
        let (confirmed, missing) = (vec![name("a")], vec![name("b")]);
        let waiting = Verdict::Waiting { confirmed: confirmed.clone(), missing: missing.clone() };
        assert_eq!(look(after(0)), waiting);
        assert_eq!(look(after(10_119)), waiting);
        assert_eq!(look(after(10_120)), Verdict::Enforced { confirmed, expired: missing });
        assert_eq!(barrier().leases_end(), after(10_120));
    }

    #[test]
    fn it_is_enforced_at_once_when_a_complete_list_shows_it_everywhere() {
        let long_ago = BEGUN - Duration::from_secs(60);
        let now = after(1);
        let all = vec![name("a"), name("b")];
        for (members, reigns, enforced, why) in [
            ([("a", 7), ("b", 8)], followed("r1", long_ago), true, "complete, and all have it"),
            ([("a", 7), ("b", 8)], followed("r1", BEGUN), false, "not complete yet"),
            ([("a", 7), ("b", 8)], followed("r2", long_ago), false, "another reign's list"),
            ([("a", 7), ("b", 8)], Reigns::default(), false, "nothing is known of the reign"),
            ([("a", 7), ("b", 6)], followed("r1", long_ago), false, "one has not got it"),
        ] {
            let verdict = barrier().look(&fleet(&members), &reigns, now, &TERMS);
            let expected = Verdict::Enforced { confirmed: all.clone(), expired: vec![] };
            assert_eq!(verdict == expected, enforced, "{why}: {verdict:?}");
            assert_eq!(matches!(verdict, Verdict::Waiting { .. }), !enforced, "{why}");
        }
    }

    #[test]
    fn no_wait_is_long_enough_once_the_reign_or_the_history_is_another() {
        let (long_ago, late) = (BEGUN - Duration::from_secs(60), after(3_600_000));
        let reigns = followed("r1", long_ago);
        let look = |fleet: &Fleet| barrier().look(fleet, &reigns, late, &TERMS);
        let other = Fleet { reign: reign("r2"), ..fleet(&[("a", 7)]) };
        assert_eq!(look(&other), Verdict::OtherReign);
        for standing in [Standing::Forked { part: false }, Standing::Empty] {
            let lost = Fleet { standing, ..fleet(&[("a", 7)]) };
            assert_eq!(look(&lost), Verdict::Lost, "{:?}", lost.standing);
        }
        let lineage = Lineage::parse(&"c".repeat(32)).unwrap();
        let standing = Standing::OtherLineage { lineage, ancestors: vec![] };
        assert_eq!(look(&Fleet { standing, ..fleet(&[("a", 7)]) }), Verdict::OtherLineage);
        let undecided = Fleet { standing: Standing::Forked { part: true }, ..fleet(&[("a", 7)]) };
        assert!(matches!(look(&undecided), Verdict::Waiting { .. }), "the change is there");
    }
}
