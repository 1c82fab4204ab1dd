//! Whether the servers keep what they are told, at first and for as long as somebody sends. A ledger that forgets writes
//! to people twice.

use super::core::{Core, Owner, trouble};
use crate::ledger::LedgerError;
use crate::redis::{Found, OLDEST_VERSION, Primary, UNREADABLE};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

/// How long the primary, and how long one follower may take to tell its settings.
const PATIENCE: Duration = Duration::from_secs(3);
const ONE_FOLLOWER: Duration = Duration::from_millis(500);

/// How many leases pass from one look to the next while somebody sends.
const LEASES: u32 = 3;

/// How many looks in a row have to find something wrong: a follower that has just come back is counted twice for a
/// while.
const LOOKS: u32 = 2;

/// When it is looked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    /// Before anything is done: every node has to be there.
    Opening,
    /// While somebody sends: a node that is missing is waited for by each write.
    Sending,
}

/// A setting that is not as it has to be.
#[derive(Debug, Clone)]
pub(super) struct Unfit {
    setting: String,
    found: String,
    wanted: String,
}

/// What has to be so on every node.
const WANTED: [(&str, &str); 4] = [
    ("appendonly", "yes"),
    ("appendfsync", "always"),
    ("no-appendfsync-on-rewrite", "no"),
    ("maxmemory-policy", "noeviction"),
];

impl Core {
    /// Looks again and again, until the sender has to end.
    pub(super) async fn stay_fit(self: Arc<Self>, owner: Owner) {
        let mut wrong = 0;
        while !owner.hold.is_lost() {
            sleep(self.place.lease * LEASES).await;
            wrong = match self.fitness(When::Sending).await {
                Ok(Err(unfit)) if LOOKS <= wrong + 1 => return owner.hold.is_unfit(unfit),
                Ok(Err(_)) => wrong + 1,
                // What cannot be asked is told by the next write.
                Ok(Ok(_)) | Err(_) => 0,
            };
        }
    }

    /// Refuses servers that could forget. What they do not tell is returned, for a person to see to.
    pub(super) async fn fitness(
        &self,
        when: When,
    ) -> Result<Result<Vec<String>, Unfit>, LedgerError> {
        let doing = "reading the settings of its server";
        let end = Instant::now() + PATIENCE;
        let read = async {
            let mut session = self.reads.session(end).await?;
            Found::read(&mut Primary(&mut session, end)).await
        };
        let primary: Found = read.await.map_err(trouble(doing))?;
        let mut untold = Vec::new();
        if let Err(unfit) = judge(&primary, "", &mut untold) {
            return Ok(Err(unfit));
        }
        let followers = primary.info("connected_slaves").unwrap_or("unknown");
        let others = self.place.nodes.saturating_sub(1);
        let is_right = match (followers.parse::<u32>(), when) {
            (Ok(many), When::Opening) => others == many,
            (Ok(many), When::Sending) => many <= others,
            (Err(_), _) => false,
        };
        if !is_right {
            return Ok(Err(unfit("connected replicas", followers, &others.to_string())));
        }
        for address in primary.follower_addresses() {
            let look = async {
                let mut connection = self.finder.connect_to(&address, true).await?;
                Found::read(&mut connection).await
            };
            let of = format!(" of {address}");
            match timeout(ONE_FOLLOWER, look).await {
                Ok(Ok(found)) => {
                    if let Err(unfit) = judge(&found, &of, &mut untold) {
                        return Ok(Err(unfit));
                    }
                }
                Ok(Err(_)) | Err(_) => untold.push(format!("settings{of}")),
            }
        }
        Ok(Ok(untold))
    }
}

impl Unfit {
    /// What it means to who uses this ledger.
    pub(super) fn of(self, ledger: String) -> LedgerError {
        let Self { setting, found, wanted } = self;
        LedgerError::Unfit { ledger, setting, found, wanted }
    }
}

fn judge(found: &Found, of: &str, untold: &mut Vec<String>) -> Result<(), Unfit> {
    if let Some(version) = found.too_old() {
        let wanted = format!("{OLDEST_VERSION} or later");
        return Err(unfit(&format!("version{of}"), &version, &wanted));
    }
    for (name, wanted) in WANTED {
        match found.unlike(name, wanted) {
            None => {}
            Some(value) if value.starts_with(UNREADABLE) => {
                untold.push(format!("`{name}`{of}, which has to be `{wanted}`"));
            }
            Some(value) => return Err(unfit(&format!("{name}{of}"), &value, wanted)),
        }
    }
    Ok(())
}

fn unfit(setting: &str, found: &str, wanted: &str) -> Unfit {
    let [setting, found, wanted] = [setting, found, wanted].map(str::to_owned);
    Unfit { setting, found, wanted }
}
