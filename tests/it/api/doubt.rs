//! A clock that was set back, and a store that somebody else wrote to: neither makes anything
//! eligible, not even after a restart.

use super::server::{Server, check, create, memory, reasons, suspension};
use crate::two_people::TwoPeople as _;
use offergate::domain::{Revision, Timestamp};
use offergate::store::RuleStore;
use offergate::store::embedded::EmbeddedStore;
use offergate::wire::proto;
use std::sync::Arc;

async fn decide(server: &Server, offer: &str) -> proto::Decision {
    let request = proto::CheckEligibilityRequest { offer: offer.to_owned(), ..check() };
    server.check(request).await.unwrap()
}

#[tokio::test]
async fn a_restart_under_a_clock_that_was_set_back_undoes_nothing_that_was_acknowledged() {
    let store = memory();
    let server = Server::start_over(Arc::new(store.clone())).await;
    server.client.create_suspension_by_two(create(suspension("s"), "r-1")).await.unwrap();
    for set_to in ["2017-12-05T11:59:59Z", "2017-12-01T00:00:00Z"] {
        let restarted = Server::over_at(Arc::new(store.clone()), set_to).await;
        assert_eq!(reasons(&decide(&restarted, "oss-12m").await), ["PRODUCT_SUSPENDED"]);
        // No change is dated before one that was made earlier.
        let id = format!("at-{}", &set_to[..10]);
        restarted.client.create_suspension_by_two(create(suspension(&id), &id)).await.unwrap();
    }
    let records = store.records(Revision(0), 10).await.unwrap();
    let dates: Vec<_> = records.iter().map(|record| record.content.at).collect();
    assert!(dates.len() == 8 && dates.is_sorted(), "{dates:?}");
}

#[tokio::test]
async fn a_clock_that_ran_ahead_for_a_while_ends_nothing_early() {
    let server = Server::start().await;
    let for_a_week = proto::Suspension {
        until_time: Some(prost_types::Timestamp { seconds: 1_513_080_000, nanos: 0 }),
        ..suspension("for-a-week")
    };
    server.client.create_suspension_by_two(create(for_a_week, "r-1")).await.unwrap();
    server.clock.set("2018-12-05T12:00:00Z");
    assert_eq!(decide(&server, "oss-12m").await.outcome(), proto::Outcome::Eligible);
    let target = proto::target::Target::Offer("kis-12m".to_owned());
    let elsewhere = proto::Suspension {
        target: Some(proto::Target { target: Some(target) }),
        ..suspension("made-then")
    };
    server.client.create_suspension_by_two(create(elsewhere, "r-2")).await.unwrap();

    server.clock.set("2017-12-05T12:00:10Z");
    let decision = decide(&server, "oss-12m").await;
    assert_eq!(reasons(&decision), ["PRODUCT_SUSPENDED"]);
    // Nobody may keep an answer for a year.
    let limit: Timestamp = "2017-12-05T12:00:15Z".parse().unwrap();
    assert_eq!(decision.valid_until.unwrap().seconds, limit.as_second());

    // A clock that is hardly behind has no say of its own.
    server.clock.set("2018-12-05T11:59:59Z");
    assert_eq!(decide(&server, "oss-12m").await.outcome(), proto::Outcome::Eligible);
}

#[tokio::test]
async fn a_store_that_somebody_else_wrote_to_is_in_doubt_for_good() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rules.db");
    let server = Server::start_over(Arc::new(EmbeddedStore::open(&path).unwrap())).await;
    assert_eq!(decide(&server, "oss-12m").await.outcome(), proto::Outcome::Eligible);
    let outside = rusqlite::Connection::open(&path).unwrap();
    outside.execute_batch("DROP TRIGGER records_never_go").unwrap();
    for request_id in ["r-1", "r-1", "r-2"] {
        let request = create(suspension("s"), request_id);
        let refused = server.client.create_suspension_by_two(request).await.unwrap_err();
        assert_eq!(refused.reason.as_deref(), Some("STORE_CORRUPT"));
        // Long enough for several looks at the store, had there been any.
        tokio::time::pause();
        tokio::time::advance(std::time::Duration::from_secs(2)).await;
        tokio::time::resume();
        assert_eq!(reasons(&decide(&server, "oss-12m").await), ["RULES_STALE"]);
        assert_eq!(reasons(&decide(&server, "kis-12m").await), ["VENDOR_SUSPENDED"]);
        assert!(!server.client.is_serving("").await.unwrap());
    }
}
