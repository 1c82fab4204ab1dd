//! Events that people must hear of, from a real server to a real receiver: signed, once for each thing by
//! its id, and not lost when the receiver is away and the server is killed.

use crate::redis_server::{self, Flavour, eventually, free_port};
use crate::server::Server;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::{Algorithm, DecodingKey};
use serde_json::Value;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use tempfile::TempDir;

/// What the tests' events are signed with.
pub(crate) const SECRET: &str = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=";
const OLDER: &str = "whsec_YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXphYmNkZWY=";
const CUSTOMER: &str = "cust-0012345678";
const RECORD: [&str; 3] = ["--author=ann", "--ticket=CHG-9", "--reason=cust-0012345678 complained"];

/// Rules with one suspension that nobody reviewed, and a company that can be sold.
pub(crate) const RULES: &str = r#"
vendors:
  big: {name: Big}
  small: {name: Small, parent: big}
  other: {name: Other}
products:
  p: {name: P, class: ANTIVIRUS, vendors: [small], components: []}
  q: {name: Q, class: ANTIVIRUS, vendors: [other], components: []}
offers:
  p-12m: {product: p}
  q-12m: {product: q}
suspensions:
  wide: {target: {vendor: big}, reach: GROUP, actions: [OFFER], customers: [cust-0012345678, c-2],
         from: "2020-01-01T00:00:00Z", review_by: 2021-06-01, ticket: CHG-1, reason: cust-0012345678 asked}
"#;

/// A request as the receiver got it.
#[derive(Debug, Clone)]
pub(crate) struct Got {
    pub(crate) id: String,
    pub(crate) at: String,
    signatures: String,
    content_type: String,
    body: String,
}

impl Got {
    pub(crate) fn event(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    pub(crate) fn kind(&self) -> String {
        self.event()["type"].as_str().unwrap().trim_start_matches("offergate.v1.").to_owned()
    }

    /// Whether one of the signatures was made with this secret.
    pub(crate) fn is_signed_with(&self, secret: &str) -> bool {
        // By another implementation than the server's; it wants the alphabet of URLs.
        let secret = STANDARD.decode(secret.strip_prefix("whsec_").unwrap()).unwrap();
        let key = DecodingKey::from_secret(&secret);
        let message = format!("{}.{}.{}", self.id, self.at, self.body);
        let verifies = |signature: &str| {
            let signature = signature.strip_prefix("v1,").unwrap().trim_end_matches('=');
            let signature = signature.replace('+', "-").replace('/', "_");
            let message = message.as_bytes();
            jsonwebtoken::crypto::verify(&signature, message, &key, Algorithm::HS256).unwrap()
        };
        self.signatures.split(' ').any(verifies)
    }
}

#[derive(Clone)]
struct Kept {
    got: Arc<Mutex<Vec<Got>>>,
    answers: Arc<AtomicU16>,
}

/// A receiver on a thread of its own, until it is dropped.
pub(crate) struct Receiver {
    kept: Kept,
    port: u16,
    _runtime: tokio::runtime::Runtime,
}

impl Receiver {
    pub(crate) fn start(answers: u16) -> Self {
        Self::start_at(0, answers)
    }

    fn start_at(port: u16, answers: u16) -> Self {
        let kept = Kept { got: Arc::default(), answers: Arc::new(AtomicU16::new(answers)) };
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.unwrap();
        let routes = Router::new().route("/events", post(take)).with_state(kept.clone());
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", port));
        let listener = runtime.block_on(listener).unwrap();
        let port = listener.local_addr().unwrap().port();
        runtime.spawn(async move { axum::serve(listener, routes).await.unwrap() });
        Self { kept, port, _runtime: runtime }
    }

    pub(crate) fn url(&self) -> String {
        url(self.port)
    }

    fn answers(&self, status: u16) {
        self.kept.answers.store(status, Ordering::SeqCst);
    }

    pub(crate) fn got(&self) -> Vec<Got> {
        self.kept.got.lock().unwrap().clone()
    }

    /// The first request about such a thing.
    pub(crate) fn first(&self, kind: &str) -> Got {
        eventually(kind, || self.got().into_iter().find(|got| got.kind() == kind))
    }
}

fn url(port: u16) -> String {
    format!("http://127.0.0.1:{port}/events")
}

async fn take(State(kept): State<Kept>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let header = |name: &str| headers.get(name).map_or("", |it| it.to_str().unwrap()).to_owned();
    kept.got.lock().unwrap().push(Got {
        id: header("webhook-id"),
        at: header("webhook-timestamp"),
        signatures: header("webhook-signature"),
        content_type: header("content-type"),
        body: String::from_utf8(body.to_vec()).unwrap(),
    });
    StatusCode::from_u16(kept.answers.load(Ordering::SeqCst)).unwrap()
}

/// A server on a store in the folder, which sends events there.
pub(crate) fn start(folder: &Path, url: &str, more: &[&str]) -> Server {
    let secret = [("OFFERGATE_EVENT_WEBHOOK_SECRET", SECRET)];
    let flags = [&["--event-webhook-url", url], more].concat();
    Server::start_told(&folder.join("rules.db"), &flags, &secret)
}

/// Makes these rules the server's.
pub(crate) fn apply(server: &Server, folder: &Path, rules: &str) {
    let path = folder.join("rules.yaml");
    std::fs::write(&path, rules).unwrap();
    server.apply(&path);
}

/// Suspends a product by one person.
pub(crate) fn break_glass(server: &Server, id: &str) {
    let id = format!("--id={id}");
    server.json(&[&["suspend", "product", "q", &id, "--emergency"][..], &RECORD].concat());
}

/// A replica on a shared store, which sends events to the receiver. Its journal is in the folder.
pub(crate) fn replica(
    folder: &Path,
    redis: &redis_server::Server,
    receiver: &Receiver,
    name: &str,
) -> Server {
    let store = format!("redis://127.0.0.1:{}", redis.port);
    let (journal, url) = (folder.join(name).display().to_string(), receiver.url());
    let flags = ["--event-webhook-url", &url, "--replica", name, "--journal", &journal];
    let flags = [&flags[..], &["--begin-history"]].concat();
    Server::start_told(Path::new(&store), &flags, &[("OFFERGATE_EVENT_WEBHOOK_SECRET", SECRET)])
}

fn secret_file(folder: &Path, text: &str) -> PathBuf {
    let path = folder.join("secret");
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o400)).unwrap();
    path
}

#[test]
fn an_emergency_a_review_and_a_sale_are_told_signed_by_the_secret_of_a_file_and_name_no_customer() {
    let (folder, receiver) = (TempDir::new().unwrap(), Receiver::start(204));
    let secret = secret_file(folder.path(), &format!("{SECRET} {OLDER}\n"));
    let url = receiver.url();
    let server = Server::start_told(
        &folder.path().join("rules.db"),
        &["--event-webhook-url", &url],
        &[("OFFERGATE_EVENT_WEBHOOK_SECRET_FILE", secret.to_str().unwrap())],
    );
    apply(&server, folder.path(), RULES);
    let review = receiver.first("suspension_review_due");
    assert_eq!(review.id, "review-due-wide-2021-06-01");
    assert_eq!(review.event()["time"], "2021-06-01T00:00:00Z");
    assert_eq!(review.event()["data"]["ticket"], "CHG-1");

    break_glass(&server, "now");
    let told = receiver.first("break_glass");
    let event = told.event();
    assert_eq!(
        (&event["specversion"], &event["source"]),
        (&"1.0".into(), &"/offergate/default".into())
    );
    assert_eq!(
        (&event["id"], &event["subject"]),
        (&told.id.as_str().into(), &"suspensions/now".into())
    );
    assert_eq!((&event["data"]["author"], &event["data"]["change"]), (&"ann".into(), &3.into()));
    assert_eq!(told.content_type, "application/cloudevents+json; charset=utf-8");
    assert!(told.is_signed_with(SECRET) && told.is_signed_with(OLDER));
    assert!(!told.is_signed_with("whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="));

    // Small is sold, and nobody touches the suspension.
    apply(
        &server,
        folder.path(),
        &RULES
            .replace(", parent: big", "")
            .replace("suspensions:", &format!("suspensions:\n{}", now_rule(&server))),
    );
    let moved = receiver.first("suspension_reach_moved").event();
    assert_eq!(moved["subject"], "suspensions/wide");
    assert_eq!(moved["data"]["freed"], serde_json::json!({"count": 1, "products": ["p"]}));
    assert_eq!(moved["data"]["widened"]["count"], 0);

    let ids: Vec<_> = receiver.got().into_iter().map(|got| got.id).collect();
    let distinct: std::collections::BTreeSet<_> = ids.iter().collect();
    assert_eq!(ids.len(), distinct.len(), "each was sent once: {ids:?}");
    for got in receiver.got() {
        assert!(!got.body.contains(CUSTOMER) && !got.body.contains("c-2"), "{}", got.body);
    }
}

/// The emergency's suspension as the server exports it, for a rule file that leaves it alone.
fn now_rule(server: &Server) -> String {
    let exported = server.offergate().arg("export").output().unwrap();
    let exported = String::from_utf8(exported.stdout).unwrap();
    let rules: Value = serde_saphyr::from_str(&exported).unwrap();
    format!("  now: {}", rules["suspensions"]["now"])
}

#[test]
fn what_the_receiver_refused_goes_out_after_the_server_was_killed_with_the_same_id() {
    let (folder, receiver) = (TempDir::new().unwrap(), Receiver::start(503));
    let log = folder.path().join("decisions");
    let more = ["--decision-log=complete", "--decision-log-dir", log.to_str().unwrap()];
    let mut server = start(folder.path(), &receiver.url(), &more);
    apply(&server, folder.path(), RULES);
    break_glass(&server, "now");
    let first = receiver.first("break_glass");
    server.json(&["check", "--offer=q-12m", "--customer=c-1", "--action=OFFER"]);
    server.kill();
    let before = receiver.got().len();
    receiver.answers(200);
    let server = start(folder.path(), &receiver.url(), &more);
    let later = |kind: &'static str| {
        eventually(kind, || receiver.got().into_iter().skip(before).find(|it| it.kind() == kind))
    };
    let again = later("break_glass");
    assert_eq!((&again.id, &again.body), (&first.id, &first.body));
    assert!(again.is_signed_with(SECRET));
    // The killed process may have known of decisions that it had not written.
    let gap = later("decision_log_gap").event();
    assert_eq!(gap["data"]["gaps"], 1);

    drop(server);
    let taken = receiver.got().len();
    let server = start(folder.path(), &receiver.url(), &more);
    // What comes after everything else has come is not told anew.
    break_glass(&server, "later");
    let is_it = |got: &Got| got.event()["subject"] == "suspensions/later";
    eventually("the next one", || receiver.got().into_iter().skip(taken).find(is_it));
    let repeated: Vec<_> =
        receiver.got().into_iter().skip(taken).filter(|it| it.id == first.id).collect();
    assert!(repeated.is_empty(), "{repeated:?}");
}

#[test]
fn a_receiver_that_is_away_holds_nothing_up_and_gets_everything_when_it_is_back() {
    let (folder, port) = (TempDir::new().unwrap(), free_port());
    let mut server = start(folder.path(), &url(port), &[]);
    apply(&server, folder.path(), RULES);
    for id in ["a", "b"] {
        break_glass(&server, id);
        let decision = server.json(&["check", "--offer=q-12m", "--customer=c-1", "--action=OFFER"]);
        assert_eq!(decision["outcome"], "INELIGIBLE", "{decision}");
    }
    // They are written down before anybody is killed.
    let outbox = folder.path().join("rules.db.events");
    eventually("two emergencies in the outbox", || {
        let events = rusqlite::Connection::open(&outbox).ok()?;
        let count = "SELECT count(*) FROM events WHERE id LIKE 'break-glass-%'";
        (events.query_row(count, [], |row| row.get::<_, i64>(0)).ok()? == 2).then_some(())
    });
    server.kill();
    let receiver = Receiver::start_at(port, 200);
    let _server = start(folder.path(), &receiver.url(), &[]);
    let subjects = |receiver: &Receiver| -> Vec<Value> {
        let emergencies = receiver.got().into_iter().filter(|got| got.kind() == "break_glass");
        emergencies.map(|got| got.event()["subject"].clone()).collect()
    };
    eventually("both", || (subjects(&receiver).len() == 2).then_some(()));
    assert_eq!(subjects(&receiver), ["suspensions/a", "suspensions/b"], "in their order");
    let mode = std::fs::metadata(&outbox).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "for its owner alone");
}

#[test]
fn every_replica_of_a_shared_store_tells_the_same_thing_under_the_same_id() {
    let (folder, receiver) = (TempDir::new().unwrap(), Receiver::start(200));
    let redis = redis_server::Server::start(Flavour::Redis);
    let replica = |name: &str| replica(folder.path(), &redis, &receiver, name);
    let (one, _other) = (replica("r1"), replica("r2"));
    apply(&one, folder.path(), RULES);
    break_glass(&one, "now");
    let told = eventually("both", || {
        let got = receiver.got();
        let told: Vec<_> = got.into_iter().filter(|got| got.kind() == "break_glass").collect();
        (2 <= told.len()).then_some(told)
    });
    assert_eq!(told[0].id, told[1].id);
    let server = |got: &Got| got.event()["offergateserver"].as_str().unwrap().to_owned();
    let mut servers = [server(&told[0]), server(&told[1])];
    servers.sort();
    assert_eq!(servers, ["r1", "r2"]);
}

#[test]
fn half_of_it_and_a_place_in_the_open_are_refused_before_a_port_opens() {
    for (flags, secret, expected) in [
        (vec!["--event-webhook-url=https://a.example/x"], None, "without `event_webhook_secret`"),
        (vec![], Some(SECRET), "without `event_webhook_url`"),
        (vec!["--event-webhook-url=http://a.example/x"], Some(SECRET), "is no place for events"),
        (
            vec!["--event-webhook-url=https://a.example/x"],
            Some("hunter2"),
            "is no secret for events",
        ),
    ] {
        let mut command = crate::server::offergate();
        command.args(["config", "check", "--anonymous=everything"]).args(&flags);
        if let Some(secret) = secret {
            command.env("OFFERGATE_EVENT_WEBHOOK_SECRET", secret);
        }
        command.env("HOME", "/home/ops");
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).replace(['\n', '│'], " ");
        let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(expected) && !said.contains("hunter2"), "{said}");
    }
}
