//! The gate over a permit: what a server lets this process act by, and waits for before it says ENFORCED.

use crate::jobs::mailing::gate::{Gate, Hold, Pass, Rules};
use crate::jobs::permit::{Guard, NoPermit, Permit};
use crate::jobs::pinned::Pinned;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Rules that a permit keeps in force.
pub struct PermitGate {
    permit: Permit,
    /// The rules in the form that is decided by, of the newest revision that was asked for.
    taken: Mutex<Option<Arc<Rules>>>,
}

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
        Self { permit, taken: Mutex::new(None) }
    }

    /// Gives the permit back, once nothing is in hand.
    pub async fn leave(self) {
        self.permit.leave().await;
    }

    fn taken(&self, pinned: &Pinned) -> Arc<Rules> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(rules) = taken.as_ref().filter(|rules| rules.revision == pinned.revision.0) {
            return Arc::clone(rules);
        }
        let rules = Arc::new(Rules::of(pinned));
        if taken.as_ref().is_none_or(|newest| newest.revision < rules.revision) {
            *taken = Some(Arc::clone(&rules));
        }
        rules
    }
}

impl Rules {
    /// The rules that were taken from a server.
    #[must_use]
    pub fn of(pinned: &Pinned) -> Self {
        let revision = pinned.revision;
        let snapshot = Arc::new(pinned.snapshot.at(revision));
        Self { revision: revision.0, made_at: pinned.made_at, snapshot }
    }
}

impl Gate for PermitGate {
    fn enter(&self) -> Option<Pass> {
        let guard = self.permit.begin().ok()?;
        Some(Pass { rules: self.taken(guard.rules()), hold: Box::new(guard) })
    }

    fn newest(&self) -> Option<Arc<Rules>> {
        Some(self.taken(&self.permit.rules()))
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
