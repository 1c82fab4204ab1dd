//! What a run came to, in a few lines.

use super::checker::History;
use super::history::{Event, Need, What};
use super::log::Log;
use std::collections::BTreeMap;
use std::fmt;

pub(crate) struct Summary {
    checks: usize,
    outcomes: BTreeMap<String, usize>,
    needs: [usize; 3],
    faults: usize,
    forks: usize,
    emptied: usize,
    suspensions: usize,
    /// Milliseconds from sending a suspension to hearing that it is enforced, sorted.
    enforced: Vec<u64>,
    records: usize,
}

impl Summary {
    pub(crate) fn of(events: &[Event], log: &Log) -> Self {
        let history = History::of(events);
        let mut outcomes = BTreeMap::new();
        let mut needs = [0; 3];
        for (_, check) in &history.checks {
            let outcome = check.answer.as_ref().map_or("none", |answer| answer.outcome.as_str());
            *outcomes.entry(outcome.to_owned()).or_default() += 1;
            match check.need {
                Need::Leased => needs[0] += 1,
                Need::AtLeast(_) => needs[1] += 1,
                Need::Strict => needs[2] += 1,
            }
        }
        let mut sent: BTreeMap<&str, u64> = BTreeMap::new();
        for (_, change) in &history.changes {
            if let What::Suspend { suspension, .. } = &change.what {
                let first = sent.entry(suspension).or_insert(change.sent);
                *first = (*first).min(change.sent);
            }
        }
        let enforced = history.enforced();
        let took = |(suspension, (at, _)): (&&str, &(u64, usize))| {
            Some(at.saturating_sub(*sent.get(suspension)?) / 1_000_000)
        };
        let mut enforced: Vec<u64> = enforced.iter().filter_map(took).collect();
        enforced.sort_unstable();
        Self {
            checks: history.checks.len(),
            outcomes,
            needs,
            faults: history.faults.len(),
            forks: history.faults.iter().filter(|(_, fault)| fault.forked).count(),
            emptied: history.emptied.len(),
            suspensions: sent.len(),
            enforced,
            records: log.records().len(),
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [leased, token, strict] = self.needs;
        writeln!(
            f,
            "checks: {} ({leased} leased, {token} at a token, {strict} strict): {:?}",
            self.checks, self.outcomes
        )?;
        let Self { faults, forks, emptied, .. } = self;
        writeln!(f, "faults: {faults}, of which forks: {forks}, emptied stores: {emptied}")?;
        let at = |percent: usize| {
            let last = self.enforced.len().saturating_sub(1);
            self.enforced.get(last * percent / 100).copied().unwrap_or_default()
        };
        writeln!(
            f,
            "suspensions: {}, enforced: {} (ms: p50 {}, p90 {}, most {})",
            self.suspensions,
            self.enforced.len(),
            at(50),
            at(90),
            at(100)
        )?;
        write!(f, "log: {} records", self.records)
    }
}
