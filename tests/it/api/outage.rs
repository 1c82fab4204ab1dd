//! A store that loses answers, hangs or fails, and callers that compete or go away: nothing is
//! acknowledged that is not in effect, and nothing in doubt is eligible.

use super::messages::{connect, framed, send};
use super::server::{Server, check, create, memory, reasons, suspension};
use crate::two_people::{TwoPeople as _, approve, proposing};
use futures_util::future::{BoxFuture, FutureExt};
use offergate::audit::{NewRecord, Record, RequestId};
use offergate::client::{ClientError, ErrorKind};
use offergate::domain::Revision;
use offergate::store::memory::MemoryStore;
use offergate::store::{Applied, Head, Loaded, RuleStore, StoreError};
use offergate::wire::proto;
use prost::Message;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use tokio::sync::Semaphore;
use tokio_stream::StreamExt;
use tonic::Code;

/// A store in memory that misbehaves when told to.
struct Unruly {
    store: MemoryStore,
    /// Writes land, and their answers get lost.
    loses_answers: AtomicBool,
    /// Nothing can be read.
    is_unreadable: AtomicBool,
    /// Records have grown: each gives a megabyte of reasons.
    is_wordy: AtomicBool,
    /// Whoever reads panics, as a bug would.
    panics: AtomicBool,
    /// How many writes have come this far.
    arrived: AtomicUsize,
    /// How many of them may go on.
    writes: Semaphore,
}

impl Unruly {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            store: memory(),
            loses_answers: AtomicBool::new(false),
            is_unreadable: AtomicBool::new(false),
            is_wordy: AtomicBool::new(false),
            panics: AtomicBool::new(false),
            arrived: AtomicUsize::new(0),
            writes: Semaphore::new(Semaphore::MAX_PERMITS),
        })
    }

    fn fail(doing: &'static str) -> StoreError {
        StoreError::Unavailable { doing, source: "told to".into() }
    }

    fn readable<'a, T: Send + 'a>(
        &self,
        read: BoxFuture<'a, Result<T, StoreError>>,
    ) -> BoxFuture<'a, Result<T, StoreError>> {
        assert!(!self.panics.load(Ordering::SeqCst), "told to panic");
        if self.is_unreadable.load(Ordering::SeqCst) {
            return async { Err(Self::fail("reading")) }.boxed();
        }
        read
    }
}

impl RuleStore for Unruly {
    fn load(&self) -> BoxFuture<'_, Result<Loaded, StoreError>> {
        self.readable(self.store.load())
    }

    fn load_at(&self, revision: Revision) -> BoxFuture<'_, Result<Option<Loaded>, StoreError>> {
        self.readable(self.store.load_at(revision))
    }

    fn apply<'a>(
        &'a self,
        content: &'a NewRecord,
        expected: Revision,
    ) -> BoxFuture<'a, Result<Applied, StoreError>> {
        async move {
            self.arrived.fetch_add(1, Ordering::SeqCst);
            self.writes.acquire().await.unwrap().forget();
            let applied = self.store.apply(content, expected).await;
            match self.loses_answers.load(Ordering::SeqCst) {
                true => Err(Self::fail("writing")),
                false => applied,
            }
        }
        .boxed()
    }

    fn records(
        &self,
        after: Revision,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<Record>, StoreError>> {
        let records = self.readable(self.store.records(after, limit));
        if !self.is_wordy.load(Ordering::SeqCst) {
            return records;
        }
        async move {
            let mut records = records.await?;
            records.iter_mut().for_each(|it| it.content.reason = "x".repeat(1024 * 1024));
            Ok(records)
        }
        .boxed()
    }

    fn record_of<'a>(
        &'a self,
        request_id: &'a RequestId,
    ) -> BoxFuture<'a, Result<Option<Record>, StoreError>> {
        self.readable(self.store.record_of(request_id))
    }

    fn backup<'a>(&'a self, path: &'a Path) -> BoxFuture<'a, Result<Head, StoreError>> {
        self.store.backup(path)
    }
}

async fn decide(server: &Server, offer: &str, action: proto::Action) -> (proto::Outcome, String) {
    let request = proto::CheckEligibilityRequest {
        offer: offer.to_owned(),
        action: action.into(),
        ..check()
    };
    let decision = server.check(request).await.unwrap();
    (decision.outcome(), reasons(&decision).join(","))
}

#[tokio::test]
async fn a_write_whose_answer_is_lost_takes_back_every_yes_until_it_is_known() {
    let store = Unruly::new();
    let server = Server::start_over(Arc::clone(&store) as _).await;
    let proposed = server.client.create_suspension(create(suspension("s"), "r-0")).await.unwrap();
    let proposal = proposed.proposal.unwrap();
    store.loses_answers.store(true, Ordering::SeqCst);
    store.writes.forget_permits(Semaphore::MAX_PERMITS);
    // The store must also stop being read right when the write is on its way.
    let call = tokio::spawn({
        let (client, proposal) = (server.client.clone(), proposal.clone());
        async move { approve(&client, &proposal, "r-1").await }
    });
    wait_until(|| store.arrived.load(Ordering::SeqCst) == 4).await;
    store.is_unreadable.store(true, Ordering::SeqCst);
    store.writes.add_permits(1);
    let error = call.await.unwrap().unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unreachable);
    assert_eq!(error.reason.as_deref(), Some("STORE_UNAVAILABLE"));

    use proto::Action::{Notify, Offer};
    use proto::Outcome::{Eligible, Indeterminate, Ineligible};
    let stale = (Indeterminate, "RULES_STALE".to_owned());
    assert_eq!(decide(&server, "oss-12m", Offer).await, stale);
    assert_eq!(
        decide(&server, "kis-12m", Offer).await,
        (Ineligible, "VENDOR_SUSPENDED".to_owned())
    );
    assert_eq!(decide(&server, "oss-12m", Notify).await, (Eligible, "NOT_GATED".to_owned()));
    assert!(server.client.is_serving("").await.unwrap(), "what is denied is still answered");
    assert!(!server.client.is_serving("freshness").await.unwrap());

    store.loses_answers.store(false, Ordering::SeqCst);
    store.is_unreadable.store(false, Ordering::SeqCst);
    let made = approve(&server.client, &proposal, "r-1").await.unwrap();
    assert_eq!(made.number, 4);
    assert_eq!(
        decide(&server, "oss-12m", Offer).await,
        (Ineligible, "PRODUCT_SUSPENDED".to_owned())
    );
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(10);
    while !server.client.is_serving("freshness").await.unwrap() {
        assert!(tokio::time::Instant::now() < deadline, "doubt is settled by itself");
        tokio::task::yield_now().await;
    }
}

async fn wait_until(mut is_so: impl FnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(10);
    while !is_so() {
        assert!(tokio::time::Instant::now() < deadline, "waited too long");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_change_goes_on_when_its_caller_is_gone() {
    let store = Unruly::new();
    let server = Server::start_over(Arc::clone(&store) as _).await;
    let proposed = server.client.create_suspension(create(suspension("s"), "r-0")).await.unwrap();
    let proposal = proposed.proposal.unwrap();
    let mut watch =
        server.client.watch_revisions(proto::WatchRevisionsRequest::default()).await.unwrap();
    store.writes.forget_permits(Semaphore::MAX_PERMITS);
    let client = server.client.clone();
    let mut call = Box::pin(approve(&client, &proposal, "r-1"));
    wait_until(|| {
        assert!(call.as_mut().now_or_never().is_none(), "not before it is in effect");
        store.arrived.load(Ordering::SeqCst) == 4
    })
    .await;
    drop(call);
    store.writes.add_permits(1);
    let revision = watch.next().await.unwrap().unwrap().revision.unwrap();
    assert_eq!((revision.number, revision.request_id.as_str()), (4, "r-1"));
    let (outcome, _) = decide(&server, "oss-12m", proto::Action::Offer).await;
    assert_eq!(outcome, proto::Outcome::Ineligible);
}

#[tokio::test]
async fn of_changes_at_once_all_land_or_of_the_same_thing_one() {
    let server = Server::start().await;
    let proposals_at_once = async |prefix: &str, expected_revision, same: bool| {
        let calls = (0..20).map(|place| {
            let id = format!("{prefix}-{place}");
            let suspension = suspension(if same { "same" } else { &id });
            let request =
                proto::CreateSuspensionRequest { expected_revision, ..create(suspension, &id) };
            let client = server.client.clone();
            async move { client.create_suspension(request).await }
        });
        futures_util::future::join_all(calls).await
    };
    let approvals_at_once = async |proposals: Vec<proto::ProposedChange>| {
        let calls = proposals.into_iter().map(|proposal| {
            let (client, id) = (server.client.clone(), format!("approve-{}", proposal.id));
            async move { approve(&client, &proposal, &id).await }
        });
        futures_util::future::join_all(calls).await
    };
    let waiting = |made: Vec<Result<proto::CreateSuspensionResponse, ClientError>>| {
        made.into_iter().map(|made| made.unwrap().proposal.unwrap()).collect::<Vec<_>>()
    };
    // That others propose moves no rules.
    let free = waiting(proposals_at_once("free", Some(2), false).await);
    let same = waiting(proposals_at_once("same", Some(2), true).await);
    let all = approvals_at_once(free).await;
    let numbers: BTreeSet<_> = all.into_iter().map(|made| made.unwrap().number).collect();
    assert_eq!(numbers, (43..=62).collect());
    let (made, refused): (Vec<_>, Vec<_>) =
        approvals_at_once(same).await.into_iter().partition(Result::is_ok);
    assert_eq!(made.len(), 1);
    for error in refused.into_iter().filter_map(Result::err) {
        assert_eq!(error.reason.as_deref(), Some("APPROVAL_VOID"));
    }
    for error in proposals_at_once("late", Some(2), false).await {
        assert_eq!(error.unwrap_err().reason.as_deref(), Some("REVISION_CONFLICT"));
    }
}

#[tokio::test]
async fn a_change_behind_sixty_four_others_is_refused_before_anything_is_written() {
    let store = Unruly::new();
    let server = Server::start_over(Arc::clone(&store) as _).await;
    store.writes.forget_permits(Semaphore::MAX_PERMITS);
    let call = |number: usize| {
        let (client, id) = (server.client.clone(), format!("s-{number}"));
        async move { client.create_suspension_by_two(create(suspension(&id), &id)).await }
    };
    let mut calls: Vec<_> = (0..65).map(|number| tokio::spawn(call(number))).collect();
    wait_until(|| calls.iter().any(tokio::task::JoinHandle::is_finished)).await;
    let refused = calls.iter().position(tokio::task::JoinHandle::is_finished).unwrap();
    let error = calls.remove(refused).await.unwrap().unwrap_err();
    assert_eq!(error.reason.as_deref(), Some("TOO_BUSY"));
    store.writes.add_permits(200);
    for made in calls {
        made.await.unwrap().unwrap();
    }
    let id = RequestId::parse(&proposing(&format!("s-{refused}"))).unwrap();
    assert_eq!(store.record_of(&id).await.unwrap(), None);
    call(refused).await.unwrap();
}

#[tokio::test]
async fn a_handler_that_panics_costs_its_own_call_and_not_its_connection() {
    let store = Unruly::new();
    let server = Server::start_over(Arc::clone(&store) as _).await;
    let mut raw = connect(&server).await;
    let watch = "/offergate.v1.RuleService/WatchRevisions";
    let get = "/offergate.v1.RuleService/GetRevision";
    // From the beginning, so that the panic comes while the answer is being sent.
    let from_zero = proto::WatchRevisionsRequest { after_revision: Some(0), ..Default::default() };
    let from_zero = framed(&from_zero.encode_to_vec());
    store.panics.store(true, Ordering::SeqCst);
    assert_eq!(send(&mut raw, get, &[], framed(&[])).await, Code::Internal);
    assert_eq!(send(&mut raw, watch, &[], from_zero).await, Code::Internal);
    assert_eq!(server.metric("offergate_panics_total", ""), "2");
    store.panics.store(false, Ordering::SeqCst);
    assert_eq!(send(&mut raw, get, &[], framed(&[])).await, Code::Ok, "the same connection");

    // A change goes on in a task of its own, which has its own way to tell that it broke off.
    store.panics.store(true, Ordering::SeqCst);
    let request = create(suspension("s"), "r-1");
    let error = server.client.create_suspension_by_two(request.clone()).await.unwrap_err();
    assert_eq!(error.reason.as_deref(), Some("BROKEN_OFF"));
    store.panics.store(false, Ordering::SeqCst);
    assert!(server.client.create_suspension_by_two(request).await.is_ok());
}

#[tokio::test]
async fn pages_of_large_records_fit_into_answers_and_together_hold_the_whole_history() {
    let store = Unruly::new();
    let server = Server::start_over(Arc::clone(&store) as _).await;
    for place in 2..=12 {
        let id = format!("s-{place}");
        server.client.create_suspension_by_two(create(suspension(&id), &id)).await.unwrap();
    }
    store.is_wordy.store(true, Ordering::SeqCst);
    let mut request = proto::ListRevisionsRequest { page_size: 1000, ..<_>::default() };
    let mut seen = Vec::new();
    loop {
        let page = server.client.list_revisions(request.clone()).await.unwrap();
        assert!(page.encoded_len() <= 4 * 1024 * 1024);
        seen.extend(page.revisions.iter().map(|revision| revision.number));
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    assert_eq!(seen, (1..=24).rev().collect::<Vec<_>>());
}

#[tokio::test]
async fn what_is_only_checked_is_never_written() {
    let server = Server::start().await;
    let request =
        proto::CreateSuspensionRequest { validate_only: true, ..create(suspension("s"), "r-1") };
    let checked = server.client.create_suspension_by_two(request).await.unwrap();
    assert_eq!((checked.revision, checked.suspension.unwrap().id.as_str()), (None, "s"));
    assert_eq!(decide(&server, "oss-12m", proto::Action::Offer).await.0, proto::Outcome::Eligible);
    let made = server.client.create_suspension(create(suspension("s"), "r-1")).await.unwrap();
    assert_eq!(made.revision.unwrap().number, 3);
}
