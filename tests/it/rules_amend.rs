//! What a suspension may still become: by a request to amend it, and by a rule file.
//!
//! Every way in gives one verdict: amend, and plan, preview and apply of a file that states the same.

use offergate::clock::Clock;
use offergate::domain::Principal;
use offergate::domain::{Lineage, Suspension, Timestamp};
use offergate::rules;
use offergate::service::{
    Changed, PreviewRequest, Proposed, RequestId, Requester, RuleFile, Service, ServiceError,
};
use offergate::store::memory::MemoryStore;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Before anything in these tests begins.
const LONG_BEFORE: &str = "2026-01-01T00:00:00Z";
/// When it is amended.
const NOW: &str = "2026-03-15T12:00:00Z";

const OVER_BY_LIFT: &str = "over since its `lifted_at`, 2026-03-05T00:00:00Z";
const OVER_BY_UNTIL: &str = "over since its `until`, 2026-03-10T00:00:00Z";
const BEGUN: &str = "in force since 2026-03-01T00:00:00Z, and what has begun keeps its `from`";

struct SetClock(Mutex<Timestamp>);

impl Clock for SetClock {
    fn wall(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }

    fn boot(&self) -> Duration {
        Duration::ZERO
    }
}

/// A service that holds one suspension, which says `times`, at [`NOW`].
async fn holding(times: &str) -> Arc<Service> {
    let clock = Arc::new(SetClock(Mutex::new(LONG_BEFORE.parse().unwrap())));
    let store = MemoryStore::new(Lineage::parse(&"0123456789abcdef".repeat(2)).unwrap());
    let limit = Service::STALENESS_LIMIT;
    let service = Service::start(Arc::new(store), Arc::clone(&clock) as _, limit, None);
    let service = service.await.unwrap();
    let (proposed, _) = service.apply(requester("first"), file(times)).await.unwrap();
    approve(&service, proposed).await;
    *clock.0.lock().unwrap() = NOW.parse().unwrap();
    service
}

/// Another person approves it.
async fn approve(service: &Arc<Service>, proposed: Changed) -> Changed {
    let (id, proposal) = proposed.proposal.unwrap();
    let author = Arc::new(Principal::unverified("ben"));
    let approver = Requester { author, ..requester(&format!("approve-{id}")) };
    service.approve(approver, id, proposal.digest).await.unwrap()
}

fn requester(id: &str) -> Requester {
    Requester {
        request_id: RequestId::parse(id).unwrap(),
        author: Arc::new(Principal::unverified("ann")),
        address: None,
        reason: "Second thoughts".to_owned(),
        ticket: "CHG-2".to_owned(),
        expected: None,
        validate_only: false,
    }
}

fn file(times: &str) -> RuleFile {
    let text = format!(
        "vendors: {{acme: {{name: Acme}}}}
products: {{shield: {{name: Shield, class: ANTIVIRUS, vendors: [acme], components: []}}}}
offers: {{plain: {{product: shield}}}}
suspensions:
  stop: {{target: {{vendor: acme}}, actions: [OFFER], ticket: CHG-1, reason: Why, {times}}}
"
    );
    RuleFile { text, name: "rules.yaml".to_owned() }
}

fn stated(times: &str) -> Suspension {
    let rules = rules::read(&file(times).text).unwrap();
    rules.suspensions.values().next().unwrap().as_ref().clone()
}

/// The words of a refusal, with its path if it has one; empty when nothing was refused.
fn told<T>(result: Result<T, ServiceError>) -> String {
    match result {
        Ok(_) => String::new(),
        Err(ServiceError::Rules(problems)) => {
            problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
        }
        Err(error) => error.to_string(),
    }
}

/// The verdicts of plan, preview and apply on a file, which must be the same.
async fn by_file(held: &str, wanted: &str) -> String {
    let service = holding(held).await;
    let plan = told(service.plan(file(wanted)).await);
    let nobody =
        PreviewRequest { customers: Vec::new(), actions: Vec::new(), as_of: None, samples: 0 };
    let preview = told(service.preview(Proposed::Document(file(wanted)), nobody).await);
    let applied = service.apply(requester("second"), file(wanted)).await;
    if let Ok((Changed { proposal: Some(_), .. }, _)) = &applied {
        assert_eq!(service.held().unwrap().head.revision.0, 3, "proposed, and not in force");
        assert_eq!(service.held().unwrap().rules_since.0, 2);
    }
    let applied = match applied {
        Ok((changed, _)) if changed.proposal.is_some() => Ok(approve(&service, changed).await),
        other => other.map(|(changed, _)| changed),
    };
    let revision = service.held().unwrap().rules_since.0;
    let apply = told(applied);
    assert_eq!((&plan, &preview), (&apply, &apply), "{held} -> {wanted}");
    let changes = apply.is_empty() && stated(held) != stated(wanted);
    assert_eq!(revision, 2 + 2 * u64::from(changes), "{held} -> {wanted}");
    apply
}

/// The verdicts of amending and of its preview, which must be the same.
async fn by_amending(held: &str, wanted: &str) -> String {
    let service = holding(held).await;
    let nobody =
        PreviewRequest { customers: Vec::new(), actions: Vec::new(), as_of: None, samples: 0 };
    let proposed = Proposed::Suspension(Box::new(stated(wanted)));
    let preview = told(service.preview(proposed, nobody).await);
    let amend = told(service.amend(requester("second"), stated(wanted)).await);
    assert_eq!(preview, amend, "{held} -> {wanted}");
    amend
}

fn assert_verdict(told: &str, expected: &str, why: &str) {
    match expected {
        "" => assert_eq!(told, "", "{why}"),
        _ => assert!(told.contains("stop") && told.contains(expected), "{why}: {told:?}"),
    }
}

#[tokio::test]
async fn what_has_begun_keeps_its_start_and_nothing_ends_before_it_is_said() {
    const BEGUN_OPEN: &str = "from: \"2026-03-01T00:00:00Z\"";
    const BEGUN_ENDING: &str = "from: \"2026-03-01T00:00:00Z\", until: \"2026-04-01T00:00:00Z\"";
    const OVER: &str = "from: \"2026-03-01T00:00:00Z\", until: \"2026-03-10T00:00:00Z\"";
    const TO_COME: &str = "from: \"2026-05-01T00:00:00Z\", until: \"2026-06-01T00:00:00Z\"";
    let ending = |until: &str| format!("{BEGUN_OPEN}, until: \"{until}\"");
    for (held, wanted, expected, why) in [
        (BEGUN_OPEN, BEGUN_OPEN.to_owned(), "", "what is held is restated"),
        (BEGUN_OPEN, "from: \"2026-03-02T00:00:00Z\"".to_owned(), BEGUN, "a later start"),
        (BEGUN_OPEN, "from: \"2026-02-01T00:00:00Z\"".to_owned(), BEGUN, "an earlier start"),
        (BEGUN_OPEN, "from: \"2026-09-01T00:00:00Z\"".to_owned(), BEGUN, "a start to come"),
        (BEGUN_OPEN, format!("{BEGUN_OPEN}, countries: [GB]"), "", "the rest may be changed"),
        (BEGUN_OPEN, ending("2026-04-01T00:00:00Z"), "", "an end to come"),
        (BEGUN_OPEN, ending(NOW), "", "an end at this instant"),
        (
            BEGUN_OPEN,
            ending("2026-03-15T11:59:59Z"),
            "`2026-03-15T11:59:59Z` is past, and none is held; `until` may be \
             2026-03-15T12:00:00Z or later",
            "an end just past",
        ),
        (
            BEGUN_ENDING,
            ending("2026-03-02T00:00:00Z"),
            "`2026-03-02T00:00:00Z` is past, and `2026-04-01T00:00:00Z` is held",
            "an end that was to come, moved into the past",
        ),
        (BEGUN_ENDING, ending("2026-05-01T00:00:00Z"), "", "an end moved out"),
        (BEGUN_ENDING, BEGUN_OPEN.to_owned(), "", "an end taken off"),
        (OVER, OVER.to_owned(), "", "what is over is restated"),
        (OVER, ending("2026-05-01T00:00:00Z"), OVER_BY_UNTIL, "a past end moved out"),
        (OVER, BEGUN_OPEN.to_owned(), OVER_BY_UNTIL, "a past end taken off"),
        (OVER, ending("2026-03-05T00:00:00Z"), OVER_BY_UNTIL, "a past end moved back"),
        (OVER, format!("{OVER}, countries: [GB]"), OVER_BY_UNTIL, "in vain: it is over"),
        (TO_COME, TO_COME.replace("-05-", "-04-"), "", "what is to come may begin earlier"),
        (TO_COME, TO_COME.replace("-06-", "-07-"), "", "or end later"),
        (TO_COME, BEGUN_OPEN.to_owned(), "", "or have begun"),
        (
            TO_COME,
            OVER.to_owned(),
            "`2026-03-10T00:00:00Z` is past, and `2026-06-01T00:00:00Z` is held",
            "but not be over before it was said",
        ),
    ] {
        assert_verdict(&by_file(held, &wanted).await, expected, why);
        assert_verdict(&by_amending(held, &wanted).await, expected, why);
    }
}

#[tokio::test]
async fn a_lift_stays_whatever_a_rule_file_says() {
    const OPEN: &str = "from: \"2026-03-01T00:00:00Z\"";
    let lifted = |at: &str| format!("{OPEN}, lifted_at: \"{at}\"");
    let held = lifted("2026-03-05T00:00:00Z");
    for (held, wanted, expected, why) in [
        (held.as_str(), held.clone(), "", "the lift is restated"),
        (&held, lifted("2026-03-01T00:00:00Z"), OVER_BY_LIFT, "an earlier lift"),
        (&held, lifted("2026-05-01T00:00:00Z"), OVER_BY_LIFT, "a lift to come"),
        (&held, format!("{held}, countries: [GB]"), OVER_BY_LIFT, "in vain: it is over"),
        (OPEN, lifted("2026-05-01T00:00:00Z"), "", "a first lift, to come"),
        (OPEN, lifted(NOW), "", "a first lift at this instant"),
        (
            OPEN,
            lifted("2026-03-05T00:00:00Z"),
            "suspensions.stop.lifted_at: `2026-03-05T00:00:00Z` is past, and none is held",
            "a first lift that nobody was told of",
        ),
    ] {
        assert_verdict(&by_file(held, &wanted).await, expected, why);
    }
    let service = holding(&held).await;
    let (changed, plan) = service.apply(requester("second"), file(OPEN)).await.unwrap();
    assert!(changed.revised.is_none() && plan.change.is_empty(), "a file need not know of a lift");
    assert_verdict(&by_amending(&held, OPEN).await, "", "nor need who amends");
    let wanted = format!("{OPEN}, countries: [GB]");
    assert_verdict(&by_amending(&held, &wanted).await, OVER_BY_LIFT, "in vain: it is over");
}

#[tokio::test]
async fn a_lift_to_come_does_not_keep_anybody_from_lifting_now() {
    let times = "from: \"2026-03-01T00:00:00Z\", lifted_at: \"2026-05-01T00:00:00Z\"";
    let service = holding(times).await;
    let id = stated(times).id;
    let proposed = service.lift(requester("second"), id.clone()).await.unwrap();
    let lifted = approve(&service, proposed).await;
    assert_eq!(lifted.rules.suspensions[&id].lifted_at, Some(NOW.parse().unwrap()));
    let again = told(service.lift(requester("third"), id).await);
    assert_verdict(&again, "over since its `lifted_at`, 2026-03-15T12:00:00Z", "lifted twice");
}
