//! Mailings: through the library while rules move and people give orders (`engine`), to a real mail server
//! (`smtp`), and by the program, which is killed (`program`), ordered about and taken over (`orders`).

mod dying;
mod engine;
mod hardened;
mod mail_server;
mod orders;
mod program;
mod signed;
mod smtp;

use offergate::clock::{Clock, SystemClock};
use offergate::decision::Snapshot;
use offergate::domain::{Revision, Timestamp};
use offergate::jobs::mailing::{
    self, Doing, Ending, Gate, Hold, Kind, Mailer, Once, Order, Out, Pass, Patience, Plan, Retries,
    Rules, Schedule, Source, Standing, Suppressions, Template, Wanted,
};
use offergate::jobs::{Format, JobError, Mapping};
use offergate::ledger::sqlite::SqliteLedger;
use offergate::ledger::{Fact, Ledger, LedgerKey, State};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tempfile::TempDir;

pub(crate) const RULES: &str = "
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
    from: 2026-01-01T00:00:00Z
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

pub(crate) fn rules(revision: u64, text: &str) -> Arc<Rules> {
    let rules = offergate::rules::read(text).unwrap();
    let snapshot = Snapshot::compile(&rules, Revision(revision)).unwrap();
    Arc::new(Rules {
        revision,
        token: format!("a.{revision}"),
        made_at: None,
        snapshot: Arc::new(snapshot),
    })
}

/// The rules with a suspension from the instant on at which they are made.
fn suspended_at(instant: &str) -> Arc<Rules> {
    let suspension = SUSPENSION.replace("2026-01-01T00:00:00Z", instant);
    let rules = rules(2, &format!("{RULES}{suspension}"));
    Arc::new(Rules {
        revision: 2,
        token: "a.2".to_owned(),
        made_at: Some(instant.parse().unwrap()),
        snapshot: Arc::clone(&rules.snapshot),
    })
}

/// A gate that the test opens, shuts, and moves to other rules.
pub(crate) struct TestGate(Mutex<(Arc<Rules>, bool)>);

struct Held;

impl Hold for Held {
    fn still_holds(&self) -> bool {
        true
    }
}

impl TestGate {
    pub(crate) fn open() -> Self {
        Self(Mutex::new((rules(1, RULES), true)))
    }

    pub(crate) fn shut() -> Self {
        Self(Mutex::new((rules(1, RULES), false)))
    }

    pub(crate) fn set_open(&self, is_open: bool) {
        self.0.lock().unwrap().1 = is_open;
    }

    pub(crate) fn suspend(&self) {
        self.suspend_at("2026-01-01T00:00:00Z");
    }

    pub(crate) fn suspend_at(&self, instant: &str) {
        self.0.lock().unwrap().0 = suspended_at(instant);
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
pub(crate) struct WallClock(pub(crate) Mutex<Timestamp>);

impl Clock for WallClock {
    fn wall(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }

    fn boot(&self) -> Duration {
        SystemClock.boot()
    }
}

/// Ends the sending when the test has failed, which would else wait for it.
struct StopOnPanic<'s>(&'s AtomicBool);

impl Drop for StopOnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.store(true, Ordering::Relaxed);
        }
    }
}

/// A mailing in a folder of its own.
pub(crate) struct Case {
    pub(crate) folder: TempDir,
    pub(crate) plan: Plan,
    pub(crate) source: Source,
    pub(crate) template: Template,
    pub(crate) suppressions: Suppressions,
    pub(crate) proofs: Option<Source>,
    pub(crate) gate: TestGate,
    pub(crate) clock: WallClock,
    pub(crate) stop: AtomicBool,
    pub(crate) out: Out,
    pub(crate) patience: Patience,
    /// Why the mailing may not be sent through this ledger now; empty where it may.
    pub(crate) unbound: Mutex<&'static str>,
}

impl Case {
    pub(crate) fn new(rows: &str, kind: Kind) -> Self {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("people.csv");
        fs::write(&path, format!("{HEADER}{rows}")).unwrap();
        let mut source = Source::new(path, Format::Csv, Mapping::default());
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
        let out = Out::Folder(folder.path().join("out"), 2);
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
            out,
            patience: Patience(0),
            unbound: Mutex::default(),
        }
    }

    /// So many who may be written to.
    pub(crate) fn many(count: usize, kind: Kind) -> Self {
        let row = |n: usize| format!("c-{n},GB,NONE,N{n},n{n}@d{}.example,\n", n % 7);
        Self::new(&(0..count).map(row).collect::<String>(), kind)
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("l.db")
    }

    pub(crate) fn ledger(&self) -> (SqliteLedger, LedgerKey) {
        match self.path().exists() {
            true => SqliteLedger::open(&self.path()).unwrap(),
            false => SqliteLedger::create(&self.path()).unwrap(),
        }
    }

    pub(crate) fn send(&self) -> Ending {
        self.try_send(Some(rules(1, RULES))).unwrap()
    }

    /// The same, begun by these rules.
    pub(crate) fn try_send(&self, start: Option<Arc<Rules>>) -> Result<Ending, JobError> {
        let (mut ledger, key) = self.ledger();
        self.try_send_through(&mut ledger, &key, start)
    }

    /// The same, through this ledger.
    pub(crate) fn try_send_through(
        &self,
        ledger: &mut dyn Ledger,
        key: &LedgerKey,
        start: Option<Arc<Rules>>,
    ) -> Result<Ending, JobError> {
        let mailer = Mailer {
            plan: &self.plan,
            source: &self.source,
            proofs: self.proofs.as_ref(),
            template: Some(&self.template),
            suppressions: &self.suppressions,
            gate: &self.gate,
            start,
            clock: &self.clock,
            out: &self.out,
            bind: &|| match *self.unbound.lock().unwrap() {
                "" => Ok(()),
                why => Err(why.to_owned()),
            },
            retries: Retries { most: 1, first: Duration::from_millis(1) },
            patience: self.patience,
            stop: &self.stop,
            watch: &|_| {},
        };
        mailer.send(ledger, key)
    }

    /// Sends while the test does something else.
    pub(crate) fn send_while(&self, test: impl FnOnce(&Self)) -> Ending {
        std::thread::scope(|scope| {
            let sending = scope.spawn(|| self.send());
            let _stop = StopOnPanic(&self.stop);
            test(self);
            sending.join().unwrap()
        })
    }

    pub(crate) fn looked(&self) -> Option<SqliteLedger> {
        SqliteLedger::look(&self.path()).ok()
    }

    pub(crate) fn standing(&self) -> Option<Standing> {
        mailing::read(&self.looked()?, Fact::Standing).unwrap()
    }

    pub(crate) fn count(&self, state: State) -> u64 {
        let Some(ledger) = self.looked() else { return 0 };
        let totals = ledger.totals().unwrap();
        totals.iter().filter(|((it, _), _)| *it == state).map(|(_, many)| many).sum()
    }

    /// Waits for something.
    pub(crate) fn until(&self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let deadline = SystemClock.boot() + crate::server::LIMIT;
        while !is_so(self) {
            assert!(SystemClock.boot() < deadline, "{what}: {:?}", self.standing());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub(crate) fn is(&self, doing: Doing, why: &str) -> bool {
        self.standing().is_some_and(|it| it.doing == doing && it.why.contains(why))
    }

    pub(crate) fn order(&self, wanted: Wanted) {
        let order = Order { wanted, by: "tester".to_owned(), at: self.clock.wall() };
        mailing::write(&mut self.looked().unwrap(), Fact::Order, &order).unwrap();
    }

    pub(crate) fn reasons(&self) -> BTreeMap<String, u64> {
        let totals = self.looked().unwrap().totals().unwrap();
        let named = totals.into_iter().map(|((state, why), many)| {
            let revision =
                if why.revision == 0 { String::new() } else { format!("@{}", why.revision) };
            (format!("{} {}{revision}", state.name(), why.reason), many)
        });
        named.collect()
    }

    /// Who got a message, by the addresses in the files.
    pub(crate) fn received(&self) -> Vec<String> {
        received_in(&self.folder.path().join("out"))
    }
}

/// The addressees of all messages in a folder.
pub(crate) fn received_in(folder: &Path) -> Vec<String> {
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
