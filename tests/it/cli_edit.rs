//! Edits of proposals at the command line, and the counts that a proposal comes with.

use crate::server::Server;
use offergate::client::Client;
use offergate::wire::proto;
use serde_json::{Value, json};
use std::process::Output;
use std::time::Duration;

const RECORD: [&str; 4] = ["--reason", "Review", "--ticket", "CHG-1"];

fn run(server: &Server, arguments: &[&str]) -> Output {
    server.offergate().args(arguments).output().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn suspension(server: &Server, id: &str) -> Value {
    let found = server.json(&["status"]);
    let found = found["in_force"].as_array().unwrap().clone();
    found.into_iter().find(|it| it["id"] == id).unwrap()
}

#[test]
fn an_edited_proposal_keeps_what_no_flag_names_waits_anew_and_is_approved_by_a_third_hand() {
    let server = Server::with_barclays();
    let suspend = ["suspend", "offer", "avast-12m", "--id=pause", "--country=GB"];
    let before = server.json(&[&suspend[..], &RECORD].concat())["proposal"].clone();
    let edit = [
        "edit",
        "3",
        "--author=zoe",
        "--country=IE",
        "--until=2100-01-01T00:00:00Z",
        "--ticket=CHG-2",
    ];
    let told = run(&server, &edit);
    assert!(told.status.success(), "{}", stderr(&told));
    let said =
        "change 3 is another one now (TIGHTENING); a person who neither asked for nor edited";
    assert!(stdout(&told).contains(said), "{}", stdout(&told));
    assert!(stdout(&told).contains("touches 1 offer"), "{}", stdout(&told));
    let waiting = server.json(&["changes"])[0].clone();
    assert_eq!((&waiting["id"], &waiting["editors"]), (&json!(3), &json!(["zoe"])));
    assert_eq!((&waiting["ticket"], &waiting["reason"]), (&json!("CHG-2"), &json!("Review")));
    assert_ne!(waiting["digest"], before["digest"]);
    for hand in ["--author=zoe", "--author=tester"] {
        let refused = run(&server, &["approve", "3", hand]);
        assert!(stderr(&refused).contains("the same hand"), "{hand}: {}", stderr(&refused));
    }
    server.json(&["approve", "3", "--author=cleo"]);
    let pause = suspension(&server, "pause");
    assert_eq!(pause["countries"], json!(["IE"]));
    assert_eq!(pause["actions"], json!(["OFFER", "ACTIVATE", "REACTIVATE", "RENEW"]));
    assert_eq!(
        (&pause["ticket"], &pause["until"]),
        (&json!("CHG-2"), &json!("2100-01-01T00:00:00Z"))
    );
    assert!(pause["from"].is_string(), "it began at the approval");
}

#[test]
fn each_kind_of_proposal_is_edited_by_what_it_is_and_by_nothing_else() {
    let server = Server::with_barclays();
    let expect = |arguments: &[&str], code: i32, why: &str| {
        let output = run(&server, arguments);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(why), "{arguments:?}: {}", stderr(&output));
    };
    let amend = ["amend", "barclays-2017", "--country=GB,IE", "--reason=More", "--ticket=CHG-7"];
    let amended = server.json(&amend)["proposal"].clone();
    assert_eq!((&amended["id"], &amended["offers_changed"]), (&json!(3), &json!(1)));
    expect(&["edit", "3", "--file=deploy/demo/barclays.rules.yaml"], 2, "--file is for");
    expect(&["edit", "3", "--waive=x"], 2, "--waive is for an exemption");
    let edited = server.json(&["edit", "3", "--country=IE", "--clear=review-by"]);
    assert_eq!(edited["proposal"]["reason"], "More", "why it is amended stays");
    server.json(&["approve", "3", "--author=zoe"]);
    let now = suspension(&server, "barclays-2017");
    assert_eq!(now["countries"], json!(["IE"]));
    assert_eq!(now["ticket"], "CHG-1001", "the suspension's own ticket stays");

    let exempt =
        ["exempt", "barclays-2017", "--id=pilot", "--customer=c-1", "--until=2100-01-01T00:00:00Z"];
    let exempted = server.json(&[&exempt[..], &RECORD].concat())["proposal"].clone();
    let id = exempted["id"].to_string();
    assert_eq!(exempted["offers_changed"], 1);
    expect(&["edit", &id, "--reach=GROUP"], 2, "--reach is for suspensions");
    expect(&["edit", &id, "--clear=until"], 2, "an exemption has no `until` that could go");
    server.json(&["edit", &id, "--customer=c-2", "--reason=Pilot"]);
    server.json(&["approve", &id, "--author=zoe"]);
    let rules = run(&server, &["export", "--quiet"]);
    let rules = stdout(&rules);
    let pilot = &rules[rules.find("pilot").unwrap()..];
    assert!(pilot.contains("c-2") && !pilot.contains("c-1") && pilot.contains("Pilot"), "{pilot}");

    let lift = server.json(&[&["lift", "barclays-2017"][..], &RECORD].concat())["proposal"].clone();
    assert_eq!(lift["offers_changed"], 1);
    expect(&["edit", &lift["id"].to_string(), "--country=GB"], 4, "cannot be edited");
    expect(&["edit", "99", "--country=GB"], 3, "99");
    expect(&["edit", &id, "--country=GB"], 4, "cannot be edited");
}

#[test]
fn a_proposal_to_apply_a_rule_file_is_edited_with_another_rule_file() {
    let server = Server::with_barclays();
    let export = stdout(&run(&server, &["export", "--quiet"]));
    let file = server.folder().join("rules.yaml");
    let propose = |units: &str| {
        std::fs::write(&file, export.replace("max_per_unit: 1", units)).unwrap();
        file.to_str().unwrap().to_owned()
    };
    let path = propose("max_per_unit: 2");
    let applied = server.json(&["apply", &path])["proposal"].clone();
    let (id, offers) = (applied["id"].to_string(), &applied["offers_changed"]);
    assert_eq!(*offers, 2);
    let nothing = run(&server, &["edit", &id]);
    assert!(stderr(&nothing).contains("--file FILE"), "{}", stderr(&nothing));
    let edited = server.json(&["edit", &id, "--file", &propose("max_per_unit: 3")]);
    assert_eq!(edited["proposal"]["offers_changed"], 2);
    server.json(&["approve", &id, "--author=zoe"]);
    let now = stdout(&run(&server, &["export", "--quiet"]));
    assert!(now.contains("max_per_unit: 3") && !now.contains("max_per_unit: 2"), "{now}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_edited_since_it_was_read_is_not_edited_unseen() {
    let server = Server::with_barclays();
    let suspend = ["suspend", "offer", "avast-12m", "--id=pause", "--from=2100-01-01T00:00:00Z"];
    let proposed = server.json(&[&suspend[..], &RECORD].concat())["proposal"].clone();
    assert_eq!(proposed["offers_changed"], 1, "those that it touches when it begins");
    let client = Client::connect(&server.address, Duration::from_secs(10)).await.unwrap();
    let read = client.get_change(proto::GetChangeRequest { id: 3 }).await.unwrap();
    let edit = |suspension: &proto::Suspension, request_id: &str| proto::EditChangeRequest {
        id: 3,
        request_id: request_id.to_owned(),
        author: "ann".to_owned(),
        digest: read.change.as_ref().unwrap().digest.clone(),
        change: Some(proto::edit_change_request::Change::Suspension(suspension.clone())),
        ..<_>::default()
    };
    let mut suspension = read.suspension.clone().unwrap();
    assert_eq!(suspension.state(), proto::SuspensionState::Proposed);
    suspension.reason = "First".to_owned();
    let edited = client.edit_change(edit(&suspension, "e-1")).await.unwrap();
    assert_eq!(edited.proposal.unwrap().offers_changed, 1);
    suspension.reason = "Second".to_owned();
    let refused = client.edit_change(edit(&suspension, "e-2")).await.unwrap_err();
    assert_eq!(refused.reason.as_deref(), Some("CHANGE_EDITED"));
    let again = client.edit_change(edit(&read.suspension.unwrap(), "e-3")).await.unwrap_err();
    assert_eq!(again.reason.as_deref(), Some("CHANGE_EDITED"));
}
