//! How long changes take to be enforced, as the metrics of the server that wrote them tell it, where nobody waits.

use super::fleet::{Fleet, until};
use crate::operations::scrape;
use crate::server::Server;

/// How many changes, or waits, a page counts: those enforced within so many seconds, or with `+Inf` all.
pub(crate) fn counted(server: &Server, counted_from: &str, within: &str) -> u64 {
    let page = scrape(server);
    let labels = ["reached=\"ENFORCED\"".to_owned(), format!("counted_from=\"{counted_from}\"")];
    let bucket = |line: &&str| {
        line.starts_with("offergate_enforcement_duration_seconds_bucket{")
            && line.contains(&format!("le=\"{within}\""))
            && labels.iter().all(|label| line.contains(label))
    };
    let mut lines = page.lines().filter(bucket);
    let count = lines.next().map_or(0, |line| line.rsplit(' ').next().unwrap().parse().unwrap());
    assert_eq!(lines.next(), None);
    count
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_that_nobody_waits_for_is_measured_until_the_lease_of_a_frozen_replica_is_over() {
    let fleet = Fleet::of(2).await;
    let (one, two) = (fleet.replica(1), fleet.replica(2));
    let all_are_measured = async || {
        // Each change has a record of its proposal, too.
        let changes = fleet.log_length() / 2;
        until(&format!("{changes} changes are measured"), async || {
            (counted(one.process(), "WRITTEN", "+Inf") == changes).then_some(())
        })
        .await;
    };
    one.suspend("first").await.unwrap();
    all_are_measured().await;
    let quick = counted(one.process(), "WRITTEN", "0.5");
    two.freeze();
    one.lift("first").await.unwrap();
    // Longer than half of its lease, though nobody asked.
    all_are_measured().await;
    assert_eq!(counted(one.process(), "WRITTEN", "0.5"), quick);
    two.thaw();
    one.suspend("second").await.unwrap();
    all_are_measured().await;
    assert_eq!(counted(two.process(), "WRITTEN", "+Inf"), 0, "by the server that wrote it alone");
}
