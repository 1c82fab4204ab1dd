//! Permits over gRPC: who holds one is spoken for by nobody else.

use super::server::Server;
use offergate::client::Client;
use offergate::wire::proto;
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
