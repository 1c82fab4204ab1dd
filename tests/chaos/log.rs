//! The store's log as it stood at the end, read without the code under test, and K4 over it.

use super::checker::{History, Rule, Violation};
use super::history::{Result, What};
use offergate::audit::{Act, Chain, Record};
use offergate::domain::{ChainHash, Revision, Token};
use std::collections::{BTreeMap, HashMap};

/// What the name of an attempt to propose ends with; the rest is that of the approval, which is what a
/// change is known by here.
pub(crate) const PROPOSED: &str = ".proposed";

/// The records of a store, as far as they are a chain.
pub(crate) struct Log {
    records: Vec<Record>,
    broken: Option<String>,
    by_request: HashMap<String, usize>,
    repeated: Vec<String>,
}

impl Log {
    /// Reads entries in the order in which the store has them, and follows their chain.
    pub(crate) fn of(entries: impl IntoIterator<Item = (Revision, ChainHash, String)>) -> Self {
        let (mut records, mut broken, mut chain) = (Vec::new(), None, Chain::START);
        for (revision, hash, entry) in entries {
            match chain.follow(revision, hash, &entry) {
                Ok(record) => records.push(record),
                Err(error) => {
                    broken = Some(format!("{error}: {}", error.why));
                    break;
                }
            }
        }
        let (mut by_request, mut repeated) = (HashMap::new(), Vec::new());
        for (place, record) in records.iter().enumerate() {
            let request = record.content.request_id.as_str().to_owned();
            if by_request.insert(request.clone(), place).is_some() {
                repeated.push(request);
            }
        }
        Self { records, broken, by_request, repeated }
    }

    pub(crate) fn records(&self) -> &[Record] {
        &self.records
    }

    pub(crate) fn revision_of(&self, request: &str) -> Option<Revision> {
        self.record_of(request).map(|record| record.revision)
    }

    /// Whether the log holds this place, whatever the lineage: people may have given the same log a new
    /// lineage meanwhile.
    pub(crate) fn holds(&self, place: &Token) -> bool {
        let at = usize::try_from(place.revision.0).ok().and_then(|number| number.checked_sub(1));
        match at {
            None => ChainHash::ZERO.prefix() == *place.chain_prefix,
            Some(at) => {
                let record = self.records.get(at);
                record.is_some_and(|record| record.chain.prefix() == *place.chain_prefix)
            }
        }
    }

    fn record_of(&self, request: &str) -> Option<&Record> {
        self.by_request.get(request).and_then(|place| self.records.get(*place))
    }

    /// K4.
    pub(crate) fn holds_what_was_acknowledged(&self, history: &History<'_>) -> Vec<Violation> {
        let mut violations = Vec::new();
        let mut wrong = |events: Vec<usize>, what: String| {
            violations.push(Violation { rule: Rule::K4, events, what });
        };
        if let Some(broken) = &self.broken {
            wrong(vec![], broken.clone());
        }
        for request in &self.repeated {
            wrong(vec![], format!("request {request} is in the log more than once"));
        }
        let fates = fates(history);
        for (request, fate) in &fates {
            match (fate, self.record_of(request)) {
                (Fate::Acknowledged { event, .. }, None) => {
                    wrong(vec![*event], format!("request {request} was acknowledged and is lost"));
                }
                (Fate::Acknowledged { event, place: Some(place) }, Some(record))
                    if !history.forked()
                        && (record.revision != place.revision
                            || record.chain.prefix() != *place.chain_prefix) =>
                {
                    let found = record.revision;
                    wrong(
                        vec![*event],
                        format!("request {request} was acknowledged as {place}, and is at {found}"),
                    );
                }
                (Fate::Refused { event }, Some(record)) => {
                    let revision = record.revision;
                    wrong(vec![*event], format!("{request} was refused, and is at {revision}"));
                }
                _ => {}
            }
        }
        for record in &self.records {
            // A change is proposed under a name that follows from the one that it is approved under, and
            // what a replica refuses is its own record.
            let request = record.content.request_id.as_str();
            let request = request.strip_suffix(PROPOSED).unwrap_or(request);
            if record.content.act == Act::Refuse {
                continue;
            }
            // Healing a fork writes records of its own.
            if !fates.contains_key(request) && !history.forked() {
                let revision = record.revision;
                wrong(vec![], format!("nobody sent {request}, which is at {revision}"));
            }
        }
        violations
    }
}

/// What all attempts of a request together say about it.
enum Fate {
    Acknowledged { event: usize, place: Option<Token> },
    Unknown,
    Refused { event: usize },
}

fn fates<'h>(history: &History<'h>) -> BTreeMap<&'h str, Fate> {
    let enforced = history.enforced();
    let mut fates: BTreeMap<&str, Fate> = BTreeMap::new();
    for (event, change) in &history.changes {
        let awaited = match &change.what {
            What::Suspend { suspension, .. } => enforced.get(suspension.as_str()),
            What::Lift { .. } | What::ApplyRules => None,
        };
        let fate = match (&change.result, awaited) {
            (Result::Enforced { token } | Result::Durable { token }, _) => {
                Fate::Acknowledged { event: *event, place: Token::parse(token).ok() }
            }
            (_, Some((_, event))) => Fate::Acknowledged { event: *event, place: None },
            (Result::Committed { .. } | Result::Unknown { .. }, None) => Fate::Unknown,
            (Result::Refused { .. }, None) => Fate::Refused { event: *event },
        };
        let known = fates.entry(&change.request).or_insert(Fate::Refused { event: *event });
        let settled = matches!(
            (&*known, &fate),
            (Fate::Acknowledged { place: Some(_), .. }, _)
                | (_, Fate::Refused { .. })
                | (Fate::Acknowledged { .. }, Fate::Unknown)
        );
        if !settled {
            *known = fate;
        }
    }
    fates
}
