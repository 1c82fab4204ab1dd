//! What people may write into a change that is no mistake of the protocol: empty and overlapping times, and
//! text that means something to a browser, a shell or a terminal.

use super::server::{Server, check, create, lift, paths, suspension};
use crate::two_people::TwoPeople as _;
use offergate::client::ErrorKind;
use offergate::wire::proto;

fn instant(text: &str) -> Option<prost_types::Timestamp> {
    let seconds = text.parse::<offergate::domain::Timestamp>().unwrap().as_second();
    Some(prost_types::Timestamp { seconds, nanos: 0 })
}

async fn hits(server: &Server) -> (proto::Outcome, Vec<String>) {
    let request = proto::CheckEligibilityRequest { offer: "oss-12m".to_owned(), ..check() };
    let decision = server.check(request).await.unwrap();
    (decision.outcome(), decision.suspensions.into_iter().map(|it| it.id).collect())
}

#[tokio::test]
async fn a_window_that_holds_no_instant_is_refused() {
    let server = Server::start().await;
    for (from, until) in [
        ("2018-01-01T00:00:00Z", "2018-01-01T00:00:00Z"),
        ("2018-01-01T00:00:00Z", "2017-12-31T23:59:59Z"),
    ] {
        let given = proto::Suspension {
            from_time: instant(from),
            until_time: instant(until),
            ..suspension("s")
        };
        let refused = server.client.create_suspension(create(given, "r")).await.unwrap_err();
        assert_eq!(refused.kind, ErrorKind::Invalid, "{from} {until}: {refused}");
        assert_eq!(paths(&refused), ["suspension.until_time"], "{from} {until}");
    }
}

#[tokio::test]
async fn of_suspensions_that_overlap_all_are_told_and_each_holds_without_the_others() {
    let server = Server::start().await;
    for (id, from, until) in [
        ("a", "2017-12-10T00:00:00Z", "2017-12-20T00:00:00Z"),
        ("b", "2017-12-15T00:00:00Z", "2017-12-25T00:00:00Z"),
    ] {
        let given = proto::Suspension {
            from_time: instant(from),
            until_time: instant(until),
            ..suspension(id)
        };
        server.client.create_suspension_by_two(create(given, id)).await.unwrap();
    }
    for (now, expected) in [
        ("2017-12-09T00:00:00Z", &[][..]),
        ("2017-12-10T00:00:00Z", &["a"]),
        ("2017-12-15T00:00:00Z", &["a", "b"]),
    ] {
        server.clock.set(now);
        let (outcome, ids) = hits(&server).await;
        assert_eq!(ids, expected, "{now}");
        assert_eq!(outcome == proto::Outcome::Ineligible, !expected.is_empty(), "{now}");
    }
    server.client.lift_suspension_by_two(lift("a", "l")).await.unwrap();
    assert_eq!(hits(&server).await, (proto::Outcome::Ineligible, vec!["b".to_owned()]));
    server.clock.set("2017-12-25T00:00:00Z");
    assert_eq!(hits(&server).await.0, proto::Outcome::Eligible, "an end is outside");
}

#[tokio::test]
async fn markup_in_a_ticket_is_text_wherever_it_comes_out_again() {
    let server = Server::start().await;
    for (number, ticket) in [
        "<script>alert(1)</script>",
        "CHG-1'; DROP TABLE records; --",
        "{{7*7}} ${jndi:ldap://x} $(reboot)",
        "=HYPERLINK(\"http://evil.example\")",
        "a: {b: [c]} # d",
    ]
    .into_iter()
    .enumerate()
    {
        let id = format!("s-{number}");
        let given = proto::Suspension { ticket: ticket.to_owned(), ..suspension(&id) };
        let made = server.client.create_suspension_by_two(create(given, &id)).await.unwrap();
        assert_eq!(made.suspension.unwrap().ticket, ticket);
        assert_eq!(made.revision.unwrap().ticket, ticket);
    }
    // What is exported reads back as the same, and plans no change.
    let exported = server.client.export_rules(<_>::default()).await.unwrap();
    let document = exported.document;
    let request = proto::PlanRulesRequest { document };
    let planned = server.client.plan_rules(request).await.unwrap();
    assert_eq!(planned.lines, []);
}
