//! What people do to a mailing in a hurry: a wrong setting, doubt that is tried again and comes to nothing, a mail
//! server that makes no sense.

use super::Case;
use super::mail_server::MailServer;
use super::signed::{Signed, stderr, until};
use offergate::jobs::mailing::{Kind, Out, Privacy, Way};
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

#[test]
fn a_wrong_setting_leaves_no_ledger_in_the_way_of_the_right_one() {
    let it = Signed::new(5, "NOTIFY", &[]);
    for wrong in ["--unsubscribed=nosuch.txt", "--proofs=nosuch.csv"] {
        let refused = it.send(&["--dry-run=out", wrong]);
        assert!(!refused.status.success() && stderr(&refused).contains("nosuch"), "{wrong}");
        assert!(!it.path("l.db").exists(), "{wrong}");
    }
    let sent = it.send(&["--dry-run=out"]);
    assert!(sent.status.success(), "{}", stderr(&sent));
}

/// A mailing to 40 whose sender was killed with some in hand, and its mail server.
fn killed_in_hand() -> (Signed, MailServer) {
    let it = Signed::new(40, "NOTIFY", &["--rate=1000000"]);
    let mail = MailServer::start(it.server.folder(), &["--delay", "0.2"]);
    let way = format!("--smtp=localhost:{}", mail.port);
    let mut running = it.start(&it.sending(&[&way, "--smtp-plaintext", "--connections=4"]));
    until("some are sent", || 4 <= mail.received().len());
    running.kill();
    (it, mail)
}

#[test]
fn who_may_have_been_written_to_is_never_told_as_not_sent() {
    let (it, mail) = killed_in_hand();
    let received = mail.by_addressee().len() as u64;
    drop(mail);
    // The mail server is away: nobody is written to a second time.
    let again = ["resume", "--ledger=l.db", "--retry-in-doubt", "--server=http://127.0.0.1:1"];
    let mut running = it.start(&again.map(str::to_owned));
    until("it waits", || {
        let status = it.batch(&["status", "--ledger=l.db", "-o=json"]);
        String::from_utf8(status.stdout).unwrap().contains("no way out")
    });
    assert!(it.batch(&["cancel", "--ledger=l.db"]).status.success());
    assert_eq!(running.code(), Some(4));
    let [sent, in_doubt, not_sent] =
        ["sent", "in_doubt", "not_sent"].map(|outcome| it.recipients(outcome));
    assert_eq!(sent + in_doubt + not_sent, 40);
    assert!((1..=4).contains(&in_doubt), "{in_doubt} were in hand");
    assert!(received <= sent + in_doubt, "{received} got it, {sent} sent, {in_doubt} in doubt");
}

#[test]
fn who_is_in_doubt_can_be_written_to_again_once_all_others_were() {
    let (it, _mail) = killed_in_hand();
    assert!(it.batch(&["resume", "--ledger=l.db"]).status.success());
    let in_doubt = it.recipients("in_doubt");
    assert!((1..=4).contains(&in_doubt), "{in_doubt} were in hand");
    assert!(it.path("l.db.in-doubt.csv").exists());
    let again = it.batch(&["resume", "--ledger=l.db", "--retry-in-doubt"]);
    assert!(again.status.success(), "{}", stderr(&again));
    assert_eq!((it.recipients("sent"), it.recipients("in_doubt")), (40, 0));
    assert!(!it.path("l.db.in-doubt.csv").exists(), "it names people who have an outcome");
    assert_eq!(it.batch(&["resume", "--ledger=l.db"]).status.code(), Some(4), "it is over");
}

/// A mail server that answers to the content as if there were more to come.
fn confused_server() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            let mut is_content = false;
            let mut answer = "220 here".to_owned();
            while writeln!(stream, "{answer}\r").is_ok() {
                answer = loop {
                    let Some(Ok(line)) = lines.next() else { return };
                    match line.trim_end() {
                        "." if is_content => {
                            is_content = false;
                            break "354 go on".to_owned();
                        }
                        _ if is_content => {}
                        "DATA" => {
                            is_content = true;
                            break "354 go on".to_owned();
                        }
                        _ => break "250 yes".to_owned(),
                    }
                };
            }
        }
    });
    port
}

#[test]
fn an_answer_that_asks_for_more_is_no_yes() {
    let mut case = Case::many(1, Kind::Notify);
    let way = Way {
        host: "localhost".to_owned(),
        port: confused_server(),
        privacy: Privacy::Plain,
        credentials: None,
        authority: None,
        timeout: Duration::from_secs(20),
    };
    case.out = Out::Smtp(Arc::new(way), 1);
    case.send();
    let reasons: Vec<_> = case.reasons().into_keys().collect();
    assert_eq!(reasons.len(), 1);
    assert!(reasons[0].starts_with("IN_DOUBT SERVER_UNCLEAR"), "{reasons:?}");
}
