//! Reading checks: what is refused, with which path, and what is decided instead.

use super::check_request;
use super::request::{MOST_ATTRIBUTES, consistency};
use super::{FieldErrors, proto};
use crate::domain::{Action, Attribute, AttributeValue, Consistency, HoldingStatus};
use prost_types::value::Kind;
use prost_types::{ListValue, Timestamp, Value};

fn check() -> proto::CheckEligibilityRequest {
    proto::CheckEligibilityRequest {
        customer: Some(proto::Customer { id: "c-1".to_owned(), ..Default::default() }),
        offer: "kis-12m".to_owned(),
        action: proto::Action::Offer.into(),
        ..Default::default()
    }
}

fn check_of(customer: proto::Customer) -> proto::CheckEligibilityRequest {
    let customer = proto::Customer { id: "c-1".to_owned(), ..customer };
    proto::CheckEligibilityRequest { customer: Some(customer), ..check() }
}

fn paths(request: &proto::CheckEligibilityRequest) -> Vec<String> {
    let errors = check_request(request).err().unwrap_or_default();
    errors.iter().map(|error| error.path.clone()).collect()
}

#[test]
fn what_is_not_said_is_missing_and_nothing_is_made_up() {
    let request = check();
    let read = check_request(&request).unwrap();
    assert_eq!(read.action, Action::Offer);
    assert_eq!(read.channel, Attribute::Missing);
    assert_eq!(read.customer.relationship, Attribute::Missing);
    assert_eq!(read.customer.country, Attribute::Missing);
    assert_eq!(read.customer.us_person, Attribute::Missing);
    assert_eq!(read.customer.holding, Attribute::Missing);

    let request = check_of(proto::Customer { holding: Some(<_>::default()), ..<_>::default() });
    let read = check_request(&request).unwrap();
    assert_eq!(read.customer.holding.known().unwrap().status, Attribute::Missing);
}

#[test]
fn every_field_that_makes_it_impossible_to_ask_is_named() {
    let empty = proto::CheckEligibilityRequest::default();
    assert_eq!(paths(&empty), ["customer.id", "offer", "action"]);

    for offer in ["", "a b", "a.b", "kаspersky", &"x".repeat(65)] {
        let request = proto::CheckEligibilityRequest { offer: offer.to_owned(), ..check() };
        assert_eq!(paths(&request), ["offer"], "{offer}");
    }
    for action in [-1, 0, 8, 999, i32::MAX, i32::MIN] {
        let request = proto::CheckEligibilityRequest { action, ..check() };
        assert_eq!(paths(&request), ["action"], "{action}");
    }
    let long = "x".repeat(64 * 1024);
    for id in ["", "a\0", "a\n", "\u{202e}a", "\u{feff}a", "a ", " a", &long] {
        let mut request = check();
        request.customer = Some(proto::Customer { id: id.to_owned(), ..<_>::default() });
        assert_eq!(paths(&request), ["customer.id"], "{id:?}");
    }
    let request = check_of(proto::Customer {
        relationship: 3,
        holding: Some(proto::Holding { status: 999, ..<_>::default() }),
        holdings: [("kis".to_owned(), proto::Holding { status: -1, ..<_>::default() })].into(),
        ..<_>::default()
    });
    assert_eq!(
        paths(&request),
        ["customer.relationship", "customer.holding.status", "customer.holdings[\"kis\"].status"]
    );
}

#[test]
fn text_that_is_too_long_or_too_much_is_refused_and_not_repeated_in_the_error() {
    let long = "secret".repeat(1000);
    let request = check_of(proto::Customer {
        country: Some(long.clone()),
        segment: Some(long.clone()),
        date_of_birth: Some(long.clone()),
        holding: Some(proto::Holding { covered_by: Some(long.clone()), ..<_>::default() }),
        holdings: [(long.clone(), <_>::default())].into(),
        attributes: [(long.clone(), Value { kind: Some(Kind::StringValue(long)) })].into(),
        ..<_>::default()
    });
    let errors: FieldErrors = check_request(&request).unwrap_err();
    assert_eq!(
        paths(&request),
        [
            "customer.country",
            "customer.date_of_birth",
            "customer.segment",
            "customer.holding.covered_by",
            "customer.holdings",
            "customer.attributes",
            "customer.attributes",
        ]
    );
    assert!(!errors.to_string().contains("secret"));

    let number = |_| Value { kind: Some(Kind::NumberValue(1.0)) };
    let many = |count: usize| (0..count).map(|place| (place.to_string(), number(place))).collect();
    for (count, allowed) in [(MOST_ATTRIBUTES, true), (MOST_ATTRIBUTES + 1, false)] {
        let request = check_of(proto::Customer { attributes: many(count), ..<_>::default() });
        assert_eq!(check_request(&request).is_ok(), allowed);
    }
}

#[test]
fn what_was_said_but_cannot_be_read_is_decided_and_never_dropped() {
    for country in ["UK", "gb", "", "GBR"] {
        let request = check_of(proto::Customer { country: Some(country.into()), ..<_>::default() });
        assert_eq!(check_request(&request).unwrap().customer.country, Attribute::Invalid);
    }
    for born in ["", "1990", "1990-13-01", "1990-02-30", "19900101", "1990-01-01T00:00", "+990-1-1"]
    {
        let given = Some(born.to_owned());
        let request = check_of(proto::Customer { date_of_birth: given, ..<_>::default() });
        let read = check_request(&request).unwrap();
        assert_eq!(read.customer.date_of_birth, Attribute::Invalid, "{born}");
    }
    for (seconds, nanos) in [(0, 2_000_000_000), (0, -1), (i64::MIN, 0), (253_402_300_800, 0)] {
        let instant = Some(Timestamp { seconds, nanos });
        let request = check_of(proto::Customer {
            holding: Some(proto::Holding {
                status: proto::HoldingStatus::Active.into(),
                accepted_at: instant,
                term_end: instant,
                covered_by: Some("\u{200b}".to_owned()),
                unit_count: Some(0),
            }),
            ..<_>::default()
        });
        let holding = check_request(&request).unwrap().customer.holding.known().unwrap();
        assert_eq!(holding.status, Attribute::Known(HoldingStatus::Active));
        assert_eq!(holding.accepted_at, Attribute::Invalid);
        assert_eq!(holding.term_end, Attribute::Invalid);
        assert_eq!(holding.covered_by, Attribute::Invalid);
        assert_eq!(holding.unit_count, Attribute::Known(0));
    }
    for kind in [
        None,
        Some(Kind::NullValue(0)),
        Some(Kind::NumberValue(f64::NAN)),
        Some(Kind::NumberValue(f64::INFINITY)),
        Some(Kind::ListValue(ListValue::default())),
        Some(Kind::StructValue(<_>::default())),
    ] {
        let attributes = [("a".to_owned(), Value { kind })].into();
        let request = check_of(proto::Customer { attributes, ..<_>::default() });
        let read = check_request(&request).unwrap();
        assert_eq!(read.customer.attribute("a"), Some(AttributeValue::Invalid));
    }
}

#[test]
fn a_consistency_that_is_no_token_is_refused_and_none_means_leased() {
    use proto::consistency::Requirement;
    let read = |requirement| consistency(Some(&proto::Consistency { requirement }));
    assert_eq!(consistency(None), Ok(Consistency::Leased));
    assert_eq!(read(None), Ok(Consistency::Leased));
    assert_eq!(read(Some(Requirement::Strict(false))), Ok(Consistency::Leased));
    assert_eq!(read(Some(Requirement::Strict(true))), Ok(Consistency::Strict));
    let token = "00112233445566778899aabbccddeeff.12.abababababababab";
    let at_least = read(Some(Requirement::AtLeastToken(token.to_owned()))).unwrap();
    assert!(matches!(at_least, Consistency::AtLeast(read) if read.to_string() == token));
    for refused in ["", "12", &"x".repeat(1024 * 1024)] {
        let errors = read(Some(Requirement::AtLeastToken(refused.to_owned()))).unwrap_err();
        assert!(errors.iter().all(|error| error.path == "consistency.at_least_token"));
        assert!(errors.to_string().len() < 200);
    }
}

#[test]
fn nothing_that_a_caller_said_shows_in_debug_output() {
    let request = check_of(proto::Customer { country: Some("GB".into()), ..<_>::default() });
    let shown = format!("{request:?} {:?}", check_request(&request).unwrap());
    assert!(!shown.contains("c-1") && !shown.contains("GB"), "{shown}");
}
