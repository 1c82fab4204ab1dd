//! Changes: what people ask for. Each is proposed, and waits for another person.

use super::history::Revised;
use super::record::Step;
use super::{Refusal, Service, ServiceError};
use crate::audit::{Act, ChangeKind, NewRecord, Party, Proposal, Proposed, RequestId};
use crate::decision::{Snapshot, direction};
use crate::domain::{Principal, Revision, Role, RuleChange, RuleSet, Timestamp};
use crate::rules;
use crate::store::Loaded;
use std::net::IpAddr;
use std::sync::Arc;

/// How many proposals may be listed at once, those that have lapsed included: more than people ever look
/// through. Each can hold a rule file.
const MOST_WAITING: usize = 200;

/// Who asks for a change, and why.
#[derive(Debug, Clone)]
pub struct Requester {
    /// The caller's name for this attempt.
    pub request_id: RequestId,
    /// Who asks.
    pub author: Arc<Principal>,
    /// From where, where that is known.
    pub address: Option<IpAddr>,
    /// Why.
    pub reason: String,
    /// The change ticket.
    pub ticket: String,
    /// The revision that the caller has seen; `None` for whatever is newest.
    pub expected: Option<Revision>,
    /// Whether everything is checked and nothing is changed.
    pub validate_only: bool,
}

impl Requester {
    /// # Errors
    /// When the role is missing.
    pub(super) fn needs(&self, role: Role) -> Result<(), ServiceError> {
        match self.author.roles.has(role) {
            true => Ok(()),
            false => Err(Refusal::NotAuthorised { needs: role }.into()),
        }
    }

    /// Who asks, as records hold it.
    pub(super) fn party(&self) -> Party {
        Party::from(&*self.author)
    }
}

/// A change to ask for: from the rules before it and the instant of the request to its steps. It is
/// asked again when another change came first, and when a request is repeated.
pub struct Change {
    pub(super) kind: ChangeKind,
    /// What is asked for, in one line.
    asked: String,
    starts_now: bool,
    build: Box<Build>,
}

type Build = dyn Fn(&RuleSet, Timestamp) -> Result<RuleChange, ServiceError> + Send + Sync;

impl Change {
    /// A change of this kind, and what it is about in one line.
    pub fn new(
        kind: ChangeKind,
        asked: String,
        build: impl Fn(&RuleSet, Timestamp) -> Result<RuleChange, ServiceError> + Send + Sync + 'static,
    ) -> Self {
        Self { kind, asked, starts_now: false, build: Box::new(build) }
    }

    /// The same, and what it brings begins at the instant at which it is approved.
    #[must_use]
    pub fn starting_now(self, starts_now: bool) -> Self {
        Self { starts_now, ..self }
    }

    /// What it would record as a proposal, or as an edit of one; `None` if it changes nothing.
    pub(super) fn proposed(
        &self,
        before: &Loaded,
        requester: &Requester,
        at: Timestamp,
        edited: Option<Revision>,
    ) -> Result<Option<NewRecord>, ServiceError> {
        requester.needs(Role::Maker)?;
        let change = (self.build)(&before.rules, at)?;
        if change.is_empty() {
            return Ok(None);
        }
        if edited.is_none() {
            room_for_one_more(before)?;
        }
        let digest = Proposed {
            base: before.head.revision,
            change: &change,
            kind: self.kind,
            lineage: &before.head.lineage,
            mailing: None,
            reason: &requester.reason,
            starts_now: self.starts_now,
            ticket: &requester.ticket,
        }
        .digest();
        let (request_id, author) = (requester.request_id.clone(), requester.party());
        let direction = direction(&before.rules, &before.rules.after(&change));
        Ok(Some(NewRecord {
            act: if edited.is_some() { Act::Edit } else { Act::Propose },
            address: requester.address,
            reason: requester.reason.clone(),
            ticket: requester.ticket.clone(),
            direction: Some(direction),
            proposal: edited,
            digest: Some(digest),
            starts_now: self.starts_now,
            ..NewRecord::made(request_id, self.kind, author, at, change)
        }))
    }

    /// What it does to the rules.
    pub(super) fn steps(&self, rules: &RuleSet, at: Timestamp) -> Result<RuleChange, ServiceError> {
        (self.build)(rules, at)
    }

    pub(super) fn asked(&self) -> &str {
        &self.asked
    }
}

impl std::fmt::Debug for Change {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Change").field("kind", &self.kind).finish_non_exhaustive()
    }
}

/// What came of a request.
#[derive(Debug)]
pub struct Changed {
    /// The revision that it led to; `None` if it was only checked, or changes nothing.
    pub revised: Option<Revised>,
    /// What waits for approval now, and its number; `None` where nothing does.
    pub proposal: Option<(Revision, Proposal)>,
    /// The rules before it.
    pub before: Arc<RuleSet>,
    /// The rules after it, as they are or would be.
    pub rules: Arc<RuleSet>,
}

impl Service {
    /// Proposes a change. It takes effect when another person approves it.
    ///
    /// # Errors
    /// As [`ServiceError`] lists them. Whatever the error but [`ServiceError::NotInEffect`],
    /// [`ServiceError::BrokenOff`] and an unavailable store, nothing was changed.
    pub async fn change(
        self: &Arc<Self>,
        requester: Requester,
        change: Change,
    ) -> Result<Changed, ServiceError> {
        let asked = format!("propose to {}", change.asked());
        let build = Box::new(move |before: &Loaded, requester: &Requester, at| {
            change.proposed(before, requester, at, None)
        });
        self.record(requester, Step { asked, about: None, build }).await
    }
}

impl Changed {
    pub(super) fn nothing(before: RuleSet, rules: RuleSet) -> Self {
        Self { revised: None, proposal: None, before: Arc::new(before), rules: Arc::new(rules) }
    }

    /// What a record did to the state before it.
    pub(super) fn of(revised: Revised, before: Loaded, rules: RuleSet) -> Self {
        let record = &revised.record;
        let proposal = matches!(record.content.act, Act::Propose | Act::Edit).then(|| {
            let mut next = (*before.waiting).clone();
            next.take(record.revision, &record.content);
            let number = record.content.proposal.unwrap_or(record.revision);
            next.proposals.remove(&number).map(|proposal| (number, proposal))
        });
        let (before, rules) = (Arc::new(before.rules), Arc::new(rules));
        Self { proposal: proposal.flatten(), revised: Some(revised), before, rules }
    }

    /// The revision that it led to.
    pub(super) fn record(&self) -> Result<&Revised, ServiceError> {
        self.revised.as_ref().ok_or(ServiceError::BrokenOff)
    }
}

/// Whether one more change may wait.
pub(super) fn room_for_one_more(before: &Loaded) -> Result<(), ServiceError> {
    let waiting = before.waiting.proposals.len();
    if waiting < MOST_WAITING {
        return Ok(());
    }
    let what = "changes that wait for approval (reject those that nobody needs)";
    Err(ServiceError::TooMuch { what, given: waiting + 1, most: MOST_WAITING })
}

/// Compiles rules that may make no sense.
pub(super) fn compile(rules: &RuleSet, revision: Revision) -> Result<Snapshot, ServiceError> {
    let problems = rules::check(rules);
    if !problems.is_empty() {
        return Err(ServiceError::Rules(problems));
    }
    Snapshot::compile(rules, revision).map_err(ServiceError::Compile)
}

/// Runs work that takes long for a processor, so that checks on this thread go on.
pub(super) async fn on_another_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ServiceError> + Send + 'static,
) -> Result<T, ServiceError> {
    tokio::task::spawn_blocking(work).await.unwrap_or(Err(ServiceError::BrokenOff))
}
