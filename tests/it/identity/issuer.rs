//! An issuer over HTTP, in this process: how its keys are fetched, kept, and not fetched too often.

use super::keys::{AUDIENCE, Key, claims, set};
use axum::Router;
use axum::routing::get;
use offergate::clock::{Clock, SystemClock};
use offergate::domain::{PrincipalId, Role, Roles, Timestamp};
use offergate::identity::{Expected, Gate, Issuer, IssuerSettings, Strength, Tokens, Unproven};
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A clock whose boot time the test moves on.
struct Shifted(Mutex<Duration>);

impl Clock for Shifted {
    fn wall(&self) -> Timestamp {
        SystemClock.wall()
    }

    fn boot(&self) -> Duration {
        *self.0.lock().unwrap()
    }
}

/// What the issuer publishes, and how often it was asked.
struct Published {
    url: String,
    keys: Mutex<String>,
    asked: AtomicUsize,
    clock: Arc<Shifted>,
}

impl Published {
    async fn start(keys: String) -> Arc<Self> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        Self::serve(listener, url, keys)
    }

    /// Publishes under a URL that leads to this listener.
    fn serve(listener: tokio::net::TcpListener, url: String, keys: String) -> Arc<Self> {
        let clock = Arc::new(Shifted(Mutex::new(Duration::from_secs(10_000))));
        let asked = AtomicUsize::new(0);
        let published = Arc::new(Self { url: url.clone(), keys: Mutex::new(keys), asked, clock });
        let served = Arc::clone(&published);
        let discovery = json!({"issuer": url, "jwks_uri": format!("{url}/keys")}).to_string();
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(move || async { discovery }))
            .route(
                "/keys",
                get(move || async move {
                    served.asked.fetch_add(1, Ordering::SeqCst);
                    served.keys.lock().unwrap().clone()
                }),
            );
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        published
    }

    /// A gate that takes this issuer's tokens, and keeps its keys up to date.
    fn gate(&self, principals: Option<&str>) -> Arc<Gate> {
        let expected = Expected {
            issuer: self.url.clone(),
            audience: AUDIENCE.into(),
            roles_claim: "roles".into(),
            emergency: Strength::default(),
        };
        let settings = IssuerSettings { expected, jwks_url: None, authorities: None };
        let clock: Arc<dyn Clock> = Arc::clone(&self.clock) as _;
        let issuer = Arc::new(Issuer::new(settings, Arc::clone(&clock)).unwrap());
        let tokens = Tokens::Issued(issuer);
        let folder = tempfile::tempdir().unwrap();
        let table = principals.map(|text| {
            let path = folder.path().join("principals.yaml");
            std::fs::write(&path, text).unwrap();
            path
        });
        let gate = Arc::new(Gate::new(Roles::NONE, tokens, table, "", clock).unwrap());
        let following = Arc::clone(&gate);
        tokio::spawn(async move { following.follow().await });
        gate
    }

    fn claims(&self) -> Value {
        let mut claims = claims(SystemClock.wall().as_second());
        claims["iss"] = json!(self.url);
        claims
    }

    fn publish(&self, keys: &[&Key]) {
        *self.keys.lock().unwrap() = set(keys);
    }

    fn pass(&self, time: Duration) {
        *self.clock.0.lock().unwrap() += time;
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

#[tokio::test]
async fn a_token_is_verified_with_fetched_keys_and_then_known_for_a_while() {
    let key = Key::es256("k");
    let issuer = Published::start(set(&[&key])).await;
    let table = format!("people: [{{issuer: \"{}\", subject: u-1, roles: [checker]}}]", issuer.url);
    let gate = issuer.gate(Some(&table));
    let token = key.sign(&issuer.claims());
    assert_eq!(gate.person_at_once(&token), None, "nobody has verified it");
    let person = gate.person(&token).await.unwrap();
    assert_eq!(
        person.id,
        PrincipalId { issuer: issuer.url.as_str().into(), subject: "u-1".into() }
    );
    let roles = [Role::Reader, Role::Maker, Role::Checker];
    assert_eq!(person.roles, roles.into_iter().collect(), "the token's and the table's");
    assert_eq!(gate.person_at_once(&token), Some(person), "now it is known");
    assert_eq!(gate.person_at_once(&format!("{token}x")), None);
    assert_eq!(issuer.asked(), 1);
}

#[tokio::test]
async fn a_new_key_is_found_at_once_and_a_flood_of_unknown_ones_costs_one_fetch_a_minute() {
    let (old, new) = (Key::es256("old"), Key::ed25519("new"));
    let issuer = Published::start(set(&[&old])).await;
    let gate = issuer.gate(None);
    gate.person(&old.sign(&issuer.claims())).await.unwrap();
    issuer.pass(Duration::from_secs(120));
    issuer.publish(&[&old, &new]);
    gate.person(&new.sign(&issuer.claims())).await.unwrap();
    let asked = issuer.asked();
    assert_eq!(asked, 2, "once at first, and once for the new key");

    let stranger = Key::es256("old");
    let flood = (0..200).map(|number| {
        let header = json!({"alg": "ES256", "kid": format!("kid-{number}")});
        let token = stranger.sign_under(&header, &issuer.claims());
        let gate = Arc::clone(&gate);
        tokio::spawn(async move { gate.person(&token).await })
    });
    for refused in flood.collect::<Vec<_>>() {
        assert_eq!(refused.await.unwrap(), Err(Unproven::UnknownKey));
    }
    assert_eq!(issuer.asked(), asked, "within the minute nobody is asked");
    issuer.pass(Duration::from_secs(61));
    for _ in 0..20 {
        let unknown = stranger.sign_under(&json!({"alg": "ES256", "kid": "x"}), &issuer.claims());
        assert_eq!(gate.person(&unknown).await, Err(Unproven::UnknownKey));
    }
    assert_eq!(issuer.asked(), asked + 1, "and once a minute after");
}

#[tokio::test]
async fn keys_that_nobody_has_confirmed_for_an_hour_prove_nothing_and_a_bad_set_replaces_no_good_one()
 {
    let key = Key::es256("k");
    let issuer = Published::start(set(&[&key])).await;
    let gate = issuer.gate(None);
    let token = |number: usize| {
        let mut claims = issuer.claims();
        claims["jti"] = json!(number);
        key.sign(&claims)
    };
    gate.person(&token(0)).await.unwrap();
    for (number, bad) in ["", "{}", r#"{"keys": []}"#, "<html>"].into_iter().enumerate() {
        *issuer.keys.lock().unwrap() = bad.to_owned();
        issuer.pass(Duration::from_secs(61));
        let unknown = key.sign_under(&json!({"alg": "ES256", "kid": "x"}), &issuer.claims());
        assert_eq!(gate.person(&unknown).await, Err(Unproven::UnknownKey), "{bad}");
        assert!(gate.person(&token(number + 1)).await.is_ok(), "the good keys go on: {bad}");
    }
    issuer.pass(Duration::from_secs(60 * 60));
    assert_eq!(gate.person(&token(9)).await, Err(Unproven::NoKeys));
    issuer.publish(&[&key]);
    issuer.pass(Duration::from_secs(61));
    assert!(gate.person(&token(10)).await.is_ok(), "it heals by itself");
}

#[tokio::test]
async fn an_issuer_that_says_it_is_another_one_is_not_believed() {
    let key = Key::es256("k");
    let issuer = Published::start(set(&[&key])).await;
    let expected = Expected {
        issuer: issuer.url.replace("127.0.0.1", "localhost"),
        audience: AUDIENCE.into(),
        roles_claim: "roles".into(),
        emergency: Strength::default(),
    };
    let settings = IssuerSettings { expected, jwks_url: None, authorities: None };
    let asked = Issuer::new(settings, Arc::new(SystemClock)).unwrap();
    assert!(!asked.fetch_now().await);
    assert_eq!(issuer.asked(), 0, "its keys were not even looked at");
}

/// An issuer behind TLS, with a certificate of an authority that nobody knows; and that authority, in PEM.
async fn behind_tls(keys: String) -> (Arc<Published>, String) {
    let ca_key = KeyPair::generate().unwrap();
    let mut ca = CertificateParams::new(Vec::new()).unwrap();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = ca.self_signed(&ca_key).unwrap().pem();
    let issuer = rcgen::Issuer::new(ca, &ca_key);
    let own_key = KeyPair::generate().unwrap();
    let own = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let own = own.signed_by(&own_key, &issuer).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![own.der().clone()],
            own_key.serialized_der().to_vec().try_into().unwrap(),
        )
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let front = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let back = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (port, inside) = (front.local_addr().unwrap().port(), back.local_addr().unwrap());
    let published = Published::serve(back, format!("https://localhost:{port}"), keys);
    tokio::spawn(async move {
        while let Ok((stream, _)) = front.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut outside) = acceptor.accept(stream).await else { return };
                let mut inside = tokio::net::TcpStream::connect(inside).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut outside, &mut inside).await;
            });
        }
    });
    (published, authority)
}

#[tokio::test]
async fn an_issuer_with_a_certificate_of_the_banks_own_authority_is_believed_where_that_is_named() {
    let key = Key::es256("k");
    let (issuer, authority) = behind_tls(set(&[&key])).await;
    let folder = tempfile::tempdir().unwrap();
    let ours = folder.path().join("ca.pem");
    std::fs::write(&ours, authority).unwrap();
    let other = folder.path().join("other.pem");
    std::fs::write(&other, behind_tls(set(&[&key])).await.1).unwrap();
    let asked = |authorities: Option<&std::path::Path>| {
        let expected = Expected {
            issuer: issuer.url.clone(),
            audience: AUDIENCE.into(),
            roles_claim: "roles".into(),
            emergency: Strength::default(),
        };
        let authorities = authorities.map(std::path::Path::to_owned);
        let settings = IssuerSettings { expected, jwks_url: None, authorities };
        Issuer::new(settings, Arc::new(SystemClock))
    };
    assert!(!asked(None).unwrap().fetch_now().await, "nobody knows that authority");
    assert!(!asked(Some(&other)).unwrap().fetch_now().await, "it is another one");
    assert_eq!(issuer.asked(), 0);
    assert!(asked(Some(&ours)).unwrap().fetch_now().await);
    assert_eq!(issuer.asked(), 1);
    let empty = folder.path().join("empty.pem");
    std::fs::write(&empty, "no certificate").unwrap();
    for (path, why) in
        [(empty, "holds no certificate in PEM"), ("/none.pem".into(), "cannot be read")]
    {
        let refused = asked(Some(&path)).unwrap_err();
        assert!(refused.contains(why), "{refused}");
    }
}
