//! Holds `deploy/clients/service_config.json` to the protos: it speaks of every method once, and has
//! nothing repeated that is not safe to repeat.

use crate::server::in_repository;
use offergate::wire::proto::DESCRIPTORS;
use prost::Message as _;
use prost_types::{FileDescriptorSet, MethodDescriptorProto};
use serde_json::Value;
use std::collections::BTreeMap;

/// Methods that change nothing.
const READS: [&str; 5] = ["Get", "List", "Check", "BatchCheck", "Explain"];
const OTHER_READS: [&str; 7] = [
    "Search",
    "PreviewChange",
    "HistoryOfSuspension",
    "PlanRules",
    "ExportRules",
    "AwaitEnforcement",
    "ReplayDecision",
];

/// How many seconds more than a call needs a deadline in here must be: grpc's C core takes up to two off.
const C_CORE_TAKES: f64 = 2.0;

struct Protos(FileDescriptorSet);

impl Protos {
    /// All methods of ours, as `service/method`.
    fn methods(&self) -> BTreeMap<String, MethodDescriptorProto> {
        let ours = self.0.file.iter().filter(|file| file.package() == "offergate.v1");
        let services = ours.flat_map(|file| &file.service);
        let methods = services.flat_map(|service| {
            let name = service.name();
            service.method.iter().map(move |method| {
                (format!("offergate.v1.{name}/{}", method.name()), method.clone())
            })
        });
        methods.collect()
    }

    fn has_request_id(&self, method: &MethodDescriptorProto) -> bool {
        let name = method.input_type().trim_start_matches(".offergate.v1.");
        let mut messages = self.0.file.iter().flat_map(|file| &file.message_type);
        let message = messages.find(|message| message.name() == name).unwrap();
        message.field.iter().any(|field| field.name() == "request_id")
    }
}

fn config() -> Value {
    let text = std::fs::read_to_string(in_repository("deploy/clients/service_config.json"));
    serde_json::from_str(&text.unwrap()).unwrap()
}

/// What the file says about each method.
fn by_method() -> BTreeMap<String, Value> {
    let mut found = BTreeMap::new();
    for section in config()["methodConfig"].as_array().unwrap() {
        for name in section["name"].as_array().unwrap() {
            let of = |key: &str| name[key].as_str().unwrap().to_owned();
            let method = format!("{}/{}", of("service"), of("method"));
            assert!(found.insert(method.clone(), section.clone()).is_none(), "{method}: twice");
        }
    }
    found
}

fn is_read(method: &str) -> bool {
    READS.iter().any(|start| method.starts_with(start)) || OTHER_READS.contains(&method)
}

#[test]
fn the_service_config_speaks_of_every_method_once() {
    let protos = Protos(FileDescriptorSet::decode(DESCRIPTORS).unwrap());
    let spoken_of: Vec<_> = by_method().into_keys().collect();
    assert_eq!(spoken_of, protos.methods().into_keys().collect::<Vec<_>>());
}

#[test]
fn only_reads_and_changes_with_a_request_id_are_repeated_and_only_where_that_is_safe() {
    let protos = Protos(FileDescriptorSet::decode(DESCRIPTORS).unwrap());
    let methods = protos.methods();
    for (name, section) in by_method() {
        let method = &methods[&name];
        let policy = &section["retryPolicy"];
        if method.client_streaming() || method.server_streaming() {
            assert!(policy.is_null(), "{name}: what was half read cannot be read again");
            continue;
        }
        assert!(is_read(method.name()) || protos.has_request_id(method), "{name}");
        assert_eq!(policy["retryableStatusCodes"], serde_json::json!(["UNAVAILABLE"]), "{name}");
        let attempts = policy["maxAttempts"].as_u64().unwrap();
        assert!((2..=5).contains(&attempts), "{name}: gRPC libraries allow five attempts at most");
    }
}

#[test]
fn no_deadline_in_it_is_so_short_that_a_library_makes_it_nothing() {
    for (name, section) in by_method() {
        if let Some(timeout) = section["timeout"].as_str() {
            let seconds: f64 = timeout.strip_suffix('s').unwrap().parse().unwrap();
            assert!(C_CORE_TAKES < seconds, "{name}: {timeout}");
        }
    }
    let throttling = &config()["retryThrottling"];
    assert!((1..=1000).contains(&throttling["maxTokens"].as_u64().unwrap()));
}
