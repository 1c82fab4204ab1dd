//! Finds the server that takes writes, and connects to it.
//!
//! What sentinels or a cluster's nodes say is a hint: every script makes sure for itself that it runs on
//! a primary. So an old answer costs a detour and nothing else. All are asked at once, so that those who
//! are silent cost nothing either; and who misled is believed again only when nobody else answers.

use super::access::{Access, Address, Servers, Tls};
use super::reply::text;
use super::trouble::Trouble;
use futures_util::stream::{FuturesUnordered, StreamExt};
use redis::aio::MultiplexedConnection;
use redis::io::tcp::TcpSettings;
use redis::{
    AsyncConnectionConfig, Client, ClientTlsConfig, ConnectionAddr, IntoConnectionInfo,
    ProtocolVersion, RedisConnectionInfo, TlsCertificates, Value,
};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::timeout;

/// How long a connection may take to be made, and a sentinel or node to answer.
const PATIENCE: Duration = Duration::from_secs(1);

/// Knows where the primary was last.
pub(crate) struct Finder {
    access: Access,
    keys: Vec<String>, // INVARIANT: not empty; all in one slot.
    known: Mutex<Known>,
}

/// What was heard.
#[derive(Default)]
struct Known {
    primary: Option<Found>,
    /// Who named a server that was no primary, or was not there.
    misled: BTreeSet<Address>,
}

/// Where the primary is, as somebody says.
#[derive(Clone)]
struct Found {
    at: Address,
    says: Address,
}

impl Finder {
    /// To whoever has `keys`, which are the first that every script gets.
    pub(crate) fn new(access: Access, keys: Vec<String>) -> Self {
        Self { access, keys, known: Mutex::default() }
    }

    pub(super) fn keys(&self) -> &[String] {
        &self.keys
    }

    /// A connection of its own to the primary, as far as anybody knows.
    pub(super) async fn connect(&self) -> Result<(Address, MultiplexedConnection), Trouble> {
        let known = self.known().primary.clone();
        let found = match known {
            Some(found) => found,
            None => {
                let found = self.find().await?;
                self.known().primary = Some(found.clone());
                found
            }
        };
        match self.connect_to(&found.at, true).await {
            Ok(connection) => Ok((found.at, connection)),
            Err(trouble) => {
                self.is_not_at(&found.at, None);
                Err(trouble)
            }
        }
    }

    /// The primary is not at `address`, and perhaps at `instead`.
    pub(super) fn is_not_at(&self, address: &Address, instead: Option<Address>) {
        let mut known = self.known();
        let Some(found) = known.primary.take_if(|found| found.at == *address) else { return };
        known.misled.insert(found.says);
        let instead = instead.filter(|_| matches!(self.access.servers, Servers::Cluster(_)));
        known.primary = instead.map(|at| Found { at, says: address.clone() });
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn find(&self) -> Result<Found, Trouble> {
        let (asked, mut last) = match &self.access.servers {
            Servers::Single(at) => return Ok(Found { at: at.clone(), says: at.clone() }),
            Servers::Sentinel { sentinels, .. } => {
                (sentinels, Trouble::away("no sentinel answers"))
            }
            Servers::Cluster(nodes) => (nodes, Trouble::away("no node of the cluster answers")),
        };
        let misled = self.misled(asked);
        let mut asking: FuturesUnordered<_> = asked.iter().map(|one| self.ask(one)).collect();
        let mut doubtful = None;
        while let Some(answer) = asking.next().await {
            match answer {
                Some(Ok(found)) if misled.contains(&found.says) => {
                    doubtful = doubtful.or(Some(found));
                }
                Some(Ok(found)) => return Ok(found),
                Some(Err(trouble)) => last = trouble,
                None => {} // Silence says less than whatever another one said.
            }
        }
        // The servers may know in a moment, whatever the last one said.
        doubtful.ok_or(match last {
            Trouble::Lost(source) => Trouble::away(source),
            other => other,
        })
    }

    /// Who misled, of those who can be asked. When all did, nobody is worse than another.
    fn misled(&self, asked: &[Address]) -> BTreeSet<Address> {
        let mut known = self.known();
        known.misled.retain(|one| asked.contains(one));
        if asked.iter().all(|one| known.misled.contains(one)) {
            known.misled.clear();
        }
        known.misled.clone()
    }

    /// `None` when no answer comes in time.
    async fn ask(&self, says: &Address) -> Option<Result<Found, Trouble>> {
        let asking = async {
            match &self.access.servers {
                Servers::Sentinel { master, .. } => self.ask_sentinel(says, master).await,
                Servers::Single(_) | Servers::Cluster(_) => self.ask_node(says).await,
            }
        };
        let found = timeout(PATIENCE, asking).await.ok()?;
        Some(found.map(|at| Found { at, says: says.clone() }))
    }

    /// Sentinels often have no password where the servers have one.
    async fn ask_sentinel(&self, sentinel: &Address, master: &str) -> Result<Address, Trouble> {
        let mut ask = redis::cmd("SENTINEL");
        ask.arg("get-master-addr-by-name").arg(master);
        let mut answer = Err(Trouble::away("not asked yet"));
        for log_in in [false, true] {
            answer = match self.connect_to(sentinel, log_in).await {
                Ok(mut connection) => send(&mut connection, &ask).await,
                Err(trouble) => Err(trouble),
            };
            if !matches!(answer, Err(Trouble::Refused(_))) {
                break;
            }
        }
        match answer? {
            Value::Array(parts) => address(parts, sentinel),
            _ => Err(Trouble::away(format!("sentinel {sentinel} knows no master `{master}`"))),
        }
    }

    /// Which node has the slot of our keys.
    async fn ask_node(&self, node: &Address) -> Result<Address, Trouble> {
        let mut connection = self.connect_to(node, true).await?;
        let mut keyslot = redis::cmd("CLUSTER");
        keyslot.arg("KEYSLOT").arg(self.keys.first());
        let Value::Int(slot) = send(&mut connection, &keyslot).await? else {
            return Err(Trouble::away(format!("{node} is no node of a cluster")));
        };
        let mut slots = redis::cmd("CLUSTER");
        slots.arg("SLOTS");
        let Value::Array(ranges) = send(&mut connection, &slots).await? else {
            return Err(Trouble::away(format!("{node} is no node of a cluster")));
        };
        for range in ranges {
            let Value::Array(range) = range else { continue };
            let mut parts = range.into_iter();
            let (Some(Value::Int(first)), Some(Value::Int(last))) = (parts.next(), parts.next())
            else {
                continue;
            };
            if let (true, Some(Value::Array(primary))) =
                ((first..=last).contains(&slot), parts.next())
            {
                return address(primary, node);
            }
        }
        Err(Trouble::away(format!("no node of the cluster has slot {slot}, says {node}")))
    }

    /// A connection of its own to this server, whatever it is.
    pub(crate) async fn connect_to(
        &self,
        address: &Address,
        log_in: bool,
    ) -> Result<MultiplexedConnection, Trouble> {
        let login = &self.access.login;
        let database = match log_in {
            true => i64::from(self.access.database),
            false => 0,
        };
        let mut settings = RedisConnectionInfo::default()
            .set_protocol(ProtocolVersion::RESP2)
            .set_skip_set_lib_name()
            .set_db(database);
        if let (true, Some(user)) = (log_in, &login.user) {
            settings = settings.set_username(user);
        }
        if let (true, Some(password)) = (log_in, &login.password) {
            settings = settings.set_password(password.reveal());
        }
        let client = self.client(address, settings)?;
        // Limits are set for each call instead: some calls block on purpose.
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(PATIENCE))
            .set_response_timeout(None);
        let connecting = client.get_multiplexed_async_connection_with_config(&config);
        let mut connection = match timeout(PATIENCE, connecting).await {
            Ok(connected) => connected.map_err(Trouble::connecting)?,
            Err(late) => return Err(Trouble::away(late)),
        };
        // Whoever wants a password says so here in plain words; to a long command it does not.
        match send(&mut connection, &redis::cmd("PING")).await {
            Ok(_) => Ok(connection),
            Err(Trouble::Lost(source)) => Err(Trouble::away(source)),
            Err(trouble) => Err(trouble),
        }
    }

    fn client(&self, address: &Address, settings: RedisConnectionInfo) -> Result<Client, Trouble> {
        let Address { host, port } = address.clone();
        let files = self.access.tls.as_ref().map(read_files).transpose()?;
        let address = match files {
            Some(_) => ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None },
            None => ConnectionAddr::Tcp(host, port),
        };
        let info = address
            .into_connection_info()
            .map_err(Trouble::connecting)?
            .set_tcp_settings(TcpSettings::default().set_nodelay(true))
            .set_redis_settings(settings);
        let client = match files {
            Some(files) => Client::build_with_tls(info, files),
            None => Client::open(info),
        };
        client.map_err(Trouble::connecting)
    }
}

/// The files of TLS as they are now. One that cannot be read says which it is.
fn read_files(tls: &Tls) -> Result<TlsCertificates, Trouble> {
    let read = |path: &Path| {
        std::fs::read(path).map_err(|error| {
            Trouble::Refused(format!("cannot read `{}`: {error}", path.display()).into())
        })
    };
    let root_cert = tls.authority.as_deref().map(read).transpose()?;
    let client_tls = match &tls.client {
        Some((certificate, key)) => {
            Some(ClientTlsConfig { client_cert: read(certificate)?, client_key: read(key)? })
        }
        None => None,
    };
    Ok(TlsCertificates { client_tls, root_cert })
}

/// Sends one command that needs no primary.
pub(crate) async fn send(
    connection: &mut MultiplexedConnection,
    ask: &redis::Cmd,
) -> Result<Value, Trouble> {
    match timeout(PATIENCE, connection.send_packed_command(ask)).await {
        Ok(answer) => answer.and_then(Value::extract_error).map_err(Trouble::of),
        Err(late) => Err(Trouble::away(late)),
    }
}

/// Host and port, as sentinels and nodes give them. A node that does not know its own name leaves it out.
fn address(parts: Vec<Value>, asked: &Address) -> Result<Address, Trouble> {
    let mut parts = parts.into_iter();
    let host = match parts.next() {
        None | Some(Value::Nil) => String::new(),
        Some(host) => text(host)?,
    };
    let host = if host.is_empty() || host == "?" { asked.host.clone() } else { host };
    let port = parts.next().map(text).transpose()?.and_then(|port| port.parse().ok());
    match port {
        Some(port) => Ok(Address { host, port }),
        None => Err(Trouble::away(format!("{asked} answered with no address"))),
    }
}
