//! Holders of permits that say nothing any more, on the list of a shared store: pure.
//!
//! Whoever dies without giving its permit back stays on the list, and would for good where nobody suspends
//! anything. It is taken off it once its permit must have run out.
//!
//! Invariant: time is counted by this machine's own clock, from after the store was asked, and within one
//! reign: after a fail-over the same count of reports may be another one.

use super::permits::Holder;
use crate::clock::{BootTime, Terms};
use crate::store::{Fleet, Incarnation, Reign, Sighting};
use std::collections::BTreeMap;

/// What was seen of holders so far.
#[derive(Debug, Default)]
pub struct Silent {
    reign: Option<Reign>,
    /// How often each had reported, and when that was seen first.
    seen: BTreeMap<Incarnation, (u64, BootTime)>,
    /// Not before then is there anything to be learnt.
    next_look: BootTime,
}

impl Silent {
    /// Whether it is time for another look at the list at `now`; if it is, nobody else is told so for a while.
    pub fn is_due(&mut self, now: BootTime, terms: &Terms) -> bool {
        let is_due = self.next_look <= now;
        if is_due {
            self.next_look = now + terms.limit;
        }
        is_due
    }

    /// Those on the list who have said nothing for as long as any permit runs. `now` was read after the store
    /// had answered.
    pub fn on(&mut self, fleet: &Fleet, now: BootTime) -> Vec<Sighting> {
        if self.reign.as_ref() != Some(&fleet.reign) {
            self.seen.clear();
            self.reign = Some(fleet.reign.clone());
        }
        let terms = Terms::of(fleet.limit);
        let before = std::mem::take(&mut self.seen);
        let mut silent = Vec::new();
        for member in fleet.members.iter().filter(|it| Holder::shown(&it.name).is_some()) {
            let known = before.get(&member.incarnation).filter(|known| known.0 == member.beats);
            let (beats, since) = known.copied().unwrap_or((member.beats, now));
            if terms.all_leases_end(since) <= now {
                silent.push(member.clone());
            }
            self.seen.insert(member.incarnation.clone(), (beats, since));
        }
        silent
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use crate::domain::{ChainHash, Revision};
    use crate::store::{ReplicaName, Standing};
    use std::time::Duration;

    /// All leases have ended 10.12 s after an instant.
    const TERMS: Terms = Terms::of(Duration::from_secs(10));

    fn at(millis: u64) -> BootTime {
        Duration::from_secs(100) + Duration::from_millis(millis)
    }

    /// What the store says of these, by name and how often each has reported.
    fn fleet(reign: &str, members: &[(&str, u64)]) -> Fleet {
        let sighting = |(nth, (name, beats)): (usize, &(&str, u64))| Sighting {
            name: ReplicaName::parse(name).unwrap(),
            incarnation: Incarnation::parse(&format!("{nth:032x}")).unwrap(),
            address: String::new(),
            revision: Revision(1),
            chain: ChainHash::ZERO,
            beats: *beats,
        };
        Fleet {
            standing: Standing::Newest,
            newest: Revision(1),
            reign: Reign(reign.into()),
            limit: TERMS.limit,
            members: members.iter().enumerate().map(sighting).collect(),
        }
    }

    fn names(silent: Vec<Sighting>) -> Vec<String> {
        silent.into_iter().map(|it| it.name.as_str().to_owned()).collect()
    }

    #[test]
    fn a_holder_is_silent_when_its_permit_must_have_run_out_and_a_replica_never_is() {
        let mut silent = Silent::default();
        let list = |beats| [("mailer.a.1", 7), ("mailer.b.2", beats), ("r1", 7)];
        assert_eq!(names(silent.on(&fleet("r", &list(1)), at(0))), Vec::<String>::new());
        assert_eq!(names(silent.on(&fleet("r", &list(2)), at(10_119))), Vec::<String>::new());
        assert_eq!(names(silent.on(&fleet("r", &list(2)), at(10_120))), ["mailer.a.1"]);
        assert_eq!(names(silent.on(&fleet("r", &list(2)), at(20_239))).len(), 2);
    }

    #[test]
    fn another_reign_begins_from_nothing() {
        let mut silent = Silent::default();
        let list = [("mailer.a.1", 7)];
        silent.on(&fleet("r1", &list), at(0));
        // The node that reigns now had heard of fewer reports: seven are others than they were.
        assert!(silent.on(&fleet("r2", &list), at(60_000)).is_empty());
        assert!(silent.on(&fleet("r1", &list), at(120_000)).is_empty());
        assert_eq!(silent.on(&fleet("r1", &list), at(130_120)).len(), 1);
    }

    #[test]
    fn the_list_is_looked_at_once_in_a_while() {
        let mut silent = Silent::default();
        let mut is_due = |millis| silent.is_due(at(millis), &TERMS);
        assert_eq!(
            [0, 1, 9_999, 10_000, 10_001].map(&mut is_due),
            [true, false, false, true, false]
        );
    }
}
