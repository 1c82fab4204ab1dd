//! What one person may do alone in an emergency, and what another one does then.

use crate::bank::{Bank, RULES, by, code, person, robot, suspension};
use offergate::domain::{Outcome, Role};
use offergate::service::{Requester, RuleFile};

#[tokio::test]
async fn one_person_suspends_at_once_in_an_emergency_and_another_one_ratifies_it() {
    let bank = Bank::open().await;
    let made = bank.emergency(person("ann"), "s").await.unwrap();
    assert_eq!(bank.says().await, Outcome::Ineligible);
    let number = made.revised.unwrap().record.revision;
    assert_eq!(code(bank.service.ratify(by(person("ann"), "r-1"), number).await), "SELF_APPROVAL");
    let of_ann = robot("bot", Some(&person("ann")));
    assert_eq!(code(bank.service.ratify(by(of_ann, "r-2"), number).await), "SELF_APPROVAL");
    assert_eq!(bank.service.unratified(), (1, 0));
    // It never lapses, and never ends by neglect.
    bank.set("2026-03-02T12:00:00Z");
    assert_eq!(bank.service.unratified(), (0, 1), "overdue");
    bank.set("2028-01-01T00:00:00Z");
    assert_eq!(bank.says().await, Outcome::Ineligible);
    assert!(bank.loaded().await.waiting.emergencies.contains_key(&number));
    bank.service.ratify(by(person("ben"), "r-3"), number).await.unwrap();
    assert_eq!(bank.service.unratified(), (0, 0));
    assert_eq!(bank.says().await, Outcome::Ineligible, "ratified, it goes on");
    assert_eq!(code(bank.service.ratify(by(person("eve"), "r-4"), number).await), "CHANGE_DECIDED");
}

#[tokio::test]
async fn an_emergency_is_for_people_with_a_ticket_and_has_its_bounds() {
    let bank = Bank::open().await;
    let ann = person("ann");
    let of_ann = robot("bot", Some(&ann));
    assert_eq!(code(bank.emergency(of_ann, "s").await), "NOT_AUTHORISED", "a service account");
    let mut checker = person("eve");
    checker.roles = [Role::Checker, Role::Maker].into_iter().collect();
    assert_eq!(code(bank.emergency(checker, "s").await), "NOT_AUTHORISED", "no such role");
    let mut weak = ann.clone();
    weak.lacks = Some("`amr` with hwk".into());
    let refused = bank.emergency(weak.clone(), "s").await;
    let told = "an emergency takes a sign-in with `amr` with hwk, and this one had none";
    assert_eq!(refused.as_ref().unwrap_err().to_string(), told);
    assert_eq!(code(refused), "NOT_AUTHORISED", "a weak sign-in");
    let proposed = bank.service.suspend(by(weak, "p"), suspension("q", "offer: shield-12m"), true);
    assert!(proposed.await.is_ok(), "whoever does it with another person needs no more");
    let without = Requester { ticket: " ".to_owned(), ..by(ann.clone(), "t") };
    let stop = suspension("s", "offer: shield-12m");
    let refused = bank.service.suspend_in_emergency(without, stop).await;
    assert_eq!(code(refused), "TICKET_REQUIRED");
    assert_eq!(bank.says().await, Outcome::Eligible);
    for id in ["a", "b", "c"] {
        bank.emergency(ann.clone(), id).await.unwrap();
    }
    assert_eq!(code(bank.emergency(ann.clone(), "d").await), "TOO_WIDE", "a fourth one");
    bank.emergency(person("ben"), "e").await.unwrap();
    let first = *bank.loaded().await.waiting.emergencies.keys().next().unwrap();
    bank.service.ratify(by(person("ben"), "r"), first).await.unwrap();
    bank.emergency(ann, "f").await.unwrap();
}

#[tokio::test]
async fn one_person_cannot_stop_everything_alone() {
    let bank = Bank::open().await;
    // One vendor behind all products: by name it is one, by its effect it is everything.
    let file = RULES.replace("vendors: [other]", "vendors: [acme]");
    let file = RuleFile { text: file, name: "rules.yaml".to_owned() };
    let (proposed, _) = bank.service.apply(by(person("ann"), "all"), file).await.unwrap();
    bank.approve(person("ben"), &proposed).await.unwrap();
    let everything = suspension("s", "vendor: acme");
    let requester = by(person("ann"), "everything");
    let refused = bank.service.suspend_in_emergency(requester, everything.clone()).await;
    assert_eq!(code(refused), "TOO_WIDE");
    let requester = by(person("ann"), "by-two");
    let proposed = bank.service.suspend(requester, everything, true).await.unwrap();
    bank.approve(person("ben"), &proposed).await.unwrap();
    assert_eq!(bank.says().await, Outcome::Ineligible);
}
