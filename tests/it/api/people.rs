//! What people do over gRPC: rule files, suspensions, the catalogue, the history.

use super::server::{
    RULES, Server, apply, check, create, customer, document, lift, paths, reasons, suspension,
};
use crate::two_people::TwoPeople as _;
use offergate::client::{ClientError, ErrorKind};
use offergate::wire::proto;
use proto::preview_change_request::Change;
use tokio_stream::StreamExt;

fn told(error: &ClientError) -> (ErrorKind, &str) {
    (error.kind, error.reason.as_deref().unwrap_or_default())
}

async fn outcome_of(server: &Server, offer: &str) -> proto::Outcome {
    let request = proto::CheckEligibilityRequest { offer: offer.to_owned(), ..check() };
    server.check(request).await.unwrap().outcome()
}

#[tokio::test]
async fn a_rule_file_is_planned_applied_once_and_exported_as_it_is() {
    let server = Server::start().await;
    let plan = |yaml: &str| {
        let document = Some(document(yaml));
        server.client.plan_rules(proto::PlanRulesRequest { document })
    };
    let same = plan(RULES).await.unwrap();
    assert_eq!((same.lines.len(), same.base_revision), (0, 2));
    let changed = RULES.replace("12 other months", "Two years");
    let lines = plan(&changed).await.unwrap().lines;
    assert_eq!(lines.len(), 1);
    assert_eq!((lines[0].effect(), lines[0].id.as_str()), (proto::PlanEffect::Change, "oss-12m"));
    assert!(lines[0].details[0].contains("Two years"), "{:?}", lines[0].details);

    let only_checked = proto::ApplyRulesRequest { validate_only: true, ..apply(&changed, 2, "a") };
    let checked = server.client.apply_rules_by_two(only_checked).await.unwrap();
    assert_eq!((checked.revision.unwrap().number, checked.lines.len()), (2, 1));
    let applied = server.client.apply_rules_by_two(apply(&changed, 2, "a")).await.unwrap();
    assert_eq!((applied.revision.clone().unwrap().number, applied.lines.len()), (4, 1));
    // The answer got lost, and the caller asks again.
    let again = server.client.apply_rules_by_two(apply(&changed, 2, "a")).await.unwrap();
    assert_eq!(again, applied);
    let other = server.client.apply_rules_by_two(apply(RULES, 4, "a")).await.unwrap_err();
    assert_eq!(told(&other), (ErrorKind::Conflict, "REQUEST_ID_REUSED"));
    let late = server.client.apply_rules_by_two(apply(RULES, 2, "b")).await.unwrap_err();
    assert_eq!(told(&late), (ErrorKind::Conflict, "REVISION_CONFLICT"));

    let exported = server.client.export_rules(<_>::default()).await.unwrap();
    assert_eq!(exported.revision, 4);
    assert_eq!(plan(&exported.document.unwrap().yaml).await.unwrap().lines, []);
    let first = proto::ExportRulesRequest { revision: Some(2) };
    let first = server.client.export_rules(first).await.unwrap().document.unwrap().yaml;
    assert_eq!(plan(&first).await.unwrap().lines.len(), 1);
    let none = proto::ExportRulesRequest { revision: Some(5) };
    let none = server.client.export_rules(none).await.unwrap_err();
    assert_eq!(told(&none), (ErrorKind::NotFound, "NOT_FOUND"));
}

#[tokio::test]
async fn a_rule_file_that_is_wrong_changes_nothing_and_every_problem_is_placed() {
    let server = Server::start().await;
    let wrong = RULES.replace("[other]", "[nobody]").replace("country: RU", "country: UK");
    let error = server.client.apply_rules_by_two(apply(&wrong, 1, "a")).await.unwrap_err();
    assert_eq!(told(&error), (ErrorKind::Invalid, "RULE_FILE_INVALID"));
    assert_eq!(paths(&error), ["document.yaml", "document.yaml"]);
    assert!(error.fields.iter().all(|(_, text)| text.starts_with("rules.yaml:")), "{error}");
    let revision = server.client.get_revision(<_>::default()).await.unwrap().revision.unwrap();
    assert_eq!(revision.number, 2);

    let error = server.client.apply_rules_by_two(<_>::default()).await.unwrap_err();
    assert_eq!(paths(&error), ["document", "expected_revision", "request_id", "author", "reason"]);
    assert_eq!(paths(&server.client.plan_rules(<_>::default()).await.unwrap_err()), ["document"]);
}

#[tokio::test]
async fn a_suspension_holds_from_its_answer_on_and_ends_with_its_lift() {
    let server = Server::start().await;
    assert_eq!(outcome_of(&server, "oss-12m").await, proto::Outcome::Eligible);
    let made =
        server.client.create_suspension_by_two(create(suspension("s"), "r-1")).await.unwrap();
    let revision = made.revision.unwrap();
    assert_eq!((revision.number, revision.author.as_str()), (4, "ann"));
    assert_eq!((revision.reason.as_str(), revision.ticket.as_str()), ("Found wanting", "CHG-2"));
    assert_eq!(made.suspension.unwrap().state(), proto::SuspensionState::InForce);
    assert_eq!(outcome_of(&server, "oss-12m").await, proto::Outcome::Ineligible);

    server.clock.set("2017-12-06T00:00:00Z");
    let lifted = server.client.lift_suspension_by_two(lift("s", "r-2")).await.unwrap();
    assert_eq!(lifted.suspension.unwrap().state(), proto::SuspensionState::Lifted);
    assert_eq!(outcome_of(&server, "oss-12m").await, proto::Outcome::Eligible);

    let again = server.client.lift_suspension_by_two(lift("s", "r-3")).await.unwrap_err();
    assert_eq!(told(&again), (ErrorKind::Conflict, "SUSPENSION_OVER"));
    let none = server.client.lift_suspension_by_two(lift("gone", "r-4")).await.unwrap_err();
    assert_eq!(told(&none), (ErrorKind::NotFound, "NOT_FOUND"));
    let error = server.client.lift_suspension_by_two(<_>::default()).await.unwrap_err();
    assert_eq!(paths(&error), ["id", "request_id", "author", "reason", "ticket"]);
}

#[tokio::test]
async fn the_same_request_again_later_changes_nothing_and_answers_the_same() {
    let server = Server::start().await;
    let request = create(suspension("s"), "r-1");
    let first = server.client.create_suspension_by_two(request.clone()).await.unwrap();
    server.clock.set("2017-12-05T18:00:00Z");
    server.client.create_suspension_by_two(create(suspension("t"), "r-2")).await.unwrap();
    let again = server.client.create_suspension_by_two(request).await.unwrap();
    assert_eq!(again.revision, first.revision);
    assert_eq!(again.suspension.unwrap().from_time, first.suspension.unwrap().from_time);

    let lifted = server.client.lift_suspension_by_two(lift("s", "r-3")).await.unwrap();
    server.clock.set("2017-12-05T19:00:00Z");
    let again = server.client.lift_suspension_by_two(lift("s", "r-3")).await.unwrap();
    assert_eq!(again, lifted);
    let reused = server.client.lift_suspension_by_two(lift("t", "r-3")).await.unwrap_err();
    assert_eq!(told(&reused), (ErrorKind::Conflict, "REQUEST_ID_REUSED"));
    let taken =
        server.client.create_suspension_by_two(create(suspension("s"), "r-4")).await.unwrap_err();
    assert_eq!(told(&taken), (ErrorKind::Conflict, "ALREADY_EXISTS"));
}

#[tokio::test]
async fn a_suspension_that_makes_no_sense_is_refused_with_the_path_of_the_field() {
    let server = Server::start().await;
    let refused = async |change: fn(&mut proto::Suspension)| {
        let mut given = suspension("s");
        change(&mut given);
        let error = server.client.create_suspension_by_two(create(given, "r")).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Invalid, "{error}");
        paths(&error).into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    use proto::target::Target;
    assert_eq!(
        refused(
            |it| it.target = Some(proto::Target { target: Some(Target::Vendor("gone".into())) })
        )
        .await,
        ["suspension.target.vendor"]
    );
    assert_eq!(
        refused(|it| it.until_time = Some(prost_types::Timestamp { seconds: 1, nanos: 0 })).await,
        ["suspension.until_time"]
    );
    assert_eq!(
        refused(|it| it.scope.as_mut().unwrap().segments = vec!["ROYAL".into()]).await,
        ["suspension.scope.segments[0]"]
    );
    assert_eq!(refused(|it| it.reason = "x".repeat(100_000)).await, ["suspension.reason"]);
    assert_eq!(
        refused(|it| it.advisories = vec!["gone".into()]).await,
        ["suspension.advisories[0]"]
    );
    assert_eq!(outcome_of(&server, "oss-12m").await, proto::Outcome::Eligible);
    let revision = server.client.get_revision(<_>::default()).await.unwrap().revision.unwrap();
    assert_eq!(revision.number, 2);
}

#[tokio::test]
async fn amending_replaces_the_whole_state_and_never_overwrites_unseen() {
    let server = Server::start().await;
    server.client.create_suspension_by_two(create(suspension("s"), "r-1")).await.unwrap();
    let read = server.client.get_suspension(proto::GetSuspensionRequest { id: "s".into() });
    let read = read.await.unwrap();
    let mut wanted = read.suspension.unwrap();
    wanted.scope.as_mut().unwrap().countries = vec!["IE".to_owned()];
    let amend = |expected: Option<u64>, request_id: &str| proto::AmendSuspensionRequest {
        suspension: Some(wanted.clone()),
        request_id: request_id.to_owned(),
        author: "bob".to_owned(),
        reason: "Only Ireland".to_owned(),
        ticket: "CHG-4".to_owned(),
        expected_revision: expected,
        validate_only: false,
    };
    let unseen = server.client.amend_suspension_by_two(amend(None, "r-2")).await.unwrap_err();
    assert_eq!(paths(&unseen), ["expected_revision"]);
    let old = server.client.amend_suspension_by_two(amend(Some(1), "r-2")).await.unwrap_err();
    assert_eq!(told(&old), (ErrorKind::Conflict, "REVISION_CONFLICT"));
    let amended =
        server.client.amend_suspension_by_two(amend(Some(read.revision), "r-2")).await.unwrap();
    assert_eq!(amended.revision.unwrap().reason, "Only Ireland");
    assert_eq!(outcome_of(&server, "oss-12m").await, proto::Outcome::Eligible);
}

#[tokio::test]
async fn a_clock_that_steps_back_does_not_undo_what_was_acknowledged() {
    let server = Server::start().await;
    server.client.create_suspension_by_two(create(suspension("s"), "r-1")).await.unwrap();
    server.clock.set("2017-12-01T00:00:00Z");
    assert_eq!(outcome_of(&server, "oss-12m").await, proto::Outcome::Ineligible);
}

#[tokio::test]
async fn what_was_in_force_cannot_be_amended_away() {
    let server = Server::start().await;
    server.client.create_suspension_by_two(create(suspension("s"), "r-1")).await.unwrap();
    let read = server.client.get_suspension(proto::GetSuspensionRequest { id: "s".into() });
    let read = read.await.unwrap().suspension.unwrap();
    server.clock.set("2017-12-09T00:00:00Z");
    let amended = async |change: fn(&mut proto::Suspension), expected, request_id: &str| {
        let mut wanted = read.clone();
        change(&mut wanted);
        let request = proto::AmendSuspensionRequest {
            suspension: Some(wanted),
            request_id: request_id.to_owned(),
            author: "bob".to_owned(),
            reason: "Second thoughts".to_owned(),
            ticket: "CHG-4".to_owned(),
            expected_revision: Some(expected),
            validate_only: false,
        };
        server.client.amend_suspension_by_two(request).await
    };
    let later = |it: &mut proto::Suspension| {
        it.from_time = Some(prost_types::Timestamp { seconds: 1_900_000_000, nanos: 0 });
    };
    let begun = amended(later, 4, "r-2").await.unwrap_err();
    assert_eq!(told(&begun).1, "SUSPENSION_BEGUN");
    server.client.lift_suspension_by_two(lift("s", "r-3")).await.unwrap();
    let over = amended(|it| it.reason = "Other".to_owned(), 6, "r-4").await.unwrap_err();
    assert_eq!(told(&over).1, "SUSPENSION_OVER");
}

#[tokio::test]
async fn an_exemption_waives_for_a_time_and_is_shown_with_its_suspension() {
    let server = Server::start().await;
    let exemption = proto::Exemption {
        id: "pilot".to_owned(),
        waives: vec!["barclays-2017".to_owned()],
        scope: Some(proto::Scope { customers: vec!["c-1".to_owned()], ..<_>::default() }),
        until_time: Some(prost_types::Timestamp { seconds: 1_514_764_800, nanos: 0 }),
        ticket: "CHG-5".to_owned(),
        reason: "Pilot".to_owned(),
        ..<_>::default()
    };
    let request = proto::CreateExemptionRequest {
        exemption: Some(exemption),
        request_id: "r-1".to_owned(),
        author: "ann".to_owned(),
        ..<_>::default()
    };
    server.client.create_exemption_by_two(request.clone()).await.unwrap();
    let decision = server.check(check()).await.unwrap();
    assert_eq!(reasons(&decision), ["EXEMPTED"]);
    assert_eq!(decision.exemptions, ["pilot"]);
    let id = "barclays-2017".to_owned();
    let read = server.client.get_suspension(proto::GetSuspensionRequest { id }).await.unwrap();
    assert_eq!(read.exemptions[0].id, "pilot");

    let mut endless = request;
    endless.exemption.as_mut().unwrap().until_time = None;
    let error = server.client.create_exemption_by_two(endless).await.unwrap_err();
    assert_eq!(paths(&error), ["exemption.until_time"]);
}

#[tokio::test]
async fn suspensions_are_listed_in_pages_by_state_and_target() {
    let server = Server::start().await;
    for (place, id) in ["a", "b", "c"].iter().enumerate() {
        let request = create(suspension(id), &format!("r-{place}"));
        server.client.create_suspension_by_two(request).await.unwrap();
    }
    server.client.lift_suspension_by_two(lift("b", "r-b")).await.unwrap();
    let list = async |request: proto::ListSuspensionsRequest| {
        let listed = server.client.list_suspensions(request).await.unwrap();
        let ids: Vec<_> = listed.suspensions.into_iter().map(|found| found.id).collect();
        (ids.join(","), listed.next_page_token, listed.revision)
    };
    let all = list(<_>::default()).await;
    assert_eq!(all, ("a,b,barclays-2017,c".to_owned(), String::new(), 10));
    let (first, next, _) =
        list(proto::ListSuspensionsRequest { page_size: 3, ..<_>::default() }).await;
    assert_eq!(first, "a,b,barclays-2017");
    let rest = proto::ListSuspensionsRequest { page_token: next, ..<_>::default() };
    assert_eq!(list(rest).await.0, "c");
    let state = proto::SuspensionState::Lifted.into();
    assert_eq!(list(proto::ListSuspensionsRequest { state, ..<_>::default() }).await.0, "b");
    let vendor = "kaspersky-labs-ltd".to_owned();
    let of_vendor = proto::ListSuspensionsRequest { vendor, ..<_>::default() };
    assert_eq!(list(of_vendor).await.0, "barclays-2017");
    let bad = proto::ListSuspensionsRequest {
        page_size: -1,
        page_token: " ".to_owned(),
        state: 99,
        vendor: "no id".to_owned(),
        ..<_>::default()
    };
    let error = server.client.list_suspensions(bad).await.unwrap_err();
    assert_eq!(paths(&error), ["page_size", "page_token", "state", "vendor"]);
}

#[tokio::test]
async fn a_preview_counts_offers_and_customers_and_changes_nothing() {
    let server = Server::start().await;
    let in_country = |id: &str, country: &str| proto::Customer {
        id: id.to_owned(),
        country: Some(country.to_owned()),
        holding: None,
        ..customer()
    };
    let request = proto::PreviewChangeRequest {
        change: Some(Change::Lift("barclays-2017".to_owned())),
        customers: vec![in_country("c-1", "GB"), in_country("c-2", "IE"), in_country("c-3", "GB")],
        actions: vec![proto::Action::Offer.into()],
        ..<_>::default()
    };
    let preview = server.client.preview_change(request.clone()).await.unwrap();
    assert_eq!((preview.offers_total, preview.offers_changed), (2, 1));
    assert_eq!(preview.offers[0].released_from, ["barclays-2017"]);
    assert_eq!((preview.customers_total, preview.customers_changed), (3, 2));
    let by_country: Vec<_> = preview
        .by_country
        .iter()
        .map(|count| (count.value.as_str(), count.customers, count.changed))
        .collect();
    assert_eq!(by_country, [("GB", 2, 2), ("IE", 1, 0)]);
    let sample = &preview.samples[0];
    assert_eq!(sample.customer_id, "c-1");
    assert_eq!(sample.before.as_ref().unwrap().outcome(), proto::Outcome::Ineligible);
    assert_eq!(sample.after.as_ref().unwrap().outcome(), proto::Outcome::Eligible);
    assert_eq!(outcome_of(&server, "kis-12m").await, proto::Outcome::Ineligible);

    let suspending = proto::PreviewChangeRequest {
        change: Some(Change::Suspension(suspension("s"))),
        ..<_>::default()
    };
    let preview = server.client.preview_change(suspending).await.unwrap();
    assert_eq!(preview.offers[0].suspended_by, ["s"]);

    let mut bad = request;
    bad.change = None;
    bad.customers[1].id.clear();
    bad.sample_size = 1000;
    let error = server.client.preview_change(bad).await.unwrap_err();
    assert_eq!(paths(&error), ["customers[1].id", "sample_size", "change"]);
}

#[tokio::test]
async fn people_find_a_vendor_by_an_alias_with_its_family_products_and_offers() {
    let server = Server::start().await;
    let search = |query: &str| {
        let query = query.to_owned();
        server.client.search(proto::SearchRequest { query, ..<_>::default() })
    };
    let found = search("kaspersky").await.unwrap().results;
    let Some(proto::search_result::Found::Vendor(vendor)) = &found[0].found else {
        panic!("{found:?}")
    };
    assert_eq!(
        (vendor.id.as_str(), found[0].matched.as_str()),
        ("kaspersky-labs-ltd", "Kaspersky")
    );
    assert_eq!(found.len(), 3);
    assert_eq!(paths(&search(" ").await.unwrap_err()), ["query"]);

    let id = || "kaspersky-labs-ltd".to_owned();
    let vendor = server.client.get_vendor(proto::GetVendorRequest { id: id() }).await.unwrap();
    assert_eq!(vendor.family[0].id, "ao-kaspersky-lab");
    assert_eq!((vendor.products[0].id.as_str(), vendor.offers[0].id.as_str()), ("kis", "kis-12m"));
    let product = proto::GetProductRequest { id: "kis".to_owned() };
    let product = server.client.get_product(product).await.unwrap();
    assert_eq!((product.vendors[0].id.as_str(), product.offers.len()), ("ao-kaspersky-lab", 1));
    let offer = proto::GetOfferRequest { id: "kis-12m".to_owned() };
    assert_eq!(server.client.get_offer(offer).await.unwrap().product.unwrap().id, "kis");
    let first = proto::ListOffersRequest { page_size: 1, ..<_>::default() };
    let first = server.client.list_offers(first).await.unwrap();
    assert_eq!(
        (first.offers[0].id.as_str(), first.next_page_token.as_str()),
        ("kis-12m", "kis-12m")
    );

    let none = proto::GetOfferRequest { id: "gone".to_owned() };
    assert_eq!(server.client.get_offer(none).await.unwrap_err().kind, ErrorKind::NotFound);
    let bad = proto::GetVendorRequest { id: "Kаspersky".to_owned() };
    assert_eq!(paths(&server.client.get_vendor(bad).await.unwrap_err()), ["id"]);
}

#[tokio::test]
async fn the_history_is_listed_newest_first_and_watched_without_a_gap() {
    let server = Server::start().await;
    for place in 2..=150 {
        let request = create(suspension(&format!("s-{place}")), &format!("r-{place}"));
        server.client.create_suspension_by_two(request).await.unwrap();
    }
    let mut numbers = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = proto::ListRevisionsRequest { page_size: 40, page_token };
        let page = server.client.list_revisions(request).await.unwrap();
        numbers.extend(page.revisions.iter().map(|revision| revision.number));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!(numbers, (1..=300).rev().collect::<Vec<u64>>());

    let watch = |after_revision| {
        let after_token = String::new();
        server.client.watch_revisions(proto::WatchRevisionsRequest { after_revision, after_token })
    };
    let mut from_three = watch(Some(3)).await.unwrap();
    let mut only_new = watch(None).await.unwrap();
    server.client.lift_suspension_by_two(lift("s-7", "r-l")).await.unwrap();
    for expected in 4..=302 {
        let revision = from_three.next().await.unwrap().unwrap().revision.unwrap();
        assert_eq!(revision.number, expected);
    }
    let revision = only_new.next().await.unwrap().unwrap().revision.unwrap();
    assert_eq!((revision.number, revision.act()), (301, proto::RevisionAct::Propose));
    let revision = only_new.next().await.unwrap().unwrap().revision.unwrap();
    assert_eq!((revision.number, revision.kind()), (302, proto::RevisionKind::LiftSuspension));
    assert_eq!(revision.subjects[0].id, "s-7");
    let ahead = watch(Some(303)).await.unwrap_err();
    assert_eq!(told(&ahead), (ErrorKind::Invalid, "REVISION_AHEAD"));
}

#[tokio::test]
async fn a_watcher_whose_revision_is_of_another_history_is_told_instead_of_going_on() {
    let server = Server::start().await;
    server.client.create_suspension_by_two(create(suspension("s-2"), "r-2")).await.unwrap();
    let request = proto::GetRevisionRequest { number: Some(1) };
    let token = server.client.get_revision(request).await.unwrap().revision.unwrap().token;
    let watch = |after_revision, after_token: &str| {
        let after_token = after_token.to_owned();
        server.client.watch_revisions(proto::WatchRevisionsRequest { after_revision, after_token })
    };
    let mut known = watch(None, &token).await.unwrap();
    assert_eq!(known.next().await.unwrap().unwrap().revision.unwrap().number, 2);

    let [lineage, number, chain] =
        <[&str; 3]>::try_from(token.split('.').collect::<Vec<_>>()).unwrap();
    let other_lineage = format!("{}.{number}.{chain}", "0".repeat(32));
    let other_past = format!("{lineage}.{number}.{}", "0".repeat(16));
    for other in [&other_lineage, &other_past] {
        let refused = watch(Some(1), other).await.unwrap_err();
        assert_eq!(refused.reason.as_deref(), Some("HISTORY_CHANGED"));
    }
    let other_number = watch(Some(2), &token).await.unwrap_err();
    assert_eq!(other_number.kind, ErrorKind::Invalid);
}
