//! Which store `backup` and `restore` work on: as `serve` would find it, unless flags say otherwise.

use super::config::bad_settings;
use super::exit::{Exit, Failure};
use super::shared_store;
use crate::config::{self, RedisUrl, ServeArgs, Settings, StoreLocation};
use crate::store::StoreError;
use crate::store::redis::RedisStore;
use std::path::PathBuf;

/// Which store.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct StoreArgs {
    /// A file of the embedded store, or the URL of a shared store [default: as `serve` would find it,
    /// see `config show`]
    #[arg(long, value_name = "STORE")]
    store: Option<String>,

    /// Which of the histories in a shared store
    #[arg(long, value_name = "NAME")]
    store_namespace: Option<String>,

    /// How many nodes of a shared store could be promoted, the primary included
    #[arg(long, value_name = "N")]
    store_nodes: Option<String>,

    /// Read settings from a TOML file, as `serve --config` does
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl StoreArgs {
    /// The settings that lead to the store.
    pub(super) fn settings(&self) -> Result<Settings, Failure> {
        let flags = [
            ("store", &self.store),
            ("store_namespace", &self.store_namespace),
            ("store_nodes", &self.store_nodes),
        ];
        let given = flags.into_iter().filter_map(|(name, value)| Some((name, value.clone()?)));
        config::load(&ServeArgs::of(self.config.clone(), given.collect())).map_err(bad_settings)
    }
}

/// Where a store is, as people write it: never with a password.
pub(super) fn shown(settings: &Settings) -> String {
    match &settings.store {
        StoreLocation::Embedded(path) => path.display().to_string(),
        StoreLocation::Redis(_) => {
            let store = settings.origins.iter().find(|origin| origin.name == "store");
            let url = store.map_or("the shared store", |origin| origin.value.as_str());
            format!("namespace `{}` of {url}", settings.store_namespace)
        }
    }
}

/// Runs `work` with a connection to a shared store.
pub(super) fn with_shared<T>(
    settings: &Settings,
    url: &RedisUrl,
    work: impl AsyncFnOnce(RedisStore) -> Result<T, StoreError>,
) -> Result<T, Failure> {
    let location = shared_store::location(settings, url)
        .ok_or_else(|| Failure::usage("the namespace of the store does not read"))?;
    let failed = |error| Failure::new(Exit::Failure, "nothing can be started").because(error);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(failed)?;
    let store = RedisStore::open(location).map_err(failed)?;
    runtime.block_on(work(store)).map_err(|error| {
        let exit = match &error {
            StoreError::Unavailable { .. } => Exit::Unreachable,
            StoreError::Forked | StoreError::Conflict { .. } => Exit::Conflict,
            StoreError::Empty => Exit::NotFound,
            StoreError::RequestReused { .. }
            | StoreError::NotWritten { .. }
            | StoreError::Corrupt { .. } => Exit::Failure,
        };
        Failure::new(exit, shown(settings)).because(error)
    })
}
