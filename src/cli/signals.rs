//! The signals that a server hears: SIGTERM and SIGINT to stop, SIGHUP to read its settings anew.

use super::exit::{Exit, Failure};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// What a server hears.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Signals {
    /// Hears them from now on. Call it inside of the runtime that waits for them, and before anybody can
    /// know that this process is there: what it does not hear yet ends it.
    pub(super) fn new() -> Result<Self, Failure> {
        let hear = |kind| {
            signal(kind).map_err(|error| {
                Failure::new(Exit::Failure, "signals cannot be heard").because(error)
            })
        };
        Ok(Self {
            terminate: hear(SignalKind::terminate())?,
            interrupt: hear(SignalKind::interrupt())?,
            hang_up: hear(SignalKind::hangup())?,
        })
    }

    /// Done when it is told something.
    pub(super) async fn next(&mut self) -> Told {
        tokio::select! {
            biased;
            _ = self.terminate.recv() => Told::Stop,
            _ = self.interrupt.recv() => Told::Stop,
            _ = self.hang_up.recv() => Told::Reload,
        }
    }

    /// Done when it is told to stop.
    pub(super) async fn stop(&mut self) {
        while self.next().await != Told::Stop {}
    }
}

/// What a signal says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    Stop,
    Reload,
}
