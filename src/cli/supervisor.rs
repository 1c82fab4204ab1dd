//! Tells systemd, where it started this process, how the server is: ready, reloading, stopping, alive.
//!
//! Invariant: `WATCHDOG=1` is sent only while every thread that serves has run within the time that the
//! watchdog allows. A process whose control thread alone is alive is restarted.

use sd_notify::NotifyState;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::Instant;

/// Whoever started this process, if they want to hear of it.
#[derive(Debug, Clone)]
pub(super) struct Supervisor {
    watchdog: Option<Duration>,
    start: Instant,
}

impl Supervisor {
    pub(super) fn new() -> Self {
        let watchdog = sd_notify::watchdog_enabled().filter(|every| !every.is_zero());
        Self { watchdog, start: Instant::now() }
    }

    /// From now on calls are answered.
    pub(super) fn ready(&self, status: &str) {
        tell(&[NotifyState::Ready, NotifyState::Status(status)]);
    }

    /// Settings are being read; [`ready`](Self::ready) says when that is over.
    pub(super) fn reloading(&self) {
        match NotifyState::monotonic_usec_now() {
            Ok(now) => tell(&[NotifyState::Reloading, now]),
            Err(error) => untold(&error),
        }
    }

    pub(super) fn stopping(&self, status: &str) {
        tell(&[NotifyState::Stopping, NotifyState::Status(status)]);
    }

    /// The pulse of a thread.
    pub(super) fn pulse(&self) -> Pulse {
        Pulse { last: Arc::new(AtomicU64::new(self.now())), of: self.clone() }
    }

    /// Says that the process is alive for as long as all these threads are. Never ends.
    pub(super) async fn watch_over(self, pulses: Vec<Pulse>) {
        let Some(watchdog) = self.watchdog else { return std::future::pending().await };
        let limit = u64::try_from(watchdog.as_millis()).unwrap_or(u64::MAX);
        let mut ticks = tokio::time::interval(watchdog / 3);
        loop {
            ticks.tick().await;
            let now = self.now();
            let is_alive =
                |pulse: &Pulse| now.saturating_sub(pulse.last.load(Ordering::Relaxed)) <= limit;
            if pulses.iter().all(is_alive) {
                // It may wait for whoever listens.
                let _ = tokio::task::spawn_blocking(|| tell(&[NotifyState::Watchdog])).await;
            } else {
                tracing::error!("A thread that serves has not run for {watchdog:?}");
            }
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// When a thread last ran.
#[derive(Debug, Clone)]
pub(super) struct Pulse {
    /// In milliseconds.
    last: Arc<AtomicU64>,
    of: Supervisor,
}

impl Pulse {
    /// Beats on this thread's runtime, where somebody feels it. Never ends.
    pub(super) async fn beat(self) {
        let Some(watchdog) = self.of.watchdog else { return std::future::pending().await };
        let mut ticks = tokio::time::interval(watchdog / 4);
        loop {
            ticks.tick().await;
            self.last.store(self.of.now(), Ordering::Relaxed);
        }
    }
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        untold(&error);
    }
}

fn untold(error: &io::Error) {
    tracing::warn!(error = error as &dyn std::error::Error, "The service manager was not told");
}
