//! Who holds a permit of this process, where the store keeps no list of who acts by its rules: pure.
//!
//! A permit lets another process act by the rules of one revision for as long as a lease runs. A change that
//! is made meanwhile is enforced once no holder can act from before it: each has said that it acts by the
//! change, or its permit has run out.
//!
//! Invariants: a holder is on the list before its permit is sent. It is counted by the revision that it named
//! last, and never by what it was told; and it counts until its permit has run out by this machine's clock,
//! with the margin for clocks that run unevenly, or until it gave it back. Nobody speaks for a holder who only
//! knows what is shown of it.

use crate::clock::{BootTime, Terms};
use crate::domain::{PrincipalId, Revision};
use crate::store::{Incarnation, ReplicaName, Room};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;

/// How many may hold a permit at once: more than a bank has mailers, and few enough that none is lost in a
/// list that people read.
pub const MOST_PERMITS: usize = 64;

/// What the name of a holder begins with, where it stands beside those of replicas.
const PREFIX: &str = "mailer.";

/// A holder of permits: one run of one program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Its name among those of replicas.
    pub name: ReplicaName,
    /// Which run of whose, and no number that anybody can choose.
    pub incarnation: Incarnation,
}

impl Holder {
    /// A holder by the name that people know it by: 1 to 40 ASCII letters, digits, `-`, `_`. Several runs of one
    /// name are told apart.
    ///
    /// `run` is what the holder calls itself, and `owner` who it is. What others see of it follows from both
    /// and leads back to neither: so it is nobody's but the owner's, and never a replica's.
    #[must_use]
    pub fn new(name: &str, owner: &PrincipalId, run: &Incarnation) -> Option<Self> {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        if !(1..=40).contains(&name.len()) || !name.bytes().all(fits) {
            return None;
        }
        let incarnation = incarnation(owner, run)?;
        let shown = incarnation.as_str().get(..8)?;
        let name = ReplicaName::parse(&format!("{PREFIX}{name}.{shown}"))?;
        Some(Self { name, incarnation })
    }

    /// How many a list of replicas has room for, whichever server they ask.
    pub const ROOM: Room = Room { prefix: PREFIX, most: MOST_PERMITS };

    /// What people are shown of such a name; `None` for the name of a replica.
    #[must_use]
    pub fn shown(name: &ReplicaName) -> Option<&str> {
        name.as_str().strip_prefix(PREFIX)
    }
}

/// What a holder is listed as.
fn incarnation(owner: &PrincipalId, run: &Incarnation) -> Option<Incarnation> {
    let mut hash = Sha256::new();
    for part in ["offergate permit", &owner.issuer, &owner.subject, run.as_str()] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    let digits: String =
        hash.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    Incarnation::parse(&digits)
}

/// Everybody who may act by the rules of this process.
#[derive(Debug, Clone, Default)]
pub struct Permits {
    held: BTreeMap<Incarnation, Held>,
    /// Until when somebody may act by a permit that an earlier run of this process gave.
    unknown_until: BootTime,
}

#[derive(Debug, Clone)]
struct Held {
    name: ReplicaName,
    acts_by: Revision,
    until: BootTime,
}

/// A holder as it is listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its name among those of replicas.
    pub name: ReplicaName,
    /// Which run.
    pub incarnation: Incarnation,
    /// The revision that it acts by.
    pub acts_by: Revision,
    /// Whether its permit has run out.
    pub is_over: bool,
}

/// As many hold permits as may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooMany;

impl Permits {
    /// Begins at `now`, after an earlier run that gave permits on these terms and did not see them all end.
    pub fn begin_after(&mut self, now: BootTime, terms: &Terms) {
        self.unknown_until = terms.all_leases_end(now);
    }

    /// A holder says at `now` that it acts by `revision` and by nothing older any more, and gets a permit.
    ///
    /// # Errors
    /// When as many hold one as may.
    pub fn grant(
        &mut self,
        holder: &Holder,
        revision: Revision,
        now: BootTime,
        terms: &Terms,
    ) -> Result<(), TooMany> {
        self.forget_ended(now);
        if MOST_PERMITS <= self.held.len() && !self.held.contains_key(&holder.incarnation) {
            return Err(TooMany);
        }
        let until = terms.all_leases_end(now);
        let held = self.held.entry(holder.incarnation.clone()).or_insert_with(|| Held {
            name: holder.name.clone(),
            acts_by: revision,
            until,
        });
        held.acts_by = revision;
        held.until = held.until.max(until);
        Ok(())
    }

    /// A holder says that it acts by `revision` and by nothing older any more; it gets nothing for that.
    pub fn acts_by(&mut self, holder: &Holder, revision: Revision) {
        if let Some(held) = self.held.get_mut(&holder.incarnation) {
            held.acts_by = revision;
        }
    }

    /// A holder has ended in order.
    pub fn give_back(&mut self, incarnation: &Incarnation) {
        self.held.remove(incarnation);
    }

    /// Whether nobody can act by a permit of this process at `now`.
    #[must_use]
    pub fn are_over(&self, now: BootTime) -> bool {
        self.unknown_until <= now && self.held.values().all(|held| held.until <= now)
    }

    /// All that hold one, those of late included whose permits have run out at `now`.
    #[must_use]
    pub fn list(&self, now: BootTime) -> Vec<Listed> {
        let listed = |(run, held): (&Incarnation, &Held)| Listed {
            name: held.name.clone(),
            incarnation: run.clone(),
            acts_by: held.acts_by,
            is_over: held.until <= now,
        };
        self.held.iter().map(listed).collect()
    }

    /// Whether nobody can act at `now` from before `change`, if the rules were changed last by `rules_since`.
    #[must_use]
    pub fn obey(&self, change: Revision, rules_since: Revision, now: BootTime) -> bool {
        self.unknown_until <= now && self.next_end(change, rules_since, now).is_none()
    }

    /// When the next permit runs out that `change` waits for; `None` if it waits for none that is known.
    #[must_use]
    pub fn next_end(
        &self,
        change: Revision,
        rules_since: Revision,
        now: BootTime,
    ) -> Option<BootTime> {
        let needed = change.min(rules_since);
        let waited_for = self.held.values().filter(|it| it.acts_by < needed && now < it.until);
        waited_for.map(|held| held.until).min()
    }

    /// Until when permits of an earlier run may be acted by.
    #[must_use]
    pub fn unknown_until(&self) -> BootTime {
        self.unknown_until
    }

    fn forget_ended(&mut self, now: BootTime) {
        self.held.retain(|_, held| now < held.until);
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use std::time::Duration;

    /// A permit counts for 5.07 s here.
    const TERMS: Terms = Terms::of(Duration::from_secs(5));

    fn at(millis: u64) -> BootTime {
        Duration::from_secs(100) + Duration::from_millis(millis)
    }

    fn holder(digit: char) -> Holder {
        Holder::new("kis", &PrincipalId::unverified("ann"), &run(digit)).unwrap()
    }

    fn run(digit: char) -> Incarnation {
        Incarnation::parse(&digit.to_string().repeat(32)).unwrap()
    }

    fn obeyed(permits: &Permits, change: u64, millis: u64) -> bool {
        permits.obey(Revision(change), Revision(change), at(millis))
    }

    #[test]
    fn a_change_waits_for_each_holder_until_it_acts_by_it_or_its_permit_has_run_out() {
        let mut permits = Permits::default();
        assert!(obeyed(&permits, 2, 0), "nobody holds one");
        permits.grant(&holder('a'), Revision(1), at(0), &TERMS).unwrap();
        permits.grant(&holder('b'), Revision(1), at(1_000), &TERMS).unwrap();
        assert!(obeyed(&permits, 1, 1_000) && !obeyed(&permits, 2, 1_000));
        permits.acts_by(&holder('b'), Revision(2));
        assert!(!obeyed(&permits, 2, 5_069), "the other has said nothing");
        assert_eq!(permits.next_end(Revision(2), Revision(2), at(0)), Some(at(5_070)));
        assert!(obeyed(&permits, 2, 5_070));
        permits.give_back(&holder('b').incarnation);
        assert!(permits.are_over(at(5_070)) && !permits.are_over(at(5_069)));
    }

    #[test]
    fn what_changes_no_rules_waits_for_nobody() {
        let mut permits = Permits::default();
        permits.grant(&holder('a'), Revision(2), at(0), &TERMS).unwrap();
        assert!(permits.obey(Revision(5), Revision(2), at(1)), "3 to 5 only say what waits");
        assert!(!permits.obey(Revision(5), Revision(4), at(1)));
        assert!(!permits.obey(Revision(3), Revision(4), at(1)), "nobody knows which of them did");
        assert!(permits.obey(Revision(2), Revision(4), at(1)), "that one is acted by");
    }

    #[test]
    fn permits_of_an_earlier_run_count_for_as_long_as_any_of_them_can_run() {
        let mut permits = Permits::default();
        permits.begin_after(at(0), &TERMS);
        assert!(!obeyed(&permits, 2, 5_069) && !permits.are_over(at(5_069)));
        assert!(obeyed(&permits, 2, 5_070) && permits.are_over(at(5_070)));
    }

    #[test]
    fn there_is_room_for_so_many_and_for_another_when_one_has_run_out() {
        let mut permits = Permits::default();
        let nth = |number: usize| {
            let run = Incarnation::parse(&format!("{number:032x}")).unwrap();
            Holder::new("kis", &PrincipalId::unverified("ann"), &run).unwrap()
        };
        for number in 0..MOST_PERMITS {
            permits.grant(&nth(number), Revision(1), at(0), &TERMS).unwrap();
        }
        let more = nth(MOST_PERMITS);
        assert_eq!(permits.grant(&more, Revision(1), at(1), &TERMS), Err(TooMany));
        assert_eq!(permits.grant(&nth(0), Revision(1), at(1), &TERMS), Ok(()), "it has one");
        assert_eq!(permits.grant(&more, Revision(1), at(5_070), &TERMS), Ok(()));
        assert_eq!(permits.list(at(5_070)).len(), 2);
    }

    #[test]
    fn holders_have_names_that_no_two_runs_share() {
        let shown = |holder: &Holder| Holder::shown(&holder.name).map(str::to_owned);
        let listed = holder('a');
        let digits = &listed.incarnation.as_str()[..8];
        assert_eq!(shown(&listed), Some(format!("kis.{digits}")));
        assert_ne!(holder('a').name, holder('b').name);
        assert_eq!(Holder::shown(&ReplicaName::parse("r1").unwrap()), None);
        for bad in ["", "a.b", "a b", &"a".repeat(41)] {
            assert_eq!(Holder::new(bad, &PrincipalId::unverified("ann"), &run('a')), None, "{bad}");
        }
    }

    #[test]
    fn what_is_seen_of_a_holder_is_its_owners_alone_and_lets_nobody_speak_for_it() {
        let of = |owner: &PrincipalId, run: &Incarnation| Holder::new("kis", owner, run).unwrap();
        let (ann, bob) = (PrincipalId::unverified("ann"), PrincipalId::unverified("bob"));
        let holder = of(&ann, &run('a'));
        assert_eq!(of(&ann, &run('a')), holder, "another server knows it again");
        for (who, said) in [
            (&bob, &run('a')),
            (&ann, &run('b')),
            // Both are on the list of replicas, for everybody who may read it.
            (&ann, &holder.incarnation),
            (&bob, &holder.incarnation),
        ] {
            assert_ne!(of(who, said).incarnation, holder.incarnation, "{who} as {said:?}");
        }
        assert_ne!(holder.incarnation, run('a'), "a replica may be listed under that");
        let moved = PrincipalId { issuer: "unverifieda".into(), subject: "nn".into() };
        assert_ne!(of(&moved, &run('a')).incarnation, holder.incarnation);
    }
}
