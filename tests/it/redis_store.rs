//! The store in Redis and Valkey, for the suite that every store passes. Its tests share a server of each
//! kind, and each has a namespace of its own.

use super::redis_server::{Flavour, Server};
use super::store_contents::StoreUnderTest;
use offergate::store::redis::{Location, RedisStore};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};

/// A store on a server that the tests running now share; the last one that uses it ends it.
pub(crate) struct OnServer<const VALKEY: bool> {
    store: RedisStore,
    location: Location,
    server: Arc<Server>,
}

pub(crate) type OnRedis = OnServer<false>;
pub(crate) type OnValkey = OnServer<true>;

fn shared(flavour: Flavour) -> Arc<Server> {
    static RUNNING: Mutex<[Weak<Server>; 2]> = Mutex::new([Weak::new(), Weak::new()]);
    let mut running = RUNNING.lock().unwrap();
    let place = &mut running[usize::from(flavour == Flavour::Valkey)];
    place.upgrade().unwrap_or_else(|| {
        let server = Arc::new(Server::start(flavour));
        *place = Arc::downgrade(&server);
        server
    })
}

impl<const VALKEY: bool> StoreUnderTest for OnServer<VALKEY> {
    type Store = RedisStore;
    const CAN_BE_COPIED: bool = true;

    fn fresh() -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let server = shared(if VALKEY { Flavour::Valkey } else { Flavour::Redis });
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let location = server.location(&format!("conformance-{number}"));
        let store = RedisStore::open(location.clone()).unwrap();
        // The caller may be on a runtime of its own, where nothing may block but another thread.
        std::thread::scope(|scope| {
            let begun = scope.spawn(|| super::store_contents::block_on(store.initialise(None)));
            begun.join().unwrap().unwrap();
        });
        Self { store, location, server }
    }

    fn store(&self) -> &RedisStore {
        &self.store
    }

    fn reopened(self) -> Self {
        let Self { store, location, server } = self;
        drop(store);
        Self { store: RedisStore::open(location.clone()).unwrap(), location, server }
    }
}
