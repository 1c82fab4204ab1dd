//! A server that has no file descriptor left.

use super::{asks, connect, long, now};
use crate::server::{LIMIT, Server};
use offergate::client::{Client, Credentials};
use offergate::wire::proto;
use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};
use std::time::Duration;

/// Lets the process have no more descriptors than it has, and a few.
pub(crate) fn take_descriptors_of(server: &Server, few: u64) {
    let held = std::fs::read_dir(format!("/proc/{}/fd", server.id())).unwrap().count() as u64;
    let pid = Pid::from_raw(server.id().try_into().unwrap());
    let most = Rlimit { current: Some(held + few), ..getrlimit(Resource::Nofile) };
    prlimit(pid, Resource::Nofile, most).unwrap();
}

/// How long the process has had a processor, in ticks of 10 ms.
fn ticks(server: &Server) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", server.id())).unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_without_descriptors_serves_those_that_it_has_does_not_spin_and_recovers() {
    let server = tokio::task::block_in_place(Server::with_barclays);
    let client = Client::connect(&server.address, LIMIT).await.unwrap();
    let check = async || {
        let asked = proto::CheckEligibilityRequest {
            customer: Some(proto::Customer { id: "c-1".into(), ..<_>::default() }),
            offer: "kis-12m".into(),
            action: proto::Action::Offer.into(),
            ..<_>::default()
        };
        client.check_eligibility(asked).await.map(drop)
    };
    check().await.unwrap();
    take_descriptors_of(&server, 5);
    let (_, address) = server.address.split_once("://").unwrap();
    let address = address.parse().unwrap();
    let mut held = Vec::new();
    for _ in 0..100 {
        // The system connects them; nobody accepts those for which there is no descriptor.
        held.push(connect(address).await.unwrap());
    }
    let (until, before) = (now() + long(), ticks(&server));
    let mut asked = 0_u32;
    while now() < until {
        check().await.expect("whoever is there already is served");
        asked += 1;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // A loop that spins takes all the time there is, on each of two threads.
    let took = Duration::from_millis(10 * (ticks(&server) - before));
    assert!(took < long() / 2, "{took:?} of a processor for {asked} checks");
    // A change needs no descriptor that is not there.
    let status = client.get_revision(<_>::default()).await.unwrap();
    assert_eq!(status.revision.unwrap().number, 2);

    // Those who hold on go, or the limit of time sees to it; then everybody is served again.
    drop(held);
    asks(&server.address, &Credentials::default(), 20).await;
}
