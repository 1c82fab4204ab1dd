//! What a real server does when it is told something: to stop, to stop at once, to read its settings anew;
//! and what it tells whoever started it.

use crate::cli_serve::get;
use crate::server::{LIMIT, Server, in_repository};
use offergate::audit::decisions::folder::{each_line, segments};
use offergate::client::{Client, ErrorKind};
use offergate::clock::{Clock, SystemClock};
use offergate::wire::proto;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;

fn now() -> Duration {
    SystemClock.boot()
}

/// Waits for a condition, and fails when it does not come.
fn until(what: &str, mut look: impl FnMut() -> bool) {
    let start = now();
    while !look() {
        assert!(now() - start < LIMIT, "never came: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn check() -> proto::CheckEligibilityRequest {
    proto::CheckEligibilityRequest {
        customer: Some(proto::Customer { id: "c-1".into(), ..<_>::default() }),
        offer: "kis-12m".into(),
        action: proto::Action::Offer.into(),
        ..<_>::default()
    }
}

/// A server with rules, what it says in a file, and the folder of both.
struct Told {
    server: Server,
    said: PathBuf,
    folder: TempDir,
}

impl Told {
    fn start(more: &[&str], variables: &[(&str, &str)]) -> Self {
        Self::start_in(TempDir::new().unwrap(), more, variables)
    }

    fn start_in(folder: TempDir, more: &[&str], variables: &[(&str, &str)]) -> Self {
        let (store, said) = (folder.path().join("rules.db"), folder.path().join("said"));
        // An empty one is none: the setting says what is logged.
        let variables = [&[("RUST_LOG", "")], variables].concat();
        let server = Server::start_saying(&store, &said, more, &variables);
        server.apply(&in_repository("deploy/demo/barclays.rules.yaml"));
        Self { server, said, folder }
    }

    fn says(&self, what: &str) -> bool {
        std::fs::read_to_string(&self.said).unwrap().contains(what)
    }

    fn comes_to_say(&self, what: &str) {
        until(what, || self.says(what));
    }

    fn readiness(&self) -> String {
        get(&self.server.management, "/readyz")
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_told_to_stop_says_so_and_serves_on_until_balancers_have_heard() {
    let mut told = Told::start(&["--drain-delay=3s"], &[]);
    let client = Client::connect(&told.server.address, LIMIT).await.unwrap();
    assert!(client.is_serving("").await.unwrap());
    let watch = proto::WatchRevisionsRequest { after_revision: Some(0), ..<_>::default() };
    let mut watcher = client.watch_revisions(watch).await.unwrap();
    told.server.signal("TERM");
    until("it is not ready", || told.readiness().starts_with("HTTP/1.1 503"));
    assert!(told.readiness().contains("this server is stopping"));
    assert!(!client.is_serving("").await.unwrap());
    client.check_eligibility(check()).await.unwrap();
    let late = Client::connect(&told.server.address, LIMIT).await.unwrap();
    late.check_eligibility(check()).await.unwrap();
    assert!(watcher.next().await.unwrap().is_ok(), "whoever watches is not sent away yet");
    assert_eq!(told.server.wait().code(), Some(0));
    assert!(told.says("Stopped") && !told.says("still under way"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_under_way_is_finished_and_one_that_never_ends_is_left_at_the_limit() {
    for (limit, ends) in [("60s", true), ("1s", false)] {
        let mut told = Told::start(&["--drain-delay=0s", "--drain-timeout", limit], &[]);
        let client = Client::connect(&told.server.address, LIMIT).await.unwrap();
        let (send, asked) = tokio::sync::mpsc::channel(1);
        let mut answers = client.stream_eligibility(ReceiverStream::new(asked)).await.unwrap();
        let ask = || proto::StreamEligibilityRequest { request: Some(check()), ..<_>::default() };
        send.send(ask()).await.unwrap();
        assert!(answers.next().await.unwrap().is_ok());
        told.server.signal("TERM");
        told.comes_to_say("Draining");
        if ends {
            // It was begun before.
            send.send(ask()).await.unwrap();
            assert!(answers.next().await.unwrap().is_ok());
            drop(send);
            assert!(answers.next().await.is_none());
        }
        assert_eq!(told.server.wait().code(), Some(0), "{limit}");
        assert_eq!(told.says("still under way"), !ends, "{limit}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_signal_ends_a_server_at_once_with_1_and_loses_no_decision() {
    let folder = TempDir::new().unwrap();
    let log = folder.path().join("decisions");
    let log = log.to_str().unwrap();
    let more = ["--drain-delay=10m", "--decision-log=complete", "--decision-log-dir", log];
    let mut told = Told::start_in(folder, &more, &[]);
    let client = Client::connect(&told.server.address, LIMIT).await.unwrap();
    told.server.signal("TERM");
    told.comes_to_say("Told to stop");
    for _ in 0..100 {
        client.check_eligibility(check()).await.unwrap();
    }
    told.server.signal("INT");
    assert_eq!(told.server.wait().code(), Some(1));
    assert!(told.says("stopped at once"));
    let mut written = 0;
    for segment in segments(&told.folder.path().join("decisions")).unwrap() {
        let count = |line: &[u8], _| {
            written += usize::from(line.windows(9).any(|it| it == b"\"kis-12m\""));
            Ok::<_, std::io::Error>(true)
        };
        each_line(segment.open().unwrap(), count).unwrap();
    }
    assert!(100 <= written, "{written}");
}

/// Tells it to read its settings anew, and waits for what it says of that.
fn reloads(told: &Told, says: &str) {
    std::fs::write(&told.said, "").unwrap();
    told.server.signal("HUP");
    told.comes_to_say(says);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_reads_its_settings_anew_and_says_what_it_takes_and_what_needs_a_restart() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("offergate.toml");
    let set = |text: &str| std::fs::write(&file, text).unwrap();
    set("check_timeout = \"5s\"\n");
    let config = file.to_str().unwrap().to_owned();
    let told = Told::start_in(folder, &["--config", &config], &[]);
    let client = Client::connect(&told.server.address, LIMIT).await.unwrap();
    let batch = || proto::BatchCheckEligibilityRequest { requests: vec![check(); 1000] };
    client.batch_check_eligibility(batch()).await.unwrap();
    client.check_eligibility(check()).await.unwrap();

    reloads(&told, "none has changed that can be changed");
    set("check_timeout = \"7s\"\nquota_per_second = 1\nlog_filter = \"offergate=debug\"\n");
    reloads(&told, "needs a restart to take effect: check_timeout");
    assert!(told.says("from now on quota_per_second is 1, log_filter is offergate=debug"));
    client.batch_check_eligibility(batch()).await.unwrap();
    let refused = client.check_eligibility(check()).await.unwrap_err();
    assert_eq!(refused.reason.as_deref(), Some("QUOTA_EXCEEDED"));

    // What cannot be used changes nothing.
    for (bad, why) in [
        ("quota_per_second = 0\n", "is no count"),
        ("quota = 5\n", "no setting"),
        ("log_filter = \"offergate=loud\"\n", "log_filter is not a log filter"),
    ] {
        set(bad);
        reloads(&told, "the old ones stay");
        assert!(told.says(why), "{}", std::fs::read_to_string(&told.said).unwrap());
        let refused = client.check_eligibility(check()).await.unwrap_err();
        assert_eq!(refused.reason.as_deref(), Some("QUOTA_EXCEEDED"), "{bad}");
    }
    set("check_timeout = \"5s\"\n");
    reloads(&told, "from now on quota_per_second is no limit");
    client.check_eligibility(check()).await.unwrap();
    assert!(!told.says("restart"), "it is as it runs");
}

/// Whoever started a server, by systemd's protocol.
struct Manager(UnixDatagram);

impl Manager {
    fn at(path: &Path) -> Self {
        let socket = UnixDatagram::bind(path).unwrap();
        socket.set_read_timeout(Some(LIMIT)).unwrap();
        Self(socket)
    }

    /// What it is told next, but for signs of life.
    fn hears(&self) -> Vec<String> {
        loop {
            let mut bytes = [0; 4096];
            let length = self.0.recv(&mut bytes).expect("it is told something");
            let text = String::from_utf8(bytes[..length].to_vec()).unwrap();
            if text.trim_end() != "WATCHDOG=1" {
                return text.lines().map(str::to_owned).collect();
            }
        }
    }

    /// Waits for a sign of life, and passes over all else.
    fn hears_that_it_is_alive(&self) {
        let mut bytes = [0; 4096];
        loop {
            let length = self.0.recv(&mut bytes).expect("it is alive");
            if bytes[..length].starts_with(b"WATCHDOG=1") {
                return;
            }
        }
    }
}

#[test]
fn a_service_manager_is_told_of_every_turn_and_that_all_threads_are_alive() {
    let folder = TempDir::new().unwrap();
    let socket = folder.path().join("notify");
    let manager = Manager::at(&socket);
    let variables = [("NOTIFY_SOCKET", socket.to_str().unwrap()), ("WATCHDOG_USEC", "300000")];
    let mut told = Told::start_in(folder, &["--drain-delay=0s"], &variables);
    let ready = manager.hears();
    assert_eq!(ready[0], "READY=1");
    assert!(ready[1].starts_with("STATUS=Listening on 127.0.0.1:"), "{ready:?}");
    manager.hears_that_it_is_alive();
    told.server.signal("HUP");
    let reloading = manager.hears();
    assert_eq!(reloading[0], "RELOADING=1");
    assert!(reloading[1].starts_with("MONOTONIC_USEC="), "{reloading:?}");
    assert_eq!(manager.hears(), ready);
    manager.hears_that_it_is_alive();
    told.server.signal("TERM");
    assert_eq!(manager.hears()[0], "STOPPING=1");
    assert_eq!(told.server.wait().code(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_have_grown_old_are_given_up_and_no_call_of_who_asks_again_fails() {
    let told = Told::start(&["--max-connection-age=1s"], &[]);
    let client = Client::connect(&told.server.address, LIMIT).await.unwrap();
    let (_, address) = told.server.address.split_once("://").unwrap();
    let raw = crate::api::frames::until_it_is_given_up(address);
    // A call that is about to be sent when the server gives its connection up is not sent, and the client
    // says so: it is asked again, as callers do.
    let ask = async || {
        for _ in 0..3 {
            match client.check_eligibility(check()).await {
                Ok(_) => return,
                Err(error) => assert_eq!(error.kind, ErrorKind::Unreachable, "{error}"),
            }
        }
        panic!("no call of a caller that asks again fails");
    };
    let on_and_on = async {
        loop {
            ask().await;
        }
    };
    tokio::select! {
        code = raw => assert_eq!(code, 0, "nobody is to blame"),
        () = on_and_on => {}
    }
    // A client that goes on has made itself a new connection, more than once.
    let start = now();
    while now() - start < Duration::from_secs(3) {
        ask().await;
    }
}
