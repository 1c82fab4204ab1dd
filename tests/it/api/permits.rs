//! Permits over gRPC: who holds one is spoken for by nobody else, and what is remembered of permits on disk
//! is enough for all that are out.

use super::server::Server;
use offergate::client::Client;
use offergate::clock::SystemClock;
use offergate::domain::{PrincipalId, Token};
use offergate::service::{Holder, Incarnation, PermitAnswer, Service};
use offergate::store::RuleStore;
use offergate::store::embedded::EmbeddedStore;
use offergate::wire::proto;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

/// A stream under a number that its holder chose.
struct Stream {
    requests: mpsc::Sender<proto::HoldPermitRequest>,
    answers: Streaming<proto::HoldPermitResponse>,
}

impl Stream {
    async fn open(client: &Client, holder_id: &str, token: &str) -> Self {
        let (requests, sent) = mpsc::channel(4);
        let first = proto::HoldPermitRequest {
            name: "kis-notice".to_owned(),
            holder_id: holder_id.to_owned(),
            number: 1,
            token: token.to_owned(),
            leave: false,
        };
        requests.send(first).await.unwrap();
        let mut answers = client.hold_permit(ReceiverStream::new(sent)).await.unwrap();
        let answer = answers.message().await.unwrap().unwrap();
        assert_eq!(answer.state(), proto::PermitState::Granted);
        Self { requests, answers }
    }

    async fn leave(mut self) {
        let leave = proto::HoldPermitRequest { leave: true, ..<_>::default() };
        self.requests.send(leave).await.unwrap();
        assert_eq!(self.answers.message().await.unwrap(), None);
    }
}

/// What is on the list, by the number that is shown of each.
async fn listed(server: &Server) -> Vec<String> {
    let listed = server.client.list_replicas(<_>::default()).await.unwrap();
    listed.replicas.into_iter().map(|replica| replica.incarnation).collect()
}

#[tokio::test]
async fn whoever_reads_the_list_gives_no_permit_back_but_its_own() {
    let server = Server::start().await;
    let rules = server.client.export_rules(<_>::default()).await.unwrap();
    let token = rules.token;
    let _held = Stream::open(&server.client, &"a".repeat(32), &token).await;
    let shown = listed(&server).await;
    assert_eq!(shown.len(), 1);
    let stranger = Stream::open(&server.client, &shown[0], &token).await;
    assert_eq!(listed(&server).await.len(), 2, "the stranger is somebody else");
    stranger.leave().await;
    assert_eq!(listed(&server).await, shown);
}

/// A run of a server that lets permits run for so long, and has one out when it ends.
async fn dies_with_a_permit_out(store: EmbeddedStore, limit: Duration) -> Option<Duration> {
    let store: Arc<dyn RuleStore> = Arc::new(store);
    let clock = Arc::new(SystemClock);
    let service = Service::start(Arc::clone(&store), clock, limit, None).await.unwrap();
    let run = Incarnation::parse(&"a".repeat(32)).unwrap();
    let holder = Holder::new("kis-notice", &PrincipalId::unverified("ann"), &run).unwrap();
    let token: Token = service.held().unwrap().head.token();
    let permitted = service.permit(&holder, &token).await.unwrap();
    assert_eq!(permitted.answer, PermitAnswer::Granted(limit));
    store.noted_permits().await.unwrap()
}

#[tokio::test]
async fn what_is_remembered_of_permits_is_never_less_than_those_that_are_out() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("rules.db");
    let seconds = Duration::from_secs;
    // Permits of the first run may be out still when the last one begins.
    for (limit, noted) in [(1, 1), (30, 30), (5, 30)] {
        let store = EmbeddedStore::open(&path).unwrap();
        let remembered = dies_with_a_permit_out(store, seconds(limit)).await;
        assert_eq!(remembered, Some(seconds(noted)), "after {limit} s");
    }
}
