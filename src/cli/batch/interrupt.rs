//! Being told to stop: SIGINT from a terminal, SIGTERM from whoever runs the job.

use super::super::exit::{Exit, Failure};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Hears both.
pub(super) struct Interrupt {
    int: Signal,
    term: Signal,
}

impl Interrupt {
    /// From now on neither ends the process by itself.
    pub(super) fn listen() -> Result<Self, Failure> {
        let heard = |kind| {
            signal(kind).map_err(|error| {
                Failure::new(Exit::Failure, "signals cannot be heard").because(error)
            })
        };
        Ok(Self { int: heard(SignalKind::interrupt())?, term: heard(SignalKind::terminate())? })
    }

    /// Waits for one.
    pub(super) async fn heard(&mut self) {
        tokio::select! {
            _ = self.int.recv() => {}
            _ = self.term.recv() => {}
        }
    }
}
