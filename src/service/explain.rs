//! Explains a decision: as of any instant, over the rules in force, an earlier revision or a draft.
//!
//! For people. It counts as no decision, and R15 has no say in it but that there must be rules.

use super::answer::Answer;
use super::change::{compile, on_another_thread};
use super::documents::RuleFile;
use super::{Service, ServiceError, sentences};
use crate::decision::{CriterionTrace, SuspensionTrace, explain};
use crate::domain::{CheckRequest, Revision, Timestamp};
use crate::replica::Held;
use crate::store::Loaded;
use std::sync::Arc;

/// Which rules to decide over.
#[derive(Debug)]
pub enum RulesAsked {
    /// Those in force.
    InForce,
    /// Those of an earlier revision.
    At(Revision),
    /// Those of a file that is not in force.
    Draft(RuleFile),
}

/// A decision and how it came about.
#[derive(Debug)]
pub struct Explanation {
    /// The decision.
    pub answer: Answer<'static>,
    /// Whether it rests on a draft.
    pub of_draft: bool,
    /// Every suspension that targets the offer, with a sentence each.
    pub suspensions: Vec<(SuspensionTrace, String)>,
    /// Every criterion that the action is concerned by, with a sentence each.
    pub criteria: Vec<(CriterionTrace, String)>,
    /// What stands in the way and what would have to change, to be read out.
    pub sentences: Vec<String>,
}

impl Service {
    /// Decides and shows the steps; `as_of` is now when it is `None`.
    ///
    /// # Errors
    /// When there are no such rules, or a draft cannot be used.
    pub async fn explain(
        &self,
        request: &CheckRequest<'_>,
        as_of: Option<Timestamp>,
        asked: RulesAsked,
    ) -> Result<Explanation, ServiceError> {
        let as_of = as_of.unwrap_or_else(|| self.clock.wall());
        let of_draft = matches!(asked, RulesAsked::Draft(_));
        let held = match asked {
            RulesAsked::InForce => self.needs_rules()?,
            RulesAsked::At(revision) => compiled(self.rules_at(Some(revision)).await?).await?,
            RulesAsked::Draft(file) => {
                let rules = file.read().await?;
                compiled(Loaded { rules, ..self.needs_rules()?.loaded() }).await?
            }
        };
        if !of_draft && held.rules_since == Revision::ZERO {
            let answer = Answer::without_rules(as_of, self.staleness_limit);
            let sentences = vec![sentences::NO_RULES.to_owned()];
            let (suspensions, criteria) = (Vec::new(), Vec::new());
            return Ok(Explanation { answer, of_draft, suspensions, criteria, sentences });
        }
        let trace = explain(request, &held.snapshot, as_of);
        let sentences = sentences::of(&trace, request, &held.rules);
        let with_sentence = |trace: SuspensionTrace| {
            let sentence = sentences::of_suspension(&trace);
            (trace, sentence)
        };
        let with_words = |trace: CriterionTrace| {
            let sentence = sentences::of_criterion(&trace);
            (trace, sentence)
        };
        let decision = trace.decision.into_owned();
        Ok(Explanation {
            suspensions: trace.suspensions.into_iter().map(with_sentence).collect(),
            criteria: trace.criteria.into_iter().map(with_words).collect(),
            answer: Answer::of(decision, Some(Arc::clone(&held)), as_of, self.staleness_limit),
            of_draft,
            sentences,
        })
    }
}

/// Compiles rules that are looked at and never held.
async fn compiled(loaded: Loaded) -> Result<Arc<Held>, ServiceError> {
    let work = move || {
        let snapshot = compile(&loaded.rules, loaded.head.revision)?;
        Ok(Arc::new(Held::new(loaded, snapshot)))
    };
    on_another_thread(work).await
}
