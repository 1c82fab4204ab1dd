//! Rule files: plan, apply and export the rules as a whole.

use super::change::{Change, Changed, Requester, on_another_thread};
use super::{Service, ServiceError};
use crate::audit::ChangeKind;
use crate::domain::{Revision, RuleChange, RuleSet, Timestamp};
use crate::rules::{self, Plan};
use crate::store::{Head, Loaded};
use std::sync::Arc;

/// The text of a rule file, and what errors call it.
#[derive(Debug, Clone)]
pub struct RuleFile {
    /// The YAML.
    pub text: String,
    /// Its name.
    pub name: String,
}

impl RuleFile {
    /// Reads it, on another thread, since it can be large.
    pub(super) async fn read(self) -> Result<RuleSet, ServiceError> {
        let read = move || {
            rules::read(&self.text)
                .map_err(|errors| ServiceError::Document(errors.in_file(&self.name)))
        };
        on_another_thread(read).await
    }
}

impl Service {
    /// What a rule file would change, and the revision compared with.
    ///
    /// # Errors
    /// When the file, or what the rules would be after it, cannot be used.
    pub async fn plan(&self, file: RuleFile) -> Result<(Plan, Revision), ServiceError> {
        let held = self.needs_rules()?;
        let wanted = file.read().await?;
        let now = self.now();
        let plan = move || {
            let plan = rules::plan(&held.rules, &wanted);
            let revision = held.head.revision;
            alterable(&held.rules, &plan.change, now)?;
            super::change::compile(&held.rules.after(&plan.change), revision)?;
            Ok((plan, revision))
        };
        on_another_thread(plan).await
    }

    /// Proposes to make a rule file the rules, and says what that would change.
    ///
    /// # Errors
    /// When the file cannot be used, and as for [`Service::change`].
    pub async fn apply(
        self: &Arc<Self>,
        requester: Requester,
        file: RuleFile,
    ) -> Result<(Changed, Plan), ServiceError> {
        let wanted = Arc::new(file.read().await?);
        let changed = self.change(requester, application(Arc::clone(&wanted))).await?;
        let before = Arc::clone(&changed.before);
        let plan = on_another_thread(move || Ok(rules::plan(&before, &wanted))).await?;
        Ok((changed, plan))
    }

    /// The rules of a revision as a rule file; of the newest when it is `None`.
    ///
    /// # Errors
    /// When there is no such revision, or the store does not answer.
    pub async fn export(&self, revision: Option<Revision>) -> Result<(String, Head), ServiceError> {
        let Loaded { head, rules, .. } = self.rules_at(revision).await?;
        let text = on_another_thread(move || Ok(rules::export(&rules))).await?;
        Ok((text, head))
    }

    /// The rules of a revision; of the newest in effect when it is `None`.
    ///
    /// # Errors
    /// When there is no such revision, or the store does not answer.
    pub async fn rules_at(&self, revision: Option<Revision>) -> Result<Loaded, ServiceError> {
        let held = self.needs_rules()?;
        match revision {
            Some(asked) if asked != held.head.revision => {
                let none = || ServiceError::NotFound { kind: "revision", id: asked.to_string() };
                if held.head.revision < asked {
                    return Err(none());
                }
                self.store.load_at(asked).await?.ok_or_else(none)
            }
            Some(_) | None => Ok(held.loaded()),
        }
    }
}

/// The change that makes a rule file the rules.
pub(super) fn application(wanted: Arc<RuleSet>) -> Change {
    let build = move |rules: &RuleSet, at| steps(rules, &wanted, at);
    Change::new(ChangeKind::ApplyRules, "apply a rule file".to_owned(), build)
}

/// The steps from the rules in force to those that a file wants, if each may be taken at `at`.
pub(super) fn steps(
    rules: &RuleSet,
    wanted: &RuleSet,
    at: Timestamp,
) -> Result<RuleChange, ServiceError> {
    let change = rules::plan(rules, wanted).change;
    alterable(rules, &change, at)?;
    Ok(change)
}

fn alterable(rules: &RuleSet, change: &RuleChange, at: Timestamp) -> Result<(), ServiceError> {
    let problems = rules::check_change(rules, change, at);
    if problems.is_empty() { Ok(()) } else { Err(ServiceError::Rules(problems)) }
}
