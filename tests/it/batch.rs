//! `offergate batch decide` and `merge` against a real server: what goes in, what comes out, and what
//! is refused, in every form.

use crate::server::Server;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

const AS_OF: &str = "2026-11-24T00:00:00Z";

/// The arguments of a usual job.
pub(crate) const USUAL: [&str; 4] = ["--offer=kis-12m", "--action=OFFER", "--as-of", AS_OF];

/// Runs a job from one file of the server's folder to another.
fn decide(server: &Server, input: &str, output: &str, more: &[&str]) -> Output {
    let path = |name: &str| match name {
        "-" => PathBuf::from("-"),
        name => server.folder().join(name),
    };
    let mut command = server.offergate();
    command.args(["batch", "decide", "--input"]).arg(path(input)).arg("--output").arg(path(output));
    command.current_dir(server.folder()).args(USUAL).args(more).output().unwrap()
}

/// The same, for a job that must succeed.
fn decided(server: &Server, input: &str, output: &str, more: &[&str]) -> String {
    let ended = decide(server, input, output, more);
    assert!(ended.status.success(), "{}", stderr(&ended));
    fs::read(server.folder().join(output)).map(|it| String::from_utf8_lossy(&it).into()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn write(server: &Server, name: &str, text: &[u8]) {
    fs::write(server.folder().join(name), text).unwrap();
}

/// The names in a folder that are neither the server's nor an input's.
pub(crate) fn left_in(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap().map(|it| it.unwrap().file_name().into_string());
    let mut names: Vec<_> = names.map(Result::unwrap).collect();
    names.retain(|name| !name.starts_with("rules") && !name.starts_with("in."));
    names.sort();
    names
}

const HEADER: &str = "customer.id,country,segment,attributes.online_banking,date_of_birth,\
                      vulnerable,channel,holding.status,holding.term_end,account\n";

/// Customers as a CSV file has them; every value is one that a single check can be asked with, too.
const CUSTOMERS: [[&str; 10]; 8] = [
    ["c-1", "GB", "RETAIL", "true", "1985-04-12", "false", "WEB", "NONE", "", "A-1"],
    ["c-2", "IE", "RETAIL", "true", "1985-04-12", "false", "WEB", "NONE", "", "A, 2"],
    ["c-3", "UK", "RETAIL", "true", "1985-04-12", "false", "WEB", "NONE", "", ""],
    ["c-4", "FR", "BUSINESS", "true", "2020-04-12", "false", "WEB", "LAPSED", "", "A-4"],
    ["c-5", "IE", "RETAIL", "false", "1985-04-12", "true", "EMAIL", "NONE", "", "A \"5\""],
    ["c-6", "IE", "RETAIL", "", "", "", "", "", "", "A-6"],
    [
        "c-7",
        "IE",
        "RETAIL",
        "true",
        "1985-04-12",
        "false",
        "WEB",
        "ACTIVE",
        "2017-01-01T00:00:00Z",
        "",
    ],
    ["c-8", "IE", "NOBODY", "true", "1985-02-30", "false", "FAX", "ACTIVE", "", "é"],
];

fn csv_of(rows: &[[&str; 10]]) -> String {
    let mut writer = csv::Writer::from_writer(Vec::new());
    rows.iter().for_each(|row| writer.write_record(row).unwrap());
    HEADER.to_owned() + &String::from_utf8(writer.into_inner().unwrap()).unwrap()
}

/// The same customer as an object, as a request has it.
fn customer_of(row: &[&str; 10]) -> Value {
    let [id, country, segment, banking, born, vulnerable, _, status, term_end, _] = *row;
    let mut customer = json!({"id": id});
    let mut holding = json!({});
    for (name, text) in [("country", country), ("segment", segment), ("date_of_birth", born)] {
        if !text.is_empty() {
            customer[name] = json!(text);
        }
    }
    for (name, text) in [("status", status), ("term_end", term_end)] {
        if !text.is_empty() {
            holding[name] = json!(text);
        }
    }
    if holding != json!({}) {
        customer["holding"] = holding;
    }
    if !vulnerable.is_empty() {
        customer["vulnerable"] = json!(vulnerable == "true");
    }
    if !banking.is_empty() {
        customer["attributes"] = json!({"online_banking": banking == "true"});
    }
    customer
}

/// What every row says, in every form.
fn json_lines() -> String {
    let line = |row: &[&str; 10]| {
        let mut line = json!({"customer": customer_of(row), "account": row[9]});
        if !row[6].is_empty() {
            line["channel"] = json!(row[6]);
        }
        line.to_string() + "\n"
    };
    CUSTOMERS.iter().map(line).collect()
}

#[cfg(feature = "parquet")]
fn write_parquet(path: &Path) {
    use arrow_array::{
        ArrayRef, BooleanArray, RecordBatch, StringArray, TimestampMicrosecondArray,
    };
    use std::sync::Arc;
    let names: Vec<&str> = HEADER.trim_end().split(',').collect();
    let column = |place: usize| {
        CUSTOMERS.iter().map(move |row| Some(row[place]).filter(|it| !it.is_empty()))
    };
    let columns = names.iter().enumerate().map(|(place, name)| {
        let array: ArrayRef = match *name {
            "attributes.online_banking" | "vulnerable" => {
                let truths = column(place).map(|text| text.map(|text| text == "true"));
                Arc::new(truths.collect::<BooleanArray>())
            }
            "holding.term_end" => {
                let micros = |text: &str| text.parse::<jiff::Timestamp>().unwrap().as_microsecond();
                let instants = column(place).map(|text| text.map(micros));
                Arc::new(instants.collect::<TimestampMicrosecondArray>().with_timezone("UTC"))
            }
            _ => Arc::new(column(place).collect::<StringArray>()),
        };
        (*name, array, true)
    });
    let batch = RecordBatch::try_from_iter_with_nullable(columns).unwrap();
    let file = fs::File::create(path).unwrap();
    let mut writer = parquet::arrow::ArrowWriter::try_new(file, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

/// What a decision says, by customer: outcome, reasons, suspensions, alternate.
type Answers = BTreeMap<String, (String, String, String, String)>;

fn answers(csv_text: &str) -> Answers {
    let mut reader = csv::Reader::from_reader(csv_text.as_bytes());
    let header = reader.headers().unwrap().clone();
    let place = |name: &str| header.iter().position(|column| column == name).unwrap();
    let id = header.iter().position(|column| column == "customer.id").unwrap();
    let rows = reader.records().map(|row| {
        let row = row.unwrap();
        let cell = |name: &str| row[place(name)].to_owned();
        let answer = (cell("outcome"), cell("reasons"), cell("suspensions"), cell("alternate"));
        (row[id].to_owned(), answer)
    });
    rows.collect()
}

fn asked_one_by_one(server: &Server) -> Answers {
    let joined = |list: &Value, text: &dyn Fn(&Value) -> String| {
        list.as_array().unwrap().iter().map(text).collect::<Vec<_>>().join(" ")
    };
    let reason = |reason: &Value| match reason["attribute"].as_str() {
        Some(attribute) => format!("{}:{attribute}", reason["code"].as_str().unwrap()),
        None => reason["code"].as_str().unwrap().to_owned(),
    };
    let rows = CUSTOMERS.iter().map(|row| {
        let mut request =
            json!({"customer": customer_of(row), "offer": "kis-12m", "action": "OFFER"});
        if !row[6].is_empty() {
            request["channel"] = json!(row[6]);
        }
        let file = server.folder().join("in.request.json");
        fs::write(&file, request.to_string()).unwrap();
        let answer = server.json(&["check", "--request", file.to_str().unwrap()]);
        let suspensions =
            joined(&answer["suspensions"], &|it| it["id"].as_str().unwrap().to_owned());
        let alternate = answer["alternate"].as_str().unwrap_or_default().to_owned();
        let outcome = answer["outcome"].as_str().unwrap().to_owned();
        (row[0].to_owned(), (outcome, joined(&answer["reasons"], &reason), suspensions, alternate))
    });
    rows.collect()
}

#[test]
fn every_form_is_decided_as_each_customer_is_when_asked_about_alone() {
    let server = Server::with_barclays();
    write(&server, "in.csv", csv_of(&CUSTOMERS).as_bytes());
    write(&server, "in.jsonl", json_lines().as_bytes());
    let expected = asked_one_by_one(&server);
    let outcomes: std::collections::BTreeSet<_> = expected.values().map(|it| &it.0).collect();
    assert_eq!(outcomes.len(), 3, "{expected:?}");

    let mut forms = vec!["in.csv", "in.jsonl"];
    #[cfg(feature = "parquet")]
    {
        write_parquet(&server.folder().join("in.parquet"));
        forms.push("in.parquet");
    }
    for form in forms {
        // A table of JSON lines has the columns of the first row, and rejects rows with others.
        let rows = decided(&server, form, "out.csv", &[]);
        let found = answers(&rows);
        for (id, answer) in &found {
            assert_eq!(answer, &expected[id], "{form}: {id}");
        }
        let rejects = fs::read_to_string(server.folder().join("out.csv.rejects.csv")).unwrap();
        assert_eq!(found.len() + rejects.lines().count() - 1, CUSTOMERS.len(), "{form}: {rejects}");
        assert!(form == "in.jsonl" || found.len() == CUSTOMERS.len(), "{form}: {rejects}");
        // JSON lines carry everything, from every form.
        let lines = decided(&server, form, "out.jsonl", &[]);
        assert_eq!(lines.lines().count(), CUSTOMERS.len());
        for (line, row) in lines.lines().zip(&CUSTOMERS) {
            let line: Value = serde_json::from_str(line).unwrap();
            assert_eq!(line["outcome"], expected[row[0]].0, "{form}: {line}");
            assert_eq!(line["account"].as_str().unwrap_or_default(), row[9]);
        }
    }
}

#[test]
#[cfg(feature = "parquet")]
fn parquet_keeps_the_types_of_what_it_carries_and_is_the_same_bytes_twice() {
    use arrow_schema::DataType;
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
    let server = Server::with_barclays();
    write_parquet(&server.folder().join("in.parquet"));
    decided(&server, "in.parquet", "one.parquet", &["--threads=1"]);
    decided(&server, "in.parquet", "two.parquet", &["--threads=3"]);
    let [one, two] = ["one", "two"]
        .map(|name| fs::read(server.folder().join(format!("{name}.parquet"))).unwrap());
    assert!(one == two);
    let file = fs::File::open(server.folder().join("one.parquet")).unwrap();
    let schema = ParquetRecordBatchReaderBuilder::try_new(file).unwrap().schema().clone();
    let is = |name: &str| schema.field_with_name(name).unwrap().data_type().clone();
    assert_eq!(is("vulnerable"), DataType::Boolean);
    assert!(matches!(is("holding.term_end"), DataType::Timestamp(_, Some(_))));
    assert_eq!((is("outcome"), is("revision")), (DataType::Utf8, DataType::Int64));
}

#[test]
fn the_same_input_revision_and_instant_give_the_same_bytes_and_shards_are_the_whole() {
    let server = Server::with_barclays();
    // More rows than one chunk has.
    let rows: Vec<String> = (0..10_007)
        .map(|number| format!("c-{number},GB,RETAIL,true,1985-04-12,false,WEB,NONE,,{number}\n"))
        .collect();
    let mut text = HEADER.to_owned() + &rows.concat();
    text.push_str("c-bad,GB\n");
    write(&server, "in.csv", text.as_bytes());
    let one = decided(&server, "in.csv", "one.csv", &["--threads=1", "--summary=whole.json"]);
    let two = decided(&server, "in.csv", "two.csv", &["--threads=4"]);
    assert!(one == two);
    assert_eq!(one.lines().count(), 1 + 10_007);

    let mut lines: Vec<String> = Vec::new();
    let mut merge = vec!["batch".to_owned(), "merge".to_owned()];
    for shard in ["0/3", "1/3", "2/3"] {
        let name = format!("part-{}", &shard[..1]);
        let summary = server.folder().join(format!("{name}.json")).display().to_string();
        let more = ["--revision=2", "--shard", shard, "--summary", &summary];
        let part = decided(&server, "in.csv", &format!("{name}.csv"), &more);
        lines.extend(part.lines().skip(1).map(str::to_owned));
        merge.push(summary);
    }
    let mut whole: Vec<_> = one.lines().skip(1).collect();
    whole.sort_unstable();
    lines.sort_unstable();
    assert!(whole == lines);
    let merged = server.offergate().args(&merge).output().unwrap();
    let of_whole = fs::read(server.folder().join("whole.json")).unwrap();
    assert_eq!(String::from_utf8(merged.stdout), String::from_utf8(of_whole));
    let missing = server.offergate().args(&merge[..4]).output().unwrap();
    assert_eq!(missing.status.code(), Some(4), "{}", stderr(&missing));
    assert!(stderr(&missing).contains("shard 2/3 is missing"), "{}", stderr(&missing));
}

#[test]
fn rows_that_cannot_be_read_are_listed_with_their_line_and_counted() {
    let server = Server::with_barclays();
    let long = "x".repeat(2 << 20);
    write(
        &server,
        "in.csv",
        b"\xef\xbb\xbfid,country,holding.status,note\r\nc-1,IE,NONE,\"two\nlines\"\r\nc-2,IE\r\n\
          ,IE,NONE,x\r\n\r\nc-4,I\xffE,NONE,x\r\nc-5,IE,NONE,\"a,b\"\r\nc 6\x7f,IE,NONE,\r\n",
    );
    let rows = decided(&server, "in.csv", "out.csv", &["--summary=sum.json"]);
    assert!(rows.starts_with("id,country,holding.status,note,offer,"), "{rows}");
    assert!(rows.contains("c-1,IE,NONE,\"two\nlines\",kis-12m,"), "{rows}");
    let rejects = fs::read_to_string(server.folder().join("out.csv.rejects.csv")).unwrap();
    let lines: Vec<_> = rejects.lines().map(|line| line.split(',').next().unwrap()).collect();
    assert_eq!(lines, ["line", "4", "5", "7", "9"], "{rejects}");
    let summary: Value =
        serde_json::from_slice(&fs::read(server.folder().join("sum.json")).unwrap()).unwrap();
    assert_eq!((&summary["decided"], &summary["rejected"]), (&json!(2), &json!(4)));

    let lines = format!(
        "{{\"id\":\"c-1\"}}\n{{\"id\":\n[1]\n\n{{\"id\":\"c-2\",\"id\":\"c-3\"}}\n{{\"no\":1}}\n\
         {{\"id\":\"c-4\",\"holding\":{{\"term_ends\":1}}}}\n{{\"id\":\"{long}\"}}\n{{\"id\":\"c-9\"}}"
    );
    write(&server, "in.jsonl", lines.as_bytes());
    let rows = decided(&server, "in.jsonl", "out.jsonl", &[]);
    assert_eq!(rows.lines().count(), 2, "{rows}");
    let rejects = fs::read_to_string(server.folder().join("out.jsonl.rejects.csv")).unwrap();
    let lines: Vec<_> = rejects.lines().map(|line| line.split(',').next().unwrap()).collect();
    assert_eq!(lines, ["line", "2", "3", "5", "6", "7", "8"], "{rejects}");

    let ended = decide(&server, "in.jsonl", "none.jsonl", &["--max-rejects=5"]);
    assert_eq!(ended.status.code(), Some(1));
    assert!(!server.folder().join("none.jsonl").exists());
    assert!(server.folder().join("none.jsonl.rejects.csv").exists());
}

#[test]
fn an_input_that_cannot_be_used_is_refused_and_leaves_nothing() {
    let server = Server::with_barclays();
    let quote = format!("id\nc-1\n\"{}", "x,\n".repeat(2 << 20));
    for (text, code, expected) in [
        ("", 1, "a header is needed"),
        ("country\nGB\n", 2, "no column is `customer.id`"),
        ("id,country,country\nc,GB,GB\n", 2, "columns 2 and 3 are both named `country`"),
        ("id,holding.term_ends\nc,GB\n", 2, "`holding.term_ends` is no name of a request"),
        ("id,outcome\nc,GB\n", 2, "has a column `outcome`"),
        (quote.as_str(), 1, "is a quote left open?"),
    ] {
        write(&server, "in.csv", text.as_bytes());
        let ended = decide(&server, "in.csv", "out.csv", &[]);
        assert!(stderr(&ended).contains(expected), "{}", stderr(&ended));
        assert_eq!(ended.status.code(), Some(code), "{expected}");
        assert_eq!(left_in(server.folder()), [""; 0], "{expected}");
    }
    write(&server, "in.csv", b"id,country\n");
    for (more, code) in [
        (&["--revision=9"][..], 3),
        (&["--shard=0/2"], 2),
        (&["--shard=2/2", "--revision=1"], 2),
        (&["--revision=1", "--on-change=restart"], 2),
        (&["--offer=kis-12m"], 2),
        (&["--offer=nope"], 3),
        (&["--server=http://127.0.0.1:1", "--timeout=1"], 5),
    ] {
        let ended = decide(&server, "in.csv", "out.csv", more);
        assert_eq!(ended.status.code(), Some(code), "{more:?}: {}", stderr(&ended));
        assert_eq!(left_in(server.folder()), [""; 0], "{more:?}");
    }
    assert_eq!(decide(&server, "in.none.csv", "out.csv", &[]).status.code(), Some(3));
    let rows = decided(&server, "in.csv", "out.csv", &["--offer=nope", "--allow-unknown-offer"]);
    assert_eq!(rows.lines().count(), 1);
}

#[test]
fn columns_are_mapped_and_several_offers_come_in_one_pass() {
    let server = Server::with_barclays();
    write(&server, "in.csv", b"no,land,kis,outcome\nc-1,IE,NONE,old\nc-2,GB,ACTIVE,old\n");
    let map = "columns: {no: customer.id, land: country, kis: holdings.kis.status, outcome: null}\n\
               constants: {segment: RETAIL, attributes.online_banking: true, vulnerable: false,\n\
               date_of_birth: \"1985-04-12\", holdings.avast-internet-security.status: NONE}\n";
    write(&server, "in.map.yaml", map.as_bytes());
    let more = ["--offer=avast-12m", "--map=in.map.yaml"];
    let rows = decided(&server, "in.csv", "out.csv", &more);
    let shown: Vec<_> =
        rows.lines().skip(1).map(|row| row.split(',').collect::<Vec<_>>()).collect();
    let shown: Vec<_> = shown.iter().map(|row| row[..6].join(",")).collect();
    assert_eq!(
        shown,
        [
            "c-1,IE,NONE,kis-12m,ELIGIBLE,NO_RULE_APPLIES",
            "c-1,IE,NONE,avast-12m,ELIGIBLE,NO_RULE_APPLIES",
            "c-2,GB,ACTIVE,kis-12m,INELIGIBLE,VENDOR_SUSPENDED ALREADY_HELD UNIT_LIMIT_REACHED",
            "c-2,GB,ACTIVE,avast-12m,ELIGIBLE,NO_RULE_APPLIES",
        ]
    );
}
