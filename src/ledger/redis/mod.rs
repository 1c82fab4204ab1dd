//! A ledger in Redis or Valkey: standalone, behind sentinels, or one slot of a cluster. So another machine can take
//! a mailing over. The way there is [`crate::redis`].
//!
//! - `place`: where it is, and the names of its keys; `steps`: steps as the script takes them.
//! - `core`: asks until there is an answer; `lock`: who sends; `fitness`: whether the servers keep what they are told.
//!
//! Recipients of a block are spread over small hashes, which servers keep as compact lists: some thirty bytes each.
//! The key that names them is a file, and never in Redis; the ledger keeps what the key makes of the ledger's id, so
//! that another key is refused.
//!
//! Invariants: each group of steps is one script, and so all or nothing, with the totals. One sender at a time, by a
//! lock with a fence that each of its scripts checks: who lost it writes nothing more. The lock is lost when
//! somebody else takes over, which nobody can before it has run out. What [`Ledger::write`] has returned from is on
//! the disk of the primary, and on all nodes that could be promoted.

mod core;
mod fitness;
mod lock;
mod place;
mod scripts;
mod steps;

pub use place::RedisPlace;

use self::core::{Core, GLANCE, Owner, PATIENCE, trouble};
use self::fitness::When;
use self::place::member;
use self::scripts::{FACT, WRITE};
use self::steps::{Group, Move, read_how};
use super::{
    Fact, KeyError, Ledger, LedgerError, LedgerKey, Place, State, Step, StillOurs, Tag, Totals,
    Why, failed, refuse_erased,
};
use crate::clock::{Clock as _, SystemClock};
use crate::redis::{Reply, Thread};
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// How many in doubt are made pending again together.
const RETRIED: usize = 4096;

/// A ledger that is open.
pub struct RedisLedger {
    thread: Thread,
    core: Arc<Core>,
    owner: Option<Owner>,
    /// The number of the last group that was taken.
    group: u64,
    untold: Vec<String>,
}

impl RedisLedger {
    /// Makes a new ledger and its key, to send through.
    ///
    /// # Errors
    /// When there is one already, or the servers or the system refuse.
    pub fn create(place: RedisPlace, key: &Path) -> Result<(Self, LedgerKey), LedgerError> {
        let mut ledger = Self::prepared(place)?;
        match ledger.lock_state()?.kind.as_str() {
            "MISSING" => {}
            "FOREIGN" => return Err(LedgerError::Foreign(ledger.shown())),
            _ => return Err(LedgerError::Exists(ledger.shown())),
        }
        let key = LedgerKey::open_or_create(key)?;
        ledger.begin(&key)?;
        Ok((ledger, key))
    }

    /// Opens a ledger to send through. Waits for a sender that may have died until it is certain.
    ///
    /// # Errors
    /// When there is none, another process sends through it, or its key is gone or another one.
    pub fn open(place: RedisPlace, key: &Path) -> Result<(Self, LedgerKey), LedgerError> {
        let key_path = key;
        let mut ledger = Self::prepared(place)?;
        let state = ledger.lock_state()?;
        ledger.known(&state.kind)?;
        let key = LedgerKey::open(key_path)?;
        ledger.take_over(Some((&key, key_path)))?;
        // Whoever held it before may have destroyed the key.
        let key = LedgerKey::open(key_path)?;
        refuse_erased(&ledger, key_path)?;
        Ok((ledger, key))
    }

    /// Keeps everybody else from sending, and sends nothing. The key may be gone.
    ///
    /// # Errors
    /// When there is none, a process sends through it, or the key is another one.
    pub fn hold(place: RedisPlace, key: &Path) -> Result<Self, LedgerError> {
        let mut ledger = Self::start(place)?;
        let opened = match LedgerKey::open(key) {
            Ok(opened) => Some(opened),
            Err(KeyError::Destroyed(_) | KeyError::HalfDestroyed(_)) => None,
            // It is none of a ledger, and not for us to destroy.
            Err(error) => return Err(error.into()),
        };
        ledger.take_over(opened.as_ref().map(|opened| (opened, key)))?;
        Ok(ledger)
    }

    /// Opens a ledger to look at it and to give orders.
    ///
    /// # Errors
    /// When there is none, or it is something else.
    pub fn look(place: RedisPlace) -> Result<Self, LedgerError> {
        let ledger = Self::start(place)?;
        let state = ledger.lock_state()?;
        ledger.known(&state.kind)?;
        Ok(ledger)
    }

    /// Settings that the servers do not tell, and that a person must see to.
    #[must_use]
    pub fn untold(&self) -> &[String] {
        &self.untold
    }

    /// Makes ready, and asks nothing yet.
    fn start(place: RedisPlace) -> Result<Self, LedgerError> {
        let thread = Thread::start("ledger-redis").map_err(failed("starting a thread"))?;
        let core = Arc::new(Core::new(place));
        Ok(Self { thread, core, owner: None, group: 0, untold: Vec::new() })
    }

    /// The same, on servers that keep what they are told.
    fn prepared(place: RedisPlace) -> Result<Self, LedgerError> {
        let mut ledger = Self::start(place)?;
        let looked = ledger.ask(|core| async move { core.fitness(When::Opening).await })??;
        ledger.untold = looked.map_err(|unfit| unfit.of(ledger.shown()))?;
        Ok(ledger)
    }

    fn shown(&self) -> String {
        self.core.place.to_string()
    }

    /// Refuses what is no ledger.
    fn known(&self, kind: &str) -> Result<(), LedgerError> {
        match kind {
            "MISSING" => Err(LedgerError::Missing(self.shown())),
            "FOREIGN" => Err(LedgerError::Foreign(self.shown())),
            _ => Ok(()),
        }
    }

    /// Does something on the thread, and waits for it. Also from within another runtime.
    fn ask<T, F>(&self, call: impl FnOnce(Arc<Core>) -> F) -> Result<T, LedgerError>
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        let (told, answer) = std::sync::mpsc::sync_channel(1);
        let call = call(Arc::clone(&self.core));
        self.thread.spawn(async move {
            // Who asked waits below.
            let _ = told.send(call.await);
        });
        answer.recv().map_err(failed("asking its server"))
    }

    fn read(
        &self,
        doing: &'static str,
        keys: Vec<String>,
        arguments: &[&str],
    ) -> Result<Reply, LedgerError> {
        let arguments: Vec<_> = arguments.iter().map(|text| text.as_bytes().to_vec()).collect();
        let patience = if self.owner.is_some() { PATIENCE } else { GLANCE };
        let asked = self.ask(|core| async move { core.read(&keys, &arguments, patience).await })?;
        let reply = asked.map_err(trouble(doing))?;
        self.known(&reply.kind)?;
        Ok(reply)
    }

    /// Token and fence, for scripts that are refused without; nothing for who only looks.
    fn owner(&self) -> Result<(String, String), LedgerError> {
        match &self.owner {
            None => Ok((String::new(), String::new())),
            Some(owner) if owner.hold.is_lost() => Err(LedgerError::TakenOver(self.shown())),
            Some(owner) => match owner.hold.unfit() {
                Some(unfit) => Err(unfit.of(self.shown())),
                None => Ok((owner.token.clone(), owner.fence.clone())),
            },
        }
    }

    /// What all refusals of a write have in common.
    fn refused(&self, doing: &'static str, reply: &Reply) -> LedgerError {
        match reply.kind.as_str() {
            "LOST" => {
                self.owner.iter().for_each(|owner| owner.hold.lose());
                LedgerError::TakenOver(self.shown())
            }
            "MISSING" => LedgerError::Missing(self.shown()),
            "FOREIGN" => LedgerError::Foreign(self.shown()),
            other => failed(doing)(format!("its server answered `{other}`")),
        }
    }

    fn moves<'s>(&mut self, moves: impl IntoIterator<Item = Move<'s>>) -> Result<(), LedgerError> {
        const DOING: &str = "writing steps";
        let (token, fence) = self.owner()?;
        let number = self.group + 1;
        let Group { keys, blocks, arguments: packed } = Group::of(&self.core.place, moves);
        let head = [token, fence].map(String::into_bytes);
        let rest = [self.core.lease(), number.to_string().into_bytes()];
        let arguments: Vec<Vec<u8>> = head.into_iter().chain(rest).chain(packed).collect();
        let asked = SystemClock.boot();
        let mut reply = self
            .ask(|core| async move { core.write(&WRITE, &keys, &arguments, PATIENCE).await })?
            .map_err(trouble(DOING))?;
        match reply.kind.as_str() {
            "OK" => {
                self.group = number;
                self.extended(asked);
                Ok(())
            }
            "CONTRADICTION" => {
                let place = reply.count().map_err(failed(DOING))?;
                let place = usize::try_from(place).unwrap_or(usize::MAX);
                let block = blocks.get(place).copied().unwrap_or_default();
                Err(LedgerError::Contradiction { block })
            }
            _ => Err(self.refused(DOING, &reply)),
        }
    }

    fn extended(&self, asked: Duration) {
        if let Some(owner) = &self.owner {
            owner.hold.extend(asked, self.core.place.lease);
        }
    }

    fn places(&self, doing: &'static str, which: &str) -> Result<Vec<Place>, LedgerError> {
        let mut reply = self.read(doing, Vec::new(), &[which])?;
        let mut places = Vec::new();
        while let Some(bytes) = reply.next() {
            places.push(member(&bytes).ok_or_else(|| garbled(doing))?);
        }
        places.sort_unstable();
        Ok(places)
    }

    /// Sets a fact, if it still is what was seen of it. Tells whether it did.
    fn put_fact(
        &mut self,
        fact: Fact,
        text: &str,
        seen: Option<&str>,
    ) -> Result<bool, LedgerError> {
        const DOING: &str = "writing a fact";
        let (token, fence) = self.owner()?;
        let mut arguments = [token, fence].map(String::into_bytes).to_vec();
        arguments.extend([self.core.lease(), fact.name().into(), text.into()]);
        arguments.extend(seen.map(Into::into));
        let patience = if self.owner.is_some() { PATIENCE } else { GLANCE };
        let asked = SystemClock.boot();
        let reply = self
            .ask(|core| async move { core.write(&FACT, &[], &arguments, patience).await })?
            .map_err(trouble(DOING))?;
        match reply.kind.as_str() {
            "OK" => {
                self.extended(asked);
                Ok(true)
            }
            "OTHER" => Ok(false),
            _ => Err(self.refused(DOING, &reply)),
        }
    }
}

impl Ledger for RedisLedger {
    fn write(&mut self, steps: &[Step]) -> Result<(), LedgerError> {
        if steps.is_empty() {
            return Ok(());
        }
        self.moves(steps.iter().map(Move::Step))
    }

    fn block(&self, block: i64) -> Result<Vec<(Tag, State)>, LedgerError> {
        const DOING: &str = "reading a block";
        let mut reply = self.read(DOING, self.core.place.buckets(block), &["BLOCK"])?;
        let hows = hows(&mut reply, DOING)?;
        let mut all = Vec::new();
        while let Some(tag) = reply.next() {
            let tag = Tag(<[u8; 16]>::try_from(tag).map_err(|_| garbled(DOING))?);
            // Its how above, and when below.
            let how = reply.count().map_err(failed(DOING))? >> 32;
            let (state, _) = hows.get(&how).ok_or_else(|| garbled(DOING))?;
            all.push((tag, *state));
        }
        Ok(all)
    }

    fn totals(&self) -> Result<Totals, LedgerError> {
        const DOING: &str = "reading totals";
        let mut reply = self.read(DOING, Vec::new(), &["TOTALS"])?;
        let hows = hows(&mut reply, DOING)?;
        let mut totals = Totals::new();
        while !reply.is_over() {
            let how = hows.get(&reply.count().map_err(failed(DOING))?);
            let (how, many) =
                (how.ok_or_else(|| garbled(DOING))?, reply.count().map_err(failed(DOING))?);
            if many != 0 {
                totals.insert(how.clone(), many);
            }
        }
        Ok(totals)
    }

    fn doubt(&mut self, at: i64) -> Result<u64, LedgerError> {
        let places = self.places("finding who is in doubt", "OPEN")?;
        let steps: Vec<_> = places.into_iter().map(|place| super::died(place, at)).collect();
        self.write(&steps)?;
        Ok(steps.len() as u64)
    }

    fn retry_doubtful(&mut self) -> Result<u64, LedgerError> {
        let places = self.doubtful()?;
        for some in places.chunks(RETRIED) {
            self.moves(some.iter().copied().map(Move::Retry))?;
        }
        Ok(places.len() as u64)
    }

    fn doubtful(&self) -> Result<Vec<Place>, LedgerError> {
        self.places("reading who is in doubt", "DOUBT")
    }

    fn fact(&self, fact: Fact) -> Result<Option<String>, LedgerError> {
        const DOING: &str = "reading a fact";
        self.owner()?;
        let mut reply = self.read(DOING, Vec::new(), &["FACT", fact.name()])?;
        match reply.kind.as_str() {
            "NONE" => Ok(None),
            _ => reply.text().map(Some).map_err(failed(DOING)),
        }
    }

    fn set_fact(&mut self, fact: Fact, text: &str) -> Result<(), LedgerError> {
        self.put_fact(fact, text, None).map(drop)
    }

    fn replace_fact(
        &mut self,
        fact: Fact,
        seen: Option<&str>,
        text: &str,
    ) -> Result<bool, LedgerError> {
        // No fact is empty, so that nothing can be told from any.
        self.put_fact(fact, text, Some(seen.unwrap_or_default()))
    }

    fn is_named_by(&self, key: &LedgerKey) -> Result<bool, LedgerError> {
        const DOING: &str = "reading what its key makes of its id";
        let mut reply = self.read(DOING, Vec::new(), &["PROOF"])?;
        let mut text = || reply.text().map_err(failed(DOING));
        Ok(key.proof(&text()?) == text()?)
    }

    fn still_ours(&self) -> StillOurs {
        match &self.owner {
            None => Arc::new(|| false),
            Some(Owner { hold, .. }) => {
                let hold = Arc::clone(hold);
                Arc::new(move || hold.holds())
            }
        }
    }
}

/// The hows by their numbers, as replies begin with them. A recipient that has begun has none.
fn hows(reply: &mut Reply, doing: &'static str) -> Result<HashMap<u64, (State, Why)>, LedgerError> {
    let mut hows = HashMap::from([(0, (State::Begun, Why::default()))]);
    for _ in 0..reply.count().map_err(failed(doing))? {
        let text = reply.text().map_err(failed(doing))?;
        hows.insert(reply.count().map_err(failed(doing))?, read_how(&text));
    }
    Ok(hows)
}

fn garbled(doing: &'static str) -> LedgerError {
    failed(doing)("it holds something that no sender of this version wrote")
}
