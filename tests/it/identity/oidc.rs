//! People who sign in at a real OpenID Connect server, and the command line with their tokens.

use crate::redis_server::{eventually, free_port};
use crate::server::{LIMIT, Server};
use serde_json::Value;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

/// The provider, which other people wrote.
struct Provider {
    process: Child,
    port: u16,
}

impl Provider {
    fn start(people: &[&str]) -> Self {
        let target = std::env::var_os("CARGO_TARGET_DIR")
            .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("target"), PathBuf::from);
        let program = target.join("tools/python/bin/oidc-provider-mock");
        assert!(program.exists(), "no provider is installed; run `tests/tools/setup.sh oidc`");
        let port = free_port();
        let process = Command::new(target.join("tools/python/bin/python"))
            .arg(program)
            .args(["--port", &port.to_string(), "--token-max-age", "300"])
            .args(people.iter().flat_map(|claims| ["--user-claims", claims]))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let provider = Self { process, port };
        eventually("the provider answers", || TcpStream::connect(("127.0.0.1", port)).ok());
        provider
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Sends a form, and returns head and body of the answer.
    fn post(&self, path: &str, form: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        let (host, length) = (format!("127.0.0.1:{}", self.port), form.len());
        write!(
            stream,
            "POST {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Length: {length}\r\n\
             Content-Type: application/x-www-form-urlencoded\r\n\r\n{form}"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    /// Signs somebody in for a client, as a browser would, and returns the ID token.
    fn sign_in(&self, person: &str, client: &str) -> String {
        let back = "http%3A%2F%2F127.0.0.1%2Fback";
        let asked = format!(
            "client_id={client}&redirect_uri={back}&response_type=code&scope=openid%20profile"
        );
        let sent = self.post(&format!("/oauth2/authorize?{asked}"), &format!("sub={person}"));
        let code = sent.split("code=").nth(1).unwrap();
        let code = code.split(['&', '\r']).next().unwrap();
        let form = format!(
            "grant_type=authorization_code&code={code}&redirect_uri={back}&client_id={client}\
             &client_secret=any"
        );
        let answer = self.post("/oauth2/token", &form);
        let body = answer.split("\r\n\r\n").nth(1).unwrap();
        let json = &body[body.find('{').unwrap()..=body.rfind('}').unwrap()];
        let token: Value = serde_json::from_str(json).unwrap();
        token["id_token"].as_str().unwrap().to_owned()
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn people_who_sign_in_elsewhere_do_here_what_their_tokens_and_the_table_say() {
    let provider = Provider::start(&[r#"{"sub": "ann", "name": "Ann"}"#, r#"{"sub": "eve"}"#]);
    let folder = TempDir::new().unwrap();
    let table = folder.path().join("principals.yaml");
    let rows = format!(
        "people:\n  - {{issuer: \"{}\", subject: ann, roles: [reader, auditor]}}\n",
        provider.url()
    );
    fs::write(&table, rows).unwrap();
    let server = Server::start_on(
        &folder.path().join("rules.db"),
        &[
            "--anonymous=none",
            "--oidc-audience=offergate",
            &format!("--oidc-issuer={}", provider.url()),
            &format!("--principals-file={}", table.display()),
        ],
    );
    let run = |token: &str, arguments: &[&str]| {
        let file = folder.path().join("token");
        fs::write(&file, token).unwrap();
        let mut command = server.offergate();
        let output = command.env("OFFERGATE_TOKEN_FILE", &file).args(arguments).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let part = token.rsplit('.').next().unwrap();
        assert!(!said.contains(part), "a token is repeated: {said}");
        (output.status.code(), said)
    };
    let ann = provider.sign_in("ann", "offergate");
    assert_eq!(run(&ann, &["status"]).0, Some(0), "{:?}", run(&ann, &["status"]));
    let (code, said) = run(&ann, &["check", "--customer=c", "--offer=o", "--action=OFFER"]);
    assert_eq!(code, Some(1));
    assert!(said.contains("`Ann` may not do this: it takes the role caller"), "{said}");
    let (code, said) = run(&provider.sign_in("eve", "offergate"), &["status"]);
    assert_eq!((code, said.contains("it takes the role")), (Some(1), true), "{said}");
    let (code, said) = run(&provider.sign_in("ann", "another-client"), &["status"]);
    assert_eq!((code, said.contains("another audience")), (Some(1), true), "{said}");
    let (code, said) = run(&format!("{ann}A"), &["status"]);
    assert_eq!((code, said.contains("signature")), (Some(1), true), "{said}");
    let (code, said) = run("nonsense", &["status"]);
    assert_eq!((code, said.contains("--token-file")), (Some(1), true), "{said}");
    let anybody = server.offergate().arg("status").output().unwrap();
    assert_eq!(anybody.status.code(), Some(1));
}

#[test]
fn an_emergency_takes_the_second_factor_that_the_settings_name_and_says_which_is_missing() {
    let strong = r#"{"sub": "ann", "name": "Ann", "acr": "phr", "amr": ["hwk", "pin"]}"#;
    let weak = r#"{"sub": "eve", "name": "Eve", "acr": "1", "amr": ["pwd"]}"#;
    let provider = Provider::start(&[strong, weak]);
    let folder = TempDir::new().unwrap();
    let table = folder.path().join("principals.yaml");
    let row = |subject: &str| {
        let roles = "[reader, maker, break-glass]";
        format!("  - {{issuer: \"{}\", subject: {subject}, roles: {roles}}}\n", provider.url())
    };
    fs::write(&table, format!("people:\n{}{}", row("ann"), row("eve"))).unwrap();
    let store = folder.path().join("rules.db");
    let filled = Server::start_on(&store, &[]);
    filled.apply(&crate::server::in_repository("deploy/demo/barclays.rules.yaml"));
    drop(filled);
    let server = Server::start_on(
        &store,
        &[
            "--anonymous=none",
            "--oidc-audience=offergate",
            &format!("--oidc-issuer={}", provider.url()),
            &format!("--principals-file={}", table.display()),
            "--break-glass-acr=phr,phrh",
            "--break-glass-amr=hwk",
        ],
    );
    let suspend = |person: &str, more: &[&str]| {
        let file = folder.path().join("token");
        fs::write(&file, provider.sign_in(person, "offergate")).unwrap();
        let id = format!("--id={person}{}", more.len());
        let what = ["suspend", "offer", "avast-12m", "--reason=Now", "--ticket=INC-1", &id];
        let mut command = server.offergate();
        let output = command.env("OFFERGATE_TOKEN_FILE", &file).args(what).args(more).output();
        let output = output.unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (code, said) = suspend("eve", &["--emergency"]);
    assert_eq!(code, Some(1), "{said}");
    let told = "takes a sign-in with an `acr` of phr or phrh, and `amr` with hwk";
    assert!(said.contains(told), "{said}");
    let (code, said) = suspend("eve", &[]);
    assert_eq!(code, Some(0), "with another person, no more is asked for: {said}");
    let (code, said) = suspend("ann", &["--emergency"]);
    assert_eq!(code, Some(0), "{said}");
}
