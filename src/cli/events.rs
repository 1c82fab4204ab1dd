//! Sets up the sending of events that the settings of `serve` ask for.

use super::exit::{Exit, Failure};
use crate::clock::SystemClock;
use crate::config::{self, Settings, StoreLocation};
use crate::events::{Events, EventsSettings, Keys, OutboxError};
use crate::recorder::Recorder;
use crate::service::Service;
use crate::telemetry::Telemetry;
use std::sync::Arc;

/// What sends events, if they are sent at all.
pub(super) fn open(
    settings: &Settings,
    demo: bool,
    service: &Arc<Service>,
    recorder: Option<&Arc<Recorder>>,
    telemetry: &Telemetry,
) -> Result<Option<Arc<Events>>, Failure> {
    let (Some(url), Some(secret)) = (&settings.events.url, &settings.events.secret) else {
        return Ok(None);
    };
    let keys = Keys::parse(secret.reveal())
        .ok_or_else(|| Failure::usage("`event_webhook_secret` does not read"))?;
    let beside = match (&settings.store, &settings.journal) {
        (StoreLocation::Embedded(path), _) => path.clone(),
        (StoreLocation::Redis(_), Some(path)) => path.clone(),
        (StoreLocation::Redis(_), None) => config::default_journal(demo).map_err(Failure::usage)?,
    };
    let server = match &settings.replica {
        Some(name) => name.clone(),
        None => rustix::system::uname().nodename().to_string_lossy().into_owned(),
    };
    let recorder = recorder.cloned();
    let events = EventsSettings {
        url: url.clone(),
        keys,
        beside,
        source: format!("/offergate/{}", settings.store_namespace),
        server,
        gaps: Box::new(move || recorder.as_ref().map_or(0, |recorder| recorder.seen().gaps)),
    };
    let events = Events::open(events, Arc::clone(service), Arc::new(SystemClock));
    let events = events.map_err(refused)?;
    let seen = Arc::clone(&events);
    telemetry.observe_events(move || seen.seen());
    Ok(Some(events))
}

fn refused(error: OutboxError) -> Failure {
    let help = match &error {
        OutboxError::File { .. } => "see that there is room, and that the folder can be written to",
        OutboxError::Other(_) => "events that wait in it are lost with it",
        OutboxError::Sender(_) => "see that this machine has a list of authorities for https",
    };
    Failure::new(Exit::Failure, "events cannot be sent").because(error).help(help)
}
