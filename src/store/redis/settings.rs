//! What the servers' own settings take away from what is promised, each with its cost in words.
//!
//! Invariant: what cannot be read counts as not set. With a shortfall in durability nothing is ever
//! called durable.

use super::Core;
use super::lane::Session;
use super::reply::text;
use super::trouble::Trouble;
use crate::store::{Shortfall, StoreError};
use redis::Value;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;

const PATIENCE: Duration = Duration::from_secs(3);

/// The oldest major version whose scripts say which error stopped them.
const OLDEST_VERSION: u32 = 7;

/// Settings that are read one by one, since an ACL may allow some of them.
const READ: [&str; 3] = ["appendonly", "appendfsync", "maxmemory-policy"];

/// The one shortfall that forbids to serve at all: a server that drops keys when memory is short would
/// drop the rules.
#[must_use]
pub fn forbidding(shortfalls: &[Shortfall]) -> Option<&Shortfall> {
    shortfalls.iter().find(|shortfall| {
        shortfall.setting == "maxmemory-policy" && !shortfall.found.starts_with(UNREADABLE)
    })
}

const UNREADABLE: &str = "cannot be read";

/// The primary's settings, as far as this user may read them.
struct Found {
    settings: BTreeMap<&'static str, Result<String, String>>,
    info: String,
}

impl Found {
    async fn read(session: &mut Session<'_>, end: Instant) -> Result<Self, Trouble> {
        let mut settings = BTreeMap::new();
        for name in READ {
            let mut get = redis::cmd("CONFIG");
            get.arg("GET").arg(name);
            let found = match session.send(&get, end).await {
                Ok(Value::Array(pair)) => match pair.into_iter().nth(1) {
                    Some(value) => Ok(text(value)?),
                    None => Err("the server does not know it".to_owned()),
                },
                Ok(_) => Err("the server's reply is none of ours".to_owned()),
                Err(Trouble::Refused(_)) => Err("CONFIG GET is refused to this user".to_owned()),
                Err(trouble) => return Err(trouble),
            };
            settings.insert(name, found);
        }
        let info = text(session.send(&redis::cmd("INFO"), end).await?)?;
        Ok(Self { settings, info })
    }

    /// A line of `INFO`.
    fn info(&self, name: &str) -> Option<&str> {
        self.info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
    }

    /// The setting, or why it cannot be read. `INFO` tells some of them too.
    fn setting(&self, name: &str) -> Result<String, String> {
        let told = match name {
            "appendonly" => self.info("aof_enabled").map(|on| if on == "1" { "yes" } else { "no" }),
            "maxmemory-policy" => self.info("maxmemory_policy"),
            _ => None,
        };
        match (self.settings.get(name), told) {
            (Some(Ok(value)), _) => Ok(value.clone()),
            (_, Some(told)) => Ok(told.to_owned()),
            (Some(Err(why)), None) => Err(format!("{UNREADABLE}: {why}")),
            (None, None) => Err(format!("{UNREADABLE}: the server does not tell it")),
        }
    }

    fn shortfall(&self, name: &str, wanted: &str, cost: &str, durable: bool) -> Option<Shortfall> {
        let found = match self.setting(name) {
            Ok(value) if value == wanted => return None,
            Ok(value) => value,
            Err(why) => why,
        };
        let (setting, wanted, cost) = (name.to_owned(), wanted.to_owned(), cost.to_owned());
        Some(Shortfall { setting, found, wanted, cost, durable })
    }

    fn all(&self, nodes: u32) -> Vec<Shortfall> {
        let mut all = Vec::new();
        all.extend(self.shortfall(
            "appendonly",
            "yes",
            "a server that restarts forgets changes that were acknowledged",
            false,
        ));
        all.extend(self.shortfall(
            "appendfsync",
            "always",
            "a server that loses power forgets changes that were acknowledged",
            false,
        ));
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
        let found = self.info("valkey_version").or_else(|| self.info("redis_version"));
        let major = found.and_then(|text| text.split('.').next()?.parse::<u32>().ok());
        if major.is_some_and(|major| OLDEST_VERSION <= major) {
            return None;
        }
        Some(Shortfall {
            setting: "server version".to_owned(),
            found: found.unwrap_or("").to_owned(),
            wanted: format!("{OLDEST_VERSION} or later"),
            cost: "refusals of this server are not told apart, and no test runs on it".to_owned(),
            durable: true,
        })
    }
}

/// Whether the count of nodes that `WAIT` gives can be taken for the number that has a change on disk:
/// this server writes before it answers, and nobody follows it whom nobody counted.
pub(super) async fn can_count(
    session: &mut Session<'_>,
    nodes: u32,
    end: Instant,
) -> Result<bool, Trouble> {
    let found = Found::read(session, end).await?;
    let is = |name, wanted: &str| found.setting(name).is_ok_and(|value| value == wanted);
    let followers = found.info("connected_slaves").and_then(|count| count.parse::<u32>().ok());
    Ok(is("appendonly", "yes")
        && is("appendfsync", "always")
        && followers.is_some_and(|count| count < nodes))
}

impl Core {
    pub(super) async fn shortfalls(&self) -> Result<Vec<Shortfall>, StoreError> {
        const DOING: &str = "reading the store's settings";
        let end = Instant::now() + PATIENCE;
        let failed = |trouble: Trouble| trouble.reading(DOING);
        let mut session = self.reports.session(end).await.map_err(failed)?;
        Ok(Found::read(&mut session, end).await.map_err(failed)?.all(self.nodes))
    }
}
