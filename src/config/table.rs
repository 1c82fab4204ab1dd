//! The table of settings: the one place that names them.

use super::read::{
    address, choice, count, default_store, duration, namespace, store, text, texts, trust_domain,
    yes_or_no,
};
use super::setting::{DefaultValue, Setting};
use super::{
    Anonymous, DecisionLogSettings, EventSettings, IdentitySettings, LoadSettings, LogFormat,
    Secret, Settings, StoreLocation, decision_log, events, limits,
};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn path(place: &mut Option<PathBuf>, text: &str) -> Result<(), String> {
    *place = Some(PathBuf::from(text));
    Ok(())
}

/// All settings, in the order in which they are shown.
pub(super) const SETTINGS: &[Setting] = &[
    Setting {
        name: "listen",
        effect: "Where clients connect.",
        form: "ADDRESS:PORT",
        default: DefaultValue::Fixed("127.0.0.1:7443"),
        secret: false,
        read: |settings, text| address(text).map(|value| settings.listen = value),
    },
    Setting {
        name: "management_listen",
        effect: "Where probes and metrics are served, in plain HTTP and without authentication.",
        form: "ADDRESS:PORT",
        default: DefaultValue::Fixed("127.0.0.1:9464"),
        secret: false,
        read: |settings, text| address(text).map(|value| settings.management_listen = value),
    },
    Setting {
        name: "store",
        effect: "Where rules live: a file of the embedded store, made if it is not there, or the URL \
                 of a Redis or Valkey that several servers share.",
        form: "PATH, sqlite:PATH, redis://HOST, redis+sentinel://HOST/MASTER or redis+cluster://HOST",
        default: DefaultValue::Found(
            "offergate.db in $STATE_DIRECTORY, $XDG_STATE_HOME/offergate or \
             ~/.local/state/offergate; with --demo in its subfolder demo",
            default_store,
        ),
        secret: false,
        read: |settings, text| store(text).map(|value| settings.store = value),
    },
    Setting {
        name: "store_namespace",
        effect: "Which of the histories in a shared store is this service's.",
        form: "1 to 64 letters, digits, `-`, `_`, `.`",
        default: DefaultValue::Fixed("default"),
        secret: false,
        read: |settings, text| namespace(text).map(|value| settings.store_namespace = value),
    },
    Setting {
        name: "store_nodes",
        effect: "How many nodes of a shared store could be promoted, the primary included; a change \
                 is durable when all of them have it.",
        form: "count, 1 to 15",
        default: DefaultValue::Unset("1 for redis://; must be set for sentinels and clusters"),
        secret: false,
        read: |settings, text| {
            let nodes = count(text, 1, 15).map(|value| u32::try_from(value).ok());
            nodes.map(|value| settings.store_nodes = value)
        },
    },
    Setting {
        name: "store_password",
        effect: "The password for a shared store, where its URL gives none.",
        form: "text",
        default: DefaultValue::Unset("none"),
        secret: true,
        read: |settings, text| {
            settings.store_password = Some(Secret::new(text.to_owned()));
            Ok(())
        },
    },
    Setting {
        name: "store_ca_file",
        effect: "The authority that signed the certificates of a shared store's servers.",
        form: "path of a PEM file",
        default: DefaultValue::Unset("the machine's own list"),
        secret: false,
        read: |settings, text| path(&mut settings.store_ca_file, text),
    },
    Setting {
        name: "store_certificate_file",
        effect: "The certificate to show to a shared store's servers.",
        form: "path of a PEM file",
        default: DefaultValue::Unset("none"),
        secret: false,
        read: |settings, text| path(&mut settings.store_certificate_file, text),
    },
    Setting {
        name: "store_key_file",
        effect: "The key of that certificate.",
        form: "path of a PEM file",
        default: DefaultValue::Unset("none"),
        secret: false,
        read: |settings, text| path(&mut settings.store_key_file, text),
    },
    Setting {
        name: "replica",
        effect: "The name of this server among the replicas of a shared store.",
        form: "1 to 64 letters, digits, `-`, `_`, `.`",
        default: DefaultValue::Unset("the machine's host name"),
        secret: false,
        read: |settings, text| namespace(text).map(|value| settings.replica = Some(value)),
    },
    Setting {
        name: "advertise",
        effect: "Where this replica is said to be reached, in lists of replicas.",
        form: "text, such as HOST:PORT",
        default: DefaultValue::Unset("where it listens"),
        secret: false,
        read: |settings, text| {
            settings.advertise = Some(text.to_owned());
            Ok(())
        },
    },
    Setting {
        name: "journal",
        effect: "The file that keeps a shared store's history on this machine: what a replica starts \
                 from while the store is away. Each replica has its own.",
        form: "PATH",
        default: DefaultValue::Unset("journal.db in the folder of the default store"),
        secret: false,
        read: |settings, text| path(&mut settings.journal, text),
    },
    Setting {
        name: "audit_key_file",
        effect: "The key that signs checkpoints of the log of changes; `offergate audit keygen` makes \
                 one. Only its owner may have access to the file.",
        form: "path of a file with a C2SP signer key, or an ed25519 key in PKCS #8, PEM",
        default: DefaultValue::Unset("none: nothing is signed; with --demo one is made"),
        secret: false,
        read: |settings, text| path(&mut settings.audit_key_file, text),
    },
    Setting {
        name: "anonymous",
        effect: "What somebody may do who does not prove who they are: nothing, ask for decisions, or \
                 everything, under any name that they give.",
        form: "none, checks or everything",
        default: DefaultValue::Fixed("none"),
        secret: false,
        read: |settings, text| {
            let choices = [
                ("none", Anonymous::None),
                ("checks", Anonymous::Checks),
                ("everything", Anonymous::Everything),
            ];
            choice(text, &choices).map(|value| settings.identity.anonymous = value)
        },
    },
    Setting {
        name: "tls_certificate_file",
        effect: "The certificate to show to clients, which then come over TLS 1.3. Read anew when it \
                 changes, like all files of certificates and principals.",
        form: "path of a PEM file",
        default: DefaultValue::Unset("none: clients come in plain text"),
        secret: false,
        read: |settings, text| path(&mut settings.identity.tls_certificate_file, text),
    },
    Setting {
        name: "tls_key_file",
        effect: "The key of that certificate. Only its owner may have access to the file.",
        form: "path of a PEM file",
        default: DefaultValue::Unset("none"),
        secret: false,
        read: |settings, text| path(&mut settings.identity.tls_key_file, text),
    },
    Setting {
        name: "client_ca_file",
        effect: "The authorities that sign the certificates by which services prove who they are.",
        form: "path of a PEM file",
        default: DefaultValue::Unset("none: no certificate proves anything"),
        secret: false,
        read: |settings, text| path(&mut settings.identity.client_ca_file, text),
    },
    Setting {
        name: "client_crl_file",
        effect: "What those authorities have revoked. Once it is past its own end, no certificate is \
                 taken until it is renewed.",
        form: "path of a PEM file",
        default: DefaultValue::Unset("none: nothing is revoked"),
        secret: false,
        read: |settings, text| path(&mut settings.identity.client_crl_file, text),
    },
    Setting {
        name: "trust_domain",
        effect: "The trust domain of services: a certificate must have exactly one URI, spiffe://, this \
                 domain, and a path that `principals_file` has.",
        form: "lower-case letters, digits, `.`, `-`, `_`",
        default: DefaultValue::Unset("none"),
        secret: false,
        read: |settings, given| {
            trust_domain(given).map(|value| settings.identity.trust_domain = Some(value))
        },
    },
    Setting {
        name: "principals_file",
        effect: "Services by the path in their certificates, with names, roles and owners; and roles of \
                 people beyond those in their tokens.",
        form: "path of a YAML file",
        default: DefaultValue::Unset("none"),
        secret: false,
        read: |settings, text| path(&mut settings.identity.principals_file, text),
    },
    Setting {
        name: "oidc_issuer",
        effect: "Who makes the tokens by which people prove who they are: their `iss`, to the letter.",
        form: "https URL",
        default: DefaultValue::Unset("none: no token proves anything"),
        secret: false,
        read: |settings, given| text(given).map(|it| settings.identity.oidc_issuer = Some(it)),
    },
    Setting {
        name: "oidc_audience",
        effect: "What tokens must name as their audience (`aud`).",
        form: "text",
        default: DefaultValue::Unset("none"),
        secret: false,
        read: |settings, given| text(given).map(|it| settings.identity.oidc_audience = Some(it)),
    },
    Setting {
        name: "oidc_jwks_url",
        effect: "Where the issuer publishes its keys.",
        form: "https URL",
        default: DefaultValue::Unset("the issuer is asked (OpenID Connect Discovery)"),
        secret: false,
        read: |settings, given| text(given).map(|it| settings.identity.oidc_jwks_url = Some(it)),
    },
    Setting {
        name: "oidc_roles_claim",
        effect: "The claim of a token that lists the person's roles, by our names; others are passed over.",
        form: "text",
        default: DefaultValue::Fixed("roles"),
        secret: false,
        read: |settings, given| text(given).map(|it| settings.identity.oidc_roles_claim = it),
    },
    Setting {
        name: "oidc_ca_file",
        effect: "The authorities of the issuer's own certificate, and of that of `oidc_jwks_url`, in the \
                 place of those whom this machine trusts. Read at the start.",
        form: "path of a PEM file",
        default: DefaultValue::Unset("those whom this machine trusts"),
        secret: false,
        read: |settings, text| path(&mut settings.identity.oidc_ca_file, text),
    },
    Setting {
        name: "break_glass_acr",
        effect: "How a person must have signed in to suspend alone in an emergency: the token's `acr` is \
                 one of these.",
        form: "values, separated by commas",
        default: DefaultValue::Unset("however they have"),
        secret: false,
        read: |settings, given| texts(given).map(|it| settings.identity.break_glass_acr = it),
    },
    Setting {
        name: "break_glass_amr",
        effect: "By what a person must have signed in for that: the token's `amr` holds all of these, such \
                 as hwk for a key in hardware.",
        form: "values, separated by commas",
        default: DefaultValue::Unset("by whatever they have"),
        secret: false,
        read: |settings, given| texts(given).map(|it| settings.identity.break_glass_amr = it),
    },
    Setting {
        name: "staleness_limit",
        effect: "How old proof of knowing all rules may be while ELIGIBLE is still answered.",
        form: "duration, 500ms to 30s",
        default: DefaultValue::Fixed("5s"),
        secret: false,
        read: |settings, text| {
            duration(text, millis(500), millis(30_000))
                .map(|value| settings.staleness_limit = value)
        },
    },
    Setting {
        name: "workers",
        effect: "How many threads serve checks.",
        form: "count, 1 to 1024",
        default: DefaultValue::Found("one a core", |surroundings| {
            Ok(surroundings.cores.clamp(1, 1024).to_string())
        }),
        secret: false,
        read: |settings, text| count(text, 1, 1024).map(|value| settings.workers = value),
    },
    Setting {
        name: "reflection",
        effect: "Whether clients may ask the server to describe its services.",
        form: "true or false",
        default: DefaultValue::Found("true with --demo, else false", |surroundings| {
            Ok(surroundings.demo.to_string())
        }),
        secret: false,
        read: |settings, text| yes_or_no(text).map(|value| settings.reflection = value),
    },
    Setting {
        name: "max_concurrent_checks",
        effect: "How many checks may be in work at once; more are refused as RESOURCE_EXHAUSTED.",
        form: "count, 1 to 1000000",
        default: DefaultValue::Fixed("4096"),
        secret: false,
        read: |settings, text| {
            count(text, 1, 1_000_000).map(|value| settings.max_concurrent_checks = value)
        },
    },
    limits::CHECKS_PER_SECOND,
    limits::QUOTA_PER_SECOND,
    limits::QUOTA_BURST,
    Setting {
        name: "max_streams",
        effect: "How many streams of checks, and how many watchers, may be open at once; more are \
                 refused as RESOURCE_EXHAUSTED.",
        form: "count, 1 to 100000",
        default: DefaultValue::Fixed("1024"),
        secret: false,
        read: |settings, text| count(text, 1, 100_000).map(|value| settings.max_streams = value),
    },
    Setting {
        name: "max_connections",
        effect: "How many clients' connections there may be at once; more are closed.",
        form: "count, 1 to 1000000",
        default: DefaultValue::Fixed("8192"),
        secret: false,
        read: |settings, text| {
            count(text, 1, 1_000_000).map(|value| settings.max_connections = value)
        },
    },
    Setting {
        name: "max_connections_per_peer",
        effect: "How many of them may come from one address, with IPv6 from one network of 64 bits.",
        form: "count, 1 to 1000000",
        default: DefaultValue::Fixed("1024"),
        secret: false,
        read: |settings, text| {
            count(text, 1, 1_000_000).map(|value| settings.max_connections_per_peer = value)
        },
    },
    limits::CONNECTION_AGE,
    Setting {
        name: "check_timeout",
        effect: "How long a check may take when its caller sets no earlier deadline.",
        form: "duration, 1ms to 1m",
        default: DefaultValue::Fixed("1s"),
        secret: false,
        read: |settings, text| {
            duration(text, millis(1), millis(60_000)).map(|value| settings.check_timeout = value)
        },
    },
    Setting {
        name: "admin_timeout",
        effect: "How long any other call may take when its caller sets no earlier deadline.",
        form: "duration, 100ms to 10m",
        default: DefaultValue::Fixed("10s"),
        secret: false,
        read: |settings, text| {
            duration(text, millis(100), millis(600_000)).map(|value| settings.admin_timeout = value)
        },
    },
    limits::DRAIN_DELAY,
    Setting {
        name: "drain_timeout",
        effect: "How long calls in work may take to finish once the server is told to stop.",
        form: "duration, 0s to 10m",
        default: DefaultValue::Fixed("20s"),
        secret: false,
        read: |settings, text| {
            duration(text, Duration::ZERO, millis(600_000))
                .map(|value| settings.drain_timeout = value)
        },
    },
    Setting {
        name: "log_format",
        effect: "How log lines look; auto is text on a terminal and JSON elsewhere.",
        form: "auto, text or json",
        default: DefaultValue::Fixed("auto"),
        secret: false,
        read: |settings, text| {
            let formats =
                [("auto", LogFormat::Auto), ("text", LogFormat::Text), ("json", LogFormat::Json)];
            choice(text, &formats).map(|value| settings.log_format = value)
        },
    },
    limits::LOG_FILTER,
    events::URL,
    events::SECRET,
    decision_log::MODE,
    decision_log::DIR,
    decision_log::SAMPLE,
    decision_log::WHEN_FULL,
    decision_log::CUSTOMER_IDS,
    decision_log::KEY_FILE,
    decision_log::KEEP_DAYS,
    decision_log::KEEP_MIB,
];

impl Settings {
    /// What loading starts from. Each setting of the table that has a default overwrites its own, or
    /// loading fails.
    pub(super) fn unread() -> Self {
        let nowhere = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
        Self {
            listen: nowhere,
            management_listen: nowhere,
            store: StoreLocation::Embedded(PathBuf::new()),
            store_namespace: String::new(),
            store_nodes: None,
            store_password: None,
            store_ca_file: None,
            store_certificate_file: None,
            store_key_file: None,
            replica: None,
            advertise: None,
            journal: None,
            audit_key_file: None,
            identity: IdentitySettings::default(),
            staleness_limit: Duration::ZERO,
            workers: 0,
            reflection: false,
            max_concurrent_checks: 0,
            max_streams: 0,
            max_connections: 0,
            max_connections_per_peer: 0,
            check_timeout: Duration::ZERO,
            admin_timeout: Duration::ZERO,
            drain_timeout: Duration::ZERO,
            log_format: LogFormat::Auto,
            load: LoadSettings::default(),
            events: EventSettings::default(),
            decision_log: DecisionLogSettings::default(),
            origins: Vec::new(),
        }
    }
}
