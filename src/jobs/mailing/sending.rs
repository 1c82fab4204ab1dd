//! The one thread that keeps the ledger: who is next, who may begin, and what became of those who did.
//!
//! Each round takes what came back, gathers who may begin, writes all of it down together, and only then
//! hands on. So a group costs one forced write, and the faster hand-overs end, the larger it is.
//!
//! Invariant: a recipient is in one place at a time: not read yet, held, put off, behind another's claim, in hand,
//! or written down.

use crate::domain::Timestamp;
use crate::jobs::error::JobError;
use crate::jobs::mailing::audience::Recipient;
use crate::jobs::mailing::claims::{Claim, Claims, Known};
use crate::jobs::mailing::control::{self, Counted, Doing, Order, Standing, Wanted};
use crate::jobs::mailing::judge::Judge;
use crate::jobs::mailing::lane::Done;
use crate::jobs::mailing::later::{Later, PutOff};
use crate::jobs::mailing::leaks::Leaks;
use crate::jobs::mailing::pace::Pace;
use crate::jobs::mailing::plan::Kind;
use crate::jobs::mailing::retried::retried;
use crate::jobs::mailing::send::{Ending, Mailer, Out};
use crate::ledger::{Fact, Ledger, Place, State, Step, What, Why};
use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError};
use std::time::Duration;

/// How often orders are looked for.
const LOOK: Duration = Duration::from_millis(200);

/// How long a round waits at most for something to come back.
const NAP: Duration = Duration::from_millis(20);

/// Most steps that are written together.
const MOST_STEPS: usize = 8192;

/// How many recipients of a dry run go to a thread at once.
const HANDFUL: usize = 64;

/// The state of the loop.
pub(super) struct Sending<'s> {
    pub(super) mailer: &'s Mailer<'s>,
    pub(super) ledger: &'s mut dyn Ledger,
    pub(super) judge: &'s Judge<'s>,
    window: usize,
    halt: &'s AtomicBool,
    pace: Pace,
    /// Read, and not looked at yet.
    unread: std::vec::IntoIter<Recipient>,
    /// Looked at, and not allowed to begin yet.
    held: Option<Recipient>,
    pub(super) later: Later,
    /// What the ledger knew of the block that is being read.
    known: Known,
    pub(super) claims: Claims,
    pub(super) leaks: Leaks,
    steps: Vec<Step>,
    ready: Vec<Recipient>,
    pub(super) in_hand: usize,
    pub(super) counts: HashMap<State, u64>,
    pub(super) counted: Counted,
    pub(super) order: Order,
    /// The last order that it gave itself.
    own: Option<Order>,
    pub(super) standing: Standing,
    /// Why nothing may begin now, and until when at the earliest.
    pub(super) waits: Option<(Doing, String, Duration)>,
    /// How long a mail server has been waited for.
    pub(super) back_off: Duration,
    pub(super) closed: Option<(Duration, String)>,
    pub(super) failures: u32,
    /// Who may have been written to before.
    pub(super) retried: HashSet<Place>,
    looked: Option<Duration>,
    pub(super) told: Duration,
}

impl<'s> Sending<'s> {
    pub(super) fn new(
        mailer: &'s Mailer<'s>,
        ledger: &'s mut dyn Ledger,
        judge: &'s Judge<'s>,
        claims: Claims,
        (window, halt): (usize, &'s AtomicBool),
    ) -> Result<Self, JobError> {
        let schedule = &mailer.plan.schedule;
        let now = mailer.clock.wall();
        let mut counts: HashMap<State, u64> = HashMap::new();
        for ((state, _), many) in ledger.totals()? {
            *counts.entry(state).or_default() += many;
        }
        let counted: Counted = control::read(ledger, Fact::Counted)?.unwrap_or_default();
        let order = Order { wanted: Wanted::Go, by: "the start".to_owned(), at: now };
        Ok(Self {
            pace: Pace::new(schedule.per_second, schedule.per_domain),
            unread: Vec::new().into_iter(),
            held: None,
            later: Later::default(),
            known: Known::default(),
            claims,
            leaks: Leaks::after(counted.leaks_unknown),
            steps: Vec::new(),
            ready: Vec::new(),
            in_hand: 0,
            counts,
            counted,
            order: control::read(ledger, Fact::Order)?.unwrap_or(order),
            own: None,
            standing: Standing { doing: Doing::Waiting, why: "starting".to_owned(), since: now },
            waits: None,
            back_off: Duration::ZERO,
            closed: None,
            failures: 0,
            retried: retried(ledger)?,
            looked: None,
            told: Duration::ZERO,
            mailer,
            ledger,
            judge,
            window,
            halt,
        })
    }

    /// Goes round until everybody has an outcome, or the process is to end.
    pub(super) fn run(
        mut self,
        rows: Receiver<Vec<Recipient>>,
        work: SyncSender<Vec<Recipient>>,
        became: &Receiver<Vec<Done>>,
    ) -> Result<Ending, JobError> {
        let mut rows = Some(rows);
        loop {
            let now = self.mailer.clock.boot();
            self.look(now)?;
            let mut has_moved = false;
            for done in became.try_iter().flatten() {
                has_moved = true;
                self.settle(done, now)?;
            }
            // A group of a dry run is worth waiting for.
            while HANDFUL < self.window && self.window / 2 < self.in_hand {
                let Ok(done) = became.recv_timeout(NAP) else { break };
                has_moved = true;
                done.into_iter().try_for_each(|done| self.settle(done, now))?;
            }
            self.look_for_leaks(now)?;
            let is_ending = self.mailer.stop.load(Ordering::Relaxed);
            self.waits = None;
            if !is_ending {
                has_moved |= self.gather(&mut rows, now)?;
            }
            self.ledger.write(&self.steps)?;
            self.steps.clear();
            self.hand_on(&work)?;
            let is_idle = self.in_hand == 0;
            if is_ending && is_idle {
                let who = "the process was told to end; `batch resume` goes on".to_owned();
                self.stand(Doing::Paused, who)?;
                return Ok(Ending::Interrupted);
            }
            let can_tell = || self.leaks.can_tell_soon(self.mailer.gate, now);
            if is_idle && rows.is_none() && self.is_done() && !can_tell() {
                return self.finish();
            }
            self.tell(now)?;
            if has_moved {
                continue;
            }
            match became.recv_timeout(self.nap(now)) {
                Ok(done) => {
                    let now = self.mailer.clock.boot();
                    done.into_iter().try_for_each(|done| self.settle(done, now))?;
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Err(nobody()),
            }
        }
    }

    fn is_done(&self) -> bool {
        self.unread.as_slice().is_empty() && self.held.is_none() && self.later.is_empty()
    }

    /// How long nothing can happen but that something comes back.
    fn nap(&self, now: Duration) -> Duration {
        let until = self.waits.as_ref().map_or(now + NAP, |(_, _, until)| *until);
        let nap = until.saturating_sub(now).min(NAP);
        // Nobody waits for a rate with a nap longer than its interval.
        nap.max(Duration::from_micros(200))
    }

    /// Looks for orders.
    fn look(&mut self, now: Duration) -> Result<(), JobError> {
        if self.looked.is_some_and(|looked| now < looked + LOOK) {
            return Ok(());
        }
        self.looked = Some(now);
        // Being cancelled is for good, whatever a ledger should say later.
        if self.order.wanted != Wanted::Cancel
            && let Some(order) = control::read(self.ledger, Fact::Order)?
        {
            self.order = order;
        }
        self.tell_lanes();
        Ok(())
    }

    /// Keeps those in hand back whom nothing was said to yet. An order of its own is for those after them: a wave
    /// goes out whole.
    fn tell_lanes(&self) {
        let is_ending = self.mailer.stop.load(Ordering::Relaxed);
        let is_kept_back =
            self.order.wanted != Wanted::Go && self.own.as_ref() != Some(&self.order);
        self.halt.store(is_ending || is_kept_back, Ordering::Relaxed);
    }

    /// Gives an order of its own.
    pub(super) fn pause(&mut self, why: String) -> Result<(), JobError> {
        let at = self.mailer.clock.wall();
        let order = Order { wanted: Wanted::Pause, by: why, at };
        self.own = Some(order.clone());
        self.order = control::give(self.ledger, order)?;
        Ok(())
    }

    /// Finds who may begin, and who will not. Whether there was anybody.
    fn gather(
        &mut self,
        rows: &mut Option<Receiver<Vec<Recipient>>>,
        now: Duration,
    ) -> Result<bool, JobError> {
        let mut has_moved = false;
        while self.ready.len() + self.in_hand < self.window && self.steps.len() < MOST_STEPS {
            if self.has_to_wait(now) {
                break;
            }
            // Who is only to be left waits for nothing.
            let leaves = self.leaves_all();
            let put_off = |later: &mut Later| if leaves { later.any() } else { later.due(now) };
            let (recipient, is_new) = match self.held.take().or_else(|| put_off(&mut self.later)) {
                Some(recipient) => (recipient, false),
                None if !leaves && self.later.is_full(self.claims.waiting()) => break,
                None => match self.unread.next() {
                    Some(recipient) => (recipient, true),
                    None => match rows.as_ref().map(Receiver::try_recv) {
                        Some(Ok(chunk)) => {
                            self.unread = chunk.into_iter();
                            continue;
                        }
                        Some(Err(TryRecvError::Disconnected)) => {
                            *rows = None;
                            break;
                        }
                        Some(Err(TryRecvError::Empty)) | None => break,
                    },
                },
            };
            has_moved = true;
            if is_new && self.known.state(self.ledger, recipient.place)?.is_some() {
                continue;
            }
            if !self.screen(recipient, now)? {
                break;
            }
        }
        Ok(has_moved)
    }

    /// Whether there will be no hand-over to anybody any more.
    fn leaves_all(&self) -> bool {
        let is_late = || self.mailer.is_late(self.mailer.clock.wall());
        match self.order.wanted {
            Wanted::Cancel => true,
            Wanted::Go => is_late(),
            Wanted::Pause => false,
        }
    }

    /// Whether nobody may begin now, for a reason that is nobody's own. Who is only to be left, may.
    fn has_to_wait(&mut self, now: Duration) -> bool {
        if self.order.wanted == Wanted::Cancel {
            return false;
        }
        let wall = self.mailer.clock.wall();
        let schedule = &self.mailer.plan.schedule;
        let soon = now + LOOK;
        let wait = if self.order.wanted == Wanted::Pause {
            Some((Doing::Paused, self.order.by.clone(), soon))
        } else if self.mailer.is_late(wall) {
            None
        } else if let Some(from) = schedule.from.filter(|from| wall < *from) {
            Some((Doing::Waiting, format!("begins at {from}"), soon))
        } else if let Some(until) = schedule.quiet.as_ref().and_then(|quiet| quiet.until(wall)) {
            Some((Doing::Waiting, format!("quiet hours until {until}"), soon))
        } else {
            let closed = self.closed.as_ref().filter(|(until, _)| now < *until);
            closed.map(|(until, why)| (Doing::Waiting, format!("no way out: {why}"), *until))
        };
        self.waits = wait;
        self.waits.is_some()
    }

    /// Looks at one recipient: leaves, holds or begins. False when nobody else may begin now either.
    fn screen(&mut self, recipient: Recipient, now: Duration) -> Result<bool, JobError> {
        let wall = self.mailer.clock.wall();
        let leave = |reason: &str| Some(Why { reason: reason.to_owned(), revision: 0 });
        let suppressed = || {
            let Recipient { address, id, .. } = &recipient;
            self.mailer.suppressions.reason(address, id, self.mailer.plan.kind)
        };
        let left = if self.order.wanted == Wanted::Cancel {
            leave("CANCELLED")
        } else if self.mailer.is_late(wall) {
            leave("SCHEDULE_ENDED")
        } else if recipient.values.is_err() || (recipient.id.is_empty() && !recipient.is_proof()) {
            leave("ROW_UNREADABLE")
        } else if let Err(why) = &recipient.to {
            leave(why)
        } else if let Some(why) = suppressed() {
            leave(why)
        } else {
            match self.claims.of(&recipient) {
                Claim::Free => None,
                Claim::Used => leave("DUPLICATE"),
                Claim::Open => {
                    self.claims.wait(recipient);
                    return Ok(true);
                }
            }
        };
        if let Some(why) = left {
            self.leave(&recipient, why, wall);
            return Ok(true);
        }
        if self.mailer.plan.kind == Kind::Offer {
            let Some(pass) = self.mailer.gate.enter() else {
                let why = format!("no rules that are in force: {}", self.mailer.gate.trouble());
                self.waits = Some((Doing::Waiting, why, now + NAP));
                self.held = Some(recipient);
                return Ok(false);
            };
            if let Err(denied) = self.judge.judge(&recipient, &pass.rules, wall) {
                self.note_rule(&recipient, &denied)?;
                self.leave(&recipient, denied.why, wall);
                return Ok(true);
            }
        }
        self.begin(recipient, now, wall)
    }

    /// Begins, if pace and waves allow it.
    fn begin(
        &mut self,
        recipient: Recipient,
        now: Duration,
        wall: Timestamp,
    ) -> Result<bool, JobError> {
        self.claims.take(&recipient);
        let waves = &self.mailer.plan.schedule.waves;
        if let Some(wave) =
            waves.get(self.counted.waves).filter(|wave| **wave <= self.handed_over())
        {
            let why =
                format!("wave {} of {wave} is out: look, then resume", self.counted.waves + 1);
            self.held = Some(recipient);
            // The pause comes first: whoever dies in between pauses once more, and passes no wave unseen.
            self.pause(why)?;
            self.counted.waves += 1;
            control::write(self.ledger, Fact::Counted, &self.counted)?;
            return Ok(false);
        }
        if !self.later.has_slot(&recipient) {
            let slot = self.pace.slot(recipient.domain(), now);
            if now < slot {
                self.later.put_off(recipient, slot, PutOff::Slot);
                return Ok(true);
            }
        }
        if let Err(until) = self.pace.begin(now) {
            self.waits = Some((Doing::Sending, String::new(), until));
            self.later.keep_slot(&recipient);
            self.held = Some(recipient);
            return Ok(false);
        }
        self.later.give_slot_back();
        self.step(recipient.place, What::Begin, wall);
        self.count(&recipient, None, Some(State::Begun));
        self.ready.push(recipient);
        Ok(true)
    }

    /// Hands on whoever's intent is written.
    fn hand_on(&mut self, work: &SyncSender<Vec<Recipient>>) -> Result<(), JobError> {
        self.in_hand += self.ready.len();
        let most = if matches!(self.mailer.out, Out::Folder(..)) { HANDFUL } else { 1 };
        while !self.ready.is_empty() {
            let rest = self.ready.split_off(self.ready.len().min(most));
            let some = std::mem::replace(&mut self.ready, rest);
            work.send(some).map_err(|_| nobody())?;
        }
        Ok(())
    }

    pub(super) fn step(&mut self, place: Place, what: What, wall: Timestamp) {
        self.steps.push(Step { place, what, at: wall.as_second() });
    }

    pub(super) fn count(&mut self, recipient: &Recipient, from: Option<State>, to: Option<State>) {
        if recipient.is_proof() {
            return;
        }
        if let Some(count) = from.and_then(|from| self.counts.get_mut(&from)) {
            *count = count.saturating_sub(1);
        }
        if let Some(to) = to {
            *self.counts.entry(to).or_default() += 1;
        }
    }

    fn handed_over(&self) -> u64 {
        let states = [State::Begun, State::Sent, State::Failed, State::InDoubt];
        states.iter().filter_map(|state| self.counts.get(state)).sum()
    }
}

/// Nobody is left to hand anything over.
fn nobody() -> JobError {
    let source = std::io::Error::other("every thread that hands over has died");
    JobError::Io { doing: "handing over".to_owned(), source }
}
