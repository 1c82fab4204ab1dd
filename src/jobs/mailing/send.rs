//! Sends a mailing: one thread reads the audience, one keeps the ledger, and each way out has one.
//!
//! Invariants: a message is handed over only after its intent is on disk, and by rules that hold at that
//! instant. Where the mailing is, is what its ledger says and nothing else: no place in the file is kept.

use crate::clock::Clock;
use crate::domain::Timestamp;
use crate::jobs::error::JobError;
use crate::jobs::mailing::audience::{Naming, Source};
use crate::jobs::mailing::carrier::{Carrier, Nobody};
use crate::jobs::mailing::claims::Claims;
use crate::jobs::mailing::control::{self, Began, Counted, Standing};
use crate::jobs::mailing::eml::Eml;
use crate::jobs::mailing::gate::{Gate, Rules};
use crate::jobs::mailing::judge::Judge;
use crate::jobs::mailing::lane::Lane;
use crate::jobs::mailing::lists::pass_as;
use crate::jobs::mailing::plan::Plan;
use crate::jobs::mailing::sending::Sending;
use crate::jobs::mailing::smtp::{Smtp, Way};
use crate::jobs::mailing::suppressions::Suppressions;
use crate::jobs::mailing::template::Template;
use crate::ledger::{Fact, Ledger, LedgerKey, PROOFS, State, Tag};
use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{channel, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How many chunks of rows are read ahead.
const AHEAD: usize = 2;

/// Most recipients in hand of a dry run: a group that is forced to disk together.
const GROUP: usize = 4096;

/// Most proofs of one mailing: enough for everybody who has to look, and no way to write to customers.
const MOST_PROOFS: usize = 100;

/// How messages leave.
#[derive(Debug, Clone)]
pub enum Out {
    /// Through a mail server, over so many connections.
    Smtp(Arc<Way>, u16),
    /// Into a folder, by so many threads.
    Folder(PathBuf, u16),
    /// To nobody: the mailing was cancelled, and whoever is left is only written down.
    Nobody,
}

/// How often, and after how long, a message is tried again that was refused for now.
#[derive(Debug, Clone, Copy)]
pub struct Retries {
    /// How often.
    pub most: u32,
    /// After how long at first; twice as long each time.
    pub first: Duration,
}

/// How many failures in a row, those in doubt included, make a mailing pause. Something is wrong then that is nobody's address.
#[derive(Debug, Clone, Copy)]
pub struct Patience(pub u32);

/// A mailing, ready to be sent.
pub struct Mailer<'m> {
    /// What was signed.
    pub plan: &'m Plan,
    /// The audience's file.
    pub source: &'m Source,
    /// Who gets a proof before everybody else: at most a hundred, decided and kept from it like everybody.
    pub proofs: Option<&'m Source>,
    /// The message; nothing where it goes to nobody.
    pub template: Option<&'m Template>,
    /// Who is kept from it.
    pub suppressions: &'m Suppressions,
    /// The rules.
    pub gate: &'m dyn Gate,
    /// The rules that it began by.
    pub start: Option<Arc<Rules>>,
    /// The time.
    pub clock: &'m dyn Clock,
    /// The way out.
    pub out: &'m Out,
    /// Asked right before each hand-over, on many threads: whether the mailing may be sent through this ledger.
    pub bind: &'m (dyn Fn() -> Result<(), String> + Sync),
    /// How often a message is tried again.
    pub retries: Retries,
    /// When to stop and ask.
    pub patience: Patience,
    /// Set when the process is to end: it pauses in order then.
    pub stop: &'m AtomicBool,
    /// Is told from time to time how far it is.
    pub watch: &'m (dyn Fn(&Progress) + Sync),
}

/// How far a mailing is.
#[derive(Debug, Clone)]
pub struct Progress {
    /// Recipients with an outcome, by outcome; those in hand are `BEGUN`.
    pub by_state: [(State, u64); 5],
    /// All there are.
    pub of: u64,
    /// What it is doing.
    pub standing: Standing,
}

/// How sending ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Everybody has an outcome.
    Over,
    /// The process is to end; the rest is for whoever takes over.
    Interrupted,
}

impl Mailer<'_> {
    /// Sends, until everybody has an outcome or the process is to end.
    ///
    /// # Errors
    /// When the audience is not what was signed, or the ledger or a file fails. Who is in hand then ends in
    /// doubt with the next process.
    pub fn send(&self, ledger: &mut dyn Ledger, key: &LedgerKey) -> Result<Ending, JobError> {
        self.check_proofs(ledger, key)?;
        let began = self.begin(ledger)?;
        let judge = Judge {
            plan: self.plan,
            mapping: &self.source.mapping,
            start: self.start.clone().map(|rules| (rules, began.at)),
        };
        let claims = Claims::collect(self.source, self.plan, key, ledger)?;
        let mut carriers = self.carriers()?;
        let window = match self.out {
            Out::Smtp(..) => carriers.len(),
            Out::Folder(..) | Out::Nobody => GROUP,
        };
        let halt = &AtomicBool::new(false);
        let (template, gate, clock, bind) = (self.template, self.gate, self.clock, self.bind);
        let still_ours = ledger.still_ours();
        let lane = Lane { template, judge: &judge, gate, clock, bind, halt, still_ours };
        std::thread::scope(|scope| {
            let (work, taken) = sync_channel(window);
            let (done, became) = channel();
            let (rows, read) = sync_channel(AHEAD);
            let taken = Arc::new(Mutex::new(taken));
            for mut carrier in carriers.drain(..) {
                let (lane, taken, done) = (&lane, Arc::clone(&taken), done.clone());
                scope.spawn(move || lane.run(carrier.as_mut(), &taken, &done));
            }
            drop(done);
            drop(taken);
            let reading = scope.spawn(move || {
                let read = |source: &Source, is_proof| {
                    source.read(
                        &Naming { key, plan: self.plan, mapping: &source.mapping, is_proof },
                        &rows,
                    )
                };
                if let Some(proofs) = self.proofs
                    && read(proofs, true)?.is_none()
                {
                    return Ok(None);
                }
                read(self.source, false)
            });
            let ending = Sending::new(self, ledger, &judge, claims, (window, halt))?
                .run(read, work, &became);
            let read = reading.join().unwrap_or_else(|_| {
                let source = std::io::Error::other("a thread died");
                Err(JobError::Io { doing: "reading the audience".to_owned(), source })
            });
            // Why not everybody was read says more than that the books are not even.
            let read = read?;
            let ending = ending?;
            match read {
                Some(audience) if audience != self.plan.audience => Err(JobError::Changed(
                    format!("{} changed while the mailing was sent", self.source.path.display()),
                )),
                _ => Ok(ending),
            }
        })
    }

    /// Refuses more proofs than people look at, those that earlier senders sent included.
    fn check_proofs(&self, ledger: &dyn Ledger, key: &LedgerKey) -> Result<(), JobError> {
        let Some(proofs) = self.proofs else { return Ok(()) };
        let naming = Naming { key, plan: self.plan, mapping: &proofs.mapping, is_proof: true };
        let known = ledger.block(PROOFS)?.into_iter();
        let mut tags: HashSet<Tag> = known.map(|(tag, _)| tag).collect();
        pass_as(proofs, &naming, |proof| {
            tags.insert(proof.place.tag);
            tags.len() <= MOST_PROOFS
        })?;
        if tags.len() <= MOST_PROOFS {
            return Ok(());
        }
        let name = proofs.path.display();
        Err(JobError::Usage(format!(
            "with {name} there are more than {MOST_PROOFS} proofs, which are for people who look at them"
        )))
    }

    /// Notes that a sender has taken over, and what the last one left in doubt.
    fn begin(&self, ledger: &mut dyn Ledger) -> Result<Began, JobError> {
        let now = self.clock.wall();
        ledger.doubt(now.as_second())?;
        let mut counted: Counted = control::read(ledger, Fact::Counted)?.unwrap_or_default();
        counted.senders += 1;
        control::write(ledger, Fact::Counted, &counted)?;
        if let Some(began) = control::read(ledger, Fact::Began)? {
            return Ok(began);
        }
        let made = self.start.as_ref().map(|rules| rules.revision);
        let began = Began { at: now, revision: made };
        control::write(ledger, Fact::Began, &began)?;
        Ok(began)
    }

    fn carriers(&self) -> Result<Vec<Box<dyn Carrier + Send>>, JobError> {
        let mut carriers: Vec<Box<dyn Carrier + Send>> = Vec::new();
        match self.out {
            Out::Smtp(way, connections) => {
                for _ in 0..(*connections).max(1) {
                    carriers.push(Box::new(Smtp::new(way)?));
                }
            }
            Out::Folder(folder, threads) => {
                for _ in 0..(*threads).max(1) {
                    carriers.push(Box::new(Eml::open(folder)?));
                }
            }
            Out::Nobody => carriers.push(Box::new(Nobody)),
        }
        Ok(carriers)
    }

    /// The instant after which nobody is written to any more.
    pub(super) fn is_late(&self, now: Timestamp) -> bool {
        self.plan.schedule.until.is_some_and(|until| until <= now)
    }
}
