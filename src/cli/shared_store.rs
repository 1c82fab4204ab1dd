//! From settings and flags to where a Redis is found: the shared store, or a mailing's ledger.

use crate::config::{self, RedisServers, RedisUrl, Settings};
use crate::redis::{Access, Address, Login, Secret, Servers, Tls};
use crate::store::redis::{Location, Namespace};
use std::path::PathBuf;

/// The files of TLS.
pub(super) struct Certificates {
    /// The authority that signed the servers' certificates.
    pub(super) authority: Option<PathBuf>,
    /// Our certificate and its key.
    pub(super) client: Option<(PathBuf, PathBuf)>,
}

/// Where the shared store is. `None` for a namespace that loading the settings would have refused.
pub(super) fn location(settings: &Settings, url: &RedisUrl) -> Option<Location> {
    let certificate = settings.store_certificate_file.clone();
    let certificates = Certificates {
        authority: settings.store_ca_file.clone(),
        client: certificate.zip(settings.store_key_file.clone()),
    };
    let Access { servers, login, tls, database } =
        access(url, settings.store_password.as_ref(), certificates);
    Some(Location {
        servers,
        login,
        tls,
        database,
        namespace: Namespace::parse(&settings.store_namespace)?,
        nodes: settings.store_nodes.unwrap_or(1),
        staleness_limit: settings.staleness_limit,
    })
}

/// The way to the servers of a URL, with a password where the URL has none.
pub(super) fn access(
    url: &RedisUrl,
    password: Option<&config::Secret>,
    certificates: Certificates,
) -> Access {
    let address = |(host, port): &(String, u16)| Address { host: host.clone(), port: *port };
    let all = |addresses: &[(String, u16)]| addresses.iter().map(address).collect();
    let servers = match &url.servers {
        RedisServers::Single(server) => Servers::Single(address(server)),
        RedisServers::Sentinel(sentinels, master) => {
            Servers::Sentinel { sentinels: all(sentinels), master: master.clone() }
        }
        RedisServers::Cluster(nodes) => Servers::Cluster(all(nodes)),
    };
    let password = url.password.as_ref().or(password);
    let Certificates { authority, client } = certificates;
    Access {
        servers,
        login: Login {
            user: url.user.clone(),
            password: password.map(|password| Secret::new(password.reveal().to_owned())),
        },
        tls: url.tls.then_some(Tls { authority, client }),
        database: url.database,
    }
}
