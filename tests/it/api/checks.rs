//! Checks over gRPC: one, many, a stream, all offers, explained; and what is refused.

use super::server::{Server, check, customer, document, holding, paths, reasons};
use crate::two_people::TwoPeople as _;
use offergate::client::ErrorKind;
use offergate::wire::proto;
use proto::eligibility_result::Result as Item;
use tokio_stream::StreamExt;

#[tokio::test]
async fn a_new_customer_is_told_no_with_the_reason_the_advisory_and_another_offer() {
    let server = Server::start().await;
    let decision = server.check(check()).await.unwrap();
    assert_eq!(decision.outcome(), proto::Outcome::Ineligible);
    assert_eq!(reasons(&decision), ["VENDOR_SUSPENDED"]);
    let notice = &decision.suspensions[0];
    assert_eq!(notice.id, "barclays-2017");
    assert_eq!(notice.code(), proto::ReasonCode::VendorSuspended);
    assert_eq!(notice.advisories[0].issuer, "NCSC");
    assert_eq!(notice.advisories[0].url, "https://example.org/ncsc");
    let message = notice.customer_message.as_ref().unwrap();
    assert_eq!(message.text, "This software isn't available at the moment.");
    assert_eq!(decision.alternate.as_deref(), Some("oss-12m"));
    assert_eq!(decision.revision, 2);
    let as_of = decision.as_of.unwrap();
    assert_eq!(decision.valid_until.unwrap().seconds, as_of.seconds + 5);
    assert_eq!(uuid::Uuid::parse_str(&decision.decision_id).unwrap().get_version_num(), 7);
}

#[tokio::test]
async fn a_holder_keeps_using_it_and_a_notice_always_goes_out() {
    let server = Server::start().await;
    let active = Some(holding(proto::HoldingStatus::Active));
    for (action, expected) in
        [(proto::Action::Use, "NO_RULE_APPLIES"), (proto::Action::Notify, "NOT_GATED")]
    {
        let decision = server
            .check(proto::CheckEligibilityRequest {
                customer: Some(proto::Customer { holding: active.clone(), ..customer() }),
                action: action.into(),
                ..check()
            })
            .await
            .unwrap();
        assert_eq!(decision.outcome(), proto::Outcome::Eligible);
        assert_eq!(reasons(&decision), [expected]);
    }
}

#[tokio::test]
async fn nothing_missing_invalid_or_unknown_is_ever_eligible() {
    let server = Server::start().await;
    type Change = fn(&mut proto::CheckEligibilityRequest);
    let ask = |change: Change| {
        let mut request = check();
        change(&mut request);
        server.check(request)
    };
    fn of(request: &mut proto::CheckEligibilityRequest) -> &mut proto::Customer {
        request.customer.as_mut().unwrap()
    }
    let cases: [(Change, proto::Outcome, &str); 4] = [
        (|it| of(it).country = None, proto::Outcome::Indeterminate, "ATTRIBUTE_MISSING:country"),
        (
            |it| of(it).country = Some("UK".to_owned()),
            proto::Outcome::Indeterminate,
            "ATTRIBUTE_INVALID:country",
        ),
        (|it| it.offer = "nobody-knows".to_owned(), proto::Outcome::Ineligible, "OFFER_UNKNOWN"),
        (
            |it| {
                it.offer = "oss-12m".to_owned();
                of(it).holding = None;
            },
            proto::Outcome::Indeterminate,
            "ATTRIBUTE_MISSING:holding",
        ),
    ];
    for (change, outcome, expected) in cases {
        let decision = ask(change).await.unwrap();
        assert_eq!((decision.outcome(), reasons(&decision)), (outcome, vec![expected.to_owned()]));
    }
}

#[tokio::test]
async fn without_rules_nothing_is_known_and_health_says_so() {
    let server = Server::empty().await;
    // Not even whether there is an offer to send a notice about.
    for action in [proto::Action::Offer, proto::Action::Notify] {
        let request = proto::CheckEligibilityRequest { action: action.into(), ..check() };
        let decision = server.check(request).await.unwrap();
        assert_eq!(decision.outcome(), proto::Outcome::Indeterminate);
        assert_eq!(reasons(&decision), ["RULES_UNAVAILABLE"]);
        assert_eq!((decision.revision, decision.token.as_str()), (0, ""));
    }
    for (service, serving) in [
        ("", false),
        ("offergate.v1.EligibilityService", false),
        ("offergate.v1.RuleService", true),
    ] {
        assert_eq!(server.client.is_serving(service).await.unwrap(), serving, "{service}");
    }
    let unknown = server.client.is_serving("nobody").await.unwrap_err();
    assert_eq!(unknown.kind, ErrorKind::NotFound);
}

#[tokio::test]
async fn health_turns_green_with_rules_and_red_again_before_the_end() {
    let server = Server::start().await;
    for service in ["", "offergate.v1.EligibilityService", "offergate.v1.CatalogService"] {
        assert!(server.client.is_serving(service).await.unwrap(), "{service}");
    }
    server.switch.turn_off();
    for service in ["", "offergate.v1.EligibilityService", "offergate.v1.CatalogService"] {
        assert!(!server.client.is_serving(service).await.unwrap(), "{service}");
    }
}

#[tokio::test]
async fn a_token_that_these_rules_do_not_reach_takes_back_every_yes() {
    let server = Server::start().await;
    let ask = |token: String| {
        let requirement = Some(proto::consistency::Requirement::AtLeastToken(token));
        server.check(proto::CheckEligibilityRequest {
            offer: "oss-12m".to_owned(),
            consistency: Some(proto::Consistency { requirement }),
            ..check()
        })
    };
    let own = server.check(check()).await.unwrap().token;
    let [lineage, _, chain] = own.split('.').collect::<Vec<_>>()[..] else { panic!("{own}") };
    let other_lineage = "f".repeat(32);
    for (token, expected) in [
        (own.clone(), "NO_RULE_APPLIES"),
        (format!("{lineage}.0.{}", "0".repeat(16)), "NO_RULE_APPLIES"),
        (format!("{lineage}.3.{chain}"), "RULES_STALE"),
        (format!("{lineage}.2.{}", "0".repeat(16)), "RULES_STALE"),
        (format!("{other_lineage}.2.{chain}"), "RULES_STALE"),
    ] {
        assert_eq!(reasons(&ask(token.clone()).await.unwrap()), [expected], "{token}");
    }
    for refused in ["", "1", &own.to_uppercase(), &format!("{own} "), &"x".repeat(10_000)] {
        let error = ask((*refused).to_owned()).await.unwrap_err();
        assert_eq!(paths(&error), ["consistency.at_least_token"]);
    }
}

#[tokio::test]
async fn a_request_that_cannot_be_asked_names_every_field() {
    let server = Server::start().await;
    let error = server.check(proto::CheckEligibilityRequest::default()).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Invalid);
    assert_eq!(error.reason.as_deref(), Some("INVALID_REQUEST"));
    assert_eq!(paths(&error), ["customer.id", "offer", "action"]);
}

#[tokio::test]
async fn a_bad_item_of_a_batch_gets_its_own_error_and_leaves_the_others_alone() {
    let server = Server::start().await;
    let bad = proto::CheckEligibilityRequest { action: 999, ..check() };
    let unknown = proto::CheckEligibilityRequest { offer: "gone".to_owned(), ..check() };
    let requests = vec![check(), bad, unknown, check()];
    let request = proto::BatchCheckEligibilityRequest { requests };
    let results = server.client.batch_check_eligibility(request).await.unwrap().results;
    let outcomes: Vec<_> = results
        .iter()
        .map(|result| match result.result.as_ref().unwrap() {
            Item::Decision(decision) => reasons(decision).join(","),
            Item::Error(error) => format!("{} {}", error.code, error.fields[0].field),
        })
        .collect();
    assert_eq!(outcomes, ["VENDOR_SUSPENDED", "3 action", "OFFER_UNKNOWN", "VENDOR_SUSPENDED"]);

    for count in [0, 1001] {
        let requests = vec![proto::CheckEligibilityRequest::default(); count];
        let request = proto::BatchCheckEligibilityRequest { requests };
        let error = server.client.batch_check_eligibility(request).await.unwrap_err();
        assert_eq!(paths(&error), ["requests"], "{count}");
    }
    let requests = vec![check(); 1000];
    let request = proto::BatchCheckEligibilityRequest { requests };
    assert_eq!(server.client.batch_check_eligibility(request).await.unwrap().results.len(), 1000);
}

#[tokio::test]
async fn a_stream_answers_in_order_and_each_answer_rests_on_the_newest_rules() {
    let server = Server::start().await;
    let (send, receive) = tokio::sync::mpsc::channel(4);
    let requests = tokio_stream::wrappers::ReceiverStream::new(receive);
    let mut answers = server.client.stream_eligibility(requests).await.unwrap();
    let message = |correlation_id: &str, offer: &str| proto::StreamEligibilityRequest {
        correlation_id: correlation_id.to_owned(),
        request: Some(proto::CheckEligibilityRequest { offer: offer.to_owned(), ..check() }),
    };
    let mut ask = async |message: proto::StreamEligibilityRequest| {
        send.send(message).await.unwrap();
        let answer = answers.next().await.unwrap().unwrap();
        let Some(Item::Decision(decision)) = answer.result.unwrap().result else {
            return (answer.correlation_id, "error".to_owned());
        };
        (answer.correlation_id, reasons(&decision).join(","))
    };
    let pair = |id: &str, reason: &str| (id.to_owned(), reason.to_owned());
    assert_eq!(ask(message("a", "oss-12m")).await, pair("a", "NO_RULE_APPLIES"));
    let create = super::server::create(super::server::suspension("oss-2017"), "r-1");
    server.client.create_suspension_by_two(create).await.unwrap();
    assert_eq!(ask(message("b", "oss-12m")).await, pair("b", "PRODUCT_SUSPENDED"));
    assert_eq!(ask(message("c", "")).await, pair("c", "error"));
    assert_eq!(ask(message("d", "kis-12m")).await, pair("d", "VENDOR_SUSPENDED"));
    let (fits, too_long) = ("e".repeat(256), "e".repeat(257));
    assert_eq!(ask(message(&fits, "kis-12m")).await, pair(&fits, "VENDOR_SUSPENDED"));
    assert_eq!(ask(message(&too_long, "kis-12m")).await, pair("", "error"), "not sent back");
}

#[tokio::test]
async fn all_offers_of_a_customer_are_listed_and_what_is_not_listed_is_not_made_up() {
    let server = Server::start().await;
    let asked = proto::ListEligibleOffersRequest {
        customer: Some(proto::Customer { holding: None, ..customer() }),
        action: proto::Action::Offer.into(),
        include_others: true,
        ..<_>::default()
    };
    let listed = server.client.list_eligible_offers(asked.clone()).await.unwrap();
    assert_eq!(listed.eligible, []);
    let of = |found: &proto::OfferDecision| {
        (found.offer.clone(), reasons(found.decision.as_ref().unwrap()).join(","))
    };
    let others: Vec<_> = listed.others.iter().map(of).collect();
    assert_eq!(
        others,
        [
            ("kis-12m".to_owned(), "VENDOR_SUSPENDED".to_owned()),
            ("oss-12m".to_owned(), "ATTRIBUTE_MISSING:holding".to_owned()),
        ]
    );
    let complete =
        proto::ListEligibleOffersRequest { holdings_are_complete: true, ..asked.clone() };
    let listed = server.client.list_eligible_offers(complete).await.unwrap();
    assert_eq!(
        listed.eligible.iter().map(|it| it.title.as_str()).collect::<Vec<_>>(),
        ["12 other months"]
    );

    let with_holding = proto::ListEligibleOffersRequest { customer: Some(customer()), ..asked };
    let error = server.client.list_eligible_offers(with_holding).await.unwrap_err();
    assert_eq!(paths(&error), ["customer.holding"]);
}

#[tokio::test]
async fn an_explanation_shows_each_step_for_any_instant_revision_or_draft() {
    let server = Server::start().await;
    let asked = proto::ExplainEligibilityRequest { request: Some(check()), ..<_>::default() };
    let explained = server.client.explain_eligibility(asked.clone()).await.unwrap();
    let trace = &explained.suspensions[0];
    assert_eq!((trace.id.as_str(), trace.effect()), ("barclays-2017", proto::Effect::Denies));
    let names: Vec<_> =
        trace.dimensions.iter().map(|it| (it.name.as_str(), it.r#match())).collect();
    assert!(names.contains(&("countries", proto::Match::Yes)), "{names:?}");
    assert!(explained.sentences[0].starts_with("No:"), "{:?}", explained.sentences);
    assert!(explained.criteria.iter().any(|it| it.name == "requires"));

    let before = Some(prost_types::Timestamp { seconds: 1_512_086_400, nanos: 0 });
    let earlier = proto::ExplainEligibilityRequest { as_of: before, ..asked.clone() };
    let explained = server.client.explain_eligibility(earlier).await.unwrap();
    assert_eq!(reasons(&explained.decision.unwrap()), ["NO_RULE_APPLIES"]);
    assert_eq!(explained.suspensions[0].effect(), proto::Effect::NotInForce);

    use proto::explain_eligibility_request::Rules;
    let draft = super::server::RULES.replace("countries: [GB], from", "countries: [IE], from");
    let with = |rules| proto::ExplainEligibilityRequest { rules: Some(rules), ..asked.clone() };
    let drafted = with(Rules::Draft(document(&draft)));
    let explained = server.client.explain_eligibility(drafted).await.unwrap();
    let decision = explained.decision.unwrap();
    assert_eq!(
        (reasons(&decision).join(","), decision.token.as_str()),
        ("NO_RULE_APPLIES".to_owned(), "")
    );

    let gone = server.client.explain_eligibility(with(Rules::Revision(9))).await.unwrap_err();
    assert_eq!(gone.kind, ErrorKind::NotFound);
    let broken = with(Rules::Draft(document("vendors: {a: {nam: A}}")));
    let error = server.client.explain_eligibility(broken).await.unwrap_err();
    assert!(error.fields[0].1.starts_with("rules.yaml:1:"), "{error}");
    let mut nested = asked;
    nested.request.as_mut().unwrap().action = 0;
    nested.as_of = Some(prost_types::Timestamp { seconds: 0, nanos: -1 });
    let error = server.client.explain_eligibility(nested).await.unwrap_err();
    assert_eq!(paths(&error), ["request.action", "as_of"]);
}

#[tokio::test]
async fn an_instant_that_cannot_be_held_is_refused_and_not_decided_as_another() {
    let server = Server::start().await;
    let last = proto::ExplainEligibilityRequest {
        request: Some(check()),
        as_of: Some(prost_types::Timestamp { seconds: 253_402_207_200, nanos: 0 }),
        ..<_>::default()
    };
    assert!(server.client.explain_eligibility(last.clone()).await.is_ok());
    let never = prost_types::Timestamp { seconds: 253_402_300_799, nanos: 0 };
    let later = proto::ExplainEligibilityRequest { as_of: Some(never), ..last };
    let error = server.client.explain_eligibility(later).await.unwrap_err();
    assert_eq!(paths(&error), ["as_of"]);
}
