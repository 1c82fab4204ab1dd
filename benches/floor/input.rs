//! Writes what the load comparison needs into a folder: two stores, with 10 and with 10,000
//! suspensions, the body of one check, framed as gRPC wants it, that is eligible in both, and batches of a
//! thousand different ones.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a benchmark may panic")]

#[path = "../world/mod.rs"]
mod world;

use offergate::audit::{ChangeKind, NewRecord, Party, RequestId};
use offergate::decision::{Snapshot, decide};
use offergate::domain::{Outcome, Relationship, Revision, RuleChange, RuleEdit, RuleSet};
use offergate::store::RuleStore;
use offergate::store::embedded::EmbeddedStore;
use offergate::wire::proto;
use prost::Message;
use std::path::{Path, PathBuf};
use world::Ask;

const SIZES: [usize; 2] = [10, 10_000];

/// How many checks a batch may have.
const BATCH: usize = 1_000;

fn main() {
    let folder = PathBuf::from(std::env::args().nth(1).unwrap());
    let worlds = SIZES.map(world::rules);
    for (size, rules) in SIZES.iter().zip(&worlds) {
        write_store(&folder.join(format!("{size}.db")), rules);
    }
    let snapshots = worlds.each_ref().map(|rules| Snapshot::compile(rules, Revision(1)).unwrap());
    let asks = world::asks(10_000);
    let eligible = |ask: &&Ask| {
        let request = ask.request();
        let outcome = |snapshot| decide(&request, snapshot, world::now()).outcome;
        snapshots.iter().all(|snapshot| outcome(snapshot) == Outcome::Eligible)
    };
    let ask = asks.iter().find(eligible).unwrap();
    std::fs::write(folder.join("body.bin"), framed(&message(ask))).unwrap();
    for (number, batch) in asks.chunks(BATCH).enumerate() {
        let requests = batch.iter().map(message).collect();
        let batch = framed(&proto::BatchCheckEligibilityRequest { requests });
        std::fs::write(folder.join(format!("batch-{number:02}.bin")), batch).unwrap();
    }
}

/// A message as gRPC frames it.
fn framed(message: &impl Message) -> Vec<u8> {
    let message = message.encode_to_vec();
    let mut body = vec![0];
    body.extend(u32::try_from(message.len()).unwrap().to_be_bytes());
    body.extend(message);
    body
}

fn write_store(path: &Path, rules: &RuleSet) {
    let vendors = rules.vendors.values().cloned().map(RuleEdit::PutVendor);
    let products = rules.products.values().cloned().map(RuleEdit::PutProduct);
    let offers = rules.offers.values().cloned().map(RuleEdit::PutOffer);
    let suspensions = rules.suspensions.values().cloned().map(RuleEdit::PutSuspension);
    let edits = vendors.chain(products).chain(offers).chain(suspensions).collect();
    let (request_id, author) = (RequestId::parse("bench").unwrap(), Party::unverified("bench"));
    let (kind, change) = (ChangeKind::ApplyRules, RuleChange { edits });
    let content = NewRecord::made(request_id, kind, author, world::now(), change);
    let store = EmbeddedStore::open(path).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(store.apply(&content, Revision(0))).unwrap();
}

/// The same question as [`Ask::request`], as clients send it.
fn message(ask: &Ask) -> proto::CheckEligibilityRequest {
    let request = ask.request();
    let relationship = match ask.relationship {
        Relationship::New => proto::Relationship::New,
        Relationship::Existing => proto::Relationship::Existing,
    };
    let none =
        proto::Holding { status: proto::HoldingStatus::None.into(), ..proto::Holding::default() };
    let attributes = ask.attributes().map(|(name, value)| {
        let kind = Some(prost_types::value::Kind::BoolValue(value));
        (name.to_owned(), prost_types::Value { kind })
    });
    proto::CheckEligibilityRequest {
        customer: Some(proto::Customer {
            id: request.customer.id.to_owned(),
            relationship: relationship.into(),
            country: Some(ask.country.to_owned()),
            segment: Some(ask.segment.to_owned()),
            us_person: Some(false),
            vulnerable: Some(false),
            holding: Some(none),
            attributes: attributes.collect(),
            ..proto::Customer::default()
        }),
        offer: ask.offer.clone(),
        action: proto::Action::Offer.into(),
        channel: Some(ask.channel.to_owned()),
        device: Some("DESKTOP".to_owned()),
        ..proto::CheckEligibilityRequest::default()
    }
}
