//! Services that prove who they are by certificates, to a real server over TLS: who is let in, who is not
//! and why, and files that change while it runs.

use crate::redis_server::eventually;
use crate::server::{LIMIT, Server};
use assert_cmd::Command;
use offergate::client::{Client, Credentials, ErrorKind};
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CertificateRevocationListParams,
    CertifiedIssuer, DnType, IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams,
    SanType, SerialNumber, date_time_ymd,
};
use std::fs::{self, Permissions};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;
use tokio_stream::wrappers::ReceiverStream;

const TABLE: &str = "
services:
  /bank/web: {name: web, roles: [caller]}
  /bank/viewer: {name: viewer, roles: [reader]}
";

/// An authority, and a folder for what it signs.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: TempDir,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let authority = Self { issuer, folder: TempDir::new().unwrap() };
        fs::write(authority.path("ca.pem"), authority.issuer.pem()).unwrap();
        authority.revoke(&[]);
        authority
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes `NAME.pem` and `NAME.key`, which only its owner may read.
    fn sign(&self, name: &str, params: CertificateParams) -> Certificate {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        fs::write(self.path(&format!("{name}.pem")), certificate.pem()).unwrap();
        let path = self.path(&format!("{name}.key"));
        fs::write(&path, key.serialize_pem()).unwrap();
        fs::set_permissions(path, Permissions::from_mode(0o600)).unwrap();
        certificate
    }

    /// The server's own certificate.
    pub(crate) fn server(&self) -> &Self {
        let names = vec!["127.0.0.1".to_owned(), "localhost".to_owned()];
        self.sign("server", CertificateParams::new(names).unwrap());
        self
    }

    /// A service's certificate.
    pub(crate) fn service(&self, name: &str, uris: &[&str]) {
        self.sign(name, service(name, uris));
    }

    /// Writes the list of what is revoked, by serial numbers.
    fn revoke(&self, serials: &[u64]) {
        self.revoke_until(serials, 2100);
    }

    fn revoke_until(&self, serials: &[u64], year: i32) {
        let revoked = |serial: &u64| RevokedCertParams {
            serial_number: SerialNumber::from(*serial),
            revocation_time: date_time_ymd(2020, 1, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2020, 1, 1),
            next_update: date_time_ymd(year, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: serials.iter().map(revoked).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let list = list.signed_by(&self.issuer).unwrap();
        fs::write(self.path("crl.pem"), list.pem().unwrap()).unwrap();
    }

    /// The flags of a server that takes this authority's certificates.
    pub(crate) fn flags(&self) -> Vec<String> {
        fs::write(self.path("principals.yaml"), TABLE).unwrap();
        let file = |flag: &str, name: &str| format!("--{flag}={}", self.path(name).display());
        vec![
            "--anonymous=none".to_owned(),
            "--trust-domain=bank.example".to_owned(),
            file("tls-certificate-file", "server.pem"),
            file("tls-key-file", "server.key"),
            file("client-ca-file", "ca.pem"),
            file("client-crl-file", "crl.pem"),
            file("principals-file", "principals.yaml"),
        ]
    }

    pub(crate) fn start(&self, more: &[&str]) -> Server {
        let flags = self.flags();
        let flags: Vec<_> = flags.iter().map(String::as_str).chain(more.iter().copied()).collect();
        Server::start_on(&self.path("rules.db"), &flags)
    }

    pub(crate) fn credentials(&self, name: &str) -> Credentials {
        let read = |name: String| fs::read(self.path(&name)).unwrap();
        Credentials {
            token: None,
            authority: Some(read("ca.pem".to_owned())),
            certificate: Some((read(format!("{name}.pem")), read(format!("{name}.key")))),
        }
    }
}

fn service(name: &str, uris: &[&str]) -> CertificateParams {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    let uris = uris.iter().map(|uri| SanType::URI((*uri).try_into().unwrap()));
    params.subject_alt_names.extend(uris);
    params
}

fn says(server: &Server, reason: &str) -> u64 {
    let mut stream = TcpStream::connect(server.management.trim_start_matches("http://")).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    write!(stream, "GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut page = String::new();
    stream.read_to_string(&mut page).unwrap();
    let label = format!("reason=\"{reason}\"");
    let line = page
        .lines()
        .find(|line| line.starts_with("offergate_not_admitted_total{") && line.contains(&label));
    line.unwrap().rsplit(' ').next().unwrap().parse().unwrap()
}

async fn check(client: &Client) -> Result<(), ErrorKind> {
    let request = offergate::wire::proto::CheckEligibilityRequest {
        customer: Some(offergate::wire::proto::Customer { id: "c".into(), ..<_>::default() }),
        offer: "o".into(),
        action: offergate::wire::proto::Action::Offer.into(),
        ..<_>::default()
    };
    client.check_eligibility(request).await.map(drop).map_err(|error| error.kind)
}

/// Connects, and asks for a decision.
async fn ask(server: &Server, credentials: Credentials) -> Result<(), ErrorKind> {
    let client = Client::connect_as(&server.address, LIMIT, credentials).await;
    check(&client.map_err(|error| error.kind)?).await
}

#[tokio::test]
async fn a_service_is_let_in_by_one_name_of_the_table_and_for_every_other_reason_turned_away() {
    let authority = Authority::new("ours");
    let server = authority.server().start(&[]);
    let good = "spiffe://bank.example/bank/web";
    authority.service("web", &[good]);
    authority.service("viewer", &["spiffe://bank.example/bank/viewer"]);
    assert_eq!(ask(&server, authority.credentials("web")).await, Ok(()));
    let viewer = ask(&server, authority.credentials("viewer")).await;
    assert_eq!(viewer, Err(ErrorKind::NotAllowed), "it may read, and not ask for decisions");
    assert_eq!(says(&server, "role"), 1);

    authority.service("nameless", &[]);
    authority.service("two", &[good, "spiffe://bank.example/bank/viewer"]);
    authority.service("abroad", &["spiffe://evil.example/bank/web"]);
    authority.service("unknown", &["spiffe://bank.example/bank/web/2"]);
    let mut expired = service("expired", &[good]);
    (expired.not_before, expired.not_after) =
        (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1));
    authority.sign("expired", expired);
    let mut early = service("early", &[good]);
    early.not_before = date_time_ymd(2090, 1, 1);
    authority.sign("early", early);
    let stranger = Authority::new("theirs");
    stranger.service("stranger", &[good]);
    for name in ["stranger.pem", "stranger.key"] {
        fs::copy(stranger.path(name), authority.path(name)).unwrap();
    }
    for (name, reason) in [
        ("nameless", "certificate_name"),
        ("two", "certificate_name"),
        ("abroad", "certificate_name"),
        ("unknown", "certificate_unknown"),
        ("expired", "certificate_expired"),
        ("early", "certificate_expired"),
        ("stranger", "certificate_untrusted"),
    ] {
        let before = says(&server, reason);
        let ended = ask(&server, authority.credentials(name)).await;
        assert_eq!(ended, Err(ErrorKind::Unreachable), "{name}");
        eventually(name, || (before < says(&server, reason)).then_some(()));
    }
    let nobody = Credentials { certificate: None, ..authority.credentials("web") };
    assert_eq!(ask(&server, nobody).await, Err(ErrorKind::Unreachable));
    eventually("it is counted", || (0 < says(&server, "no_proof")).then_some(()));
    assert_eq!(ask(&server, authority.credentials("web")).await, Ok(()), "after all of them");
}

#[tokio::test]
async fn what_is_revoked_or_taken_out_of_the_table_while_the_server_runs_is_nobodys_soon() {
    let authority = Authority::new("ours");
    let server = authority.server().start(&[]);
    let mut web = service("web", &["spiffe://bank.example/bank/web"]);
    web.serial_number = Some(77.into());
    authority.sign("web", web);
    authority.service("viewer", &["spiffe://bank.example/bank/viewer"]);
    let kept =
        Client::connect_as(&server.address, LIMIT, authority.credentials("web")).await.unwrap();
    assert_eq!(check(&kept).await, Ok(()));

    authority.revoke(&[77]);
    until(async || ask(&server, authority.credentials("web")).await == Err(ErrorKind::Unreachable))
        .await;
    eventually("it is counted", || (0 < says(&server, "certificate_revoked")).then_some(()));
    let viewer = ask(&server, authority.credentials("viewer")).await;
    assert_eq!(viewer, Err(ErrorKind::NotAllowed), "others are let in as before");
    fs::write(authority.path("crl.pem"), "no list at all").unwrap();
    fs::write(authority.path("principals.yaml"), "services: [oops]").unwrap();
    assert_eq!(check(&kept).await, Ok(()), "a connection that was let in goes on");

    // A table that reads takes effect for connections that are there already, and for their streams.
    let (_send, nothing) = tokio::sync::mpsc::channel(1);
    let stream = kept.stream_eligibility(ReceiverStream::new(nothing)).await.unwrap();
    let ended = tokio::spawn(async move { { stream }.message().await });
    fs::write(authority.path("principals.yaml"), "services: {}").unwrap();
    until(async || check(&kept).await == Err(ErrorKind::Unknown)).await;
    let ended = tokio::time::timeout(LIMIT, ended).await.expect("the stream ends").unwrap();
    assert_eq!(ended.unwrap_err().code(), tonic::Code::Unauthenticated);
    assert_eq!(ask(&server, authority.credentials("web")).await, Err(ErrorKind::Unreachable));

    fs::write(authority.path("principals.yaml"), TABLE).unwrap();
    authority.revoke(&[]);
    until(async || ask(&server, authority.credentials("web")).await == Ok(())).await;
    authority.revoke_until(&[], 2021);
    until(async || ask(&server, authority.credentials("web")).await == Err(ErrorKind::Unreachable))
        .await;
}

/// Waits for something that a changed file leads to.
async fn until(mut look: impl AsyncFnMut() -> bool) {
    let attempts = async {
        while !look().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(LIMIT, attempts).await.expect("the changed file is seen");
}

#[tokio::test]
async fn the_servers_own_certificate_is_renewed_without_a_restart_and_a_bad_pair_changes_nothing() {
    let (old, new) = (Authority::new("old"), Authority::new("new"));
    let server = old.server().start(&[]);
    old.service("web", &["spiffe://bank.example/bank/web"]);
    new.server();
    let believing = |authority: &Authority| Credentials {
        authority: Some(fs::read(authority.path("ca.pem")).unwrap()),
        ..old.credentials("web")
    };
    assert_eq!(ask(&server, believing(&old)).await, Ok(()));
    assert_eq!(ask(&server, believing(&new)).await, Err(ErrorKind::Unreachable));
    // Half of the new pair does not fit, and is passed over until the other half is there.
    fs::copy(new.path("server.pem"), old.path("server.pem")).unwrap();
    assert_eq!(ask(&server, believing(&old)).await, Ok(()));
    fs::copy(new.path("server.key"), old.path("server.key")).unwrap();
    until(async || ask(&server, believing(&new)).await == Ok(())).await;
    assert_eq!(ask(&server, believing(&old)).await, Err(ErrorKind::Unreachable));
    fs::write(old.path("server.key"), "no key").unwrap();
    assert_eq!(ask(&server, believing(&new)).await, Ok(()));
}

#[tokio::test]
async fn only_tls_1_3_is_spoken_and_whoever_says_nothing_keeps_nobody_waiting() {
    let authority = Authority::new("ours");
    let server = authority.server().start(&[]);
    authority.service("web", &["spiffe://bank.example/bank/web"]);
    let address = server.address.trim_start_matches("https://");
    let silent: Vec<_> = (0..40).map(|_| TcpStream::connect(address).unwrap()).collect();
    assert_eq!(ask(&server, authority.credentials("web")).await, Ok(()));
    drop(silent);

    let plain = Client::connect(address, LIMIT).await;
    let plain = match plain {
        Ok(client) => check(&client).await,
        Err(error) => Err(error.kind),
    };
    assert_eq!(plain, Err(ErrorKind::Unreachable), "plain text");
    let openssl = std::process::Command::new("openssl")
        .args(["s_client", "-connect", address, "-tls1_2", "-cert"])
        .arg(authority.path("web.pem"))
        .arg("-key")
        .arg(authority.path("web.key"))
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap();
    assert!(!openssl.status.success(), "TLS 1.2");
    eventually("both are counted", || (1 < says(&server, "handshake")).then_some(()));
}

#[tokio::test]
async fn where_tokens_are_taken_too_a_certificate_may_be_left_out_at_the_handshake() {
    let authority = Authority::new("ours");
    let issuer = ["--oidc-issuer=http://127.0.0.1:1", "--oidc-audience=offergate"];
    let server = authority.server().start(&issuer);
    authority.service("web", &["spiffe://bank.example/bank/web"]);
    assert_eq!(ask(&server, authority.credentials("web")).await, Ok(()));
    let nobody = Credentials { certificate: None, ..authority.credentials("web") };
    assert_eq!(ask(&server, nobody).await, Err(ErrorKind::Unknown));
    // An issuer that cannot be asked: worth another try, and never a yes.
    let token = Some("eyJhbGciOiJFUzI1NiJ9.e30.AAAA".to_owned());
    let person = Credentials { token, certificate: None, ..authority.credentials("web") };
    assert_eq!(ask(&server, person).await, Err(ErrorKind::Unreachable));
}

#[test]
fn the_command_line_shows_a_certificate_and_says_what_is_wrong_with_one() {
    let authority = Authority::new("ours");
    let server = authority.server().start(&[]);
    authority.service("viewer", &["spiffe://bank.example/bank/viewer"]);
    let file = |name: &str| authority.path(name).display().to_string();
    let run = |variables: &[(&str, &str)], arguments: &[&str]| {
        let mut command: Command = server.offergate();
        let output = command.envs(variables.iter().copied()).args(arguments).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code(), said)
    };
    let (authorities, certificate, key) = (file("ca.pem"), file("viewer.pem"), file("viewer.key"));
    let all = [
        ("OFFERGATE_CA_FILE", authorities.as_str()),
        ("OFFERGATE_CERTIFICATE_FILE", certificate.as_str()),
        ("OFFERGATE_KEY_FILE", key.as_str()),
    ];
    let (code, said) = run(&all, &["status"]);
    assert_eq!(code, Some(0), "{said}");
    let check = ["check", "--customer=c", "--offer=o", "--action=OFFER"];
    let (code, said) = run(&all, &check);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("`viewer` may not do this: it takes the role caller"), "{said}");
    let (code, said) = run(&all[..1], &["status"]);
    assert_eq!(code, Some(5), "{said}");
    let (code, said) = run(&all[..2], &["status"]);
    assert_eq!((code, said.contains("--key-file")), (Some(2), true), "{said}");
    let (code, said) = run(&all, &["status", "--ca-file=/nonexistent.pem"]);
    assert_eq!((code, said.contains("/nonexistent.pem")), (Some(3), true), "{said}");
    let (code, said) = run(&all, &["status", "--server=http://127.0.0.1:1"]);
    assert_eq!((code, said.contains("https://")), (Some(2), true), "{said}");
}

#[test]
fn a_key_that_others_may_read_or_that_is_another_certificates_stops_the_start() {
    let authority = Authority::new("ours");
    authority.server();
    authority.service("web", &["spiffe://bank.example/bank/web"]);
    let flags = authority.flags();
    let start = |key: &Path, mode: u32, more: &[String]| {
        fs::set_permissions(key, Permissions::from_mode(mode)).unwrap();
        let mut command = crate::server::offergate();
        command.args(["serve", "--listen=127.0.0.1:0", "--management-listen=127.0.0.1:0"]);
        command.arg("--store").arg(authority.path("rules.db")).args(more);
        let output = command.output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let key = authority.path("server.key");
    for mode in [0o640, 0o604, 0o644] {
        let (code, said) = start(&key, mode, &flags);
        assert_eq!((code, said.contains(&format!("mode {mode:04o}"))), (Some(2), true), "{said}");
    }
    let with = |name: &str, file: &str| {
        let flag = format!("--{name}=");
        let others = flags.iter().filter(|it| !it.starts_with(&flag)).cloned();
        others.chain([format!("{flag}{}", authority.path(file).display())]).collect::<Vec<_>>()
    };
    fs::write(authority.path("bad.yaml"), "services:\n  /a: {name: a, roles: [king]}\n").unwrap();
    for (flags, told) in [
        (with("tls-key-file", "web.key"), "is not the key of"),
        (with("tls-key-file", "server.pem"), "holds no private key"),
        (with("tls-certificate-file", "server.key"), "holds no certificate"),
        (with("client-ca-file", "server.key"), "holds no certificate"),
        (with("client-crl-file", "ca.pem"), "holds no revocation list"),
        (with("principals-file", "bad.yaml"), "bad.yaml:2:"),
    ] {
        fs::set_permissions(authority.path("server.pem"), Permissions::from_mode(0o600)).unwrap();
        let (code, said) = start(&key, 0o600, &flags);
        let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!((code, said.contains(told)), (Some(2), true), "{told}: {said}");
    }
    let (code, said) = start(&key, 0o600, &with("client-ca-file", "gone.pem"));
    assert_eq!((code, said.contains("gone.pem")), (Some(3), true), "{said}");
}
