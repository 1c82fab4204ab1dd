//! A replica that is asked for more than it takes on, or that has no file descriptor left, as one of a fleet.

use super::fleet::{Fleet, check, now, until};
use crate::attacks::take_descriptors_of;
use crate::server::LIMIT;
use offergate::client::Client;
use offergate::wire::proto;
use proto::{Outcome, ReplicaProgress};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f26_a_replica_with_too_much_to_do_refuses_checks_and_neither_people_nor_renewals() {
    let mut fleet = Fleet::of(1).await;
    fleet.add("r2", &["--max-checks-per-second", "50"]).await;
    let (one, two) = (fleet.replica(1), fleet.replica(2));
    until("it has a lease", async || {
        let said = check(&two.client, "shield-12m", proto::Action::Offer).await.ok()?;
        (said.outcome() == Outcome::Eligible).then_some(())
    })
    .await;
    let (ended, refused) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let mut crowd = Vec::new();
    for _ in 0..8 {
        let client = Client::connect(&two.process().address, LIMIT).await.unwrap();
        let (ended, refused) = (Arc::clone(&ended), Arc::clone(&refused));
        crowd.push(tokio::spawn(async move {
            while !ended.load(Ordering::Relaxed) {
                match check(&client, "shield-12m", proto::Action::Offer).await {
                    Ok(_) => {}
                    Err(error) => {
                        assert_eq!(error.reason.as_deref(), Some("TOO_BUSY"), "{error}");
                        refused.fetch_add(1, Ordering::Relaxed);
                    }
                }
            }
        }));
    }
    let asking = fleet.ask_on_and_on();
    for id in ["a", "b", "c"] {
        // People on the very replica that has too much to do.
        two.suspend(id).await.unwrap();
        let (enforcement, at) = one.enforced(id).await;
        let confirmed = enforcement.that_are(ReplicaProgress::Confirmed);
        assert_eq!(confirmed, ["r1", "r2"], "its lease was renewed all along");
        let stale = check(&one.client, "shield-12m", proto::Action::Offer).await.unwrap();
        assert_eq!(stale.outcome(), Outcome::Ineligible, "at {at:?}");
        two.lift(id).await.unwrap();
        one.enforced(&format!("lift-{id}")).await;
    }
    two.suspend("last").await.unwrap();
    let (_, at) = one.enforced("last").await;
    asking.end().await.never_eligible_after(at);
    assert!(0 < refused.load(Ordering::Relaxed), "nobody was refused");
    ended.store(true, Ordering::Relaxed);
    for each in crowd {
        each.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f27_a_replica_without_descriptors_keeps_its_lease_confirms_changes_and_recovers() {
    let fleet = Fleet::of(2).await;
    let (one, two) = (fleet.replica(1), fleet.replica(2));
    let asking = fleet.ask_on_and_on();
    // Customers ask over connections that they have.
    until("everybody is connected", async || one.trouble().await.ok()).await;
    take_descriptors_of(one.process(), 2);
    let (_, address) = one.process().address.split_once("://").unwrap();
    let mut held = Vec::new();
    for _ in 0..50 {
        held.push(tokio::net::TcpStream::connect(address).await.unwrap());
    }
    for (id, by) in [("here", one), ("there", two)] {
        by.suspend(id).await.unwrap();
        let (enforcement, _) = two.enforced(id).await;
        assert_eq!(enforcement.that_are(ReplicaProgress::Confirmed), ["r1", "r2"], "{id}");
        one.comes_to_say(Outcome::Ineligible).await;
        by.lift(id).await.unwrap();
        one.comes_to_say(Outcome::Eligible).await;
    }
    drop(held);
    until("it takes new connections", async || {
        let client = Client::connect(&one.process().address, LIMIT).await.ok()?;
        check(&client, "shield-12m", proto::Action::Offer).await.ok()
    })
    .await;
    one.suspend("s").await.unwrap();
    let (_, at) = one.enforced("s").await;
    assert!(at < now());
    asking.end().await.never_eligible_after(at);
}
