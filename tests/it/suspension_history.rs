//! The history of a suspension: what people did, when a server saw it enforced, and what it denied.

use crate::cli_fleet::{Fleet, suspend};
use crate::decision_log::{recording, records, settings, start};
use crate::redis_server::eventually;
use crate::server::{Server, in_repository, offergate, within_limit};
use offergate::audit::decisions::Denied;
use offergate::audit::decisions::folder::{each_line, segments};
use offergate::domain::*;
use offergate::service::count_denied;
use serde_json::{Value, json};
use std::path::Path;
use tempfile::TempDir;

const RECORD: [&str; 4] = ["--reason", "Review", "--ticket", "CHG-1"];

fn history(server: &Server, id: &str, more: &[&str]) -> Value {
    server.json(&[&["history", "suspension", id][..], more].concat())
}

/// Waits until the server has noted so many enforcements.
fn noted(server: &Server, id: &str, count: usize) -> Value {
    eventually("it is noted", || {
        let found = history(server, id, &[]);
        (count <= found["enforced"].as_array().unwrap().len()).then_some(found)
    })
}

#[test]
fn when_a_change_was_enforced_is_known_though_nobody_waited_and_is_no_revision() {
    let folder = TempDir::new().unwrap();
    let store = folder.path().join("rules.db");
    let mut server = Server::start_on(&store, &[]);
    server.by_two(&["apply", in_repository("deploy/demo/barclays.rules.yaml").to_str().unwrap()]);
    let suspend = ["suspend", "offer", "avast-12m", "--id=pause"];
    server.json(&[&suspend[..], &RECORD].concat());
    let proposed = history(&server, "pause", &[]);
    assert_eq!(proposed["enforced"], json!([]), "what is only proposed is in force nowhere");
    server.json(&["approve", "3", "--author=zoe"]);
    let found = noted(&server, "pause", 1);
    let seen = &found["enforced"][0];
    assert_eq!((&seen["revision"], &seen["counted_from"]), (&json!(4), &json!("WRITTEN")));
    assert_eq!((&seen["observer"], &seen["replicas"]), (&json!(null), &json!([])));
    assert!(seen["after_ms"].is_u64() && seen["seen_time"].is_string(), "{seen}");
    assert_eq!(server.json(&["status"])["in_effect"], 4, "a note moves no revision");

    // What is asked later adds nothing, and nothing is lost with the process.
    server.json(&["replicas", "await", "--revision=4"]);
    server.by_two(&[&["lift", "pause"][..], &RECORD].concat());
    let found = noted(&server, "pause", 2);
    let revisions: Vec<_> = found["enforced"].as_array().unwrap().iter().collect();
    assert_eq!(revisions.iter().map(|it| &it["revision"]).collect::<Vec<_>>(), [4, 6]);
    server.kill();
    let server = Server::start_on(&store, &[]);
    let again = history(&server, "pause", &[]);
    assert_eq!(again["enforced"], found["enforced"]);
    assert_eq!(again["denied"]["state"], "NO_LOG");

    let table = server.offergate().args(["history", "suspension", "pause"]).output().unwrap();
    let table = String::from_utf8(table.stdout).unwrap();
    for told in ["ENFORCED", "this server", "is unknown: no decision log"] {
        assert!(table.contains(told), "{told}: {table}");
    }
}

#[test]
fn what_a_server_saw_cannot_be_changed_or_deleted_in_its_file_by_mistake() {
    let folder = TempDir::new().unwrap();
    let store = folder.path().join("rules.db");
    let mut server = Server::start_on(&store, &[]);
    server.by_two(&["apply", in_repository("deploy/demo/barclays.rules.yaml").to_str().unwrap()]);
    noted(&server, "barclays-2017", 1);
    server.kill();
    let file = rusqlite::Connection::open(&store).unwrap();
    for sql in [
        "UPDATE enforcements SET after_us = 0",
        "DELETE FROM enforcements",
        "INSERT INTO enforcements SELECT 7, 2, 'x', seen_at, 0, 'WRITTEN', '', '[]' FROM enforcements",
        "INSERT OR REPLACE INTO enforcements
             SELECT number + 1, revision, chain, seen_at, 0, 'WRITTEN', '', '[]' FROM enforcements",
    ] {
        let refused = file.execute(sql, []);
        assert!(refused.is_err(), "{sql}: {refused:?}");
    }
}

/// Asks whether a holder may renew, in a country.
fn renew(server: &Server, country: &str) -> Value {
    let check = ["check", "--customer=c-1", "--offer=avast-12m", "--action=RENEW"];
    let about = ["--holding=ACTIVE", "--date-of-birth=1985-04-12", "--channel=WEB"];
    let country = format!("--country={country}");
    let more = ["--attribute=online_banking=true", country.as_str()];
    server.json(&[&check[..], &about, &more].concat())["outcome"].clone()
}

#[test]
fn how_many_decisions_a_suspension_denied_is_counted_with_those_that_nothing_else_spoke_against() {
    let folder = TempDir::new().unwrap();
    let server = recording(folder.path());
    let log = folder.path().join("log");
    renew(&server, "GB");
    let suspend = ["suspend", "offer", "avast-12m", "--id=pause"];
    server.by_two(&[&suspend[..], &RECORD].concat());
    assert_eq!(renew(&server, "GB"), "INELIGIBLE");
    assert_eq!(renew(&server, "IE"), "INELIGIBLE");
    assert_eq!(renew(&server, "FR"), "INELIGIBLE", "which the offer does not serve either");
    let written = log.clone();
    within_limit(move || {
        while records(&written).len() < 4 {
            std::thread::yield_now();
        }
    });
    let denied = history(&server, "pause", &[])["denied"].clone();
    assert_eq!((&denied["state"], &denied["denied"]), (&json!("COUNTED"), &json!(3)));
    assert_eq!((&denied["denied_alone"], &denied["is_complete"]), (&json!(2), &json!(true)));
    let here = history(&server, "pause", &["--log", log.to_str().unwrap()])["denied"].clone();
    assert_eq!((&here["denied"], &here["log"]), (&json!(3), &json!(log.to_str().unwrap())));
    let other = history(&server, "barclays-2017", &[])["denied"].clone();
    assert_eq!((&other["denied"], &other["is_complete"]), (&json!(0), &json!(true)));
    server.json(&[&["suspend", "offer", "kis-12m", "--id=never"][..], &RECORD].concat());
    assert_eq!(history(&server, "never", &[])["denied"]["state"], "NEVER_IN_FORCE");
    let table = server.offergate().args(["history", "suspension", "pause"]).output().unwrap();
    let table = String::from_utf8(table.stdout).unwrap();
    let expected = "took part in denying 3 decisions of the log of this server, 2 of them alone";
    assert!(table.contains(expected), "{table}");
}

/// A folder with one closed segment, and the lines in it.
fn segment(folder: &Path) -> Vec<String> {
    start(settings(folder)).stop();
    let mut lines = Vec::new();
    let only = segments(folder).unwrap().remove(0);
    each_line(only.open().unwrap(), |line, _| {
        lines.push(String::from_utf8(line.to_vec()).unwrap());
        Ok::<_, std::io::Error>(true)
    })
    .unwrap();
    lines
}

#[test]
fn a_count_says_at_least_when_the_log_has_gaps_is_a_sample_does_not_read_or_begins_too_late() {
    let folder = TempDir::new().unwrap();
    let lines = segment(folder.path());
    let [header, _footer] = &lines[..] else { panic!("no segment") };
    let id = SuspensionId::parse("pause").unwrap();
    let early: Timestamp = "2020-01-01T00:00:00Z".parse().unwrap();
    let gap = "{\"gap\":{\"why\":\"FULL\",\"count\":7,\"from_seq\":1,\"to_seq\":7,\
               \"after\":null,\"at\":\"2026-01-01T00:00:00Z\",\"cut_bytes\":0},\"chain\":\"";
    let gap = format!("{gap}{}\"}}", "0".repeat(64));
    let sampled = header.replace("\"sample\":1.0", "\"sample\":0.25");
    assert_ne!(sampled, *header);
    let named = "{\"seq\":1,\"suspensions\":[{\"id\":\"pause\",\"code\":\"OFFER_SUSPENDED\"}]";
    for (what, lines, expected) in [
        ("all of it", vec![header.as_str()], (0, 0, 0, true)),
        ("a gap", vec![header.as_str(), &gap], (7, 0, 0, false)),
        ("a sample", vec![&sampled], (0, 0, 0, false)),
        ("a record that does not read", vec![header, named], (0, 0, 1, false)),
        ("no line of a log", vec![header, "{}"], (0, 0, 1, false)),
    ] {
        let mut found = Denied::by(&id, early);
        lines.iter().for_each(|line| found.take(line.as_bytes()));
        let Denied { missing, uncounted_gaps, unreadable, .. } = found;
        let seen = (missing, uncounted_gaps, unreadable, found.is_complete());
        assert_eq!(seen, expected, "{what}");
    }
    let mut later = Denied::by(&id, "2026-01-02T00:00:00Z".parse().unwrap());
    later.take(gap.as_bytes());
    assert!(later.is_complete(), "what was missing before it was in force is not missing");

    let count =
        |since| count_denied(folder.path(), Denied::by(&id, since), since, || false).unwrap();
    let begins_late = count(early);
    assert!(begins_late.log_begins.is_some() && !begins_late.is_complete());
    let now: Timestamp = "2100-01-01T00:00:00Z".parse().unwrap();
    assert!(count(now).is_complete(), "the last segment is open, and may hold it");
}

#[test]
fn a_folder_that_is_no_log_is_an_error_and_not_a_zero() {
    let server = Server::with_barclays();
    let arguments = ["history", "suspension", "barclays-2017", "--log", "/nonexistent/log"];
    let mut command = offergate();
    let output = command.env("OFFERGATE_SERVER", &server.address).args(arguments).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("cannot be read"));
}

#[test]
fn each_replica_tells_what_it_saw_itself_and_the_one_that_wrote_a_change_saw_it_though_nobody_waited()
 {
    let fleet = Fleet::start(3, "1s");
    let made = fleet.by_two(1, &suspend("--id=s-1", &[]));
    assert_eq!(made.code, 0, "{}", made.stderr);
    let history = |number| history(fleet.at(number), "s-1", &[]);
    let seen = eventually("r1 has noted it", || {
        let found = history(1)["enforced"].clone();
        (found != json!([])).then_some(found)
    });
    let seen = &seen[0];
    let expected = (&json!(4), &json!("WRITTEN"), &json!("r1"));
    assert_eq!((&seen["revision"], &seen["counted_from"], &seen["observer"]), expected);
    let replicas = seen["replicas"].as_array().unwrap();
    assert_eq!(replicas.iter().map(|it| &it["name"]).collect::<Vec<_>>(), ["r1", "r2", "r3"]);
    assert!(replicas[0]["after_ms"].is_u64(), "{seen}");
    eventually("r2 has it", || (fleet.offered(2, &[])["outcome"] == "INELIGIBLE").then_some(()));
    let elsewhere = history(2);
    assert_eq!((&elsewhere["enforced"], &elsewhere["server"]), (&json!([]), &json!("r2")));

    // Who is asked about it notes what it sees then, and says so.
    let awaited = fleet.run(2, &["replicas", "await", "--revision=4", "--wait=30s"]);
    assert_eq!(awaited.code, 0, "{}", awaited.stderr);
    let seen = eventually("r2 has noted it", || {
        let found = history(2)["enforced"].clone();
        (found != json!([])).then_some(found)
    });
    assert_eq!((&seen[0]["counted_from"], &seen[0]["observer"]), (&json!("ASKED"), &json!("r2")));
    assert_eq!(fleet.at(2).json(&["status"])["in_effect"], 4, "notes are no revisions");
}
