//! The server as clients see it that this project did not write: Python's grpcio with code
//! generated from the protos, and `buf curl`, which learns everything by reflection.
//!
//! The tools are installed below the target folder by `make test`; without them these tests fail
//! and say so, since a test that is left out in silence proves nothing.

use crate::server::{Server, in_repository};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::Command;

/// A tool below the target folder.
pub(crate) fn tool(path: &str) -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    let tool = in_repository("").join(target.unwrap_or_else(|| "target".into())).join("tools");
    let tool = tool.join(path);
    assert!(tool.exists(), "{} is missing: `make test` installs it", tool.display());
    tool
}

#[test]
fn a_generated_python_client_checks_streams_suspends_and_watches() {
    let server = Server::with_barclays();
    let output = Command::new(tool("python/bin/python"))
        .arg(in_repository("tests/tools/client.py"))
        .arg(server.address.trim_start_matches("http://"))
        .arg(in_repository("proto"))
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(told.lines().filter(|line| line.starts_with("ok: ")).count(), 9, "{told}");
}

#[test]
fn buf_curl_learns_the_services_by_reflection_and_checks() {
    let server = Server::with_reflection();
    let curl = |method: &str, data: &str| {
        let output = Command::new(tool("node/node_modules/.bin/buf"))
            .args(["curl", "--protocol", "grpc", "--http2-prior-knowledge", "--data", data])
            .arg(format!("{}/{method}", server.address))
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{method}: {told}");
        serde_json::from_slice::<Value>(&output.stdout).unwrap()
    };
    let request = json!({
        "customer": {
            "id": "c-1", "country": "GB", "dateOfBirth": "1985-04-12",
            "holding": {"status": "HOLDING_STATUS_NONE"},
            "attributes": {"online_banking": true},
        },
        "offer": "kis-12m", "action": "ACTION_OFFER", "channel": "WEB",
    });
    let check = "offergate.v1.EligibilityService/CheckEligibility";
    let answer = curl(check, &request.to_string());
    assert_eq!(answer["decision"]["outcome"], "OUTCOME_INELIGIBLE");
    assert_eq!(answer["decision"]["suspensions"][0]["id"], "barclays-2017");
    let health = curl("grpc.health.v1.Health/Check", "{}");
    assert_eq!(health["status"], "SERVING");
}
