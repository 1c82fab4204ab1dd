//! Stores whose nodes disagree: a primary that is lost with what only it had, and two primaries at once.

use super::fleet::{Fleet, Replica, until};
use super::link::Link;
use crate::redis_server::{Flavour, Server as Redis};
use offergate::client::ErrorKind;
use offergate::wire::proto;
use proto::{EnforcementState, Outcome};
use std::time::Duration;

/// Two replicas on a primary, and a node that follows it over a link of its own.
struct Nodes {
    fleet: Fleet,
    follower: Redis,
    between: Link,
}

impl Nodes {
    async fn new() -> Self {
        let primary = Redis::start(Flavour::Redis);
        let between = Link::to(primary.port).await;
        let port = between.port.to_string();
        let options = ["--replicaof", "127.0.0.1", &port];
        let follower =
            tokio::task::block_in_place(|| Redis::start_with(Flavour::Redis, &options, &[]));
        let up = || follower.cli(&["INFO", "replication"]).contains("master_link_status:up");
        until("the follower is in step", async || up().then_some(())).await;
        let fleet = Fleet::on(primary, 2, 2).await;
        // The rules are on both before anything happens.
        fleet.replica(1).enforced("rules").await;
        Self { fleet, follower, between }
    }

    /// The follower hears nothing any more of what the primary does.
    fn part(&self) {
        self.between.cut();
    }

    /// The primary is gone, and the follower takes its place.
    fn promote(&mut self) {
        self.fleet.redis.kill();
        self.follower.cli(&["REPLICAOF", "NO", "ONE"]);
    }

    /// How many changes the follower holds.
    fn length(&self) -> String {
        self.follower.cli(&["XLEN", "{offergate:default}:log"])
    }

    /// One more replica, which knows the follower alone.
    async fn add_to_follower(&mut self, name: &str) -> &Replica {
        self.fleet.add_on(self.follower.port, name, &[]).await
    }

    /// The first primary comes back, as a follower.
    async fn first_comes_back(&mut self) {
        tokio::task::block_in_place(|| self.fleet.redis.restart());
        self.fleet.redis.cli(&["REPLICAOF", "127.0.0.1", &self.follower.port.to_string()]);
        let up =
            || self.fleet.redis.cli(&["INFO", "replication"]).contains("master_link_status:up");
        until("the first primary follows", async || up().then_some(())).await;
    }
}

/// Waits until it is said that the history has forked; nobody has a lease then.
async fn says_forked(replica: &Replica) {
    until(&format!("{} says that the history has forked", replica.name), async || {
        replica.trouble().await.ok().filter(|said| said.contains("forked"))
    })
    .await;
}

async fn is_pending(replica: &Replica, request: &str) {
    let said = replica.wait_for(request, Duration::from_secs(1)).await.unwrap().0;
    assert_eq!(
        (said.state(), said.reached()),
        (EnforcementState::Pending, EnforcementState::Committed)
    );
    assert_eq!((said.copies, said.nodes), (1, 2), "{said:?}");
}

async fn accept(replica: &Replica) -> String {
    let asked = proto::AcceptHistoryRequest {
        request_id: "accept".into(),
        author: "ann".into(),
        reason: "The first primary is lost".into(),
        ticket: "CHG-4".into(),
    };
    replica.client.accept_history(asked).await.unwrap().token
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f05_a_node_that_was_behind_is_promoted_and_nobody_has_a_lease_until_people_decide() {
    let mut nodes = Nodes::new().await;
    nodes.part();
    let one = nodes.fleet.replica(1);
    one.suspend("lost").await.unwrap();
    one.lift("old").await.unwrap();
    // In effect wherever it is heard of, and never called durable.
    is_pending(one, "lost").await;
    is_pending(one, "lift-old").await;
    until("the lift is in effect", async || {
        (one.check("lock-12m").await.outcome() == Outcome::Eligible).then_some(())
    })
    .await;

    nodes.promote();
    let port = nodes.follower.port;
    nodes.fleet.replicas.iter().for_each(|replica| replica.link.lead_to(port));
    for replica in &nodes.fleet.replicas {
        says_forked(replica).await;
        assert_eq!(replica.outcome().await, Outcome::Ineligible, "what it holds stays a no");
        assert_eq!(replica.check("lock-12m").await.outcome(), Outcome::Indeterminate);
        assert!(replica.client.is_serving("").await.unwrap());
    }
    // The suspension is proposed again by itself, once; people's changes wait for people.
    until("the suspension is proposed again", async || (nodes.length() == "3").then_some(())).await;
    let refused = nodes.fleet.replica(1).suspend("new").await.unwrap_err();
    assert_ne!(refused.kind, ErrorKind::Unreachable, "{refused}");
    assert!(refused.message.contains("forked"), "{refused}");
    let three = nodes.add_to_follower("r3").await;
    assert_eq!(three.outcome().await, Outcome::Indeterminate, "a newcomer has no lease either");
    assert_eq!(nodes.length(), "3");

    accept(nodes.fleet.replica(2)).await;
    for replica in &nodes.fleet.replicas {
        until(&format!("{} has moved over", replica.name), async || {
            (replica.trouble().await.ok()?.is_empty()).then_some(())
        })
        .await;
        replica.comes_to_say(Outcome::Ineligible).await;
        // The lift was lost with the primary. Nobody repeats it but people.
        assert_eq!(replica.check("lock-12m").await.outcome(), Outcome::Ineligible);
    }
    assert_eq!(nodes.length(), "4");

    let asking = nodes.fleet.ask_on_and_on();
    nodes.fleet.replica(1).suspend("new").await.unwrap();
    is_pending(nodes.fleet.replica(1), "new").await;
    nodes.first_comes_back().await;
    let (_, at) = nodes.fleet.replica(3).enforced("new").await;
    asking.end().await.never_eligible_after(at);
    let one = nodes.fleet.replica(1);
    for id in ["lost", "new"] {
        let lifted = one.lift(id).await;
        assert!(lifted.is_ok(), "{id}: {lifted:?}");
    }
    for replica in &nodes.fleet.replicas {
        replica.comes_to_say(Outcome::Eligible).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f06_a_history_that_reaches_the_same_number_again_is_told_apart_by_its_chain() {
    let mut nodes = Nodes::new().await;
    nodes.part();
    nodes.fleet.replica(1).suspend("lost").await.unwrap();
    nodes.fleet.replica(2).comes_to_say(Outcome::Ineligible).await;
    nodes.promote();
    // A newcomer knows of nothing that was lost, and makes another change under the same number.
    let three = nodes.add_to_follower("r3").await;
    three.comes_to_say(Outcome::Eligible).await;
    assert_eq!(three.suspend("other").await.unwrap(), 4);
    is_pending(three, "other").await;
    assert_eq!(three.lift("other").await.unwrap(), 6);

    let port = nodes.follower.port;
    nodes.fleet.replicas.iter().for_each(|replica| replica.link.lead_to(port));
    for replica in &nodes.fleet.replicas {
        says_forked(replica).await;
        assert_ne!(replica.outcome().await, Outcome::Eligible);
    }
    // What the store holds is not lost by the fork, and not enforced while it lasts.
    is_pending(nodes.fleet.replica(1), "other").await;
    accept(nodes.fleet.replica(1)).await;
    for replica in &nodes.fleet.replicas {
        replica.comes_to_say(Outcome::Ineligible).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f07_while_two_primaries_serve_no_change_on_either_is_called_enforced() {
    let nodes = Nodes::new().await;
    nodes.part();
    // Nobody told the first primary, and half of the replicas.
    nodes.follower.cli(&["REPLICAOF", "NO", "ONE"]);
    let (one, two) = (nodes.fleet.replica(1), nodes.fleet.replica(2));
    two.link.lead_to(nodes.follower.port);
    until("the second replica is with the second primary", async || {
        let listed = two.client.list_replicas(proto::ListReplicasRequest {}).await.ok()?;
        let told = |wanted: &str| listed.shortfalls.iter().any(|it| it.setting == wanted);
        (listed.trouble.is_empty() && told("connected replicas")).then_some(())
    })
    .await;
    two.suspend("s").await.unwrap();
    is_pending(two, "s").await;
    assert_eq!(two.outcome().await, Outcome::Ineligible, "in effect where it was heard of");
    assert_eq!(one.outcome().await, Outcome::Eligible, "and nobody was told that it is elsewhere");

    // The first one yields.
    let asking = nodes.fleet.ask_on_and_on();
    one.link.lead_to(nodes.follower.port);
    nodes.fleet.redis.cli(&["REPLICAOF", "127.0.0.1", &nodes.follower.port.to_string()]);
    let (_, at) = two.enforced("s").await;
    one.comes_to_say(Outcome::Ineligible).await;
    asking.end().await.never_eligible_after(at);
}
