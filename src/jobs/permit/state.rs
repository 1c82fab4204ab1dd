//! What the holder of a permit may do, and what it may say to the server: pure, on instants of boot time.
//!
//! Invariants: nothing begins but while a permit runs and no newer rules are known. What is said to the
//! server (`claim`) never names newer rules while something is under way by older ones, unless the permit of
//! those has run out: by then nobody waits for it any more, and what still goes on is a leak.

use super::super::pinned::Pinned;
use super::NoPermit;
use crate::clock::{BootTime, Terms};
use crate::domain::{Lineage, Revision};
use std::sync::Arc;
use std::time::Duration;

/// A holder's rules, its permit, and what is under way.
pub(super) struct Holding<R = Pinned> {
    rules: Arc<R>,
    /// Counts the rules that were held one after the other.
    generation: u64,
    /// What the server was last told to be acted by.
    claimed: Arc<R>,
    /// When the permit runs out.
    end: BootTime,
    limit: Duration,
    /// How many things are under way by these rules, and by older ones that somebody may wait for.
    under_way: u64,
    under_way_by_older: u64,
    /// What older generations had under way is not waited for any more.
    waited_for_since: u64,
    /// Where the server is, if that is beyond these rules.
    moved: Option<(Lineage, Revision)>,
    why: String,
    is_leaving: bool,
}

impl<R> Holding<R> {
    pub(super) fn new(rules: Arc<R>) -> Self {
        Self {
            claimed: Arc::clone(&rules),
            rules,
            generation: 0,
            end: BootTime::ZERO,
            limit: Duration::ZERO,
            under_way: 0,
            under_way_by_older: 0,
            waited_for_since: 0,
            moved: None,
            why: "the server has not answered yet".to_owned(),
            is_leaving: false,
        }
    }

    pub(super) fn rules(&self) -> &Arc<R> {
        &self.rules
    }

    pub(super) fn limit(&self) -> Duration {
        self.limit
    }

    /// When the permit runs out.
    pub(super) fn end_of_permit(&self) -> BootTime {
        self.end
    }

    pub(super) fn may_begin(&self, now: BootTime) -> Result<(), NoPermit> {
        if self.moved.is_some() {
            return Err(NoPermit::RulesMoving);
        }
        if self.end <= now || self.is_leaving {
            return Err(NoPermit::RunOut { why: self.why.clone() });
        }
        Ok(())
    }

    /// Begins something by the rules returned.
    pub(super) fn begin(&mut self, now: BootTime) -> Result<(Arc<R>, u64), NoPermit> {
        self.may_begin(now)?;
        self.under_way += 1;
        Ok((Arc::clone(&self.rules), self.generation))
    }

    /// Ends something that was begun in this generation; returns whether somebody waits for that.
    pub(super) fn end(&mut self, generation: u64) -> bool {
        if generation == self.generation {
            self.under_way = self.under_way.saturating_sub(1);
        } else if self.waited_for_since <= generation {
            self.under_way_by_older = self.under_way_by_older.saturating_sub(1);
        }
        self.under_way_by_older == 0 && (self.is_ahead() || (self.is_leaving && self.is_idle()))
    }

    /// Nothing begins any more.
    pub(super) fn leave(&mut self) {
        self.is_leaving = true;
        "it is being given back".clone_into(&mut self.why);
    }

    /// Whether what was begun in this generation could begin now, too.
    pub(super) fn holds(&self, generation: u64, now: BootTime) -> bool {
        generation == self.generation && self.may_begin(now).is_ok()
    }

    /// Whether nothing is under way.
    pub(super) fn is_idle(&self) -> bool {
        self.under_way == 0 && self.under_way_by_older == 0
    }

    /// The server has newer rules, or another history.
    pub(super) fn moved_to(&mut self, moved: (Lineage, Revision)) {
        self.moved = Some(moved);
    }

    /// Where the server is, if that is beyond these rules.
    pub(super) fn moved(&self) -> Option<&(Lineage, Revision)> {
        self.moved.as_ref()
    }

    /// Goes over to newer rules, which are all that the server has if they are `enough`. What is under way
    /// by the older ones goes on; the rest of the permit counts for the newer ones, since whoever waits for it
    /// waits whichever of both it is used for.
    pub(super) fn take(&mut self, rules: Arc<R>, enough: bool) {
        self.rules = rules;
        self.generation += 1;
        self.under_way_by_older += std::mem::take(&mut self.under_way);
        if enough {
            self.moved = None;
        }
    }

    /// The rules that the server may be told of as acted by: these, once nothing that somebody waits for is
    /// under way by older ones.
    pub(super) fn claim(&mut self, now: BootTime) -> &Arc<R> {
        if self.under_way_by_older == 0 || self.end <= now {
            self.under_way_by_older = 0;
            self.waited_for_since = self.generation;
            self.claimed = Arc::clone(&self.rules);
        }
        &self.claimed
    }

    /// Whether the server could be told of newer rules than it was.
    pub(super) fn has_more_to_claim(&self, now: BootTime) -> bool {
        self.is_ahead() && (self.under_way_by_older == 0 || self.end <= now)
    }

    /// Whether the server must not be told of these rules yet.
    pub(super) fn is_held_back(&self, now: BootTime) -> bool {
        self.is_ahead() && !self.has_more_to_claim(now)
    }

    fn is_ahead(&self) -> bool {
        !Arc::ptr_eq(&self.rules, &self.claimed)
    }

    /// A permit was granted to a request that was sent at `asked`.
    pub(super) fn granted(&mut self, asked: BootTime, limit: Duration) {
        self.limit = limit;
        self.end = self.end.max(Terms::of(limit).lease_end(asked));
        "the server does not answer".clone_into(&mut self.why);
    }

    /// Nothing was granted.
    pub(super) fn not_granted(&mut self, why: String) {
        self.why = why;
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(5);

    fn at(millis: u64) -> BootTime {
        Duration::from_secs(100) + Duration::from_millis(millis)
    }

    fn holding() -> Holding<u64> {
        let mut holding = Holding::new(Arc::new(1));
        assert!(matches!(holding.begin(at(0)), Err(NoPermit::RunOut { .. })));
        holding.granted(at(0), LIMIT);
        holding
    }

    fn move_to(holding: &mut Holding<u64>, number: u64) {
        holding.moved_to((Lineage::parse(&"a".repeat(32)).unwrap(), Revision(number)));
    }

    #[test]
    fn a_permit_runs_from_before_it_was_asked_for_with_the_margin_off() {
        let mut holding = holding();
        assert!(holding.begin(at(4_929)).is_ok());
        assert!(holding.begin(at(4_930)).is_err(), "1 % and 20 ms are off");
        holding.granted(at(1_000), LIMIT);
        holding.granted(at(500), LIMIT);
        assert!(holding.begin(at(5_929)).is_ok(), "an answer that was overtaken shortens nothing");
    }

    #[test]
    fn nothing_begins_once_newer_rules_are_known_until_they_are_here() {
        let mut holding = holding();
        let (_, generation) = holding.begin(at(1)).unwrap();
        assert!(holding.holds(generation, at(2)));
        move_to(&mut holding, 2);
        assert!(!holding.holds(generation, at(2)));
        assert_eq!(holding.begin(at(2)), Err(NoPermit::RulesMoving));
        holding.take(Arc::new(2), true);
        assert_eq!(
            holding.begin(at(3)).unwrap(),
            (Arc::new(2), 1),
            "on what is left of the permit"
        );
        assert!(!holding.holds(generation, at(3)));
    }

    #[test]
    fn newer_rules_are_claimed_only_when_nothing_is_under_way_by_older_ones() {
        let mut holding = holding();
        let (_, old) = holding.begin(at(1)).unwrap();
        move_to(&mut holding, 2);
        holding.take(Arc::new(2), true);
        let (_, new) = holding.begin(at(2)).unwrap();
        assert!(!holding.has_more_to_claim(at(2)));
        assert_eq!(**holding.claim(at(2)), 1);
        holding.end(new);
        assert_eq!(**holding.claim(at(2)), 1, "that was by the newer ones");
        holding.end(old);
        assert!(holding.has_more_to_claim(at(2)) && holding.is_idle());
        assert_eq!(**holding.claim(at(2)), 2);
        assert!(!holding.has_more_to_claim(at(2)), "it was said");
    }

    #[test]
    fn what_hangs_past_its_permit_is_waited_for_no_more() {
        let mut holding = holding();
        let (_, stuck) = holding.begin(at(1)).unwrap();
        holding.take(Arc::new(2), true);
        assert_eq!(**holding.claim(at(4_929)), 1);
        assert_eq!(**holding.claim(at(4_930)), 2);
        assert!(!holding.is_held_back(at(4_930)));
        holding.granted(at(4_930), LIMIT);
        let (_, next) = holding.begin(at(5_000)).unwrap();
        holding.take(Arc::new(3), true);
        holding.end(stuck);
        assert_eq!(**holding.claim(at(5_000)), 2, "the end of what hung is not the end of this");
        holding.end(next);
        assert_eq!(**holding.claim(at(5_000)), 3);
    }
}
