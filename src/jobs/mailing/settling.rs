//! What became of a hand-over, and what follows from it.
//!
//! Invariant: whatever is not known to have come about or not is in doubt.

use crate::domain::Timestamp;
use crate::jobs::error::JobError;
use crate::jobs::mailing::audience::Recipient;
use crate::jobs::mailing::carrier::Handed;
use crate::jobs::mailing::control;
use crate::jobs::mailing::judge::Denied;
use crate::jobs::mailing::lane::{Became, Done};
use crate::jobs::mailing::later::PutOff;
use crate::jobs::mailing::sending::Sending;
use crate::ledger::{Fact, Place, State, What, Why};
use std::time::Duration;

/// Longest wait after a mail server did not answer.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

impl Sending<'_> {
    /// There will be no hand-over. Who was in doubt before stays so.
    pub(super) fn leave(&mut self, recipient: &Recipient, why: Why, wall: Timestamp) {
        let state = self.told_as(recipient.place, State::NotSent);
        if state == State::NotSent {
            self.step(recipient.place, What::Leave(why), wall);
        } else {
            self.step(recipient.place, What::Begin, wall);
            self.step(recipient.place, What::End(state, why), wall);
        }
        self.count(recipient, None, Some(state));
        self.decided(recipient, state);
    }

    /// Somebody has an outcome: whoever waited for that is looked at again.
    fn decided(&mut self, recipient: &Recipient, state: State) {
        for waited in self.claims.settle(recipient, state) {
            self.later.put_off(waited, Duration::ZERO, PutOff::Retry);
        }
    }

    /// The outcome, but for somebody who may have been written to before: nothing makes that undone.
    fn told_as(&self, place: Place, state: State) -> State {
        match state {
            State::NotSent if self.retried.contains(&place) => State::InDoubt,
            state => state,
        }
    }

    /// Notes what became of one hand-over.
    pub(super) fn settle(&mut self, done: Done, now: Duration) -> Result<(), JobError> {
        let Done { mut recipient, what, revision, under } = done;
        self.in_hand = self.in_hand.saturating_sub(1);
        let wall = self.mailer.clock.wall();
        let (state, reason) = match what {
            Became::Handed(Handed::Taken) => (State::Sent, String::new()),
            Became::Handed(Handed::Unknown(why)) => {
                // Whatever loses one answer may lose all of them: nobody else is put in doubt at full speed.
                self.close(why.to_owned(), now);
                (State::InDoubt, why.to_owned())
            }
            Became::Handed(Handed::Refused(why)) => (State::Failed, why),
            Became::Handed(Handed::Again(why))
                if self.mailer.retries.most <= recipient.attempts =>
            {
                (State::Failed, why)
            }
            Became::Handed(Handed::Again(_)) => {
                let wait = self.mailer.retries.first * 2_u32.saturating_pow(recipient.attempts);
                recipient.attempts += 1;
                self.withdraw(recipient, now + wait, wall);
                return Ok(());
            }
            Became::Handed(Handed::Closed(why)) => {
                self.close(why, now);
                self.withdraw(recipient, now, wall);
                return Ok(());
            }
            Became::Shut | Became::Handed(Handed::Stopped) => {
                self.withdraw(recipient, now, wall);
                return Ok(());
            }
            Became::Denied(denied) => {
                self.note_rule(&recipient, &denied)?;
                (State::NotSent, denied.why.reason)
            }
            Became::Unfit(why) => (State::NotSent, why.to_owned()),
        };
        let told = self.told_as(recipient.place, state);
        self.step(recipient.place, What::End(told, Why { reason, revision }), wall);
        self.count(&recipient, Some(State::Begun), Some(told));
        self.decided(&recipient, told);
        if let Some(under) = under.filter(|_| !recipient.is_proof()) {
            self.leaks.note(recipient, under);
        }
        match state {
            State::Failed | State::InDoubt => self.failures += 1,
            State::Sent => {
                self.failures = 0;
                (self.closed, self.back_off) = (None, Duration::ZERO);
            }
            State::Begun | State::NotSent => {}
        }
        if 0 < self.mailer.patience.0 && self.mailer.patience.0 <= self.failures {
            self.failures = 0;
            let many = self.mailer.patience.0;
            self.pause(format!("{many} failures in a row: look at the reasons, then resume"))?;
        }
        Ok(())
    }

    /// It did not come about, for certain: pending again. It keeps its claim, since it will be tried again.
    fn withdraw(&mut self, recipient: Recipient, due: Duration, wall: Timestamp) {
        self.step(recipient.place, What::Withdraw, wall);
        self.count(&recipient, Some(State::Begun), None);
        self.later.put_off(recipient, due, PutOff::Retry);
    }

    /// Nobody can be handed over for a while.
    fn close(&mut self, why: String, now: Duration) {
        if self.closed.as_ref().is_none_or(|(until, _)| *until <= now) {
            let longer = (2 * self.back_off).min(LONGEST_WAIT);
            self.back_off = longer.max(self.mailer.retries.first.min(Duration::from_secs(1)));
            self.closed = Some((now + self.back_off, why));
        }
    }

    /// Counts what has leaked, as far as it is known by now.
    pub(super) fn look_for_leaks(&mut self, now: Duration) -> Result<(), JobError> {
        let leaked = self.leaks.look(self.mailer.gate, self.judge, now);
        let unknown = self.leaks.unknown();
        if leaked == 0 && unknown == self.counted.leaks_unknown {
            return Ok(());
        }
        self.counted.leaked += leaked;
        self.counted.leaks_unknown = unknown;
        control::write(self.ledger, Fact::Counted, &self.counted)
    }

    pub(super) fn note_rule(
        &mut self,
        recipient: &Recipient,
        denied: &Denied,
    ) -> Result<(), JobError> {
        let is_news = denied.is_by_later_rule && self.counted.stopped_by.is_none();
        if is_news && !recipient.is_proof() {
            self.counted.stopped_by = Some(denied.why.revision);
            control::write(self.ledger, Fact::Counted, &self.counted)?;
        }
        Ok(())
    }
}
