//! `offergate batch sample`: the same bytes again, in known proportion, and what `batch decide` makes of them.

use crate::server::Server;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

/// Makes a sample in a folder.
fn sample(folder: &Path, customers: u64, more: &[&str]) {
    let ended = Command::new(env!("CARGO_BIN_EXE_offergate"))
        .env_clear()
        .current_dir(folder)
        .args(["batch", "sample", "--customers", &customers.to_string()])
        .args(more)
        .output()
        .unwrap();
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
}

fn summary(folder: &Path) -> Value {
    serde_json::from_slice(&fs::read(folder.join("sum.json")).unwrap()).unwrap()
}

/// Every row of a CSV file, by the names of its columns.
fn rows(path: &Path) -> Vec<BTreeMap<String, String>> {
    csv::Reader::from_path(path).unwrap().deserialize().map(Result::unwrap).collect()
}

/// Written down, so that a later version makes the file that this one did.
const FIRST_LINES: [&str; 4] = [
    "id,relationship,country,segment,date_of_birth,us_person,vulnerable,attributes.online_banking,\
     holdings.kis.status,holdings.kis.accepted_at,holdings.kis.term_end,email,household,name",
    "C8022101872,EXISTING,GB,RETAIL,1952-02-19,false,false,true,NONE,,,amelia.smith.3215@d285.example,H00003215,Amelia Smith",
    "C7619757395,EXISTING,GB,BUSINESS,1970-01-21,false,false,false,NONE,,,fatima.nowak.684@example.com,H00000684,Fatima Nowak",
    "C9772925750,EXISTING,GB,RETAIL,1941-07-14,false,false,true,NONE,,,imran.morgan.2249@mail.example,H00002248,Imran Morgan",
];

#[test]
fn the_same_seed_gives_the_same_bytes_and_a_longer_file_begins_as_a_shorter_one() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| fs::read(folder.path().join(name)).unwrap();
    let mut forms = vec!["csv", "jsonl"];
    if cfg!(feature = "parquet") {
        forms.push("parquet");
    }
    for form in forms {
        for (name, threads) in [("one", "1"), ("two", "3")] {
            let (name, threads) = (format!("{name}.{form}"), format!("--threads={threads}"));
            sample(folder.path(), 20_000, &["--output", &name, &threads]);
        }
        assert!(file(&format!("one.{form}")) == file(&format!("two.{form}")), "{form}");
    }
    sample(folder.path(), 5_000, &["--output", "short.csv"]);
    assert!(file("one.csv").starts_with(&file("short.csv")));
    sample(folder.path(), 5_000, &["--output", "other.csv", "--seed=2"]);
    assert!(file("other.csv") != file("short.csv"));
    let text = String::from_utf8(file("short.csv")).unwrap();
    assert_eq!(text.lines().take(4).collect::<Vec<_>>(), FIRST_LINES);
}

#[test]
fn what_the_summary_counts_can_be_counted_in_the_file_and_comes_as_often_as_promised() {
    const CUSTOMERS: u64 = 60_000;
    let folder = tempfile::tempdir().unwrap();
    let more = ["--output=all.csv", "--summary=sum.json", "--unsubscribed=no.txt"];
    sample(folder.path(), CUSTOMERS, &more);
    let (told, rows) = (summary(folder.path()), rows(&folder.path().join("all.csv")));
    assert_eq!(rows.len() as u64, CUSTOMERS);

    let column = |name: &str| rows.iter().map(|row| row[name].as_str()).collect::<Vec<_>>();
    let is_day = |text: &str| text.parse::<jiff::civil::Date>().is_ok() && text.len() == 10;
    type Check<'c> = &'c dyn Fn(&str) -> bool;
    let checks: [(&str, Check<'_>, u64, u64); 9] = [
        ("id", &|text| text.bytes().all(|byte| byte.is_ascii_alphanumeric()), 50, 30),
        ("country", &|text| text.len() == 2 && text != "UK" && text != "gb", 400, 300),
        ("segment", &|text| !["Retail", "PREMIER"].contains(&text), 300, 200),
        ("date_of_birth", &is_day, 500, 200),
        ("holdings.kis.status", &|text| !["Active", "EXPIRED"].contains(&text), 400, 100),
        ("email", &|text| is_address(text), 1_200, 500),
        ("relationship", &|text| ["NEW", "EXISTING"].contains(&text), 200, 0),
        ("vulnerable", &|text| text.parse::<bool>().is_ok(), 300, 0),
        ("attributes.online_banking", &|text| text.parse::<bool>().is_ok(), 400, 0),
    ];
    for (name, is_good, missing, malformed) in checks {
        let values = column(name);
        let found_missing = values.iter().filter(|text| text.is_empty()).count() as u64;
        let found_bad = values.iter().filter(|text| !text.is_empty() && !is_good(text)).count();
        assert_eq!(told["missing"][name].as_u64().unwrap_or(0), found_missing, "{name}");
        assert_eq!(told["malformed"][name].as_u64().unwrap_or(0), found_bad as u64, "{name}");
        near(name, found_missing, missing, CUSTOMERS);
        near(name, found_bad as u64, malformed, CUSTOMERS);
    }

    // The same person twice is the same row twice; the same address in one household is another person.
    let (mut seen, mut addresses) = (BTreeSet::new(), BTreeMap::<_, Vec<_>>::new());
    let (mut again, mut shared) = (0, 0);
    for row in &rows {
        let is_again = !row["id"].is_empty() && !seen.insert(row);
        again += u64::from(is_again);
        if is_address(&row["email"]) {
            let holders = addresses.entry(&row["email"]).or_default();
            shared += u64::from(holders.iter().any(|other: &&BTreeMap<_, _>| other != &row));
            assert!(holders.iter().all(|other| other["household"] == row["household"]));
            holders.push(row);
        }
    }
    assert_eq!(
        (&told["same_person_again"], &told["address_shared"]),
        (&again.into(), &shared.into())
    );
    near("same person again", again, 213, CUSTOMERS);
    assert!(CUSTOMERS / 50 < shared, "{shared}");

    let unsubscribed = fs::read_to_string(folder.path().join("no.txt")).unwrap();
    let unsubscribed: Vec<_> = unsubscribed.lines().map(str::to_owned).collect();
    assert_eq!(told["unsubscribed"], unsubscribed.len() as u64);
    assert!(unsubscribed.iter().all(|address| addresses.contains_key(address)));
    near("unsubscribed", unsubscribed.len() as u64, 5_900, CUSTOMERS);
    // Ten years of holdings.
    let years: BTreeSet<_> =
        column("holdings.kis.accepted_at").iter().filter_map(|at| at.get(..4)).collect();
    assert!(10 <= years.len(), "{years:?}");
}

/// Whether it is an address, under a domain that is reserved for examples.
fn is_address(text: &str) -> bool {
    let Some((local, domain)) = text.split_once('@') else { return false };
    let is_reserved = ["example.com", "example.org", "example.net"].contains(&domain)
        || domain.ends_with(".example");
    !local.is_empty() && !local.contains(' ') && is_reserved
}

/// Within five standard deviations of what is promised for 100,000 rows.
fn near(what: &str, found: u64, per_100_000: u64, rows: u64) {
    let expected = (per_100_000 * rows) as f64 / 100_000.0;
    let distance = (found as f64 - expected).abs();
    assert!(distance <= 5.0 * expected.sqrt(), "{what}: {found} of {expected}");
}

#[test]
fn batch_decide_rejects_what_the_summary_says_and_decides_the_rest_alike_from_every_form() {
    let server = Server::with_barclays();
    let mut forms = vec!["csv", "jsonl"];
    if cfg!(feature = "parquet") {
        forms.push("parquet");
    }
    let mut whole: Option<Value> = None;
    for form in forms {
        let name = format!("in.{form}");
        sample(server.folder(), 12_000, &["--output", &name, "--summary=sum.json"]);
        let told = summary(server.folder());
        let ended = server
            .offergate()
            .args(["batch", "decide", "--input", &name, "--output", &format!("out.{form}")])
            .args(["--offer=kis-12m,avast-12m", "--action=OFFER", "--summary=decided.json"])
            .args(["--as-of=2017-12-02T09:00:00Z"])
            .current_dir(server.folder())
            .output()
            .unwrap();
        assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
        let decided = fs::read(server.folder().join("decided.json")).unwrap();
        let mut decided: Value = serde_json::from_slice(&decided).unwrap();
        assert_eq!(decided["rejected"], told["rejected"], "{form}");
        assert_eq!(
            decided["decided"].as_u64().unwrap() + told["rejected"].as_u64().unwrap(),
            12_000,
            "{form}"
        );
        decided["input"] = Value::Null;
        // In JSON lines each row has names of its own.
        let carried = (form != "jsonl").then(|| json!(["email", "household", "name"]));
        assert_eq!(decided.as_object_mut().unwrap().remove("unread"), carried, "{form}");
        let whole = whole.get_or_insert_with(|| decided.clone());
        assert_eq!(*whole, decided, "{form}");
    }
}
