//! A permit: a job in this process may act by the rules that it took from a server, for as long as it can
//! prove that they are all the rules there are, and the barrier of a suspension waits for it.
//!
//! ```text
//! let permit = Permit::hold(client, "kis-notice", Arc::new(SystemClock)).await?;
//! loop {
//!     match permit.begin() {                   // Never waits: a lock and a clock.
//!         Ok(guard) => {
//!             // Decide by `guard.rules()`, ask `guard.still_holds()` right before the hand-over, hand
//!             // over, then drop the guard: it is what ENFORCED waits for.
//!         }
//!         Err(why) => permit.ready().await,    // Newer rules are on their way, or there is no proof.
//!     }
//! }
//! permit.leave().await;                        // Else the barrier waits until the permit has run out.
//! ```
//!
//! - `state`: what may be done, and what may be said to the server; pure.
//! - `keep`: the stream, and what it calls for: renewals, newer rules, reconnecting, leaving.
//!
//! Invariants: a guard is given out only while a permit for the very rules that it holds runs by this
//! machine's boot-time clock, counted from before it was asked for. Newer rules are acknowledged only when
//! every guard of older ones was dropped, or when the permit under which those were given out has run out.

mod keep;
mod state;

use super::error::JobError;
use super::pinned::{Pinned, server};
use crate::client::Client;
use crate::clock::{BootTime, Clock};
use crate::domain::{Revision, Token};
use keep::Session;
use state::Holding;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

/// How long the first answer may take.
const FIRST_ANSWER: Duration = Duration::from_secs(10);

/// How long leaving waits for guards, and then for the server.
const LEAVE_LIMIT: Duration = Duration::from_secs(5);

/// The right to act by a server's rules, kept alive in the background until it is dropped.
#[derive(Debug)]
pub struct Permit {
    shared: Arc<Shared>,
    leave: Option<oneshot::Sender<()>>,
    kept: JoinHandle<()>,
}

/// Why nothing may be done now. [`Permit::ready`] waits until that is over.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoPermit {
    /// Newer rules are in effect at the server, and not here yet.
    #[error("newer rules are on their way")]
    RulesMoving,
    /// Nothing proves that these are all the rules.
    #[error("there is no permit now: {why}")]
    RunOut {
        /// What was last heard, in words.
        why: String,
    },
}

/// Something that is done under a permit. Whoever waits for newer rules to be enforced waits until it is
/// dropped, or its permit has run out.
#[derive(Debug)]
pub struct Guard {
    shared: Arc<Shared>,
    rules: Arc<Pinned>,
    generation: u64,
}

/// What the handle, its guards and the keeper share.
struct Shared {
    holding: Mutex<Holding>,
    clock: Arc<dyn Clock>,
    /// Moves whenever something may have become possible.
    news: watch::Sender<()>,
}

impl Permit {
    /// Takes the newest rules, and a permit to act by them. `name` is what people see when a suspension waits
    /// for it: 1 to 40 ASCII letters, digits, `-`, `_`.
    ///
    /// # Errors
    /// When there are no rules, when the server cannot be asked, and when it refuses for good.
    pub async fn hold(client: Client, name: &str, clock: Arc<dyn Clock>) -> Result<Self, JobError> {
        let rules = Pinned::take(&client, None).await?;
        let shared = Arc::new(Shared {
            holding: Mutex::new(Holding::new(Arc::new(rules))),
            clock,
            news: watch::channel(()).0,
        });
        let id = uuid::Uuid::new_v4().simple().to_string();
        let mut session = Session::new(client, name.to_owned(), id);
        let first = tokio::time::timeout(FIRST_ANSWER, session.first_answer(&shared)).await;
        first
            .map_err(|_| crate::client::ClientError::late("no answer to the first request"))
            .and_then(|answered| answered)
            .map_err(server("taking a permit"))?;
        let (leave, left) = oneshot::channel();
        let kept = tokio::spawn(keep::keep(session, Arc::clone(&shared), left));
        Ok(Self { shared, leave: Some(leave), kept })
    }

    /// Begins something under the permit, if there is one at this instant.
    ///
    /// # Errors
    /// Why there is none.
    pub fn begin(&self) -> Result<Guard, NoPermit> {
        let now = self.shared.clock.boot();
        let (rules, generation) = self.shared.holding().begin(now)?;
        Ok(Guard { shared: Arc::clone(&self.shared), rules, generation })
    }

    /// Waits until something may be begun. It may be over again by the time that this returns.
    pub async fn ready(&self) {
        let mut news = self.shared.news.subscribe();
        loop {
            news.mark_unchanged();
            if self.shared.holding().may_begin(self.shared.clock.boot()).is_ok() {
                return;
            }
            let _ = news.changed().await;
        }
    }

    /// The rules that are acted by now. They may be on their way out: only a guard's are held.
    #[must_use]
    pub fn rules(&self) -> Arc<Pinned> {
        Arc::clone(self.shared.holding().rules())
    }

    /// The server's staleness limit: a holder that says nothing any more keeps a suspension from being
    /// enforced for this long, and a little more for clocks that run unevenly.
    #[must_use]
    pub fn limit(&self) -> Duration {
        self.shared.holding().limit()
    }

    /// Waits until every guard was dropped, gives the permit back, and ends. Without this, and when guards
    /// are held for too long, whoever waits for the permit waits until it has run out.
    pub async fn leave(mut self) {
        self.shared.holding().leave();
        if let Some(leave) = self.leave.take() {
            let _ = leave.send(());
        }
        let _ = tokio::time::timeout(LEAVE_LIMIT * 3, &mut self.kept).await;
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.kept.abort();
    }
}

impl Guard {
    /// The rules to decide by: those of one revision.
    #[must_use]
    pub fn rules(&self) -> &Arc<Pinned> {
        &self.rules
    }

    /// Their revision, to be recorded with what is done.
    #[must_use]
    pub fn revision(&self) -> Revision {
        self.rules.revision
    }

    /// Their place in history.
    #[must_use]
    pub fn token(&self) -> &str {
        &self.rules.token
    }

    /// Whether the permit covers these rules still, and no newer ones are known. To be asked right before a
    /// hand-over begins; one that goes on for longer than this holds counts as a leak.
    #[must_use]
    pub fn still_holds(&self) -> bool {
        self.shared.holding().holds(self.generation, self.shared.clock.boot())
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if self.shared.holding().end(self.generation) {
            self.shared.tell();
        }
    }
}

impl Shared {
    fn holding(&self) -> MutexGuard<'_, Holding> {
        self.holding.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> BootTime {
        self.clock.boot()
    }

    /// Wakes whoever waits, after the state was changed.
    fn tell(&self) {
        self.news.send_replace(());
    }

    fn news(&self) -> watch::Receiver<()> {
        self.news.subscribe()
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

/// The place of a token that the server sent.
fn place(token: &str) -> Option<Token> {
    Token::parse(token).ok()
}
