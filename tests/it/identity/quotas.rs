//! The quota that the table of principals gives a service, and a table that is read when somebody says so.

use super::certificates::Authority;
use crate::cli_serve::get;
use crate::server::LIMIT;
use offergate::client::{Client, ClientError};
use offergate::clock::{Clock, SystemClock};
use offergate::wire::proto;

fn check() -> proto::CheckEligibilityRequest {
    proto::CheckEligibilityRequest {
        customer: Some(proto::Customer { id: "c-1".into(), ..<_>::default() }),
        offer: "o".into(),
        action: proto::Action::Offer.into(),
        ..<_>::default()
    }
}

async fn ask(client: &Client) -> Result<(), ClientError> {
    client.check_eligibility(check()).await.map(drop)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_has_the_quota_that_the_table_gives_it_from_the_moment_it_is_read() {
    let authority = Authority::new("ours");
    let server = tokio::task::block_in_place(|| authority.server().start(&[]));
    authority.service("web", &["spiffe://bank.example/bank/web"]);
    let credentials = authority.credentials("web");
    let client = Client::connect_as(&server.address, LIMIT, credentials).await.unwrap();
    let table = "
services:
  /bank/web: {name: web, roles: [caller], quota: {per_second: 1, burst: 100}}
  /bank/viewer: {name: viewer, roles: [reader]}
";
    std::fs::write(authority.path("principals.yaml"), table).unwrap();
    server.signal("HUP");
    // So many that what is owed lasts for as long as the test.
    let batch = || proto::BatchCheckEligibilityRequest { requests: vec![check(); 1000] };
    let start = SystemClock.boot();
    let refused = loop {
        client.batch_check_eligibility(batch()).await.map(drop).unwrap_or_default();
        match ask(&client).await {
            Ok(()) => assert!(SystemClock.boot() - start < LIMIT, "the table was not read"),
            Err(refused) => break refused,
        }
    };
    assert_eq!(refused.reason.as_deref(), Some("QUOTA_EXCEEDED"));
    let page = get(&server.management, "/metrics");
    let is_its = |line: &&str| {
        line.starts_with("offergate_quota_exceeded_total{") && line.contains("caller=\"web\"")
    };
    let counted = page.lines().find(is_its).unwrap_or_else(|| panic!("{page}"));
    assert_ne!(counted.rsplit(' ').next(), Some("0"));
}
