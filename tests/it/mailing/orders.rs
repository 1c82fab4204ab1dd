//! A mailing under orders from other processes, over any ledger; and over one in Redis: senders that are killed,
//! frozen and taken over, and a server that dies.

use super::mail_server::MailServer;
use super::received_in;
use super::signed::{Signed, killed_at, stderr, until};
use std::fs;
use std::time::Duration;

/// Meets it with a second sender, and gives it every order there is.
pub(super) fn ordered(it: &Signed) {
    let mut running = it.start(&it.sending(&["--dry-run=out"]));
    until("some are sent", || 3 <= it.recipients("sent"));
    let output = it.send(&["--dry-run=other"]);
    let told = stderr(&output);
    let process = format!("process {}", running.0.id());
    assert!(output.status.code() == Some(4) && told.contains(&process), "{told}");
    assert!(it.batch(&it.begun("pause")).status.success());
    until("it pauses", || it.status().is_some_and(|it| it["standing"]["doing"] == "PAUSED"));
    let sent = it.recipients("sent");
    // What is refused changes nothing.
    let output = it.batch(&[it.begun("resume"), vec!["--retry-in-doubt".into()]].concat());
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(it.recipients("sent"), sent);
    assert!(it.batch(&it.begun("resume")).status.success());
    until("it goes on", || sent < it.recipients("sent"));
    running.signal("TERM");
    assert_eq!(running.code(), Some(130));
    let status = it.status().unwrap();
    assert!(status["standing"]["doing"] == "PAUSED" && status["has_sender"] == false, "{status}");
    assert_eq!((status["recipients"]["begun"].as_u64(), it.recipients("in_doubt")), (Some(0), 0));
    // Nobody sends: who cancels it settles the rest.
    let output = it.batch(&it.begun("cancel"));
    assert!(output.status.success(), "{}", stderr(&output));
    let status = it.status().unwrap();
    assert_eq!(status["standing"]["doing"], "CANCELLED");
    let (sent, not_sent) = (it.recipients("sent"), it.recipients("not_sent"));
    assert_eq!(sent + not_sent, 2_000);
    assert_eq!(received_in(&it.path("out")).len() as u64, sent);
    assert!(it.beside("key").exists());
    assert_eq!(it.json(&it.begun("report"))["recipients"]["sent"], sent);
    let output = it.batch(&it.begun("erase"));
    assert!(output.status.success() && !it.beside("key").exists(), "{}", stderr(&output));
    assert!(it.json(&it.begun("report"))["erased"].is_string());
}

#[test]
fn a_ledger_in_redis_takes_the_same_orders() {
    ordered(&Signed::in_redis(2_000, "OFFER", &["--rate=100"]));
}

#[test]
fn what_is_erased_is_where_the_sender_kept_it_and_nothing_is_said_to_be_otherwise() {
    let it = Signed::in_redis(400, "NOTIFY", &["--rate=100"]);
    let mut running = it.start(&it.sending(&["--dry-run=out"]));
    until("some are sent", || 3 <= it.recipients("sent"));
    running.signal("TERM");
    assert_eq!(running.code(), Some(130));
    // Somebody else takes over, with a copy of the key.
    fs::copy(it.beside("key"), it.path("copy.key")).unwrap();
    let with_copy =
        |command: &str| [it.begun(command), vec!["--ledger-key=copy.key".into()]].concat();
    assert!(it.batch(&with_copy("cancel")).status.success());
    let lists = it.beside("rejects.csv");
    fs::write(&lists, "line,reason\n2,x\n").unwrap();
    let mut elsewhere = it.server.offergate();
    elsewhere.current_dir("/").arg("batch").args(it.begun("erase"));
    let output = elsewhere.output().unwrap();
    let told = stderr(&output);
    assert!(output.status.code() == Some(1) && told.contains("there is no key at /m-1"), "{told}");
    assert!(told.contains("m-1.ledger.key") && told.contains("copy.key"), "{told}");
    assert!(it.beside("key").exists() && lists.exists());
    assert!(it.json(&it.begun("report"))["erased"].is_null());
    // Another ledger's key is not this one's to destroy.
    let other = it.path("other.key");
    offergate::ledger::LedgerKey::create(&other).unwrap();
    let output = it.batch(&[it.begun("erase"), vec!["--ledger-key=other.key".into()]].concat());
    assert!(output.status.code() == Some(1) && other.exists(), "{}", stderr(&output));
    for (arguments, expected) in [
        (it.begun("erase"), "copy.key"),
        (it.begun("erase"), "gone already"),
        (with_copy("erase"), "cannot be told any more"),
    ] {
        let output = it.batch(&arguments);
        let told = stderr(&output);
        assert!(output.status.success() && told.contains(expected), "{expected}: {told}");
    }
    assert!(!it.beside("key").exists() && !it.path("copy.key").exists() && !lists.exists());
}

#[test]
fn over_redis_a_killed_sender_writes_to_nobody_twice_and_misses_nobody() {
    killed_at(4, &Signed::in_redis(600, "OFFER", &["--rate=1000000"]));
}

#[test]
fn a_frozen_sender_that_was_taken_over_hands_nothing_over_when_it_thaws() {
    let it = Signed::in_redis(600, "NOTIFY", &["--rate=1000000"]);
    let mail = MailServer::start(it.server.folder(), &["--delay", "0.01"]);
    let way = format!("--smtp=localhost:{}", mail.port);
    let mut frozen = it.start(&it.sending(&[&way, "--smtp-plaintext", "--connections=4"]));
    until("some are sent", || 20 <= mail.received().len());
    frozen.signal("STOP");
    // What the mail server had in its hands arrives; nobody else sends anything until the lock has run out.
    let mut next = it.start(&it.begun("resume"));
    until("the next one takes over", || {
        it.status().is_some_and(|status| status["recipients"]["in_doubt"] != 0)
            || 100 <= mail.received().len()
    });
    until("the next one sends", || 100 <= mail.received().len());
    frozen.signal("CONT");
    assert_eq!(frozen.code(), Some(4), "it was taken over");
    assert_eq!(next.code(), Some(0));
    assert!(mail.by_addressee().values().all(|many| *many == 1), "nobody twice");
    let (sent, in_doubt) = (it.recipients("sent"), it.recipients("in_doubt"));
    assert!(sent + in_doubt == 600 && in_doubt <= 4, "{sent} sent, {in_doubt} in doubt");
    let listed = fs::read_to_string(it.beside("in-doubt.csv")).unwrap_or_default();
    assert_eq!(listed.lines().count().saturating_sub(1) as u64, in_doubt);
}

#[test]
fn a_redis_that_dies_in_mid_mailing_and_comes_back_costs_nobody_a_message() {
    let mut it = Signed::in_redis(600, "NOTIFY", &["--rate=1000000"]);
    let mail = MailServer::start(it.server.folder(), &["--delay", "0.005"]);
    let way = format!("--smtp=localhost:{}", mail.port);
    let mut running = it.start(&it.sending(&[&way, "--smtp-plaintext", "--connections=4"]));
    for more in [20, 200] {
        until("some are sent", || more <= mail.received().len());
        let redis = it.redis.as_mut().unwrap();
        redis.kill();
        redis.restart();
    }
    assert_eq!(running.code(), Some(0));
    assert_eq!((it.recipients("sent"), it.recipients("in_doubt")), (600, 0));
    let all = mail.by_addressee();
    assert!(all.len() == 600 && all.values().all(|many| *many == 1), "each of them once");
}
