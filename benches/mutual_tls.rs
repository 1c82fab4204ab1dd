//! What mutual TLS costs a check on kept connections: two servers with the same rules, one of them in
//! plain text and open to everybody, the other over TLS 1.3 for a service with a certificate. They are
//! asked in turn, round after round, so that a slow minute hits both. Told are the medians and the ratio.
//!
//! Each server has one core, and the load the other. Wants a quiet machine, and `taskset`.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a measurement may panic, and prints"
)]

use bytes::Bytes;
use h2::client::SendRequest;
use offergate::clock::{Clock, SystemClock};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, SanType};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// The load: kept connections, calls at once on each, and how long and how often they are made.
const CONNECTIONS: usize = 8;
const STREAMS: usize = 32;
const ROUND: Duration = Duration::from_secs(3);
const ROUNDS: usize = 7;

/// What is to be kept of the throughput.
const GOAL: f64 = 0.9;

const PATH: &str = "http://localhost/offergate.v1.EligibilityService/CheckEligibility";

/// A server on the first core, which ends with the value.
struct Server {
    process: Child,
    address: String,
    rounds: Vec<Round>,
}

#[derive(Clone, Copy)]
struct Round {
    per_second: f64,
    cpu_micros: f64,
}

impl Server {
    fn start(store: &Path, more: &[String]) -> Self {
        let mut process = Command::new("taskset")
            .args(["-c", "0", env!("CARGO_BIN_EXE_offergate"), "serve", "--workers", "1"])
            .args(["--listen", "127.0.0.1:0", "--management-listen", "127.0.0.1:0", "--store"])
            .arg(store)
            .args(more)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim_end().rsplit("//").next().unwrap().to_owned();
        Self { process, address, rounds: Vec::new() }
    }

    /// CPU time that the process has used, in ticks of 10 ms.
    fn ticks(&self) -> f64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.process.id())).unwrap();
        let fields = stat.rsplit_once(')').unwrap().1.split_whitespace();
        fields.skip(11).take(2).map(|field| field.parse::<f64>().unwrap()).sum()
    }

    fn median(&self, of: impl Fn(&Round) -> f64) -> f64 {
        median(self.rounds.iter().map(of).collect())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap()
}

/// Writes an authority, a server's and a service's certificate, and the table; returns the flags.
fn certificates(folder: &Path) -> Vec<String> {
    let params = |name: &str| {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params
    };
    let mut authority = params("authority");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    fs::write(folder.join("ca.pem"), authority.pem()).unwrap();
    let uri = SanType::URI("spiffe://bench/web".try_into().unwrap());
    let name = SanType::DnsName("localhost".try_into().unwrap());
    for (file, san) in [("server", name), ("web", uri)] {
        let mut params = params(file);
        params.subject_alt_names.push(san);
        let key = KeyPair::generate().unwrap();
        let signed = params.signed_by(&key, &authority).unwrap();
        fs::write(folder.join(format!("{file}.pem")), signed.pem()).unwrap();
        let path = folder.join(format!("{file}.key"));
        fs::write(&path, key.serialize_pem()).unwrap();
        fs::set_permissions(path, Permissions::from_mode(0o600)).unwrap();
    }
    let table = "services: {/web: {name: web, roles: [caller]}}";
    fs::write(folder.join("principals.yaml"), table).unwrap();
    let file = |flag: &str, name: &str| format!("--{flag}={}", folder.join(name).display());
    vec![
        "--anonymous=none".to_owned(),
        "--trust-domain=bench".to_owned(),
        file("tls-certificate-file", "server.pem"),
        file("tls-key-file", "server.key"),
        file("client-ca-file", "ca.pem"),
        file("principals-file", "principals.yaml"),
    ]
}

fn connector(folder: &Path) -> TlsConnector {
    let read = |name: &str| fs::read(folder.join(name)).unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(&read("ca.pem")).unwrap()).unwrap();
    let certificate = CertificateDer::from_pem_slice(&read("web.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_slice(&read("web.key")).unwrap();
    let mut config = rustls::ClientConfig::builder()
        .with_root_certificates(roots)
        .with_client_auth_cert(vec![certificate], key)
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec()];
    TlsConnector::from(Arc::new(config))
}

/// Opens a connection, over TLS if there is a way to.
async fn connect(address: &str, tls: Option<&TlsConnector>) -> SendRequest<Bytes> {
    let stream = TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    match tls {
        None => speak(stream).await,
        Some(tls) => {
            let name = ServerName::try_from("localhost").unwrap();
            speak(tls.connect(name, stream).await.unwrap()).await
        }
    }
}

async fn speak<T: AsyncRead + AsyncWrite + Unpin + Send + 'static>(io: T) -> SendRequest<Bytes> {
    let (send, connection) = h2::client::handshake(io).await.unwrap();
    tokio::spawn(connection);
    send
}

/// Makes one check; the answer must be an OK.
async fn check(connection: &SendRequest<Bytes>, body: &Bytes) {
    let request = http::Request::post(PATH)
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(())
        .unwrap();
    let mut ready = connection.clone().ready().await.unwrap();
    let (answer, mut stream) = ready.send_request(request, false).unwrap();
    stream.send_data(body.clone(), true).unwrap();
    let mut answer = answer.await.unwrap().into_body();
    while let Some(part) = answer.data().await {
        let length = part.unwrap().len();
        answer.flow_control().release_capacity(length).unwrap();
    }
    let trailers = answer.trailers().await.unwrap().unwrap();
    assert_eq!(trailers.get("grpc-status").unwrap(), "0");
}

/// Keeps all streams of all connections busy for a round, and counts.
async fn round(server: &Server, connections: &[SendRequest<Bytes>], body: &Bytes) -> Round {
    let (begun, ticks) = (SystemClock.boot(), server.ticks());
    let work = connections.iter().flat_map(|connection| {
        (0..STREAMS).map(move |_| {
            let (connection, body) = (connection.clone(), body.clone());
            tokio::spawn(async move {
                let mut done = 0_u32;
                while SystemClock.boot() - begun < ROUND {
                    check(&connection, &body).await;
                    done += 1;
                }
                done
            })
        })
    });
    let mut done = 0.0;
    for task in work.collect::<Vec<_>>() {
        done += f64::from(task.await.unwrap());
    }
    let seconds = (SystemClock.boot() - begun).as_secs_f64();
    Round { per_second: done / seconds, cpu_micros: (server.ticks() - ticks) * 10_000.0 / done }
}

fn main() {
    let folder = TempDir::new().unwrap();
    let folder = folder.path();
    let program = Path::new(env!("CARGO_BIN_EXE_offergate"));
    let input = program.with_file_name("examples").join("floor_input");
    assert!(Command::new(input).arg(folder).status().unwrap().success(), "see benches/run.sh");
    fs::copy(folder.join("10.db"), folder.join("plain.db")).unwrap();
    let body = Bytes::from(fs::read(folder.join("body.bin")).unwrap());
    let flags = certificates(folder);
    let open = ["--anonymous=everything".to_owned()];
    let mut servers = [
        Server::start(&folder.join("plain.db"), &open),
        Server::start(&folder.join("10.db"), &flags),
    ];
    let tls = connector(folder);
    // The load goes to the other core.
    let id = std::process::id().to_string();
    assert!(
        Command::new("taskset")
            .args(["-cp", "1", &id])
            .stdout(Stdio::null())
            .status()
            .unwrap()
            .success()
    );
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut connections = [Vec::new(), Vec::new()];
        for _ in 0..CONNECTIONS {
            let [plain, secured] = &servers;
            let [to_plain, to_secured] = &mut connections;
            to_plain.push(connect(&plain.address, None).await);
            to_secured.push(connect(&secured.address, Some(&tls)).await);
        }
        for number in 0..=ROUNDS {
            for (server, connections) in servers.iter_mut().zip(&connections) {
                let measured = round(server, connections, &body).await;
                // The first one warms up.
                if 0 < number {
                    server.rounds.push(measured);
                }
            }
        }
    });
    let [plain, secured] = &servers;
    println!("{:22} {:>9} {:>13}", "CheckEligibility", "req/s", "CPU us/req");
    for (name, server) in [("plain text", plain), ("mutual TLS 1.3", secured)] {
        let (per_second, cpu) =
            (server.median(|it| it.per_second), server.median(|it| it.cpu_micros));
        println!("{name:22} {per_second:9.0} {cpu:13.2}");
    }
    let ratio = |of: fn(&Round) -> f64| {
        let pairs = plain.rounds.iter().zip(&secured.rounds);
        median(pairs.map(|(plain, secured)| of(secured) / of(plain)).collect())
    };
    let kept = ratio(|round| round.per_second);
    let verdict = if GOAL <= kept { "as wanted" } else { "LESS than wanted" };
    println!("kept of the throughput: {kept:.3} (goal {GOAL}: {verdict})");
    println!("server's CPU a request: {:.3} times", ratio(|round| round.cpu_micros));
}
