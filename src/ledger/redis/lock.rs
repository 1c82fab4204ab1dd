//! Who sends: takes the lock, waits for one that may be dead, keeps it, and gives it up.
//!
//! A sender beats several times in each lease. So a lock that is held is known to be alive after one beat, and
//! known to be dead when it has run out; in between nobody is told that there is a sender.

use super::core::{GLANCE, Hold, Owner, PATIENCE, trouble};
use super::scripts::{CREATE, RENEW, TAKE};
use super::{RedisLedger, RedisPlace};
use crate::clock::{Clock as _, SystemClock};
use crate::ledger::{KeyError, LedgerError, LedgerKey, failed};
use crate::redis::{Reply, Script};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// How often a lock is looked at that may be dead.
const PAUSE: Duration = Duration::from_millis(50);

/// How long giving up the lock may take. Who cannot lets it run out.
const LAST_WORD: Duration = Duration::from_secs(1);

impl RedisLedger {
    /// Whether a process sends through a ledger. Takes as long as a lease where one died.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn has_sender(place: RedisPlace) -> Result<bool, LedgerError> {
        let ledger = Self::look(place)?;
        let mut first = None;
        loop {
            let Some(seen) = ledger.beat()? else { return Ok(false) };
            if *first.get_or_insert_with(|| seen.clone()) != seen {
                return Ok(true);
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// The same at a glance: somebody who died a moment ago counts.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn is_held(place: RedisPlace) -> Result<bool, LedgerError> {
        Ok(Self::look(place)?.beat()?.is_some())
    }

    /// The fence and the beat of whoever holds the lock.
    fn beat(&self) -> Result<Option<(String, String)>, LedgerError> {
        let mut state = self.lock_state()?;
        self.known(&state.kind)?;
        if state.kind != "HELD" {
            return Ok(None);
        }
        let mut text = || state.text().map_err(failed("reading its lock"));
        Ok(Some((text()?, text()?)))
    }

    pub(super) fn lock_state(&self) -> Result<Reply, LedgerError> {
        let asked =
            self.ask(|core| async move { core.read(&[], &[b"LOCK".to_vec()], GLANCE).await })?;
        asked.map_err(trouble("reading its lock"))
    }

    /// Begins the ledger, as its sender.
    pub(super) fn begin(&mut self, key: &LedgerKey) -> Result<(), LedgerError> {
        let id = uuid::Uuid::new_v4().simple().to_string();
        let proof = key.proof(&id);
        let token = new_token();
        let asked = SystemClock.boot();
        let mut reply = self.try_lock(&CREATE, &token, &[&id, &proof])?;
        match reply.kind.as_str() {
            "OK" => self.own(token, asked, &mut reply),
            "EXISTS" => Err(LedgerError::Exists(self.shown())),
            _ => Err(self.refused("beginning it", &reply)),
        }
    }

    /// Becomes the sender of a ledger that is there. With a key, only if it is that ledger's.
    pub(super) fn take_over(
        &mut self,
        key: Option<(&LedgerKey, &Path)>,
    ) -> Result<(), LedgerError> {
        const DOING: &str = "taking its lock";
        let token = new_token();
        let mut first = None;
        loop {
            let asked = SystemClock.boot();
            let mut reply = self.try_lock(&TAKE, &token, &[])?;
            match reply.kind.as_str() {
                "OK" => {
                    self.own(token, asked, &mut reply)?;
                    let id = reply.text().map_err(failed(DOING))?;
                    let proof = reply.text().map_err(failed(DOING))?;
                    return match key {
                        // Another key gives everybody another name, and so everybody would be written to again.
                        Some((key, path)) if key.proof(&id) != proof => {
                            Err(KeyError::Other(path.to_owned()).into())
                        }
                        _ => Ok(()),
                    };
                }
                "HELD" => {
                    let mut text = || reply.text().map_err(failed(DOING));
                    let (seen, holder) = ((text()?, text()?), text()?);
                    if *first.get_or_insert_with(|| seen.clone()) != seen {
                        return Err(LedgerError::InUse { ledger: self.shown(), holder });
                    }
                    std::thread::sleep(PAUSE);
                }
                _ => return Err(self.refused(DOING, &reply)),
            }
        }
    }

    fn try_lock(
        &self,
        script: &'static Script,
        token: &str,
        more: &[&str],
    ) -> Result<Reply, LedgerError> {
        let host = rustix::system::uname();
        let holder = format!("{} on {}", std::process::id(), host.nodename().to_string_lossy());
        let mut arguments = vec![token.into(), self.core.lease(), holder.into_bytes()];
        arguments.extend(more.iter().map(|text| text.as_bytes().to_vec()));
        self.ask(|core| async move { core.write(script, &[], &arguments, PATIENCE).await })?
            .map_err(trouble("taking its lock"))
    }

    /// Is the sender from now on, and keeps being it.
    fn own(
        &mut self,
        token: String,
        asked: Duration,
        reply: &mut Reply,
    ) -> Result<(), LedgerError> {
        let fence = reply.text().map_err(failed("taking its lock"))?;
        let hold = Arc::new(Hold::default());
        hold.extend(asked, self.core.place.lease);
        let owner = Owner { token, fence, hold };
        self.thread.spawn(Arc::clone(&self.core).keep(owner.clone()));
        self.thread.spawn(Arc::clone(&self.core).stay_fit(owner.clone()));
        self.owner = Some(owner);
        Ok(())
    }
}

impl Drop for RedisLedger {
    fn drop(&mut self) {
        let Some(owner) = self.owner.take().filter(|owner| !owner.hold.is_lost()) else { return };
        owner.hold.lose();
        let arguments = [owner.token, owner.fence, "0".to_owned()].map(String::into_bytes);
        // Without it the lock runs out by itself.
        let _ =
            self.ask(|core| async move { core.write(&RENEW, &[], &arguments, LAST_WORD).await });
    }
}

/// A token that nobody ever had.
fn new_token() -> String {
    uuid::Uuid::new_v4().simple().to_string()
}
