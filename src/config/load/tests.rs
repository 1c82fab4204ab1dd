//! What settings are taken from where, and what is refused.

use super::*;
use crate::config::{
    DecisionLogSettings, IdentitySettings, LoadSettings, LogFormat, StoreLocation,
};
use clap::{Args, Command, FromArgMatches};
use std::time::Duration;

fn args(line: &[&str]) -> ServeArgs {
    let command = ServeArgs::augment_args(Command::new("serve").no_binary_name(true));
    ServeArgs::from_arg_matches(&command.try_get_matches_from(line).unwrap()).unwrap()
}

fn surroundings(variables: &[(&str, &str)]) -> Surroundings {
    let home = [("HOME", "/home/ops")];
    let variables = home
        .iter()
        .chain(variables)
        .map(|(name, value)| ((*name).to_owned(), Some((*value).to_owned())));
    Surroundings { variables: variables.collect(), cores: 2, demo: false }
}

/// Loads with a file of this text; the problems' paths are cut to the file's name.
fn load_with(
    line: &[&str],
    variables: &[(&str, &str)],
    file: Option<&str>,
) -> Result<Settings, Vec<String>> {
    let folder = tempfile::tempdir().unwrap();
    let mut args = args(line);
    if let Some(text) = file {
        let path = folder.path().join("offergate.toml");
        std::fs::write(&path, text).unwrap();
        args.config = Some(path);
    }
    let cut = format!("{}/", folder.path().display());
    load_from(&args, &surroundings(variables), SETTINGS)
        .map_err(|errors| errors.to_string().lines().map(|line| line.replace(&cut, "")).collect())
}

fn refused(line: &[&str], variables: &[(&str, &str)], file: Option<&str>) -> Vec<String> {
    load_with(line, variables, file).expect_err("must be refused")
}

#[test]
fn with_nothing_set_the_server_listens_on_loopback_and_keeps_rules_in_the_state_folder() {
    let settings = load_with(&[], &[], None).unwrap();
    let origins = settings.origins.clone();
    assert!(origins.iter().all(|origin| origin.place == Place::Default));
    assert_eq!(origins.len(), SETTINGS.len());
    let store = StoreLocation::Embedded("/home/ops/.local/state/offergate/offergate.db".into());
    let expected = Settings {
        listen: "127.0.0.1:7443".parse().unwrap(),
        management_listen: "127.0.0.1:9464".parse().unwrap(),
        store,
        store_namespace: "default".into(),
        store_nodes: None,
        store_password: None,
        store_ca_file: None,
        store_certificate_file: None,
        store_key_file: None,
        replica: None,
        advertise: None,
        journal: None,
        audit_key_file: None,
        identity: IdentitySettings { oidc_roles_claim: "roles".into(), ..<_>::default() },
        staleness_limit: Duration::from_secs(5),
        workers: 2,
        reflection: false,
        max_concurrent_checks: 4096,
        max_streams: 1024,
        max_connections: 8192,
        max_connections_per_peer: 1024,
        check_timeout: Duration::from_secs(1),
        admin_timeout: Duration::from_secs(10),
        drain_timeout: Duration::from_secs(20),
        log_format: LogFormat::Auto,
        load: LoadSettings {
            connection_age: Duration::from_secs(1800),
            drain_delay: Duration::from_millis(500),
            log_filter: "info".into(),
            ..<_>::default()
        },
        events: <_>::default(),
        decision_log: DecisionLogSettings {
            sample_millionths: 10_000,
            ..DecisionLogSettings::default()
        },
        origins,
    };
    assert_eq!(settings, expected);
}

#[test]
fn a_burst_of_a_quota_is_set_with_the_quota_or_not_at_all() {
    let (rate, burst) = (["--quota-per-second", "5"], ["--quota-burst", "9"]);
    let load = load_with(&[rate, burst].concat(), &[], None).unwrap().load;
    assert_eq!((load.quota_per_second, load.quota_burst), (Some(5), Some(9)));
    let error = load_with(&burst, &[], None).unwrap_err();
    assert!(error.concat().contains("without `quota_per_second`"), "{error:?}");
}

#[test]
fn keyed_customer_ids_and_their_keys_are_set_together_or_not_at_all() {
    let keyed = ["--decision-log-customer-ids", "keyed"];
    let file = ["--decision-log-key-file", "keys"];
    assert!(load_with(&[keyed, file].concat(), &[], None).unwrap().decision_log.keyed);
    for half in [keyed, file] {
        let problems = refused(&half, &[], None);
        assert!(problems[0].contains("set both or none"), "{problems:?}");
    }
}

#[test]
fn a_flag_outranks_a_variable_which_outranks_the_file_which_outranks_the_default() {
    let file = "workers = 3\ncheck_timeout = \"2s\"\n\nreflection = true\n";
    let variables = [("OFFERGATE_WORKERS", "4"), ("OFFERGATE_CHECK_TIMEOUT", "3s")];
    let settings = load_with(&["--workers", "5"], &variables, Some(file)).unwrap();
    assert_eq!(settings.workers, 5);
    assert_eq!(settings.check_timeout, Duration::from_secs(3));
    assert!(settings.reflection);
    let place = |name| {
        let origin = settings.origins.iter().find(|origin| origin.name == name).unwrap();
        let text = origin.place.to_string();
        text.rsplit('/').next().unwrap().to_owned()
    };
    assert_eq!(place("workers"), "--workers");
    assert_eq!(place("check_timeout"), "OFFERGATE_CHECK_TIMEOUT");
    assert_eq!(place("reflection"), "offergate.toml:4");
    assert_eq!(place("listen"), "default");
}

#[test]
fn a_demonstration_describes_itself_and_has_a_store_of_its_own() {
    let args = args(&["--demo"]);
    let surroundings = Surroundings { demo: args.demo, ..surroundings(&[]) };
    let settings = load_from(&args, &surroundings, SETTINGS).unwrap();
    assert!(settings.reflection);
    let path = "/home/ops/.local/state/offergate/demo/offergate.db";
    assert_eq!(settings.store, StoreLocation::Embedded(path.into()));
}

#[test]
fn an_unknown_key_is_refused_with_the_nearest_name_wherever_it_stands() {
    assert_eq!(
        refused(&[], &[], Some("lisen = \"127.0.0.1:1\"\n")),
        ["offergate.toml:1: no setting is called `lisen`; did you mean `listen`?"]
    );
    assert_eq!(
        refused(&[], &[("OFFERGATE_STALENES_LIMIT", "5s")], None),
        ["OFFERGATE_STALENES_LIMIT: no setting has this name; \
          did you mean OFFERGATE_STALENESS_LIMIT?"]
    );
    let command = ServeArgs::augment_args(Command::new("serve").no_binary_name(true));
    let error = command.try_get_matches_from(["--lisen", "127.0.0.1:1"]).unwrap_err().to_string();
    assert!(error.contains("'--listen'"), "{error}");
}

#[test]
fn variables_that_kubernetes_or_the_other_commands_use_are_left_alone() {
    let variables = [
        ("OFFERGATE_SERVICE_HOST", "10.0.0.1"),
        ("OFFERGATE_PORT_7443_TCP", "tcp://10.0.0.1:7443"),
        ("OFFERGATE_SERVER", "http://127.0.0.1:7443"),
    ];
    assert!(load_with(&[], &variables, None).is_ok());
}

#[test]
fn a_key_that_stands_twice_is_refused_at_its_second_line() {
    let said = refused(&[], &[], Some("workers = 1\n# again\nworkers = 2\n"));
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].starts_with("offergate.toml:3: ") && said[0].contains("duplicate"), "{said:?}");
}

#[test]
fn what_is_set_but_empty_is_refused() {
    assert_eq!(
        refused(&[], &[("OFFERGATE_STORE", "")], None),
        ["OFFERGATE_STORE: is set but empty; unset it, or give it a value"]
    );
    assert_eq!(
        refused(&["--store", ""], &[], None),
        ["--store: is empty; leave it out, or give it a value"]
    );
    assert_eq!(
        refused(&[], &[], Some("store = \"\"\n")),
        ["offergate.toml:1: `store` is empty; leave the line out, or give it a value"]
    );
    assert_eq!(
        refused(&[], &[("OFFERGATE_CONFIG", "")], None),
        ["OFFERGATE_CONFIG: is set but empty; unset it, or give it a value"]
    );
}

#[test]
fn a_duration_without_its_unit_is_refused_in_every_form() {
    let said = "staleness_limit: units missing: write `5s` or `5ms`";
    assert_eq!(
        refused(&["--staleness-limit", "5"], &[], None),
        [format!("--staleness-limit: {said}")]
    );
    assert_eq!(
        refused(&[], &[], Some("staleness_limit = 5\n")),
        [format!("offergate.toml:1: {said}")]
    );
}

#[test]
fn a_limit_that_is_zero_negative_or_out_of_range_is_refused() {
    for bad in ["0s", "499ms", "31s", "-5s"] {
        let said = refused(&["--staleness-limit", bad], &[], None);
        assert!(said[0].starts_with("--staleness-limit: staleness_limit: "), "{bad}: {said:?}");
    }
    for bad in ["workers = 0", "workers = -1", "workers = 1.5", "max_concurrent_checks = 0x10"] {
        assert_eq!(refused(&[], &[], Some(bad)).len(), 1, "{bad}");
    }
}

#[test]
fn one_address_for_clients_and_probes_is_refused() {
    let said = refused(&["--management-listen", "127.0.0.1:7443"], &[], None);
    assert_eq!(
        said,
        ["--management-listen: management_listen: `127.0.0.1:7443` is `listen` too; \
          take another port"]
    );
    let any_port = ["--listen", "127.0.0.1:0", "--management-listen", "127.0.0.1:0"];
    assert!(load_with(&any_port, &[], None).is_ok());
}

#[test]
fn all_problems_are_told_at_once_each_with_its_place() {
    let file = "worker = 2\n[log]\nformat = \"json\"\n";
    let variables = [("OFFERGATE_LISTEN", "localhost"), ("OFFERGATE_REFLECTION", "yes")];
    let said = refused(&["--check-timeout", "9"], &variables, Some(file));
    for place in [
        "offergate.toml:1",
        "offergate.toml:2",
        "OFFERGATE_LISTEN",
        "OFFERGATE_REFLECTION",
        "--check-timeout",
    ] {
        let here = said.iter().filter(|line| line.starts_with(&format!("{place}: "))).count();
        assert_eq!(here, 1, "{place} in {said:#?}");
    }
    assert_eq!(said.len(), 5, "{said:#?}");
}

#[test]
fn a_file_that_is_missing_no_toml_or_no_text_is_refused() {
    let missing = ServeArgs { config: Some("/no/such/file.toml".into()), ..ServeArgs::default() };
    let said = load_from(&missing, &surroundings(&[]), SETTINGS).unwrap_err().to_string();
    assert!(said.starts_with("/no/such/file.toml: file cannot be read: "), "{said}");
    let said = refused(&[], &[], Some("workers = 2\nlisten = \n"));
    assert!(said[0].starts_with("offergate.toml:2: "), "{said:?}");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.toml");
    std::fs::write(&path, b"workers = \xff").unwrap();
    let binary = ServeArgs { config: Some(path), ..ServeArgs::default() };
    let said = load_from(&binary, &surroundings(&[]), SETTINGS).unwrap_err().to_string();
    assert!(said.ends_with("file is no UTF-8"), "{said}");
}

#[test]
fn a_secret_comes_from_a_file_that_only_its_owner_can_read() {
    let secret = Setting {
        name: "token",
        secret: true,
        default: DefaultValue::Fixed("none"),
        read: |_, _| Ok(()),
        ..SETTINGS[0]
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    let text = path.to_str().unwrap();
    std::fs::write(&path, "hunter2\n").unwrap();
    let load = |variables: &[(&str, &str)]| {
        load_from(&ServeArgs::default(), &surroundings(variables), &[secret])
            .map(|settings| settings.origins[0].value.clone())
            .map_err(|errors| errors.to_string())
    };
    let mode =
        |mode| std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();

    mode(0o644);
    let open = load(&[("OFFERGATE_TOKEN_FILE", text)]).unwrap_err();
    assert!(open.ends_with("file has mode 644, which lets every user in; make it 400"), "{open}");
    mode(0o400);
    assert_eq!(load(&[("OFFERGATE_TOKEN_FILE", text)]).as_deref(), Ok("hunter2"));
    let both = load(&[("OFFERGATE_TOKEN_FILE", text), ("OFFERGATE_TOKEN", "x")]).unwrap_err();
    assert_eq!(both, "OFFERGATE_TOKEN: is set beside OFFERGATE_TOKEN_FILE; set one of them");
}

#[test]
fn a_shared_store_is_a_url_with_what_belongs_to_it_and_its_password_is_shown_nowhere() {
    let line = [
        "--store",
        "rediss+sentinel://app:hunter2@a,b/main",
        "--store-nodes",
        "3",
        "--store-namespace",
        "uk.retail",
    ];
    let settings = load_with(&line, &[], None).unwrap();
    let password = match &settings.store {
        StoreLocation::Redis(url) => url.password.as_ref().map(crate::config::Secret::reveal),
        StoreLocation::Embedded(_) => None,
    };
    assert_eq!(password, Some("hunter2"));
    assert_eq!((settings.store_nodes, settings.store_namespace.as_str()), (Some(3), "uk.retail"));
    for format in [crate::config::ShowFormat::Table, crate::config::ShowFormat::Json] {
        let page = crate::config::show(&settings, format);
        assert!(page.contains("app:(hidden)@a,b") && !page.contains("hunter2"), "{page}");
    }
    let variables = [("OFFERGATE_STORE_PASSWORD", "hunter2"), ("OFFERGATE_STORE", "redis://a")];
    let settings = load_with(&[], &variables, None).unwrap();
    assert_eq!(settings.store_password.as_ref().unwrap().reveal(), "hunter2");
    let shown =
        format!("{settings:?}{}", crate::config::show(&settings, crate::config::ShowFormat::Yaml));
    assert!(!shown.contains("hunter2"), "{shown}");
}

#[test]
fn half_a_shared_store_is_refused_with_the_setting_that_is_missing_or_too_many() {
    for (line, variables, said) in [
        (&["--store", "redis+cluster://a"][..], &[][..], "default: store_nodes: must be set"),
        (
            &["--store", "redis://u:pw@a"],
            &[("OFFERGATE_STORE_PASSWORD", "pw")],
            "OFFERGATE_STORE_PASSWORD: store_password: is set beside a password",
        ),
        (
            &["--store", "redis://a", "--store-ca-file", "/ca.pem"],
            &[],
            "--store-ca-file: store_ca_file: is set, but the URL",
        ),
        (
            &["--store", "rediss://a", "--store-key-file", "/k.pem"],
            &[],
            "--store-key-file: store_key_file: is set without `store_certificate_file`",
        ),
        (&["--store-namespace", "a{b}"], &[], "`a{b}` is no namespace"),
        (&["--store-nodes", "0"], &[], "`0` is no count from 1 to 15"),
        (&["--store", "redis://a:b:c"], &[], "a port is no number"),
    ] {
        let problems = refused(line, variables, None);
        assert!(problems.len() == 1 && problems[0].contains(said), "{line:?}: {problems:?}");
    }
}
