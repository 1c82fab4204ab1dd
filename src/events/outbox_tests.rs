//! The outbox: what is put in once, what waits for room, what goes first, and who is left in peace.

use super::event::{Event, Kind};
use super::outbox::{Cursor, MOST_WAITING, Outbox, OutboxError, REMEMBERED, pause_after};
use crate::domain::{ChainHash, Lineage, Revision, Timestamp};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_600_000_000 + second).unwrap()
}

fn event(id: &str) -> (Event, String) {
    of(Kind::ReachMoved, id)
}

fn of(kind: Kind, id: &str) -> (Event, String) {
    let event = Event {
        id: id.to_owned(),
        kind,
        at: at(0),
        subject: String::new(),
        data: serde_json::Value::Null,
    };
    (event, format!("about {id}"))
}

fn cursor(revision: u64, second: i64) -> Cursor {
    let lineage = Lineage::parse(&"a".repeat(32)).unwrap();
    let place = Some((lineage, Revision(revision), ChainHash([7; 32])));
    Cursor { since: at(0), place, seen_until: at(second) }
}

fn open(folder: &tempfile::TempDir) -> Outbox {
    Outbox::open(&folder.path().join("x.events"), at(0)).unwrap()
}

#[test]
fn an_event_is_put_in_once_and_known_after_it_was_taken_and_the_file_opened_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut outbox = open(&folder);
    assert_eq!(outbox.cursor().unwrap().place, None);
    let put = outbox.put(&[event("a"), event("b"), event("a")], &cursor(3, 1)).unwrap();
    assert_eq!((put.new, put.left), (vec!["a".to_owned(), "b".to_owned()], 0));
    assert_eq!(outbox.waiting(), (2, Some(at(1).as_second())));
    outbox.taken("a", at(2)).unwrap();
    drop(outbox);
    let mut outbox = open(&folder);
    assert_eq!(outbox.cursor().unwrap(), cursor(3, 1));
    assert!(outbox.put(&[event("a")], &cursor(4, 5)).unwrap().new.is_empty());
    let due = outbox.due(at(6)).unwrap().unwrap();
    assert_eq!((due.id.as_str(), due.body.as_str()), ("b", "about b"));
    outbox.taken("b", at(6)).unwrap();
    assert_eq!((outbox.due(at(9)).unwrap(), outbox.waiting()), (None, (0, None)));
    // Long after nothing shows it any more, it is forgotten; what goes on is not.
    let late = 2 * REMEMBERED;
    outbox.put(&[event("b")], &cursor(4, late)).unwrap();
    let again = outbox.put(&[event("a"), event("b")], &cursor(4, late + 1)).unwrap();
    assert_eq!(again.new, ["a"]);
}

#[test]
fn an_outbox_takes_what_fits_and_the_log_is_not_read_past_what_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let mut outbox = open(&folder);
    outbox.put(&[event("first")], &cursor(1, 1)).unwrap();
    let many: Vec<_> = (0..MOST_WAITING).map(|number| event(&number.to_string())).collect();
    let put = outbox.put(&many, &cursor(2, 2)).unwrap();
    assert_eq!((put.new.len(), put.left), (9_999, 1));
    assert_eq!((outbox.waiting().0, outbox.cursor().unwrap()), (10_000, cursor(1, 1)));
    outbox.taken("first", at(3)).unwrap();
    let put = outbox.put(&many, &cursor(2, 4)).unwrap();
    assert_eq!((put.new, put.left), (vec!["9999".to_owned()], 0));
    assert_eq!(outbox.cursor().unwrap(), cursor(2, 4));
}

#[test]
fn more_reviews_than_fit_keep_no_emergency_from_being_told_first() {
    let folder = tempfile::tempdir().unwrap();
    let mut outbox = open(&folder);
    let mut found: Vec<_> = (0..=MOST_WAITING)
        .map(|number| of(Kind::ReviewDue, &format!("review-due-{number}")))
        .collect();
    found.push(of(Kind::BreakGlass, "break-glass-7"));
    let put = outbox.put(&found, &cursor(2, 2)).unwrap();
    assert_eq!((put.new.len(), put.left), (10_000, 2));
    assert_eq!(outbox.cursor().unwrap(), cursor(2, 2), "reviews are found again");
    assert_eq!(due(&mut outbox, 3).as_deref(), Some("break-glass-7"));
    // Nor do events that nobody takes.
    found = vec![of(Kind::BreakGlassOverdue, "break-glass-overdue-7"), event("reach")];
    let put = outbox.put(&found, &cursor(3, 3)).unwrap();
    assert_eq!((put.new, put.left), (vec!["break-glass-overdue-7".to_owned()], 1));
    assert_eq!(outbox.cursor().unwrap(), cursor(2, 2), "the other one would be lost");
    outbox.taken("break-glass-7", at(4)).unwrap();
    assert_eq!(due(&mut outbox, 4).as_deref(), Some("break-glass-overdue-7"));
    // What is urgent has its limit too.
    let many = (0..2_000).map(|number| of(Kind::BreakGlass, &format!("break-glass-{number}")));
    outbox.put(&many.collect::<Vec<_>>(), &cursor(4, 5)).unwrap();
    assert_eq!(outbox.waiting().0, 11_000);
}

fn due(outbox: &mut Outbox, second: i64) -> Option<String> {
    outbox.due(at(second)).unwrap().map(|waiting| waiting.id)
}

#[test]
fn a_receiver_that_is_away_is_left_in_peace_and_one_that_refuses_an_event_gets_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let mut outbox = open(&folder);
    outbox.put(&[event("a"), event("b")], &cursor(1, 0)).unwrap();
    assert_eq!(due(&mut outbox, 0).as_deref(), Some("a"));
    outbox.failed("a", 0, at(0), false).unwrap();
    assert_eq!(due(&mut outbox, 0).as_deref(), Some("b"), "only a was refused");
    outbox.failed("b", 3, at(0), true).unwrap();
    assert_eq!(
        (due(&mut outbox, 7), due(&mut outbox, 8).as_deref()),
        (None, Some("a")),
        "nobody is there"
    );
    drop(outbox);
    let mut outbox = open(&folder);
    assert_eq!(outbox.due(at(1)).unwrap().unwrap().attempts, 1, "a new process asks at once");
}

#[test]
fn pauses_double_up_to_five_minutes() {
    let pauses = [0, 1, 2, 8, 9, 1_000, u32::MAX].map(|attempts| pause_after(attempts).as_secs());
    assert_eq!(pauses, [1, 2, 4, 256, 300, 300, 300]);
}

#[test]
fn a_file_of_something_else_is_refused_and_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.events");
    std::fs::write(&path, "no database, and long enough to have a header of one".repeat(4))
        .unwrap();
    let before = std::fs::read(&path).unwrap();
    assert!(matches!(Outbox::open(&path, at(0)), Err(OutboxError::Other(_))));
    assert_eq!(std::fs::read(&path).unwrap(), before);
}
