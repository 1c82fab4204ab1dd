//! The decision log from inside: what is recorded, counted, refused, lost with a killed process, and told.

use crate::faults::Disk;
use crate::server::{Server, in_repository, within_limit};
use offergate::audit::decisions::folder::{each_line, segments};
use offergate::audit::decisions::segment::{Line, Missing, Parts};
use offergate::audit::decisions::{Auditor, CustomerIds, Told, Verdict};
use offergate::audit::{AuditKey, KeyName};
use offergate::client::Client;
use offergate::clock::{Clock, SystemClock};
use offergate::domain::*;
use offergate::recorder::{LogFull, Recorder, RecorderSettings, StartError};
use offergate::wire::proto;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tempfile::TempDir;
use uuid::Uuid;

pub(crate) fn key() -> AuditKey {
    AuditKey::from_seed(KeyName::default(), &[9; 32])
}

pub(crate) fn settings(folder: &Path) -> RecorderSettings {
    RecorderSettings {
        folder: folder.to_owned(),
        server: "test".to_owned(),
        workers: 4,
        sample_millionths: 1_000_000,
        refuse: false,
        ids: CustomerIds::Plain,
        key: Some(key()),
        keep_days: None,
        keep_bytes: None,
        lane_bytes: RecorderSettings::LANE_BYTES,
    }
}

pub(crate) fn start(settings: RecorderSettings) -> Arc<Recorder> {
    Recorder::start(settings, Arc::new(SystemClock)).unwrap()
}

/// Records one decision more.
pub(crate) fn record(recorder: &Recorder, customer: &str) -> Result<(), LogFull> {
    let now = SystemClock.wall();
    let customer = Customer { id: customer, ..Customer::default() };
    let (channel, device) = (Attribute::Missing, Attribute::Missing);
    let request =
        CheckRequest { customer, offer: "kis-12m", action: Action::Offer, channel, device };
    let reason = Reason::plain(ReasonCode::NoRuleApplies);
    recorder.record(&Told {
        id: Uuid::now_v7(),
        caller: None,
        request: &request,
        decision: &Decision::because(reason, Revision(1), now),
        valid_until: now,
        now,
        wall: now,
        limit: Duration::from_secs(5),
        stale: false,
        token: "",
        proof_age: None,
    })
}

/// What an auditor says of a folder.
pub(crate) fn verdict(folder: &Path) -> Verdict {
    let verifier = key().verifier();
    let mut auditor = Auditor::new(Some(&verifier));
    for segment in segments(folder).unwrap() {
        auditor.begin(segment.number);
        each_line(segment.open().unwrap(), |line, is_whole| {
            if is_whole {
                auditor.take(line)
            } else {
                auditor.take_torn()
            }
            Ok::<_, std::io::Error>(true)
        })
        .unwrap();
    }
    auditor.finish()
}

/// All lines of a folder.
pub(crate) fn lines(folder: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    for segment in segments(folder).unwrap() {
        each_line(segment.open().unwrap(), |line, _| {
            lines.push(String::from_utf8(line.to_vec()).unwrap());
            Ok::<_, std::io::Error>(true)
        })
        .unwrap();
    }
    lines
}

pub(crate) fn records(folder: &Path) -> Vec<String> {
    lines(folder).into_iter().filter(|line| line.starts_with("{\"seq\":")).collect()
}

#[test]
fn one_process_writes_to_a_folder_and_the_next_one_goes_on_from_it() {
    let folder = TempDir::new().unwrap();
    for turn in 1..=3 {
        let recorder = start(settings(folder.path()));
        let second = Recorder::start(settings(folder.path()), Arc::new(SystemClock));
        assert!(matches!(second, Err(StartError::InUse { .. })), "{second:?}");
        record(&recorder, "c-1").unwrap();
        drop(recorder);
        let verdict = verdict(folder.path());
        assert_eq!((verdict.findings.len(), verdict.records, verdict.segments), (0, turn, turn));
    }
}

#[test]
fn a_torn_end_is_put_aside_and_told_and_nothing_before_it_is_lost() {
    let folder = TempDir::new().unwrap();
    let recorder = start(settings(folder.path()));
    (0..10).for_each(|_| record(&recorder, "c-1").unwrap());
    recorder.stop();
    drop(recorder);
    // As a killed process leaves it: no footer, and half a line.
    let mut left = lines(folder.path());
    left.pop();
    let path = segments(folder.path()).unwrap().remove(0).path;
    std::fs::remove_file(&path).unwrap();
    let plain = path.with_extension("");
    let plain = if plain.extension().is_some() { plain } else { path };
    let half = &left[5][..40];
    std::fs::write(&plain, left.join("\n") + "\n" + half).unwrap();

    let recorder = start(settings(folder.path()));
    record(&recorder, "c-2").unwrap();
    assert_eq!(recorder.seen().gaps, 1);
    recorder.stop();
    let verdict = verdict(folder.path());
    assert_eq!((verdict.findings.len(), verdict.records, verdict.signed), (0, 11, 11));
    let [(1, gap)] = &verdict.gaps[..] else { panic!("{:?}", verdict.gaps) };
    assert_eq!((gap.why, gap.count, gap.cut_bytes), (Missing::EndedAbruptly, None, 40));
    let mut torn = plain.into_os_string();
    torn.push(".torn");
    assert_eq!(std::fs::read_to_string(torn).unwrap(), half);
}

#[test]
fn while_the_disk_is_full_checks_are_refused_and_what_was_told_before_is_written_later() {
    let place = TempDir::new().unwrap();
    let folder = place.path().join("disk");
    let Some(disk) = Disk::over(&folder) else {
        eprintln!("SKIPPED: only root can make a disk of one megabyte");
        return;
    };
    let recorder = start(RecorderSettings { refuse: true, ..settings(&folder) });
    disk.fill();
    let asked = Arc::clone(&recorder);
    let mut taken = within_limit(move || {
        let mut taken = 0;
        // No more than what the disk has room for once it is empty again.
        loop {
            if taken < 1_000 || asked.seen().is_failing {
                match record(&asked, "c-1") {
                    Ok(()) => taken += 1,
                    Err(LogFull) => break,
                }
            }
            std::thread::yield_now();
        }
        taken
    });
    disk.empty();
    let asked = Arc::clone(&recorder);
    within_limit(move || {
        while record(&asked, "c-1").is_err() {
            std::thread::yield_now();
        }
    });
    taken += 1;
    recorder.stop();
    let verdict = verdict(&folder);
    assert_eq!((verdict.findings.len(), verdict.gaps.len()), (0, 0), "{:?}", verdict.findings);
    assert_eq!(verdict.records, taken);
    drop(recorder);
}

/// Starts a server that records everything, over the demonstration's rules.
pub(crate) fn recording(folder: &Path) -> Server {
    let server = recording_again(folder);
    let rules = in_repository("deploy/demo/barclays.rules.yaml");
    server.by_two(&["apply", rules.to_str().unwrap()]);
    server
}

/// The same, over the rules that are there.
fn recording_again(folder: &Path) -> Server {
    let (log, store) = (folder.join("log"), folder.join("rules.db"));
    Server::start_on(
        &store,
        &["--decision-log", "complete", "--decision-log-dir", log.to_str().unwrap()],
    )
}

pub(crate) fn check(customer: &str) -> proto::CheckEligibilityRequest {
    proto::CheckEligibilityRequest {
        customer: Some(proto::Customer { id: customer.to_owned(), ..<_>::default() }),
        offer: "kis-12m".to_owned(),
        action: proto::Action::Use.into(),
        ..<_>::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_killed_server_answered_is_in_its_log_or_lies_in_the_time_that_a_gap_names() {
    let folder = TempDir::new().unwrap();
    let mut server = recording(folder.path());
    let client = Client::connect(&server.address, Duration::from_secs(10)).await.unwrap();
    let answered = Arc::new(Mutex::new(Vec::new()));
    let answers = Arc::clone(&answered);
    let asking = tokio::spawn(async move {
        while let Ok(answer) = client.check_eligibility(check("c-1")).await {
            let decision = answer.decision.unwrap();
            let as_of = offergate::wire::time::read(&decision.as_of.unwrap()).unwrap();
            answers.lock().unwrap().push((decision.decision_id, as_of));
        }
    });
    while answered.lock().unwrap().len() < 300 {
        tokio::task::yield_now().await;
    }
    server.kill();
    asking.await.unwrap();
    drop(server);
    let again = recording_again(folder.path());
    let log = folder.path().join("log");
    let lines = records(&log);
    let verdict = verdict_unsigned(&log);
    assert_eq!(verdict.findings, []);
    let [(_, gap)] = &verdict.gaps[..] else { panic!("{:?}", verdict.gaps) };
    assert_eq!(gap.why, Missing::EndedAbruptly);
    let is_there = |id: &str| lines.iter().any(|line| line.contains(id));
    for (id, as_of) in answered.lock().unwrap().iter() {
        let is_told = gap.after.unwrap() < *as_of && *as_of < gap.at;
        assert!(is_there(id) || is_told, "{id} of {as_of} is neither there nor in {gap:?}");
    }
    drop(again);
}

fn verdict_unsigned(folder: &Path) -> Verdict {
    let mut auditor = Auditor::new(None);
    for segment in segments(folder).unwrap() {
        auditor.begin(segment.number);
        each_line(segment.open().unwrap(), |line, is_whole| {
            if is_whole {
                auditor.take(line)
            } else {
                auditor.take_torn()
            }
            Ok::<_, std::io::Error>(true)
        })
        .unwrap();
    }
    auditor.finish()
}

#[test]
fn the_command_line_lists_who_was_told_yes_and_replays_what_they_were_told() {
    let folder = TempDir::new().unwrap();
    let server = recording(folder.path());
    let log = folder.path().join("log");
    let log = log.to_str().unwrap();
    let ask = |customer: &str, country: &str, action: &str, holding: &str| {
        let arguments = [
            "check",
            "--customer",
            customer,
            "--offer",
            "kis-12m",
            "--action",
            action,
            "--country",
            country,
            "--holding",
            holding,
        ];
        server.json(&arguments)["outcome"].as_str().unwrap().to_owned()
    };
    // Holders go on using it, new customers in Great Britain are not offered it, and a notice is none.
    for (customer, country, action, holding, outcome) in [
        ("c-1", "GB", "USE", "ACTIVE", "ELIGIBLE"),
        ("c-2", "GB", "OFFER", "NONE", "INELIGIBLE"),
        ("c-3", "IE", "USE", "ACTIVE", "ELIGIBLE"),
        ("c-1", "GB", "UPDATE", "ACTIVE", "ELIGIBLE"),
        ("c-4", "GB", "NOTIFY", "NONE", "ELIGIBLE"),
    ] {
        assert_eq!(ask(customer, country, action, holding), outcome, "{customer} {action}");
    }
    let wanted = 5;
    let all = log.to_owned();
    within_limit(move || {
        while records(Path::new(&all)).len() < wanted {
            std::thread::yield_now();
        }
    });
    let replayed = server.json(&["audit", "replay", log]);
    assert_eq!((&replayed["replayed"], &replayed["differing"]), (&5.into(), &0.into()));
    let exposed = |vendor: &str, from: &str| {
        server.json(&[
            "audit",
            "exposures",
            "--vendor",
            vendor,
            "--from",
            from,
            "--until",
            "9000-01-01T00:00:00Z",
            log,
        ])
    };
    let found = exposed("kaspersky-labs-ltd", "2000-01-01T00:00:00Z");
    let rows: Vec<_> = found["exposures"].as_array().unwrap().iter().collect();
    let row = |row: &serde_json::Value| {
        format!("{} {} {}", row["customer"], row["count"], row["actions"]).replace('"', "")
    };
    assert_eq!(
        rows.iter().map(|it| row(it)).collect::<Vec<_>>(),
        ["c-1 2 UPDATE USE", "c-3 1 USE"]
    );
    assert_eq!(found["is_complete"], true);
    assert_eq!(
        (&found["days"][0]["customers"], &found["days"][0]["decisions"]),
        (&2.into(), &3.into())
    );
    let none = exposed("kaspersky-labs-ltd", "8000-01-01T00:00:00Z");
    assert_eq!(none["exposures"].as_array().unwrap().len(), 0);
}

#[test]
fn no_line_of_a_log_or_metric_names_a_customer_and_a_keyed_decision_log_does_not_either() {
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let keys = path("keys");
    std::fs::write(&keys, format!("1 {}\n", "ab".repeat(32))).unwrap();
    let mut chmod = std::process::Command::new("chmod");
    assert!(chmod.args(["600", &keys]).status().unwrap().success());
    let server = Server::start_talking(
        &folder.path().join("rules.db"),
        &path("said"),
        &[
            "--decision-log",
            "complete",
            "--decision-log-dir",
            &path("log"),
            "--decision-log-customer-ids",
            "keyed",
            "--decision-log-key-file",
            &keys,
        ],
    );
    let rules = in_repository("deploy/demo/barclays.rules.yaml");
    server.by_two(&["apply", rules.to_str().unwrap()]);
    const SECRET: &str = "customer-8d1f";
    for offer in ["kis-12m", "no-such-offer"] {
        server.json(&["check", "--customer", SECRET, "--offer", offer, "--action", "USE"]);
    }
    let metrics = crate::cli_serve::get(&server.management, "/metrics");
    assert!(metrics.contains("offergate_decision_log_records_total"), "{metrics}");
    assert!(!metrics.contains(SECRET), "{metrics}");
    server.signal("TERM");
    let mut server = server;
    assert!(server.wait().success());
    let said = std::fs::read_to_string(path("said")).unwrap();
    assert!(said.contains("TRACE") && !said.contains(SECRET));
    let log = lines(&folder.path().join("log")).join("\n");
    assert!(log.contains("\"k1:") && !log.contains(SECRET), "{log}");
}

#[test]
fn a_line_is_header_record_gap_or_footer_and_common_tools_read_them_all() {
    let folder = TempDir::new().unwrap();
    let recorder = start(settings(folder.path()));
    record(&recorder, "c-1").unwrap();
    recorder.stop();
    let kinds: Vec<_> = lines(folder.path())
        .iter()
        .map(|line| match Parts::of(line.as_bytes()).unwrap().line {
            Line::Header(_) => "header",
            Line::Record(_) => "record",
            Line::Gap(_) => "gap",
            Line::Footer(..) => "footer",
        })
        .collect();
    assert_eq!(kinds, ["header", "record", "footer"]);
}
