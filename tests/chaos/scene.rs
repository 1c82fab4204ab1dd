//! A history made by hand, with the log that goes with it: for the tests of the checker.

use super::checker::{Rule, Violation, check};
use super::history::{
    Answer, Change, Check, Emptied, Event, Fault, Nanos, Need, Result, Target, What, to_lines,
};
use super::log::Log;
use super::world;
use offergate::audit::{Chain, ChangeKind, NewRecord, Party, RequestId};
use offergate::domain::{ChainHash, Lineage, Revision, RuleSet, Token};
use offergate::rules;
use std::collections::BTreeMap;

const LIMIT: Nanos = 1_000;

/// A store and what happened around it. Suspensions are in force from 01:00 on, lifts from 02:00 on.
pub(crate) struct Scene {
    pub(crate) rules: RuleSet,
    pub(crate) suspensions: BTreeMap<String, (String, bool)>,
    pub(crate) chain: Chain,
    pub(crate) entries: Vec<(Revision, ChainHash, String)>,
    pub(crate) events: Vec<Event>,
}

impl Scene {
    /// The rules were applied, and that was acknowledged.
    pub(crate) fn new() -> Self {
        let mut scene = Self {
            rules: RuleSet::default(),
            suspensions: BTreeMap::new(),
            chain: Chain::START,
            entries: vec![],
            events: vec![],
        };
        let token = scene.write("rules");
        scene.change(0..1, "rules", What::ApplyRules, Result::Enforced { token });
        scene
    }

    /// Writes what differs from the suspensions as they were, and returns its token.
    pub(crate) fn write(&mut self, request: &str) -> String {
        let mut text = world::rules();
        if !self.suspensions.is_empty() {
            text += "suspensions:\n";
        }
        for (id, (vendor, lifted)) in &self.suspensions {
            let lifted = if *lifted { ", lifted_at: \"2026-01-01T02:00:00Z\"" } else { "" };
            text += &format!(
                "  {id}: {{target: {{vendor: {vendor}}}, actions: [OFFER], reason: r, ticket: t, \
                 from: \"2026-01-01T01:00:00Z\"{lifted}}}\n"
            );
        }
        let wanted = rules::read(&text).unwrap();
        let change = rules::plan(&self.rules, &wanted).change;
        self.rules.apply(&change);
        let (record, entry) = self.chain.next(&content(request, change)).unwrap();
        self.chain = Chain { revision: record.revision, hash: record.chain };
        self.entries.push((record.revision, record.chain, entry));
        self.token()
    }

    pub(crate) fn token(&self) -> String {
        Token::new(lineage('a'), self.chain.revision, &self.chain.hash).to_string()
    }

    pub(crate) fn change(
        &mut self,
        at: std::ops::Range<Nanos>,
        id: &str,
        what: What,
        result: Result,
    ) {
        let (sent, received, request, replica) = (at.start, at.end, id.into(), "r1".into());
        let change = Change { client: 9, replica, sent, received, request, what, result };
        self.events.push(Event::Change(change));
    }

    /// Suspends a vendor: written, and reported enforced.
    pub(crate) fn suspend(&mut self, at: std::ops::Range<Nanos>, id: &str, vendor: &str) -> String {
        self.suspensions.insert(id.into(), (vendor.into(), false));
        let token = self.write(id);
        self.change(at, id, suspend(id, vendor), Result::Enforced { token: token.clone() });
        token
    }

    /// Lifts a suspension, with the request `lift-ID`.
    pub(crate) fn lift(&mut self, at: std::ops::Range<Nanos>, id: &str) -> String {
        self.suspensions.get_mut(id).unwrap().1 = true;
        let request = format!("lift-{id}");
        let token = self.write(&request);
        let result = Result::Durable { token: token.clone() };
        self.change(at, &request, What::Lift { suspension: id.into() }, result);
        token
    }

    /// A check of the first vendor's offer by a client.
    pub(crate) fn check(&mut self, client: u32, at: std::ops::Range<Nanos>, answer: Answer) {
        self.check_with(client, at, Need::Leased, Some(answer));
    }

    pub(crate) fn check_with(
        &mut self,
        client: u32,
        at: std::ops::Range<Nanos>,
        need: Need,
        answer: Option<Answer>,
    ) {
        self.events.push(Event::Check(Check {
            client,
            replica: "r1".into(),
            sent: at.start,
            received: at.end,
            offer: world::offer(0),
            vendor: world::vendor(0),
            need,
            answer,
        }));
    }

    pub(crate) fn fault(&mut self, from: Nanos, until: Nanos, forked: bool) {
        self.events.push(Event::Fault(Fault { from, until, what: "cut".into(), forked }));
    }

    pub(crate) fn emptied(&mut self, from: Nanos, until: Nanos) {
        self.events.push(Event::Emptied(Emptied { from, until }));
    }

    pub(crate) fn violations(&self) -> Vec<Violation> {
        // What a run writes down is what is checked.
        let lines = to_lines(&self.events).unwrap();
        let read = |line: &str| serde_json::from_str(line).unwrap();
        let events: Vec<Event> = lines.lines().map(read).collect();
        assert_eq!(events, self.events);
        check(&events, &Log::of(self.entries.clone()), LIMIT)
    }

    /// Which rules are broken, and by which events.
    pub(crate) fn broken(&self) -> Vec<(Rule, Vec<usize>)> {
        self.violations().into_iter().map(|found| (found.rule, found.events)).collect()
    }
}

pub(crate) fn lineage(digit: char) -> Lineage {
    Lineage::parse(&digit.to_string().repeat(32)).unwrap()
}

fn content(request: &str, change: offergate::domain::RuleChange) -> NewRecord {
    let at = "2026-01-01T00:00:00Z".parse().unwrap();
    let (kind, author) = (ChangeKind::ApplyRules, Party::unverified("ann"));
    NewRecord::made(RequestId::parse(request).unwrap(), kind, author, at, change)
}

pub(crate) fn suspend(id: &str, vendor: &str) -> What {
    What::Suspend { suspension: id.into(), target: Target::Vendor(vendor.into()) }
}

pub(crate) fn answer(
    outcome: &str,
    reason: &str,
    suspensions: &[&str],
    hour: u32,
    token: &str,
) -> Answer {
    Answer {
        outcome: outcome.into(),
        reasons: vec![reason.into()],
        suspensions: suspensions.iter().map(|id| (*id).to_owned()).collect(),
        as_of: format!("2026-01-01T{hour:02}:30:00Z"),
        token: token.into(),
    }
}

pub(crate) fn yes(token: &str) -> Answer {
    answer("ELIGIBLE", "NO_RULE_APPLIES", &[], 2, token)
}

pub(crate) fn no(suspensions: &[&str], token: &str) -> Answer {
    answer("INELIGIBLE", "VENDOR_SUSPENDED", suspensions, 1, token)
}

pub(crate) fn stale(token: &str) -> Answer {
    answer("INDETERMINATE", "RULES_STALE", &[], 2, token)
}
