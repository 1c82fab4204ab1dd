//! Any bytes are a check or field errors; what can be asked is decided, and the short way from the
//! wire agrees with the long one.

#![no_main]

use libfuzzer_sys::fuzz_target;
use offergate::decision::{Snapshot, decide};
use offergate::domain::{Revision, Timestamp};
use offergate::wire::{check_request, hot, proto};
use prost::Message;
use std::sync::LazyLock;

static SNAPSHOT: LazyLock<Snapshot> = LazyLock::new(|| {
    let text = include_str!("../../tests/history/precautionary.rules.yaml");
    let rules = offergate::rules::read(text).expect("the example reads");
    Snapshot::compile(&rules, Revision(1)).expect("the example compiles")
});

fuzz_target!(|bytes: &[u8]| {
    let now = Timestamp::from_second(1_512_475_200).expect("in 2017");
    let short = hot::read_check(bytes).map(|(request, _)| decide(&request, &SNAPSHOT, now));
    let message = proto::CheckEligibilityRequest::decode(bytes).ok();
    let long = message.as_ref().and_then(|message| {
        let request = check_request(message).ok()?;
        Some(decide(&request, &SNAPSHOT, now))
    });
    if short.is_some() {
        assert_eq!(short, long);
    }
});
