//! The short way from wire bytes to a check, and from a decision to wire bytes, equals the long one.

use crate::random::{self, Dice};
use offergate::decision::{Snapshot, decide};
use offergate::domain::{Advisory, AdvisoryStatus, CheckRequest, CustomerMessage, Force, Revision};
use offergate::wire::decision::Evidence;
use offergate::wire::{self, hot, proto};
use prost::Message;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// The attributes and holdings in one order, since a map has none.
fn in_order(mut request: CheckRequest<'_>) -> CheckRequest<'_> {
    request.customer.attributes.sort_by_key(|(name, _)| *name);
    request.customer.holdings.sort_by_key(|(product, _)| *product);
    request
}

fn text(dice: &mut Dice, usual: &[&str]) -> String {
    match dice.below(60) {
        0 => String::new(),
        1 => "x".repeat(dice.below(1_500)),
        2 => "Zoë \u{202e}".into(),
        _ => (*dice.one(usual)).into(),
    }
}

/// One of an enum's numbers, or now and then none of them.
fn number(dice: &mut Dice, last: i32) -> i32 {
    if dice.chance(3) { *dice.one(&[-1, 0, 999]) } else { 1 + dice.below(last as usize) as i32 }
}

fn timestamp(dice: &mut Dice) -> prost_types::Timestamp {
    match dice.below(8) {
        0 => prost_types::Timestamp { seconds: i64::MIN, nanos: 0 },
        1 => prost_types::Timestamp { seconds: -5, nanos: 2_000_000_000 },
        2 => prost_types::Timestamp { seconds: -5, nanos: -1 },
        _ => prost_types::Timestamp { seconds: dice.below(1 << 31) as i64, nanos: 5 },
    }
}

fn holding(dice: &mut Dice) -> proto::Holding {
    proto::Holding {
        status: number(dice, 5),
        accepted_at: dice.maybe(40, timestamp),
        term_end: dice.maybe(40, timestamp),
        covered_by: dice.maybe(20, |dice| text(dice, &["c-9"])),
        unit_count: dice.maybe(30, |dice| dice.next() as u32),
    }
}

fn value(dice: &mut Dice) -> prost_types::Value {
    use prost_types::value::Kind;
    let kind = match dice.below(40) {
        0 => None,
        1 => Some(Kind::NullValue(0)),
        2 => Some(Kind::ListValue(prost_types::ListValue::default())),
        3 => Some(Kind::NumberValue(*dice.one(&[0.0, -1.5, f64::NAN, f64::INFINITY]))),
        4 => Some(Kind::StringValue(text(dice, &["gold"]))),
        _ => Some(Kind::BoolValue(dice.chance(50))),
    };
    prost_types::Value { kind }
}

fn message(dice: &mut Dice) -> proto::CheckEligibilityRequest {
    use proto::consistency::Requirement;
    let names = ["online_banking", "paperless", "vip", "tier"];
    let customer = proto::Customer {
        id: text(dice, &["c-1", "c-2", "0123456789"]),
        relationship: number(dice, 2),
        country: dice.maybe(80, |dice| text(dice, &["GB", "IE", "UK"])),
        segment: dice.maybe(80, |dice| text(dice, &["RETAIL"])),
        us_person: dice.maybe(50, |dice| dice.chance(50)),
        date_of_birth: dice.maybe(50, |dice| text(dice, &["1990-01-31", "1990-1-31", "soon"])),
        vulnerable: dice.maybe(50, |dice| dice.chance(50)),
        holding: dice.maybe(70, holding),
        attributes: (0..dice.below(4)).map(|_| ((*dice.one(&names)).into(), value(dice))).collect(),
        holdings: (0..dice.below(3)).map(|_| (text(dice, &["p0", "p1"]), holding(dice))).collect(),
    };
    proto::CheckEligibilityRequest {
        customer: dice.maybe(95, |_| customer),
        offer: text(dice, &["o0", "o1"]),
        action: number(dice, 7),
        channel: dice.maybe(50, |dice| text(dice, &["WEB"])),
        device: dice.maybe(50, |dice| text(dice, &["MOBILE"])),
        consistency: dice.maybe(30, |dice| proto::Consistency {
            requirement: match dice.below(4) {
                0 => None,
                1 => Some(Requirement::Strict(dice.chance(50))),
                2 => Some(Requirement::AtLeastToken(format!(
                    "{}.7.{}",
                    "ab".repeat(16),
                    "0f".repeat(8)
                ))),
                _ => Some(Requirement::AtLeastToken("no token".into())),
            },
        }),
    }
}

#[test]
fn a_check_read_the_short_way_is_the_check_that_was_sent() {
    let mut short = 0;
    let rules = random::rules(&mut Dice::new(7));
    let snapshot = Snapshot::compile(&rules, Revision(1)).unwrap();
    for seed in 0..random::cases(20_000) as u64 {
        let mut dice = Dice::new(seed ^ 0x07);
        let mut bytes = message(&mut dice).encode_to_vec();
        // Every third message is damaged: flipped, cut, doubled or with something inserted.
        if seed % 3 == 0 && !bytes.is_empty() {
            let place = dice.below(bytes.len());
            match dice.below(5) {
                0 => bytes[place] ^= 1 << dice.below(8),
                1 => bytes.truncate(place),
                2 => bytes.extend_from_within(..),
                3 => bytes.insert(place, dice.next() as u8),
                _ => bytes[place] = dice.next() as u8,
            }
        }
        let message = proto::CheckEligibilityRequest::decode(&*bytes);
        // Whatever can be asked at all can be decided.
        if let Some(asked) = message.as_ref().ok().and_then(|it| wire::check_request(it).ok()) {
            let decision = decide(&asked, &snapshot, dice.instant());
            assert!(!decision.reasons.is_empty());
        }
        let Some((request, consistency)) = hot::read_check(&bytes) else { continue };
        short += 1;
        // The long way reads whatever the short one does.
        let message = message.as_ref().expect("it decodes");
        let long = wire::check_request(message).expect("it can be asked");
        let required = wire::request::consistency(message.consistency.as_ref());
        assert_eq!(in_order(request), in_order(long), "seed {seed}");
        assert_eq!(consistency, required.expect("it can be met"), "seed {seed}");
    }
    assert!(random::cases(20_000) / 4 < short, "only {short} went the short way");
}

#[test]
fn the_usual_check_goes_the_short_way() {
    let usual = proto::CheckEligibilityRequest {
        customer: Some(proto::Customer {
            id: "c-1".into(),
            relationship: proto::Relationship::Existing.into(),
            country: Some("GB".into()),
            segment: Some("RETAIL".into()),
            us_person: Some(false),
            date_of_birth: Some("1980-05-17".into()),
            vulnerable: Some(false),
            holding: Some(proto::Holding {
                status: proto::HoldingStatus::Active.into(),
                term_end: Some(prost_types::Timestamp { seconds: 1_530_399_600, nanos: 0 }),
                ..Default::default()
            }),
            attributes: BTreeMap::from([("online_banking".into(), true.into())]),
            holdings: BTreeMap::new(),
        }),
        offer: "kis-12m".into(),
        action: proto::Action::Use.into(),
        channel: Some("WEB".into()),
        device: None,
        consistency: None,
    };
    assert!(hot::read_check(&usual.encode_to_vec()).is_some());
}

#[test]
fn an_answer_written_the_short_way_has_the_same_bytes() {
    let advisories = BTreeMap::from_iter(["a-1", "a-2"].map(|id| {
        let advisory = Advisory {
            id: id.parse().unwrap(),
            issuer: "NCSC".into(),
            force: Force::Guidance,
            status: AdvisoryStatus::Active,
            issued: "2017-12-01".parse().unwrap(),
            title: (id == "a-1").then(|| "t".repeat(300)),
            url: (id == "a-2").then(|| "https://www.ncsc.gov.uk/".into()),
        };
        (advisory.id.clone(), Arc::new(advisory))
    }));
    for seed in 0..random::cases(5_000) as u64 {
        let mut dice = Dice::new(seed ^ 0x33);
        let mut rules = random::rules(&mut dice);
        for suspension in rules.suspensions.values_mut() {
            let suspension = Arc::make_mut(suspension);
            suspension.customer_message = match dice.below(3) {
                0 => None,
                1 => Some(CustomerMessage::Text("m".repeat(dice.below(200)))),
                _ => Some(CustomerMessage::ByLanguage(BTreeMap::from([
                    ("en".into(), "Not now".into()),
                    ("cy".into(), String::new()),
                ]))),
            };
            suspension.advisories = ["a-1", "a-2", "a-3"].map(|id| id.parse().unwrap()).into();
        }
        let snapshot = Snapshot::compile(&rules, Revision(seed)).unwrap();
        for round in 0..5 {
            let (request, now) = (random::request(&mut dice), dice.instant());
            let decision = decide(&request, &snapshot, now);
            let ages = [None, Some(Duration::ZERO), Some(Duration::from_millis(7_250))];
            let evidence = Evidence {
                rules_age: ages[round % 3],
                decision_id: "0192d1a3-7b7c-7000-8000-000000000000",
                token: "abc",
                valid_until: dice.instant(),
                advisories: &advisories,
            };
            let mut short = Vec::new();
            hot::write_answer(&decision, &evidence, &mut short);
            let decision = Some(wire::decision::decision(&decision, &evidence));
            let long = proto::CheckEligibilityResponse { decision };
            assert_eq!(short, long.encode_to_vec(), "seed {seed}: {long:?}");
        }
    }
}
