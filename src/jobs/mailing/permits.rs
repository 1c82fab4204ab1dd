//! The gate over a permit: what a server lets this process act by, and waits for before it says ENFORCED.
//!
//! Invariant: what is decided by are the very rules that the permit is for. Numbers of revisions say nothing of
//! that, since another history may have the same.

use crate::jobs::mailing::gate::{Gate, Hold, Pass, Rules};
use crate::jobs::permit::{Guard, NoPermit, Permit};
use crate::jobs::pinned::Pinned;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Rules that a permit keeps in force.
pub struct PermitGate {
    permit: Permit,
    taken: Taken,
}

/// The rules that were asked for last, in the form that is decided by.
#[derive(Default)]
struct Taken(Mutex<Option<Arc<Rules>>>);

/// Rules that were in force once: enough for a service message, which is not gated.
pub struct OpenGate(pub Option<Arc<Rules>>);

impl Hold for Guard {
    fn still_holds(&self) -> bool {
        Guard::still_holds(self)
    }
}

impl PermitGate {
    /// A gate over a permit that is held.
    #[must_use]
    pub fn new(permit: Permit) -> Self {
        Self { permit, taken: Taken::default() }
    }

    /// Gives the permit back, once nothing is in hand.
    pub async fn leave(self) {
        self.permit.leave().await;
    }
}

impl Taken {
    fn of(&self, pinned: &Pinned) -> Arc<Rules> {
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(rules) = taken.as_ref().filter(|rules| rules.token == pinned.token) {
            return Arc::clone(rules);
        }
        let rules = Arc::new(Rules::of(pinned));
        *taken = Some(Arc::clone(&rules));
        rules
    }
}

impl Rules {
    /// The rules that were taken from a server.
    #[must_use]
    pub fn of(pinned: &Pinned) -> Self {
        let revision = pinned.revision;
        let snapshot = Arc::new(pinned.snapshot.at(revision));
        let token = pinned.token.clone();
        Self { revision: revision.0, token, made_at: pinned.made_at, snapshot }
    }
}

impl Gate for PermitGate {
    fn enter(&self) -> Option<Pass> {
        let guard = self.permit.begin().ok()?;
        Some(Pass { rules: self.taken.of(guard.rules()), hold: Box::new(guard) })
    }

    fn newest(&self) -> Option<Arc<Rules>> {
        Some(self.taken.of(&self.permit.rules()))
    }

    fn reach(&self) -> Duration {
        self.permit.limit()
    }

    fn trouble(&self) -> String {
        match self.permit.begin() {
            Ok(_) => String::new(),
            Err(NoPermit::RulesMoving) => "they are moving".to_owned(),
            Err(NoPermit::RunOut { why }) => why,
        }
    }
}

impl Gate for OpenGate {
    fn enter(&self) -> Option<Pass> {
        None
    }

    fn newest(&self) -> Option<Arc<Rules>> {
        self.0.clone()
    }

    fn reach(&self) -> Duration {
        Duration::ZERO
    }

    fn trouble(&self) -> String {
        "nothing keeps them in force here".to_owned()
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use crate::decision::Snapshot;
    use crate::domain::{Revision, RuleSet};

    #[test]
    fn rules_of_another_history_are_other_rules_whatever_their_number() {
        let pinned = |history: &str| {
            let (revision, rules) = (Revision(11), RuleSet::default());
            let snapshot = Snapshot::compile(&rules, revision).unwrap();
            Pinned { revision, token: history.to_owned(), made_at: None, rules, snapshot }
        };
        let (lost, accepted) = (pinned("lost.11"), pinned("accepted.11"));
        let taken = Taken::default();
        assert_eq!(taken.of(&lost).token, "lost.11");
        assert_eq!(taken.of(&accepted).token, "accepted.11");
        assert!(Arc::ptr_eq(&taken.of(&accepted), &taken.of(&accepted)), "they are made once");
    }
}
