//! The clients of a run: some ask all the time, in every consistency; some suspend, wait until it is
//! enforced, and lift. Everything is written down as the client saw it.

use super::dice::Dice;
use super::history::{Answer, Await, Change, Check, Event, Nanos, Need, Result, Target, What};
use super::log::PROPOSED;
use super::world;
use offergate::clock::{Clock, SystemClock};
use offergate::domain::Token;
use offergate::wire::{proto, time};
use proto::consistency::Requirement;
use proto::eligibility_service_client::EligibilityServiceClient;
use proto::fleet_service_client::FleetServiceClient;
use proto::rule_service_client::RuleServiceClient;
use proto::suspension_service_client::SuspensionServiceClient;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};

/// Between two checks of one client.
const CHECK_PAUSE: Duration = Duration::from_millis(12);

/// How long a check may take before its caller gives up.
const CHECK_LIMIT: Duration = Duration::from_secs(1);

/// How long a change may take, and how often it is sent again while its fate is unknown.
const CHANGE_LIMIT: Duration = Duration::from_secs(4);
const ATTEMPTS: usize = 6;

/// After a change that was not made.
const REFUSED_PAUSE: Duration = Duration::from_millis(200);

/// How often a client waits for one change before it leaves it at that.
const AWAITS: usize = 3;

/// What everybody shares.
#[derive(Clone)]
pub(crate) struct Run {
    events: Arc<Mutex<Vec<Event>>>,
    stopped: Arc<AtomicBool>,
    held: Arc<AtomicBool>,
    replicas: Arc<Vec<(String, Channel)>>,
}

/// Nanoseconds of boot time, now.
pub(crate) fn now() -> Nanos {
    u64::try_from(SystemClock.boot().as_nanos()).unwrap()
}

impl Run {
    pub(crate) fn new(replicas: &[(String, SocketAddr)]) -> Self {
        let channel = |(name, address): &(String, SocketAddr)| {
            let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
            let limit = Duration::from_millis(300);
            (name.clone(), endpoint.connect_timeout(limit).connect_lazy())
        };
        Self {
            events: Arc::default(),
            stopped: Arc::default(),
            held: Arc::default(),
            replicas: Arc::new(replicas.iter().map(channel).collect()),
        }
    }

    pub(crate) fn note(&self, event: Event) {
        self.events.lock().unwrap_or_else(PoisonError::into_inner).push(event);
    }

    pub(crate) fn events(&self) -> Vec<Event> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
    }

    /// While held, no new change is begun.
    pub(crate) fn hold_changes(&self, held: bool) {
        self.held.store(held, Ordering::Release);
    }

    fn goes_on(&self) -> bool {
        !self.stopped.load(Ordering::Acquire)
    }

    fn replica(&self, number: usize) -> (String, Channel) {
        self.replicas[number].clone()
    }

    fn any_replica(&self, dice: &mut Dice) -> (String, Channel) {
        self.replica(dice.below(self.replicas.len()))
    }

    /// Asks one replica once, without writing it down.
    pub(crate) async fn asks(&self, replica: usize, offer: &str) -> Option<Answer> {
        ask(self.replica(replica).1, offer, &Need::Leased).await
    }

    /// What a replica says is wrong between it and the store, if it says anything.
    pub(crate) async fn trouble(&self, replica: usize) -> Option<String> {
        let mut client = FleetServiceClient::new(self.replica(replica).1);
        let request = limited(proto::ListReplicasRequest {}, CHECK_LIMIT);
        Some(client.list_replicas(request).await.ok()?.into_inner().trouble)
    }

    /// Applies the rules of the run; they must be there before anything else.
    pub(crate) async fn apply_rules(&self) {
        let (replica, channel) = self.replica(0);
        let sent = now();
        let document = Some(proto::RuleDocument { yaml: world::rules(), name: String::new() });
        let request = proto::ApplyRulesRequest {
            document,
            expected_revision: Some(0),
            request_id: format!("rules{PROPOSED}"),
            author: "chaos".into(),
            reason: "the run begins".into(),
            ..proto::ApplyRulesRequest::default()
        };
        let mut client = RuleServiceClient::new(channel);
        let proposed = client.apply_rules(limited(request, CHANGE_LIMIT));
        let proposal = proposed.await.unwrap().into_inner().proposal;
        let approved = approve(self.replica(0).1, proposal, "rules").await;
        let revision = approved.unwrap().unwrap();
        let (request, received) = ("rules".to_owned(), now());
        let (what, result) = (What::ApplyRules, Result::Committed { token: revision.token });
        let change = Change { client: 0, replica, sent, received, request, what, result };
        self.note(Event::Change(change));
    }

    /// Decides that the store's history goes on, as a person would; says whether it had forked.
    pub(crate) async fn accept_history(&self, attempt: u64) -> bool {
        let mut accepted = false;
        for number in 0..self.replicas.len() {
            let request = proto::AcceptHistoryRequest {
                request_id: format!("accept-{attempt}-{number}"),
                author: "chaos".into(),
                reason: "histories disagree".into(),
                ticket: "CHG-1".into(),
            };
            let mut client = FleetServiceClient::new(self.replica(number).1);
            accepted |= client.accept_history(limited(request, CHECK_LIMIT)).await.is_ok();
        }
        accepted
    }
}

fn limited<T>(message: T, limit: Duration) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(limit);
    request
}

async fn ask(channel: Channel, offer: &str, need: &Need) -> Option<Answer> {
    let requirement = match need {
        Need::Leased => None,
        Need::AtLeast(token) => Some(Requirement::AtLeastToken(token.clone())),
        Need::Strict => Some(Requirement::Strict(true)),
    };
    let consistency = requirement.map(|set| proto::Consistency { requirement: Some(set) });
    let request = limited(world::question(offer, consistency), CHECK_LIMIT);
    let mut client = EligibilityServiceClient::new(channel);
    let call = tokio::time::timeout(CHECK_LIMIT, client.check_eligibility(request));
    let decision = call.await.ok()?.ok()?.into_inner().decision?;
    let bare = |name: &str, prefix: &str| name.trim_start_matches(prefix).to_owned();
    let reason = |reason: &proto::Reason| {
        let code = bare(reason.code().as_str_name(), "REASON_CODE_");
        if reason.attribute.is_empty() { code } else { format!("{code}:{}", reason.attribute) }
    };
    Some(Answer {
        outcome: bare(decision.outcome().as_str_name(), "OUTCOME_"),
        reasons: decision.reasons.iter().map(reason).collect(),
        suspensions: decision.suspensions.iter().map(|notice| notice.id.clone()).collect(),
        as_of: decision.as_of.as_ref().and_then(time::read)?.to_string(),
        token: decision.token,
    })
}

/// Asks until the run stops: every third client leased, at a token, strict.
pub(crate) async fn check_on_and_on(run: Run, client: u32, mut dice: Dice) {
    let mut newest: Option<Token> = None;
    while run.goes_on() {
        let (replica, channel) = run.any_replica(&mut dice);
        let number = dice.below(world::VENDORS);
        let need = match (client % 4, &newest) {
            (1, Some(token)) => Need::AtLeast(token.to_string()),
            (2, _) => Need::Strict,
            _ => Need::Leased,
        };
        let (offer, vendor) = (world::offer(number), world::vendor(number));
        let sent = now();
        let answer = ask(channel, &offer, &need).await;
        let received = now();
        if let Some(token) = answer.as_ref().and_then(Answer::place) {
            let older = newest.as_ref().is_some_and(|newest| {
                newest.lineage == token.lineage && token.revision <= newest.revision
            });
            if !older {
                newest = Some(token);
            }
        }
        run.note(Event::Check(Check {
            client,
            replica,
            sent,
            received,
            offer,
            vendor,
            need,
            answer,
        }));
        tokio::time::sleep(CHECK_PAUSE).await;
    }
}

/// Suspends, waits and lifts until the run stops. Each client has vendors that no other one touches.
pub(crate) async fn suspend_on_and_on(run: Run, client: u32, vendors: Vec<usize>, mut dice: Dice) {
    let mut round = 0_u64;
    let mut left_over: Vec<String> = Vec::new();
    while run.goes_on() {
        if run.held.load(Ordering::Acquire) {
            tokio::time::sleep(CHECK_PAUSE).await;
            continue;
        }
        round += 1;
        let number = vendors[dice.below(vendors.len())];
        let suspension = format!("s-{client}-{round}");
        let target = match dice.below(3) {
            0 => Target::Offer(world::offer(number)),
            _ => Target::Vendor(world::vendor(number)),
        };
        let what = What::Suspend { suspension: suspension.clone(), target };
        if !change(&run, client, &suspension, what, &mut dice).await {
            left_over.push(suspension);
            // A store that refuses everything does so at once.
            tokio::time::sleep(REFUSED_PAUSE).await;
            continue;
        }
        for _ in 0..AWAITS {
            if wait(&run, client, &suspension, &mut dice).await {
                break;
            }
        }
        tokio::time::sleep(dice.time(Duration::from_millis(50), Duration::from_millis(700))).await;
        left_over.push(suspension);
        let mut still = Vec::new();
        for suspension in left_over {
            let request = format!("lift-{suspension}-{round}");
            let what = What::Lift { suspension: suspension.clone() };
            if !change(&run, client, &request, what, &mut dice).await {
                still.push(suspension);
            }
        }
        left_over = still;
    }
}

/// Sends a change until its fate is known; says whether it was made, or refused for good. What a fork or
/// an empty store refuses can be asked for again later.
async fn change(run: &Run, client: u32, request: &str, what: What, dice: &mut Dice) -> bool {
    for _ in 0..ATTEMPTS {
        let (replica, channel) = run.any_replica(dice);
        let sent = now();
        let answer = tokio::time::timeout(CHANGE_LIMIT, send(channel, request, &what)).await;
        let received = now();
        let result = match answer {
            Ok(Ok(token)) => Result::Committed { token },
            Ok(Err(status)) => fate(&status),
            Err(_) => Result::Unknown { why: "no answer in time".into() },
        };
        let known = !matches!(result, Result::Unknown { .. });
        let later = matches!(&result, Result::Refused { why }
            if ["forked", "no history"].iter().any(|said| why.contains(said)));
        let (request, what) = (request.to_owned(), what.clone());
        let change = Change { client, replica, sent, received, request, what, result };
        run.note(Event::Change(change));
        if known {
            return !later;
        }
        if !run.goes_on() {
            return false;
        }
        tokio::time::sleep(dice.time(Duration::from_millis(20), Duration::from_millis(300))).await;
    }
    false
}

/// Approves what waits, as somebody else than who proposed it.
async fn approve(
    channel: Channel,
    proposal: Option<proto::ProposedChange>,
    request_id: &str,
) -> std::result::Result<Option<proto::Revision>, Status> {
    let Some(proto::ProposedChange { id, digest, .. }) = proposal else { return Ok(None) };
    let (request_id, author) = (request_id.to_owned(), "order".to_owned());
    let request = proto::ApproveChangeRequest { id, digest, request_id, author };
    let mut client = SuspensionServiceClient::new(channel);
    let approved = client.approve_change(limited(request, CHANGE_LIMIT)).await?;
    Ok(approved.into_inner().revision)
}

/// Has two people make a change. It is the approval that has the name given.
async fn send(
    channel: Channel,
    request_id: &str,
    what: &What,
) -> std::result::Result<String, Status> {
    let mut client = SuspensionServiceClient::new(channel.clone());
    let (approval, request_id) = (request_id, format!("{request_id}{PROPOSED}"));
    let author = "chaos".to_owned();
    let (ticket, reason) = ("CHG-1".to_owned(), "a drill".to_owned());
    let proposal = match what {
        What::Suspend { suspension, target } => {
            let suspension = proto::Suspension {
                id: suspension.clone(),
                target: Some(proto::Target { target: Some(aim(target)) }),
                scope: Some(proto::Scope {
                    actions: vec![proto::Action::Offer.into()],
                    ..proto::Scope::default()
                }),
                ticket,
                reason,
                ..proto::Suspension::default()
            };
            let request = proto::CreateSuspensionRequest {
                suspension: Some(suspension),
                request_id,
                author,
                ..proto::CreateSuspensionRequest::default()
            };
            client.create_suspension(limited(request, CHANGE_LIMIT)).await?.into_inner().proposal
        }
        What::Lift { suspension } => {
            let request = proto::LiftSuspensionRequest {
                id: suspension.clone(),
                request_id,
                author,
                reason,
                ticket,
                ..proto::LiftSuspensionRequest::default()
            };
            client.lift_suspension(limited(request, CHANGE_LIMIT)).await?.into_inner().proposal
        }
        What::ApplyRules => None,
    };
    let revision = approve(channel, proposal, approval).await?;
    Ok(revision.map(|revision| revision.token).unwrap_or_default())
}

fn aim(target: &Target) -> proto::target::Target {
    match target {
        Target::Vendor(id) => proto::target::Target::Vendor(id.clone()),
        Target::Offer(id) => proto::target::Target::Offer(id.clone()),
    }
}

/// What an error says about the change: only these mean that nothing was written.
fn fate(status: &Status) -> Result {
    let why = format!("{:?}: {}", status.code(), status.message());
    match status.code() {
        Code::InvalidArgument | Code::NotFound | Code::AlreadyExists | Code::FailedPrecondition => {
            Result::Refused { why }
        }
        _ => Result::Unknown { why },
    }
}

/// Waits for a suspension on any replica; says whether it is enforced.
async fn wait(run: &Run, client: u32, suspension: &str, dice: &mut Dice) -> bool {
    let (replica, channel) = run.any_replica(dice);
    let request = proto::AwaitEnforcementRequest {
        change: Some(proto::await_enforcement_request::Change::RequestId(suspension.to_owned())),
        wait: Some(time::write_duration(CHANGE_LIMIT)),
    };
    let sent = now();
    let mut client_of = FleetServiceClient::new(channel);
    let limit = CHANGE_LIMIT * 2;
    let call = client_of.await_enforcement(limited(request, limit));
    let answer = tokio::time::timeout(limit, call).await;
    let received = now();
    let enforced = matches!(answer, Ok(Ok(answer))
        if answer.get_ref().state() == proto::EnforcementState::Enforced);
    let suspension = suspension.to_owned();
    run.note(Event::Await(Await { client, replica, sent, received, suspension, enforced }));
    enforced
}
