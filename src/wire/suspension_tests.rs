//! Suspensions and exemptions: written and read back, and what is refused.

use super::suspension::{exemption, state, suspension, write_exemption, write_suspension};
use super::{FieldErrors, proto, time};
use crate::domain::Timestamp;
use std::collections::BTreeMap;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn instant(text: &str) -> Option<prost_types::Timestamp> {
    Some(time::write(at(text)))
}

fn barclays() -> proto::Suspension {
    proto::Suspension {
        id: "barclays-2017".to_owned(),
        target: Some(proto::Target {
            target: Some(proto::target::Target::Vendor("kaspersky-labs-ltd".to_owned())),
        }),
        reach: proto::Reach::Descendants.into(),
        components: proto::ComponentReach::Exclude.into(),
        scope: Some(proto::Scope {
            actions: vec![proto::Action::Offer.into(), proto::Action::Renew.into()],
            countries: vec!["GB".to_owned()],
            person_nexus: vec![proto::PersonNexus::UsPerson.into()],
            segments: vec!["RETAIL".to_owned()],
            holders: vec![proto::Holder::New.into()],
            relationships: vec![proto::Relationship::Existing.into()],
            devices: vec!["DESKTOP".to_owned()],
            channels: vec!["WEB".to_owned()],
            product_classes: vec!["ANTIVIRUS".to_owned()],
            customers: vec!["c-1".to_owned()],
        }),
        from_time: instant("2017-12-02T00:00:00Z"),
        until_time: instant("2018-12-02T00:00:00Z"),
        lifted_at: None,
        grandfather: Some(proto::Grandfather {
            accepted_before: instant("2017-12-02T00:00:00Z"),
            until_time: instant("2018-01-01T00:00:00Z"),
        }),
        review_by: Some("2018-06-01".to_owned()),
        advisories: vec!["ncsc-2017-12-01".to_owned()],
        ticket: "CHG-1001".to_owned(),
        reason: "Precautionary decision".to_owned(),
        customer_message: Some(proto::CustomerMessage {
            text: String::new(),
            by_language: BTreeMap::from([("en".to_owned(), "Not available.".to_owned())]),
        }),
        state: proto::SuspensionState::InForce.into(),
    }
}

fn paths(errors: &FieldErrors) -> Vec<&str> {
    errors.iter().map(|error| error.path.as_str()).collect()
}

#[test]
fn a_suspension_reads_back_as_it_was_written() {
    let now = at("2017-12-05T10:00:00Z");
    let given = barclays();
    assert_eq!(write_suspension(&suspension(&given, now).unwrap(), now), given);

    let starts_now = proto::Suspension { from_time: None, ..given };
    assert_eq!(suspension(&starts_now, now).unwrap().from, now);
}

#[test]
fn a_lift_cannot_be_slipped_in_and_the_safe_side_is_the_default() {
    use crate::domain::{ComponentReach, Reach};
    let given = proto::Suspension {
        lifted_at: instant("2017-12-03T00:00:00Z"),
        reach: 0,
        components: 0,
        ..barclays()
    };
    let read = suspension(&given, at("2017-12-05T10:00:00Z")).unwrap();
    assert_eq!(read.lifted_at, None);
    assert_eq!((read.reach, read.components), (Reach::Group, ComponentReach::Include));
}

#[test]
fn every_bad_field_of_a_suspension_is_named() {
    let now = at("2017-12-05T10:00:00Z");
    let empty = suspension(&proto::Suspension::default(), now).unwrap_err();
    assert_eq!(paths(&empty), ["id", "target", "scope.actions", "ticket", "reason"]);

    let given = proto::Suspension {
        target: Some(proto::Target {
            target: Some(proto::target::Target::Product("no id".to_owned())),
        }),
        scope: Some(proto::Scope {
            actions: vec![1, 0, 999],
            countries: vec!["GB".to_owned(), "UK".to_owned()],
            person_nexus: vec![0],
            segments: vec![String::new()],
            holders: vec![-1],
            relationships: vec![3],
            customers: vec![" ".to_owned()],
            ..<_>::default()
        }),
        from_time: Some(prost_types::Timestamp { seconds: 0, nanos: -1 }),
        review_by: Some("soon".to_owned()),
        reason: "x".repeat(100 * 1024),
        customer_message: Some(<_>::default()),
        ..barclays()
    };
    assert_eq!(
        paths(&suspension(&given, now).unwrap_err()),
        [
            "target.product",
            "scope.actions[1]",
            "scope.actions[2]",
            "scope.countries[1]",
            "scope.person_nexus[0]",
            "scope.segments[0]",
            "scope.holders[0]",
            "scope.relationships[0]",
            "scope.customers[0]",
            "from_time",
            "review_by",
            "reason",
            "customer_message",
        ]
    );

    let product = proto::target::Target::Product("kis".to_owned());
    let given =
        proto::Suspension { target: Some(proto::Target { target: Some(product) }), ..barclays() };
    assert_eq!(paths(&suspension(&given, now).unwrap_err()), ["reach", "components"]);
}

#[test]
fn an_exemption_reads_back_and_always_ends() {
    let now = at("2017-12-05T10:00:00Z");
    let given = proto::Exemption {
        id: "lab".to_owned(),
        waives: vec!["barclays-2017".to_owned()],
        scope: Some(<_>::default()),
        from_time: instant("2017-12-02T00:00:00Z"),
        until_time: instant("2018-12-02T00:00:00Z"),
        ticket: "CHG-1002".to_owned(),
        reason: "Research".to_owned(),
    };
    assert_eq!(write_exemption(&exemption(&given, now).unwrap()), given);
    let endless = proto::Exemption { until_time: None, waives: vec![], ..given };
    assert_eq!(paths(&exemption(&endless, now).unwrap_err()), ["waives", "until_time"]);
}

#[test]
fn a_suspension_is_in_force_up_to_but_not_at_its_end_and_a_lift_counts_at_once() {
    use proto::SuspensionState::{Ended, InForce, Lifted, Scheduled};
    let now = at("2017-12-05T10:00:00Z");
    let read = suspension(&barclays(), now).unwrap();
    for (instant, expected) in [
        ("2017-12-01T23:59:59Z", Scheduled),
        ("2017-12-02T00:00:00Z", InForce),
        ("2018-12-01T23:59:59Z", InForce),
        ("2018-12-02T00:00:00Z", Ended),
    ] {
        assert_eq!(state(&read, at(instant)), expected, "{instant}");
    }
    let lifted = crate::domain::Suspension { lifted_at: Some(now), ..read };
    assert_eq!(state(&lifted, at("2017-12-05T09:59:59Z")), InForce);
    assert_eq!(state(&lifted, now), Lifted);
    assert_eq!(state(&lifted, at("2019-01-01T00:00:00Z")), Lifted);
}
