//! The table of settings: the one place that names them.

use super::read::{
    Surroundings, address, choice, count, default_store, duration, namespace, store, yes_or_no,
};
use super::{DecisionLogSettings, LogFormat, Secret, Settings, StoreLocation, decision_log};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// One setting.
#[derive(Debug, Clone, Copy)]
pub(super) struct Setting {
    /// As the file spells it; the flag has dashes, the variable capitals and a prefix.
    pub(super) name: &'static str,
    /// What it does, in a sentence.
    pub(super) effect: &'static str,
    /// What a value looks like, with its unit and range.
    pub(super) form: &'static str,
    /// What holds when nobody says anything.
    pub(super) default: DefaultValue,
    /// Whether the value must never be shown; then a `..._FILE` variable may name a file instead.
    pub(super) secret: bool,
    /// Reads a value into its place, or says what is wrong with it.
    pub(super) read: fn(&mut Settings, &str) -> Result<(), String>,
}

/// What holds when nobody says anything.
#[derive(Debug, Clone, Copy)]
pub(super) enum DefaultValue {
    /// Always the same.
    Fixed(&'static str),
    /// Told in words, and worked out from where the server runs; that can fail.
    Found(&'static str, fn(&Surroundings) -> Result<String, String>),
    /// Nothing, which these words explain.
    Unset(&'static str),
}

impl Setting {
    pub(super) fn flag(&self) -> String {
        self.name.replace('_', "-")
    }

    pub(super) fn variable(&self) -> String {
        format!("OFFERGATE_{}", self.name.to_uppercase())
    }

    /// The default, as the reference tells it.
    pub(super) fn default_in_words(&self) -> &'static str {
        match self.default {
            DefaultValue::Fixed(value) => value,
            DefaultValue::Found(words, _) | DefaultValue::Unset(words) => words,
        }
    }
}

const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
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
        read: |settings, text| {
            settings.store_ca_file = Some(PathBuf::from(text));
            Ok(())
        },
    },
    Setting {
        name: "store_certificate_file",
        effect: "The certificate to show to a shared store's servers.",
        form: "path of a PEM file",
        default: DefaultValue::Unset("none"),
        secret: false,
        read: |settings, text| {
            settings.store_certificate_file = Some(PathBuf::from(text));
            Ok(())
        },
    },
    Setting {
        name: "store_key_file",
        effect: "The key of that certificate.",
        form: "path of a PEM file",
        default: DefaultValue::Unset("none"),
        secret: false,
        read: |settings, text| {
            settings.store_key_file = Some(PathBuf::from(text));
            Ok(())
        },
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
        read: |settings, text| {
            settings.journal = Some(PathBuf::from(text));
            Ok(())
        },
    },
    Setting {
        name: "audit_key_file",
        effect: "The key that signs checkpoints of the log of changes; `offergate audit keygen` makes \
                 one. Only its owner may have access to the file.",
        form: "path of a file with a C2SP signer key, or an ed25519 key in PKCS #8, PEM",
        default: DefaultValue::Unset("none: nothing is signed; with --demo one is made"),
        secret: false,
        read: |settings, text| {
            settings.audit_key_file = Some(PathBuf::from(text));
            Ok(())
        },
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
            decision_log: DecisionLogSettings::default(),
            origins: Vec::new(),
        }
    }
}
