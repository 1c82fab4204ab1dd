//! Mailings to a real mail server that is slow, refuses, drops connections and dies: what it received is
//! compared with the ledger.

use super::Case;
use super::mail_server::MailServer;
use offergate::clock::{Clock as _, SystemClock};
use offergate::jobs::JobError;
use offergate::jobs::mailing::{
    Doing, Ending, Kind, Out, Patience, Privacy, Template, Wanted, Way, lists, preview,
};
use offergate::ledger::State;
use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;
use std::time::Duration;

/// The way to a server on this machine.
fn way(server: &MailServer, privacy: Privacy) -> Way {
    Way {
        host: "localhost".to_owned(),
        port: server.port,
        privacy,
        credentials: None,
        authority: None,
        timeout: Duration::from_secs(20),
    }
}

fn by_smtp(case: &mut Case, server: &MailServer, connections: u16) {
    case.out = Out::Smtp(Arc::new(way(server, Privacy::Plain)), connections);
}

/// Recipients whose names say what becomes of them.
fn named(names: &[&str]) -> String {
    let row = |(n, name): (usize, &&str)| format!("c-{n},GB,NONE,N,{name}@x.example,\n");
    names.iter().enumerate().map(row).collect()
}

#[test]
fn each_answer_of_the_server_is_an_outcome_and_nobody_is_asked_twice() {
    let names =
        ["ann", "once-1", "again-1", "gone-1", "full-1", "dropped-1", "cut-1", "slow-1", "zoe"];
    let mut case = Case::new(&named(&names), Kind::Offer);
    let server = MailServer::start(case.folder.path(), &[]);
    by_smtp(&mut case, &server, 2);
    assert_eq!(case.send(), Ending::Over);
    let expected = [
        ("SENT @1", 4),
        ("FAILED SMTP_451@1", 1),
        ("FAILED SMTP_550@1", 1),
        ("FAILED SMTP_552@1", 1),
        ("IN_DOUBT SMTP_NO_ANSWER@1", 2),
    ];
    let expected: BTreeMap<_, _> = expected.map(|(name, many)| (name.to_owned(), many)).into();
    assert_eq!(case.reasons(), expected);
    let got = ["ann", "dropped-1", "once-1", "slow-1", "zoe"]
        .map(|name| (format!("{name}@x.example"), 1));
    assert_eq!(server.by_addressee(), got.into());
    let (ledger, key) = case.ledger();
    let lists = lists(&case.source, &case.plan, &ledger, &key).unwrap();
    assert_eq!(lists.in_doubt, "line,id\n7,\"c-5\"\n8,\"c-6\"\n");
}

#[test]
fn a_server_that_dies_is_waited_for_and_whoever_was_in_hand_is_in_doubt() {
    let mut case = Case::many(60, Kind::Offer);
    let server = MailServer::start(case.folder.path(), &["--die-after", "20"]);
    by_smtp(&mut case, &server, 3);
    let port = server.port.to_string();
    let ending = case.send_while(|case| {
        case.until("it waits for a way out", |case| case.is(Doing::Waiting, "no way out"));
        let again = MailServer::start(case.folder.path(), &["--port", &port]);
        case.until("it ends", |case| case.standing().is_some_and(|it| it.doing.is_over()));
        // Both servers wrote into one log.
        let in_doubt = case.count(State::InDoubt);
        let (received, sent) = (again.received().len() as u64, case.count(State::Sent));
        assert!((1..=3).contains(&in_doubt), "{in_doubt} were in hand");
        assert_eq!(sent + in_doubt, 60);
        assert!((sent..=60).contains(&received), "{received} received, {sent} sent");
        assert!(again.by_addressee().values().all(|many| *many == 1), "nobody twice");
    });
    assert_eq!(ending, Ending::Over);
}

#[test]
fn a_mailing_pauses_when_too_many_are_refused_in_a_row() {
    let names: Vec<_> = (0..10).map(|n| format!("gone-{n}")).collect();
    let mut case =
        Case::new(&named(&names.iter().map(String::as_str).collect::<Vec<_>>()), Kind::Notify);
    let server = MailServer::start(case.folder.path(), &[]);
    by_smtp(&mut case, &server, 1);
    case.patience = Patience(4);
    case.send_while(|case| {
        case.until("it pauses", |case| case.is(Doing::Paused, "4 failures in a row"));
        assert_eq!(case.count(State::Failed), 4);
        case.order(Wanted::Cancel);
    });
}

#[test]
fn a_mailing_pauses_when_too_many_in_a_row_are_in_doubt() {
    let names: Vec<_> = (0..10).map(|n| format!("dropped-{n}")).collect();
    let mut case =
        Case::new(&named(&names.iter().map(String::as_str).collect::<Vec<_>>()), Kind::Notify);
    let server = MailServer::start(case.folder.path(), &[]);
    by_smtp(&mut case, &server, 1);
    case.patience = Patience(3);
    case.send_while(|case| {
        case.until("it pauses", |case| case.is(Doing::Paused, "3 failures in a row"));
        assert_eq!((case.count(State::InDoubt), server.received().len()), (3, 3));
        case.order(Wanted::Cancel);
    });
}

#[test]
fn a_way_out_that_loses_answers_is_closed_for_a_while_each_time() {
    let names: Vec<_> = (0..12).map(|n| format!("dropped-{n}")).collect();
    let mut case =
        Case::new(&named(&names.iter().map(String::as_str).collect::<Vec<_>>()), Kind::Notify);
    let server = MailServer::start(case.folder.path(), &[]);
    by_smtp(&mut case, &server, 1);
    let begun = SystemClock.boot();
    assert_eq!((case.send(), case.count(State::InDoubt)), (Ending::Over, 12));
    // 1 ms at first, and twice as long each time.
    assert!(Duration::from_millis(2_000) <= SystemClock.boot() - begun);
}

#[test]
fn one_domain_is_written_to_no_faster_than_was_signed() {
    let row = |n: usize| {
        format!("c-{n},GB,NONE,N,n{n}@{}.example,\n", if n < 6 { "slow" } else { "fast" })
    };
    let mut case = Case::new(&(0..40).map(row).collect::<String>(), Kind::Notify);
    let server = MailServer::start(case.folder.path(), &[]);
    by_smtp(&mut case, &server, 2);
    case.plan.schedule.per_domain = Some(20);
    assert_eq!(case.send(), Ending::Over);
    let order: Vec<_> = server.received().into_iter().map(|it| it.to).collect();
    let last_slow = order.iter().rposition(|to| to.ends_with("@slow.example")).unwrap();
    assert_eq!(order.len(), 40);
    assert!(last_slow < 20, "who goes to another domain is not kept back: {order:?}");
}

#[test]
fn mail_leaves_over_tls_or_not_at_all() {
    let mut case = Case::many(3, Kind::Notify);
    let folder = case.folder.path().to_owned();
    let certificate = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (certificate_file, key_file) = (folder.join("c.pem"), folder.join("k.pem"));
    fs::write(&certificate_file, certificate.cert.pem()).unwrap();
    fs::write(&key_file, certificate.signing_key.serialize_pem()).unwrap();
    let tls =
        ["--certificate", certificate_file.to_str().unwrap(), "--key", key_file.to_str().unwrap()];
    let server = MailServer::start(&folder, &tls);
    // Who does not trust the certificate sends nothing, and waits.
    let strange = way(&server, Privacy::StartTls);
    case.out = Out::Smtp(Arc::new(strange.clone()), 1);
    case.send_while(|case| {
        case.until("it waits", |case| case.is(Doing::Waiting, "no way out"));
        case.stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    assert_eq!(server.received(), []);
    case.stop.store(false, std::sync::atomic::Ordering::Relaxed);
    let trusted = Way { authority: Some(certificate.cert.pem().into_bytes()), ..strange };
    case.out = Out::Smtp(Arc::new(trusted.clone()), 1);
    assert_eq!(case.send(), Ending::Over);
    assert_eq!(server.received().len(), 3);
    // A server without STARTTLS gets nothing in plain text.
    let mut case = Case::many(1, Kind::Notify);
    let plain = MailServer::start(case.folder.path(), &[]);
    case.out = Out::Smtp(Arc::new(Way { port: plain.port, ..trusted.clone() }), 1);
    case.send_while(|case| {
        case.until("it waits", |case| case.is(Doing::Waiting, "STARTTLS"));
        case.stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    assert_eq!(plain.received(), []);
    let far = Way { host: "mail.example".to_owned(), privacy: Privacy::Plain, ..trusted };
    let mut case = Case::many(1, Kind::Notify);
    case.out = Out::Smtp(Arc::new(far), 1);
    assert!(matches!(case.try_send(None), Err(JobError::Usage(why)) if why.contains("plain text")));
}

#[test]
fn a_message_has_one_id_however_often_it_is_made_and_a_way_to_unsubscribe() {
    let text = "from: Example Bank <service@bank.example>\nsubject: Grüße, {{ first_name }}\n\
                text: Dear {{ first_name }}\nhtml: <p>Dear {{ first_name }}\n\
                unsubscribe: https://bank.example/u/{{ id }}\n";
    let mut case = Case::new("c-1,GB,NONE,Zoë & <b>,once-1@x.example,\n", Kind::Offer);
    case.template = Template::read("t.yaml", text.as_bytes()).unwrap();
    let server = MailServer::start(case.folder.path(), &[]);
    by_smtp(&mut case, &server, 1);
    assert_eq!(case.send(), Ending::Over);
    let received = server.received();
    let [message] = received.as_slice() else { panic!("{received:?}") };
    assert!(
        message.id.ends_with("@bank.example>") && message.id.len() == 2 + 32 + 13,
        "{}",
        message.id
    );
    let now = *case.clock.0.lock().unwrap();
    let messages = preview(&case.source, &case.plan, &case.template, now, 1).unwrap();
    let text = &messages[0];
    for line in [
        "List-Unsubscribe: <https://bank.example/u/c-1>",
        "List-Unsubscribe-Post: List-Unsubscribe=One-Click",
        "MIME-Version: 1.0",
    ] {
        assert!(text.contains(line), "{line} in {text}");
    }
    assert!(text.is_ascii() && text.contains("Zo=C3=AB &amp; &lt;b&gt;"), "{text}");
}
