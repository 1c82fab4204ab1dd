//! Where a mailing stands, and how it ended.
//!
//! Invariant: it is not over before everybody has an outcome.

use crate::jobs::error::JobError;
use crate::jobs::mailing::control::{self, Doing, Standing, Wanted};
use crate::jobs::mailing::send::{Ending, Progress};
use crate::jobs::mailing::sending::Sending;
use crate::ledger::{Fact, State};
use std::time::Duration;

impl Sending<'_> {
    /// Says where it stands, when that changed.
    pub(super) fn stand(&mut self, doing: Doing, why: String) -> Result<(), JobError> {
        if (self.standing.doing, &self.standing.why) == (doing, &why) {
            return Ok(());
        }
        self.standing = Standing { doing, why, since: self.mailer.clock.wall() };
        control::write(self.ledger, Fact::Standing, &self.standing)?;
        (self.mailer.watch)(&self.progress());
        Ok(())
    }

    pub(super) fn tell(&mut self, now: Duration) -> Result<(), JobError> {
        let (doing, why) = match &self.waits {
            Some((doing, why, _)) => (*doing, why.clone()),
            None => (Doing::Sending, String::new()),
        };
        // What is still in hand ends first.
        if doing != Doing::Paused || self.in_hand == 0 {
            self.stand(doing, why)?;
        }
        if self.told + Duration::from_secs(1) <= now {
            self.told = now;
            (self.mailer.watch)(&self.progress());
        }
        Ok(())
    }

    fn progress(&self) -> Progress {
        let count = |state| (state, self.counts.get(&state).copied().unwrap_or_default());
        Progress {
            by_state: State::ALL.map(count),
            of: self.mailer.plan.audience.rows,
            standing: self.standing.clone(),
        }
    }

    /// Everybody has an outcome. The books must be even.
    pub(super) fn finish(mut self) -> Result<Ending, JobError> {
        let all: u64 = self.ledger.totals()?.values().sum();
        let rows = self.mailer.plan.audience.rows;
        if all != rows {
            return Err(JobError::Changed(format!(
                "the ledger has an outcome for {all} recipients, and the audience {rows}"
            )));
        }
        let doing = match (self.order.wanted, self.counted.stopped_by) {
            (Wanted::Cancel, _) => Doing::Cancelled,
            (Wanted::Go | Wanted::Pause, Some(_)) => Doing::StoppedByRule,
            (Wanted::Go | Wanted::Pause, None) => Doing::Finished,
        };
        let why = match (doing, self.counted.stopped_by) {
            (Doing::StoppedByRule, Some(revision)) => {
                format!("a suspension of revision {revision}")
            }
            (Doing::Cancelled, _) => self.order.by.clone(),
            _ => String::new(),
        };
        self.stand(doing, why)?;
        Ok(Ending::Over)
    }
}
