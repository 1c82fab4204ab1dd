//! From the settings of a shared store to where the store finds it.

use crate::config::{RedisServers, RedisUrl, Settings};
use crate::store::redis::{Address, Location, Login, Namespace, Secret, Servers, Tls};

/// Where the shared store is. `None` for a namespace that loading the settings would have refused.
pub(super) fn location(settings: &Settings, url: &RedisUrl) -> Option<Location> {
    let address = |(host, port): &(String, u16)| Address { host: host.clone(), port: *port };
    let all = |addresses: &[(String, u16)]| addresses.iter().map(address).collect();
    let servers = match &url.servers {
        RedisServers::Single(server) => Servers::Single(address(server)),
        RedisServers::Sentinel(sentinels, master) => {
            Servers::Sentinel { sentinels: all(sentinels), master: master.clone() }
        }
        RedisServers::Cluster(nodes) => Servers::Cluster(all(nodes)),
    };
    let password = url.password.as_ref().or(settings.store_password.as_ref());
    let certificate = settings.store_certificate_file.clone();
    Some(Location {
        servers,
        login: Login {
            user: url.user.clone(),
            password: password.map(|password| Secret::new(password.reveal().to_owned())),
        },
        tls: url.tls.then(|| Tls {
            authority: settings.store_ca_file.clone(),
            client: certificate.zip(settings.store_key_file.clone()),
        }),
        database: url.database,
        namespace: Namespace::parse(&settings.store_namespace)?,
        nodes: settings.store_nodes.unwrap_or(1),
        staleness_limit: settings.staleness_limit,
    })
}
