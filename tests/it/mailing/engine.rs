//! Who is written to, who is not and why, while rules move, hours pass and people give orders. The way out is
//! a folder.

use super::{Case, HEADER, StopOnPanic, TEMPLATE, TestGate};
use offergate::jobs::mailing::{
    Audience, Doing, Ending, Gate as _, Kind, Once, Quiet, Source, Suppressions, Template, Wanted,
};
use offergate::jobs::{Format, Mapping};
use offergate::ledger::State;
use std::collections::BTreeMap;
use std::fs;
use std::sync::atomic::Ordering;

fn expected(reasons: &[(&str, u64)]) -> BTreeMap<String, u64> {
    reasons.iter().map(|(name, many)| ((*name).to_owned(), *many)).collect()
}

#[test]
fn everybody_has_one_outcome_and_a_reason_why_not() {
    let rows = "\
c-1,GB,NONE,Ann,ann@x.example,h1
c-2,GB,NONE,Ann again,ANN@x.example,h1
c-3,FR,NONE,Not served,fr@x.example,h2
c-4,GB,,Not said,gap@x.example,h2
c-5,GB,NONE,Bounced,bounced@x.example,h3
c-6,GB,NONE,Left,left@x.example,h3
c-7,GB,NONE,No address,,h4
c-8,GB,NONE,Bad address,nobody,h4
,GB,NONE,No id,noid@x.example,h5
c-9,GB,NONE,too few
c-10,IE,NONE,Zoë,zoe@y.example,h6
";
    for (kind, sent, not_sent) in [
        (
            Kind::Offer,
            vec!["ann@x.example", "zoe@y.example"],
            expected(&[
                ("SENT @1", 2),
                ("NOT_SENT DUPLICATE", 1),
                ("NOT_SENT COUNTRY_NOT_SERVED@1", 1),
                ("NOT_SENT ATTRIBUTE_MISSING:holding@1", 1),
                ("NOT_SENT BOUNCED", 1),
                ("NOT_SENT UNSUBSCRIBED", 1),
                ("NOT_SENT ADDRESS_MISSING", 1),
                ("NOT_SENT ADDRESS_INVALID", 1),
                ("NOT_SENT ROW_UNREADABLE", 2),
            ]),
        ),
        (
            Kind::Notify,
            vec![
                "ann@x.example",
                "fr@x.example",
                "gap@x.example",
                "left@x.example",
                "zoe@y.example",
            ],
            expected(&[
                ("SENT @1", 5),
                ("NOT_SENT DUPLICATE", 1),
                ("NOT_SENT BOUNCED", 1),
                ("NOT_SENT ADDRESS_MISSING", 1),
                ("NOT_SENT ADDRESS_INVALID", 1),
                ("NOT_SENT ROW_UNREADABLE", 2),
            ]),
        ),
    ] {
        let mut case = Case::new(rows, kind);
        let file = |name: &str, text: &str| {
            let path = case.folder.path().join(name);
            fs::write(&path, text).unwrap();
            [path]
        };
        let bounced = file("bounced", "# by the mail server\nBounced@X.example\n");
        let left = file("left", "c-6\n");
        case.suppressions = Suppressions::read(&bounced, &left).unwrap();
        assert_eq!(case.send(), Ending::Over);
        assert_eq!(case.received(), sent, "{kind:?}");
        assert_eq!(case.reasons(), not_sent, "{kind:?}");
        assert!(case.is(Doing::Finished, ""));
        // Whoever comes again finds nobody left.
        assert_eq!(case.send(), Ending::Over);
        assert_eq!(case.received(), sent, "{kind:?}");
    }
}

#[test]
fn one_person_or_one_household_is_written_to_once() {
    let rows = "\
c-1,FR,NONE,Not served,one@x.example,h1
c-2,GB,NONE,Same house,two@x.example,h1
c-3,GB,NONE,Same house,three@x.example,h1
c-2,GB,NONE,Same person,four@x.example,h2
c-5,GB,NONE,No house,five@x.example,
c-6,GB,NONE,No house,five@x.example,
7,GB,NONE,In a house named like the next one,six@x.example,8
8,GB,NONE,No house,seven@x.example,
";
    for (once_per, received) in [
        (Once::Address, vec!["five", "four", "seven", "six", "three", "two"]),
        (Once::Person, vec!["five", "five", "seven", "six", "three", "two"]),
        (Once::Household, vec!["five", "five", "four", "seven", "six", "two"]),
    ] {
        let mut case = Case::new(rows, Kind::Offer);
        case.plan.once_per = once_per;
        case.plan.household_column = Some("household".to_owned());
        assert_eq!(case.send(), Ending::Over);
        let received: Vec<_> = received.iter().map(|name| format!("{name}@x.example")).collect();
        assert_eq!(case.received(), received, "{once_per:?}");
    }
}

/// Two of one household, of whom the first has to wait for a slot of its domain.
const HOUSEHOLD: &str = "\
c-1,GB,NONE,N,one@slow.example,h0
c-2,GB,NONE,N,two@slow.example,h1
c-3,GB,NONE,N,three@fast.example,h1
c-4,GB,NONE,N,four@other.example,h2
";

#[test]
fn who_is_put_off_is_not_overtaken_by_another_of_the_same_household() {
    let mut case = Case::new(HOUSEHOLD, Kind::Offer);
    case.plan.once_per = Once::Household;
    case.plan.household_column = Some("household".to_owned());
    case.plan.schedule.per_domain = Some(10);
    assert_eq!(case.send(), Ending::Over);
    let received = ["four@other.example", "one@slow.example", "two@slow.example"];
    assert_eq!(case.received(), received);
    assert_eq!(case.reasons(), expected(&[("SENT @1", 3), ("NOT_SENT DUPLICATE", 1)]));
}

#[test]
fn who_was_put_off_is_a_duplicate_of_whom_an_earlier_sender_wrote_to_further_down() {
    let mut case = Case::new(HOUSEHOLD, Kind::Offer);
    case.plan.household_column = Some("household".to_owned());
    case.plan.schedule.per_domain = Some(10);
    case.plan.schedule.waves = vec![2];
    let ending = case.send_while(|case| {
        case.until("the wave is out", |case| case.is(Doing::Paused, "wave 1"));
        case.stop.store(true, Ordering::Relaxed);
    });
    assert_eq!(ending, Ending::Interrupted);
    assert_eq!(case.received(), ["one@slow.example", "three@fast.example"]);
    case.stop.store(false, Ordering::Relaxed);
    case.order(Wanted::Go);
    case.plan.schedule.waves.clear();
    // As if the household had counted from the start.
    case.plan.once_per = Once::Household;
    assert_eq!(case.send(), Ending::Over);
    let received = ["four@other.example", "one@slow.example", "three@fast.example"];
    assert_eq!(case.received(), received);
    assert_eq!(case.reasons(), expected(&[("SENT @1", 3), ("NOT_SENT DUPLICATE", 1)]));
}

#[test]
fn nobody_is_the_duplicate_of_somebody_who_was_not_written_to() {
    // The first one's subject cannot be a header.
    let rows = "c-1,GB,NONE,A\u{7}nn,ann@x.example,\nc-2,GB,NONE,Ann,ann@x.example,\n";
    let mut case = Case::new(rows, Kind::Offer);
    let text = TEMPLATE.replace("For {{ id }}", "For {{ first_name }}");
    case.template = Template::read("t.yaml", text.as_bytes()).unwrap();
    assert_eq!(case.send(), Ending::Over);
    assert_eq!(case.reasons(), expected(&[("NOT_SENT TEMPLATE_FAILED", 1), ("SENT @1", 1)]));
    // One person with two addresses, of which the first is refused: its file is there already.
    let one = "c-1,GB,NONE,Ann,old@x.example,\n";
    let mut case = Case::new(one, Kind::Offer);
    assert_eq!(case.send(), Ending::Over);
    for end in ["", "-wal", "-shm"] {
        let _ = fs::remove_file(format!("{}{end}", case.path().display()));
    }
    fs::write(&case.source.path, format!("{HEADER}{one}c-1,GB,NONE,Ann,new@x.example,\n")).unwrap();
    case.plan.audience = case.source.freeze(&Default::default()).unwrap();
    case.plan.once_per = Once::Person;
    assert_eq!(case.send(), Ending::Over);
    assert_eq!(case.received(), ["new@x.example", "old@x.example"]);
    assert_eq!(case.reasons(), expected(&[("FAILED FILE_EXISTS@1", 1), ("SENT @1", 1)]));
}

#[test]
fn marketing_stops_when_a_suspension_comes_and_a_service_message_goes_on() {
    for (kind, doing) in [(Kind::Offer, Doing::StoppedByRule), (Kind::Notify, Doing::Finished)] {
        let mut case = Case::many(200, kind);
        case.plan.schedule.per_second = Some(200);
        let ending = case.send_while(|case| {
            case.until("some are sent", |case| 20 <= case.count(State::Sent));
            case.gate.suspend();
        });
        assert_eq!((ending, case.standing().unwrap().doing), (Ending::Over, doing));
        let sent = case.count(State::Sent);
        assert_eq!(case.received().len() as u64, sent);
        let denied = case.reasons().get("NOT_SENT VENDOR_SUSPENDED@2").copied().unwrap_or_default();
        match kind {
            Kind::Offer => {
                assert!((20..200).contains(&sent) && sent + denied == 200, "{sent} {denied}")
            }
            Kind::Notify => assert_eq!((sent, denied), (200, 0)),
        }
    }
}

#[test]
fn a_suspension_from_before_the_start_stops_nobody_else() {
    let case = Case::many(5, Kind::Offer);
    case.gate.suspend();
    // The mailing begins by the rules of revision 2 here, so nothing moved.
    assert_eq!(case.try_send(case.gate.newest()).unwrap(), Ending::Over);
    assert!(case.is(Doing::Finished, ""));
    assert_eq!(case.reasons(), expected(&[("NOT_SENT VENDOR_SUSPENDED@2", 5)]));
}

#[test]
fn a_suspension_is_in_force_from_when_it_was_made_on_a_clock_that_is_behind() {
    // The clock here says noon. The server's is a little ahead, or this one is well behind.
    for made_at in ["2026-12-01T12:00:00.05Z", "2026-12-01T12:10:00Z"] {
        let case = Case::many(5, Kind::Offer);
        case.gate.suspend_at(made_at);
        assert_eq!(case.send(), Ending::Over);
        assert_eq!(case.reasons(), expected(&[("NOT_SENT VENDOR_SUSPENDED@2", 5)]), "{made_at}");
    }
}

#[test]
fn marketing_waits_for_rules_that_are_in_force_and_a_service_message_does_not() {
    let mut case = Case::many(10, Kind::Offer);
    case.gate = TestGate::shut();
    let ending = case.send_while(|case| {
        case.until("it waits", |case| case.is(Doing::Waiting, "the test shut it"));
        assert_eq!(case.received(), Vec::<String>::new());
        case.gate.set_open(true);
    });
    assert_eq!((ending, case.received().len()), (Ending::Over, 10));
    let mut case = Case::many(10, Kind::Notify);
    case.gate = TestGate::shut();
    assert_eq!((case.send(), case.received().len()), (Ending::Over, 10));
}

#[test]
fn nothing_is_handed_over_before_the_mailing_is_bound_to_its_ledger() {
    for kind in [Kind::Offer, Kind::Notify] {
        let case = Case::many(10, kind);
        *case.unbound.lock().unwrap() = "it was begun elsewhere";
        let ending = case.send_while(|case| {
            case.until("it waits", |case| case.is(Doing::Waiting, "it was begun elsewhere"));
            assert_eq!(case.received(), Vec::<String>::new());
            *case.unbound.lock().unwrap() = "";
        });
        assert_eq!((ending, case.received().len()), (Ending::Over, 10));
    }
}

#[test]
fn a_wave_pauses_until_somebody_has_looked() {
    let mut case = Case::many(100, Kind::Offer);
    case.plan.schedule.waves = vec![10, 40];
    let ending = case.send_while(|case| {
        for (wave, sent) in [(1, 10), (2, 40)] {
            let why = format!("wave {wave} of {sent}");
            case.until("it pauses", |case| case.is(Doing::Paused, &why));
            assert_eq!(case.count(State::Sent), sent);
            case.order(Wanted::Go);
        }
    });
    assert_eq!((ending, case.count(State::Sent)), (Ending::Over, 100));
}

#[test]
fn nobody_is_written_to_in_quiet_hours_nor_before_or_after_the_schedule() {
    let mut case = Case::many(10, Kind::Notify);
    case.plan.schedule.quiet = Some(Quiet::parse("11:00-13:00", "UTC").unwrap());
    case.plan.schedule.from = Some("2026-12-01T12:30:00Z".parse().unwrap());
    let ending = case.send_while(|case| {
        let set = |now: &str| *case.clock.0.lock().unwrap() = now.parse().unwrap();
        case.until("it waits for its start", |case| case.is(Doing::Waiting, "begins at"));
        set("2026-12-01T12:45:00Z");
        case.until("it is quiet", |case| case.is(Doing::Waiting, "quiet hours until"));
        assert_eq!(case.received(), Vec::<String>::new());
        set("2026-12-01T13:00:00Z");
    });
    assert_eq!((ending, case.count(State::Sent)), (Ending::Over, 10));
    let mut case = Case::many(10, Kind::Notify);
    case.plan.schedule.until = Some("2026-12-01T12:00:00Z".parse().unwrap());
    assert_eq!(case.send(), Ending::Over);
    assert_eq!(case.reasons(), expected(&[("NOT_SENT SCHEDULE_ENDED", 10)]));
}

#[test]
fn people_pause_let_go_on_and_cancel_from_another_process() {
    let mut case = Case::many(300, Kind::Offer);
    case.plan.schedule.per_second = Some(300);
    let ending = case.send_while(|case| {
        case.until("some are sent", |case| 10 <= case.count(State::Sent));
        case.order(Wanted::Pause);
        case.until("it pauses", |case| case.is(Doing::Paused, "tester"));
        let sent = case.count(State::Sent);
        assert_eq!(case.count(State::Begun), 0, "nothing is in hand");
        case.order(Wanted::Go);
        case.until("it goes on", |case| sent < case.count(State::Sent));
        case.order(Wanted::Cancel);
    });
    assert_eq!(ending, Ending::Over);
    assert!(case.is(Doing::Cancelled, "tester"));
    let sent = case.count(State::Sent);
    assert!(sent < 300);
    assert_eq!(case.reasons().get("NOT_SENT CANCELLED"), Some(&(300 - sent)));
    assert_eq!(case.received().len() as u64, sent);
}

#[test]
fn nobody_who_was_put_off_keeps_an_ended_mailing_waiting() {
    // One domain, a message a second: 2,000 of them wait for their slots, and the rest are not even read.
    let row = |n: usize| format!("c-{n},GB,NONE,N{n},n{n}@x.example,\n");
    let rows: String = (0..2_500).map(row).collect();
    for (is_cancelled, reason) in [(true, "CANCELLED"), (false, "SCHEDULE_ENDED")] {
        let mut case = Case::new(&rows, Kind::Notify);
        case.plan.schedule.per_domain = Some(1);
        case.plan.schedule.until = Some("2026-12-01T13:00:00Z".parse().unwrap());
        let ending = case.send_while(|case| {
            case.until("one is sent", |case| 1 <= case.count(State::Sent));
            match is_cancelled {
                true => case.order(Wanted::Cancel),
                false => {
                    *case.clock.0.lock().unwrap() = "2026-12-01T13:00:00Z".parse().unwrap();
                }
            }
            case.until("it is over", |case| case.standing().is_some_and(|it| it.doing.is_over()));
        });
        assert_eq!(ending, Ending::Over);
        let left = case.reasons().get(&format!("NOT_SENT {reason}")).copied().unwrap_or_default();
        assert_eq!(left + case.count(State::Sent), 2_500);
    }
}

#[test]
fn a_process_that_is_told_to_end_leaves_the_rest_to_the_next_one() {
    let mut case = Case::many(300, Kind::Offer);
    case.plan.schedule.per_second = Some(300);
    let ending = case.send_while(|case| {
        case.until("some are sent", |case| 10 <= case.count(State::Sent));
        case.stop.store(true, Ordering::Relaxed);
    });
    assert_eq!(ending, Ending::Interrupted);
    assert!(case.is(Doing::Paused, "told to end"));
    assert_eq!((case.count(State::Begun), case.count(State::InDoubt)), (0, 0));
    let sent = case.count(State::Sent);
    case.stop.store(false, Ordering::Relaxed);
    case.plan.schedule.per_second = None;
    assert_eq!(case.send(), Ending::Over);
    assert!(sent < 300);
    assert_eq!((case.count(State::Sent), case.received().len()), (300, 300));
}

#[test]
fn proofs_come_first_and_are_no_customers() {
    let mut case = Case::many(5, Kind::Offer);
    let path = case.folder.path().join("proofs.csv");
    // One of them has an address of the audience's, which gets its own message all the same.
    fs::write(&path, format!("{HEADER}p-1,GB,NONE,Proof,n1@d1.example,\n")).unwrap();
    case.proofs = Some(Source::new(path, Format::Csv, Mapping::default()));
    case.plan.schedule.waves = vec![1];
    case.send_while(|case| {
        case.until("the wave is out", |case| case.is(Doing::Paused, "wave 1"));
        assert!(case.received().contains(&"n1@d1.example".to_owned()), "the proof came first");
        assert_eq!(case.count(State::Sent), 1);
        case.order(Wanted::Go);
    });
    assert_eq!(case.count(State::Sent), 5);
    assert_eq!(case.received().len(), 6);
}

#[test]
fn proofs_are_few_and_held_by_rules_and_suppressions_like_everybody() {
    let with_proofs = |kind: Kind, rows: &str| {
        let mut case = Case::many(2, kind);
        let path = case.folder.path().join("proofs.csv");
        fs::write(&path, format!("{HEADER}{rows}")).unwrap();
        case.proofs = Some(Source::new(path, Format::Csv, Mapping::default()));
        let left = case.folder.path().join("left");
        fs::write(&left, "left@bank.example\n").unwrap();
        case.suppressions = Suppressions::read(&[], &[left]).unwrap();
        case
    };
    let rows = "p-1,GB,NONE,Proof,one@bank.example,\np-2,GB,NONE,Proof,left@bank.example,\n";
    let case = with_proofs(Kind::Offer, rows);
    assert_eq!(case.send(), Ending::Over);
    assert_eq!(case.received(), ["n0@d0.example", "n1@d1.example", "one@bank.example"]);
    let case = with_proofs(Kind::Offer, rows);
    case.gate.suspend();
    assert_eq!(case.send(), Ending::Over);
    assert_eq!(case.received(), Vec::<String>::new(), "what is suspended is proved to nobody");
    // Another file at another time adds to the same hundred.
    let proof = |n: usize| format!("p-{n},GB,NONE,Proof,p{n}@bank.example,\n");
    for (first, many) in [(0, 101), (60, 100)] {
        let case = with_proofs(Kind::Notify, &(0..first).map(proof).collect::<String>());
        assert_eq!((case.send(), case.received().len()), (Ending::Over, first + 2));
        let other = (0..many).rev().map(proof).collect::<String>();
        fs::write(&case.proofs.as_ref().unwrap().path, format!("{HEADER}{other}")).unwrap();
        let told = case.try_send(None).unwrap_err().to_string();
        assert!(told.contains("more than 100 proofs"), "{told}");
    }
}

#[test]
fn an_audience_that_is_not_what_was_signed_ends_badly_and_loses_nobody() {
    let mut case = Case::many(5, Kind::Offer);
    case.plan.audience = Audience { rows: 6, ..case.plan.audience };
    let told = case.try_send(None).unwrap_err().to_string();
    assert!(told.contains("an outcome for 5 recipients, and the audience 6"), "{told}");
}

#[test]
fn nobody_is_written_to_who_was_put_into_the_audience_while_it_was_sent() {
    // More than is read ahead, and of one length, so that each row may be another's.
    let row = |n: usize, name: &str| {
        format!("c-{n:06},GB,NONE,{},{name}{n:06}@x.example,\n", "N".repeat(200))
    };
    let many = 30_000;
    let mut case = Case::new(&(0..many).map(|n| row(n, "ann")).collect::<String>(), Kind::Notify);
    case.plan.schedule.waves = vec![10];
    let told = std::thread::scope(|scope| {
        let sending = scope.spawn(|| case.try_send(None));
        let _stop = StopOnPanic(&case.stop);
        case.until("the wave is out", |case| case.is(Doing::Paused, "wave 1"));
        let others: String = (0..many).map(|n| row(n, "eve")).collect();
        fs::write(&case.source.path, format!("{HEADER}{others}")).unwrap();
        case.order(Wanted::Go);
        sending.join().unwrap().unwrap_err().to_string()
    });
    assert!(told.contains("changed after it was compared with what was signed"), "{told}");
    let received = case.received();
    assert!(10 <= received.len() && received.iter().all(|to| to.starts_with("ann")));
}
