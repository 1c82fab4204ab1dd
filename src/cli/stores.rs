//! Opens the store that the settings name, and starts the service over it.
//!
//! Invariant: a history is begun in a shared store only where that was asked for, so that a server which
//! meets an emptied store does not take it for a new one.

use super::exit::{Exit, Failure};
use super::restore::store_failure;
use super::shared_store;
use crate::clock::{Clock, SystemClock};
use crate::config::{self, RedisUrl, ServeArgs, Settings, StoreLocation};
use crate::replica::{Contact, Follower, Identity, Replica, Terms};
use crate::service::{self, Service};
use crate::store::embedded::{EmbeddedStore, FileJournal};
use crate::store::redis::{RedisStore, forbidding};
use crate::store::{Incarnation, Journal, ReplicaName, SharedStore, Shortfall, StoreError};
use crate::telemetry::Decisions;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// How long a start waits for the store before it begins from its journal, closed.
const FIRST_WORD: Duration = Duration::from_secs(3);

/// A service that can serve.
pub(super) struct Opened {
    pub(super) service: Arc<Service>,
    /// What follows a shared store.
    pub(super) follower: Option<Arc<Follower>>,
    /// Done when what this process keeps on disk failed for good, or when nothing follows a shared
    /// store any more.
    pub(super) broken: BoxFuture<'static, ()>,
}

/// Opens the store and starts the service. Must run where the follower is to run.
pub(super) async fn open(
    settings: &Settings,
    args: &ServeArgs,
    decisions: Arc<Decisions>,
) -> Result<Opened, Failure> {
    match &settings.store {
        StoreLocation::Embedded(path) => alone(settings, path, decisions).await,
        StoreLocation::Redis(url) => join(settings, args, url, decisions).await,
    }
}

async fn alone(
    settings: &Settings,
    path: &Path,
    decisions: Arc<Decisions>,
) -> Result<Opened, Failure> {
    // Reading a long log takes time, and room that goes back to the system with the thread.
    let path = path.to_owned();
    let opening = tokio::task::spawn_blocking(move || EmbeddedStore::open(&path));
    let opened = opening.await.map_err(|error| {
        Failure::new(Exit::Failure, "the store cannot be opened").because(error)
    })?;
    let store = opened.map_err(store_failure)?;
    let broken = store.broken().boxed();
    let (store, clock) = (Arc::new(store), Arc::new(SystemClock));
    let seen = Arc::clone(&store);
    let started = Service::start(store, clock, settings.staleness_limit, Some(decisions)).await;
    let service = started.map_err(|error| {
        Failure::new(Exit::Failure, "the rules in the store cannot be served").because(error)
    })?;
    service.note_with(seen);
    Ok(Opened { service, follower: None, broken })
}

async fn join(
    settings: &Settings,
    args: &ServeArgs,
    url: &RedisUrl,
    decisions: Arc<Decisions>,
) -> Result<Opened, Failure> {
    let identity = identity(settings)?;
    let path = match &settings.journal {
        Some(path) => path.clone(),
        None => config::default_journal(args.demo).map_err(Failure::usage)?,
    };
    let journal = FileJournal::open(&path, &identity.incarnation).map_err(|error| {
        store_failure(error).help("each replica has a journal of its own: set --journal")
    })?;
    let journal_broken = journal.broken();
    let journal = Arc::new(journal);
    let seen = Arc::clone(&journal);
    let location = shared_store::location(settings, url)
        .ok_or_else(|| Failure::usage("the namespace of the store does not read"))?;
    let store = RedisStore::open(location)
        .map_err(|error| Failure::new(Exit::Failure, "no thread can be started").because(error))?;
    if args.begin_history {
        begin_history(&store, &journal).await?;
    }
    let store: Arc<dyn SharedStore> = Arc::new(store);
    inspect(&*store).await?;

    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let replica = Arc::new(Replica::of_many());
    let follower = Follower::start(
        Arc::clone(&store),
        journal,
        Arc::clone(&replica),
        Arc::clone(&clock),
        Terms::of(settings.staleness_limit),
        identity,
        service::is_sound,
    );
    let follower = follower.await.map_err(|error| {
        Failure::new(Exit::Failure, format_args!("the journal `{}` is unusable", path.display()))
            .because(error)
    })?;
    let following = tokio::spawn(Arc::clone(&follower).run());
    first_word(&follower, replica.held().is_some()).await?;
    let broken = async move {
        tokio::select! {
            () = journal_broken => {}
            _ = following => {}
        }
    };
    let broken = broken.boxed();
    let service = Service::join(store, replica, Arc::clone(&follower), clock, Some(decisions));
    service.note_with(seen);
    Ok(Opened { service, follower: Some(follower), broken })
}

/// Who this replica is: a name that stays, and a run that never was before.
fn identity(settings: &Settings) -> Result<Identity, Failure> {
    let name = match &settings.replica {
        Some(name) => name.clone(),
        None => rustix::system::uname().nodename().to_string_lossy().into_owned(),
    };
    let name = ReplicaName::parse(&name).ok_or_else(|| {
        Failure::usage(format_args!("`{name}` cannot be the name of a replica"))
            .help("set --replica to 1 to 64 letters, digits, `-`, `_`, `.`")
    })?;
    let run = uuid::Uuid::new_v4().simple().to_string();
    let incarnation = Incarnation::parse(&run)
        .ok_or_else(|| Failure::new(Exit::Failure, "there are no random digits"))?;
    let address = settings.advertise.clone().unwrap_or_else(|| settings.listen.to_string());
    Ok(Identity { name, incarnation, address })
}

/// Begins a history, if there is none and this replica remembers none either.
async fn begin_history(store: &RedisStore, journal: &FileJournal) -> Result<(), Failure> {
    let unreadable = |error: StoreError| match error {
        StoreError::Unavailable { .. } => {
            Failure::new(Exit::Unreachable, "a history cannot be begun").because(error).help(
                "see that the server that --store names is up, and may be reached from here: the \
                 README's \"Redis\" says what it needs",
            )
        }
        error => Failure::new(Exit::Failure, "a history cannot be begun").because(error),
    };
    let remembers = journal.load().await.map_err(unreadable)?.is_some();
    match store.head().await {
        Ok(None) => {}
        Ok(Some(_)) | Err(StoreError::Forked) => return Ok(()),
        // Nothing is to be begun here: a server that was started before is started again.
        Err(StoreError::Unavailable { .. }) if remembers => return Ok(()),
        Err(error) => return Err(unreadable(error)),
    }
    if remembers {
        return Err(Failure::new(
            Exit::Conflict,
            "the store holds no history, and the journal of this replica does",
        )
        .help(
            "the store was emptied, or it is another one: see that --store is right; to fill it from \
             the journal, run `offergate restore JOURNAL --store URL`",
        ));
    }
    match store.initialise(None).await {
        Ok(_) => Ok(()),
        // Another replica was first.
        Err(StoreError::NotWritten { .. }) => Ok(()),
        Err(error) => Err(unreadable(error)),
    }
}

/// Tells what the store's settings cost, and refuses those that would lose rules.
async fn inspect(store: &dyn SharedStore) -> Result<(), Failure> {
    // A store that is away is met by the journal; it is looked at again with each change.
    let Ok(shortfalls) = store.shortfalls().await else { return Ok(()) };
    for Shortfall { setting, found, wanted, cost, .. } in &shortfalls {
        tracing::warn!(setting, found, wanted, "The store is set up so that {cost}");
    }
    refuse_forbidding(&shortfalls)
}

/// Refuses a store that would lose rules.
pub(super) fn refuse_forbidding(shortfalls: &[Shortfall]) -> Result<(), Failure> {
    match forbidding(shortfalls) {
        None => Ok(()),
        Some(Shortfall { setting, found, wanted, cost, .. }) => Err(Failure::new(
            Exit::Failure,
            format_args!("the store's `{setting}` is `{found}`: {cost}"),
        )
        .help(format_args!("set it to `{wanted}`, in the store's configuration file too"))),
    }
}

/// Waits until the store was heard from once, or for so long that the journal must do.
async fn first_word(follower: &Follower, holds_rules: bool) -> Result<(), Failure> {
    use crate::store::Standing;
    let mut contacts = follower.contacts();
    let heard = contacts.wait_for(|contact| *contact != Contact::None);
    let contact = match tokio::time::timeout(FIRST_WORD, heard).await {
        Ok(Ok(contact)) => contact.clone(),
        Ok(Err(_)) | Err(_) => Contact::Unreachable,
    };
    match contact {
        // With rules from its journal a replica still denies what they deny.
        Contact::Apart(Standing::Empty) if !holds_rules => Err(Failure::new(
            Exit::Failure,
            "the store holds no history",
        )
        .help(
            "in a new store, start one server with --begin-history; if rules were there before, \
                 it was emptied or it is another one: see `offergate restore --help`",
        )),
        Contact::Apart(Standing::LimitTooLong { allowed }) => Err(Failure::usage(format_args!(
            "the staleness limit is longer than the {allowed:?} that this store's history allows"
        ))
        .help("set --staleness-limit to that or less on every replica")),
        Contact::Apart(Standing::NameTaken { address }) => Err(Failure::new(
            Exit::Conflict,
            format_args!(
                "another replica is called `{}`, reached at {address}",
                follower.identity().name
            ),
        )
        .help(
            "give each replica a name of its own with --replica; that of one which died without \
               its journal is free again after twice the staleness limit",
        )),
        _ => Ok(()),
    }
}
