//! A store that is away, and a network that is cut, slow, or silent in one direction or both.

use super::fleet::{Fleet, LEASE, now, until};
use super::link::Weather;
use offergate::client::ErrorKind;
use offergate::wire::proto;
use proto::{Outcome, ReplicaProgress};
use std::time::Duration;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f04_while_the_store_is_down_a_no_stays_a_no_and_afterwards_nothing_is_lost() {
    let mut fleet = Fleet::of(2).await;
    let before = fleet.log_length();
    fleet.redis.kill();
    for replica in &fleet.replicas {
        replica.serves_without_a_lease().await;
    }
    let refused = fleet.replica(1).suspend("away").await.unwrap_err();
    assert_eq!(refused.kind, ErrorKind::Unreachable, "{refused}");
    fleet.redis.restart();
    for replica in &fleet.replicas {
        replica.comes_to_say(Outcome::Eligible).await;
    }
    assert_eq!(fleet.log_length(), before);
    let asking = fleet.ask_on_and_on();
    fleet.replica(2).suspend("s").await.unwrap();
    let (_, at) = fleet.replica(1).enforced("s").await;
    asking.end().await.never_eligible_after(at);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f08_a_replica_that_is_cut_off_both_ways_or_one_way_loses_its_lease_and_goes_on_serving() {
    let fleet = Fleet::of(2).await;
    let (one, two) = (fleet.replica(1), fleet.replica(2));
    for (id, weather) in [
        ("both", Weather::BLACK),
        ("up", Weather::Silent { up: true, down: false }),
        ("down", Weather::Silent { up: false, down: true }),
    ] {
        let asking = fleet.ask_on_and_on();
        two.link.set(weather);
        one.suspend(id).await.unwrap();
        let (enforcement, at) = one.enforced(id).await;
        assert_eq!(enforcement.that_are(ReplicaProgress::Expired), ["r2"], "{id}");
        two.serves_without_a_lease().await;
        two.link.set(Weather::Clear);
        two.comes_to_say(Outcome::Ineligible).await;
        asking.end().await.never_eligible_after(at);
        one.lift(id).await.unwrap();
        two.comes_to_say(Outcome::Eligible).await;
    }
    // Refused at once instead of silent.
    two.link.cut();
    two.serves_without_a_lease().await;
    two.link.lead_to(fleet.redis.port);
    two.comes_to_say(Outcome::Eligible).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f09_on_a_slow_network_leases_shrink_and_past_their_length_none_is_won() {
    let fleet = Fleet::of(2).await;
    let (one, two) = (fleet.replica(1), fleet.replica(2));
    let slow = Duration::from_millis(60);
    two.link.set(Weather::Slow(slow));
    let began = now();
    // Later than any lease from before: it holds one that was won on the slow network, and that runs from
    // before the renewal was sent.
    until("a lease is won and known to be short", async || {
        let listed = two.client.list_replicas(proto::ListReplicasRequest {}).await.ok()?;
        let left = Duration::try_from(listed.lease_left?).ok()?;
        assert!(left <= LEASE, "{left:?}");
        (2 * LEASE < now() - began && Duration::ZERO < left).then_some(())
    })
    .await;
    two.comes_to_say(Outcome::Eligible).await;
    let asking = fleet.ask_on_and_on();
    two.link.set(Weather::Slow(LEASE));
    two.serves_without_a_lease().await;
    one.suspend("s").await.unwrap();
    let (enforcement, at) = one.enforced("s").await;
    assert_eq!(enforcement.that_are(ReplicaProgress::Expired), ["r2"]);
    assert!(two.client.is_serving("").await.unwrap());
    two.link.set(Weather::Clear);
    two.comes_to_say(Outcome::Ineligible).await;
    asking.end().await.never_eligible_after(at);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f11_connections_that_drop_cost_a_renewal_and_lose_no_change() {
    let fleet = Fleet::of(2).await;
    let (one, two) = (fleet.replica(1), fleet.replica(2));
    for number in 0..5 {
        let asking = fleet.ask_on_and_on();
        let id = format!("s-{number}");
        if number % 2 == 0 {
            fleet.redis.cli(&["CLIENT", "KILL", "TYPE", "normal"]);
        } else {
            two.link.reset();
        }
        one.suspend(&id).await.unwrap();
        let (_, at) = one.enforced(&id).await;
        two.comes_to_say(Outcome::Ineligible).await;
        asking.end().await.never_eligible_after(at);
        one.lift(&id).await.unwrap();
        one.comes_to_say(Outcome::Eligible).await;
        two.comes_to_say(Outcome::Eligible).await;
    }
    assert_eq!(fleet.log_length(), 22);
}
