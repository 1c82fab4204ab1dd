//! What the decision log holds of random worlds is decided again, and comes out alike.

use crate::decision_log::{records, settings, start};
use crate::random::{self, Dice};
use offergate::audit::decisions::{CustomerIds, CustomerKey, Recorded};
use offergate::audit::{ChangeKind, NewRecord, Party, RequestId};
use offergate::clock::Clock;
use offergate::domain::*;
use offergate::recorder::RecorderSettings;
use offergate::rules;
use offergate::service::{ReplayRules, Service, is_sound, replay};
use offergate::store::RuleStore;
use offergate::store::memory::MemoryStore;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tempfile::TempDir;

/// A clock that stands where it is put.
struct SetClock(Mutex<Timestamp>);

impl Clock for SetClock {
    fn wall(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }

    fn boot(&self) -> Duration {
        Duration::ZERO
    }
}

/// The first random world from a seed on that a rule file could hold, and the dice to go on with.
fn sound_world(seed: u64) -> (Dice, RuleSet) {
    let worlds = (0..).map(|step| {
        let mut dice = Dice::new(seed.wrapping_mul(1_000_003).wrapping_add(step));
        let rules = random::rules(&mut dice);
        (dice, rules)
    });
    let mut sound = worlds.filter(|(_, rules)| is_sound(rules));
    sound.next().unwrap()
}

/// Decides random requests over one random world, and records them; returns the world's rules.
async fn random_world(seed: u64, folder: &Path, ids: CustomerIds) -> RuleSet {
    let (mut dice, rules) = sound_world(seed);
    let store = MemoryStore::new(Lineage::parse(&"0a".repeat(16)).unwrap());
    let change = rules::plan(&RuleSet::default(), &rules).change;
    let (request_id, author) = (RequestId::parse("first").unwrap(), Party::unverified("ann"));
    let kind = ChangeKind::ApplyRules;
    let content = NewRecord::made(request_id, kind, author, dice.instant(), change);
    store.apply(&content, Revision::ZERO).await.unwrap();
    let clock = Arc::new(SetClock(Mutex::new(dice.instant())));
    let limit = Duration::from_secs(5);
    let service = Service::start(Arc::new(store), Arc::clone(&clock) as _, limit, None).await;
    let service = service.unwrap();
    let recorder = start(RecorderSettings { ids, ..settings(folder) });
    service.record_with(Arc::clone(&recorder));
    for _ in 0..50 {
        // Now and then the clock is behind the newest change, and two instants decide.
        *clock.0.lock().unwrap() = dice.instant();
        let request = random::request(&mut dice);
        let _ = service.view().check(&request, &Consistency::Leased, Some("web")).unwrap();
    }
    recorder.stop();
    rules
}

#[tokio::test]
async fn every_recorded_decision_of_random_worlds_is_decided_again_alike() {
    let (first, worlds) = (random::first_seed(), random::cases(2_000).div_ceil(50) as u64);
    for seed in first..first + worlds {
        let folder = TempDir::new().unwrap();
        let rules = random_world(seed, folder.path(), CustomerIds::Plain).await;
        let rules = ReplayRules::new(Revision(1), rules).unwrap();
        let lines = records(folder.path());
        assert_eq!(lines.len(), 50);
        for line in lines {
            let record = Recorded::read(&line).unwrap();
            let differences = replay(&record, Some(&rules)).unwrap();
            assert_eq!(differences, [], "OFFERGATE_SEED={seed} {line}");
        }
    }
}

#[tokio::test]
async fn a_keyed_record_is_decided_again_with_its_key_and_without_it_only_where_nobody_is_named() {
    let key = CustomerKey::new(3, &[7; 32]);
    let (mut alike, mut not_without) = (0, 0);
    for seed in 0..30 {
        let folder = TempDir::new().unwrap();
        let rules =
            random_world(seed, folder.path(), CustomerIds::Keyed(Box::new(key.clone()))).await;
        let with = ReplayRules::keyed(Revision(1), rules.clone(), &key).unwrap();
        let without = ReplayRules::new(Revision(1), rules).unwrap();
        for line in records(folder.path()) {
            assert!(!line.contains("\"c-") && !line.contains("\"holder\""), "{line}");
            let record = Recorded::read(&line).unwrap();
            assert_eq!(replay(&record, Some(&with)).unwrap(), [], "{line}");
            match replay(&record, Some(&without)) {
                Ok(differences) => alike += usize::from(differences.is_empty()),
                Err(_) => not_without += 1,
            }
        }
    }
    assert!(100 < alike && 100 < not_without, "{alike} {not_without}");
    assert_eq!((alike + not_without) % 50, 0, "and none was decided otherwise");
}

#[tokio::test]
async fn a_record_that_says_something_else_than_what_is_decided_is_found_field_by_field() {
    let mut found = BTreeSet::new();
    for seed in 0..10 {
        find_differences(seed, &mut found).await;
    }
    for by in ["compiled", "twin"] {
        for field in ["outcome", "reasons", "suspensions", "valid_until"] {
            assert!(found.contains(&(by, field)), "{by} {field}");
        }
    }
}

/// Changes a field of every record of a random world, and gathers which differences that makes.
async fn find_differences(seed: u64, found: &mut BTreeSet<(&'static str, &'static str)>) {
    let folder = TempDir::new().unwrap();
    let rules = random_world(seed, folder.path(), CustomerIds::Plain).await;
    let rules = ReplayRules::new(Revision(1), rules).unwrap();
    for line in records(folder.path()) {
        for (from, to) in [
            ("\"outcome\":\"INELIGIBLE\"", "\"outcome\":\"ELIGIBLE\""),
            ("\"reasons\":[", "\"reasons\":[\"EXEMPTED\","),
            ("\"suspensions\":[", "\"suspensions\":[{\"id\":\"x\",\"code\":\"y\"},"),
            ("\"limit_ms\":5000", "\"limit_ms\":5001"),
        ] {
            let bad = line.replacen(from, to, 1);
            let record = Recorded::read(&bad).unwrap();
            let differences = replay(&record, Some(&rules)).unwrap();
            found.extend(differences.iter().map(|it| (it.by, it.field)));
        }
    }
}
