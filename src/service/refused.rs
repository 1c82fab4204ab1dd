//! Writes down what was refused.

use super::change::Requester;
use super::record::{MOST_ATTEMPTS, Prepared, Step};
use super::{Refusal, Service, ServiceError};
use crate::audit::{Act, NewRecord, Party, RefusedRequest, RequestId};
use crate::domain::{Principal, Revision, RuleChange};
use crate::store::StoreError;
use std::net::IpAddr;
use std::sync::{Arc, PoisonError};
use uuid::Uuid;

/// Most bytes of what was asked.
const MOST_ASKED: usize = 200;

impl Service {
    /// Writes down that somebody was refused a change before it came here: `asked` says in one line what
    /// they asked for, `code` why not. Returns at once.
    pub fn refused(
        self: &Arc<Self>,
        who: &Principal,
        address: Option<IpAddr>,
        asked: String,
        code: &'static str,
    ) {
        let (service, who) = (Arc::clone(self), Party::from(who));
        let Ok(place) = Arc::clone(&self.changes).try_acquire_owned() else {
            tracing::warn!("{asked} was refused ({code}), and there was no room to record it");
            return;
        };
        tokio::spawn(async move {
            let _place = place;
            let _writing = service.writing.lock().await;
            service.write_refusal(who, address, None, asked, code).await;
        });
    }

    /// The same, for what a step was refused. The caller holds the lock on writing.
    pub(super) async fn record_refusal(&self, requester: &Requester, step: &Step, why: &Refusal) {
        let (party, asked) = (requester.party(), step.asked.clone());
        self.write_refusal(party, requester.address, step.about, asked, why.code()).await;
    }

    async fn write_refusal(
        &self,
        who: Party,
        address: Option<IpAddr>,
        about: Option<Revision>,
        mut asked: String,
        code: &'static str,
    ) {
        let allowed = {
            let mut allowance = self.refusals.lock().unwrap_or_else(PoisonError::into_inner);
            allowance.take(&who.id, self.clock.boot())
        };
        let Some(unwritten) = allowed else { return };
        asked.truncate(asked.floor_char_boundary(MOST_ASKED));
        let refused = RefusedRequest { code: code.to_owned(), asked, unwritten };
        if let Err(error) = self.append_refusal(&who, address, about, refused).await {
            self.refusals.lock().unwrap_or_else(PoisonError::into_inner).give_back(unwritten);
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "{} was refused a change ({code}), and this could not be recorded",
                who.name
            );
        }
    }

    async fn append_refusal(
        &self,
        who: &Party,
        address: Option<IpAddr>,
        about: Option<Revision>,
        refused: RefusedRequest,
    ) -> Result<(), ServiceError> {
        let request_id = RequestId::parse(&format!("refusal.{}", Uuid::now_v7()));
        let request_id = request_id.ok_or(ServiceError::BrokenOff)?;
        let mut attempts = 0;
        loop {
            attempts += 1;
            let before = self.store.load().await?;
            let content = NewRecord {
                request_id: request_id.clone(),
                act: Act::Refuse,
                kind: None,
                author: who.clone(),
                approver: None,
                address,
                reason: String::new(),
                ticket: String::new(),
                at: self.instants_after(before.changed_at).now,
                direction: None,
                proposal: about,
                digest: None,
                starts_now: false,
                change: RuleChange::default(),
                refused: Some(refused.clone()),
                mailing: None,
                ledger: None,
            };
            let after = before.rules.clone();
            match self.write(Prepared { content, before, after, snapshot: None }).await {
                Err(ServiceError::Store(StoreError::Conflict { .. }))
                    if attempts < MOST_ATTEMPTS => {}
                written => return written.map(drop),
            }
        }
    }
}
