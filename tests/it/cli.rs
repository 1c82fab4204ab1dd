//! The command line against a real server: what people and scripts type, see and rely on.

use crate::server::{Server, in_repository, offergate};
use serde_json::{Value, json};
use std::fs;
use std::process::Output;

const NEW_CUSTOMER: [&str; 11] = [
    "check",
    "--customer=c-1",
    "--offer=kis-12m",
    "--action=OFFER",
    "--country=GB",
    "--segment=RETAIL",
    "--holding=NONE",
    "--date-of-birth=1985-04-12",
    "--attribute=online_banking=true",
    "--vulnerable=false",
    "--channel=WEB",
];

const HOLDER: [&str; 6] = [
    "check",
    "--customer=c-2",
    "--offer=kis-12m",
    "--action=USE",
    "--country=GB",
    "--holding=ACTIVE",
];

const RECORD: [&str; 4] = ["--reason", "Review closed", "--ticket", "CHG-1044"];

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
fn a_new_customer_is_refused_with_reason_message_and_advisory_while_a_holder_goes_on() {
    let server = Server::with_barclays();
    let refused = server.json(&NEW_CUSTOMER);
    assert_eq!(refused["outcome"], "INELIGIBLE");
    assert_eq!(refused["reasons"], json!([{"code": "VENDOR_SUSPENDED", "attribute": null}]));
    let suspension = &refused["suspensions"][0];
    assert_eq!(suspension["id"], "barclays-2017");
    assert_eq!(suspension["customer_message"], "This software isn't available at the moment.");
    assert_eq!(suspension["advisories"][0]["issuer"], "NCSC");
    assert_eq!(refused["revision"], 2);

    let holder = server.json(&HOLDER);
    assert_eq!(holder["outcome"], "ELIGIBLE");
    assert_eq!(holder["reasons"], json!([{"code": "NO_RULE_APPLIES", "attribute": null}]));
}

#[test]
fn what_is_not_said_is_missing_and_a_request_file_says_the_same_as_flags() {
    let server = Server::with_barclays();
    let missing = server.json(&["check", "--customer=c-1", "--offer=kis-12m", "--action=OFFER"]);
    assert_eq!(missing["outcome"], "INDETERMINATE");

    let file = server.folder().join("request.json");
    let request = json!({
        "customer": {"id": "c-2", "country": "GB", "holding": {"status": "ACTIVE"}},
        "offer": "kis-12m", "action": "USE",
    });
    fs::write(&file, request.to_string()).unwrap();
    let mut from_file = server.json(&["check", "--request", file.to_str().unwrap()]);
    let mut from_flags = server.json(&HOLDER);
    for decision in [&mut from_file, &mut from_flags] {
        for different in ["decision_id", "as_of", "valid_until"] {
            decision[different] = Value::Null;
        }
    }
    assert_eq!(from_file, from_flags);

    let invalid = server.json(&[
        "check",
        "--customer=c-1",
        "--offer=kis-12m",
        "--action=OFFER",
        "--country=UK",
    ]);
    let reason = json!({"code": "ATTRIBUTE_INVALID", "attribute": "country"});
    assert!(invalid["reasons"].as_array().unwrap().contains(&reason), "{invalid}");
}

#[test]
fn an_answer_has_one_content_in_every_form() {
    let server = Server::with_barclays();
    let forms = |form: &str| stdout(&run(&server, &[&HOLDER[..], &["-o", form]].concat()));
    let line: Value = serde_json::from_str(&forms("jsonl")).unwrap();
    assert_eq!((&line["outcome"], forms("jsonl").lines().count()), (&json!("ELIGIBLE"), 1));
    let yaml: Value = serde_saphyr::from_str(&forms("yaml")).unwrap();
    assert_eq!(yaml["reasons"], line["reasons"]);
    let csv = forms("csv");
    let lines: Vec<_> = csv.lines().collect();
    assert!(lines[0].starts_with("outcome,reasons,suspensions,"), "{csv}");
    assert!(lines[1].starts_with("ELIGIBLE,NO_RULE_APPLIES,,"), "{csv}");
    let table = forms("table");
    assert!(table.starts_with("ELIGIBLE  NO_RULE_APPLIES\n"), "{table}");
}

#[test]
fn explaining_says_in_sentences_what_stands_in_the_way_at_any_instant() {
    let server = Server::with_barclays();
    let arguments = [&["explain"], &NEW_CUSTOMER[1..]].concat();
    let now = server.json(&arguments);
    assert_eq!(now["decision"]["outcome"], "INELIGIBLE");
    assert!(!now["sentences"].as_array().unwrap().is_empty());
    assert_eq!(now["suspensions"][0]["effect"], "DENIES");

    let before = [&arguments[..], &["--as-of", "2017-12-01 23:59", "--zone", "Europe/London"]];
    let before = server.json(&before.concat());
    assert_eq!(before["decision"]["outcome"], "ELIGIBLE");
    assert_eq!(before["suspensions"][0]["effect"], "NOT_IN_FORCE");

    let draft = server.folder().join("draft.yaml");
    let rules = fs::read_to_string(in_repository("deploy/demo/barclays.rules.yaml")).unwrap();
    fs::write(&draft, rules.replace("countries: [GB]", "countries: [IE]")).unwrap();
    let draft = [&arguments[..], &["--draft", draft.to_str().unwrap()]].concat();
    assert_eq!(server.json(&draft)["decision"]["outcome"], "ELIGIBLE");
}

#[test]
fn a_suspension_takes_effect_is_amended_and_is_lifted_by_the_command_it_prints() {
    let server = Server::with_barclays();
    let suspend = ["suspend", "offer", "avast-12m", "--id=pause", "--country=GB"];
    let suspended = server.by_two(&[&suspend[..], &RECORD].concat());
    assert_eq!(suspended["revision"]["revision"], 4);
    assert_eq!(suspended["revision"]["author"], "tester");
    assert_eq!(suspended["revision"]["approver"], "zoe");
    assert_eq!(suspended["proposal"]["direction"], "TIGHTENING");
    assert_eq!(
        suspended["suspension"]["actions"],
        json!(["OFFER", "ACTIVATE", "REACTIVATE", "RENEW"])
    );
    assert_eq!(suspended["suspension"]["state"], "PROPOSED");
    assert_eq!(suspended["suspension"]["from"], Value::Null, "it begins when it is approved");
    assert_eq!(server.json(&["status"])["in_force"][1]["id"], "pause");
    assert_eq!(suspended["hits"]["offers_changed"], 1);
    let lift = suspended["lift"].as_str().unwrap();
    assert!(lift.starts_with("offergate lift pause --server http://"), "{lift}");

    let check = |country: &str| {
        let country = format!("--country={country}");
        let offer = ["--offer=avast-12m", &country];
        let rest = NEW_CUSTOMER
            .iter()
            .filter(|it| !it.starts_with("--offer") && !it.starts_with("--country"));
        let arguments: Vec<_> = rest.copied().chain(offer).collect();
        server.json(&arguments)["outcome"].clone()
    };
    assert_eq!((check("GB"), check("IE")), (json!("INELIGIBLE"), json!("ELIGIBLE")));
    let amend = ["amend", "pause", "--country=GB,IE", "--message=Soon"];
    let amended = server.by_two(&[&amend[..], &RECORD].concat());
    assert_eq!(amended["before"]["countries"], json!(["GB"]));
    assert_eq!(amended["suspension"]["countries"], json!(["GB", "IE"]));
    assert_eq!(amended["suspension"]["from"], suspended["revision"]["create_time"], "the approval");
    assert_eq!((check("GB"), check("IE")), (json!("INELIGIBLE"), json!("INELIGIBLE")));
    let lifted = server.by_two(&[&["lift", "pause"][..], &RECORD].concat());
    assert_eq!(lifted["proposal"]["direction"], "LOOSENING");
    assert_eq!(server.json(&["status"])["in_force"].as_array().unwrap().len(), 1);
    assert_eq!((check("GB"), check("IE")), (json!("ELIGIBLE"), json!("ELIGIBLE")));
}

#[test]
fn an_exemption_permits_whom_it_names_and_nobody_else() {
    let server = Server::with_barclays();
    let exempt =
        ["exempt", "barclays-2017", "--id=pilot", "--customer=c-1", "--until=2100-01-01T00:00:00Z"];
    let exempted = server.by_two(&[&exempt[..], &RECORD].concat());
    assert_eq!(exempted["exemption"]["waives"], json!(["barclays-2017"]));
    let waived = server.json(&NEW_CUSTOMER);
    assert_eq!(
        (&waived["outcome"], &waived["exemptions"]),
        (&json!("ELIGIBLE"), &json!(["pilot"]))
    );
    let other = [&NEW_CUSTOMER[..1], &["--customer=c-9"], &NEW_CUSTOMER[2..]].concat();
    assert_eq!(server.json(&other)["outcome"], "INELIGIBLE");
}

#[test]
fn a_dry_run_shows_what_would_be_and_changes_nothing() {
    let server = Server::with_barclays();
    for arguments in [
        ["suspend", "product", "kis"].as_slice(),
        &["amend", "barclays-2017", "--country=IE"],
        &["lift", "barclays-2017"],
        &["exempt", "barclays-2017", "--id=x", "--until=2100-01-01T00:00:00Z"],
    ] {
        let answer = server.json(&[arguments, &RECORD, &["--dry-run"]].concat());
        assert_eq!((&answer["dry_run"], &answer["revision"]), (&json!(true), &Value::Null));
    }
    assert_eq!(server.json(&["history"]).as_array().unwrap().len(), 2);
}

#[test]
fn a_repeated_command_with_the_same_request_id_is_done_once() {
    let server = Server::with_barclays();
    let suspend = ["suspend", "product", "kis", "--id=once", "--request-id=r-1"];
    let first = server.by_two(&[&suspend[..], &RECORD].concat());
    let second = server.by_two(&[&suspend[..], &RECORD].concat());
    assert_eq!(first["revision"], second["revision"]);
    let lift = ["lift", "once", "--request-id=r-2"];
    let first = server.by_two(&[&lift[..], &RECORD].concat());
    let second = server.by_two(&[&lift[..], &RECORD].concat());
    assert_eq!(first["revision"], second["revision"]);
    assert_eq!(server.json(&["history"]).as_array().unwrap().len(), 6);

    let other = ["suspend", "product", "kis", "--id=other", "--request-id=r-1.proposed"];
    let refused = run(&server, &[&other[..], &RECORD].concat());
    assert_eq!(refused.status.code(), Some(4), "{}", stderr(&refused));
}

#[test]
fn exported_rules_plan_to_nothing_and_a_change_is_planned_before_it_is_applied() {
    let server = Server::with_barclays();
    let exported = stdout(&run(&server, &["export"]));
    let file = server.folder().join("rules.yaml");
    let path = file.to_str().unwrap();
    fs::write(&file, &exported).unwrap();
    assert_eq!(server.json(&["plan", path, "--exit-code"])["changes"], json!([]));

    fs::write(&file, exported.replace("12 months of Avast", "18 months of Avast")).unwrap();
    let plan = run(&server, &["plan", path, "--exit-code"]);
    assert_eq!(plan.status.code(), Some(2));
    assert!(stdout(&plan).starts_with("~ offers avast-12m\n"), "{}", stdout(&plan));
    let applied = server.by_two(&["apply", path, "--expected-revision=2"]);
    assert_eq!(applied["revision"]["revision"], 4);
    let again = run(&server, &["apply", path, "--expected-revision=2", "--reason=late"]);
    assert_ne!(again.status.code(), Some(1), "{}", stderr(&again));
    assert_eq!(server.json(&["history"]).as_array().unwrap().len(), 4);
    assert!(stdout(&run(&server, &["export", "--revision=2"])).contains("12 months of Avast"));
}

#[test]
fn a_rule_file_with_mistakes_changes_nothing_and_each_mistake_has_its_place() {
    let server = Server::with_barclays();
    let file = server.folder().join("bad.yaml");
    fs::write(&file, "vendors:\n  acme: {nme: Acme}\n").unwrap();
    for command in ["plan", "apply"] {
        let refused = run(&server, &[command, file.to_str().unwrap()]);
        assert_eq!((refused.status.code(), stdout(&refused).as_str()), (Some(1), ""));
        let told = stderr(&refused);
        assert!(told.contains("bad.yaml:2:10") && told.contains("did you mean"), "{told}");
    }
    let rules = fs::read_to_string(in_repository("deploy/demo/barclays.rules.yaml")).unwrap();
    fs::write(&file, rules.replacen("    min_age: 16\n", "    condition: \"((\"\n", 1)).unwrap();
    let refused = run(&server, &["apply", file.to_str().unwrap()]);
    assert_eq!(refused.status.code(), Some(1));
    let told = stderr(&refused);
    assert!(told.contains("offers.kis-12m.condition") && told.contains("bad.yaml:47:"), "{told}");
    assert_eq!(server.json(&["history"]).as_array().unwrap().len(), 2);
}

#[test]
fn watching_prints_every_revision_in_order_and_goes_on_where_it_was() {
    let server = Server::with_barclays();
    for id in ["a", "b"] {
        let suspend = ["suspend", "product", "kis", "--id", id];
        server.by_two(&[&suspend[..], &RECORD].concat());
    }
    let watched = run(&server, &["watch", "--after=0", "--count=6", "-o", "jsonl"]);
    let numbers: Vec<_> = stdout(&watched)
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["revision"].clone())
        .collect();
    assert_eq!(numbers, [1, 2, 3, 4, 5, 6].map(|number| json!(number)));
    let rest = run(&server, &["watch", "--after=3", "--count=1", "-o", "json"]);
    assert_eq!(serde_json::from_slice::<Value>(&rest.stdout).unwrap()["kind"], "CREATE_SUSPENSION");
}

#[test]
fn a_vendor_is_found_by_what_people_call_it_with_its_family_and_offers() {
    let server = Server::with_barclays();
    let finds = server.json(&["find", "kaspersky"]);
    let vendor = finds.as_array().unwrap().iter().find(|find| find["id"] == "kaspersky-labs-ltd");
    let vendor = vendor.unwrap();
    assert!(vendor["family"].as_array().unwrap().contains(&json!("ao-kaspersky-lab")));
    assert_eq!(vendor["offers"], json!(["kis-12m"]));
    let nothing = run(&server, &["find", "no such thing"]);
    assert_eq!(nothing.status.code(), Some(3));
}

#[test]
fn status_tells_revision_rules_suspensions_and_what_is_to_come() {
    let server = Server::with_barclays();
    let suspend = ["suspend", "product", "kis", "--id=later", "--from=2099-01-01T00:00:00Z"];
    server.by_two(&[&suspend[..], &RECORD].concat());
    let status = server.json(&["status"]);
    assert_eq!((&status["serving"], &status["revision"]["revision"]), (&json!(true), &json!(4)));
    assert_eq!(status["rules"]["offers"], 2);
    assert_eq!(status["in_force"][0]["id"], "barclays-2017");
    assert_eq!(
        status["upcoming"],
        json!([{"at": "2099-01-01T00:00:00Z", "id": "later", "what": "starts"}])
    );
    assert_eq!(server.json(&["health"])["status"], "SERVING");
    let unknown = run(&server, &["health", "--service", "offergate.v1.NoService"]);
    assert_eq!(unknown.status.code(), Some(3));
}

#[test]
fn a_preview_counts_offers_and_customers_and_shows_samples() {
    let server = Server::with_barclays();
    let people = server.folder().join("people.csv");
    let header = "id,country,segment,attributes.online_banking,date_of_birth,vulnerable,\
                  holdings.avast-internet-security.status";
    let rows: String = (0..1_500)
        .map(|number| {
            let country = if number % 3 == 0 { "IE" } else { "GB" };
            let holding = if number % 2 == 0 { "ACTIVE" } else { "NONE" };
            format!("c-{number},{country},RETAIL,true,1980-01-01,false,{holding}\n")
        })
        .collect();
    fs::write(&people, format!("{header}\n{rows}")).unwrap();
    let preview = server.json(&[
        "preview",
        "suspend",
        "product",
        "avast-internet-security",
        "--country=GB",
        "--action=OFFER",
        "--decide=OFFER",
        "--customers",
        people.to_str().unwrap(),
    ]);
    assert_eq!((&preview["offers_total"], &preview["offers_changed"]), (&json!(2), &json!(1)));
    assert_eq!(preview["customers_total"], 1_500);
    // New holders in Britain: 1,000 live there, and every other one holds it already.
    assert_eq!(preview["customers_changed"], 500);
    assert_eq!(
        preview["by_country"][0],
        json!({"value": "GB", "customers": 1_000, "changed": 500})
    );
    let samples = preview["samples"].as_array().unwrap();
    assert_eq!(samples.len(), 10);
    assert_eq!(samples[0]["before"]["outcome"], "ELIGIBLE");
    assert_eq!(samples[0]["after"]["outcome"], "INELIGIBLE");
    assert_eq!(server.json(&["preview", "lift", "barclays-2017"])["offers_changed"], 1);
    assert_eq!(server.json(&["history"]).as_array().unwrap().len(), 2);
}

#[test]
fn a_backup_of_a_running_server_restores_to_the_same_rules_and_a_history_of_its_own() {
    let server = Server::with_barclays();
    let (backup, restored) = (server.folder().join("copy.db"), server.folder().join("new.db"));
    let store = server.store();
    let copied =
        server.json(&["backup", backup.to_str().unwrap(), "--store", store.to_str().unwrap()]);
    assert_eq!(copied["revision"], 2);
    let over_a_running_one =
        run(&server, &["restore", backup.to_str().unwrap(), "--store", store.to_str().unwrap()]);
    assert_eq!(over_a_running_one.status.code(), Some(4), "{}", stderr(&over_a_running_one));
    let made =
        server.json(&["restore", backup.to_str().unwrap(), "--store", restored.to_str().unwrap()]);
    let parts =
        |copy: &Value| copy["token"].as_str().unwrap().split_once('.').unwrap().1.to_owned();
    assert_eq!(parts(&made), parts(&copied), "revision and chain are those of the backup");
    assert_ne!(made["token"], copied["token"], "the lineage is another");
    let second = Server::start_on(&restored, &[]);
    assert_eq!(second.json(&["status"])["revision"]["token"], made["token"]);
    assert_eq!(second.json(&NEW_CUSTOMER)["outcome"], "INELIGIBLE");
}

#[test]
fn a_reader_that_goes_away_ends_a_command_quietly() {
    let server = Server::with_barclays();
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_offergate"))
        .args(["export", "--quiet", "--server", &server.address])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), stderr(&output).as_str()), (Some(0), ""));
}

#[test]
fn completions_and_manual_pages_cover_every_command() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = stdout(&offergate().args(["completions", shell]).output().unwrap());
        assert!(script.contains("suspend") && script.contains("restore"), "{shell}");
    }
    let folder = tempfile::TempDir::new().unwrap();
    offergate().arg("man").arg(folder.path()).assert().success();
    for page in [
        "offergate.1",
        "offergate-suspend.1",
        "offergate-config-show.1",
        "offergate-preview-lift.1",
    ] {
        assert!(folder.path().join(page).is_file(), "{page}");
    }
    let page = stdout(&offergate().arg("man").output().unwrap());
    assert!(page.contains("server unreachable"), "exit codes belong in the manual");
}

#[test]
fn colour_is_for_terminals_and_for_those_who_ask_for_it() {
    let server = Server::with_barclays();
    let plain = run(&server, &HOLDER);
    assert!(!stdout(&plain).contains('\u{1b}'));
    let mut forced = server.offergate();
    let forced = forced.env_remove("NO_COLOR").env("CLICOLOR_FORCE", "1").args(HOLDER);
    assert!(stdout(&forced.output().unwrap()).starts_with("\u{1b}[1;32mELIGIBLE"));
}
