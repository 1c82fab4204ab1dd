//! Holders of permits on the list of a shared store: in virtual time.

use super::virtual_fleet::{Member, store};
use offergate::domain::{Outcome, PrincipalId};
use offergate::replica::MOST_PERMITS;
use offergate::service::{Holder, Incarnation, PermitAnswer, ServiceError};
use offergate::store::memory::MemoryStore;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

/// A store whose leases run for a second at most.
async fn short_store() -> MemoryStore {
    let store = store('a').await;
    store.allow(SECOND);
    store
}

/// One more run of a mailer.
fn run(number: usize) -> Holder {
    let run = Incarnation::parse(&format!("{number:032x}")).unwrap();
    Holder::new("kis-notice", &PrincipalId::unverified("ann"), &run).unwrap()
}

/// How many hold a permit, as people see it.
async fn listed(member: &Member) -> usize {
    let members = member.service.fleet().await.unwrap().members;
    members.iter().filter(|it| it.holds_permit).count()
}

/// What happens when a run begins: as its stream does it.
async fn begins(member: &Member, holder: &Holder) -> Result<PermitAnswer, ServiceError> {
    member.service.forget_silent_holders().await;
    let token = member.service.held().unwrap().head.token();
    member.service.permit(holder, &token).await.map(|permitted| permitted.answer)
}

#[tokio::test(start_paused = true)]
async fn who_died_without_a_word_is_taken_off_the_list_and_nobody_else_is() {
    let store = short_store().await;
    let member = Member::of(&store, "r1", 1000, SECOND).await;
    member.comes_to_say(Outcome::Eligible).await;
    let lives = run(0);
    for number in 1..=200 {
        // A program that dies and is started again, for as long as nobody looks.
        assert_eq!(begins(&member, &run(number)).await.unwrap(), PermitAnswer::Granted(SECOND));
        for _ in 0..3 {
            begins(&member, &lives).await.unwrap();
            tokio::time::sleep(SECOND / 2).await;
        }
        let listed = listed(&member).await;
        assert!((2..=4).contains(&listed), "{listed} are listed after run {number}");
    }
    let members = member.service.fleet().await.unwrap().members;
    assert!(members.iter().any(|it| it.incarnation == lives.incarnation), "it renews its permit");
    assert!(members.iter().any(|it| it.name.as_str() == "r1"), "replicas stay");
}

#[tokio::test(start_paused = true)]
async fn so_many_hold_permits_of_a_store_and_no_more() {
    let store = short_store().await;
    let one = Member::of(&store, "r1", 1000, SECOND).await;
    let two = Member::of(&store, "r2", 1000, SECOND).await;
    one.comes_to_say(Outcome::Eligible).await;
    two.comes_to_say(Outcome::Eligible).await;
    for number in 0..MOST_PERMITS {
        let through = if number % 2 == 0 { &one } else { &two };
        assert!(begins(through, &run(number)).await.is_ok());
    }
    for member in [&one, &two] {
        let refused = begins(member, &run(MOST_PERMITS)).await;
        assert!(matches!(refused, Err(ServiceError::TooManyPermits)), "{refused:?}");
    }
    assert!(begins(&one, &run(1)).await.is_ok(), "it has one");
    // All of them fall silent, and there is room again once that was seen.
    for _ in 0..2 {
        tokio::time::sleep(2 * SECOND).await;
        two.service.forget_silent_holders().await;
    }
    assert!(begins(&two, &run(MOST_PERMITS)).await.is_ok());
    assert_eq!(listed(&one).await, 1);
}
