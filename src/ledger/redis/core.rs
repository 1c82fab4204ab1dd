//! Talks with the servers, on the ledger's thread.
//!
//! Invariant: everything that is sent here may be sent twice. A group of steps has a number, who takes over a
//! token, and all else comes to the same; so a call whose answer was lost is asked again until there is one.

use super::fitness::Unfit;
use super::place::RedisPlace;
use super::scripts::RENEW;
use crate::clock::{Clock as _, SystemClock};
use crate::ledger::LedgerError;
use crate::redis::{Finder, Lane, Reply, Script, Trouble, Unanswered};
use redis::Value;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How long a sender waits for its server, which may be starting again.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// How long who only looks waits.
pub(super) const GLANCE: Duration = Duration::from_secs(5);

/// How long one attempt may take. A disk that is asked to have it before the answer can be slow.
const ONE_ANSWER: Duration = Duration::from_secs(3);

/// How long nodes may take to say that they have what was written.
const ONE_WAIT: Duration = Duration::from_secs(1);

/// Between two attempts.
const SHORTEST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_millis(300);

/// Into how many parts the lease is divided: it is renewed once in each, and the last one is not used.
const PARTS: u32 = 5;

/// What the thread works with.
pub(super) struct Core {
    pub(super) place: RedisPlace,
    pub(super) finder: Arc<Finder>,
    pub(super) writes: Lane,
    pub(super) reads: Lane,
    /// The lock must hang on nothing else.
    renewals: Lane,
}

/// Who sends.
#[derive(Debug, Clone)]
pub(super) struct Owner {
    pub(super) token: String,
    pub(super) fence: String,
    pub(super) hold: Arc<Hold>,
}

/// How long nobody else can have taken over, as far as this process knows.
#[derive(Debug, Default)]
pub(super) struct Hold {
    /// In milliseconds of this machine's boot time.
    until: AtomicU64,
    is_lost: AtomicBool,
    unfit: OnceLock<Unfit>,
}

impl Hold {
    /// Nobody can have taken over: the lock was extended by a request that was sent at `asked` or later.
    pub(super) fn extend(&self, asked: Duration, lease: Duration) {
        let certain = asked + lease / PARTS * (PARTS - 1);
        let millis = u64::try_from(certain.as_millis()).unwrap_or_default();
        self.until.fetch_max(millis, Ordering::AcqRel);
    }

    pub(super) fn lose(&self) {
        self.is_lost.store(true, Ordering::Release);
    }

    pub(super) fn is_lost(&self) -> bool {
        self.is_lost.load(Ordering::Acquire)
    }

    /// The servers could forget by now: nothing more is to be written.
    pub(super) fn is_unfit(&self, unfit: Unfit) {
        let _ = self.unfit.set(unfit);
    }

    /// What has been found wrong with the servers.
    pub(super) fn unfit(&self) -> Option<Unfit> {
        self.unfit.get().cloned()
    }

    /// Whether nobody can have taken over yet.
    pub(super) fn holds(&self) -> bool {
        let until = Duration::from_millis(self.until.load(Ordering::Acquire));
        !self.is_lost() && SystemClock.boot() < until
    }
}

impl Core {
    pub(super) fn new(place: RedisPlace) -> Self {
        let finder = Arc::new(Finder::new(place.access(), place.keys()));
        let lane = || Lane::new(&finder);
        Self { writes: lane(), reads: lane(), renewals: lane(), place, finder }
    }

    /// The lease, as scripts take it.
    pub(super) fn lease(&self) -> Vec<u8> {
        self.place.lease.as_millis().to_string().into_bytes()
    }

    /// Runs a script that reads.
    pub(super) async fn read(
        &self,
        keys: &[String],
        arguments: &[Vec<u8>],
        patience: Duration,
    ) -> Result<Reply, Trouble> {
        self.run(&self.reads, &super::scripts::READ, keys, arguments, patience, 1).await
    }

    /// Runs a script that writes, until all nodes have what it wrote.
    pub(super) async fn write(
        &self,
        script: &Script,
        keys: &[String],
        arguments: &[Vec<u8>],
        patience: Duration,
    ) -> Result<Reply, Trouble> {
        self.run(&self.writes, script, keys, arguments, patience, self.place.nodes).await
    }

    async fn run(
        &self,
        lane: &Lane,
        script: &Script,
        keys: &[String],
        arguments: &[Vec<u8>],
        patience: Duration,
        nodes: u32,
    ) -> Result<Reply, Trouble> {
        let end = Instant::now() + patience;
        let mut pause = SHORTEST_PAUSE;
        loop {
            let limit = end.min(Instant::now() + ONE_ANSWER);
            let trouble = match self.attempt(lane, script, keys, arguments, limit, nodes).await {
                Ok(reply) => return Ok(reply),
                Err(trouble) => trouble,
            };
            let again = trouble.passes() || matches!(trouble, Trouble::Lost(_));
            if !again || end <= Instant::now() + pause {
                return Err(trouble);
            }
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    async fn attempt(
        &self,
        lane: &Lane,
        script: &Script,
        keys: &[String],
        arguments: &[Vec<u8>],
        limit: Instant,
        nodes: u32,
    ) -> Result<Reply, Trouble> {
        let mut session = lane.session(limit).await?;
        let reply = session.script_on(script, keys, arguments, limit).await?;
        let others = nodes.saturating_sub(1);
        if others == 0 || reply.kind != "OK" {
            return Ok(reply);
        }
        // Of this connection's own writes; a script that is asked again writes too, so that this counts for it.
        let mut wait = redis::cmd("WAIT");
        wait.arg(others).arg(ONE_WAIT.as_millis().to_string());
        let trouble = match session.send(&wait, limit + ONE_WAIT).await {
            Ok(Value::Int(have)) if i64::from(others) <= have => return Ok(reply),
            Ok(Value::Int(have)) => {
                let why = format!("{have} of {others} other nodes have what was written");
                Trouble::Busy(why.into())
            }
            Ok(_) => Trouble::Lost("the server did not answer with a number".into()),
            // It took the write, and is a follower by now.
            Err(Trouble::Refused(source)) => Trouble::Lost(source),
            Err(other) => other,
        };
        // One that was deposed has no followers: somebody else may be the primary.
        session.leave(None);
        Err(trouble)
    }

    /// Keeps the lock, for as long as this is ours.
    pub(super) async fn keep(self: Arc<Self>, owner: Owner) {
        let arguments =
            [owner.token.as_str(), owner.fence.as_str(), &self.place.lease.as_millis().to_string()]
                .map(str::to_owned);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let pause = self.place.lease / PARTS;
        loop {
            sleep(pause).await;
            let asked = SystemClock.boot();
            let renewed = self.renewals.run(&RENEW, &arguments, pause * 2, Unanswered::Again).await;
            match renewed.map(|reply| reply.kind) {
                Ok(kind) if kind == "OK" => owner.hold.extend(asked, self.place.lease),
                // Taken over, or gone altogether.
                Ok(_) => return owner.hold.lose(),
                // The next write says what is wrong.
                Err(_) => {}
            }
        }
    }
}

/// What trouble with the server means to who uses the ledger.
pub(super) fn trouble(doing: &'static str) -> impl Fn(Trouble) -> LedgerError {
    move |trouble| LedgerError::Failed { doing, source: trouble.source() }
}
