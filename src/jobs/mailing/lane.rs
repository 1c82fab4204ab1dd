//! A thread that hands messages over, one after the other.
//!
//! Invariants: marketing is decided here once more, under a pass that is held until the hand-over is over. Getting
//! ready may take minutes, and so may each step: nobody is written to whom the schedule or an order would keep back
//! by then, or once somebody else can have taken the ledger over.

use crate::clock::Clock;
use crate::jobs::mailing::audience::Recipient;
use crate::jobs::mailing::carrier::{Carrier, Handed};
use crate::jobs::mailing::gate::Gate;
use crate::jobs::mailing::judge::{Denied, Judge};
use crate::jobs::mailing::leaks::Under;
use crate::jobs::mailing::message::letter;
use crate::jobs::mailing::plan::Kind;
use crate::jobs::mailing::template::Template;
use crate::ledger::StillOurs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};

/// What became of one recipient.
pub(super) struct Done {
    pub(super) recipient: Recipient,
    pub(super) what: Became,
    /// The revision decided by; 0 where none was.
    pub(super) revision: u64,
    /// How it ended, if it was decided, and may have been taken.
    pub(super) under: Option<Under>,
}

/// How it came out.
pub(super) enum Became {
    /// A message was handed over, or could not be.
    Handed(Handed),
    /// The rules say no by now.
    Denied(Denied),
    /// The message cannot be made.
    Unfit(&'static str),
    /// It may not be begun now: by an order or the schedule, or since nobody knows whether the rules that are held
    /// are in force, or whether the ledger is still ours.
    Shut,
}

/// What every lane needs.
pub(super) struct Lane<'l> {
    pub(super) template: Option<&'l Template>,
    pub(super) judge: &'l Judge<'l>,
    pub(super) gate: &'l dyn Gate,
    pub(super) clock: &'l dyn Clock,
    pub(super) bind: &'l (dyn Fn() -> Result<(), String> + Sync),
    /// Set while nobody is to be written to: by an order, or because the process is to end.
    pub(super) halt: &'l AtomicBool,
    /// Whether the ledger is still ours: who was begun in it may else be somebody else's.
    pub(super) still_ours: StillOurs,
}

impl Lane<'_> {
    /// Takes work until there is no more.
    pub(super) fn run(
        &self,
        carrier: &mut dyn Carrier,
        work: &Mutex<Receiver<Vec<Recipient>>>,
        done: &Sender<Vec<Done>>,
    ) {
        loop {
            let taken = work.lock().unwrap_or_else(PoisonError::into_inner).recv();
            let Ok(recipients) = taken else { return };
            let became = recipients.into_iter().map(|it| self.hand_over(carrier, it)).collect();
            if done.send(became).is_err() {
                return;
            }
        }
    }

    fn hand_over(&self, carrier: &mut dyn Carrier, recipient: Recipient) -> Done {
        let became = catch_unwind(AssertUnwindSafe(|| self.became(carrier, &recipient)));
        let unknown = Became::Handed(Handed::Unknown("SENDER_FAILED"));
        let (what, revision, under) = became.unwrap_or((unknown, 0, None));
        Done { recipient, what, revision, under }
    }

    fn became(
        &self,
        carrier: &mut dyn Carrier,
        recipient: &Recipient,
    ) -> (Became, u64, Option<Under>) {
        let now = self.clock.wall();
        let unfit = |why| (Became::Unfit(why), 0, None);
        let (Ok(values), Ok(to)) = (&recipient.values, &recipient.to) else {
            return unfit("ROW_UNREADABLE");
        };
        let Some(template) = self.template else { return unfit("CANCELLED") };
        let Ok(rendered) = template.render(|name| values.value(name)) else {
            return unfit("TEMPLATE_FAILED");
        };
        let Ok(letter) = letter(template, rendered, to, recipient.place.tag, now) else {
            return unfit("MESSAGE_FAILED");
        };
        // Not before a mail server answers: a mailing is bound to its ledger for good.
        let ready = carrier.prepare().and_then(|()| (self.bind)().map_err(Handed::Closed));
        if let Err(closed) = ready {
            return (Became::Handed(closed), 0, None);
        }
        let is_due = || {
            (self.still_ours)()
                && !self.halt.load(Ordering::Relaxed)
                && self.judge.plan.schedule.allows(self.clock.wall())
        };
        if !is_due() {
            return (Became::Shut, 0, None);
        }
        let is_gated = self.judge.plan.kind == Kind::Offer;
        if !is_gated {
            let revision = self.gate.newest().map_or(0, |rules| rules.revision);
            return (Became::Handed(carrier.hand_over(&letter, &is_due)), revision, None);
        }
        let Some(pass) = self.gate.enter() else { return (Became::Shut, 0, None) };
        let revision = pass.rules.revision;
        if let Err(denied) = self.judge.judge(recipient, &pass.rules, self.clock.wall()) {
            return (Became::Denied(denied), revision, None);
        }
        if !pass.hold.still_holds() {
            return (Became::Shut, 0, None);
        }
        let handed = carrier.hand_over(&letter, &|| is_due() && pass.hold.still_holds());
        let may_be_taken = matches!(handed, Handed::Taken | Handed::Unknown(_));
        let under = may_be_taken.then(|| Under {
            rules: Arc::clone(&pass.rules),
            held: pass.hold.still_holds(),
            boot: self.clock.boot(),
            wall: self.clock.wall(),
        });
        drop(pass);
        (Became::Handed(handed), revision, under)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use crate::clock::BootTime;
    use crate::domain::Timestamp;
    use crate::jobs::mailing::fixture::{Fixture, MovableGate, at};
    use crate::jobs::mailing::message::Letter;
    use crate::jobs::mailing::plan::Schedule;
    use crate::jobs::mailing::quiet::Quiet;
    use std::cell::Cell;

    struct SetClock(Mutex<Timestamp>);

    impl Clock for SetClock {
        fn wall(&self) -> Timestamp {
            *self.0.lock().unwrap()
        }

        fn boot(&self) -> BootTime {
            BootTime::ZERO
        }
    }

    /// A way out that takes long to get ready.
    struct Slow<'s> {
        meanwhile: &'s dyn Fn(),
        handed: &'s Cell<usize>,
    }

    impl Carrier for Slow<'_> {
        fn prepare(&mut self) -> Result<(), Handed> {
            (self.meanwhile)();
            Ok(())
        }

        fn hand_over(&mut self, _: &Letter, may: &dyn Fn() -> bool) -> Handed {
            assert!(may());
            self.handed.set(self.handed.get() + 1);
            Handed::Taken
        }
    }

    #[test]
    fn what_came_while_the_way_out_got_ready_keeps_everybody_back() {
        let text = b"from: Bank <bank@bank.example>\nsubject: s\ntext: t\n";
        let template = Template::read("t.yaml", text).unwrap();
        let noon = Some(at("2026-12-01T12:00:00Z"));
        let schedule = Schedule::default;
        for kind in [Kind::Offer, Kind::Notify] {
            for (schedule, is_halted, is_handed, why) in [
                (schedule(), false, true, "nothing came"),
                (schedule(), true, false, "an order"),
                (Schedule { until: noon, ..schedule() }, false, false, "the end"),
                (
                    Schedule { quiet: Quiet::parse("12:00-13:00", "UTC").ok(), ..schedule() },
                    false,
                    false,
                    "quiet hours",
                ),
            ] {
                let mut fixture = Fixture::new("", "c-1,NONE,ann@x.example\n");
                (fixture.plan.schedule, fixture.plan.kind) = (schedule, kind);
                let clock = SetClock(Mutex::new(at("2026-12-01T11:59:00Z")));
                let (judge, gate) = (fixture.judge(), MovableGate::open());
                let (halt, handed) = (AtomicBool::new(false), Cell::new(0));
                let lane = Lane {
                    template: Some(&template),
                    judge: &judge,
                    gate: &gate,
                    clock: &clock,
                    bind: &|| Ok(()),
                    halt: &halt,
                    still_ours: Arc::new(|| true),
                };
                let meanwhile = || {
                    *clock.0.lock().unwrap() = at("2026-12-01T12:00:00Z");
                    halt.store(is_halted, Ordering::Relaxed);
                };
                let mut slow = Slow { meanwhile: &meanwhile, handed: &handed };
                let [recipient] = fixture.recipients().try_into().unwrap();
                let done = lane.hand_over(&mut slow, recipient);
                assert_eq!(handed.get(), usize::from(is_handed), "{why} {kind:?}");
                assert_eq!(matches!(done.what, Became::Shut), !is_handed, "{why} {kind:?}");
            }
        }
    }
}
