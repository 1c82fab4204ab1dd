//! What the servers' own settings take away from what is promised, each with its cost in words.
//!
//! Invariant: what cannot be read counts as not set. With a shortfall in durability nothing is ever
//! called durable.

use super::Core;
use crate::redis::{Found, OLDEST_VERSION, Primary, Session, Trouble, UNREADABLE};
use crate::store::{Shortfall, StoreError};
use futures_util::future::join_all;
use std::time::Duration;
use tokio::time::{Instant, timeout};

const PATIENCE: Duration = Duration::from_secs(3);

/// How long one follower may take to tell its settings.
const ONE_FOLLOWER: Duration = Duration::from_millis(500);

/// The one shortfall that forbids to serve at all: a server that drops keys when memory is short would
/// drop the rules.
#[must_use]
pub fn forbidding(shortfalls: &[Shortfall]) -> Option<&Shortfall> {
    shortfalls.iter().find(|shortfall| {
        shortfall.setting == "maxmemory-policy" && !shortfall.found.starts_with(UNREADABLE)
    })
}

impl Found {
    /// What this server lacks to have on disk what it has acknowledged.
    fn forgets(&self) -> Vec<Shortfall> {
        let restart = "a server that restarts forgets changes that were acknowledged";
        let power = "a server that loses power forgets changes that were acknowledged";
        let of_disk = [
            ("appendonly", "yes", restart),
            ("appendfsync", "always", power),
            ("no-appendfsync-on-rewrite", "no", power),
        ];
        let found = of_disk.map(|(name, wanted, cost)| self.shortfall(name, wanted, cost, false));
        found.into_iter().flatten().collect()
    }

    fn shortfall(&self, name: &str, wanted: &str, cost: &str, durable: bool) -> Option<Shortfall> {
        let found = self.unlike(name, wanted)?;
        let (setting, wanted, cost) = (name.to_owned(), wanted.to_owned(), cost.to_owned());
        Some(Shortfall { setting, found, wanted, cost, durable })
    }

    fn all(&self, nodes: u32) -> Vec<Shortfall> {
        let mut all = Vec::new();
        all.extend(self.forgets());
        all.extend(self.shortfall(
            "maxmemory-policy",
            "noeviction",
            "a server that runs out of memory drops rules, and nobody is told",
            true,
        ));
        all.extend(self.followers(nodes));
        all.extend(self.version());
        all
    }

    fn followers(&self, nodes: u32) -> Option<Shortfall> {
        let found = self.info("connected_slaves").unwrap_or("").to_owned();
        let wanted = nodes.saturating_sub(1);
        let cost = match found.parse::<u32>() {
            Ok(count) if count == wanted => return None,
            Ok(count) if count < wanted => {
                "a node that could be promoted does not follow, so that no change becomes durable"
            }
            _ => {
                "more nodes follow than were counted, and one of them could be promoted without a change"
            }
        };
        Some(Shortfall {
            setting: "connected replicas".to_owned(),
            found,
            wanted: wanted.to_string(),
            cost: cost.to_owned(),
            durable: false,
        })
    }

    fn version(&self) -> Option<Shortfall> {
        Some(Shortfall {
            setting: "server version".to_owned(),
            found: self.too_old()?,
            wanted: format!("{OLDEST_VERSION} or later"),
            cost: "refusals of this server are not told apart, and no test runs on it".to_owned(),
            durable: true,
        })
    }
}

impl Core {
    pub(super) async fn shortfalls(&self) -> Result<Vec<Shortfall>, StoreError> {
        const DOING: &str = "reading the store's settings";
        let end = Instant::now() + PATIENCE;
        let failed = |trouble: Trouble| trouble.reading(DOING);
        let mut session = self.reports.session(end).await.map_err(failed)?;
        let found = Found::read(&mut Primary(&mut session, end)).await.map_err(failed)?;
        drop(session);
        let mut all = found.all(self.nodes);
        all.extend(self.forgetful_followers(&found).await);
        Ok(all)
    }

    /// Whether the count of nodes that `WAIT` gives can be taken for the number that has a change on
    /// disk: all write before they answer, the same nodes follow as when it was asked, and nobody of whom
    /// nobody knows.
    pub(super) async fn can_count(
        &self,
        session: &mut Session<'_>,
        followers: u64,
        copies: u32,
        end: Instant,
    ) -> Result<bool, Trouble> {
        let found = Found::read(&mut Primary(session, end)).await?;
        let now = found.info("connected_slaves").and_then(|count| count.parse().ok());
        let known = now == Some(followers) && followers < u64::from(self.nodes);
        if !known || !found.forgets().is_empty() {
            return Ok(false);
        }
        // While a node is missing, nothing hangs on what the others have on disk.
        Ok(copies < self.nodes || self.forgetful_followers(&found).await.is_empty())
    }

    /// What followers lack to have on disk what `WAIT` says that they have.
    async fn forgetful_followers(&self, primary: &Found) -> Vec<Shortfall> {
        let addresses = primary.follower_addresses();
        let looks = addresses.iter().map(|address| async move {
            let look = async {
                let mut connection = self.finder.connect_to(address, true).await?;
                Found::read(&mut connection).await
            };
            let found = match timeout(ONE_FOLLOWER, look).await {
                Ok(Ok(found)) => found.forgets(),
                Ok(Err(_)) | Err(_) => vec![unread("the node does not answer us")],
            };
            found.into_iter().map(move |mut shortfall| {
                shortfall.setting = format!("{} of {address}", shortfall.setting);
                shortfall
            })
        });
        join_all(looks).await.into_iter().flatten().collect()
    }
}

fn unread(why: &str) -> Shortfall {
    Shortfall {
        setting: "appendfsync".to_owned(),
        found: format!("{UNREADABLE}: {why}"),
        wanted: "always".to_owned(),
        cost: "a server that loses power forgets changes that were acknowledged".to_owned(),
        durable: false,
    }
}
