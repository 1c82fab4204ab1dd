//! What the servers' own settings take away from what is promised, each with its cost in words.
//!
//! Invariant: what cannot be read counts as not set. With a shortfall in durability nothing is ever
//! called durable.

use super::lane::Session;
use super::location::Address;
use super::reply::text;
use super::trouble::Trouble;
use super::{Core, finder};
use crate::store::{Shortfall, StoreError};
use futures_util::future::join_all;
use redis::aio::MultiplexedConnection;
use redis::{Cmd, Value};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::{Instant, timeout};

const PATIENCE: Duration = Duration::from_secs(3);

/// How long one follower may take to tell its settings.
const ONE_FOLLOWER: Duration = Duration::from_millis(500);

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

/// One server's settings, as far as this user may read them.
struct Found {
    settings: BTreeMap<&'static str, Result<String, String>>,
    info: String,
}

/// Somebody who can be asked for settings.
trait Asked {
    async fn ask(&mut self, command: &Cmd) -> Result<Value, Trouble>;
}

/// The primary, on a lane of ours.
struct Primary<'a, 'b>(&'a mut Session<'b>, Instant);

impl Asked for Primary<'_, '_> {
    async fn ask(&mut self, command: &Cmd) -> Result<Value, Trouble> {
        self.0.send(command, self.1).await
    }
}

impl Asked for MultiplexedConnection {
    async fn ask(&mut self, command: &Cmd) -> Result<Value, Trouble> {
        finder::send(self, command).await
    }
}

impl Found {
    async fn read(server: &mut impl Asked) -> Result<Self, Trouble> {
        let mut settings = BTreeMap::new();
        for name in READ {
            let mut get = redis::cmd("CONFIG");
            get.arg("GET").arg(name);
            let found = match server.ask(&get).await {
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
        let info = text(server.ask(&redis::cmd("INFO")).await?)?;
        Ok(Self { settings, info })
    }

    /// The nodes that follow, where this server says that they are.
    fn follower_addresses(&self) -> Vec<Address> {
        let lines = self.info.lines().filter(|line| {
            let rest = line.strip_prefix("slave").and_then(|rest| rest.split_once(':'));
            rest.is_some_and(|(number, _)| number.bytes().all(|byte| byte.is_ascii_digit()))
        });
        let addresses = lines.filter_map(|line| {
            let part = |name| line.split([':', ',']).find_map(|part| part.strip_prefix(name));
            // An IPv6 address holds colons of its own: it ends where the port begins.
            let host = line.split_once("ip=")?.1.split_once(",port=")?.0;
            Some(Address { host: host.to_owned(), port: part("port=")?.parse().ok()? })
        });
        addresses.collect()
    }

    /// What this server lacks to have on disk what it has acknowledged.
    fn forgets(&self) -> Vec<Shortfall> {
        let restart = "a server that restarts forgets changes that were acknowledged";
        let power = "a server that loses power forgets changes that were acknowledged";
        let of_disk = [("appendonly", "yes", restart), ("appendfsync", "always", power)];
        let found = of_disk.map(|(name, wanted, cost)| self.shortfall(name, wanted, cost, false));
        found.into_iter().flatten().collect()
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
