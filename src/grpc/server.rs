//! Runs the services on one listener, within the limits that keep a server up.

use super::access::AccessLayer;
use super::deadline::DeadlineLayer;
use super::door::Door;
use super::front::Front;
use super::incoming::{Room, connections};
use super::overload::OverloadLayer;
use super::panics::PanicLayer;
use super::rates::{RateLayer, RateSettings, Rates};
use super::refusals::RefusalLayer;
use crate::telemetry::{Incidents, RpcLayer};
use std::future::Future;
use std::hash::{BuildHasher, RandomState};
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;
use tonic::transport::Server;

/// Calls at once on one connection.
const MOST_STREAMS: u32 = 256;

/// Streams that were reset and not yet forgotten: more of them is an attack (rapid reset).
const MOST_PENDING_RESETS: usize = 20;

/// Streams that we had to reset because the peer broke the rules.
const MOST_FORCED_RESETS: usize = 256;

/// Largest headers of a call: the longest token that is taken, and the rest.
const MOST_HEADERS: u32 = 12 * 1024;

/// What a peer may send ahead on a stream, and on a connection.
const STREAM_WINDOW: u32 = 64 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;

/// Largest frame.
const FRAME: u32 = 16 * 1024;

/// When a silent peer is asked whether it is there, and how long it may take to say so.
const ASK_AFTER: Duration = Duration::from_secs(30);
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// How long calls may take, and how many there may be at once over all listeners.
#[derive(Debug, Clone, Copy)]
pub struct LimitSettings {
    /// How long a check may take when its caller sets no earlier deadline.
    pub check_timeout: Duration,
    /// How long anything else may take when its caller sets no earlier deadline.
    pub admin_timeout: Duration,
    /// Checks in work.
    pub checks: usize,
    /// Open streams of checks, and as many that wait for news.
    pub streams: usize,
    /// Connections.
    pub connections: usize,
    /// Connections from one address.
    pub connections_per_peer: usize,
    /// About how old a connection may become.
    pub connection_age: Duration,
    /// Checks a second.
    pub rates: RateSettings,
}

/// The limits of a server, shared by all its listeners.
#[derive(Debug, Clone)]
pub struct Limits {
    deadlines: DeadlineLayer,
    overload: OverloadLayer,
    panics: PanicLayer,
    room: Arc<Room>,
    rates: Arc<Rates>,
    connection_age: Duration,
}

impl Limits {
    /// Counts in `incidents` what goes past them.
    #[must_use]
    pub fn new(settings: LimitSettings, incidents: Incidents) -> Self {
        let LimitSettings { check_timeout: check, admin_timeout: admin, .. } = settings;
        let (connections, of_a_peer) = (settings.connections, settings.connections_per_peer);
        Self {
            deadlines: DeadlineLayer { check, admin },
            overload: OverloadLayer::new(settings.checks, settings.streams),
            panics: PanicLayer(incidents.clone()),
            room: Room::new(connections, of_a_peer, incidents.clone()),
            rates: Rates::new(settings.rates, incidents),
            connection_age: settings.connection_age,
        }
    }

    /// Takes from `settings` what can change while a server runs: how many connections there may be, and
    /// how many checks a second.
    pub fn set(&self, settings: &LimitSettings) {
        self.room.set(settings.connections, settings.connections_per_peer);
        self.rates.set(settings.rates);
    }
}

/// Why a listener is served no more.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The listener cannot be used on this runtime.
    #[error("listener cannot be used")]
    Listener(#[from] std::io::Error),
    /// The server failed.
    #[error("server failed")]
    Server(#[from] tonic::transport::Error),
}

/// Serves until `stop` is done, then waits for the calls under way. Runs on the caller's runtime, so
/// that a server can have one a core, each with a listener of its own.
///
/// # Errors
/// When the listener or the server fails.
pub async fn serve(
    listener: TcpListener,
    front: Front,
    door: Door,
    limits: Limits,
    telemetry: RpcLayer,
    stop: impl Future<Output = ()>,
) -> Result<(), ServeError> {
    let incoming = connections(listener, limits.room, &door)?;
    Server::builder()
        .accept_http1(false)
        .max_concurrent_streams(MOST_STREAMS)
        .http2_max_pending_accept_reset_streams(Some(MOST_PENDING_RESETS))
        .http2_max_local_error_reset_streams(Some(MOST_FORCED_RESETS))
        .http2_max_header_list_size(MOST_HEADERS)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .http2_adaptive_window(Some(false))
        .max_frame_size(FRAME)
        .http2_keepalive_interval(Some(ASK_AFTER))
        .http2_keepalive_timeout(Some(ANSWER_WITHIN))
        .max_connection_age(about(limits.connection_age))
        .layer(telemetry)
        .layer(limits.panics)
        .layer(limits.overload)
        .layer(limits.deadlines)
        .layer(RefusalLayer)
        .layer(AccessLayer { door: door.clone(), log: front.use_cases() })
        .layer(RateLayer { rates: limits.rates, door })
        .serve_with_incoming_shutdown(front, incoming, stop)
        .await?;
    Ok(())
}

/// An age, give or take a tenth: not the same for every listener, so that their clients do not all come
/// anew at once.
fn about(age: Duration) -> Duration {
    let thousandths = u32::try_from(RandomState::new().hash_one(()) % 200).unwrap_or_default();
    age * (900 + thousandths) / 1000
}
