//! Who may put what in force, and when.

use crate::bank::{Bank, by, code, person, robot, start, suspension};
use offergate::audit::{Act, verify};
use offergate::domain::{Direction, Outcome, Principal, PrincipalId, Revision, Role};
use offergate::service::{Edited, Refusal, Requester, ServiceError};
use offergate::store::{RuleStore, StoreError};

#[tokio::test]
async fn a_change_is_in_force_from_its_approval_by_another_person_on_and_not_before() {
    let bank = Bank::open().await;
    let proposed = bank.propose(person("ann"), "s").await;
    assert_eq!(bank.says().await, Outcome::Eligible, "what is proposed is not in force");
    let (_, proposal) = proposed.proposal.as_ref().unwrap();
    assert_eq!(proposal.direction, Direction::Tightening);
    let rules = bank.loaded().await.rules;
    bank.set("2026-03-03T08:00:00Z");
    let approved = bank.approve(person("ben"), &proposed).await.unwrap();
    assert_eq!(bank.says().await, Outcome::Ineligible);
    // Approved late, it says nothing of the time before.
    let from = approved.rules.suspensions.values().next().unwrap().from;
    assert_eq!(from, "2026-03-03T08:00:00Z".parse().unwrap());
    let record = &approved.revised.unwrap().record.content;
    assert_eq!((&*record.author.name, &*record.approver.as_ref().unwrap().name), ("ann", "ben"));
    assert_eq!(record.address, Some("192.0.2.7".parse().unwrap()));
    assert_ne!(bank.loaded().await.rules, rules);
    assert!(bank.loaded().await.waiting.is_empty());
}

#[tokio::test]
async fn nobody_approves_their_own_change_in_whatever_disguise() {
    let bank = Bank::open().await;
    let ann = person("ann");
    let proposed = bank.propose(ann.clone(), "s").await;
    let (id, proposal) = proposed.proposal.as_ref().unwrap();
    let renamed = Principal { name: "Another Ann".into(), ..ann.clone() };
    for (who, why) in [
        (ann.clone(), "the same person"),
        (robot("deployer", Some(&ann)), "an account of hers"),
        (renamed, "another token of the same subject, with another name"),
    ] {
        assert_eq!(code(bank.approve(who, &proposed).await), "SELF_APPROVAL", "{why}");
    }
    // Who edits it is one of its makers from then on; the author stays one.
    let ben = person("ben");
    let edited = Edited::Suspension(suspension("s", "offer: lock-12m"), true);
    let edited = bank.service.edit(by(ben.clone(), "edit"), *id, edited, None).await.unwrap();
    let (same, now) = edited.proposal.as_ref().unwrap();
    assert_eq!(same, id);
    assert_ne!(now.digest, proposal.digest);
    assert_eq!(code(bank.approve(ben.clone(), &edited).await), "SELF_APPROVAL", "an editor");
    assert_eq!(code(bank.approve(ann.clone(), &edited).await), "SELF_APPROVAL", "the author");
    let of_ben = robot("ben-bot", Some(&ben));
    assert_eq!(code(bank.approve(of_ben, &edited).await), "SELF_APPROVAL", "an editor's account");
    let nobodys = robot("nobodys", None);
    assert_eq!(code(bank.approve(nobodys, &edited).await), "NOT_AUTHORISED");
    let mut maker = person("eve");
    maker.roles = [Role::Maker, Role::Reader].into_iter().collect();
    assert_eq!(code(bank.approve(maker, &edited).await), "NOT_AUTHORISED", "no checker");
    assert_eq!(bank.says().await, Outcome::Eligible);
    // A person of the same name at another issuer is somebody else.
    let elsewhere = PrincipalId { issuer: "https://other.example".into(), subject: "ann".into() };
    let other = Principal { id: elsewhere, ..ann };
    bank.approve(other, &edited).await.unwrap();
    let acts = bank.acts_after(3).await;
    assert_eq!(acts.iter().filter(|(act, _)| *act == Act::Refuse).count(), 8, "{acts:?}");
    assert_eq!(acts.last().unwrap().0, Act::Approve);
}

#[tokio::test]
async fn an_account_of_a_makers_own_proposes_and_that_person_does_not_approve() {
    let bank = Bank::open().await;
    let ann = person("ann");
    let proposed = bank.propose(robot("deployer", Some(&ann)), "s").await;
    assert_eq!(code(bank.approve(ann, &proposed).await), "SELF_APPROVAL");
    bank.approve(person("ben"), &proposed).await.unwrap();
}

#[tokio::test]
async fn what_was_edited_after_it_was_read_or_whose_ground_has_moved_is_not_approved() {
    let bank = Bank::open().await;
    let proposed = bank.propose(person("ann"), "s").await;
    let (id, _) = proposed.proposal.as_ref().unwrap();
    let edited = Edited::Suspension(suspension("s", "offer: lock-12m"), true);
    let edited = bank.service.edit(by(person("ann"), "edit"), *id, edited, None).await.unwrap();
    assert_eq!(
        code(bank.approve(person("ben"), &proposed).await),
        "APPROVAL_VOID",
        "as read before"
    );
    // Another proposal of the same thing comes first.
    let rival = bank.propose(person("eve"), "s").await;
    bank.approve(person("ben"), &rival).await.unwrap();
    let void = bank.approve(person("ben"), &edited).await;
    let Err(ServiceError::Refused(Refusal::ApprovalVoid { why, .. })) = &void else {
        panic!("{void:?}")
    };
    assert!(why.contains("suspensions/s") && why.contains("revision"), "{why}");
    assert!(bank.loaded().await.waiting.proposals.contains_key(id), "it can be edited, still");
    // What touches something else is none of its business.
    let free = bank.propose(person("ann"), "free").await;
    let other = bank.propose(person("eve"), "other").await;
    bank.approve(person("ben"), &other).await.unwrap();
    bank.approve(person("ben"), &free).await.unwrap();
}

#[tokio::test]
async fn a_proposal_lapses_after_seventy_two_hours_unless_it_is_edited() {
    let bank = Bank::open().await;
    let proposed = bank.propose(person("ann"), "s").await;
    let (id, _) = proposed.proposal.as_ref().unwrap();
    bank.set("2026-03-04T12:00:00Z");
    assert_eq!(code(bank.approve(person("ben"), &proposed).await), "PROPOSAL_LAPSED");
    assert_eq!(bank.says().await, Outcome::Eligible);
    let edited = Edited::Suspension(suspension("s", "offer: shield-12m"), true);
    let edited = bank.service.edit(by(person("ann"), "edit"), *id, edited, None).await.unwrap();
    bank.set("2026-03-07T11:59:59Z");
    bank.approve(person("ben"), &edited).await.unwrap();
    assert_eq!(bank.says().await, Outcome::Ineligible);
}

#[tokio::test]
async fn of_decisions_at_once_one_counts_and_the_others_are_told_which() {
    for decides in ["approve", "withdraw"] {
        let bank = Bank::open().await;
        let proposed = bank.propose(person("ann"), "s").await;
        let (id, _) = proposed.proposal.as_ref().unwrap();
        let other = async {
            match decides {
                "approve" => bank.approve(person("eve"), &proposed).await,
                _ => bank.service.reject(by(person("ann"), "withdraw"), *id).await,
            }
        };
        let both = tokio::join!(bank.approve(person("ben"), &proposed), other);
        let (won, lost) = match both {
            (Ok(won), lost @ Err(_)) | (lost @ Err(_), Ok(won)) => (won, lost),
            both => panic!("{both:?}"),
        };
        assert_eq!(code(lost), "CHANGE_DECIDED", "{decides}");
        let act = won.revised.unwrap().record.content.act;
        let stopped = if act == Act::Approve { Outcome::Ineligible } else { Outcome::Eligible };
        assert_eq!(bank.says().await, stopped, "{act:?}");
        assert!(bank.loaded().await.waiting.is_empty());
    }
}

#[tokio::test]
async fn a_lift_by_one_person_never_takes_effect_however_long_it_waits() {
    let bank = Bank::open().await;
    let proposed = bank.propose(person("ann"), "s").await;
    bank.approve(person("ben"), &proposed).await.unwrap();
    let id = suspension("s", "offer: shield-12m").id;
    let lift = bank.service.lift(by(person("ann"), "lift"), id.clone()).await.unwrap();
    assert_eq!(lift.proposal.as_ref().unwrap().1.direction, Direction::Loosening);
    for now in ["2026-03-01T13:00:00Z", "2026-03-03T00:00:00Z", "2027-01-01T00:00:00Z"] {
        bank.set(now);
        assert_eq!(bank.says().await, Outcome::Ineligible, "{now}");
    }
    bank.set("2027-01-01T00:00:01Z");
    let again = bank.service.lift(by(person("ann"), "again"), id.clone()).await.unwrap();
    bank.set("2027-01-02T00:00:00Z");
    let lifted = bank.approve(person("ben"), &again).await.unwrap();
    assert_eq!(
        lifted.rules.suspensions[&id].lifted_at,
        Some("2027-01-02T00:00:00Z".parse().unwrap())
    );
    assert_eq!(bank.says().await, Outcome::Eligible);
}

#[tokio::test]
async fn a_request_id_names_one_decision_and_no_other() {
    let bank = Bank::open().await;
    let proposed = bank.propose(person("ann"), "s").await;
    let again = bank.propose(person("ann"), "s").await;
    assert_eq!(again.revised.unwrap().record, proposed.revised.as_ref().unwrap().record);
    let other = bank.propose(person("ann"), "t").await;
    let first = bank.approve(person("ben"), &proposed).await.unwrap();
    let second = bank.approve(person("ben"), &proposed).await.unwrap();
    assert_eq!(first.revised.unwrap().record, second.revised.unwrap().record);
    let (id, proposal) = proposed.proposal.as_ref().unwrap();
    let (other_id, other_proposal) = other.proposal.as_ref().unwrap();
    let name = format!("approve-{id}-by-ben");
    for (who, id, digest) in [
        (person("ben"), *other_id, other_proposal.digest),
        (person("eve"), *id, proposal.digest),
        (person("ben"), *id, other_proposal.digest),
    ] {
        let reused = bank.service.approve(by(who, &name), id, digest).await;
        let is_reused =
            matches!(&reused, Err(ServiceError::Store(StoreError::RequestReused { .. })));
        assert!(is_reused, "{reused:?}");
    }
}

#[tokio::test]
async fn refusals_are_recorded_singly_up_to_a_bound_and_change_nothing() {
    let bank = Bank::open().await;
    let proposed = bank.propose(person("ann"), "s").await;
    let before = bank.loaded().await;
    for _ in 0..15 {
        assert_eq!(code(bank.approve(person("ann"), &proposed).await), "SELF_APPROVAL");
    }
    let after = bank.loaded().await;
    assert_eq!(after.head.revision.0, before.head.revision.0 + 10, "ten of one person a minute");
    assert_eq!((&after.rules, after.rules_since), (&before.rules, before.rules_since));
    assert_eq!(after.waiting, before.waiting);
    let nobodys = robot("nobodys", None);
    assert_eq!(code(bank.approve(nobodys, &proposed).await), "NOT_AUTHORISED");
    let records = bank.store.records(Revision::ZERO, 100).await.unwrap();
    let last = records.last().unwrap().content.refused.clone().unwrap();
    assert_eq!((last.code.as_str(), last.unwritten), ("NOT_AUTHORISED", 5));
    assert_eq!(last.asked, "approve change 3");
    verify(&records).unwrap();
    // A refusal is nothing that an expected revision is about.
    let seen = Requester { expected: Some(before.rules_since), ..by(person("eve"), "seen") };
    let stop = suspension("t", "offer: lock-12m");
    assert!(bank.service.suspend(seen, stop, true).await.is_ok());
}

#[tokio::test]
async fn what_waits_is_there_after_a_restart_and_the_history_of_a_suspension_tells_it_all() {
    let mut bank = Bank::open().await;
    let proposed = bank.propose(person("ann"), "s").await;
    let before = bank.loaded().await;
    bank.service = start(&bank.store, &bank.clock).await;
    assert_eq!(bank.service.held().unwrap().waiting, before.waiting);
    assert_eq!(code(bank.approve(person("ann"), &proposed).await), "SELF_APPROVAL");
    bank.approve(person("ben"), &proposed).await.unwrap();
    let id = suspension("s", "offer: shield-12m").id;
    let lift = bank.service.lift(by(person("eve"), "lift"), id.clone()).await.unwrap();
    let (number, _) = lift.proposal.unwrap();
    bank.service.reject(by(person("ben"), "no"), number).await.unwrap();
    bank.propose(person("ann"), "another").await;
    let history = bank.service.history_of(&id).await.unwrap().revised;
    let acts: Vec<_> = history.iter().map(|it| it.record.content.act).collect();
    assert_eq!(acts, [Act::Propose, Act::Refuse, Act::Approve, Act::Propose, Act::Reject]);
    // As of any revision, what waited then.
    let then = bank.store.load_at(Revision(3)).await.unwrap().unwrap();
    assert_eq!(then.waiting.proposals.len(), 1);
}
