//! Waits until a change is enforced: in the store, on every node of it, and on every replica.
//!
//! A wait can be broken off, and begun again on any replica with the change's token, revision or request id:
//! nothing of it is needed later. That a change was seen enforced is noted beside it (`watched`). What cannot be shown in time is pending, with what is
//! missing; it is never called done early, nor failed.

use super::{Service, ServiceError};
use crate::audit::{Act, RequestId};
use crate::domain::{Revision, Token};
use crate::replica::bugs::{self, Bug};
use crate::replica::{Barrier, BootTime, Follower, Terms, Verdict};
use crate::store::{
    CountedFrom, Fleet, Head, Incarnation, ReplicaName, SharedStore, Shortfall, Sighting, Standing,
    StoreError,
};
use crate::telemetry::Enforcements;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// How long nodes get to confirm a change, each time they are asked.
const CONFIRM_LIMIT: Duration = Duration::from_millis(1500);

/// Between two looks at the list of replicas: the first pause, and the longest.
const LOOK_PAUSE: [Duration; 2] = [Duration::from_millis(1), Duration::from_millis(20)];

/// Between two times that every node is asked for a change.
const CONFIRM_PAUSE: Duration = Duration::from_millis(100);

/// How long nodes get where nobody waits, and the pause until they are asked again.
const PROBE_LIMIT: Duration = Duration::from_millis(50);
const PROBE_PAUSE: Duration = Duration::from_secs(1);

/// How many may wait at once; each asks the store again and again.
pub(super) const MOST_WAITS: usize = 64;

/// What the metrics call a wait, or a watch, that ended with an error.
pub(super) const FAILED: &str = "FAILED";

/// After a store that does not answer.
const RETRY_PAUSE: Duration = Duration::from_millis(100);

/// Which change is awaited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Awaited {
    /// The one that led to this place.
    Token(Token),
    /// The one that led to this revision.
    Revision(Revision),
    /// The one that this request led to.
    Request(RequestId),
}

/// How far a change has got.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reached {
    /// The store holds it.
    Committed,
    /// Every store node that could be promoted holds it on disk.
    Durable,
    /// And no replica answers from before it any more, and no holder of a permit acts from before it.
    Enforced,
}

impl Reached {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Committed => "COMMITTED",
            Self::Durable => "DURABLE",
            Self::Enforced => "ENFORCED",
        }
    }
}

/// How far one replica is with a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// It has the change in effect; seen so this long after the wait began.
    Confirmed(Duration),
    /// It has not, and its lease has run out: it answers nothing `ELIGIBLE`.
    Expired,
    /// It has not said so yet.
    Missing,
}

/// What came of a wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Enforcement {
    /// The change's place in history.
    pub token: Token,
    /// How far it has got for certain; anything but [`Reached::Enforced`] is pending.
    pub reached: Reached,
    /// Every replica, by name, and every holder of a permit; of replicas none where this process alone writes.
    pub replicas: Vec<(ReplicaName, Progress)>,
    /// How many store nodes hold it on disk.
    pub copies: u32,
    /// How many would have to.
    pub nodes: u32,
    /// What the store's settings take away from the promise.
    pub shortfalls: Vec<Shortfall>,
    /// How long the wait took.
    pub elapsed: Duration,
}

impl Service {
    /// Waits, up to `limit`, until a change is enforced.
    ///
    /// # Errors
    /// When there is no such change, or it was lost; when the store cannot be asked even once.
    pub async fn await_enforcement(
        self: &Arc<Self>,
        awaited: Awaited,
        limit: Duration,
    ) -> Result<Enforcement, ServiceError> {
        let began = self.clock.boot();
        let _place = self.waits.try_acquire().map_err(|_| ServiceError::TooManyWaits)?;
        let measured = self.enforcements.get().map(Enforcements::begin);
        let ended = self.wait_and_note(awaited, began, limit).await;
        if let Some(measured) = measured {
            let asked = (CountedFrom::Asked, self.clock.boot().saturating_sub(began));
            let (reached, (counted_from, after)) = match &ended {
                Ok((enforcement, taken)) => (enforcement.reached.name(), taken.unwrap_or(asked)),
                Err(_) => (FAILED, asked),
            };
            measured.ended(reached, counted_from.name(), after);
        }
        ended.map(|(enforcement, _)| enforcement)
    }

    /// What came of a wait, and what is measured of it once it was seen enforced.
    async fn wait_and_note(
        self: &Arc<Self>,
        awaited: Awaited,
        began: BootTime,
        limit: Duration,
    ) -> Result<(Enforcement, Option<(CountedFrom, Duration)>), ServiceError> {
        let (place, alters_rules) = in_time(limit, self.place_of(awaited)).await?;
        let enforcement = self.wait_for(place.clone(), began, limit, Whose::Callers).await?;
        let noted = if alters_rules { self.note_asked(place, began, &enforcement) } else { None };
        Ok((enforcement, noted))
    }

    /// The same of a place in history, counted from `began`.
    pub(super) async fn wait_for(
        &self,
        place: Head,
        began: BootTime,
        limit: Duration,
        whose: Whose,
    ) -> Result<Enforcement, ServiceError> {
        match &self.follower {
            None => Ok(self.enforced_here(&place, began, limit).await),
            Some(follower) => {
                let wait = Wait {
                    boot: &|| self.clock.boot(),
                    follower,
                    store: follower.store().as_ref(),
                    began,
                    limit,
                    whose,
                    seen: BTreeMap::new(),
                    beats: BTreeMap::new(),
                    so_far: Enforcement::committed(&place),
                };
                wait.run(place).await
            }
        }
    }

    /// Where a change is in history, and whether it alters rules.
    async fn place_of(&self, awaited: Awaited) -> Result<(Head, bool), ServiceError> {
        let none = |kind, id: String| ServiceError::NotFound { kind, id };
        let (revision, token, request) = match awaited {
            Awaited::Token(token) => (token.revision, Some(token), None),
            Awaited::Revision(revision) => (revision, None, None),
            Awaited::Request(id) => {
                let record = self.store.record_of(&id).await?;
                let record = record.ok_or_else(|| none("request", id.as_str().to_owned()))?;
                (record.revision, None, Some(record))
            }
        };
        let missing = || none("revision", revision.to_string());
        let before = Revision(revision.0.checked_sub(1).ok_or_else(missing)?);
        let record = match request {
            Some(record) => record,
            None => self.store.records(before, 1).await?.pop().ok_or_else(missing)?,
        };
        let lineage = self.store.load().await?.head.lineage;
        let place = Head { lineage, revision, chain: record.chain };
        // Another history may have taken the place of the token's, and hold the same change.
        if token.is_some_and(|token| token.chain_prefix != place.token().chain_prefix) {
            return Err(ServiceError::Lost { revision });
        }
        // Nobody may take it for done: that everybody knows of a proposal puts nothing in force.
        if matches!(record.content.act, Act::Propose | Act::Edit) {
            let id = record.content.proposal.unwrap_or(record.revision);
            return Err(ServiceError::OnlyProposed { id });
        }
        Ok((place, record.content.effect().is_some()))
    }
}

/// Gives up on a store that takes longer than the wait may: whoever waits is told in time.
async fn in_time<T>(
    limit: Duration,
    asked: impl Future<Output = Result<T, ServiceError>>,
) -> Result<T, ServiceError> {
    let doing = "waiting for a change";
    tokio::time::timeout(limit, asked)
        .await
        .unwrap_or_else(|late| Err(StoreError::Unavailable { doing, source: late.into() }.into()))
}

impl Enforcement {
    pub(super) fn committed(place: &Head) -> Self {
        Self {
            token: place.token(),
            reached: Reached::Committed,
            replicas: vec![],
            copies: 0,
            nodes: 0,
            shortfalls: vec![],
            elapsed: Duration::ZERO,
        }
    }

    /// Counts from so much earlier than the wait began.
    pub(super) fn count_from_before(&mut self, earlier: Duration) {
        self.elapsed += earlier;
        for (_, progress) in &mut self.replicas {
            if let Progress::Confirmed(after) = progress {
                *after += earlier;
            }
        }
    }

    /// The replica that was the last to confirm.
    #[must_use]
    pub fn slowest(&self) -> Option<(&ReplicaName, Duration)> {
        let times = self.replicas.iter().filter_map(|(name, progress)| match progress {
            Progress::Confirmed(after) => Some((name, *after)),
            Progress::Expired | Progress::Missing => None,
        });
        times.max_by_key(|(_, after)| *after)
    }
}

/// What came of asking every node for a change.
enum Confirmed {
    /// All have it.
    Durable(Barrier),
    /// Not all have it, or the settings of one make its word worth nothing.
    NotYet,
    /// Another history took the place of the one that the change was looked for in.
    OtherLineage,
}

/// Whose wait it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Whose {
    /// Somebody's, who asked.
    Callers,
    /// Nobody's: it is watched, so that it is known later. It holds up nobody who waits, and takes no
    /// replica off the list, of which somebody may want to hear that it is gone.
    Nobodys,
}

/// One wait.
struct Wait<'a> {
    boot: &'a (dyn Fn() -> BootTime + Sync),
    follower: &'a Follower,
    store: &'a dyn SharedStore,
    began: BootTime,
    limit: Duration,
    whose: Whose,
    /// When each replica was first seen to have the change in effect.
    seen: BTreeMap<Incarnation, Duration>,
    /// How often each had reported when leases began to be waited for.
    beats: BTreeMap<Incarnation, u64>,
    so_far: Enforcement,
}

impl Wait<'_> {
    async fn run(mut self, mut place: Head) -> Result<Enforcement, ServiceError> {
        self.follower.wake();
        let mut barrier: Option<Barrier> = None;
        let mut pause = LOOK_PAUSE[0];
        while self.left() > Duration::ZERO {
            let step = match &barrier {
                None => match in_time(self.left(), self.confirm_in_turn(&place)).await {
                    Ok(Confirmed::Durable(begun)) => {
                        barrier = Some(begun);
                        Ok(())
                    }
                    Ok(Confirmed::NotYet) => {
                        tokio::time::sleep(self.confirm_pause().min(self.left())).await;
                        Ok(())
                    }
                    Ok(Confirmed::OtherLineage) => self.find_again(&mut place).await,
                    Err(error) => Err(error),
                },
                Some(begun) => match in_time(self.left(), self.look(begun)).await {
                    Ok(Verdict::Enforced { .. }) => {
                        self.so_far.reached = Reached::Enforced;
                        break;
                    }
                    Ok(Verdict::Lost) => {
                        return Err(ServiceError::Lost { revision: place.revision });
                    }
                    Ok(Verdict::OtherLineage) => {
                        barrier = None;
                        self.find_again(&mut place).await
                    }
                    Ok(Verdict::OtherReign) => {
                        barrier = None;
                        Ok(())
                    }
                    Ok(Verdict::Waiting { .. }) => {
                        tokio::time::sleep(pause.min(self.left())).await;
                        pause = (pause * 2).min(LOOK_PAUSE[1]);
                        Ok(())
                    }
                    Err(error) => Err(error),
                },
            };
            match step {
                Ok(()) => {}
                Err(ServiceError::Store(StoreError::Unavailable { .. })) => {
                    tokio::time::sleep(RETRY_PAUSE.min(self.left())).await;
                }
                Err(error) => return Err(error),
            }
        }
        self.so_far.elapsed = (self.boot)().saturating_sub(self.began);
        Ok(self.so_far)
    }

    fn left(&self) -> Duration {
        (self.began + self.limit).saturating_sub((self.boot)())
    }

    /// Looks for the change in the history that took the place of the one it was made in.
    async fn find_again(&self, place: &mut Head) -> Result<(), ServiceError> {
        let lost = ServiceError::Lost { revision: place.revision };
        let Some(before) = place.revision.0.checked_sub(1) else { return Err(lost) };
        let record = self.store.records(Revision(before), 1).await?.pop();
        if record.is_none_or(|record| record.chain != place.chain) {
            return Err(lost);
        }
        place.lineage = self.store.load().await?.head.lineage;
        Ok(())
    }

    /// The same as [`Wait::confirm`]. Who watches for nobody looks first whether that takes long, and leaves
    /// the ways to the store to those who wait, if it does.
    async fn confirm_in_turn(&mut self, place: &Head) -> Result<Confirmed, ServiceError> {
        if self.whose == Whose::Nobodys
            && !self.store.confirm(place, PROBE_LIMIT).await?.is_durable()
        {
            return Ok(Confirmed::NotYet);
        }
        self.confirm(place).await
    }

    fn confirm_pause(&self) -> Duration {
        match self.whose {
            Whose::Callers => CONFIRM_PAUSE,
            Whose::Nobodys => PROBE_PAUSE,
        }
    }

    /// Waits until every node has the change; then, and not before, leases are waited for: for as long as
    /// any replica's may run, whatever the limit of this one.
    async fn confirm(&mut self, place: &Head) -> Result<Confirmed, ServiceError> {
        self.so_far.shortfalls = self.store.shortfalls().await?;
        // Some time is left for the answer, or a short wait would not tell how many nodes have it.
        let limit = CONFIRM_LIMIT.min(self.left() * 3 / 4);
        let confirmation = self.store.confirm(place, limit).await?;
        let now = (self.boot)();
        (self.so_far.copies, self.so_far.nodes) = (confirmation.copies, confirmation.nodes);
        match confirmation.standing {
            Standing::Newest | Standing::Behind => {}
            // The change is there; people decide what else is.
            Standing::Forked { part: true } => return Ok(Confirmed::NotYet),
            Standing::OtherLineage { .. } => return Ok(Confirmed::OtherLineage),
            _ => return Err(ServiceError::Lost { revision: place.revision }),
        }
        let falls_short = self.so_far.shortfalls.iter().any(|shortfall| !shortfall.durable);
        if falls_short || !confirmation.is_durable() {
            return Ok(Confirmed::NotYet);
        }
        self.follower.all_followed(&confirmation.reign);
        self.so_far.reached = Reached::Durable;
        if bugs::has(Bug::AckBeforeFence) {
            self.so_far.reached = Reached::Enforced;
            self.limit = Duration::ZERO;
        }
        let terms = Terms::of(confirmation.limit);
        Ok(Confirmed::Durable(Barrier::begin(place.clone(), confirmation.reign, now, &terms)))
    }

    /// Looks at the list of replicas once. The clock is read before the store is asked.
    async fn look(&mut self, barrier: &Barrier) -> Result<Verdict, ServiceError> {
        let now = (self.boot)();
        let fleet = self.store.fleet(barrier.place()).await?;
        let reigns = self.follower.reigns();
        let verdict = barrier.look(&fleet, &reigns, now, &Terms::of(fleet.limit));
        self.note_replicas(&fleet, &verdict, barrier.place().revision);
        if let (Verdict::Enforced { .. }, Whose::Callers) = (&verdict, self.whose) {
            self.forget_the_dead(&fleet, barrier.place().revision).await;
        }
        Ok(verdict)
    }

    /// Takes those off the list that did not report for as long as a lease runs, so that the next
    /// change does not wait for them. One that lives reports again, and is on the list again.
    async fn forget_the_dead(&self, fleet: &Fleet, revision: Revision) {
        let dead = |member: &&Sighting| {
            member.revision < revision && self.beats.get(&member.incarnation) == Some(&member.beats)
        };
        let gone: Vec<Sighting> = fleet.members.iter().filter(dead).cloned().collect();
        if !gone.is_empty() {
            // If it fails, the next change waits a little longer.
            let _ = self.store.forget(&gone).await;
        }
    }

    fn note_replicas(&mut self, fleet: &Fleet, verdict: &Verdict, revision: Revision) {
        let elapsed = (self.boot)().saturating_sub(self.began);
        let over = matches!(verdict, Verdict::Enforced { .. });
        self.so_far.replicas.clear();
        for member in &fleet.members {
            self.beats.entry(member.incarnation.clone()).or_insert(member.beats);
            let progress = if revision <= member.revision {
                let after = self.seen.entry(member.incarnation.clone()).or_insert(elapsed);
                Progress::Confirmed(*after)
            } else if over {
                Progress::Expired
            } else {
                Progress::Missing
            };
            self.so_far.replicas.push((member.name.clone(), progress));
        }
    }
}
