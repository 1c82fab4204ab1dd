//! What `deploy/` names is what the program knows, and what its store of several servers asks for works.

use crate::cli_serve::get;
use crate::redis_server::{Flavour, Server as Redis, eventually};
use crate::server::{Server, in_repository, offergate};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;
use tempfile::TempDir;

/// Every file below `deploy/`, read as text.
fn deployed() -> Vec<(PathBuf, String)> {
    fn walk(folder: &Path, found: &mut Vec<(PathBuf, String)>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else {
                found.push((path.clone(), fs::read_to_string(&path).unwrap()));
            }
        }
    }
    let mut found = Vec::new();
    walk(&in_repository("deploy"), &mut found);
    found
}

fn read(path: &str) -> String {
    fs::read_to_string(in_repository(path)).unwrap()
}

/// The names in a text that begin with `prefix` and go on with letters that `inside` allows.
fn names<'a>(
    text: &'a str,
    prefix: &'a str,
    inside: fn(char) -> bool,
) -> impl Iterator<Item = &'a str> {
    text.match_indices(prefix).map(move |(start, _)| {
        let rest = &text[start + prefix.len()..];
        let end = rest.find(|letter| !inside(letter)).unwrap_or(rest.len());
        &text[start..start + prefix.len() + end]
    })
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn every_variable_in_deploy_is_one_that_the_server_knows() {
    let mut variables = BTreeMap::new();
    for (path, text) in deployed() {
        let inside = |letter: char| letter.is_ascii_uppercase() || letter == '_';
        // What ends with a line stands for many, such as all those of a prefix.
        let whole = |name: &&str| !name.ends_with('_');
        for name in names(&text, "OFFERGATE_", inside).filter(whole) {
            variables.insert(name.to_owned(), path.clone());
        }
    }
    assert!(variables.len() >= 8, "{variables:?}");
    let unknown = |more: Option<&str>| {
        let mut command = offergate();
        command.args(["config", "check"]);
        command.envs(variables.keys().map(String::as_str).chain(more).map(|name| (name, "x")));
        let said = stderr(&command.output().unwrap()).replace(['\n', '│'], " ");
        let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
        said.matches("no setting has this name").count()
    };
    assert_eq!(unknown(Some("OFFERGATE_NO_SUCH_THING")), 1, "one that is unknown is told");
    assert_eq!(unknown(None), 0, "of {variables:#?}");
}

#[test]
fn every_flag_in_deploy_is_one_that_its_command_takes() {
    let line = |text: &str, with: &str| {
        text.lines().find(|line| line.contains(with)).unwrap_or_default().to_owned()
    };
    let arguments =
        |text: &str| text.split_once("args:").unwrap().1.split_once("env:").unwrap().0.to_owned();
    let cases: [(&str, &[&str], String); 3] = [
        ("deploy/Dockerfile", &["health"], line(&read("deploy/Dockerfile"), "\"health\"")),
        (
            "deploy/systemd/offergate.service",
            &["serve"],
            line(&read("deploy/systemd/offergate.service"), "ExecStart="),
        ),
        (
            "deploy/kubernetes/batch-decide-job.yaml",
            &["batch", "decide"],
            arguments(&read("deploy/kubernetes/batch-decide-job.yaml")),
        ),
    ];
    for (file, command, text) in cases {
        let help = offergate().args(command).arg("--help").output().unwrap();
        let help = String::from_utf8(help.stdout).unwrap();
        let words: Vec<_> = help.split([' ', '\n', '=', '[', ',']).collect();
        let inside = |letter: char| letter.is_ascii_lowercase() || letter == '-';
        let flags: Vec<_> = names(&text, "--", inside).collect();
        assert!(!flags.is_empty(), "{file}: {text}");
        for flag in flags {
            assert!(words.contains(&flag), "{file}: {command:?} takes no {flag}");
        }
    }
}

#[test]
fn a_history_is_begun_by_a_job_once_and_a_store_that_would_forget_is_refused() {
    let redis = Redis::start(Flavour::Valkey);
    let url = format!("redis://127.0.0.1:{}", redis.port);
    let begin = |url: &str| {
        let output = offergate().args(["begin-history", "-o=json", "--store", url]).output();
        let output = output.unwrap();
        (output.status.code().unwrap(), output)
    };
    let told = |output: &Output| serde_json::from_slice::<Value>(&output.stdout).unwrap();
    let (code, first) = begin(&url);
    assert_eq!(code, 0, "{}", stderr(&first));
    assert_eq!(told(&first)["state"], "BEGUN");
    let (code, again) = begin(&url);
    assert_eq!(code, 0, "{}", stderr(&again));
    assert_eq!(told(&again)["state"], "THERE");
    assert_eq!(told(&first)["token"], told(&again)["token"], "one history, not two");

    let (code, file) = begin("rules.db");
    assert_eq!(code, 2, "{}", stderr(&file));
    let (code, nobody) = begin("redis://127.0.0.1:1");
    assert_eq!(code, 5, "{}", stderr(&nobody));

    let forgetful = Redis::start_with(Flavour::Valkey, &["--maxmemory-policy", "allkeys-lru"], &[]);
    let url = format!("redis://127.0.0.1:{}", forgetful.port);
    let (code, refused) = begin(&url);
    assert_eq!(code, 1, "{}", stderr(&refused));
    assert!(stderr(&refused).contains("maxmemory-policy"), "{}", stderr(&refused));
}

/// A mapping of a compose file, with what it merges in (`<<`).
fn merged(value: &Value) -> BTreeMap<String, Value> {
    let own = value.as_object().unwrap();
    let mut all = own.get("<<").map(merged).unwrap_or_default();
    all.extend(
        own.iter().filter(|(key, _)| *key != "<<").map(|(key, value)| (key.clone(), value.clone())),
    );
    all
}

#[test]
fn the_compose_files_store_and_replicas_serve_what_two_people_have_made() {
    let text = read("deploy/compose/compose.yaml");
    // Compose puts variables in; one mention also says what to do where it is missing.
    let (before, rest) = text.split_once("${STORE_PASSWORD:?").unwrap();
    let text = format!("{before}letters4{}", rest.split_once('}').unwrap().1);
    let text = text.replace("${STORE_PASSWORD}", "letters4");
    let compose: Value = serde_saphyr::from_str(&text).unwrap();
    let service = |name: &str| merged(&compose["services"][name]);

    // What the file says of durability must come from the file: here it begins with the opposite.
    let lax = ["--appendonly", "no", "--appendfsync", "no", "--maxmemory-policy", "allkeys-lru"];
    let valkey = service("valkey");
    let command = valkey["command"].as_array().unwrap().iter().map(|it| it.as_str().unwrap());
    let options: Vec<_> = command.skip(1).filter(|it| !it.starts_with("--dir")).collect();
    let valkey = Redis::start_with(Flavour::Valkey, &[&lax[..], &options].concat(), &[]);

    let state = TempDir::new().unwrap();
    let variables = |name: &str| -> BTreeMap<String, String> {
        let given = merged(&service(name)["environment"]);
        let ours = given.into_iter().filter(|(key, _)| key.starts_with("OFFERGATE_"));
        let state = ("STATE_DIRECTORY".to_owned(), state.path().join(name).display().to_string());
        ours.map(|(key, value)| (key, value.as_str().unwrap().to_owned())).chain([state]).collect()
    };
    let here = |url: &str| url.replace("valkey:6379", &format!("127.0.0.1:{}", valkey.port));

    let store = here(&variables("history")["OFFERGATE_STORE"]);
    let begun = offergate()
        .envs(variables("history"))
        .args(["begin-history", "--store", &store])
        .output()
        .unwrap();
    assert!(begun.status.success(), "{}", stderr(&begun));
    assert_eq!(stderr(&begun), "", "nothing is amiss with the store");

    let replicas = ["offergate-1", "offergate-2"].map(|name| {
        let variables = variables(name);
        let pairs: Vec<_> = variables.iter().map(|(key, value)| (&key[..], &value[..])).collect();
        Server::start_among(&store, &pairs)
    });
    replicas[0].by_two_waiting(
        &["apply", in_repository("deploy/demo/barclays.rules.yaml").to_str().unwrap()],
        &["--wait=30s"],
    );
    for (replica, name) in replicas.iter().zip(["offergate-1", "offergate-2"]) {
        eventually("ready", || get(&replica.management, "/readyz").contains(" 200 ").then_some(()));
        let fleet = replica.json(&["replicas"]).to_string();
        assert!(fleet.contains(&format!("{name}:7443")), "{fleet}");
    }
}
