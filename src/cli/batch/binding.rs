//! Binds a mailing to its ledger: the server records which one it is, right before the first message is handed
//! over.
//!
//! Invariant: nothing leaves through a mail server before the server's log names this very ledger for the mailing.
//! What became of each recipient is in one ledger alone, so another one would write to everybody again. A dry
//! run writes to nobody, and is bound by nothing.

use super::super::connection::failed as server_failed;
use super::super::exit::{Exit, Failure};
use super::failed;
use super::ledger::LedgerPlace;
use crate::client::Client;
use crate::jobs::JobError;
use crate::jobs::mailing::{read, write};
use crate::ledger::{Fact, Ledger};
use crate::wire::proto;
use serde::{Deserialize, Serialize};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::runtime::Handle;
use uuid::Uuid;

/// A ledger's own name, as the ledger keeps it.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Name {
    /// Random: 32 hexadecimal digits.
    id: String,
    /// The revision by which the server recorded it; nothing where it has not yet, as far as is known.
    bound_by: Option<u64>,
}

/// A mailing and its ledger.
pub(super) struct Binding {
    number: u64,
    author: String,
    place: LedgerPlace,
    client: Option<Client>,
    runtime: Handle,
    name: Mutex<Name>,
    /// Ends the sending.
    stop: Arc<AtomicBool>,
    /// Why it may never be sent through this ledger.
    refused: Mutex<Option<String>>,
}

impl Binding {
    /// Names the ledger, unless it has a name, and refuses to go on where the mailing is bound to another one.
    pub(super) fn of(
        ledger: &mut dyn Ledger,
        place: LedgerPlace,
        number: u64,
        author: String,
        client: Option<&Client>,
        runtime: Handle,
        stop: Arc<AtomicBool>,
    ) -> Result<Self, Failure> {
        let name = match read(ledger, Fact::Name).map_err(failed)? {
            Some(name) => name,
            None => {
                let name = Name { id: Uuid::new_v4().simple().to_string(), bound_by: None };
                write(ledger, Fact::Name, &name).map_err(failed)?;
                name
            }
        };
        match (client, name.bound_by) {
            (Some(client), bound_by) => {
                match runtime.block_on(refuse_another(client, number, &name.id)) {
                    // It was recorded: a server that does not answer has taken nothing back.
                    Err(failure) if bound_by.is_some() && failure.exit() == Exit::Unreachable => {}
                    answered => answered?,
                }
            }
            (None, Some(_)) => {}
            (None, None) => {
                let what = "no server has recorded yet that this ledger is the mailing's";
                return Err(Failure::new(Exit::Unreachable, what)
                    .help("it takes one before the first message; resume when it is back"));
            }
        }
        let (client, name) = (client.cloned(), Mutex::new(name));
        let refused = Mutex::default();
        Ok(Self { number, author, place, client, runtime, name, stop, refused })
    }

    /// Refuses to have sent through this ledger, where somebody else was faster.
    pub(super) fn is_held(&self) -> Result<(), Failure> {
        match self.refused.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(what) => Err(begun_elsewhere(self.number, what)),
            None => Ok(()),
        }
    }

    /// Sees to it that the mailing is bound to this ledger. Asked before each message, and costs nothing once it
    /// is.
    pub(super) fn bind(&self) -> Result<(), String> {
        let mut name = self.name.lock().unwrap_or_else(PoisonError::into_inner);
        if name.bound_by.is_some() {
            return Ok(());
        }
        let client = self.client.as_ref().ok_or("no server answers")?;
        let request = proto::BeginMailingRequest {
            number: self.number,
            ledger_id: name.id.clone(),
            request_id: Uuid::now_v7().to_string(),
            author: self.author.clone(),
        };
        let begun = self.runtime.block_on(client.begin_mailing(request));
        let begun = begun.map_err(|error| {
            if error.reason.as_deref() == Some("MAILING_BEGUN") {
                // For good: nobody waits for that.
                let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
                *refused = Some(error.message.clone());
                self.stop.store(true, Ordering::Relaxed);
            }
            error.message
        })?;
        let bound = Name { bound_by: Some(begun.begin_revision), ..name.clone() };
        self.place
            .look()
            .map_err(JobError::from)
            .and_then(|mut ledger| write(&mut *ledger, Fact::Name, &bound))
            .map_err(|error| error.to_string())?;
        *name = bound;
        Ok(())
    }
}

/// Refuses a mailing that was begun through a ledger of another name. Where nobody has begun it, whoever binds
/// it first wins.
pub(super) async fn refuse_another(client: &Client, number: u64, own: &str) -> Result<(), Failure> {
    let by_number = proto::get_mailing_request::Mailing::Number(number);
    let request = proto::GetMailingRequest { mailing: Some(by_number) };
    let found = client.get_mailing(request).await.map_err(server_failed("the mailing"))?;
    if found.ledger_id.is_empty() || found.ledger_id == own {
        return Ok(());
    }
    let by = found.begin_revision;
    let what = format!("mailing {number} was begun through another ledger, by revision {by}");
    Err(begun_elsewhere(number, what))
}

fn begun_elsewhere(number: u64, what: String) -> Failure {
    Failure::new(Exit::Conflict, what).help(format_args!(
        "go on with that one: batch resume --ledger FILE. If it is lost, nobody knows who was written to: stop the \
         mailing (offergate reject {number}), and have another one approved"
    ))
}
