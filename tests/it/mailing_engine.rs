//! Mailings through the library: who is written to, who is not and why, while rules move, hours pass and
//! people give orders. The way out is a folder; a real mail server is in `mailing_smtp`, the program in
//! `mailing`.

use offergate::clock::{Clock, SystemClock};
use offergate::decision::Snapshot;
use offergate::domain::{Revision, Timestamp};
use offergate::jobs::mailing::{
    self, Audience, Doing, Ending, Gate, Hold, Kind, Mailer, Once, Order, Out, Pass, Patience, Plan,
    Quiet, Retries, Rules, Schedule, Source, Standing, Suppressions, Template, Wanted,
};
use offergate::jobs::{Format, Mapping};
use offergate::ledger::sqlite::SqliteLedger;
use offergate::ledger::{Fact, Ledger, LedgerKey, State};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tempfile::TempDir;

const RULES: &str = "
vendors: {acme: {name: Acme}}
products:
  shield: {name: Shield, class: ANTIVIRUS, vendors: [acme], components: []}
offers: {shield-12m: {product: shield, countries: [GB, IE]}}
";

const SUSPENSION: &str = "
suspensions:
  s-1:
    target: {vendor: acme}
    actions: [OFFER]
    from: "2026-01-01T00:00:00Z"
    ticket: T-1
    reason: r
";

const TEMPLATE: &str = "
from: Example Bank <service@bank.example>
subject: For {{ id }}
text: |
  Dear {{ first_name }}
";

pub(crate) const HEADER: &str = "id,country,holding.status,first_name,email,household\n";

fn rules(revision: u64, text: &str) -> Arc<Rules> {
    let rules = offergate::rules::read(text).unwrap();
    let snapshot = Snapshot::compile(&rules, Revision(revision)).unwrap();
    Arc::new(Rules { revision, snapshot: Arc::new(snapshot) })
}

/// A gate that the test opens, shuts, and moves to other rules.
struct TestGate(Mutex<(Arc<Rules>, bool)>);

struct Held;

impl Hold for Held {
    fn still_holds(&self) -> bool {
        true
    }
}

impl TestGate {
    fn open() -> Self {
        Self(Mutex::new((rules(1, RULES), true)))
    }

    fn shut() -> Self {
        Self(Mutex::new((rules(1, RULES), false)))
    }

    fn set_open(&self, is_open: bool) {
        self.0.lock().unwrap().1 = is_open;
    }

    fn suspend(&self) {
        self.0.lock().unwrap().0 = rules(2, &format!("{RULES}{SUSPENSION}"));
    }
}

impl Gate for TestGate {
    fn enter(&self) -> Option<Pass> {
        let (rules, is_open) = &*self.0.lock().unwrap();
        is_open.then(|| Pass { rules: Arc::clone(rules), hold: Box::new(Held) })
    }

    fn newest(&self) -> Option<Arc<Rules>> {
        Some(Arc::clone(&self.0.lock().unwrap().0))
    }

    fn reach(&self) -> Duration {
        Duration::ZERO
    }

    fn trouble(&self) -> String {
        "the test shut it".to_owned()
    }
}

/// A wall clock that the test sets; the other one runs.
struct WallClock(Mutex<Timestamp>);

impl Clock for WallClock {
    fn wall(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }

    fn boot(&self) -> Duration {
        SystemClock.boot()
    }
}

/// A mailing in a folder of its own.
struct Case {
    folder: TempDir,
    plan: Plan,
    source: Source,
    template: Template,
    suppressions: Suppressions,
    proofs: Option<Source>,
    gate: TestGate,
    clock: WallClock,
    stop: AtomicBool,
}

impl Case {
    fn new(rows: &str, kind: Kind) -> Self {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("people.csv");
        fs::write(&path, format!("{HEADER}{rows}")).unwrap();
        let source = Source { path, format: Format::Csv, mapping: Mapping::default() };
        let template = Template::read("t.yaml", TEMPLATE.as_bytes()).unwrap();
        let plan = Plan {
            name: "m".to_owned(),
            offer: "shield-12m".to_owned(),
            kind,
            audience: source.freeze(&Arc::default()).unwrap(),
            template_sha256: template.sha256.clone(),
            mapping_sha256: None,
            schedule: Schedule::default(),
            once_per: Once::Address,
            address_column: "email".to_owned(),
            household_column: None,
        };
        let noon = "2026-12-01T12:00:00Z".parse().unwrap();
        Self {
            folder,
            plan,
            source,
            template,
            suppressions: Suppressions::default(),
            proofs: None,
            gate: TestGate::open(),
            clock: WallClock(Mutex::new(noon)),
            stop: AtomicBool::new(false),
        }
    }

    /// So many who may be written to.
    fn many(count: usize, kind: Kind) -> Self {
        let row = |n: usize| format!("c-{n},GB,NONE,N{n},n{n}@d{}.example,\n", n % 7);
        Self::new(&(0..count).map(row).collect::<String>(), kind)
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("l.db")
    }

    fn ledger(&self) -> (SqliteLedger, LedgerKey) {
        match self.path().exists() {
            true => SqliteLedger::open(&self.path()).unwrap(),
            false => SqliteLedger::create(&self.path()).unwrap(),
        }
    }

    fn send(&self) -> Ending {
        let (mut ledger, key) = self.ledger();
        let out = Out::Folder(self.folder.path().join("out"), 2);
        let mailer = Mailer {
            plan: &self.plan,
            source: &self.source,
            proofs: self.proofs.as_ref(),
            template: &self.template,
            suppressions: &self.suppressions,
            gate: &self.gate,
            start: Some(rules(1, RULES)),
            clock: &self.clock,
            out: &out,
            retries: Retries { most: 1, first: Duration::from_millis(1) },
            patience: Patience(0),
            stop: &self.stop,
            watch: &|_| {},
        };
        mailer.send(&mut ledger, &key).unwrap()
    }

    /// Sends while the test does something else.
    fn send_while(&self, test: impl FnOnce(&Self)) -> Ending {
        std::thread::scope(|scope| {
            let sending = scope.spawn(|| self.send());
            test(self);
            sending.join().unwrap()
        })
    }

    fn looked(&self) -> Option<SqliteLedger> {
        SqliteLedger::look(&self.path()).ok()
    }

    fn standing(&self) -> Option<Standing> {
        mailing::read(&self.looked()?, Fact::Standing).unwrap()
    }

    fn count(&self, state: State) -> u64 {
        let Some(ledger) = self.looked() else { return 0 };
        let totals = ledger.totals().unwrap();
        totals.iter().filter(|((it, _), _)| *it == state).map(|(_, many)| many).sum()
    }

    /// Waits for something.
    fn until(&self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let deadline = SystemClock.boot() + crate::server::LIMIT;
        while !is_so(self) {
            assert!(SystemClock.boot() < deadline, "{what}: {:?}", self.standing());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn is(&self, doing: Doing, why: &str) -> bool {
        self.standing().is_some_and(|it| it.doing == doing && it.why.contains(why))
    }

    fn order(&self, wanted: Wanted) {
        let order = Order { wanted, by: "tester".to_owned(), at: self.clock.wall() };
        mailing::write(&mut self.looked().unwrap(), Fact::Order, &order).unwrap();
    }

    fn reasons(&self) -> BTreeMap<String, u64> {
        let totals = self.looked().unwrap().totals().unwrap();
        let named = totals.into_iter().map(|((state, why), many)| {
            let revision = if why.revision == 0 { String::new() } else { format!("@{}", why.revision) };
            (format!("{} {}{revision}", state.name(), why.reason), many)
        });
        named.collect()
    }

    /// Who got a message, by the addresses in the files.
    fn received(&self) -> Vec<String> {
        received(&self.folder.path().join("out"))
    }
}

/// The addressees of all messages in a folder.
pub(crate) fn received(folder: &Path) -> Vec<String> {
    let mut all = Vec::new();
    for shard in fs::read_dir(folder).into_iter().flatten() {
        for file in fs::read_dir(shard.unwrap().path()).unwrap() {
            let text = fs::read_to_string(file.unwrap().path()).unwrap();
            let to = text.lines().find_map(|line| line.strip_prefix("To: ")).unwrap().to_owned();
            all.push(to);
        }
    }
    all.sort();
    all
}

fn expected(reasons: &[(&str, u64)]) -> BTreeMap<String, u64> {
    reasons.iter().map(|(name, many)| ((*name).to_owned(), *many)).collect()
}

#[test]
fn everybody_has_one_outcome_and_a_reason_why_not() {
    let rows = "\
c-1,GB,NONE,Ann,ann@x.example,h1
c-2,GB,NONE,Ann again,ANN@x.example,h1
c-3,FR,NONE,Not served,fr@x.example,h2
c-4,GB,,Not said,gap@x.example,h2
c-5,GB,NONE,Bounced,bounced@x.example,h3
c-6,GB,NONE,Left,left@x.example,h3
c-7,GB,NONE,No address,,h4
c-8,GB,NONE,Bad address,nobody,h4
,GB,NONE,No id,noid@x.example,h5
c-9,GB,NONE,too few
c-10,IE,NONE,Zoë,zoe@y.example,h6
";
    for (kind, sent, not_sent) in [
        (
            Kind::Offer,
            vec!["ann@x.example", "zoe@y.example"],
            expected(&[
                ("SENT @1", 2),
                ("NOT_SENT DUPLICATE", 1),
                ("NOT_SENT COUNTRY_NOT_SERVED@1", 1),
                ("NOT_SENT ATTRIBUTE_MISSING:holding.status@1", 1),
                ("NOT_SENT BOUNCED", 1),
                ("NOT_SENT UNSUBSCRIBED", 1),
                ("NOT_SENT ADDRESS_MISSING", 1),
                ("NOT_SENT ADDRESS_INVALID", 1),
                ("NOT_SENT ROW_UNREADABLE", 2),
            ]),
        ),
        (
            Kind::Notify,
            vec!["ann@x.example", "fr@x.example", "gap@x.example", "left@x.example", "zoe@y.example"],
            expected(&[
                ("SENT @1", 5),
                ("NOT_SENT DUPLICATE", 1),
                ("NOT_SENT BOUNCED", 1),
                ("NOT_SENT ADDRESS_MISSING", 1),
                ("NOT_SENT ADDRESS_INVALID", 1),
                ("NOT_SENT ROW_UNREADABLE", 2),
            ]),
        ),
    ] {
        let mut case = Case::new(rows, kind);
        let file = |name: &str, text: &str| {
            let path = case.folder.path().join(name);
            fs::write(&path, text).unwrap();
            [path]
        };
        let bounced = file("bounced", "# by the mail server\nBounced@X.example\n");
        let left = file("left", "c-6\n");
        case.suppressions = Suppressions::read(&bounced, &left).unwrap();
        assert_eq!(case.send(), Ending::Over);
        assert_eq!(case.received(), sent, "{kind:?}");
        assert_eq!(case.reasons(), not_sent, "{kind:?}");
        assert!(case.is(Doing::Finished, ""));
        // Whoever comes again finds nobody left.
        assert_eq!(case.send(), Ending::Over);
        assert_eq!(case.received(), sent, "{kind:?}");
    }
}

#[test]
fn one_person_or_one_household_is_written_to_once() {
    let rows = "\
c-1,FR,NONE,Not served,one@x.example,h1
c-2,GB,NONE,Same house,two@x.example,h1
c-3,GB,NONE,Same house,three@x.example,h1
c-2,GB,NONE,Same person,four@x.example,h2
c-5,GB,NONE,No house,five@x.example,
c-6,GB,NONE,No house,five@x.example,
";
    for (once_per, received) in [
        (Once::Address, vec!["five", "four", "three", "two"]),
        (Once::Person, vec!["five", "five", "three", "two"]),
        (Once::Household, vec!["five", "five", "four", "two"]),
    ] {
        let mut case = Case::new(rows, Kind::Offer);
        case.plan.once_per = once_per;
        case.plan.household_column = Some("household".to_owned());
        assert_eq!(case.send(), Ending::Over);
        let received: Vec<_> = received.iter().map(|name| format!("{name}@x.example")).collect();
        assert_eq!(case.received(), received, "{once_per:?}");
    }
}

#[test]
fn marketing_stops_when_a_suspension_comes_and_a_service_message_goes_on() {
    for (kind, doing) in [(Kind::Offer, Doing::StoppedByRule), (Kind::Notify, Doing::Finished)] {
        let mut case = Case::many(200, kind);
        case.plan.schedule.per_second = Some(200);
        let ending = case.send_while(|case| {
            case.until("some are sent", |case| 20 <= case.count(State::Sent));
            case.gate.suspend();
        });
        assert_eq!((ending, case.standing().unwrap().doing), (Ending::Over, doing));
        let sent = case.count(State::Sent);
        assert_eq!(case.received().len() as u64, sent);
        let denied = case.reasons().get("NOT_SENT VENDOR_SUSPENDED@2").copied().unwrap_or_default();
        match kind {
            Kind::Offer => assert!(20 <= sent && sent < 200 && sent + denied == 200, "{sent} {denied}"),
            Kind::Notify => assert_eq!((sent, denied), (200, 0)),
        }
    }
}

#[test]
fn a_suspension_from_before_the_start_stops_nobody_else() {
    let case = Case::many(5, Kind::Offer);
    case.gate.suspend();
    // The mailing begins by the rules of revision 2 here, so nothing moved.
    let (mut ledger, key) = case.ledger();
    let out = Out::Folder(case.folder.path().join("out"), 1);
    let mailer = Mailer {
        plan: &case.plan,
        source: &case.source,
        proofs: None,
        template: &case.template,
        suppressions: &case.suppressions,
        gate: &case.gate,
        start: case.gate.newest(),
        clock: &case.clock,
        out: &out,
        retries: Retries { most: 1, first: Duration::from_millis(1) },
        patience: Patience(0),
        stop: &case.stop,
        watch: &|_| {},
    };
    assert_eq!(mailer.send(&mut ledger, &key).unwrap(), Ending::Over);
    assert!(case.is(Doing::Finished, ""));
    assert_eq!(case.reasons(), expected(&[("NOT_SENT VENDOR_SUSPENDED@2", 5)]));
}

#[test]
fn marketing_waits_for_rules_that_are_in_force_and_a_service_message_does_not() {
    let mut case = Case::many(10, Kind::Offer);
    case.gate = TestGate::shut();
    let ending = case.send_while(|case| {
        case.until("it waits", |case| case.is(Doing::Waiting, "the test shut it"));
        assert_eq!(case.received(), Vec::<String>::new());
        case.gate.set_open(true);
    });
    assert_eq!((ending, case.received().len()), (Ending::Over, 10));
    let mut case = Case::many(10, Kind::Notify);
    case.gate = TestGate::shut();
    assert_eq!((case.send(), case.received().len()), (Ending::Over, 10));
}

#[test]
fn a_wave_pauses_until_somebody_has_looked() {
    let mut case = Case::many(100, Kind::Offer);
    case.plan.schedule.waves = vec![10, 40];
    let ending = case.send_while(|case| {
        for (wave, sent) in [(1, 10), (2, 40)] {
            let why = format!("wave {wave} of {sent}");
            case.until("it pauses", |case| case.is(Doing::Paused, &why));
            assert_eq!(case.count(State::Sent), sent);
            case.order(Wanted::Go);
        }
    });
    assert_eq!((ending, case.count(State::Sent)), (Ending::Over, 100));
}

#[test]
fn nobody_is_written_to_in_quiet_hours_nor_before_or_after_the_schedule() {
    let mut case = Case::many(10, Kind::Notify);
    case.plan.schedule.quiet = Some(Quiet::parse("11:00-13:00", "UTC").unwrap());
    case.plan.schedule.from = Some("2026-12-01T12:30:00Z".parse().unwrap());
    let ending = case.send_while(|case| {
        let set = |now: &str| *case.clock.0.lock().unwrap() = now.parse().unwrap();
        case.until("it waits for its start", |case| case.is(Doing::Waiting, "begins at"));
        set("2026-12-01T12:45:00Z");
        case.until("it is quiet", |case| case.is(Doing::Waiting, "quiet hours until"));
        assert_eq!(case.received(), Vec::<String>::new());
        set("2026-12-01T13:00:00Z");
    });
    assert_eq!((ending, case.count(State::Sent)), (Ending::Over, 10));
    let mut case = Case::many(10, Kind::Notify);
    case.plan.schedule.until = Some("2026-12-01T12:00:00Z".parse().unwrap());
    assert_eq!(case.send(), Ending::Over);
    assert_eq!(case.reasons(), expected(&[("NOT_SENT SCHEDULE_ENDED", 10)]));
}

#[test]
fn people_pause_let_go_on_and_cancel_from_another_process() {
    let mut case = Case::many(300, Kind::Offer);
    case.plan.schedule.per_second = Some(300);
    let ending = case.send_while(|case| {
        case.until("some are sent", |case| 10 <= case.count(State::Sent));
        case.order(Wanted::Pause);
        case.until("it pauses", |case| case.is(Doing::Paused, "tester"));
        let sent = case.count(State::Sent);
        assert_eq!(case.count(State::Begun), 0, "nothing is in hand");
        case.order(Wanted::Go);
        case.until("it goes on", |case| sent < case.count(State::Sent));
        case.order(Wanted::Cancel);
    });
    assert_eq!(ending, Ending::Over);
    assert!(case.is(Doing::Cancelled, "tester"));
    let sent = case.count(State::Sent);
    assert!(sent < 300);
    assert_eq!(case.reasons().get("NOT_SENT CANCELLED"), Some(&(300 - sent)));
    assert_eq!(case.received().len() as u64, sent);
}

#[test]
fn a_process_that_is_told_to_end_leaves_the_rest_to_the_next_one() {
    let mut case = Case::many(300, Kind::Offer);
    case.plan.schedule.per_second = Some(300);
    let ending = case.send_while(|case| {
        case.until("some are sent", |case| 10 <= case.count(State::Sent));
        case.stop.store(true, Ordering::Relaxed);
    });
    assert_eq!(ending, Ending::Interrupted);
    assert!(case.is(Doing::Paused, "told to end"));
    assert_eq!((case.count(State::Begun), case.count(State::InDoubt)), (0, 0));
    let sent = case.count(State::Sent);
    case.stop.store(false, Ordering::Relaxed);
    case.plan.schedule.per_second = None;
    assert_eq!(case.send(), Ending::Over);
    assert!(sent < 300);
    assert_eq!((case.count(State::Sent), case.received().len()), (300, 300));
}

#[test]
fn proofs_come_first_and_are_no_customers() {
    let mut case = Case::many(5, Kind::Offer);
    let path = case.folder.path().join("proofs.csv");
    // One of them has an address of the audience's, which gets its own message all the same.
    fs::write(&path, format!("{HEADER}p-1,FR,ACTIVE,Proof,n1@d1.example,\n")).unwrap();
    case.proofs = Some(Source { path, format: Format::Csv, mapping: Mapping::default() });
    case.plan.schedule.waves = vec![1];
    case.send_while(|case| {
        case.until("the wave is out", |case| case.is(Doing::Paused, "wave 1"));
        assert!(case.received().contains(&"n1@d1.example".to_owned()), "the proof came first");
        assert_eq!(case.count(State::Sent), 1);
        case.order(Wanted::Go);
    });
    assert_eq!(case.count(State::Sent), 5);
    assert_eq!(case.received().len(), 6);
}

#[test]
fn an_audience_that_is_not_what_was_signed_ends_badly_and_loses_nobody() {
    let mut case = Case::many(5, Kind::Offer);
    case.plan.audience = Audience { rows: 6, ..case.plan.audience };
    let (mut ledger, key) = case.ledger();
    let out = Out::Folder(case.folder.path().join("out"), 1);
    let mailer = Mailer {
        plan: &case.plan,
        source: &case.source,
        proofs: None,
        template: &case.template,
        suppressions: &case.suppressions,
        gate: &case.gate,
        start: None,
        clock: &case.clock,
        out: &out,
        retries: Retries { most: 1, first: Duration::from_millis(1) },
        patience: Patience(0),
        stop: &case.stop,
        watch: &|_| {},
    };
    let told = mailer.send(&mut ledger, &key).unwrap_err().to_string();
    assert!(told.contains("an outcome for 5 recipients, and the audience 6"), "{told}");
}
