//! Replicas that crash, stand still, come late or are replaced, and people who change things at the same
//! time.

use super::fleet::{Fleet, LEASE, Replica, check, lift, now, suspension, until};
use super::link::Weather;
use crate::two_people::{TwoPeople as _, approve};
use offergate::client::{Client, ClientError, ErrorKind};
use offergate::wire::proto;
use proto::await_enforcement_request::Change;
use proto::{EnforcementState, Outcome, ReplicaProgress};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f01_a_suspension_waits_for_the_lease_of_a_replica_that_crashed_and_no_longer() {
    let mut fleet = Fleet::of(2).await;
    let asking = fleet.ask_on_and_on();
    fleet.replica_mut(2).kill();
    fleet.replica(1).suspend("s").await.unwrap();
    let (enforcement, at) = fleet.replica(1).enforced("s").await;
    assert_eq!(enforcement.that_are(ReplicaProgress::Confirmed), ["r1"]);
    assert_eq!(enforcement.that_are(ReplicaProgress::Expired), ["r2"]);
    fleet.replica_mut(2).start();
    fleet.replica(2).comes_to_say(Outcome::Ineligible).await;
    asking.end().await.never_eligible_after(at);
    // It has taken the place of its earlier run, so that nobody waits for that one again.
    fleet.replica(1).lift("s").await.unwrap();
    let (enforcement, _) = fleet.replica(1).enforced("lift-s").await;
    assert_eq!(enforcement.that_are(ReplicaProgress::Confirmed), ["r1", "r2"]);
    fleet.replica(2).comes_to_say(Outcome::Eligible).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f02_a_replica_that_stood_still_says_yes_to_nothing_that_was_asked_after_a_suspension() {
    let fleet = Fleet::of(2).await;
    let (one, two) = (fleet.replica(1), fleet.replica(2));
    for (id, frozen) in [("half", LEASE / 2), ("once", LEASE), ("thrice", 3 * LEASE)] {
        let asking = fleet.ask_on_and_on();
        two.freeze();
        let thaw = async {
            tokio::time::sleep(frozen).await;
            two.thaw();
        };
        let suspend = async {
            one.suspend(id).await.unwrap();
            let (_, at) = one.enforced(id).await;
            // It may stand still yet, and find this when it wakes.
            assert_ne!(two.outcome().await, Outcome::Eligible, "frozen for {frozen:?}");
            at
        };
        let ((), at) = tokio::join!(thaw, suspend);
        two.comes_to_say(Outcome::Ineligible).await;
        asking.end().await.never_eligible_after(at);
        one.lift(id).await.unwrap();
        one.comes_to_say(Outcome::Eligible).await;
        two.comes_to_say(Outcome::Eligible).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f03_a_change_whose_replica_died_before_it_answered_is_awaited_and_repeated_on_another() {
    let mut fleet = Fleet::of(2).await;
    let asking = fleet.ask_on_and_on();
    let before = fleet.log_length();
    // The answer of the store is on its way for so long that it never arrives.
    fleet.replica(1).link.set(Weather::Slow(Duration::from_millis(150)));
    let client = fleet.replica(1).client.clone();
    let asked = tokio::spawn(async move { client.create_suspension_by_two(suspension("s")).await });
    until("the change is in the store", async || (fleet.log_length() == before + 2).then_some(()))
        .await;
    fleet.replica_mut(1).kill();
    let unanswered = asked.await.unwrap().unwrap_err();
    assert_eq!(unanswered.kind, ErrorKind::Unreachable, "{unanswered}");
    let two = fleet.replica(2);
    let (enforcement, at) = two.enforced("s").await;
    assert_eq!(enforcement.that_are(ReplicaProgress::Confirmed), ["r2"]);
    assert_eq!(enforcement.that_are(ReplicaProgress::Expired), ["r1"]);
    assert_eq!(two.suspend("s").await.unwrap(), before + 2, "the first answer again");
    assert_eq!(fleet.log_length(), before + 2);
    assert_eq!(two.outcome().await, Outcome::Ineligible);
    asking.end().await.never_eligible_after(at);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f18_a_replica_that_joins_while_a_suspension_is_awaited_says_yes_to_nothing_before_it() {
    let mut fleet = Fleet::of(2).await;
    let asking = fleet.ask_on_and_on();
    fleet.replica(2).freeze();
    fleet.replica(1).suspend("s").await.unwrap();
    let client = fleet.replica(1).client.clone();
    let awaited = tokio::spawn(async move {
        let change = Some(Change::RequestId("s".into()));
        let wait = Some(Duration::from_secs(20).try_into().unwrap());
        client.await_enforcement(proto::AwaitEnforcementRequest { change, wait }).await
    });
    let three = fleet.add("r3", &[]).await;
    let mut said = three.outcome().await;
    while said != Outcome::Ineligible {
        assert_eq!(said, Outcome::Indeterminate, "it has no lease before it has the suspension");
        said = three.outcome().await;
    }
    let enforcement = awaited.await.unwrap().unwrap();
    assert_eq!(enforcement.state(), EnforcementState::Enforced);
    let at = now();
    fleet.replica(2).thaw();
    assert_ne!(fleet.replica(2).outcome().await, Outcome::Eligible);
    fleet.replica(2).comes_to_say(Outcome::Ineligible).await;
    asking.end().await.never_eligible_after(at);
}

/// A caller that asks the next replica when one does not answer, as callers should.
#[derive(Clone)]
struct Caller(Arc<Vec<Client>>);

impl Caller {
    fn of(replicas: &[Replica]) -> Self {
        Self(Arc::new(replicas.iter().map(|replica| replica.client.clone()).collect()))
    }

    /// Fails when no replica answers, twice in a row.
    async fn call<T, F>(&self, what: &str, call: impl Fn(Client) -> F) -> T
    where
        F: Future<Output = Result<T, ClientError>>,
    {
        let mut failures = Vec::new();
        for client in self.0.iter().chain(self.0.iter()) {
            match call(client.clone()).await {
                Ok(answer) => return answer,
                Err(error) if error.kind == ErrorKind::Unreachable => failures.push(error.message),
                Err(error) => panic!("{what}: {error}"),
            }
        }
        panic!("{what}: no replica answered: {failures:?}")
    }

    async fn enforced(&self, request: &str) -> Duration {
        let wait = Some(Duration::from_secs(20).try_into().unwrap());
        let change = Some(Change::RequestId(request.into()));
        let asked = proto::AwaitEnforcementRequest { change, wait };
        let ask = |client: Client| {
            let asked = asked.clone();
            async move { client.await_enforcement(asked).await }
        };
        let said = self.call(request, ask).await;
        assert_eq!(said.state(), EnforcementState::Enforced, "{said:?}");
        now()
    }

    /// Suspends and lifts until it is told to end; returns when each suspension was enforced, and when it
    /// was to be lifted.
    async fn suspend_and_lift(self, ended: watch::Receiver<bool>) -> Vec<(Duration, Duration)> {
        let mut times = Vec::new();
        for number in 0.. {
            if *ended.borrow() {
                break;
            }
            let id = format!("s-{number}");
            let asked = suspension(&id);
            let suspend = |client: Client| {
                let asked = asked.clone();
                async move { client.create_suspension_by_two(asked).await }
            };
            self.call(&id, suspend).await;
            let enforced = self.enforced(&id).await;
            tokio::time::sleep(Duration::from_millis(20)).await; // Customers ask.
            let lifted = now();
            let asked = lift(&id);
            let lift = |client: Client| {
                let asked = asked.clone();
                async move { client.lift_suspension_by_two(asked).await }
            };
            self.call(&id, lift).await;
            times.push((enforced, lifted));
        }
        times
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f17_a_rolling_restart_under_load_fails_no_call_of_a_caller_that_asks_the_next_replica() {
    let mut fleet = Fleet::of(3).await;
    let asking = fleet.ask_on_and_on();
    let caller = Caller::of(&fleet.replicas);
    let (end, ended) = watch::channel(false);
    let people = tokio::spawn(caller.clone().suspend_and_lift(ended.clone()));
    let customer = tokio::spawn(async move {
        let mut answers = 0;
        while !*ended.borrow() {
            let ask = |client: Client| async move {
                check(&client, "shield-12m", proto::Action::Offer).await
            };
            caller.call("a check", ask).await;
            answers += 1;
        }
        answers
    });
    for number in [1, 2, 3, 1, 2, 3] {
        let replica = fleet.replica_mut(number);
        tokio::task::block_in_place(|| {
            replica.stop();
            replica.start();
        });
        until("it has a lease again", async || {
            let listed = replica.client.list_replicas(proto::ListReplicasRequest {}).await.ok()?;
            (listed.trouble.is_empty() && listed.replicas.len() == 3).then_some(())
        })
        .await;
    }
    end.send_replace(true);
    let times = people.await.unwrap();
    assert!(0 < customer.await.unwrap());
    let answers = asking.end().await;
    assert!(2 <= times.len(), "{} suspensions", times.len());
    let between = |(enforced, lifted)| answers.never_eligible_between(enforced, lifted);
    let asked: usize = times.into_iter().map(between).sum();
    assert!(0 < asked, "nobody asked while a suspension was enforced");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f24_of_changes_made_at_once_on_two_replicas_each_is_made_on_what_the_other_left() {
    let fleet = Fleet::of(2).await;
    let (one, two) = (fleet.replica(1), fleet.replica(2));
    // Both are proposed for the same rules, and each is approved elsewhere: one of them must look again.
    let seeing = |request: &str| proto::CreateSuspensionRequest {
        request_id: request.into(),
        expected_revision: Some(2),
        ..suspension("a")
    };
    let both = tokio::join!(
        one.client.create_suspension(seeing("a-1")),
        two.client.create_suspension(seeing("a-2"))
    );
    let [first, second] = [both.0, both.1].map(|made| made.unwrap().proposal.unwrap());
    let both =
        tokio::join!(approve(&two.client, &first, "a-3"), approve(&one.client, &second, "a-4"));
    let (won, lost) = match both {
        (Ok(_), Err(lost)) => (("a", two), lost),
        (Err(lost), Ok(_)) => (("a", one), lost),
        both => panic!("{both:?}"),
    };
    assert_eq!(lost.reason.as_deref(), Some("APPROVAL_VOID"));
    let late = proto::CreateSuspensionRequest { expected_revision: Some(2), ..suspension("late") };
    let late = two.client.create_suspension(late).await.unwrap_err();
    assert_eq!(late.reason.as_deref(), Some("REVISION_CONFLICT"));
    // Two rules, two proposals, an approval, and the refusal of the other one.
    assert_eq!(fleet.log_length(), 6);
    // Neither minds: both are made, one after the other.
    let both = tokio::join!(one.suspend("c"), two.suspend("d"));
    let mut revisions = [both.0.unwrap(), both.1.unwrap()];
    revisions.sort_unstable();
    assert!(revisions[0] < revisions[1], "{revisions:?}");
    // A lift of one and a suspension by another: the vendor stays suspended.
    let both = tokio::join!(won.1.lift(won.0), two.suspend("e"));
    assert!(both.0.is_ok() && both.1.is_ok(), "{both:?}");
    let (_, at) = one.enforced("e").await;
    let asking = fleet.ask_on_and_on();
    let list = async |replica: &Replica| {
        let asked = proto::ListSuspensionsRequest { page_size: 100, ..<_>::default() };
        let listed = replica.client.list_suspensions(asked).await.unwrap();
        (listed.revision, listed.suspensions)
    };
    assert_eq!(list(one).await, list(two).await);
    assert_eq!(fleet.log_length(), 14);
    asking.end().await.never_eligible_after(at);
}
