//! Whether the servers keep what they are told. A ledger that forgets writes to people twice.

use super::core::{Core, trouble};
use crate::ledger::LedgerError;
use crate::redis::{Found, OLDEST_VERSION, Primary, UNREADABLE};
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// How long the primary, and how long one follower may take to tell its settings.
const PATIENCE: Duration = Duration::from_secs(3);
const ONE_FOLLOWER: Duration = Duration::from_millis(500);

/// What has to be so on every node.
const WANTED: [(&str, &str); 4] = [
    ("appendonly", "yes"),
    ("appendfsync", "always"),
    ("no-appendfsync-on-rewrite", "no"),
    ("maxmemory-policy", "noeviction"),
];

impl Core {
    /// Refuses servers that could forget. What they do not tell is returned, for a person to see to.
    pub(super) async fn fitness(&self) -> Result<Vec<String>, LedgerError> {
        let doing = "reading the settings of its server";
        let end = Instant::now() + PATIENCE;
        let read = async {
            let mut session = self.reads.session(end).await?;
            Found::read(&mut Primary(&mut session, end)).await
        };
        let primary: Found = read.await.map_err(trouble(doing))?;
        let mut untold = Vec::new();
        self.judge(&primary, "", &mut untold)?;
        let followers = primary.info("connected_slaves").unwrap_or("unknown");
        let wanted = self.place.nodes.saturating_sub(1).to_string();
        if followers != wanted {
            return Err(self.unfit("connected replicas", followers, &wanted));
        }
        for address in primary.follower_addresses() {
            let look = async {
                let mut connection = self.finder.connect_to(&address, true).await?;
                Found::read(&mut connection).await
            };
            let of = format!(" of {address}");
            match timeout(ONE_FOLLOWER, look).await {
                Ok(Ok(found)) => self.judge(&found, &of, &mut untold)?,
                Ok(Err(_)) | Err(_) => untold.push(format!("settings{of}")),
            }
        }
        Ok(untold)
    }

    fn judge(&self, found: &Found, of: &str, untold: &mut Vec<String>) -> Result<(), LedgerError> {
        if let Some(version) = found.too_old() {
            let wanted = format!("{OLDEST_VERSION} or later");
            return Err(self.unfit(&format!("version{of}"), &version, &wanted));
        }
        for (name, wanted) in WANTED {
            match found.unlike(name, wanted) {
                None => {}
                Some(value) if value.starts_with(UNREADABLE) => {
                    untold.push(format!("`{name}`{of}, which has to be `{wanted}`"));
                }
                Some(value) => return Err(self.unfit(&format!("{name}{of}"), &value, wanted)),
            }
        }
        Ok(())
    }

    fn unfit(&self, setting: &str, found: &str, wanted: &str) -> LedgerError {
        LedgerError::Unfit {
            ledger: self.place.to_string(),
            setting: setting.to_owned(),
            found: found.to_owned(),
            wanted: wanted.to_owned(),
        }
    }
}
