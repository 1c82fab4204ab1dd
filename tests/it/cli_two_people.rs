//! Two people at the command line: what one proposes the other one decides on.

use crate::server::{Server, in_repository};
use serde_json::{Value, json};
use std::process::Output;
use tempfile::TempDir;

const RECORD: [&str; 4] = ["--reason", "Review", "--ticket", "CHG-1"];

fn run(server: &Server, arguments: &[&str]) -> Output {
    server.offergate().args(arguments).output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// What a customer who is new to it is told of the Avast offer.
fn says(server: &Server) -> Value {
    let check = ["check", "--customer=c-1", "--offer=avast-12m", "--action=OFFER", "--country=GB"];
    let about = ["--holding=NONE", "--date-of-birth=1985-04-12", "--channel=WEB"];
    let more = ["--attribute=online_banking=true"];
    server.json(&[&check[..], &about, &more].concat())["outcome"].clone()
}

#[test]
fn what_one_person_proposes_is_shown_to_another_one_who_approves_just_that() {
    let server = Server::with_barclays();
    let suspend = ["suspend", "offer", "avast-12m", "--id=pause", "--wait"];
    let proposed = run(&server, &[&suspend[..], &RECORD].concat());
    assert!(proposed.status.success(), "{}", stderr(&proposed));
    let told = stdout(&proposed);
    let expected =
        "proposed as change 3 (TIGHTENING); another person approves it: offergate approve 3";
    assert!(told.contains(expected) && told.contains("PROPOSED"), "{told}");
    assert!(stderr(&proposed).contains("--wait waits for nothing here"), "{}", stderr(&proposed));
    assert_eq!(says(&server), "ELIGIBLE");

    // Nobody is told that it is done.
    let awaited = run(&server, &["replicas", "await", "--revision=3"]);
    assert_eq!(awaited.status.code(), Some(4), "{}", stderr(&awaited));
    assert!(stderr(&awaited).contains("change 3 is only proposed"), "{}", stderr(&awaited));

    let own = run(&server, &["approve", "3"]);
    assert_eq!(own.status.code(), Some(1));
    assert!(stderr(&own).contains("the same hand"), "{}", stderr(&own));
    let waiting = server.json(&["changes"]);
    assert_eq!((&waiting[0]["id"], &waiting[0]["state"]), (&json!(3), &json!("PROPOSED")));
    assert_eq!(server.json(&["status"])["waiting"], waiting);

    let approved = run(&server, &["approve", "3", "--author=zoe", "--wait"]);
    assert!(approved.status.success(), "{}", stderr(&approved));
    assert!(stdout(&approved).starts_with("change 3 is in force\n"), "{}", stdout(&approved));
    let said = stderr(&approved);
    assert!(said.contains("+ suspensions pause") && said.contains("touches 1 offer"), "{said}");
    assert!(said.contains("enforced on this server"), "{said}");
    assert_eq!(says(&server), "INELIGIBLE");
    assert_eq!(server.json(&["changes"]), json!([]));
    let again = run(&server, &["approve", "3", "--author=zoe"]);
    assert_eq!(again.status.code(), Some(4), "{}", stderr(&again));
    assert!(stderr(&again).contains("approved by revision 5"), "{}", stderr(&again));
    assert_eq!(run(&server, &["approve", "99", "--author=zoe"]).status.code(), Some(3));
}

#[test]
fn a_proposal_is_rejected_or_taken_back_and_the_history_of_the_suspension_tells_all_of_it() {
    let server = Server::with_barclays();
    for (author, act) in [("--author=zoe", "REJECT"), ("--author=tester", "WITHDRAW")] {
        let lift = server.json(&[&["lift", "barclays-2017"][..], &RECORD].concat());
        assert_eq!(lift["proposal"]["direction"], "LOOSENING");
        let id = lift["proposal"]["id"].to_string();
        let rejected = server.json(&["reject", &id, author, "--reason=Not now"]);
        assert_eq!((&rejected["act"], &rejected["reason"]), (&json!(act), &json!("Not now")));
    }
    let history = server.json(&["history", "suspension", "barclays-2017"]);
    let records = history["revisions"].as_array().unwrap();
    let acts: Vec<_> = records.iter().map(|it| it["act"].clone()).collect();
    assert_eq!(acts, ["PROPOSE", "APPROVE", "PROPOSE", "REJECT", "PROPOSE", "WITHDRAW"]);
    assert_eq!(server.json(&["status"])["in_force"][0]["id"], "barclays-2017");
    assert_eq!(run(&server, &["history", "suspension", "gone"]).status.code(), Some(3));
    let lift = server.json(&[&["lift", "barclays-2017"][..], &RECORD].concat());
    let id = lift["proposal"]["id"].to_string();
    let rejected = run(&server, &["reject", &id, "--author=zoe", "--reason=Not now"]);
    assert_eq!(stdout(&rejected).lines().next_back().unwrap().split("  ").last(), Some("Not now"));
}

#[test]
fn in_an_emergency_one_person_suspends_at_once_and_another_one_ratifies() {
    let server = Server::with_barclays();
    let suspend = ["suspend", "offer", "avast-12m", "--id=now", "--emergency", "--wait"];
    let made = run(&server, &[&suspend[..], &RECORD].concat());
    assert!(made.status.success(), "{}", stderr(&made));
    assert!(stdout(&made).contains("ratifies it by "), "{}", stdout(&made));
    assert!(stderr(&made).contains("enforced on this server"), "{}", stderr(&made));
    assert_eq!(says(&server), "INELIGIBLE");
    assert_eq!(server.json(&["status"])["waiting"][0]["state"], "UNRATIFIED");
    assert_eq!(run(&server, &["ratify", "3"]).status.code(), Some(1), "the same person");
    let ratified = server.json(&["ratify", "3", "--author=zoe", "--reason=Seen"]);
    assert_eq!((&ratified["act"], &ratified["approver"]), (&json!("RATIFY"), &json!("zoe")));
    assert_eq!(server.json(&["status"])["waiting"], json!([]));
    assert_eq!(says(&server), "INELIGIBLE");
}

#[test]
fn kill_9_between_a_proposal_and_its_approval_loses_nothing() {
    let folder = TempDir::new().unwrap();
    let store = folder.path().join("rules.db");
    let mut server = Server::start_on(&store, &[]);
    server.by_two(&["apply", in_repository("deploy/demo/barclays.rules.yaml").to_str().unwrap()]);
    let suspend = ["suspend", "offer", "avast-12m", "--id=pause"];
    let proposed = server.json(&[&suspend[..], &RECORD].concat());
    server.kill();
    let mut server = Server::start_on(&store, &[]);
    let waiting = server.json(&["changes"]);
    assert_eq!(waiting[0]["digest"], proposed["proposal"]["digest"]);
    assert_eq!(says(&server), "ELIGIBLE");
    server.json(&["approve", "3", "--author=zoe"]);
    server.kill();
    let server = Server::start_on(&store, &[]);
    assert_eq!(says(&server), "INELIGIBLE");
    assert_eq!(server.json(&["changes"]), json!([]));
}
