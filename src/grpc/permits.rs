//! Adapts `PermitService`: a stream of requests for more time, and what is told unasked in between.
//!
//! Invariant: only a holder that says so gives its permit back. A stream that ends in any other way may be
//! that of a holder which still acts. And it is on the list under a number of the server's own making: what it
//! calls itself speaks for nobody else.

use super::api::Api;
use super::caller::Caller;
use super::deadline;
use super::refusals::shape;
use super::status::{invalid, status_of};
use crate::domain::{PrincipalId, Revision, Token};
use crate::service::{Holder, Incarnation, PermitAnswer, Permitted, Service};
use crate::wire::{FieldErrors, proto, time};
use futures_util::{Stream, StreamExt, stream};
use proto::PermitState;
use proto::permit_service_server::PermitService;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::Instant;
use tonic::{Request, Response, Status, Streaming};

/// The shortest time between two answers that say the same: each may cost the store a call.
const PAUSE: Duration = Duration::from_millis(50);

#[tonic::async_trait]
impl PermitService for Api {
    type HoldPermitStream =
        Pin<Box<dyn Stream<Item = Result<proto::HoldPermitResponse, Status>> + Send>>;

    async fn hold_permit(
        &self,
        request: Request<Streaming<proto::HoldPermitRequest>>,
    ) -> Result<Response<Self::HoldPermitStream>, Status> {
        let deadline = deadline::of(&request);
        let place = self.service.place_for_holder().map_err(status_of)?;
        let held = HeldStream {
            service: Arc::clone(&self.service),
            owner: Caller::of(request.extensions()).id(),
            requests: request.into_inner(),
            revisions: self.service.revisions_in_effect(),
            holder: None,
            last: None,
            _place: place,
        };
        let answers = stream::unfold(Some(held), |held| async move {
            let mut held = held?;
            match held.next().await {
                Ok(Some(answer)) => Some((Ok(answer), Some(held))),
                Ok(None) => None,
                Err(status) => Some((Err(status), None)),
            }
        });
        let answers = answers.take_until(self.switch.off());
        Ok(Response::new(deadline::end(answers, deadline)))
    }
}

/// The stream of one holder.
struct HeldStream {
    service: Arc<Service>,
    /// Who calls.
    owner: PrincipalId,
    requests: Streaming<proto::HoldPermitRequest>,
    revisions: watch::Receiver<Revision>,
    holder: Option<Holder>,
    /// What it said last, and when that was answered.
    last: Option<(Token, Instant)>,
    _place: OwnedSemaphorePermit,
}

impl HeldStream {
    /// What is told next; `None` once the holder has left, or is gone.
    async fn next(&mut self) -> Result<Option<proto::HoldPermitResponse>, Status> {
        loop {
            tokio::select! {
                biased;
                changed = self.revisions.changed(), if self.last.is_some() => {
                    let Some((token, _)) = &self.last else { continue };
                    if changed.is_err() {
                        return Ok(None);
                    }
                    if let Some(moved) = self.service.moved_since(token).map_err(status_of)? {
                        return Ok(Some(write(0, moved)));
                    }
                }
                message = self.requests.message() => {
                    let Some(message) = message.map_err(|status| shape(&status))? else {
                        return Ok(None);
                    };
                    if message.leave {
                        if let Some(holder) = &self.holder {
                            self.service.give_back(holder).await.map_err(status_of)?;
                        }
                        return Ok(None);
                    }
                    return self.answer(&message).await.map(Some);
                }
            }
        }
    }

    async fn answer(
        &mut self,
        message: &proto::HoldPermitRequest,
    ) -> Result<proto::HoldPermitResponse, Status> {
        let (holder, token) = self.read(message).map_err(|errors| invalid(&errors))?;
        if let Some((said, at)) = &self.last
            && *said == token
        {
            tokio::time::sleep_until(*at + PAUSE).await;
        }
        if self.holder.is_none() {
            self.service.forget_silent_holders().await;
        }
        let permitted = self.service.permit(&holder, &token).await.map_err(status_of)?;
        self.holder = Some(holder);
        self.last = Some((token, Instant::now()));
        Ok(write(message.number, permitted))
    }

    fn read(&self, message: &proto::HoldPermitRequest) -> Result<(Holder, Token), FieldErrors> {
        let mut errors = FieldErrors::default();
        let holder = match &self.holder {
            Some(holder) => {
                if !message.name.is_empty() || !message.holder_id.is_empty() {
                    errors.add("holder_id", "is for the first message of a stream alone");
                }
                Some(holder.clone())
            }
            None => {
                let run = Incarnation::parse(&message.holder_id);
                if run.is_none() {
                    errors.add("holder_id", "is required: 32 lower-case hexadecimal digits");
                }
                let holder = run.map(|run| Holder::new(&message.name, &self.owner, &run));
                if holder == Some(None) {
                    errors.add("name", "is required: 1 to 40 ASCII letters, digits, `-`, `_`");
                }
                holder.flatten()
            }
        };
        if message.number == 0 {
            errors.add("number", "must be 1 or more");
        }
        let token = Token::parse(&message.token);
        if let Err(error) = &token {
            errors.add("token", error);
        }
        match (holder, token) {
            (Some(holder), Ok(token)) => errors.or(|| (holder, token)),
            _ => Err(errors),
        }
    }
}

fn write(number: u64, permitted: Permitted) -> proto::HoldPermitResponse {
    let (state, limit, why) = match permitted.answer {
        PermitAnswer::Granted(limit) => (PermitState::Granted, Some(limit), String::new()),
        PermitAnswer::Moved => (PermitState::RulesMoved, None, String::new()),
        PermitAnswer::NotNow(why) => (PermitState::NotNow, None, why),
    };
    proto::HoldPermitResponse {
        number,
        state: state.into(),
        limit: limit.map(time::write_duration),
        token: permitted.token.to_string(),
        rules_since: permitted.rules_since.0,
        why,
    }
}
