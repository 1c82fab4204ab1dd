//! What the tests of several files need: a small mailing, its recipients, and rules that move.

use crate::decision::Snapshot;
use crate::domain::{Revision, Timestamp};
use crate::jobs::format::Format;
use crate::jobs::mailing::audience::{Recipient, Source};
use crate::jobs::mailing::gate::{Gate, Hold, Pass, Rules};
use crate::jobs::mailing::judge::Judge;
use crate::jobs::mailing::lists::pass;
use crate::jobs::mailing::plan::{Kind, Once, Plan, Schedule};
use crate::jobs::mapping::Mapping;
use crate::ledger::LedgerKey;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tempfile::TempDir;

const RULES: &str = "
vendors: {acme: {name: Acme}}
products: {shield: {name: Shield, class: ANTIVIRUS, vendors: [acme], components: []}}
offers: {shield-12m: {product: shield}}
";

/// A mailing of some rows.
pub(super) struct Fixture {
    folder: TempDir,
    pub(super) source: Source,
    pub(super) plan: Plan,
}

impl Fixture {
    /// The columns are `id`, `holding.status`, `email` and those named.
    pub(super) fn new(columns: &str, rows: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("people.csv");
        std::fs::write(&path, format!("id,holding.status,email{columns}\n{rows}")).unwrap();
        let mut source = Source::new(path, Format::Csv, Mapping::default());
        let plan = Plan {
            name: "m".to_owned(),
            offer: "shield-12m".to_owned(),
            kind: Kind::Offer,
            audience: source.freeze(&Arc::default()).unwrap(),
            template_sha256: String::new(),
            mapping_sha256: None,
            schedule: Schedule::default(),
            once_per: Once::Address,
            address_column: "email".to_owned(),
            household_column: None,
        };
        Self { folder, source, plan }
    }

    pub(super) fn recipients(&self) -> Vec<Recipient> {
        assert!(self.folder.path().exists());
        let mut all = Vec::new();
        let keep = |recipient| {
            all.push(recipient);
            true
        };
        pass(&self.source, &self.plan, &LedgerKey::new(&[1; 32]), keep).unwrap();
        all
    }

    pub(super) fn judge(&self) -> Judge<'_> {
        Judge { plan: &self.plan, mapping: &self.source.mapping, start: None }
    }
}

pub(super) fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// Rules of the first revision, in which nothing is suspended; or of the second, where the offer is suspended
/// from when they were made.
pub(super) fn rules(suspended_from: Option<&str>) -> Arc<Rules> {
    let (mut text, mut revision) = (RULES.to_owned(), 1);
    if let Some(from) = suspended_from {
        text += &format!(
            "suspensions: {{s-1: {{target: {{vendor: acme}}, actions: [OFFER], from: '{from}', \
             ticket: T-1, reason: r, channels: [EMAIL]}}}}\n"
        );
        revision = 2;
    }
    let rules = crate::rules::read(&text).unwrap();
    let snapshot = Snapshot::compile(&rules, Revision(revision)).unwrap();
    Arc::new(Rules {
        revision,
        token: format!("a.{revision}"),
        made_at: suspended_from.map(at),
        snapshot: Arc::new(snapshot),
    })
}

/// A gate that a test moves, shuts and opens.
pub(super) struct MovableGate(pub(super) Mutex<(Arc<Rules>, bool)>);

struct Held;

impl Hold for Held {
    fn still_holds(&self) -> bool {
        true
    }
}

impl MovableGate {
    pub(super) fn open() -> Self {
        Self(Mutex::new((rules(None), true)))
    }

    pub(super) fn set(&self, rules: Arc<Rules>, is_open: bool) {
        *self.0.lock().unwrap() = (rules, is_open);
    }
}

impl Gate for MovableGate {
    fn enter(&self) -> Option<Pass> {
        let (rules, is_open) = &*self.0.lock().unwrap();
        is_open.then(|| Pass { rules: Arc::clone(rules), hold: Box::new(Held) })
    }

    fn newest(&self) -> Option<Arc<Rules>> {
        Some(Arc::clone(&self.0.lock().unwrap().0))
    }

    fn reach(&self) -> Duration {
        Duration::from_secs(5)
    }

    fn trouble(&self) -> String {
        "the test shut it".to_owned()
    }
}
