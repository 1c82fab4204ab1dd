//! The demonstration: what Barclays decided on 2 December 2017, and calls that show it at work.
//!
//! Invariant: it never writes over rules that somebody has applied.

use super::exit::{Exit, Failure};
use crate::audit::RequestId;
use crate::domain::{Principal, Revision};
use crate::service::{Requester, RuleFile, Service};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

/// The rules of the demonstration.
const RULES: &str = include_str!("../../deploy/demo/barclays.rules.yaml");

/// Applies the rules of the demonstration to a store that has none: as everywhere, two people do.
pub(super) async fn apply_rules(service: &Arc<Service>) -> Result<(), Failure> {
    if service.held().is_some_and(|held| held.rules_since != Revision::ZERO) {
        return Ok(());
    }
    let broken = || Failure::new(Exit::Failure, "the demonstration's rules cannot be applied");
    let asks = |request_id, name| {
        Some(Requester {
            request_id: RequestId::parse(request_id)?,
            author: Arc::new(Principal::unverified(name)),
            address: None,
            reason: "The rules of the demonstration".to_owned(),
            ticket: "DEMO-1".to_owned(),
            expected: None,
            validate_only: false,
        })
    };
    let ann = asks("demo-rules", "ann").ok_or_else(broken)?;
    let ben = asks("demo-rules-approved", "ben").ok_or_else(broken)?;
    let file = RuleFile { text: RULES.to_owned(), name: "barclays.rules.yaml".to_owned() };
    let applied = service.apply(ann, file).await;
    let (applied, _) = applied.map_err(|error| broken().because(error.to_string()))?;
    let (id, proposal) = applied.proposal.ok_or_else(broken)?;
    let approved = service.approve(ben, id, proposal.digest).await;
    approved.map_err(|error| broken().because(error.to_string())).map(drop)
}

/// What to try, for whoever has just started the demonstration.
pub(super) fn banner(address: SocketAddr, people: &Path) -> String {
    let people = people.display();
    let program = std::env::args().next().unwrap_or_else(|| "offergate".to_owned());
    let server = match address.port() {
        7443 => String::new(),
        _ => format!(" --server http://{address}"),
    };
    let method = "offergate.v1.EligibilityService/CheckEligibility";
    let new = json("c-1", "NONE", "OFFER");
    let holder = json("c-2", "ACTIVE", "USE");
    format!(
        "
The demonstration: what Barclays decided on 2 December 2017. On loopback only: checks and reads need
no token. Changes are made by two people, ann and ben: commands speak for ann, and with `--as ben` for
ben. Their tokens are in
  {people}

A new customer may not be offered the product any more (INELIGIBLE):
  {program} check{server} --customer c-1 --offer kis-12m --action OFFER \\
    --country GB --holding NONE --date-of-birth 1985-04-12 --attribute online_banking=true
  grpcurl -plaintext -d '{new}' \\
    {address} {method}

A holder keeps using it (ELIGIBLE):
  {program} check{server} --customer c-2 --offer kis-12m --action USE \\
    --country GB --holding ACTIVE
  buf curl --protocol grpc --http2-prior-knowledge -d '{holder}' \\
    http://{address}/{method}

More: `explain` in the place of `check` says why, in words; status, find kaspersky, history;
{program} --help tells all. Ctrl-C stops it.
"
    )
}

/// A check in the JSON of protobuf, for clients that learn the protos by reflection.
fn json(customer: &str, holding: &str, action: &str) -> String {
    format!(
        "{{\"customer\": {{\"id\": \"{customer}\", \"country\": \"GB\", \
         \"dateOfBirth\": \"1985-04-12\", \
         \"holding\": {{\"status\": \"HOLDING_STATUS_{holding}\"}}, \
         \"attributes\": {{\"online_banking\": true}}}}, \
         \"offer\": \"kis-12m\", \"action\": \"ACTION_{action}\"}}"
    )
}
