//! A server's own settings, as far as its user may read them.
//!
//! Invariant: what cannot be read counts as not set.

use super::access::Address;
use super::finder;
use super::lane::Session;
use super::reply::text;
use super::trouble::Trouble;
use redis::aio::MultiplexedConnection;
use redis::{Cmd, Value};
use std::collections::BTreeMap;
use tokio::time::Instant;

/// The oldest major version whose scripts say which error stopped them.
pub(crate) const OLDEST_VERSION: u32 = 7;

/// Settings that are read one by one, since an ACL may allow some of them.
const READ: [&str; 4] =
    ["appendonly", "appendfsync", "no-appendfsync-on-rewrite", "maxmemory-policy"];

/// What stands in place of a setting that nobody could tell.
pub(crate) const UNREADABLE: &str = "cannot be read";

/// One server's settings, as far as this user may read them.
pub(crate) struct Found {
    settings: BTreeMap<&'static str, Result<String, String>>,
    info: String,
}

/// Somebody who can be asked for settings.
pub(crate) trait Asked {
    async fn ask(&mut self, command: &Cmd) -> Result<Value, Trouble>;
}

/// The primary, on a lane of ours.
pub(crate) struct Primary<'a, 'b>(pub(crate) &'a mut Session<'b>, pub(crate) Instant);

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
    pub(crate) async fn read(server: &mut impl Asked) -> Result<Self, Trouble> {
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
    pub(crate) fn follower_addresses(&self) -> Vec<Address> {
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

    /// A line of `INFO`.
    pub(crate) fn info(&self, name: &str) -> Option<&str> {
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

    /// What a setting is, unless it is what is wanted.
    pub(crate) fn unlike(&self, name: &str, wanted: &str) -> Option<String> {
        match self.setting(name) {
            Ok(value) if value == wanted => None,
            Ok(value) => Some(value),
            Err(why) => Some(why),
        }
    }

    /// The server's version, unless it is new enough.
    pub(crate) fn too_old(&self) -> Option<String> {
        let found = self.info("valkey_version").or_else(|| self.info("redis_version"));
        let major = found.and_then(|text| text.split('.').next()?.parse::<u32>().ok());
        match major.is_some_and(|major| OLDEST_VERSION <= major) {
            true => None,
            false => Some(found.unwrap_or("").to_owned()),
        }
    }
}
