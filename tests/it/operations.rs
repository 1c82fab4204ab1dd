//! What an operator is given: alerts, their runbooks, a dashboard, the page of settings. All of it is held
//! against a real server with everything switched on, and against Prometheus' own tool.

use crate::identity::Authority;
use crate::redis_server::{self, Flavour, eventually};
use crate::server::{Server, in_repository, offergate};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

const RULES: [&str; 2] = ["deploy/prometheus/recording.yaml", "deploy/prometheus/alerts.yaml"];

/// Prometheus' tool, where `tests/tools/setup.sh promtool` puts it.
fn promtool() -> Command {
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| in_repository("target"), PathBuf::from);
    let installed = target.join("tools/promtool");
    let is_there = installed.is_file();
    Command::new(if is_there { installed } else { PathBuf::from("promtool") })
}

fn run(command: &mut Command, input: &str) -> Output {
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let hint = "no promtool; run `tests/tools/setup.sh promtool`";
    let mut child = piped.spawn().expect(hint);
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn said(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

fn text(path: &str) -> String {
    std::fs::read_to_string(in_repository(path)).unwrap_or_else(|_| panic!("{path}"))
}

/// An alert of the file: its name, and the page that it names.
fn alerts() -> BTreeMap<String, String> {
    let file: serde_json::Value = serde_saphyr::from_str(&text(RULES[1])).unwrap();
    let groups = file["groups"].as_array().unwrap();
    let rules = groups.iter().flat_map(|group| group["rules"].as_array().unwrap());
    rules
        .map(|rule| {
            let word = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
            (word(&rule["alert"]), word(&rule["annotations"]["runbook"]))
        })
        .collect()
}

/// Every expression of the rules and of the dashboard.
fn expressions() -> Vec<String> {
    fn collect(value: &serde_json::Value, found: &mut Vec<String>) {
        match value {
            serde_json::Value::Object(fields) => {
                for (key, value) in fields {
                    match (key.as_str(), value) {
                        ("expr", serde_json::Value::String(expr)) => found.push(expr.clone()),
                        (_, value) => collect(value, found),
                    }
                }
            }
            serde_json::Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    for path in RULES {
        collect(&serde_saphyr::from_str(&text(path)).unwrap(), &mut found);
    }
    let dashboard = text("deploy/grafana/offergate.json");
    collect(&serde_json::from_str(&dashboard).unwrap(), &mut found);
    // What Grafana puts in the place of its own words.
    found.iter().map(|it| it.replace("$__rate_interval", "5m").replace("$job", ".*")).collect()
}

/// The names of series of ours in an expression; what a recording rule made has a colon.
fn names(expr: &str) -> BTreeSet<String> {
    let is_part = |letter: char| letter.is_ascii_alphanumeric() || letter == '_' || letter == ':';
    let words = expr.split(|letter| !is_part(letter));
    let ours =
        words.filter(|word| word.starts_with("offergate_") || word.starts_with("rpc_server"));
    ours.filter(|word| !word.contains(':')).map(str::to_owned).collect()
}

/// The page of metrics.
pub(crate) fn scrape(server: &Server) -> String {
    let mut stream = TcpStream::connect(server.management.trim_start_matches("http://")).unwrap();
    write!(stream, "GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.split_once("\r\n\r\n").unwrap().1.to_owned()
}

#[test]
fn each_alert_fires_and_does_not_fire_where_its_tests_say_and_a_broken_one_is_noticed() {
    let tests = in_repository("deploy/prometheus/alerts_test.yaml");
    let passed = run(promtool().args(["test", "rules"]).arg(&tests), "");
    assert!(passed.status.success(), "{}", said(&passed));

    let (alerts, tests) = (text(RULES[1]), std::fs::read_to_string(tests).unwrap());
    let all: serde_json::Value = serde_saphyr::from_str(&tests).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("recording.yaml", &text(RULES[0]));
    for name in self::alerts().keys() {
        // The same file, in which this one alert has another name, and so never fires.
        let line = format!("- alert: {name}\n");
        assert_eq!(alerts.matches(&line).count(), 1, "{name}");
        write("alerts.yaml", &alerts.replace(&line, "- alert: Another\n"));
        let mut mine = all.clone();
        mine["tests"].as_array_mut().unwrap().retain(|test| test["name"] == name.as_str());
        write("alerts_test.yaml", &mine.to_string());
        let test = folder.path().join("alerts_test.yaml");
        let failed = run(promtool().args(["test", "rules"]).arg(test), "");
        let seen = said(&failed).contains(&format!("alertname: {name}, time: "));
        assert!(!failed.status.success() && seen, "no test of {name} sees that it is gone");
        let silent = format!("alertname: {name}, exp_alerts: []");
        assert!(tests.contains(&silent), "no test of {name} sees that it does not fire too early");
    }
}

#[test]
fn each_alert_has_a_page_for_the_night_and_each_page_an_alert() {
    let mut pages = BTreeSet::new();
    for file in std::fs::read_dir(in_repository("deploy/runbooks")).unwrap() {
        pages.insert(file.unwrap().file_name().into_string().unwrap());
    }
    // The list, and what to do when the whole store is lost, which no alert can tell from one that is away.
    assert!(["README.md", "disaster.md"].iter().all(|page| pages.remove(*page)));
    let (alerts, index) = (alerts(), text("deploy/runbooks/README.md"));
    for (name, page) in &alerts {
        assert_eq!(page, &format!("deploy/runbooks/{name}.md"));
        assert!(index.contains(&format!("- [{name}]({name}.md)\n")), "{name} is not in the list");
        assert!(pages.remove(&format!("{name}.md")), "{name} has no page");
        let page = text(page);
        let sections = [
            "## What it means for customers",
            "## Look here first",
            "## Do this",
            "## It is over when",
        ];
        assert!(page.starts_with(&format!("# {name}\n")), "{name}");
        for section in sections {
            assert!(page.lines().any(|line| line == section), "{name} lacks `{section}`");
        }
        let severity = page.lines().find_map(|line| line.strip_prefix("Severity: ")).unwrap();
        let rule = text(RULES[1]);
        let rule = rule.split(&format!("- alert: {name}\n")).nth(1).unwrap();
        let stated = rule.lines().find_map(|line| line.trim().strip_prefix("labels: {severity: "));
        assert_eq!(severity.trim_end_matches('.'), stated.unwrap().trim_end_matches('}'), "{name}");
    }
    assert_eq!(pages, BTreeSet::new(), "pages without an alert");
    assert_eq!(alerts.len(), index.matches("\n- [").count());
}

#[test]
fn what_a_page_tells_people_to_type_is_there_with_every_flag() {
    let mut seen = BTreeSet::new();
    for name in alerts().keys() {
        let page = text(&format!("deploy/runbooks/{name}.md"));
        let (text, code): (Vec<_>, Vec<_>) =
            page.split("```").enumerate().partition(|(place, _)| place % 2 == 0);
        let lines = code.iter().flat_map(|(_, block)| block.lines());
        let typed = lines.filter(|line| line.starts_with("offergate ")).map(str::to_owned);
        // Within the text, a command stands between backticks, and may go on in the next line.
        let flat: Vec<String> = text.iter().map(|(_, text)| text.replace('\n', " ")).collect();
        let flat = flat.concat();
        let quoted: Vec<String> = flat.split('`').skip(1).step_by(2).map(str::to_owned).collect();
        let quoted = quoted.into_iter().filter(|it| it.starts_with("offergate "));
        seen.extend(typed.chain(quoted).map(|line| {
            line.split(['#', '|']).next().unwrap().split_whitespace().collect::<Vec<_>>().join(" ")
        }));
    }
    assert!(10 < seen.len(), "{seen:?}");
    for line in &seen {
        let mut words = line.split(' ').skip(1).peekable();
        let is_command = |word: &&str| {
            word.chars().all(|letter| letter.is_ascii_lowercase() || letter == '-')
                && !word.starts_with('-')
        };
        let command: Vec<_> = std::iter::from_fn(|| words.next_if(is_command)).collect();
        let help = offergate().args(&command).arg("--help").output().unwrap();
        assert!(help.status.success(), "`{line}`: there is no `{}`", command.join(" "));
        let help = said(&help);
        for flag in words.filter(|word| word.starts_with("--")) {
            assert!(
                help.contains(&format!("{flag} ")) || help.contains(&format!("{flag}\n")),
                "`{line}`: {flag}"
            );
        }
    }
}

#[test]
fn every_query_reads_and_every_series_in_it_is_on_the_page_of_a_real_server() {
    let expressions = expressions();
    assert!(60 < expressions.len(), "{}", expressions.len());
    let folder = tempfile::tempdir().unwrap();
    let rules: Vec<_> = expressions
        .iter()
        .enumerate()
        .map(|(number, expr)| serde_json::json!({"record": format!("q:{number}"), "expr": expr}))
        .collect();
    let rules = serde_json::json!({"groups": [{"name": "queries", "rules": rules}]});
    let path = folder.path().join("queries.yaml");
    std::fs::write(&path, rules.to_string()).unwrap();
    let read = run(promtool().args(["check", "rules"]).arg(&path), "");
    assert!(read.status.success(), "{}", said(&read));

    let (server, _kept) = everything_on(folder.path());
    let wanted: BTreeSet<String> = expressions.iter().flat_map(|expr| names(expr)).collect();
    assert!(20 < wanted.len(), "{wanted:?}");
    let missing = |page: &str| -> Vec<String> {
        let series = page.lines().filter(|line| !line.starts_with('#'));
        let there: BTreeSet<&str> =
            series.map(|line| line.split(['{', ' ']).next().unwrap()).collect();
        wanted.iter().filter(|name| !there.contains(name.as_str())).cloned().collect()
    };
    let page = eventually("every series", || {
        let page = scrape(&server);
        missing(&page).is_empty().then_some(page)
    });
    for label in [
        "outcome=\"",
        "rpc_response_status_code=\"OK\"",
        "state=\"forked\"",
        "overdue=\"true\"",
        "kind=\"client_crl\"",
        "kind=\"client_ca\"",
        "kind=\"server\"",
        "reached=\"ENFORCED\"",
        "counted_from=\"WRITTEN\"",
        "limit=\"peer\"",
        "reason=\"issuer_silent\"",
        "result=\"failed\"",
        "commit=\"",
        "le=\"10\"",
    ] {
        assert!(page.contains(label), "{label} is on no series of {page}");
    }
    let accepted = run(promtool().args(["check", "metrics"]), &page);
    assert!(accepted.status.success(), "{}", said(&accepted));
    assert!(said(&accepted).is_empty(), "{}", said(&accepted));
}

#[test]
fn each_change_of_rules_is_measured_once_whether_or_not_somebody_waits_for_it() {
    // The rules, for which nobody waits; that they were proposed changed none.
    let server = Server::with_barclays_and(&[]);
    let changes = |number: u64| {
        eventually("measured changes", || {
            (crate::faults::counted(&server, "WRITTEN", "+Inf") == number).then_some(())
        });
    };
    changes(1);
    let suspend = ["suspend", "offer", "kis-12m", "--id=s", "--reason=r", "--ticket=t"];
    let told = server.by_two_waiting(&suspend, &["--wait=30s"]);
    changes(2);
    let waits = || crate::faults::counted(&server, "ASKED", "+Inf");
    let before = waits();
    let revision = told["revision"]["revision"].as_u64().unwrap().to_string();
    server.json(&["replicas", "await", "--revision", &revision]);
    eventually("the wait is measured", || (waits() == before + 1).then_some(()));
    changes(2);
}

/// A server over a shared store, with TLS, a decision log and a webhook, that was asked for a decision and
/// has waited for a change; and what must outlive it.
fn everything_on(folder: &Path) -> (Server, impl Sized) {
    let redis = redis_server::Server::start(Flavour::Redis);
    let authority = Authority::new("Authority");
    authority.server();
    let path = |name: &str| folder.join(name).display().to_string();
    let mut flags: Vec<String> =
        authority.flags().into_iter().filter(|flag| !flag.starts_with("--anonymous")).collect();
    flags.extend(
        [
            "--replica=r1",
            "--begin-history",
            "--decision-log=complete",
            "--event-webhook-url=http://127.0.0.1:9/events",
        ]
        .map(str::to_owned),
    );
    flags.push(format!("--journal={}", path("journal.db")));
    flags.push(format!("--decision-log-dir={}", path("decisions")));
    let flags: Vec<_> = flags.iter().map(String::as_str).collect();
    let store = format!("redis://127.0.0.1:{}", redis.port);
    let secret = [("OFFERGATE_EVENT_WEBHOOK_SECRET", crate::events::SECRET)];
    let server = Server::start_told(Path::new(&store), &flags, &secret);
    let ask = |line: &[&str]| {
        let mut command = server.offergate();
        command.args(line).arg("--ca-file").arg(authority.path("ca.pem"));
        let output = command.output().unwrap();
        assert!(output.status.success(), "{line:?}: {}", said(&output));
    };
    let rules = in_repository("deploy/demo/barclays.rules.yaml");
    ask(&["apply", rules.to_str().unwrap(), "--author=ann"]);
    ask(&["approve", "1", "--author=zoe", "--wait=20s"]);
    ask(&["check", "--offer=avast-12m", "--customer=c-1", "--country=GB", "--action=OFFER"]);
    (server, (redis, authority))
}

#[test]
fn the_page_of_settings_is_the_one_that_the_code_prints() {
    let printed = offergate().args(["config", "reference"]).output().unwrap();
    let printed = String::from_utf8(printed.stdout).unwrap();
    assert_eq!(
        text("deploy/settings.md"),
        printed,
        "run `offergate config reference > deploy/settings.md`"
    );
    let row = printed.lines().find(|line| line.contains("`staleness_limit`")).unwrap();
    for part in
        ["`--staleness-limit`", "`OFFERGATE_STALENESS_LIMIT`", "duration, 500ms to 30s", "5s"]
    {
        assert!(row.contains(part), "{part} is not in {row}");
    }
    let secret = printed.lines().find(|line| line.contains("`event_webhook_secret`")).unwrap();
    assert!(secret.contains("`OFFERGATE_EVENT_WEBHOOK_SECRET_FILE`"), "{secret}");
    assert!(!secret.contains("--event-webhook-secret"), "no secret is given on a command line");
}
