//! The real server is killed again and again while suspensions are written over gRPC, its disk fails,
//! and its calls of the kernel are watched, since a power cut takes whatever was not forced to disk.
//! Whatever was acknowledged must be there afterwards, and the chain whole.

use crate::server::Server;
use crate::two_people::TwoPeople as _;
use offergate::client::Client;
use offergate::store::RuleStore as _;
use offergate::store::embedded::EmbeddedStore;
use offergate::wire::proto;
use proto::target::Target;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// How often the server is killed.
const ROUNDS: usize = 200;

/// Enough suspensions to write while the server lives, each with a name of its own.
fn request(round: usize, number: usize) -> proto::CreateSuspensionRequest {
    let id = format!("s-{round}-{number}");
    let suspension = proto::Suspension {
        id: id.clone(),
        target: Some(proto::Target { target: Some(Target::Product("kis".to_owned())) }),
        scope: Some(proto::Scope {
            actions: vec![proto::Action::Offer.into()],
            ..proto::Scope::default()
        }),
        ticket: "CHG-1".to_owned(),
        reason: format!("round {round}, number {number}"),
        ..proto::Suspension::default()
    };
    proto::CreateSuspensionRequest {
        suspension: Some(suspension),
        request_id: id,
        author: "tester".to_owned(),
        ..proto::CreateSuspensionRequest::default()
    }
}

/// Writes until the server is gone, and notes every revision that was acknowledged.
async fn write(
    client: Client,
    round: usize,
    acknowledged: Arc<Mutex<BTreeMap<String, u64>>>,
    written: Arc<AtomicUsize>,
) {
    for number in 0.. {
        let Ok(response) = client.create_suspension_by_two(request(round, number)).await else {
            return;
        };
        let revision = response.revision.unwrap().number;
        acknowledged.lock().unwrap().insert(format!("s-{round}-{number}"), revision);
        written.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn nothing_acknowledged_is_lost_however_often_the_server_is_killed() {
    let folder = TempDir::new().unwrap();
    let store = folder.path().join("rules.db");
    let acknowledged = Arc::new(Mutex::new(BTreeMap::new()));
    let runtime = Runtime::new().unwrap();
    {
        let server = Server::start_on(&store, &[]);
        let rules = crate::server::in_repository("deploy/demo/barclays.rules.yaml");
        server.by_two(&["apply", rules.to_str().unwrap()]);
    }
    for round in 0..ROUNDS {
        let mut server = Server::start_on(&store, &[]);
        let limit = Duration::from_secs(10);
        let written = Arc::new(AtomicUsize::new(0));
        let client = runtime.block_on(Client::connect(&server.address, limit)).unwrap();
        let writer =
            runtime.spawn(write(client, round, Arc::clone(&acknowledged), Arc::clone(&written)));
        // The kill comes at another place in the work each time: during the first write, or after
        // some, with nothing but the scheduler to say where within one.
        while written.load(Ordering::SeqCst) < round % 7 {
            std::thread::yield_now();
        }
        server.kill();
        runtime.block_on(writer).unwrap();
    }

    // Opening verifies the chain of all records.
    let store = EmbeddedStore::open(&store).unwrap();
    let loaded = runtime.block_on(store.load()).unwrap();
    let mut records = Vec::new();
    while let Ok(page) = runtime.block_on(
        store.records(offergate::domain::Revision(u64::try_from(records.len()).unwrap()), 1_000),
    ) {
        if page.is_empty() {
            break;
        }
        records.extend(page);
    }
    assert_eq!(loaded.head.revision.0, u64::try_from(records.len()).unwrap());
    let acknowledged = acknowledged.lock().unwrap();
    assert!(ROUNDS < acknowledged.len(), "{} acknowledged", acknowledged.len());
    for (id, revision) in acknowledged.iter() {
        let record = &records[usize::try_from(*revision).unwrap() - 1];
        assert_eq!(record.content.request_id.as_str(), id, "revision {revision}");
        assert!(loaded.rules.suspensions.contains_key(id.as_str()), "{id}");
    }
    // Each change is proposed and approved; at most one of the two a round can have landed without being
    // acknowledged, and a proposal may be left over.
    assert!(records.len() <= 2 + 2 * (acknowledged.len() + ROUNDS));
}

/// Starts a server by way of a shell command that ends in `exec "$0" "$@"`, and waits until it
/// listens; returns its address, too.
fn start_by(shell: &str, store: &Path) -> (Child, String) {
    let mut child = Command::new("sh")
        .args(["-c", shell, env!("CARGO_BIN_EXE_offergate"), "serve", "--store"])
        .arg(store)
        .args(["--listen", "127.0.0.1:0", "--management-listen", "127.0.0.1:0"])
        .args(["--workers", "1", "--drain-timeout", "2s", "--anonymous", "everything"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // It prints no more than these two lines.
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let (clients, _management) = (lines.next().unwrap(), lines.next().unwrap());
    (child, clients.strip_prefix("listening on ").unwrap().to_owned())
}

/// A store with the demonstration's rules.
fn barclays(path: &Path) {
    let server = Server::start_on(path, &[]);
    let rules = crate::server::in_repository("deploy/demo/barclays.rules.yaml");
    server.by_two(&["apply", rules.to_str().unwrap()]);
}

#[test]
fn a_server_whose_disk_fails_ends_and_loses_nothing_that_was_acknowledged() {
    let folder = TempDir::new().unwrap();
    let store = folder.path().join("rules.db");
    barclays(&store);
    // A file that may not grow fails to be written, as on a failing disk.
    let shell = "trap '' XFSZ; ulimit -f 1000; exec \"$0\" \"$@\"";
    let (server, address) = start_by(shell, &store);
    let (acknowledged, written) = (Arc::default(), Arc::default());
    let runtime = Runtime::new().unwrap();
    runtime.block_on(async {
        let client = Client::connect(&address, Duration::from_secs(10)).await.unwrap();
        write(client, 0, Arc::clone(&acknowledged), written).await;
    });
    let ended = crate::server::within_limit(move || server.wait_with_output().unwrap());
    let said = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(1), "{said}");
    assert!(said.contains("the store failed for good"), "{said}");

    let loaded = runtime.block_on(EmbeddedStore::open(&store).unwrap().load()).unwrap();
    let acknowledged = acknowledged.lock().unwrap();
    assert!(!acknowledged.is_empty());
    for id in acknowledged.keys() {
        assert!(loaded.rules.suspensions.contains_key(id.as_str()), "{id}");
    }
    assert!(loaded.rules.suspensions.len() <= acknowledged.len() + 2);
}

#[test]
fn what_is_acknowledged_was_forced_to_disk_before_the_answer_was_sent() {
    if Command::new("strace").arg("-V").stdout(Stdio::null()).status().is_err() {
        // Not by a macro, whose words the harness would hide.
        let _ = writeln!(std::io::stderr(), "SKIPPED for want of strace: the order of fsync");
        return;
    }
    let folder = TempDir::new().unwrap();
    let [store, trace] = ["rules.db", "trace"].map(|name| folder.path().join(name));
    barclays(&store);
    let shell = format!(
        "exec strace -f -y -s 65536 -o {} \
         -e trace=pwrite64,fsync,fdatasync,write,writev,sendto,sendmsg \"$0\" \"$@\"",
        trace.display()
    );
    let (mut server, address) = start_by(&shell, &store);
    let runtime = Runtime::new().unwrap();
    let tokens: Vec<String> = runtime.block_on(async {
        let client = Client::connect(&address, Duration::from_secs(10)).await.unwrap();
        let mut tokens = Vec::new();
        for number in 0..5 {
            let made = client.create_suspension_by_two(request(0, number)).await.unwrap();
            tokens.push(made.revision.unwrap().token);
        }
        tokens
    });
    // The traced process first: strace ends with it, and has then written all.
    let children = format!("/proc/{0}/task/{0}/children", server.id());
    let traced = std::fs::read_to_string(children).unwrap();
    let ended = Command::new("kill").arg("-TERM").arg(traced.trim()).status().unwrap();
    assert!(ended.success());
    crate::server::within_limit(move || server.wait().unwrap());

    let trace = std::fs::read_to_string(trace).unwrap();
    let calls: Vec<&str> = trace.lines().collect();
    let mut since = 0;
    for (number, token) in tokens.iter().enumerate() {
        // As the entry of the approval names it, and strace quotes it.
        let request = format!(r#"request_id\":\"s-0-{number}\""#);
        let first = |from: usize, what: &str, is_it: &dyn Fn(&str) -> bool| {
            let found = calls.iter().skip(from).position(|call| is_it(call));
            from + found.unwrap_or_else(|| panic!("no {what} for {request} in\n{trace}"))
        };
        let is_log = |call: &str| call.contains("rules.db-wal>");
        let written = first(since, "write to the log", &|call| {
            call.contains("pwrite64(") && is_log(call) && call.contains(&request)
        });
        // A call that another thread's comes between ends on a line of its own, without its file.
        let begun = first(written, "sync", &|call| call.contains("sync(") && is_log(call));
        let thread = calls[begun].split(' ').next().unwrap();
        let forced = first(begun, "end of sync", &|call| {
            call.starts_with(thread) && call.contains("sync") && call.ends_with("= 0")
        });
        let rewritten = calls[forced..]
            .iter()
            .position(|call| call.contains("pwrite64(") && is_log(call) && call.contains(&request));
        let answered = first(since, "answer", &|call| {
            call.contains("<socket:") && call.contains(token.as_str())
        });
        assert!(forced < answered, "{request}: answered before it was on disk\n{trace}");
        let stays = rewritten.is_none_or(|after| answered < forced + after);
        assert!(stays, "{request}: written anew between the sync and the answer\n{trace}");
        since = answered;
    }
}
