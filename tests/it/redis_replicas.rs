//! What replicas share through a real server: who is on the list, whose name is whose, how long leases may
//! run, and that nobody's question holds up a renewal.

use super::redis_faults::{NAMESPACE, reopened, store_of};
use super::redis_server::{Flavour, Server, location_of, way_with_a_stop};
use super::store_contents::{StoreUnderTest, apply_next, chain_of, content};
use offergate::audit::{ChangeKind, NewRecord};
use offergate::clock::{Clock, SystemClock};
use offergate::domain::{ChainHash, Lineage, Revision};
use offergate::store::memory::MemoryStore;
use offergate::store::redis::{Location, RedisStore};
use offergate::store::{
    Head, Incarnation, ReplicaName, Report, Room, RuleStore, SharedStore, Standing, StoreError,
};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

pub(crate) fn report(name: &str, run: char, applied: Head) -> Report {
    Report {
        name: ReplicaName::parse(name).unwrap(),
        incarnation: Incarnation::parse(&run.to_string().repeat(32)).unwrap(),
        predecessor: None,
        address: format!("{name}.example:7443"),
        limit: Duration::from_secs(5),
        applied,
        room: None,
    }
}

#[tokio::test]
async fn replicas_are_listed_until_they_leave_are_forgotten_or_are_replaced() {
    let (_server, store) = store_of(2).await;
    let newest = store.load().await.unwrap().head;
    let first = store.records(Revision::ZERO, 1).await.unwrap().pop().unwrap();
    let older = Head { revision: Revision(1), chain: first.chain, ..newest.clone() };
    let one = report("a", '1', newest.clone());
    assert_eq!(store.renew(&one).await.unwrap().standing, Standing::Newest);
    let behind = report("b", '2', older.clone());
    let renewal = store.renew(&behind).await.unwrap();
    assert_eq!((renewal.standing, renewal.newest), (Standing::Behind, Revision(2)));
    // Another process under a name that is in use is told so, and is not listed.
    let taken = report("a", '3', newest.clone());
    let refused = store.renew(&taken).await.unwrap().standing;
    assert_eq!(refused, Standing::NameTaken { address: "a.example:7443".into() });
    store.renew(&one).await.unwrap();
    let fleet = store.fleet(&older).await.unwrap();
    assert_eq!((fleet.standing, fleet.newest), (Standing::Behind, Revision(2)));
    let seen: Vec<_> = fleet
        .members
        .iter()
        .map(|member| (member.name.as_str(), member.revision.0, member.beats))
        .collect();
    assert_eq!(seen, [("a", 2, 2), ("b", 1, 1)]);
    assert_eq!(fleet.members[1].chain, first.chain);
    // Seen since: it stays. Not seen since: it goes.
    store.renew(&behind).await.unwrap();
    store.forget(&fleet.members).await.unwrap();
    let left = store.fleet(&newest).await.unwrap();
    assert_eq!(left.members.len(), 1);
    assert_eq!(left.members[0].name.as_str(), "b");
    // A run that is known to have ended makes room at once.
    let next = Report {
        predecessor: Some(behind.incarnation.clone()),
        ..report("b", '4', newest.clone())
    };
    assert_eq!(store.renew(&next).await.unwrap().standing, Standing::Newest);
    store.leave(&next.incarnation).await.unwrap();
    assert_eq!(store.fleet(&newest).await.unwrap().members, []);
    let other = Head { lineage: Lineage::parse(&"e".repeat(32)).unwrap(), ..newest.clone() };
    assert!(matches!(
        store.renew(&report("c", '5', other)).await.unwrap().standing,
        Standing::OtherLineage { ref ancestors, .. } if ancestors.is_empty()
    ));
}

/// What a journal says of who had it before may be wrong, and takes no replica off that still runs.
async fn a_predecessor_makes_room_for_its_own_name_and_only_once(store: &impl SharedStore) {
    let head = store.head().await.unwrap().unwrap();
    let after = |name, run, ended: &Report| Report {
        predecessor: Some(ended.incarnation.clone()),
        ..report(name, run, head.clone())
    };
    let listed = async || {
        let members = store.fleet(&head).await.unwrap().members;
        members.iter().map(|seen| seen.incarnation.as_str()[..1].to_owned()).collect::<Vec<_>>()
    };
    let first = report("a", '1', head.clone());
    store.renew(&first).await.unwrap();
    // A copy of its folder under a name of its own.
    let copy = after("b", '2', &first);
    for _ in 0..2 {
        assert_eq!(store.renew(&copy).await.unwrap().standing, Standing::Newest);
        assert_eq!(listed().await, ["1", "2"]);
    }
    // Its successor takes its place, once and for all.
    let next = after("a", '3', &first);
    assert_eq!(store.renew(&next).await.unwrap().standing, Standing::Newest);
    assert_eq!(listed().await, ["3", "2"]);
    let returned = report("a", '1', head.clone());
    let refused = store.renew(&returned).await.unwrap().standing;
    assert_eq!(refused, Standing::NameTaken { address: "a.example:7443".into() });
    store.leave(&next.incarnation).await.unwrap();
    store.renew(&returned).await.unwrap();
    let again = after("b", '2', &first);
    store.renew(&again).await.unwrap();
    assert_eq!(listed().await, ["1", "2"]);
}

#[tokio::test]
async fn no_replica_is_taken_off_the_list_for_another_name_nor_by_one_that_is_on_it() {
    a_predecessor_makes_room_for_its_own_name_and_only_once(&MemoryStore::fresh()).await;
    let (_server, store) = store_of(0).await;
    a_predecessor_makes_room_for_its_own_name_and_only_once(&store).await;
}

#[tokio::test]
async fn whoever_is_on_the_list_already_takes_nobody_off_it() {
    let server = Server::start(Flavour::Redis);
    let limit = Duration::from_millis(1);
    let location = Location { staleness_limit: limit, ..server.location(NAMESPACE) };
    let store = RedisStore::open(location).unwrap();
    store.initialise(None).await.unwrap();
    let head = store.head().await.unwrap().unwrap();
    let first = Report { limit, ..report("a", '1', head.clone()) };
    let second = Report { limit, ..report("a", '2', head.clone()) };
    store.renew(&first).await.unwrap();
    // The name is free again once the first has not been heard of for long enough.
    while store.renew(&second).await.unwrap().standing != Standing::Newest {}
    let predecessor = Some(first.incarnation.clone());
    let later = Report { predecessor, ..second };
    assert_eq!(store.renew(&later).await.unwrap().standing, Standing::Newest);
    let members = store.fleet(&head).await.unwrap().members;
    assert_eq!(members.len(), 2, "{members:?}");
}

/// Whoever knows what a run is listed as reports for nobody else.
async fn a_run_is_reported_under_one_name_alone(store: &impl SharedStore) {
    let head = store.head().await.unwrap().unwrap();
    let older = Head { revision: Revision::ZERO, chain: ChainHash::ZERO, ..head.clone() };
    let replica = report("a", '1', older);
    assert_eq!(store.renew(&replica).await.unwrap().standing, Standing::Behind);
    let stranger = report("mailer.kis.11111111", '1', head.clone());
    let refused = store.renew(&stranger).await.unwrap().standing;
    assert_eq!(refused, Standing::NameTaken { address: "a.example:7443".into() });
    let members = store.fleet(&head).await.unwrap().members;
    let seen: Vec<_> = members.iter().map(|it| (it.name.as_str(), it.revision, it.beats)).collect();
    assert_eq!(seen, [("a", Revision::ZERO, 1)]);
    assert_eq!(store.renew(&replica).await.unwrap().standing, Standing::Behind, "it goes on");
}

#[tokio::test]
async fn nobody_reports_for_a_replica_under_another_name() {
    let memory = MemoryStore::fresh();
    apply_next(&memory, &content("one", 1)).await.unwrap();
    a_run_is_reported_under_one_name_alone(&memory).await;
    let (_server, store) = store_of(1).await;
    a_run_is_reported_under_one_name_alone(&store).await;
}

/// The list has room for so many of one kind, whoever reports them.
async fn no_more_of_a_kind_are_listed_than_there_is_room_for(store: &impl SharedStore) {
    let head = store.head().await.unwrap().unwrap();
    let room = Some(Room { prefix: "mailer.", most: 2 });
    let mailer = |run| Report { room, ..report(&format!("mailer.{run}"), run, head.clone()) };
    let renewed = async |report| store.renew(&report).await.unwrap().standing;
    assert_eq!(renewed(report("r1", '1', head.clone())).await, Standing::Newest);
    assert_eq!(renewed(mailer('a')).await, Standing::Newest);
    assert_eq!(renewed(mailer('b')).await, Standing::Newest);
    assert_eq!(renewed(mailer('c')).await, Standing::NoRoom);
    assert_eq!(renewed(mailer('b')).await, Standing::Newest, "it has its place");
    assert_eq!(renewed(report("r2", '2', head.clone())).await, Standing::Newest, "no mailer");
    let members = store.fleet(&head).await.unwrap().members;
    let names: Vec<_> = members.iter().map(|member| member.name.as_str()).collect();
    assert_eq!(names, ["mailer.a", "mailer.b", "r1", "r2"]);
    store.leave(&mailer('a').incarnation).await.unwrap();
    assert_eq!(renewed(mailer('c')).await, Standing::Newest);
}

#[tokio::test]
async fn those_who_hold_permits_are_limited_and_replicas_are_not() {
    no_more_of_a_kind_are_listed_than_there_is_room_for(&MemoryStore::fresh()).await;
    let (_server, store) = store_of(0).await;
    no_more_of_a_kind_are_listed_than_there_is_room_for(&store).await;
}

/// People decide, again and again, which history goes on.
async fn each_history_knows_those_before_it(store: &impl SharedStore, decisions: u64, kept: usize) {
    let deciding = |number: u64| NewRecord {
        kind: Some(ChangeKind::AcceptHistory),
        ..content(&format!("accept-{number}"), number)
    };
    let refused = apply_next(store, &deciding(0)).await.unwrap_err();
    assert!(matches!(refused, StoreError::NotWritten { .. }), "{refused:?}");
    assert!(chain_of(&refused).ends_with("histories agree: there is nothing to decide"));
    let beginning = store.head().await.unwrap().unwrap();
    assert_eq!(beginning.revision, Revision::ZERO, "something was written");
    let mut before = VecDeque::new();
    for number in 1..=decisions {
        let head = store.head().await.unwrap().unwrap();
        before.push_front(head.lineage.clone());
        let stranger = Head { revision: Revision(head.revision.0 + 1), ..head };
        let renewal = store.renew(&report("stranger", '9', stranger)).await.unwrap();
        assert_eq!(renewal.standing, Standing::Forked { part: false });
        apply_next(store, &deciding(number)).await.unwrap();
        let again = apply_next(store, &deciding(number + decisions)).await;
        assert!(matches!(again, Err(StoreError::NotWritten { .. })), "{again:?}");
    }
    before.truncate(kept);
    let lineage = store.head().await.unwrap().unwrap().lineage;
    let standing = store.fleet(&beginning).await.unwrap().standing;
    assert_eq!(standing, Standing::OtherLineage { lineage, ancestors: before.into() });
}

#[tokio::test]
async fn which_history_goes_on_is_decided_only_where_histories_disagree_and_all_before_are_known() {
    for (decisions, kept) in [(3, 3), (70, 64)] {
        let memory = MemoryStore::fresh();
        each_history_knows_those_before_it(&memory, decisions, kept).await;
        let (_server, store) = store_of(0).await;
        each_history_knows_those_before_it(&store, decisions, kept).await;
    }
}

#[tokio::test]
async fn a_question_that_is_long_in_answering_holds_up_no_renewal() {
    let (server, begun) = store_of(1).await;
    let head = begun.head().await.unwrap().unwrap();
    let (asked, is_asked) = tokio::sync::oneshot::channel();
    let (release, released) = std::sync::mpsc::channel::<()>();
    let way = way_with_a_stop(server.port, "\r\nCONFIG\r\n", move || {
        asked.send(()).unwrap();
        let _ = released.recv(); // Until the other end goes.
    });
    let store = Arc::new(RedisStore::open(location_of(way, NAMESPACE)).unwrap());
    let slow = tokio::spawn({
        let store = Arc::clone(&store);
        async move { store.shortfalls().await }
    });
    is_asked.await.unwrap();
    let renewal = store.renew(&report("a", '1', head)).await.unwrap();
    assert_eq!(renewal.standing, Standing::Newest);
    drop(release);
    let _ = slow.await.unwrap();
}

#[tokio::test]
async fn a_change_dated_ahead_of_the_stores_clock_is_refused_unless_an_earlier_one_was_too() {
    let (server, store) = store_of(1).await;
    let dated = |request: &str, kind, at| NewRecord { kind: Some(kind), at, ..content(request, 2) };
    let now = SystemClock.wall();
    let day = Duration::from_secs(24 * 60 * 60);
    let head = store.head().await.unwrap().unwrap();
    for kind in [ChangeKind::ApplyRules, ChangeKind::HealFork, ChangeKind::AcceptHistory] {
        if kind == ChangeKind::HealFork {
            let stranger = Head { chain: ChainHash::ZERO, ..head.clone() };
            store.renew(&report("stranger", '9', stranger)).await.unwrap();
        }
        let refused = apply_next(&store, &dated("ahead", kind, now + day)).await.unwrap_err();
        assert!(matches!(refused, StoreError::NotWritten { .. }), "{refused:?}");
        let said = chain_of(&refused);
        assert!(said.contains(": the clock of this machine is 86"), "{said}");
        assert!(said.ends_with(" s ahead of the store's"), "{said}");
        assert_eq!(store.load().await.unwrap().head, head, "something was written");
    }
    let decided = dated("decided", ChangeKind::AcceptHistory, now + Duration::from_secs(1));
    apply_next(&store, &decided).await.unwrap();

    // A history that came from elsewhere, whose newest change is of tomorrow.
    let memory = MemoryStore::fresh();
    let tomorrow = dated("tomorrow", ChangeKind::ApplyRules, now + day);
    apply_next(&memory, &tomorrow).await.unwrap();
    let copy = RedisStore::open(server.location("copy")).unwrap();
    copy.fill_from(&memory).await.unwrap();
    let later = now + day + Duration::from_millis(1);
    let refused = apply_next(&copy, &dated("later", ChangeKind::ApplyRules, later)).await;
    assert!(matches!(refused, Err(StoreError::NotWritten { .. })), "{refused:?}");
    apply_next(&copy, &dated("as-late", ChangeKind::ApplyRules, now + day)).await.unwrap();
    apply_next(&copy, &dated("as-late-again", ChangeKind::ApplyRules, now + day)).await.unwrap();
}

/// A replica whose leases would run for longer than the history allows gets none.
async fn longer_leases_than_the_history_allows_are_refused(
    store: &impl SharedStore,
    most: Duration,
) {
    let head = store.head().await.unwrap().unwrap();
    let nanosecond = Duration::from_nanos(1);
    let longer = Report { limit: most + nanosecond, ..report("a", '1', head.clone()) };
    let refused = store.renew(&longer).await.unwrap().standing;
    assert_eq!(refused, Standing::LimitTooLong { allowed: most });
    assert_eq!(store.fleet(&head).await.unwrap().members, [], "it was recorded");
    for allowed in [most, Duration::from_millis(500)] {
        let fits = Report { limit: allowed, ..longer.clone() };
        assert_eq!(store.renew(&fits).await.unwrap().standing, Standing::Newest);
    }
    let again = store.renew(&longer).await.unwrap().standing;
    assert_eq!(again, Standing::LimitTooLong { allowed: most });
    let fleet = store.fleet(&head).await.unwrap();
    assert_eq!((fleet.limit, fleet.members[0].beats), (most, 2));
    let confirmation = store.confirm(&head, Duration::from_millis(100)).await.unwrap();
    assert_eq!(confirmation.limit, most);
}

#[tokio::test]
async fn a_history_says_how_long_leases_may_run_and_no_replica_runs_longer_ones() {
    let memory = MemoryStore::fresh();
    let limit = Duration::from_secs(7);
    memory.allow(limit);
    longer_leases_than_the_history_allows_are_refused(&memory, limit).await;
    let server = Server::start(Flavour::Redis);
    let begun = |namespace: &str| {
        RedisStore::open(Location { staleness_limit: limit, ..server.location(namespace) }).unwrap()
    };
    begun(NAMESPACE).initialise(None).await.unwrap();
    // Whoever asks, and whatever limit of its own it has, it is told of the history's.
    longer_leases_than_the_history_allows_are_refused(&reopened(&server), limit).await;
    begun("copy").fill_from(&memory).await.unwrap();
    let copy = RedisStore::open(server.location("copy")).unwrap();
    longer_leases_than_the_history_allows_are_refused(&copy, limit).await;
}
