//! How commands end that cannot do what they were asked: the exit code, and what they say.

use crate::server::{Server, in_repository, offergate};
use std::fs;
use std::process::Output;

fn run(server: &Server, arguments: &[&str]) -> Output {
    server.offergate().args(arguments).output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn each_kind_of_failure_has_its_exit_code_and_leaves_stdout_empty() {
    let server = Server::with_barclays();
    let missing_record = ["suspend", "product", "kis"];
    let twice_an_hour = [
        "suspend",
        "product",
        "kis",
        "--from",
        "2024-10-27 01:30",
        "--zone",
        "Europe/London",
        "--reason=r",
        "--ticket=t",
    ];
    for (arguments, code, told) in [
        (missing_record.as_slice(), 2, "--reason is missing"),
        (&twice_an_hour, 2, "2024-10-27T01:30:00+01:00"),
        (&["check", "--customer=c-1"], 2, "--offer"),
        (&["check", "--customer= ", "--offer=o", "--action=USE"], 2, "customer.id"),
        (&["frobnicate"], 2, "frobnicate"),
        (&["lift", "nothing", "--reason=r", "--ticket=t"], 3, "nothing"),
        (&["export", "--revision=99"], 3, "99"),
        (&["apply", "/nonexistent/rules.yaml"], 3, "/nonexistent/rules.yaml"),
        (&["check", "--request=/nonexistent.json"], 3, "/nonexistent.json"),
        (&["backup", "copy.db", "--store=/nonexistent.db"], 3, "/nonexistent.db"),
        (&["restore", "/nonexistent.db", "--store=new.db"], 3, "/nonexistent.db"),
        (&["config", "check", "/nonexistent.toml"], 3, "/nonexistent.toml"),
        (&["config", "show", "--config=/nonexistent.toml"], 3, "/nonexistent.toml"),
        (&["check", "--request=/"], 1, "cannot be read"),
        (&["status", "--server=foo://127.0.0.1:9"], 2, "http://HOST:PORT"),
        (&["status", "--server=http://"], 2, "http://HOST:PORT"),
        (
            &["suspend", "product", "kis", "--id=barclays-2017", "--reason=r", "--ticket=t"],
            4,
            "barclays-2017",
        ),
        (&["status", "--server=http://127.0.0.1:9"], 5, "127.0.0.1:9"),
    ] {
        let output = run(&server, arguments);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", stderr(&output));
        assert_eq!(stdout(&output), "", "{arguments:?}");
        assert!(stderr(&output).contains(told), "{arguments:?}: {}", stderr(&output));
    }
    assert_eq!(server.json(&["history"]).as_array().unwrap().len(), 2);
}

#[test]
fn a_plan_asked_for_an_exit_code_ends_with_2_for_changes_and_for_nothing_else() {
    let server = Server::with_barclays();
    let rules = in_repository("deploy/demo/barclays.rules.yaml");
    let rules = rules.to_str().unwrap();
    for (arguments, code) in [
        (&["plan", rules, "--exit-code"][..], 0),
        (&["plan", "--exit-code"], 1),
        (&["plan", rules, "--exit-code", "--frobnicate"], 1),
        (&["plan", rules, "--exit-code", "--server=foo://x"], 1),
        (&["plan", "/nonexistent.yaml", "--exit-code"], 3),
        (&["plan"], 2),
    ] {
        let output = run(&server, arguments);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", stderr(&output));
    }
}

#[test]
fn a_rule_file_that_would_rewrite_the_past_is_refused_at_its_line() {
    let server = Server::with_barclays();
    let exported = stdout(&run(&server, &["export"]));
    let file = server.folder().join("rules.yaml");
    let path = file.to_str().unwrap();
    let from = "from: \"2017-12-02T00:00:00Z\"";
    assert!(exported.contains(from), "{exported}");
    fs::write(&file, exported.replace(from, "from: \"2017-12-03T00:00:00Z\"")).unwrap();
    let line = 1 + exported.lines().position(|line| line.contains(from)).unwrap();
    for command in ["plan", "apply"] {
        let refused = run(&server, &[command, path]);
        let told = stderr(&refused);
        assert_eq!(refused.status.code(), Some(1), "{told}");
        assert!(told.contains(&format!("rules.yaml:{line}:")), "{told}");
        assert!(told.contains("in force since 2017-12-02T00:00:00Z"), "{told}");
    }
    let preview = run(&server, &["preview", "apply", path]);
    assert!(stderr(&preview).contains("in force since 2017-12-02T00:00:00Z"));
    let late = ["amend", "barclays-2017", "--until=2018-01-01T00:00:00Z"];
    let late = run(&server, &[&late[..], &["--reason=r", "--ticket=t"]].concat());
    assert_eq!(late.status.code(), Some(2));
    assert!(stderr(&late).contains("suspension.until_time"), "{}", stderr(&late));
    assert_eq!(server.json(&["history"]).as_array().unwrap().len(), 2);
}

#[test]
fn the_settings_are_checked_as_the_server_would_find_them() {
    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("offergate.toml");
    fs::write(&file, "workers = 3\nstore = \"rules.db\"\n").unwrap();
    let file = file.to_str().unwrap();
    let check = |variables: &[(&str, &str)], arguments: &[&str]| {
        let mut command = offergate();
        command.args(["config", "check"]).args(arguments).envs(variables.iter().copied());
        command.env("OFFERGATE_ANONYMOUS", "everything");
        let output = command.output().unwrap();
        (output.status.code(), stderr(&output))
    };
    for (variables, arguments, code, told) in [
        (&[][..], &[file][..], 0, "3 values set"),
        (&[], &["--config", file, "--workers=4"], 0, "3 values set"),
        (&[("OFFERGATE_CONFIG", file), ("OFFERGATE_REFLECTION", "true")], &[], 0, "4 values set"),
        (&[("OFFERGATE_WORKERS", "many")], &[file], 2, "OFFERGATE_WORKERS"),
        (&[], &[file, "--workers=0"], 2, "--workers"),
        (&[], &[file, "--anonymous=none"], 2, "nobody could prove who they are"),
        (&[("OFFERGATE_WORKER", "4")], &[], 2, "did you mean OFFERGATE_WORKERS?"),
        (&[], &[file, "--config", file], 2, "cannot be used with"),
    ] {
        let (ended, stderr) = check(variables, arguments);
        assert_eq!(ended, Some(code), "{variables:?} {arguments:?}: {stderr}");
        assert!(stderr.contains(told), "{variables:?} {arguments:?}: {stderr}");
    }
}

#[test]
fn a_test_file_that_is_not_there_or_states_nothing_fails_each_in_its_way() {
    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("a.test.yaml");
    let case = "rules: {}\ncases:\n  - {name: n, customer: {id: c}, offer: o, action: USE,\n     \
                as_of: \"2026-01-01T00:00:00Z\", expect: {}}\n";
    fs::write(&file, case).unwrap();
    let silent = offergate().arg("test").arg(&file).output().unwrap();
    assert_eq!(silent.status.code(), Some(1), "{}", stderr(&silent));
    assert!(stderr(&silent).contains("a.test.yaml:4:45: cases[0].expect: states nothing"));
    assert_eq!(stdout(&silent), "0 of 0 cases as stated; 1 file could not be tested\n");
    let gone = offergate().arg("test").arg(folder.path().join("gone.yaml")).output().unwrap();
    assert_eq!(gone.status.code(), Some(3), "{}", stderr(&gone));
}
