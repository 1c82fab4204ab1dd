//! Adapts `EligibilityService`.

use super::api::Api;
use super::caller::Caller;
use super::deadline;
use super::explanation;
use super::rates::Ticket;
use super::refusals::shape;
use super::status::{invalid, item_error, log_full, log_full_item, status_of};
use crate::domain::{Advisory, AdvisoryId, Outcome, Timestamp};
use crate::service::{Answer, LogFull, OfferAnswer, RuleFile, RulesAsked, Service, View};
use crate::wire::decision::Evidence;
use crate::wire::{FieldErrors, check_request, decision, proto, request, suspension, time};
use futures_util::{Stream, StreamExt};
use proto::eligibility_result::Result as Item;
use proto::eligibility_service_server::EligibilityService;
use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use tonic::{Request, Response, Status, Streaming};
use uuid::Uuid;

/// Most checks in one batch.
const MOST_IN_BATCH: usize = 1000;

/// How many of them are decided before others have their turn.
const AT_A_TIME: usize = 100;

/// Most bytes of a stream's correlation id: it goes back as it came, with every answer.
const MOST_CORRELATION: usize = 256;

/// The answers of a stream.
pub(super) type Answers =
    Pin<Box<dyn Stream<Item = Result<proto::StreamEligibilityResponse, Status>> + Send>>;

#[tonic::async_trait]
impl EligibilityService for Api {
    async fn check_eligibility(
        &self,
        request: Request<proto::CheckEligibilityRequest>,
    ) -> Result<Response<proto::CheckEligibilityResponse>, Status> {
        let message = request.get_ref();
        let caller = Caller::of(request.extensions());
        let view = view_for(&self.service, [message]).await;
        let answer = answer(&view, message, &caller).map_err(|refused| match refused {
            Refused::Fields(errors) => invalid(&errors),
            Refused::LogFull(error) => log_full(error),
        })?;
        Ok(Response::new(proto::CheckEligibilityResponse { decision: Some(write(&answer)) }))
    }

    async fn batch_check_eligibility(
        &self,
        request: Request<proto::BatchCheckEligibilityRequest>,
    ) -> Result<Response<proto::BatchCheckEligibilityResponse>, Status> {
        let requests = &request.get_ref().requests;
        if requests.is_empty() || MOST_IN_BATCH < requests.len() {
            let given = requests.len();
            let what = format!("holds {given} checks, and 1 to {MOST_IN_BATCH} are allowed");
            return Err(invalid(&FieldErrors::one("requests", what)));
        }
        if let Some(ticket) = request.extensions().get::<Ticket>() {
            // One is taken already.
            ticket.owe(requests.len() - 1);
        }
        let caller = Caller::of(request.extensions());
        let view = view_for(&self.service, requests).await;
        let mut results = Vec::with_capacity(requests.len());
        for some in requests.chunks(AT_A_TIME) {
            if !results.is_empty() {
                // Others shall not wait for a whole batch.
                tokio::task::yield_now().await;
            }
            results.extend(some.iter().map(|message| result(&view, message, &caller)));
        }
        Ok(Response::new(proto::BatchCheckEligibilityResponse { results }))
    }

    type StreamEligibilityStream = Answers;

    async fn stream_eligibility(
        &self,
        request: Request<Streaming<proto::StreamEligibilityRequest>>,
    ) -> Result<Response<Answers>, Status> {
        let deadline = deadline::of(&request);
        let service = Arc::clone(&self.service);
        let caller = Caller::of(request.extensions());
        let ticket = request.extensions().get::<Ticket>().cloned();
        let answers = request.into_inner().then(move |message| {
            let (service, caller) = (Arc::clone(&service), caller.clone());
            let ticket = ticket.clone();
            async move {
                let mut message = message.map_err(|status| shape(&status))?;
                let allowed = ticket.map_or(Ok(()), |ticket| ticket.take());
                let result = match (allowed, checked(&message)) {
                    (Ok(()), Ok(check)) => {
                        result(&view_for(&service, [check]).await, check, &caller)
                    }
                    (Ok(()), Err(errors)) => failed(&errors),
                    (Err(spent), _) => {
                        proto::EligibilityResult { result: Some(Item::Error(spent.item())) }
                    }
                };
                if MOST_CORRELATION < message.correlation_id.len() {
                    message.correlation_id.clear();
                }
                let correlation_id = message.correlation_id;
                Ok(proto::StreamEligibilityResponse { correlation_id, result: Some(result) })
            }
        });
        Ok(Response::new(deadline::end(answers, deadline)))
    }

    async fn list_eligible_offers(
        &self,
        request: Request<proto::ListEligibleOffersRequest>,
    ) -> Result<Response<proto::ListEligibleOffersResponse>, Status> {
        let message = request.get_ref();
        let (asked, consistency) = both(
            request::list_request(message),
            request::consistency(message.consistency.as_ref()),
        )
        .map_err(|errors| invalid(&errors))?;
        let view = self.service.view_for(&consistency).await;
        if !view.has_rules() {
            return Err(status_of(crate::service::ServiceError::NotLoaded));
        }
        let caller = Caller::of(request.extensions());
        let complete = message.holdings_are_complete;
        let answers = view.check_all(&asked, complete, &consistency, caller.name()).await;
        let answers = answers.map_err(log_full)?;
        let mut response = proto::ListEligibleOffersResponse::default();
        for found in &answers {
            if found.answer.decision.outcome == Outcome::Eligible {
                response.eligible.push(offer_decision(found));
            } else if message.include_others {
                response.others.push(offer_decision(found));
            }
        }
        Ok(Response::new(response))
    }

    async fn explain_eligibility(
        &self,
        request: Request<proto::ExplainEligibilityRequest>,
    ) -> Result<Response<proto::ExplainEligibilityResponse>, Status> {
        use proto::explain_eligibility_request::Rules;
        let message = request.into_inner();
        let mut errors = FieldErrors::default();
        let as_of = as_of(message.as_of.as_ref(), &mut errors);
        let check = message.request.as_ref();
        if check.is_some_and(|check| check.consistency.is_some()) {
            errors.add("request.consistency", "must not be set: say `as_of` or `rules`");
        }
        let none = || FieldErrors::one("request", "is required");
        let asked = check
            .ok_or_else(none)
            .and_then(|check| check_request(check).map_err(|errors| errors.under("request")));
        let (asked, ()) = both(asked, errors.or(|| ())).map_err(|errors| invalid(&errors))?;
        let rules = match message.rules {
            None => RulesAsked::InForce,
            Some(Rules::Revision(number)) => RulesAsked::At(crate::domain::Revision(number)),
            Some(Rules::Draft(document)) => RulesAsked::Draft(rule_file(document)),
        };
        let explained = self.service.explain(&asked, as_of, rules).await.map_err(status_of)?;
        Ok(Response::new(explanation::write(&explained, &asked)))
    }
}

/// A rule file as the use cases take it.
pub(super) fn rule_file(document: proto::RuleDocument) -> RuleFile {
    let name = if document.name.is_empty() { "rules".to_owned() } else { document.name };
    RuleFile { text: document.yaml, name }
}

/// Reads the instant to decide at. The last hours of 9999 mean "never" elsewhere, and are cut to the
/// last instant that there is; a question about them would be answered for another instant.
pub(super) fn as_of(
    given: Option<&prost_types::Timestamp>,
    errors: &mut FieldErrors,
) -> Option<Timestamp> {
    let read = suspension::instant(given, "as_of", errors)?;
    if given.is_some_and(|given| time::write(read) != *given) {
        let last = Timestamp::MAX;
        errors.add("as_of", format_args!("is later than {last}, the last instant there is"));
        return None;
    }
    Some(read)
}

/// One view for several checks, as fresh as the most demanding of them wants it.
async fn view_for<'a>(
    service: &'a Service,
    checks: impl IntoIterator<Item = &proto::CheckEligibilityRequest>,
) -> View<'a> {
    let wanted = checks
        .into_iter()
        .filter_map(|check| request::consistency(check.consistency.as_ref()).ok())
        .find(|consistency| service.view_at_once(consistency).is_none());
    match wanted {
        Some(consistency) => service.view_for(&consistency).await,
        None => service.view(),
    }
}

/// Both values, or all errors of both.
pub(super) fn both<A, B>(
    one: Result<A, FieldErrors>,
    other: Result<B, FieldErrors>,
) -> Result<(A, B), FieldErrors> {
    match (one, other) {
        (Ok(one), Ok(other)) => Ok((one, other)),
        (Err(mut errors), Err(more)) => {
            errors.extend(more);
            Err(errors)
        }
        (Err(errors), Ok(_)) | (Ok(_), Err(errors)) => Err(errors),
    }
}

/// Writes an answer.
pub(super) fn write(answer: &Answer<'_>) -> proto::Decision {
    let mut id = Uuid::encode_buffer();
    decision::decision(&answer.decision, &evidence(answer, &mut id))
}

/// What an answer carries beside its decision; `id` is room for the decision's id.
pub(super) fn evidence<'a>(answer: &'a Answer<'_>, id: &'a mut [u8]) -> Evidence<'a> {
    static NONE: BTreeMap<AdvisoryId, Arc<Advisory>> = BTreeMap::new();
    let held = answer.held.as_deref();
    Evidence {
        decision_id: answer.id.as_hyphenated().encode_lower(id),
        token: held.map_or("", |held| held.token.as_str()),
        valid_until: answer.valid_until,
        rules_age: answer.rules_age,
        advisories: held.map_or(&NONE, |held| &held.rules.advisories),
    }
}

/// Why a check was not answered.
enum Refused {
    Fields(FieldErrors),
    LogFull(LogFull),
}

/// Decides a message in any shape.
fn answer<'v>(
    view: &'v View<'_>,
    message: &proto::CheckEligibilityRequest,
    caller: &Caller,
) -> Result<Answer<'v>, Refused> {
    let consistency = request::consistency(message.consistency.as_ref());
    let (asked, consistency) =
        both(check_request(message), consistency).map_err(Refused::Fields)?;
    view.check(&asked, &consistency, caller.name()).map_err(Refused::LogFull)
}

fn result(
    view: &View<'_>,
    message: &proto::CheckEligibilityRequest,
    caller: &Caller,
) -> proto::EligibilityResult {
    match answer(view, message, caller) {
        Ok(answer) => proto::EligibilityResult { result: Some(Item::Decision(write(&answer))) },
        Err(Refused::Fields(errors)) => failed(&errors),
        Err(Refused::LogFull(error)) => {
            proto::EligibilityResult { result: Some(Item::Error(log_full_item(error))) }
        }
    }
}

fn failed(errors: &FieldErrors) -> proto::EligibilityResult {
    proto::EligibilityResult { result: Some(Item::Error(item_error(errors))) }
}

/// The check of a stream's message.
fn checked(
    message: &proto::StreamEligibilityRequest,
) -> Result<&proto::CheckEligibilityRequest, FieldErrors> {
    if MOST_CORRELATION < message.correlation_id.len() {
        let what = format!("is longer than the {MOST_CORRELATION} bytes that are allowed");
        return Err(FieldErrors::one("correlation_id", what));
    }
    message.request.as_ref().ok_or_else(|| FieldErrors::one("request", "is required"))
}

fn offer_decision(found: &OfferAnswer) -> proto::OfferDecision {
    proto::OfferDecision {
        offer: found.offer.id.to_string(),
        title: found.offer.title.clone().unwrap_or_default(),
        product: found.offer.product.to_string(),
        decision: Some(write(&found.answer)),
    }
}
