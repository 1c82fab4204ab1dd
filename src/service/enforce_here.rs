//! When a change is enforced where this process alone writes: once it is held here, and nobody acts from
//! before it on a permit of this process.
//!
//! Invariant: what is held is looked at before the list of permits. A permit is on the list before the rules
//! that it is for are looked at again (`permits.rs`), so that one of both sees the other.

use super::enforce::{Enforcement, Progress, Reached};
use super::{Service, permits::PermitList};
use crate::domain::Revision;
use crate::replica::{BootTime, Freshness, Listed, Permits};
use crate::store::{Head, Incarnation, ReplicaName};
use std::collections::BTreeMap;
use std::time::Duration;

/// Whom a change waits for that an earlier run of this process gave permits to: nobody knows their names.
const UNKNOWN: &str = "mailer.unknown-since-the-restart";

/// How far each holder is that was ever seen while a change was waited for.
#[derive(Default)]
struct Seen(BTreeMap<Incarnation, (ReplicaName, Progress)>);

impl Service {
    /// Waits, up to `limit`, until a change is enforced.
    pub(super) async fn enforced_here(
        &self,
        place: &Head,
        began: BootTime,
        limit: Duration,
    ) -> Enforcement {
        let mut so_far = Enforcement { copies: 1, nodes: 1, ..Enforcement::committed(place) };
        so_far.reached = Reached::Durable;
        let waiting = self.wait_here(place.revision, began, &mut so_far);
        if tokio::time::timeout(limit, waiting).await.is_ok_and(|enforced| enforced) {
            so_far.reached = Reached::Enforced;
            self.forget_permits().await;
        }
        so_far.elapsed = self.clock.boot().saturating_sub(began);
        so_far
    }

    /// Whether the change was enforced in the end; not where it is not in effect here.
    async fn wait_here(&self, change: Revision, began: BootTime, so_far: &mut Enforcement) -> bool {
        let list: &PermitList = &self.permit_list;
        let (mut moves, mut seen) = (list.moves(), Seen::default());
        loop {
            moves.mark_unchanged();
            let Some(held) = self.replica.held() else { return false };
            let now = self.clock.boot();
            if held.head.revision < change || self.replica.freshness(now) != Freshness::Fresh {
                return false;
            }
            let (obeyed, next) = {
                let permits = list.permits();
                let elapsed = now.saturating_sub(began);
                seen.note(&permits.list(now), change.min(held.rules_since), elapsed);
                so_far.replicas = seen.all(&permits, now);
                let next = permits.next_end(change, held.rules_since, now);
                (permits.obey(change, held.rules_since, now), next)
            };
            if obeyed {
                return true;
            }
            let unknown = list.permits().unknown_until();
            let wake = next.unwrap_or(unknown).saturating_sub(now);
            tokio::select! {
                () = tokio::time::sleep(wake) => {}
                _ = moves.changed() => {}
            }
        }
    }
}

impl Seen {
    fn note(&mut self, listed: &[Listed], needed: Revision, elapsed: Duration) {
        // Who gave the permit back is waited for no more, and counts no more.
        let is_listed = |run: &Incarnation| listed.iter().any(|it| it.incarnation == *run);
        self.0.retain(|run, _| is_listed(run));
        for holder in listed {
            let run = holder.incarnation.clone();
            let (_, progress) =
                self.0.entry(run).or_insert((holder.name.clone(), Progress::Missing));
            *progress = match *progress {
                Progress::Confirmed(after) => Progress::Confirmed(after),
                _ if needed <= holder.acts_by => Progress::Confirmed(elapsed),
                _ if holder.is_over => Progress::Expired,
                _ => Progress::Missing,
            };
        }
    }

    fn all(&self, permits: &Permits, now: BootTime) -> Vec<(ReplicaName, Progress)> {
        let unknown = ReplicaName::parse(UNKNOWN).filter(|_| now < permits.unknown_until());
        let unknown = unknown.map(|name| (name, Progress::Missing));
        self.0.values().cloned().chain(unknown).collect()
    }
}
