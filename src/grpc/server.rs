//! Runs the services on one listener, within the limits that keep a server up.

use super::deadline::DeadlineLayer;
use super::front::Front;
use super::incoming::connections;
use super::overload::OverloadLayer;
use super::refusals::RefusalLayer;
use crate::telemetry::RpcLayer;
use std::future::Future;
use std::hash::{BuildHasher, RandomState};
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tonic::transport::Server;

/// Calls at once on one connection.
const MOST_STREAMS: u32 = 256;

/// Streams that were reset and not yet forgotten: more of them is an attack (rapid reset).
const MOST_PENDING_RESETS: usize = 20;

/// Streams that we had to reset because the peer broke the rules.
const MOST_FORCED_RESETS: usize = 256;

/// Largest headers of a call.
const MOST_HEADERS: u32 = 8 * 1024;

/// What a peer may send ahead on a stream, and on a connection.
const STREAM_WINDOW: u32 = 64 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;

/// Largest frame.
const FRAME: u32 = 16 * 1024;

/// When a silent peer is asked whether it is there, and how long it may take to say so.
const ASK_AFTER: Duration = Duration::from_secs(30);
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// What calls may take and how many there may be. Shared by all listeners of a server.
#[derive(Debug, Clone)]
pub struct Limits {
    deadlines: DeadlineLayer,
    overload: OverloadLayer,
}

impl Limits {
    /// `check` and `admin` say how long a check and anything else may take when the caller sets no
    /// earlier deadline; `most_checks` how many checks may be in work at once.
    #[must_use]
    pub fn new(check: Duration, admin: Duration, most_checks: usize) -> Self {
        let room = Arc::new(Semaphore::new(most_checks.min(Semaphore::MAX_PERMITS)));
        Self { deadlines: DeadlineLayer { check, admin }, overload: OverloadLayer(room) }
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
    limits: Limits,
    telemetry: RpcLayer,
    stop: impl Future<Output = ()>,
) -> Result<(), ServeError> {
    let incoming = connections(listener)?;
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
        .max_connection_age(connection_age())
        .layer(telemetry)
        .layer(limits.overload)
        .layer(limits.deadlines)
        .layer(RefusalLayer)
        .serve_with_incoming_shutdown(front, incoming, stop)
        .await?;
    Ok(())
}

/// About half an hour, so that new servers get their share of clients; not the same for every
/// listener, so that they do not all come at once.
fn connection_age() -> Duration {
    let jitter = RandomState::new().hash_one(()) % 360;
    Duration::from_secs(27 * 60 + jitter)
}
