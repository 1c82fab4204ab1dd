//! The parts of the chaos run that have tests of their own.

mod checker;
mod checker_tests;
mod dice;
mod emptied;
mod history;
mod log;
mod order;
mod proxy;
mod proxy_tests;
mod replay;
mod scene;
mod world;

/// What a server is built with unless somebody asks for more has no bugs on purpose.
#[test]
fn no_feature_that_is_shipped_switches_seeded_bugs_on() {
    let manifest = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"));
    let manifest: toml::Table = manifest.unwrap().parse().unwrap();
    let features = manifest["features"].as_table().unwrap();
    assert!(features.contains_key("seeded-bugs"));
    for (feature, enables) in features {
        let enables = enables.as_array().unwrap();
        assert!(!enables.iter().any(|name| name.as_str() == Some("seeded-bugs")), "{feature}");
    }
}
