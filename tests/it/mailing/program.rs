//! The program against a real server and a real mail server: what two people signed, processes that are
//! killed and that meet, rules that move, and what people are told.

use super::mail_server::MailServer;
use super::orders::ordered;
use super::received_in;
use super::signed::{Proposed, Signed, TEMPLATE, killed_at, stderr, until};
use crate::server::Server;
use offergate::ledger::sqlite::SqliteLedger;
use offergate::ledger::{Fact, Ledger as _};
use std::fs;
use std::io::Read as _;
use std::net::TcpListener;
use std::process::Command;

#[test]
fn what_two_people_signed_is_sent_once_and_reported() {
    let it = Signed::new(30, "OFFER", &["--rate=1000000"]);
    let output = it.send(&["--dry-run=out"]);
    let told = stderr(&output);
    assert!(output.status.success(), "{told}");
    assert!(told.contains("can leave after a suspension is made"), "{told}");
    assert!(told.contains("30 recipients: 30 sent, 0 not sent, 0 failed, 0 in doubt"), "{told}");
    assert_eq!(received_in(&it.path("out")).len(), 30);
    let report = it.json(&it.begun("report"));
    assert_eq!(report["signed"]["author"], "ann");
    assert_eq!(report["signed"]["approver"], "zoe");
    assert_eq!(report["recipients"]["sent"], 30);
    assert_eq!(report["standing"]["doing"], "FINISHED");
    assert_eq!(report["report_sha256"].as_str().unwrap().len(), 64);
    assert_eq!(it.json(&it.begun("report")), report, "the same again");
    // It is over: nothing can be asked of it, and it is not sent again.
    for arguments in [&["pause", "--ledger=l.db"][..], &["resume", "--ledger=l.db"]] {
        let output = it.batch(arguments);
        assert_eq!(output.status.code(), Some(4), "{}", stderr(&output));
    }
    let output = it.send(&["--dry-run=out"]);
    assert_eq!(output.status.code(), Some(4), "{}", stderr(&output));
    // Without the key nobody can tell who they were; how many they were stays.
    let lists = ["l.db.in-doubt.csv", "l.db.rejects.csv"];
    lists.iter().for_each(|list| fs::write(it.path(list), "line,id\n2,c-1\n").unwrap());
    assert!(it.batch(&["erase", "--ledger=l.db", "--if-due"]).status.success());
    assert!(it.path("l.db.key").exists(), "it is not due");
    // Whoever takes over right then keeps the key.
    let sender = SqliteLedger::open(&it.path("l.db")).unwrap();
    assert_eq!(it.batch(&["erase", "--ledger=l.db"]).status.code(), Some(4));
    assert!(it.path("l.db.key").exists() && it.path(lists[0]).exists(), "it is being sent");
    drop(sender);
    assert!(it.batch(&["erase", "--ledger=l.db"]).status.success());
    assert!(!it.path("l.db.key").exists());
    assert!(lists.iter().all(|list| !it.path(list).exists()), "a list tells who they were, too");
    let report = it.json(&it.begun("report"));
    assert!(report["erased"].is_string() && report["recipients"]["sent"] == 30);
}

#[test]
fn an_erasure_that_was_broken_off_is_finished() {
    let it = Signed::new(3, "NOTIFY", &["--rate=1000000"]);
    assert!(it.send(&["--dry-run=out"]).status.success());
    // A key that was only moved is not erased.
    fs::rename(it.beside("key"), it.path("moved.key")).unwrap();
    let output = it.batch(&it.begun("erase"));
    assert!(output.status.code() == Some(1) && stderr(&output).contains("there is no key at"));
    assert!(it.json(&it.begun("report"))["erased"].is_null());
    // Whoever erased it died after the key was gone, and before that was written down.
    let mut ledger = SqliteLedger::look(&it.path("l.db")).unwrap();
    ledger.set_fact(Fact::Erasing, "/elsewhere/l.db.key").unwrap();
    let output = it.batch(&it.begun("erase"));
    assert_eq!(output.status.code(), Some(1), "another one: {}", stderr(&output));
    ledger.set_fact(Fact::Erasing, it.path("l.db.key").to_str().unwrap()).unwrap();
    drop(ledger);
    let output = it.batch(&it.begun("erase"));
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(it.json(&it.begun("report"))["erased"].is_string());
    // A ledger that was brought elsewhere without its key is another matter.
    let it = Signed::new(3, "NOTIFY", &["--rate=1000000"]);
    assert!(it.send(&["--dry-run=out"]).status.success());
    fs::copy(it.path("l.db"), it.path("other.db")).unwrap();
    let output = it.batch(&["erase", "--ledger=other.db"]);
    let told = stderr(&output);
    assert!(output.status.code() == Some(1) && told.contains("there is no key at"), "{told}");
}

#[test]
fn nothing_is_sent_that_is_not_what_two_people_signed() {
    let Proposed { it, change, told } = Signed::proposed(3, "OFFER", &[]);
    assert_eq!(told["mailing"]["audience"]["rows"], 3);
    assert!(told["message"].as_str().unwrap().contains("Dear N0,"), "{told}");
    let refused = |what: &str, code: i32| {
        let output = it.send(&["--dry-run=out"]);
        let told = stderr(&output);
        assert!(told.contains(what) && output.status.code() == Some(code), "{what}: {told}");
        assert!(received_in(&it.path("out")).is_empty());
        // Nothing is left that would be in the way of the next try.
        assert!(!it.path("l.db").exists() && !it.path("l.db.key").exists(), "{what}");
    };
    refused("not approved", 4);
    it.server.json(&["approve", &change.to_string(), "--author=zoe"]);
    let kept = |name: &str| fs::read_to_string(it.path(name)).unwrap();
    let (people, template, plan) =
        (kept("in.people.csv"), kept("in.t.yaml"), kept("m-1.mailing.json"));
    fs::write(it.path("in.people.csv"), format!("{people}c-9,GB,,,,,,X,x@x.example\n")).unwrap();
    refused("the audience is not the one that was signed", 4);
    fs::write(it.path("in.people.csv"), people).unwrap();
    fs::write(it.path("in.t.yaml"), template.replace("Dear", "Hello")).unwrap();
    refused("the template is not the one that was signed", 4);
    fs::write(it.path("in.t.yaml"), template).unwrap();
    fs::write(
        it.path("m-1.mailing.json"),
        plan.replace("\"per_second\": 50", "\"per_second\": 5000"),
    )
    .unwrap();
    refused("is not what was signed", 4);
    fs::write(it.path("m-1.mailing.json"), plan.replace("m-1", "m-2")).unwrap();
    refused("m-2", 3);
}

#[test]
fn a_template_is_sent_as_it_was_when_it_was_compared() {
    let it = Signed::new(3, "NOTIFY", &["--rate=1000000"]);
    let path = it.path("in.t.yaml");
    let signed = fs::read_to_string(&path).unwrap();
    fs::remove_file(&path).unwrap();
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    // Whoever reads it once more than to check and to compare it gets another one.
    std::thread::spawn(move || {
        for text in [&signed, &signed, &signed.replace("Dear", "Hello")] {
            if fs::write(&path, text).is_err() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(500));
        }
    });
    let output = it.send(&["--dry-run=out"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let shards = fs::read_dir(it.path("out")).unwrap().flatten();
    let files = shards.flat_map(|shard| fs::read_dir(shard.path()).unwrap().flatten());
    let texts: Vec<_> = files.map(|file| fs::read_to_string(file.path()).unwrap()).collect();
    assert!(texts.len() == 3 && texts.iter().all(|text| text.contains("Dear")), "{texts:?}");
}

#[test]
fn a_template_that_cannot_be_rendered_is_not_even_proposed() {
    let it = Signed::proposed(3, "NOTIFY", &["--dry-run"]).it;
    assert!(!it.path("m-1.mailing.json").exists(), "a dry run writes nothing");
    for (template, code, expected) in [
        (TEMPLATE.replace("first_name", "frist_name"), 2, "the audience has no such column"),
        (format!("{TEMPLATE}unsubscribe: https://x.example\n"), 2, "nobody can unsubscribe"),
        (TEMPLATE.replace("text: |", "body: |"), 1, "body"),
        (
            TEMPLATE.replace("Dear {{ first_name }}", "{{ first_name / 2 }}"),
            1,
            "cannot be rendered",
        ),
    ] {
        fs::write(it.path("in.t.yaml"), template).unwrap();
        let output = it.batch(&[
            "propose",
            "--id=m-1",
            "--audience=in.people.csv",
            "--template=in.t.yaml",
            "--offer=kis-12m",
            "--action=NOTIFY",
            "--until=2099-01-01T00:00:00Z",
            "--reason=r",
            "--ticket=T-1",
        ]);
        let told = stderr(&output);
        assert!(
            told.contains(expected) && output.status.code() == Some(code),
            "{expected}: {told}"
        );
    }
}

#[test]
fn killed_at_twenty_points_it_writes_to_nobody_twice_and_misses_nobody() {
    killed_at(20, &Signed::new(1_500, "OFFER", &["--rate=1000000"]));
}

#[test]
fn who_is_in_doubt_is_written_to_again_by_choice_alone() {
    let it = Signed::new(40, "NOTIFY", &["--rate=1000000"]);
    let mail = MailServer::start(it.server.folder(), &["--delay", "0.2"]);
    let way = format!("--smtp=localhost:{}", mail.port);
    let mut running = it.start(&it.sending(&[&way, "--smtp-plaintext", "--connections=4"]));
    until("some are sent", || 4 <= mail.received().len());
    running.kill();
    // Nobody needs the server of the rules for a service message that was signed.
    let output =
        it.batch(&["resume", "--ledger=l.db", "--retry-in-doubt", "--server=http://127.0.0.1:1"]);
    let told = stderr(&output);
    assert!(output.status.success() && told.contains("in doubt are tried again"), "{told}");
    assert_eq!((it.recipients("sent"), it.recipients("in_doubt")), (40, 0));
    let twice = mail.by_addressee().values().filter(|many| 1 < **many).count();
    assert!(mail.by_addressee().len() == 40 && (1..=4).contains(&twice), "{twice} got it twice");
}

/// A server that lets everybody in, and answers nobody.
fn mute_server() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            // The preface and the settings of HTTP/2 come first, and a question after them.
            let _ = stream.unwrap().read(&mut [0; 1024]);
        }
    });
    port
}

#[test]
fn a_service_message_goes_on_while_a_server_is_there_that_does_not_answer() {
    let it = Signed::new(40, "NOTIFY", &["--rate=1000000"]);
    let mail = MailServer::start(it.server.folder(), &["--delay", "0.1"]);
    let way = format!("--smtp=localhost:{}", mail.port);
    let mut running = it.start(&it.sending(&[&way, "--smtp-plaintext", "--connections=2"]));
    until("some are sent", || 4 <= mail.received().len());
    running.signal("TERM");
    assert_eq!(running.code(), Some(130));
    let server = format!("--server=http://127.0.0.1:{}", mute_server());
    let output = it.batch(&["resume", "--ledger=l.db", &server]);
    let told = stderr(&output);
    assert!(output.status.success() && told.contains("goes on without"), "{told}");
    assert_eq!((it.recipients("sent"), mail.received().len()), (40, 40));
}

#[test]
fn a_mailing_that_nobody_sends_is_cancelled_without_a_server_and_the_files_of_sending() {
    let it = Signed::new(2_000, "OFFER", &["--rate=100"]);
    fs::write(it.path("in.bounced"), "").unwrap();
    let mut running = it.start(&it.sending(&["--dry-run=out", "--bounced=in.bounced"]));
    until("some are sent", || 3 <= it.recipients("sent"));
    running.kill();
    fs::remove_file(it.path("in.t.yaml")).unwrap();
    fs::remove_file(it.path("in.bounced")).unwrap();
    let server = format!("--server=http://127.0.0.1:{}", mute_server());
    let token = "--token-file=nowhere";
    let output = it.batch(&["cancel", "--ledger=l.db", &server, token]);
    assert!(output.status.success(), "{}", stderr(&output));
    let status = it.status().unwrap();
    assert_eq!(status["standing"]["doing"], "CANCELLED");
    let count = |what: &str| status["recipients"][what].as_u64().unwrap();
    assert_eq!(count("sent") + count("not_sent") + count("failed") + count("in_doubt"), 2_000);
    let (least, most) = (count("sent"), count("sent") + count("in_doubt"));
    assert!((least..=most).contains(&(received_in(&it.path("out")).len() as u64)));
}

#[test]
fn a_second_sender_is_refused_and_orders_come_from_other_processes() {
    ordered(&Signed::new(2_000, "OFFER", &["--rate=100"]));
}

#[test]
fn once_a_suspension_is_enforced_no_marketing_leaves_any_more() {
    let it = Signed::new(4_000, "OFFER", &["--rate=200"]);
    let mail = MailServer::start(it.server.folder(), &["--delay", "0.01"]);
    let way = format!("--smtp=localhost:{}", mail.port);
    let mut running = it.start(&it.sending(&[&way, "--smtp-plaintext"]));
    until("some are sent", || 20 <= mail.received().len());
    let told = it.server.by_two_waiting(
        &["suspend", "offer", "kis-12m", "--reason=r", "--ticket=T-2", "--author=ann"],
        &["--wait=20s"],
    );
    assert_eq!(told["enforcement"]["state"], "ENFORCED", "{told}");
    let at_that_instant = mail.received().len();
    assert_eq!(running.code(), Some(4), "stopped by a rule");
    assert_eq!(mail.received().len(), at_that_instant, "none after it was enforced");
    let report = it.json(&it.begun("report"));
    assert_eq!(report["standing"]["doing"], "STOPPED_BY_RULE");
    assert_eq!(report["recipients"]["sent"], at_that_instant);
    assert_eq!(report["recipients"]["not_sent"], 4_000 - at_that_instant);
    let line = report["lines"].as_array().unwrap().iter().find(|it| it["outcome"] == "NOT_SENT");
    let line = line.unwrap();
    assert_eq!(line["reason"], "OFFER_SUSPENDED");
    assert_eq!(line["revision"], told["revision"]["revision"], "{told}");
}

#[test]
fn who_takes_a_mailing_back_is_heard_by_a_sender_that_began_without_the_server() {
    let Proposed { mut it, change, .. } = Signed::proposed(3_000, "NOTIFY", &["--rate=100"]);
    let change = change.to_string();
    it.server.json(&["approve", &change, "--author=zoe"]);
    let mut running = it.start(&it.sending(&["--dry-run=out"]));
    until("some are sent", || 3 <= it.recipients("sent"));
    running.signal("TERM");
    assert_eq!(running.code(), Some(130));
    it.server.json(&["reject", &change, "--author=zoe", "--reason=stop"]);
    it.server.kill();
    let (sent, port) = (it.recipients("sent"), crate::redis_server::free_port());
    let address = format!("127.0.0.1:{port}");
    let server = format!("--server=http://{address}");
    let mut running = it.start(&[it.begun("resume"), vec![server]].concat());
    until("it goes on", || sent < it.recipients("sent"));
    let _server = Server::start_on(&it.server.store(), &["--listen", &address]);
    assert_eq!(running.code(), Some(4));
    let status = it.status().unwrap();
    assert_eq!(status["standing"]["doing"], "CANCELLED");
    assert!(status["standing"]["why"].as_str().unwrap().contains("zoe"), "{status}");
}

#[test]
fn a_ledger_is_not_gone_on_with_under_another_approval_of_the_same_mailing() {
    let rate = ["--rate=100"];
    let Proposed { it, change, .. } = Signed::proposed(3_000, "NOTIFY", &rate);
    it.server.json(&["approve", &change.to_string(), "--author=zoe"]);
    let mut running = it.start(&it.sending(&["--dry-run=out"]));
    until("some are sent", || 3 <= it.recipients("sent"));
    running.signal("TERM");
    assert_eq!(running.code(), Some(130));
    it.server.json(&["reject", &change.to_string(), "--author=zoe", "--reason=lost"]);
    let again = it.propose("NOTIFY", &rate)["change"].as_u64().unwrap();
    it.server.json(&["approve", &again.to_string(), "--author=zoe"]);
    let sent = received_in(&it.path("out"));
    let output = it.batch(&it.begun("resume"));
    let told = stderr(&output);
    assert!(output.status.code() == Some(4) && told.contains("was approved anew"), "{told}");
    assert_eq!(received_in(&it.path("out")), sent, "not one more");
    // It can be ended.
    assert!(it.batch(&it.begun("cancel")).status.success());
    assert_eq!(it.status().unwrap()["standing"]["doing"], "CANCELLED");
}

#[test]
fn one_person_stops_a_mailing_that_was_approved() {
    let Proposed { it, change, .. } = Signed::proposed(3_000, "NOTIFY", &["--rate=100"]);
    let change = change.to_string();
    it.server.json(&["approve", &change, "--author=zoe"]);
    let mut running = it.start(&it.sending(&["--dry-run=out"]));
    until("some are sent", || 3 <= it.recipients("sent"));
    it.server.json(&["reject", &change, "--author=zoe", "--reason=stop"]);
    assert_eq!(running.code(), Some(4));
    let status = it.status().unwrap();
    assert_eq!(status["standing"]["doing"], "CANCELLED");
    assert!(status["standing"]["why"].as_str().unwrap().contains("zoe"), "{status}");
    assert_eq!(it.recipients("sent") + it.recipients("not_sent"), 3_000);
}

#[test]
fn one_approval_is_for_one_ledger_and_a_dry_run_uses_it_up_by_nothing() {
    let it = Signed::new(5, "NOTIFY", &[]);
    let mail = MailServer::start(it.server.folder(), &[]);
    let nobody = format!("--smtp=localhost:{}", crate::redis_server::free_port());
    let way = format!("--smtp=localhost:{}", mail.port);
    let sending = |ledger: &str, more: &[&str]| {
        let mut arguments = it.sending(more);
        *arguments.last_mut().unwrap() = format!("--ledger={ledger}");
        arguments
    };
    assert!(it.batch(&sending("dry.db", &["--dry-run=out"])).status.success());
    // Nor does one that never reaches a mail server.
    let mut running = it.start(&sending("wrong.db", &[&nobody, "--smtp-plaintext"]));
    until("it waits", || {
        let status = it.batch(&["status", "--ledger=wrong.db", "-o=json"]);
        String::from_utf8(status.stdout).unwrap().contains("WAITING")
    });
    running.signal("TERM");
    assert_eq!(running.code(), Some(130));
    let sent = it.send(&[&way, "--smtp-plaintext"]);
    assert!(sent.status.success(), "{}", stderr(&sent));
    assert_eq!(mail.received().len(), 5);
    let again = it.batch(&sending("other.db", &[&way, "--smtp-plaintext"]));
    assert_eq!(again.status.code(), Some(4));
    let said = stderr(&again);
    assert!(said.contains("was begun through another ledger, by revision "), "{said}");
    assert!(!it.path("other.db").exists(), "no ledger is left behind");
    let resumed = it.batch(&["resume", "--ledger=wrong.db"]);
    assert_eq!(resumed.status.code(), Some(4), "{}", stderr(&resumed));
    assert_eq!(mail.received().len(), 5);
}

#[test]
fn of_two_that_begin_one_mailing_at_once_one_ends() {
    let it = Signed::new(5, "NOTIFY", &[]);
    let port = crate::redis_server::free_port();
    let (late, folder) = (format!("--smtp=localhost:{port}"), it.path("late"));
    let mut arguments = it.sending(&[&late, "--smtp-plaintext"]);
    *arguments.last_mut().unwrap() = "--ledger=late.db".to_owned();
    // Neither was refused when it began.
    let mut running = it.start(&arguments);
    until("it waits", || {
        let status = it.batch(&["status", "--ledger=late.db", "-o=json"]);
        String::from_utf8(status.stdout).unwrap().contains("WAITING")
    });
    let mail = MailServer::start(it.server.folder(), &[]);
    let sent = it.send(&[&format!("--smtp=localhost:{}", mail.port), "--smtp-plaintext"]);
    assert!(sent.status.success(), "{}", stderr(&sent));
    fs::create_dir(&folder).unwrap();
    let other = MailServer::start(&folder, &["--port", &port.to_string()]);
    assert_eq!(running.code(), Some(4));
    assert_eq!((mail.received().len(), other.received().len()), (5, 0));
}
