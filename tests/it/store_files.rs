//! What is at the path of a store: another process, another kind of file, a later format, a copy.
//! Every refusal says what is wrong with which file, and leaves that file as it was.

use super::store_contents::{apply_next, block_on, chain_of, content, store_of};
use offergate::decision::Snapshot;
use offergate::domain::{ChainHash, Lineage, Revision, Token};
use offergate::replica::Held;
use offergate::store::embedded::{EmbeddedStore, Restored, backup_file, restore};
use offergate::store::{CountedFrom, Head, ReplicaName, RuleStore, Seen, SeenEnforced};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::time::Duration;

fn mode_of(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn refusal(path: &Path) -> String {
    match EmbeddedStore::open(path) {
        Ok(_) => panic!("{} was opened", path.display()),
        Err(error) => chain_of(&error),
    }
}

/// Names of what is in a folder.
fn listing(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap();
    let mut names: Vec<_> =
        names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_new_store_is_readable_by_its_owner_alone_and_leaves_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state/offergate/rules.db");
    let store = EmbeddedStore::open(&path).unwrap();
    block_on(apply_next(&store, &content("r1", 1))).unwrap();
    for name in listing(path.parent().unwrap()) {
        assert_eq!(mode_of(&path.with_file_name(&name)), 0o600, "{name}");
    }
    assert_eq!(mode_of(&folder.path().join("state")), 0o700);
    assert_eq!(mode_of(&folder.path().join("state/offergate")), 0o700);
    drop(store);
    assert_eq!(listing(path.parent().unwrap()), ["rules.db", "rules.db.lock"]);
}

#[test]
fn two_new_stores_have_two_lineages() {
    let folder = tempfile::tempdir().unwrap();
    let [one, other] = ["a.db", "b.db"].map(|name| store_of(&folder.path().join(name), 0));
    assert_ne!(one.head.lineage, other.head.lineage);
}

#[test]
fn a_store_in_use_is_refused_under_each_of_its_names_until_it_is_closed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rules.db");
    let link = folder.path().join("link.db");
    symlink(&path, &link).unwrap();
    let store = EmbeddedStore::open(&path).unwrap();
    for name in [&path, &link, &folder.path().join("./rules.db")] {
        let expected = format!(
            "store `{}` is in use by another process (process {}); one server process may open it \
             at a time",
            path.display(),
            std::process::id()
        );
        assert_eq!(refusal(name), expected);
    }
    drop(store);
    assert!(EmbeddedStore::open(&link).is_ok());
}

#[test]
fn what_is_no_store_is_refused_and_left_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rules.db");
    let cases: [(&[u8], &str); 4] = [
        (b"", "it is empty, and a store never is"),
        (b"SQLite", "it is too short for a SQLite file"),
        (b"vendors: {}\nproducts: {}\n", "it is no SQLite file"),
        (&[0; 8192], "it is no SQLite file"),
    ];
    for (content, why) in cases {
        fs::write(&path, content).unwrap();
        assert_eq!(refusal(&path), format!("`{}` is no store: {why}", path.display()));
        assert_eq!(fs::read(&path).unwrap(), content);
    }
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert_eq!(refusal(&path), format!("`{}` is no store: it is a folder", path.display()));
    fs::remove_dir(&path).unwrap();

    let other = rusqlite::Connection::open(&path).unwrap();
    other.execute_batch("CREATE TABLE head (id)").unwrap();
    drop(other);
    let expected =
        format!("`{}` is no store: it is a SQLite file of something else", path.display());
    assert_eq!(refusal(&path), expected);

    let nowhere = folder.path().join("nowhere.db");
    symlink(folder.path().join("missing.db"), &nowhere).unwrap();
    assert!(refusal(&nowhere).starts_with("cannot find"), "{}", refusal(&nowhere));
    assert!(!folder.path().join("missing.db").exists());

    let beneath = path.join("rules.db");
    assert!(refusal(&beneath).starts_with("cannot look at"), "{}", refusal(&beneath));
}

#[test]
fn a_write_ahead_log_without_its_main_file_is_no_reason_for_an_empty_store() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rules.db");
    let store = EmbeddedStore::open(&path).unwrap();
    block_on(apply_next(&store, &content("r1", 1))).unwrap();
    let wal = fs::read(folder.path().join("rules.db-wal")).unwrap();
    drop(store);
    fs::remove_file(&path).unwrap();
    fs::write(folder.path().join("rules.db-wal"), wal).unwrap();
    let expected = format!(
        "`{}` is no store: its main file is gone, but its `-wal` or `-journal` file is there",
        path.display()
    );
    assert_eq!(refusal(&path), expected);
    assert!(!path.exists());
}

#[test]
fn a_read_only_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rules.db");
    store_of(&path, 1);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).unwrap();
    let expected = format!("cannot write `{}`: the file is read-only", path.display());
    assert_eq!(refusal(&path), expected);
}

#[test]
fn a_later_format_is_refused_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rules.db");
    store_of(&path, 1);
    for (format, expected) in [
        (4, "has format 4, and this version reads formats up to 3; use the version that wrote it"),
        (0, "is no store: its format number is none that ever was"),
        (-1, "is no store: its format number is none that ever was"),
    ] {
        let file = rusqlite::Connection::open(&path).unwrap();
        file.pragma_update(None, "user_version", format).unwrap();
        drop(file);
        assert!(refusal(&path).contains(expected), "{}", refusal(&path));
    }
}

#[test]
fn a_restored_store_begins_a_history_of_its_own_and_remembers_where_it_came_from() {
    let folder = tempfile::tempdir().unwrap();
    let [path, copy, target] =
        ["rules.db", "copy.db", "new/rules.db"].map(|n| folder.path().join(n));
    let at_backup = store_of(&path, 3);
    let store = EmbeddedStore::open(&path).unwrap();
    block_on(store.backup(&copy)).unwrap();
    let lost = block_on(apply_next(&store, &content("lost", 9))).unwrap().record;
    assert_eq!(mode_of(&copy), 0o600);

    let Restored { head, origin } = restore(&copy, &target).unwrap();
    assert_eq!(origin, at_backup.head);
    assert_eq!((head.revision, head.chain), (origin.revision, origin.chain));
    assert_ne!(head.lineage, origin.lineage);
    let restored = EmbeddedStore::open(&target).unwrap();
    block_on(async {
        let loaded = restored.load().await.unwrap();
        assert_eq!((&loaded.head, &loaded.rules), (&head, &at_backup.rules));
        // The numbers pass the change that was lost; its token stays one of another history.
        let lost = Token::new(at_backup.head.lineage.clone(), lost.revision, &lost.chain);
        for number in 4..=6 {
            let next = content(&format!("other-{number}"), number);
            apply_next(&restored, &next).await.unwrap();
            let loaded = restored.load().await.unwrap();
            assert_eq!(loaded.head.revision, Revision(number));
            let snapshot = Snapshot::compile(&loaded.rules, loaded.head.revision).unwrap();
            let held = Held::new(loaded, snapshot);
            assert!(!held.reaches(&lost) && !held.reaches(&at_backup.head.token()));
            assert!(held.reaches(&head.token()));
        }
    });
    drop((store, restored));
    assert_eq!(origins_of(&target), [origin]);
    assert_eq!(listing(folder.path()), ["copy.db", "new", "rules.db", "rules.db.lock"]);
    assert_eq!(listing(&folder.path().join("new")), ["rules.db", "rules.db.lock"]);
}

/// The origins that a store that nobody has open remembers.
fn origins_of(path: &Path) -> Vec<Head> {
    let file = rusqlite::Connection::open(path).unwrap();
    let mut select =
        file.prepare("SELECT lineage, revision, chain FROM origins ORDER BY number").unwrap();
    let origins = select.query_map([], |row| {
        let (lineage, chain): (String, String) = (row.get(0)?, row.get(2)?);
        let revision = Revision(u64::try_from(row.get::<_, i64>(1)?).unwrap());
        let (lineage, chain) = (Lineage::parse(&lineage), ChainHash::parse(&chain));
        Ok(Head { lineage: lineage.unwrap(), revision, chain: chain.unwrap() })
    });
    origins.unwrap().map(Result::unwrap).collect()
}

#[test]
fn a_store_restored_again_remembers_both_places() {
    let folder = tempfile::tempdir().unwrap();
    let [first, second, third] = ["1.db", "2.db", "3.db"].map(|n| folder.path().join(n));
    let one = store_of(&first, 2).head;
    let two = restore(&first, &second).unwrap();
    let store = EmbeddedStore::open(&second).unwrap();
    block_on(apply_next(&store, &content("r", 3))).unwrap();
    let at = block_on(store.load()).unwrap().head;
    drop(store);
    let three = restore(&second, &third).unwrap();
    assert_eq!((&two.origin, &three.origin), (&one, &at));
    assert_eq!(origins_of(&third), [one, at]);
    drop(EmbeddedStore::open(&third).unwrap());

    let file = rusqlite::Connection::open(&third).unwrap();
    for (sql, why) in [
        ("UPDATE origins SET revision = 0", "origins are never changed"),
        ("DELETE FROM origins", "origins are never deleted"),
        ("INSERT INTO origins SELECT 3, lineage, 0, chain FROM head", "an origin is where"),
        ("UPDATE head SET lineage = 'b'", "the head moves one record at a time"),
    ] {
        let refused = file.execute(sql, []).unwrap_err().to_string();
        assert!(refused.starts_with(why), "{sql}: {refused}");
    }
    file.execute_batch("DROP TRIGGER origins_never_change").unwrap();
    file.execute("UPDATE origins SET revision = 1 WHERE number = 2", []).unwrap();
    let guard = "CREATE TRIGGER origins_never_change BEFORE UPDATE ON origins
        BEGIN SELECT RAISE(ABORT, 'origins are never changed'); END";
    file.execute_batch(guard).unwrap();
    drop(file);
    assert!(refusal(&third).contains("corrupt at origin 2"), "{}", refusal(&third));
}

/// Makes a store as the first format had it.
fn take_back_to_format_1(path: &Path) {
    let file = rusqlite::Connection::open(path).unwrap();
    file.execute_batch(
        "DROP TRIGGER head_moves_by_one; DROP TABLE origins; DROP TABLE IF EXISTS enforcements;
         PRAGMA user_version = 1;
         CREATE TRIGGER head_moves_by_one BEFORE UPDATE ON head
        WHEN NEW.revision IS NOT OLD.revision + 1 OR NEW.lineage IS NOT OLD.lineage
        BEGIN SELECT RAISE(ABORT, 'the head moves one record at a time'); END;",
    )
    .unwrap();
}

fn format_of(path: &Path) -> i64 {
    let file = rusqlite::Connection::open(path).unwrap();
    file.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap()
}

#[test]
fn a_store_of_the_first_format_is_brought_to_the_newest_when_it_is_opened_or_restored() {
    let folder = tempfile::tempdir().unwrap();
    let [path, copy, target] = ["rules.db", "copy.db", "new.db"].map(|n| folder.path().join(n));
    let loaded = store_of(&path, 3);
    take_back_to_format_1(&path);
    assert_eq!(backup_file(&path, &copy).unwrap(), loaded.head);
    assert_eq!((format_of(&path), format_of(&copy)), (1, 1), "a copy is left in its format");

    assert_eq!(restore(&copy, &target).unwrap().origin, loaded.head);
    assert_eq!((format_of(&copy), format_of(&target)), (1, 3));
    let store = EmbeddedStore::open(&path).unwrap();
    assert_eq!(block_on(store.load()).unwrap(), loaded);
    block_on(apply_next(&store, &content("r4", 4))).unwrap();
    drop(store);
    assert_eq!(format_of(&path), 3);
    assert_eq!(block_on(EmbeddedStore::open(&path).unwrap().load()).unwrap().head.revision.0, 4);
}

#[test]
fn a_store_of_the_second_format_keeps_what_was_seen_of_enforcement_from_now_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rules.db");
    let loaded = store_of(&path, 2);
    let file = rusqlite::Connection::open(&path).unwrap();
    file.execute_batch("DROP TABLE enforcements; PRAGMA user_version = 2;").unwrap();
    drop(file);
    let store = EmbeddedStore::open(&path).unwrap();
    assert_eq!(block_on(store.load()).unwrap(), loaded);
    let seen = |after: u64, replicas: &[(&str, Option<u64>)]| SeenEnforced {
        revision: loaded.head.revision,
        chain: loaded.head.chain,
        at: "2026-11-24T01:02:03.5Z".parse().unwrap(),
        after: Duration::from_micros(after),
        counted_from: CountedFrom::Asked,
        observer: ReplicaName::parse("r1"),
        replicas: replicas
            .iter()
            .map(|(name, after)| {
                (ReplicaName::parse(name).unwrap(), after.map(Duration::from_micros))
            })
            .collect(),
    };
    let first = seen(1_500, &[("r1", Some(900)), ("r2", None)]);
    block_on(store.note(first.clone())).unwrap();
    block_on(store.note(seen(9, &[]))).unwrap();
    drop(store);
    assert_eq!(format_of(&path), 3);
    let store = EmbeddedStore::open(&path).unwrap();
    let asked = vec![ChainHash::ZERO, loaded.head.chain];
    assert_eq!(block_on(store.noted(asked)).unwrap(), [first], "the first note stays");
    assert_eq!(block_on(store.load()).unwrap(), loaded, "and moves nothing");
}

#[test]
fn a_damaged_store_of_the_first_format_is_left_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rules.db");
    store_of(&path, 3);
    take_back_to_format_1(&path);
    let file = rusqlite::Connection::open(&path).unwrap();
    file.execute_batch("DROP TRIGGER records_never_go").unwrap();
    drop(file);
    assert!(refusal(&path).contains("is damaged"));
    assert_eq!(format_of(&path), 1);
}

#[test]
fn a_file_with_two_names_is_refused_under_both() {
    let folder = tempfile::tempdir().unwrap();
    let [path, other] = ["rules.db", "other.db"].map(|name| folder.path().join(name));
    store_of(&path, 1);
    fs::hard_link(&path, &other).unwrap();
    for name in [&path, &other] {
        let expected = format!(
            "store `{}` has 2 names (hard links), and may have one; remove the others",
            name.display()
        );
        assert_eq!(refusal(name), expected);
    }
    fs::remove_file(&other).unwrap();
    assert!(EmbeddedStore::open(&path).is_ok());
}

#[test]
fn the_passing_name_that_a_killed_process_left_is_tidied_up() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rules.db");
    let loaded = store_of(&path, 1);
    fs::hard_link(&path, folder.path().join("rules.db.4711-0.part")).unwrap();
    fs::write(folder.path().join("rules.db.4712-0.part"), "of another file").unwrap();
    let store = EmbeddedStore::open(&path).unwrap();
    assert_eq!(block_on(store.load()).unwrap(), loaded);
    drop(store);
    let left = listing(folder.path());
    assert_eq!(left, ["rules.db", "rules.db.4712-0.part", "rules.db.lock"]);
}

#[test]
fn restore_takes_the_place_of_nothing_but_an_empty_file() {
    let folder = tempfile::tempdir().unwrap();
    let [path, copy] = ["rules.db", "copy.db"].map(|name| folder.path().join(name));
    let loaded = store_of(&copy, 2);
    let in_use = EmbeddedStore::open(&path).unwrap();
    assert!(restore(&copy, &path).unwrap_err().to_string().contains("is in use"));
    drop(in_use);
    for there in ["a store", "a text", "a folder"] {
        match there {
            "a text" => fs::write(&path, "mine").unwrap(),
            "a folder" => {
                fs::remove_file(&path).unwrap();
                fs::create_dir(&path).unwrap();
            }
            _ => {}
        }
        let expected = format!("`{}` exists already, and is left as it is", path.display());
        assert_eq!(restore(&copy, &path).unwrap_err().to_string(), expected, "{there}");
    }
    fs::remove_dir(&path).unwrap();
    fs::write(&path, "").unwrap();
    assert_eq!(restore(&copy, &path).unwrap().origin, loaded.head);
}

#[test]
fn a_damaged_or_foreign_backup_restores_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let [copy, target] = ["copy.db", "rules.db"].map(|name| folder.path().join(name));
    store_of(&copy, 3);
    let whole = fs::read(&copy).unwrap();
    let mut altered = whole.clone();
    let at = whole.windows(8).position(|bytes| bytes == b"Vendor 2").unwrap();
    altered[at] = b'W';
    let missing = folder.path().join("missing.db");
    assert!(restore(&missing, &target).unwrap_err().to_string().starts_with("cannot read"));
    for (content, expected) in [
        (&whole[..whole.len() / 2], "is damaged; restore a backup: "),
        (&altered, "stored data is corrupt at revision 2"),
        (&[], "it is empty, and a store never is"),
        (b"no SQLite file at all", "it is no SQLite file"),
    ] {
        fs::write(&copy, content).unwrap();
        let refused = chain_of(&restore(&copy, &target).unwrap_err());
        assert!(refused.contains(expected), "{refused}");
        assert!(!target.exists());
    }
}

#[test]
fn an_abandoned_change_is_done_all_the_same_and_its_retry_finds_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(&folder.path().join("rules.db")).unwrap();
    block_on(async {
        let first = content("r1", 1);
        let mut abandoned = store.apply(&first, Revision(0));
        assert!(futures_util::poll!(&mut abandoned).is_pending());
        drop(abandoned);
        let retry = store.apply(&first, Revision(0)).await.unwrap();
        assert!(retry.repeated);
    });
}
