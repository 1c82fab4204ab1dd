//! One connection of our own to the primary, for one caller at a time: made when it is needed, and made
//! anew after it failed.
//!
//! `WAIT` speaks of what its own connection wrote, and a call that blocks holds up whatever shares its
//! connection. So commits, renewals, reads, the wait for nodes and the wait for news each have a lane.
//!
//! Invariant: a call whose answer never came is sent again only where the caller said that this is
//! harmless.

use super::access::Address;
use super::finder::Finder;
use super::reply::Reply;
use super::scripts::Script;
use super::trouble::Trouble;
use redis::aio::MultiplexedConnection;
use redis::{Cmd, ErrorKind, ServerErrorKind, Value};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::{Instant, sleep, timeout_at};

/// How long one answer may take where nobody said otherwise.
const ONE_ANSWER: Duration = Duration::from_secs(1);

/// Between two attempts: at first little, for a slot that is moving or a primary that was just promoted.
const SHORTEST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_millis(200);

/// What may be done when no answer came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unanswered {
    /// Sent again: twice is as good as once.
    Again,
    /// Told: it may have been done.
    Tell,
}

/// A connection of one's own.
pub(crate) struct Lane {
    finder: Arc<Finder>,
    connection: Mutex<Option<(Address, MultiplexedConnection)>>,
}

impl Lane {
    pub(crate) fn new(finder: &Arc<Finder>) -> Self {
        Self { finder: Arc::clone(finder), connection: Mutex::new(None) }
    }

    /// Runs a script on the primary, as often as it takes within `patience` to get an answer.
    pub(crate) async fn run(
        &self,
        script: &Script,
        arguments: &[&str],
        patience: Duration,
        unanswered: Unanswered,
    ) -> Result<Reply, Trouble> {
        let end = Instant::now() + patience;
        let mut session = self.session(end).await?;
        if unanswered == Unanswered::Tell {
            // A connection that died while nobody used it must not make an outcome doubtful.
            session.look_alive(end).await?;
        }
        let mut pause = SHORTEST_PAUSE;
        let mut earlier = None;
        loop {
            let limit = match unanswered {
                Unanswered::Again => end.min(Instant::now() + ONE_ANSWER),
                Unanswered::Tell => end,
            };
            let trouble = match session.script(script, arguments, limit).await {
                Ok(reply) => return Ok(reply),
                Err(trouble) => trouble,
            };
            let again = trouble.passes()
                || (matches!(trouble, Trouble::Lost(_)) && unanswered == Unanswered::Again);
            if again && Instant::now() + pause <= end {
                earlier = Some(trouble);
                sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
                continue;
            }
            // That the time ran out in the last attempt says less than what the one before met.
            return Err(match earlier {
                Some(earlier) if again && end <= Instant::now() => earlier,
                _ => trouble,
            });
        }
    }

    /// The connection, for as long as the value lives.
    pub(crate) async fn session(&self, end: Instant) -> Result<Session<'_>, Trouble> {
        let connection = timeout_at(end, self.connection.lock()).await.map_err(Trouble::away)?;
        Ok(Session { finder: &self.finder, connection })
    }
}

/// A lane while one caller has it.
pub(crate) struct Session<'a> {
    finder: &'a Finder,
    connection: MutexGuard<'a, Option<(Address, MultiplexedConnection)>>,
}

impl Session<'_> {
    /// Runs a script, which the server is taught if it does not know it.
    pub(crate) async fn script(
        &mut self,
        script: &Script,
        arguments: &[&str],
        end: Instant,
    ) -> Result<Reply, Trouble> {
        self.script_on(script, &[], arguments, end).await
    }

    /// The same, on more keys of the same slot than those that every script gets.
    pub(crate) async fn script_on<A: redis::ToRedisArgs>(
        &mut self,
        script: &Script,
        more_keys: &[String],
        arguments: &[A],
        end: Instant,
    ) -> Result<Reply, Trouble> {
        let keys = self.finder.keys();
        let call = |command: &str, script: &str| {
            let mut call = redis::cmd(command);
            call.arg(script).arg(keys.len() + more_keys.len()).arg(keys);
            for key in more_keys {
                call.arg(key);
            }
            for argument in arguments {
                call.arg(argument);
            }
            call
        };
        let known = self.attempt(&call("EVALSHA", &script.hash), end).await?;
        let value = match known {
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                self.send(&call("EVAL", script.text), end).await?
            }
            other => self.judge(other)?,
        };
        match Reply::read(value) {
            Ok(reply) => Ok(reply),
            Err(trouble) => Err(self.note(trouble)),
        }
    }

    /// Sends one command.
    pub(crate) async fn send(&mut self, command: &Cmd, end: Instant) -> Result<Value, Trouble> {
        let answer = self.attempt(command, end).await?;
        self.judge(answer)
    }

    /// Makes sure that somebody is at the other end.
    async fn look_alive(&mut self, end: Instant) -> Result<(), Trouble> {
        let mut pause = SHORTEST_PAUSE;
        loop {
            let limit = end.min(Instant::now() + ONE_ANSWER);
            match self.send(&redis::cmd("PING"), limit).await {
                Ok(_) => return Ok(()),
                Err(trouble @ Trouble::Refused(_)) => return Err(trouble),
                Err(trouble) if end < Instant::now() + pause => {
                    // Nothing of the caller's was sent.
                    return Err(match trouble {
                        Trouble::Lost(source) => Trouble::away(source),
                        other => other,
                    });
                }
                Err(_) => sleep(pause).await,
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Connects if need be and sends; the server's own refusals are left to the caller.
    async fn attempt(
        &mut self,
        command: &Cmd,
        end: Instant,
    ) -> Result<Result<Value, redis::RedisError>, Trouble> {
        let (address, mut connection) = match self.connection.take() {
            Some(made) => made,
            None => timeout_at(end, self.finder.connect()).await.map_err(Trouble::away)??,
        };
        // Whoever gives up in here takes the connection along, and with it the answer that is still
        // to come, or the blocking of others behind it.
        match timeout_at(end, connection.send_packed_command(command)).await {
            Ok(answer) => {
                *self.connection = Some((address, connection));
                Ok(answer.and_then(Value::extract_error))
            }
            Err(late) => {
                self.finder.is_not_at(&address, None);
                Err(Trouble::Lost(late.into()))
            }
        }
    }

    fn judge(&mut self, answer: Result<Value, redis::RedisError>) -> Result<Value, Trouble> {
        answer.map_err(|error| self.note(Trouble::of(error)))
    }

    /// Gives up the connection if the trouble was with it or with who is at its other end.
    fn note(&mut self, trouble: Trouble) -> Trouble {
        match &trouble {
            Trouble::Busy(_) | Trouble::Refused(_) => {}
            Trouble::Away { instead, .. } => self.leave(instead.clone()),
            Trouble::Lost(_) => self.leave(None),
        }
        trouble
    }

    /// Gives up the connection: whoever is at its other end may be the primary no longer.
    pub(crate) fn leave(&mut self, instead: Option<Address>) {
        if let Some((address, _)) = self.connection.take() {
            self.finder.is_not_at(&address, instead);
        }
    }
}
