//! A thread that hands messages over, one after the other.
//!
//! Invariants: marketing is decided here once more, under a pass that is held until the hand-over is over. Nothing
//! is handed over once somebody else can have taken the ledger over.

use crate::clock::Clock;
use crate::jobs::mailing::audience::Recipient;
use crate::jobs::mailing::carrier::{Carrier, Handed};
use crate::jobs::mailing::gate::Gate;
use crate::jobs::mailing::judge::{Denied, Judge};
use crate::jobs::mailing::message::letter;
use crate::jobs::mailing::plan::Kind;
use crate::jobs::mailing::template::Template;
use crate::ledger::StillOurs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender};
use std::sync::{Mutex, PoisonError};

/// What became of one recipient.
pub(super) struct Done {
    pub(super) recipient: Recipient,
    pub(super) what: Became,
    /// The revision decided by; 0 where none was.
    pub(super) revision: u64,
    /// Whether the rules moved against this recipient while it was in hand.
    pub(super) leaked: bool,
}

/// How it came out.
pub(super) enum Became {
    /// A message was handed over, or could not be.
    Handed(Handed),
    /// The rules say no by now.
    Denied(Denied),
    /// The message cannot be made.
    Unfit(&'static str),
    /// Nobody knows whether the rules that are held are in force, or whether the ledger is still ours.
    Shut,
}

/// What every lane needs.
pub(super) struct Lane<'l> {
    pub(super) template: &'l Template,
    pub(super) judge: &'l Judge<'l>,
    pub(super) gate: &'l dyn Gate,
    pub(super) clock: &'l dyn Clock,
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
        let (what, revision, leaked) = became.unwrap_or((unknown, 0, false));
        Done { recipient, what, revision, leaked }
    }

    fn became(&self, carrier: &mut dyn Carrier, recipient: &Recipient) -> (Became, u64, bool) {
        let now = self.clock.wall();
        let unfit = |why| (Became::Unfit(why), 0, false);
        let (Ok(values), Ok(to)) = (&recipient.values, &recipient.to) else {
            return unfit("ROW_UNREADABLE");
        };
        let Ok(rendered) = self.template.render(|name| values.value(name)) else {
            return unfit("TEMPLATE_FAILED");
        };
        let Ok(letter) = letter(self.template, rendered, to, recipient.place.tag, now) else {
            return unfit("MESSAGE_FAILED");
        };
        if let Err(closed) = carrier.prepare() {
            return (Became::Handed(closed), 0, false);
        }
        let is_gated = self.judge.plan.kind == Kind::Offer && !recipient.is_proof();
        if !(self.still_ours)() {
            return (Became::Shut, 0, false);
        }
        if !is_gated {
            let revision = self.gate.newest().map_or(0, |rules| rules.revision);
            return (Became::Handed(carrier.hand_over(&letter)), revision, false);
        }
        let Some(pass) = self.gate.enter() else { return (Became::Shut, 0, false) };
        let revision = pass.rules.revision;
        if let Err(denied) = self.judge.judge(recipient, &pass.rules, self.clock.wall()) {
            return (Became::Denied(denied), revision, false);
        }
        if !pass.hold.still_holds() || !(self.still_ours)() {
            return (Became::Shut, 0, false);
        }
        let handed = carrier.hand_over(&letter);
        let later = self.gate.newest().filter(|rules| revision < rules.revision);
        let leaked = matches!(handed, Handed::Taken | Handed::Unknown(_))
            && later.is_some_and(|rules| {
                self.judge.judge(recipient, &rules, self.clock.wall()).is_err()
            });
        drop(pass);
        (Became::Handed(handed), revision, leaked)
    }
}
