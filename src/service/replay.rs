//! Decides a recorded decision again, and compares.
//!
//! By the compiled rules and by their slow twin, and then with all that a server adds: the instants, the
//! age of the rules, until when the answer may be kept.
//!
//! Invariant: no field of an answer is left out of the comparison but the decision's id.

use super::answer::{Answer, age};
use crate::audit::decisions::{CustomerKey, Recorded, Unusable};
use crate::decision::{CompileError, Instants, Snapshot, decide, twin};
use crate::domain::{CheckRequest, CustomerId, Decision, Revision, RuleSet, Scope, Timestamp};
use crate::replica::Freshness;
use std::sync::Arc;
use std::time::Duration;

/// The rules of one revision, to decide again by.
#[derive(Debug)]
pub struct ReplayRules {
    revision: Revision,
    rules: RuleSet,
    snapshot: Snapshot,
    /// How customers are named in them: the version of the key, if it is not their own ids.
    named_by: Option<u32>,
    names_customers: bool,
}

/// Something that was recorded and is not decided again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplayDifference {
    /// Who decides otherwise: `compiled` or `twin`.
    pub by: &'static str,
    /// What.
    pub field: &'static str,
    /// What was recorded.
    pub recorded: String,
    /// What is decided.
    pub decided: String,
}

/// Why a decision cannot be decided again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotReplayed {
    /// The record does not read.
    #[error("the record cannot be used")]
    Record(#[from] Unusable),
    /// Rules name customers, and the record has a keyed name.
    #[error(
        "rules of its revision name customers, and the record names this one by key version {0}: \
         without that key nobody can tell whether they mean the same"
    )]
    KeyedCustomer(u32),
}

impl ReplayRules {
    /// Compiles rules.
    ///
    /// # Errors
    /// When they do not compile.
    pub fn new(revision: Revision, rules: RuleSet) -> Result<Self, CompileError> {
        Self::compile(revision, rules, None)
    }

    /// The same, for records that name customers by a key: so do these rules then.
    ///
    /// # Errors
    /// When they do not compile.
    pub fn keyed(
        revision: Revision,
        mut rules: RuleSet,
        key: &CustomerKey,
    ) -> Result<Self, CompileError> {
        for suspension in rules.suspensions.values_mut() {
            rename(&mut Arc::make_mut(suspension).scope, key);
        }
        for exemption in rules.exemptions.values_mut() {
            rename(&mut Arc::make_mut(exemption).scope, key);
        }
        Self::compile(revision, rules, Some(key.version))
    }

    fn compile(
        revision: Revision,
        rules: RuleSet,
        named_by: Option<u32>,
    ) -> Result<Self, CompileError> {
        let snapshot = Snapshot::compile(&rules, revision)?;
        let suspended = rules.suspensions.values().map(|suspension| &suspension.scope);
        let exempted = rules.exemptions.values().map(|exemption| &exemption.scope);
        let names_customers = suspended.chain(exempted).any(|scope| !scope.customers.is_empty());
        Ok(Self { revision, rules, snapshot, named_by, names_customers })
    }

    /// The rules themselves.
    #[must_use]
    pub fn rules(&self) -> &RuleSet {
        &self.rules
    }
}

/// The version of the key that a customer is named by in a record; `None` for one named by an id.
#[must_use]
pub fn key_version(name: &str) -> Option<u32> {
    let (version, hash) = name.strip_prefix('k')?.split_once(':')?;
    let is_hash = hash.len() == 32 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
    version.parse().ok().filter(|_| is_hash)
}

/// Decides again; the differences, if there are any. `rules` are those of the record's revision, or
/// `None` for a record of a server that had none.
///
/// # Errors
/// When the record does not read, or does not say who the customer was and that matters.
pub fn replay(
    record: &Recorded<'_>,
    rules: Option<&ReplayRules>,
) -> Result<Vec<ReplayDifference>, NotReplayed> {
    let request = record.request()?;
    let limit = Duration::from_millis(record.limit_ms);
    let wall = record.wall.unwrap_or(record.at);
    let Some(rules) = rules else {
        return Ok(compare("compiled", record, &Answer::without_rules(wall, limit)));
    };
    if let Some(version) = key_version(request.customer.id)
        && rules.names_customers
        && rules.named_by != Some(version)
    {
        return Err(NotReplayed::KeyedCustomer(version));
    }
    let instants = Instants::at(record.now.unwrap_or(record.at), wall);
    let freshness = if record.stale { Freshness::Stale } else { Freshness::Fresh };
    let answer = |decision: Decision<'static>| {
        Answer::of(age(decision, request.action, freshness), None, wall, limit)
    };
    let compiled = |now| decide(&request, &rules.snapshot, now);
    let by_twin = |now| by_twin(&request, rules, now);
    let mut differences =
        compare("compiled", record, &answer(instants.decide_by(compiled).into_owned()));
    differences.extend(compare("twin", record, &answer(instants.decide_by(by_twin).into_owned())));
    Ok(differences)
}

fn by_twin<'s>(request: &CheckRequest<'_>, rules: &'s ReplayRules, now: Timestamp) -> Decision<'s> {
    twin::decide(request, &rules.rules, rules.revision, now)
}

fn rename(scope: &mut Scope, key: &CustomerKey) {
    let renamed = scope.customers.iter().map(|id| CustomerId::parse(&key.name(id.as_str())));
    scope.customers = renamed.filter_map(Result::ok).collect();
}

fn compare(by: &'static str, record: &Recorded<'_>, answer: &Answer<'_>) -> Vec<ReplayDifference> {
    let Answer { decision, valid_until, .. } = answer;
    let list = |texts: &mut dyn Iterator<Item = String>| texts.collect::<Vec<_>>().join(" ");
    let suspensions = record.suspensions.iter().map(|it| format!("{}:{}", it.id, it.code));
    let decided = decision.suspensions.iter();
    let decided = decided.map(|it| format!("{}:{}", it.suspension.id, it.code.name()));
    let pairs = [
        ("outcome", record.outcome.to_string(), decision.outcome.name().to_owned()),
        (
            "reasons",
            list(&mut record.reasons.iter().map(ToString::to_string)),
            list(&mut decision.reasons.iter().map(ToString::to_string)),
        ),
        ("suspensions", list(&mut { suspensions }), list(&mut { decided })),
        (
            "exemptions",
            list(&mut record.exemptions.iter().map(ToString::to_string)),
            list(&mut decision.exemptions.iter().map(|it| it.id.to_string())),
        ),
        (
            "grandfathered",
            list(&mut record.grandfathered.iter().map(ToString::to_string)),
            list(&mut decision.grandfathered.iter().map(ToString::to_string)),
        ),
        (
            "alternate",
            record.alternate.as_deref().unwrap_or_default().to_owned(),
            decision.alternate.as_ref().map(ToString::to_string).unwrap_or_default(),
        ),
        ("valid_until", record.valid_until.to_string(), valid_until.to_string()),
        ("at", record.at.to_string(), decision.as_of.to_string()),
        ("revision", record.revision.to_string(), decision.revision.to_string()),
    ];
    let differing = pairs.into_iter().filter(|(_, recorded, decided)| recorded != decided);
    differing
        .map(|(field, recorded, decided)| ReplayDifference { by, field, recorded, decided })
        .collect()
}
