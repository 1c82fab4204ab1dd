//! The replicas that serve from one store; strict checks, which ask it; and what people decide when
//! histories have disagreed.

use super::{Requester, Service, ServiceError, View};
use crate::audit::{ChangeKind, NewRecord, Party};
use crate::domain::{Revision, RuleChange, Token};
use crate::replica::{Contact, Follower, Held, Holder, Replica};
use crate::store::{Incarnation, ReplicaName, SharedStore, Shortfall, Standing, StoreError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;

/// How long a strict check waits for the store before it is answered without proof: far longer than a
/// store takes, and less than a check gets by default.
const STRICT_LIMIT: Duration = Duration::from_millis(500);

/// A replica, as the store last heard of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its name.
    pub name: ReplicaName,
    /// Which run of it.
    pub incarnation: Incarnation,
    /// Where its clients reach it.
    pub address: String,
    /// What it has in effect.
    pub revision: Revision,
    /// Whether it is this one.
    pub answering: bool,
    /// Whether it is no replica, but holds a permit.
    pub holds_permit: bool,
}

/// Who serves from the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FleetView {
    /// All replicas, by name, and all that hold permits; of replicas none where the store is this process's
    /// own.
    pub members: Vec<Member>,
    /// The store's newest revision.
    pub newest: Revision,
    /// How long this replica may go on without hearing from the store; `None` if it need not.
    pub lease_left: Option<Duration>,
    /// What this replica last heard, in words; `None` when all is well.
    pub trouble: Option<String>,
    /// What the store's settings take away from the promises.
    pub shortfalls: Vec<Shortfall>,
}

impl Service {
    /// Lists who serves from the same store.
    ///
    /// # Errors
    /// When no rules are held, or the store does not answer.
    pub async fn fleet(&self) -> Result<FleetView, ServiceError> {
        let head = self.head()?;
        let Some(follower) = &self.follower else {
            let trouble = self.fresh().err();
            let (members, newest, shortfalls) = (self.holders_here(), head.revision, vec![]);
            return Ok(FleetView { members, newest, lease_left: None, trouble, shortfalls });
        };
        let fleet = follower.store().fleet(&head).await?;
        let shortfalls = follower.store().shortfalls().await?;
        let own = &follower.identity().incarnation;
        let members = fleet.members.into_iter().map(|member| Member {
            answering: member.incarnation == *own,
            holds_permit: Holder::shown(&member.name).is_some(),
            name: member.name,
            incarnation: member.incarnation,
            address: member.address,
            revision: member.revision,
        });
        Ok(FleetView {
            members: members.collect(),
            newest: fleet.newest,
            lease_left: Some(follower.lease_left()),
            trouble: trouble(&follower.contact()),
            shortfalls,
        })
    }

    /// Who holds a permit of this process.
    fn holders_here(&self) -> Vec<Member> {
        let Some(held) = self.replica.held() else { return Vec::new() };
        let listed = self.permit_list.permits().list(self.clock.boot());
        let acting = listed.into_iter().filter(|holder| !holder.is_over);
        // What came after the rules that it acts by need not concern it.
        let counts_as = |acts_by| match held.rules_since <= acts_by {
            true => held.head.revision,
            false => acts_by,
        };
        acting
            .map(|holder| Member {
                name: holder.name,
                incarnation: holder.incarnation,
                address: String::new(),
                revision: counts_as(holder.acts_by),
                answering: false,
                holds_permit: true,
            })
            .collect()
    }

    /// How long ago the rules held were last known to be the newest; `None` if they never were.
    #[must_use]
    pub fn rules_age(&self) -> Option<Duration> {
        let Some(follower) = &self.follower else { return Some(Duration::ZERO) };
        self.replica.held()?.lease.proof_age(follower.terms(), self.clock.boot())
    }

    /// Whether `ELIGIBLE` can be answered now: what is held is known to be all there is.
    ///
    /// # Errors
    /// Why not, in words for an operator.
    pub fn fresh(&self) -> Result<(), String> {
        use crate::replica::Freshness;
        if self.replica.freshness(self.clock.boot()) == Freshness::Fresh {
            return Ok(());
        }
        let trouble = self.follower.as_ref().and_then(|follower| trouble(&follower.contact()));
        Err(trouble.unwrap_or_else(|| "the rules held may not be the newest".to_owned()))
    }

    /// The rules as of now, known to be the newest because the store was asked after this was called.
    /// When the store does not answer, they are known to be nothing.
    pub(super) async fn asked_view(&self) -> View<'_> {
        let Some(follower) = &self.follower else { return self.view() };
        match tokio::time::timeout(STRICT_LIMIT, self.asked_of(follower)).await {
            Ok(Some(held)) => self.view_of(held, true),
            Ok(None) | Err(_) => self.view(),
        }
    }

    /// What is held, once it is all that the store has; `None` if that cannot be brought about.
    async fn asked_of(&self, follower: &Arc<Follower>) -> Option<Arc<Held>> {
        let (held, standing, newest) = self.looks.look(follower, &self.replica).await?;
        match standing {
            Standing::Newest => Some(held),
            Standing::Behind => {
                // What cannot be taken over leaves the check without proof, which is what it then says.
                let _ = follower.catch_up(newest).await;
                follower.wake();
                // It was made from a part of the store's history and the records after it.
                let is_reached = |now: &Arc<Held>| {
                    now.head.lineage == held.head.lineage && newest <= now.head.revision
                };
                self.replica.held().filter(is_reached)
            }
            _ => None,
        }
    }

    /// Decides that the store's history goes on as it is, under a new lineage, after histories have
    /// disagreed.
    ///
    /// # Errors
    /// When nothing has forked, and as for [`Service::change`].
    pub async fn accept_history(&self, requester: Requester) -> Result<Token, ServiceError> {
        let Some(follower) = &self.follower else { return Err(ServiceError::NotForked) };
        if let Some(record) = self.store.record_of(&requester.request_id).await? {
            if record.content.kind != Some(ChangeKind::AcceptHistory) {
                let (request_id, revision) = (requester.request_id, record.revision);
                return Err(StoreError::RequestReused { request_id, revision }.into());
            }
            let lineage = self.store.load().await?.head.lineage;
            return Ok(Token::new(lineage, record.revision, &record.chain));
        }
        let fleet = follower.store().fleet(&self.head()?).await?;
        if !matches!(fleet.standing, Standing::Forked { .. }) {
            return Err(ServiceError::NotForked);
        }
        let store = self.store.load().await?;
        let (kind, author) = (ChangeKind::AcceptHistory, Party::from(&*requester.author));
        let at = self.instants_after(store.changed_at).now;
        let content = NewRecord {
            address: requester.address,
            reason: requester.reason,
            ticket: requester.ticket,
            ..NewRecord::made(requester.request_id, kind, author, at, RuleChange::default())
        };
        let applied = self.store.apply(&content, store.head.revision).await?;
        let lineage = self.store.load().await?.head.lineage;
        follower.wake();
        Ok(Token::new(lineage, applied.record.revision, &applied.record.chain))
    }
}

/// What is wrong, in words for an operator.
fn trouble(contact: &Contact) -> Option<String> {
    match contact {
        Contact::Good => None,
        Contact::None => Some("the store was not heard from yet".to_owned()),
        Contact::Unreachable => Some("the store does not answer".to_owned()),
        Contact::Stuck(why) => Some(format!("what is newer cannot be taken over: {why}")),
        Contact::Apart(standing) => apart(standing),
    }
}

/// What is wrong where the store's history is not that which is held, in words.
pub(super) fn apart(standing: &Standing) -> Option<String> {
    Some(match standing {
        Standing::Forked { .. } => {
            "the store's history has forked; nobody answers ELIGIBLE until people decide".to_owned()
        }
        Standing::OtherLineage { lineage, .. } => {
            format!("the store's history is another one ({lineage}) than that of the journal")
        }
        Standing::Empty => "the store holds no history".to_owned(),
        Standing::LimitTooLong { allowed } => {
            format!(
                "the staleness limit is longer than the {allowed:?} that this store's history allows"
            )
        }
        Standing::NameTaken { address } => {
            format!("another process reports under this replica's name, reached at {address}")
        }
        Standing::NoRoom => "the store's list of who acts by its rules is full".to_owned(),
        Standing::Newest | Standing::Behind => return None,
    })
}

/// Looks at what the store says of what is held: one at a time, each for everybody who asked before it
/// was sent.
#[derive(Debug, Default)]
pub(super) struct Looks {
    asking: Arc<Mutex<Asking>>,
}

/// What was held, what it is in the store's history, and the store's newest revision.
type Look = (Arc<Held>, Standing, Revision);

#[derive(Debug, Default)]
struct Asking {
    waiting: Vec<oneshot::Sender<Option<Look>>>,
    busy: bool,
}

impl Looks {
    /// What the store said at some instant after this was called; `None` without an answer.
    async fn look(&self, follower: &Arc<Follower>, replica: &Arc<Replica>) -> Option<Look> {
        let (answer, answered) = oneshot::channel();
        let begin = {
            let mut asking = self.asking.lock().unwrap_or_else(PoisonError::into_inner);
            asking.waiting.push(answer);
            !std::mem::replace(&mut asking.busy, true)
        };
        if begin {
            let (asking, store) = (Arc::clone(&self.asking), Arc::clone(follower.store()));
            tokio::spawn(answer_all(asking, store, Arc::clone(replica)));
        }
        answered.await.ok().flatten()
    }
}

/// Looks until nobody waits. Only those who asked before a look was sent get its answer.
async fn answer_all(
    asking: Arc<Mutex<Asking>>,
    store: Arc<dyn SharedStore>,
    replica: Arc<Replica>,
) {
    loop {
        let waiting = {
            let mut asking = asking.lock().unwrap_or_else(PoisonError::into_inner);
            let waiting = std::mem::take(&mut asking.waiting);
            asking.busy = !waiting.is_empty();
            waiting
        };
        if waiting.is_empty() {
            return;
        }
        let look = match replica.held() {
            None => None,
            Some(held) => match store.fleet(&held.head).await {
                Ok(fleet) => Some((held, fleet.standing, fleet.newest)),
                Err(_) => None,
            },
        };
        for answer in waiting {
            let _ = answer.send(look.clone());
        }
    }
}
