//! Keeps a permit alive: asks before it runs out, takes newer rules, opens another stream when one breaks,
//! and gives the permit back in the end.
//!
//! Invariant: the clock is read before a request is sent, and its answer counts from then.

use super::super::pinned::Pinned;
use super::{LEAVE_LIMIT, Shared, place};
use crate::client::{Client, ClientError};
use crate::clock::BootTime;
use crate::domain::{Lineage, Revision};
use crate::wire::proto;
use futures_util::future::{BoxFuture, FutureExt, OptionFuture};
use proto::PermitState;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

/// The longest time between two requests. A shorter limit makes it shorter.
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// After something that failed, or was not granted.
const RETRY_PAUSE: Duration = Duration::from_millis(200);

/// How long opening a stream may take.
const OPEN_LIMIT: Duration = Duration::from_secs(5);

/// How long an answer may take before the stream counts as broken, where no limit is known yet.
const USUAL_PATIENCE: Duration = Duration::from_secs(2);

/// The stream of one holder, and who that is.
pub(super) struct Session {
    client: Client,
    name: String,
    id: String,
    open: Option<Open>,
    number: u64,
}

struct Open {
    requests: mpsc::Sender<proto::HoldPermitRequest>,
    answers: Streaming<proto::HoldPermitResponse>,
    /// The request that is not answered yet, and when it was sent.
    asked: Option<(u64, BootTime)>,
}

/// Why a stream is followed no more.
enum Ended {
    Left,
    Broken(ClientError),
}

impl Session {
    pub(super) fn new(client: Client, name: String, id: String) -> Self {
        Self { client, name, id, open: None, number: 0 }
    }

    /// Opens the stream and waits for what the server says first.
    pub(super) async fn first_answer(&mut self, shared: &Shared) -> Result<(), ClientError> {
        self.open(shared).await?;
        loop {
            let answer = self.next_answer().await?;
            let granted = take_in(shared, self.asked_at(answer.number), &answer);
            // Newer rules are what `follow` sees to.
            if granted || shared.holding().moved().is_some() {
                return Ok(());
            }
            tokio::time::sleep(RETRY_PAUSE).await;
            self.ask(shared).await?;
        }
    }

    /// Opens a stream and sends its first request.
    async fn open(&mut self, shared: &Shared) -> Result<(), ClientError> {
        self.open = None;
        let (requests, sent) = mpsc::channel(4);
        let asked = self.next_request(shared);
        let number = asked.1;
        // It waits in the channel, so that it goes with the call.
        let _ = requests.try_send(asked.0);
        let at = shared.now();
        let opening = self.client.hold_permit(ReceiverStream::new(sent));
        let answers = tokio::time::timeout(OPEN_LIMIT, opening)
            .await
            .map_err(|_| ClientError::late("the server does not answer"))??;
        self.open = Some(Open { requests, answers, asked: Some((number, at)) });
        Ok(())
    }

    fn next_request(&mut self, shared: &Shared) -> (proto::HoldPermitRequest, u64) {
        self.number += 1;
        let is_first = self.open.is_none();
        let stated = |text: &String| if is_first { text.clone() } else { String::new() };
        let token = shared.holding().claim(shared.now()).token.clone();
        let request = proto::HoldPermitRequest {
            name: stated(&self.name),
            holder_id: stated(&self.id),
            number: self.number,
            token,
            leave: false,
        };
        (request, self.number)
    }

    /// Asks for more time. The clock is read first.
    async fn ask(&mut self, shared: &Shared) -> Result<(), ClientError> {
        let at = shared.now();
        let (request, number) = self.next_request(shared);
        let Some(open) = &mut self.open else { return Err(ClientError::late("no stream")) };
        open.asked = Some((number, at));
        open.requests.send(request).await.map_err(|_| ClientError::late("the stream has ended"))
    }

    async fn next_answer(&mut self) -> Result<proto::HoldPermitResponse, ClientError> {
        let Some(open) = &mut self.open else { return Err(ClientError::late("no stream")) };
        let ended = || ClientError::late("the server ended the stream");
        open.answers.message().await?.ok_or_else(ended)
    }

    /// When the request with this number was sent, if it is the one that waits for an answer.
    fn asked_at(&mut self, number: u64) -> Option<BootTime> {
        let asked = &mut self.open.as_mut()?.asked;
        asked.take_if(|(waiting, _)| *waiting == number).map(|(_, at)| at)
    }

    fn waits_since(&self) -> Option<BootTime> {
        self.open.as_ref()?.asked.map(|(_, at)| at)
    }

    async fn say_goodbye(&mut self) {
        let Some(open) = &mut self.open else { return };
        let leave = proto::HoldPermitRequest { leave: true, ..<_>::default() };
        if open.requests.send(leave).await.is_ok() {
            // The server ends the stream when it has taken note.
            while let Ok(Some(_)) = open.answers.message().await {}
        }
    }
}

/// Keeps the permit until `leave` is told or this is dropped.
pub(super) async fn keep(
    mut session: Session,
    shared: Arc<Shared>,
    mut leave: oneshot::Receiver<()>,
) {
    loop {
        let ended = match session.open {
            Some(_) => follow(&mut session, &shared, &mut leave).await,
            None => match session.open(&shared).await {
                Ok(()) => continue,
                Err(error) => Ended::Broken(error),
            },
        };
        match ended {
            Ended::Left => return,
            Ended::Broken(error) => {
                session.open = None;
                shared.holding().not_granted(error.message);
                shared.tell();
                tokio::select! {
                    () = tokio::time::sleep(RETRY_PAUSE) => {}
                    // What was granted runs out by itself.
                    _ = &mut leave => return,
                }
            }
        }
    }
}

/// Follows one stream to its end.
async fn follow(
    session: &mut Session,
    shared: &Shared,
    leave: &mut oneshot::Receiver<()>,
) -> Ended {
    let mut news = shared.news();
    let mut taking: Option<BoxFuture<'static, Option<Pinned>>> = None;
    let mut ask_at = shared.now();
    loop {
        news.mark_unchanged();
        let now = shared.now();
        let (limit, must_take) = {
            let holding = shared.holding();
            (holding.limit(), holding.moved().is_some())
        };
        if must_take && taking.is_none() {
            taking = Some(take(session.client.clone(), shared.holding().moved().cloned()).boxed());
        }
        let patience = if limit.is_zero() { USUAL_PATIENCE } else { limit / 2 };
        let (wake_at, is_waiting) = match session.waits_since() {
            Some(since) => (since + patience, true),
            None if must_take => (now + patience, false),
            None => {
                let holding = shared.holding();
                let at = match (holding.has_more_to_claim(now), holding.is_held_back(now)) {
                    (true, _) => now,
                    // Asking by the older rules would bring nothing.
                    (_, true) => holding.end_of_permit(),
                    (false, false) => ask_at,
                };
                (at, false)
            }
        };
        let pause = tokio::time::sleep(wake_at.saturating_sub(now));
        tokio::select! {
            biased;
            _ = &mut *leave => return goodbye(session, shared).await,
            answer = session.next_answer() => {
                let answer = match answer {
                    Ok(answer) => answer,
                    Err(error) => return Ended::Broken(error),
                };
                let asked = session.asked_at(answer.number);
                let granted = take_in(shared, asked, &answer);
                if asked.is_some() {
                    let limit = shared.holding().limit();
                    let pause = if granted { (limit / 8).min(LONGEST_PAUSE) } else { RETRY_PAUSE };
                    ask_at = shared.now() + pause;
                }
            }
            taken = OptionFuture::from(taking.as_mut()), if taking.is_some() => {
                taking = None;
                match taken.flatten() {
                    Some(rules) => {
                        let mut holding = shared.holding();
                        let enough = holding.moved().is_none_or(|moved| is_it(&rules, moved));
                        holding.take(Arc::new(rules), enough);
                        drop(holding);
                        shared.tell();
                        ask_at = shared.now();
                    }
                    None => tokio::time::sleep(RETRY_PAUSE).await,
                }
            }
            _ = news.changed() => {}
            () = pause => {
                if is_waiting {
                    return Ended::Broken(ClientError::late("the server does not answer"));
                }
                if must_take {
                    continue;
                }
                if let Err(error) = session.ask(shared).await {
                    return Ended::Broken(error);
                }
            }
        }
    }
}

/// Waits until nothing is under way, and gives the permit back.
async fn goodbye(session: &mut Session, shared: &Shared) -> Ended {
    let idle = async {
        let mut news = shared.news();
        while !shared.holding().is_idle() {
            let _ = news.changed().await;
        }
    };
    if tokio::time::timeout(LEAVE_LIMIT, idle).await.is_ok() {
        let _ = tokio::time::timeout(LEAVE_LIMIT, session.say_goodbye()).await;
    }
    Ended::Left
}

/// Takes in what the server says; returns whether it grants something.
fn take_in(shared: &Shared, asked: Option<BootTime>, answer: &proto::HoldPermitResponse) -> bool {
    let mut holding = shared.holding();
    let granted = match answer.state() {
        PermitState::Granted => {
            let limit = answer.limit.and_then(|limit| Duration::try_from(limit).ok());
            match (asked, limit) {
                (Some(asked), Some(limit)) => {
                    holding.granted(asked, limit);
                    true
                }
                _ => false,
            }
        }
        PermitState::RulesMoved => {
            if let Some(place) = place(&answer.token) {
                let moved = (place.lineage, Revision(answer.rules_since));
                // What is here already needs not be taken again; it only waits to be claimed.
                if !is_it(holding.rules(), &moved) {
                    holding.moved_to(moved);
                }
            }
            false
        }
        PermitState::NotNow | PermitState::Unspecified => {
            holding.not_granted(answer.why.clone());
            false
        }
    };
    drop(holding);
    shared.tell();
    granted
}

/// The rules that the server has moved to; `None` if they cannot be had now.
async fn take(client: Client, wanted: Option<(Lineage, Revision)>) -> Option<Pinned> {
    let wanted = wanted?;
    let taken = Pinned::take(&client, None).await;
    let taken = taken.inspect_err(|error| {
        tracing::warn!(error = error as &dyn std::error::Error, "Newer rules cannot be taken");
    });
    // Another server may be asked than the one that spoke of them, and be behind.
    taken.ok().filter(|rules| is_it(rules, &wanted))
}

/// Whether rules are of this history, and at least as new.
fn is_it(rules: &Pinned, (lineage, since): &(Lineage, Revision)) -> bool {
    place(&rules.token).is_some_and(|held| held.lineage == *lineage && *since <= held.revision)
}
